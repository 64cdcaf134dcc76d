/* SPDX-License-Identifier: Apache-2.0 */
/* How many CPUs this process may use, and which. */
#define _GNU_SOURCE

#include "core/cgroup.h"

#include <math.h>
#include <omp.h>
#include <outflow/outflow.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_CPUS = 1 << 20 };

/* A set of CPUs, zero for the moment when `set` is NULL. */
typedef struct cpu_set {
    cpu_set_t *set; /* freed with CPU_FREE */
    size_t bytes;
    int capacity;
} cpu_set;

static cpu_set make_set(int capacity) {
    cpu_set cpus = {CPU_ALLOC((size_t)capacity), CPU_ALLOC_SIZE((size_t)capacity), capacity};
    if (cpus.set != NULL)
        CPU_ZERO_S(cpus.bytes, cpus.set);
    return cpus;
}

static cpu_set thread_set(void) {
    for (int capacity = 1024; capacity <= MOST_CPUS; capacity *= 4) {
        cpu_set cpus = make_set(capacity);
        if (cpus.set == NULL || sched_getaffinity(0, cpus.bytes, cpus.set) == 0)
            return cpus;
        CPU_FREE(cpus.set);
    }
    return (cpu_set){0};
}

static int most_in_place(int places) {
    int most = 0;
    for (int place = 0; place < places; place++) {
        int count = omp_get_place_num_procs(place);
        most = count > most ? count : most;
    }
    return most;
}

/* The union of OpenMP's places. */
static cpu_set places_set(int places) {
    int most = most_in_place(places);
    int *numbers = calloc((size_t)(most > 0 ? most : 1), sizeof *numbers);
    cpu_set cpus = numbers != NULL ? make_set(MOST_CPUS) : (cpu_set){0};
    for (int place = 0; cpus.set != NULL && place < places; place++) {
        omp_get_place_proc_ids(place, numbers);
        for (int i = 0; i < omp_get_place_num_procs(place); i++)
            if (numbers[i] >= 0 && numbers[i] < cpus.capacity)
                CPU_SET_S((size_t)numbers[i], cpus.bytes, cpus.set);
    }
    free(numbers);
    return cpus;
}

/* With OMP_PROC_BIND the first thread is bound as well, and its mask is not the process's. */
static cpu_set process_set(void) {
    int places = omp_get_proc_bind() != omp_proc_bind_false ? omp_get_num_places() : 0;
    return places > 0 ? places_set(places) : thread_set();
}

static unsigned count_of(cpu_set cpus) {
    int count = cpus.set != NULL ? CPU_COUNT_S(cpus.bytes, cpus.set) : 0;
    if (cpus.set != NULL)
        CPU_FREE(cpus.set);
    return count > 0 ? (unsigned)count : 1;
}

/* "0-3,8"; frees the set. */
static void print_set(cpu_set cpus, char *text, size_t size) {
    size_t length = 0;
    text[0] = '\0';
    for (int cpu = 0; cpus.set != NULL && cpu < cpus.capacity; cpu++) {
        if (!CPU_ISSET_S((size_t)cpu, cpus.bytes, cpus.set))
            continue;
        int last = cpu;
        while (last + 1 < cpus.capacity && CPU_ISSET_S((size_t)last + 1, cpus.bytes, cpus.set))
            last++;
        char range[32];
        int written = last > cpu
                          ? snprintf(range, sizeof range, "%s%d-%d", length ? "," : "", cpu, last)
                          : snprintf(range, sizeof range, "%s%d", length ? "," : "", cpu);
        if (written < 0 || length + (size_t)written >= size)
            break;
        memcpy(text + length, range, (size_t)written + 1);
        length += (size_t)written;
        cpu = last;
    }
    if (cpus.set != NULL)
        CPU_FREE(cpus.set);
}

void of_thread_cpus(char *text, size_t size) {
    print_set(thread_set(), text, size);
}

void of_process_cpus(char *text, size_t size) {
    print_set(process_set(), text, size);
}

void of_thread_unbind(void) {
    cpu_set cpus = process_set();
    if (cpus.set == NULL)
        return;
    (void)sched_setaffinity(0, cpus.bytes, cpus.set);
    CPU_FREE(cpus.set);
}

double of_cpu_quota(void) {
    return of_cgroup_cpus(of_cgroup_self());
}

unsigned of_cpu_count(void) {
    unsigned count = count_of(process_set());
    double quota = of_cpu_quota();
    if (quota > 0 && ceil(quota) < (double)count)
        count = (unsigned)ceil(quota);
    return count > 0 ? count : 1;
}
