/* SPDX-License-Identifier: Apache-2.0 */
/* How many CPUs this process may use. */
#define _GNU_SOURCE
#include <math.h>
#include <outflow/outflow.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static unsigned affinity_count(void) {
    for (int capacity = 1024; capacity <= 1 << 20; capacity *= 4) {
        cpu_set_t *set = CPU_ALLOC((size_t)capacity);
        if (set == NULL)
            return 1;
        size_t bytes = CPU_ALLOC_SIZE((size_t)capacity);
        int failed = sched_getaffinity(0, bytes, set);
        int count = failed ? 0 : CPU_COUNT_S(bytes, set);
        CPU_FREE(set);
        if (!failed)
            return count > 0 ? (unsigned)count : 1;
    }
    return 1;
}

/* The cgroup v2 (or v1) quota in CPUs, or 0 without one. */
static double cgroup_quota(void) {
    double quota = 0, period = 0;
    char text[64];
    FILE *file = fopen("/sys/fs/cgroup/cpu.max", "re");
    if (file != NULL) {
        if (fscanf(file, "%63s %lf", text, &period) == 2 && strcmp(text, "max") != 0)
            quota = strtod(text, NULL);
        (void)fclose(file);
        return period > 0 && quota > 0 ? quota / period : 0;
    }
    const char *const paths[2] = {"/sys/fs/cgroup/cpu/cpu.cfs_quota_us",
                                  "/sys/fs/cgroup/cpu/cpu.cfs_period_us"};
    double values[2] = {0, 0};
    for (int i = 0; i < 2; i++) {
        file = fopen(paths[i], "re");
        if (file == NULL)
            return 0;
        if (fscanf(file, "%lf", &values[i]) != 1)
            values[i] = 0;
        (void)fclose(file);
    }
    return values[0] > 0 && values[1] > 0 ? values[0] / values[1] : 0;
}

unsigned of_cpu_count(void) {
    unsigned count = affinity_count();
    double quota = cgroup_quota();
    if (quota > 0 && ceil(quota) < (double)count)
        count = (unsigned)ceil(quota);
    return count > 0 ? count : 1;
}
