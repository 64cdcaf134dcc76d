/* SPDX-License-Identifier: Apache-2.0 */
/* How many CPUs this process may use. */
#define _GNU_SOURCE
#include <math.h>
#include <outflow/outflow.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>

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

/* The first line of a small file. */
static bool read_line(const char *path, char line[64]) {
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool read = fgets(line, 64, file) != NULL;
    (void)fclose(file);
    return read;
}

/* The quota of cgroup v2 ("QUOTA PERIOD" or "max PERIOD") or v1 (a file each) in CPUs, or 0
 * without one. What is not a number reads as 0. */
static double cgroup_quota(void) {
    char line[64];
    double quota = 0, period = 0;
    if (read_line("/sys/fs/cgroup/cpu.max", line)) {
        char *rest = line;
        quota = strtod(line, &rest);
        period = strtod(rest, NULL);
    } else {
        if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_quota_us", line))
            quota = strtod(line, NULL);
        if (read_line("/sys/fs/cgroup/cpu/cpu.cfs_period_us", line))
            period = strtod(line, NULL);
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

unsigned of_cpu_count(void) {
    unsigned count = affinity_count();
    double quota = cgroup_quota();
    if (quota > 0 && ceil(quota) < (double)count)
        count = (unsigned)ceil(quota);
    return count > 0 ? count : 1;
}
