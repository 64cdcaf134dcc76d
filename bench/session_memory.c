/* SPDX-License-Identifier: Apache-2.0 */
/* What sessions of one plan take in memory: resident bytes after 1, 2, 4 and 8 of them have run,
 * each on a thread of its own.
 *
 *     session_memory [STEPS HIDDEN]        default 32 512 */
#define _POSIX_C_SOURCE 200809L
#include <outflow/outflow.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

enum { MOST = 8, IMAGES = 4 };

static size_t resident_bytes(void) {
    unsigned long pages = 0;
    FILE *file = fopen("/proc/self/statm", "r");
    if (file == NULL || fscanf(file, "%*s %lu", &pages) != 1)
        pages = 0;
    if (file != NULL)
        (void)fclose(file);
    return (size_t)pages * (size_t)sysconf(_SC_PAGESIZE);
}

static void *run(void *user) {
    static uint8_t pixels[IMAGES * 3 * 32 * 32];
    double logp[IMAGES];
    const of_batch batch = {OF_PIXEL_U8, pixels, IMAGES};
    of_error error;
    if (of_session_forward(user, &batch, &(of_likelihoods){.logp = logp}, &error) != OF_OK)
        (void)fprintf(stderr, "%s\n", error.message);
    return NULL;
}

static void run_all(of_session **sessions, size_t count) {
    pthread_t threads[MOST];
    for (size_t i = 0; i < count; i++)
        if (pthread_create(&threads[i], NULL, run, sessions[i]) != 0)
            exit(1);
    for (size_t i = 0; i < count; i++)
        (void)pthread_join(threads[i], NULL);
}

static of_plan *compile(uint32_t steps, uint32_t hidden) {
    of_architecture architecture = of_architecture_default();
    of_plan_options options = of_plan_options_default();
    of_model *model = NULL;
    of_plan *plan = NULL;
    of_error error;
    architecture.steps = steps;
    architecture.hidden = hidden;
    options.threads = 1; /* a service has a session a request */
    if (of_model_create(&architecture, 1, &model, &error) != OF_OK ||
        of_plan_compile(model, &options, &plan, &error) != OF_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        exit(1);
    }
    of_model_free(model);
    return plan;
}

int main(int argc, char **argv) {
    uint32_t steps = argc == 3 ? (uint32_t)strtoul(argv[1], NULL, 10) : 32;
    uint32_t hidden = argc == 3 ? (uint32_t)strtoul(argv[2], NULL, 10) : 512;
    of_session *sessions[MOST] = {NULL};
    of_error error;
    of_plan *plan = compile(steps, hidden);
    double first = 0;
    (void)printf("K %u, hidden %u: %.1f MB of packed weights\n", steps, hidden,
                 (double)of_plan_describe(plan).weight_bytes / 1e6);
    for (size_t count = 1, made = 0; count <= MOST; count *= 2) {
        for (; made < count; made++)
            if (of_session_create(plan, 0, &sessions[made], &error) != OF_OK)
                return 1;
        run_all(sessions, count);
        double resident = (double)resident_bytes();
        first = count == 1 ? resident : first;
        (void)printf("%zu sessions: %.1f MB resident, %.2f times that of one\n", count,
                     resident / 1e6, resident / first);
    }
    for (size_t i = 0; i < MOST; i++)
        of_session_free(sessions[i]);
    of_plan_free(plan);
    return 0;
}
