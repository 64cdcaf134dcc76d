/* SPDX-License-Identifier: Apache-2.0 */
/* Ranks where there is one process, and how modules are found; several of them are tested under a
 * launcher (tests/mpi). */
#define _POSIX_C_SOURCE 200809L
#include <outflow/ranks.h>

#include <math.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

static const char *const variables[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE", "PMI_RANK", "PMIX_RANK",
                                        "SLURM_STEP_NUM_TASKS"};

static int forget_launchers(void **state) {
    (void)state;
    for (size_t i = 0; i < sizeof variables / sizeof *variables; i++)
        if (unsetenv(variables[i]) != 0)
            return -1;
    return 0;
}

static void process_without_a_launcher_is_alone(void **state) {
    (void)state;
    of_ranks *ranks = (of_ranks *)&variables;
    assert_false(of_ranks_launched());
    assert_int_equal(of_ranks_open(NULL, &ranks, NULL), OF_OK);
    assert_null(ranks);
}

static void launcher_of_one_is_none(void **state) {
    (void)state;
    assert_int_equal(setenv("OMPI_COMM_WORLD_SIZE", "1", 1), 0);
    assert_false(of_ranks_launched());
    assert_int_equal(setenv("OMPI_COMM_WORLD_SIZE", "2", 1), 0);
    assert_true(of_ranks_launched());
    (void)forget_launchers(NULL);
    assert_int_equal(setenv("PMIX_RANK", "0", 1), 0);
    assert_true(of_ranks_launched());
    assert_int_equal(setenv("SLURM_STEP_NUM_TASKS", "1", 1), 0);
    assert_false(of_ranks_launched());
    (void)forget_launchers(NULL);
}

static void null_is_one_process(void **state) {
    (void)state;
    of_rank_info info;
    double seconds = 7;
    of_error error;
    assert_int_equal(of_ranks_rank(NULL), 0);
    assert_int_equal(of_ranks_size(NULL), 1);
    assert_int_equal(of_ranks_here(NULL), 1);
    assert_int_equal(of_ranks_threads(NULL), 0);
    assert_string_equal(of_ranks_library(NULL), "");
    assert_string_equal(of_ranks_name(NULL, 0), "rank 0");
    assert_string_equal(of_ranks_name(NULL, 1), "");
    of_ranks_describe(NULL, 0, &info);
    assert_int_equal(info.pid, getpid());
    assert_int_equal(info.cpus, of_cpu_count());
    assert_int_equal(info.threads, of_cpu_count());
    assert_int_equal(info.sharers, 1);
    assert_true(strlen(info.cpu_list) > 0);
    of_ranks_describe(NULL, 1, &info);
    assert_int_equal(info.sharers, 0);
    assert_int_equal(of_fail(&error, OF_ERROR_IO, "mine"), OF_ERROR_IO);
    assert_int_equal(of_ranks_agree(NULL, OF_ERROR_IO, &error), OF_ERROR_IO);
    assert_string_equal(error.message, "mine");
    assert_false(of_ranks_agreed(NULL));
    assert_int_equal(of_ranks_time_reduction(NULL, 100, 3, &seconds, NULL), OF_OK);
    assert_true(seconds == 0);
    assert_int_equal(of_ranks_time_reduction(NULL, 0, 3, &seconds, NULL), OF_ERROR_ARGUMENT);
    of_ranks_abort(NULL, 1);
    of_ranks_close(NULL);
}

/* A file that is no module shows which folder is looked in. */
static void module_comes_from_the_folder_that_is_given(void **state) {
    (void)state;
    char folder[] = "/tmp/modules-XXXXXX", path[64];
    of_ranks_options options = of_ranks_options_default();
    of_ranks *ranks;
    of_error error;
    assert_non_null(mkdtemp(folder));
    (void)snprintf(path, sizeof path, "%s/outflow_openmpi.so", folder);
    assert_int_equal(setenv("OMPI_COMM_WORLD_SIZE", "2", 1), 0);
    options.module_folder = folder;
    assert_int_equal(of_ranks_open(&options, &ranks, &error), OF_ERROR_UNSUPPORTED);
    assert_null(ranks);
    assert_non_null(strstr(error.message, "OMPI_COMM_WORLD_SIZE is set"));
    assert_non_null(strstr(error.message, "there is no module"));
    assert_string_equal(error.setting, "module_folder");
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_int_equal(fclose(file), 0);
    assert_int_equal(of_ranks_open(&options, &ranks, &error), OF_ERROR_UNSUPPORTED);
    assert_non_null(strstr(error.message, path));
    options.size = 0;
    assert_int_equal(of_ranks_open(&options, &ranks, &error), OF_ERROR_ARGUMENT);
    assert_int_equal(unlink(path) | rmdir(folder), 0);
    (void)forget_launchers(NULL);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(process_without_a_launcher_is_alone),
        cmocka_unit_test(launcher_of_one_is_none),
        cmocka_unit_test(null_is_one_process),
        cmocka_unit_test(module_comes_from_the_folder_that_is_given),
    };
    return cmocka_run_group_tests(tests, forget_launchers, NULL);
}
