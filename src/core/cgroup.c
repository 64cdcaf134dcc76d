/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "core/cgroup.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { PATH_SIZE = 4096 };

of_cgroup_place of_cgroup_self(void) {
    return (of_cgroup_place){"/sys/fs/cgroup", "/proc/self/cgroup"};
}

/* The number in the first line of folder/name, and the one after it; what is not a number reads as
 * 0. */
static bool read_numbers(const char *folder, const char *name, double *first, double *second) {
    char path[PATH_SIZE + 32], line[64], *rest = line;
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return false;
    bool read = fgets(line, sizeof line, file) != NULL;
    (void)fclose(file);
    if (!read)
        return false;
    *first = strtod(line, &rest);
    *second = strtod(rest, NULL);
    return true;
}

/* A limit in one group's folder, 0 without one. */
typedef double (*limit_reader)(const char *folder);

/* Version 2 has "QUOTA PERIOD" or "max PERIOD", version 1 a file for each. */
static double read_cpus(const char *folder) {
    double quota = 0, period = 0, none;
    if (!read_numbers(folder, "cpu.max", &quota, &period)) {
        (void)read_numbers(folder, "cpu.cfs_quota_us", &quota, &none);
        (void)read_numbers(folder, "cpu.cfs_period_us", &period, &none);
    }
    return quota > 0 && period > 0 ? quota / period : 0;
}

/* Version 1 has a number near 2^63 where there is no limit: more than any machine's memory. */
static double read_memory(const char *folder) {
    double bytes = 0, none;
    if (!read_numbers(folder, "memory.max", &bytes, &none))
        (void)read_numbers(folder, "memory.limit_in_bytes", &bytes, &none);
    return bytes < 0x1p60 ? bytes : 0;
}

static double lesser(double limit, double other) {
    return limit == 0 || (other > 0 && other < limit) ? other : limit;
}

/* The least limit of root/group and the groups above it. `group` begins with a slash. */
static double least_above(const char *root, const char *group, limit_reader read) {
    char folder[PATH_SIZE];
    size_t start = strlen(root);
    int length = snprintf(folder, sizeof folder, "%s%s", root, group);
    if (length < 0 || (size_t)length >= sizeof folder)
        return read(root);
    double least = read(folder);
    for (char *end = strrchr(folder, '/'); end != NULL && end >= folder + start;
         end = strrchr(folder, '/')) {
        *end = '\0';
        least = lesser(least, read(folder));
    }
    return least;
}

/* Is `wanted` in a list with commas? */
static bool lists(const char *controllers, const char *wanted) {
    size_t length = strlen(wanted);
    for (const char *at = controllers; at != NULL; at = strchr(at, ',')) {
        at += *at == ',';
        if (strncmp(at, wanted, length) == 0 && (at[length] == ',' || at[length] == '\0'))
            return true;
    }
    return false;
}

/* Lines are "NUMBER:CONTROLLERS:GROUP"; version 2 has no controllers. */
static double least_in(of_cgroup_place place, const char *controller, limit_reader read) {
    char line[PATH_SIZE], old[PATH_SIZE];
    (void)snprintf(old, sizeof old, "%s/%s", place.mount, controller);
    double least = lesser(read(place.mount), read(old));
    FILE *file = fopen(place.self, "re");
    while (file != NULL && fgets(line, sizeof line, file) != NULL) {
        char *controllers = strchr(line, ':');
        char *group = controllers != NULL ? strchr(controllers + 1, ':') : NULL;
        if (group == NULL || group[1] != '/')
            continue;
        *controllers++ = *group++ = '\0';
        group[strcspn(group, "\n")] = '\0';
        if (*controllers == '\0')
            least = lesser(least, least_above(place.mount, group, read));
        else if (lists(controllers, controller))
            least = lesser(least, least_above(old, group, read));
    }
    if (file != NULL)
        (void)fclose(file);
    return least;
}

double of_cgroup_cpus(of_cgroup_place place) {
    return least_in(place, "cpu", read_cpus);
}

double of_cgroup_memory(of_cgroup_place place) {
    return least_in(place, "memory", read_memory);
}
