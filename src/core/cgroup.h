/* SPDX-License-Identifier: Apache-2.0 */
/* What control groups leave to this process: those of containers and of job schedulers. */
#ifndef OF_CORE_CGROUP_H
#define OF_CORE_CGROUP_H

/* Where the hierarchy is mounted and what names the process's groups; elsewhere in tests. */
typedef struct of_cgroup_place {
    const char *mount; /* "/sys/fs/cgroup" */
    const char *self;  /* "/proc/self/cgroup" */
} of_cgroup_place;

/* The place of this process. */
of_cgroup_place of_cgroup_self(void);

/* CPUs' worth of time, and bytes, that the process's groups and those above them grant, versions 1
 * and 2. 0: no limit. */
double of_cgroup_cpus(of_cgroup_place place);
double of_cgroup_memory(of_cgroup_place place);

#endif
