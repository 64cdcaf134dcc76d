/* SPDX-License-Identifier: Apache-2.0 */
/* Limits of control groups, from trees of files like those that the kernel shows. */
#define _XOPEN_SOURCE 700
#include "core/cgroup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

static char root[] = "/tmp/cgroup-XXXXXX", self[64];

static void put(const char *name, const char *text) {
    char path[256];
    (void)snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *slash = path + sizeof root; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        (void)mkdir(path, 0700);
        *slash = '/';
    }
    FILE *file = fopen(path, "w");
    assert_non_null(file);
    assert_true(fputs(text, file) >= 0);
    assert_int_equal(fclose(file), 0);
}

static of_cgroup_place place(void) {
    return (of_cgroup_place){root, self};
}

static int make_folder(void **state) {
    (void)state;
    (void)strcpy(root + sizeof root - 7, "XXXXXX");
    if (mkdtemp(root) == NULL)
        return -1;
    (void)snprintf(self, sizeof self, "%s/self", root);
    return 0;
}

static int remove_folder(void **state) {
    (void)state;
    char command[64];
    (void)snprintf(command, sizeof command, "rm -rf '%s'", root);
    return system(command);
}

static void without_groups_there_is_no_limit(void **state) {
    (void)state;
    assert_true(of_cgroup_cpus(place()) == 0);
    assert_true(of_cgroup_memory(place()) == 0);
    put("self", "0::/elsewhere\nno group\n::\n7:cpu:\n");
    put("cpu.max", "max 100000\n");
    put("memory.max", "max\n");
    assert_true(of_cgroup_cpus(place()) == 0);
    assert_true(of_cgroup_memory(place()) == 0);
}

/* In a container the group's own folder is the root. */
static void limits_of_the_root_count(void **state) {
    (void)state;
    put("cpu.max", "150000 100000\n");
    put("memory.max", "4294967296\n");
    assert_true(of_cgroup_cpus(place()) == 1.5);
    assert_true(of_cgroup_memory(place()) == 0x1p32);
    put("self", "0::/\n");
    assert_true(of_cgroup_cpus(place()) == 1.5);
}

/* A scheduler limits the job, not the step that the process is in. */
static void least_limit_above_counts(void **state) {
    (void)state;
    put("self", "0::/slurm/job_7/step_0\n");
    put("slurm/memory.max", "8589934592\n");
    put("slurm/job_7/memory.max", "1073741824\n");
    put("slurm/job_7/step_0/memory.max", "max\n");
    put("slurm/job_8/memory.max", "4096\n");
    put("slurm/job_7/cpu.max", "max 100000\n");
    put("slurm/cpu.max", "400000 100000\n");
    assert_true(of_cgroup_memory(place()) == 0x1p30);
    assert_true(of_cgroup_cpus(place()) == 4);
}

static void version_1_has_a_hierarchy_for_each(void **state) {
    (void)state;
    put("self", "4:memory:/job\n3:cpuset:/other\n2:cpu,cpuacct:/job\n1:name=systemd:/\n");
    put("memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("memory/job/memory.limit_in_bytes", "2147483648\n");
    put("cpu/cpu.cfs_quota_us", "-1\n");
    put("cpu/cpu.cfs_period_us", "100000\n");
    put("cpu/job/cpu.cfs_quota_us", "250000\n");
    put("cpu/job/cpu.cfs_period_us", "100000\n");
    assert_true(of_cgroup_memory(place()) == 0x1p31);
    assert_true(of_cgroup_cpus(place()) == 2.5);
    put("self", "4:memory:/\n2:cpuset,cpuacct:/job\n");
    assert_true(of_cgroup_memory(place()) == 0);
    assert_true(of_cgroup_cpus(place()) == 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(without_groups_there_is_no_limit, make_folder,
                                        remove_folder),
        cmocka_unit_test_setup_teardown(limits_of_the_root_count, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(least_limit_above_counts, make_folder, remove_folder),
        cmocka_unit_test_setup_teardown(version_1_has_a_hierarchy_for_each, make_folder,
                                        remove_folder),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
