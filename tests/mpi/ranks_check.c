/* SPDX-License-Identifier: Apache-2.0 */
/* A C program of several ranks, on the shared library's public functions alone. Each rank trains
 * with the others; the first one writes the weights, and says what it sees.
 *
 *     ranks_check WEIGHTS [RANK_THAT_FAILS] */
#include <outflow/train.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

static of_status train(of_ranks *ranks, const char *out, of_error *error) {
    const char *const data[] = {"synthetic:shapes:50"};
    of_architecture architecture = of_architecture_default();
    of_train_options options = of_train_options_default();
    of_train_result result;
    architecture.height = architecture.width = 16;
    architecture.scales = 2;
    architecture.steps = 1;
    architecture.hidden = 8;
    options.architecture = &architecture;
    options.data = data;
    options.data_count = 1;
    options.out = out;
    options.overwrite = true;
    options.batch = 16;
    options.images = 320;
    options.lanes = 2;
    options.threads = 1;
    options.ranks = ranks;
    return of_train(&options, NULL, &result, error);
}

static of_status look_around(of_ranks *ranks, of_error *error) {
    double seconds = -1;
    of_status status = of_ranks_time_reduction(ranks, 1000, 3, &seconds, error);
    if (status == OF_OK && (seconds < 0 || !isfinite(seconds)))
        status = of_fail(error, OF_ERROR_INTERNAL, "a reduction of %g s", seconds);
    for (unsigned r = 0; status == OF_OK && r < of_ranks_size(ranks); r++) {
        of_rank_info info;
        of_ranks_describe(ranks, r, &info);
        if (info.pid == 0 || info.threads == 0 || info.host[0] == '\0')
            status = of_fail(error, OF_ERROR_INTERNAL, "rank %u is nowhere", r);
    }
    return of_ranks_agree(ranks, status, error);
}

int main(int argc, char **argv) {
    of_ranks *ranks = NULL;
    of_error error;
    of_status status = of_ranks_open(NULL, &ranks, &error);
    if (status == OF_OK)
        status = look_around(ranks, &error);
    if (status == OF_OK)
        status = train(ranks, argv[1], &error);
    if (status == OF_OK && argc > 2) {
        if (of_ranks_rank(ranks) == (unsigned)atoi(argv[2]))
            status = of_fail_setting(&error, OF_ERROR_IO, "data", "it is broken");
        status = of_ranks_agree(ranks, status, &error);
    }
    if (of_ranks_rank(ranks) == 0 && status == OF_OK)
        (void)printf("%u ranks, %u here, %s\n", of_ranks_size(ranks), of_ranks_here(ranks),
                     of_ranks_library(ranks));
    else if (of_ranks_rank(ranks) == 0)
        (void)printf("agreed %d: %s (%s)\n", of_ranks_agreed(ranks), error.message, error.setting);
    if (status != OF_OK && !of_ranks_agreed(ranks)) {
        (void)fprintf(stderr, "ranks_check: %s\n", error.message);
        of_ranks_abort(ranks, EXIT_FAILURE);
    }
    of_ranks_close(ranks);
    return status == OF_OK || argc > 2 ? EXIT_SUCCESS : EXIT_FAILURE;
}
