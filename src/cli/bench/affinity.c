/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/bench/affinity.h"

#include <errno.h>
#include <omp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LIST_SIZE = 256 };

const char *of_affinity_name(of_affinity affinity) {
    static const char *const names[] = {"none", "close", "spread"};
    return names[affinity];
}

const char *of_affinity_in_force(void) {
    switch (omp_get_proc_bind()) {
    case omp_proc_bind_true:
        return "true";
    case omp_proc_bind_master:
        return "primary";
    case omp_proc_bind_close:
        return "close";
    case omp_proc_bind_spread:
        return "spread";
    default:
        return "false";
    }
}

static of_status start_anew(of_affinity affinity, int argc, char **argv, of_error *error) {
    char **arguments = calloc((size_t)argc + 2, sizeof *arguments);
    if (arguments == NULL)
        return of_fail_memory(error, "arguments");
    char name[] = "outflow";
    arguments[0] = name;
    memcpy(arguments + 1, argv, (size_t)argc * sizeof *argv);
    of_thread_unbind(); /* the new program would inherit it */
    if (setenv("OMP_PROC_BIND", of_affinity_name(affinity), 1) == 0 &&
        setenv("OMP_PLACES", "cores", 0) == 0)
        (void)execv("/proc/self/exe", arguments);
    free(arguments);
    return of_fail(error, OF_ERROR_UNSUPPORTED, "cannot start anew with bound threads: %s",
                   strerror(errno));
}

of_status of_affinity_bind(of_affinity affinity, int argc, char **argv, of_error *error) {
    if (affinity == OF_AFFINITY_NONE)
        return OF_OK;
    const char *wanted = of_affinity_name(affinity), *set = getenv("OMP_PROC_BIND");
    if (set == NULL || strcmp(set, wanted) != 0 || getenv("OMP_PLACES") == NULL)
        return start_anew(affinity, argc, argv, error);
    if (strcmp(of_affinity_in_force(), wanted) == 0 && omp_get_num_places() > 0)
        return OF_OK;
    return of_fail(error, OF_ERROR_UNSUPPORTED,
                   "OpenMP does not bind threads here (OMP_PROC_BIND=%s OMP_PLACES=%s)", wanted,
                   getenv("OMP_PLACES"));
}

bool of_affinity_threads(unsigned threads, char *text, size_t size) {
    char process[LIST_SIZE];
    char(*lists)[LIST_SIZE] = calloc(threads, sizeof *lists);
    size_t length = 0;
    bool bound = false;
    text[0] = '\0';
    if (lists == NULL)
        return false;
    of_process_cpus(process, sizeof process);
#pragma omp parallel num_threads(threads)
    of_thread_cpus(lists[omp_get_thread_num()], LIST_SIZE);
    for (unsigned t = 0; t < threads; t++) {
        bound = bound || (lists[t][0] != '\0' && strcmp(lists[t], process) != 0);
        int written = snprintf(text + length, size - length, "%s%s", t > 0 ? ";" : "", lists[t]);
        length += written > 0 ? (size_t)written : 0;
        if (length >= size)
            length = size - 1;
    }
    free(lists);
    return bound;
}
