/* SPDX-License-Identifier: Apache-2.0 */
/* The CPUs this process may use; of_cpu_count is public. */
#ifndef OF_CORE_CPUS_H
#define OF_CORE_CPUS_H

#include <stddef.h>

/* CPUs of the calling thread, as in "0-3,8"; cut if it does not fit. */
void of_thread_cpus(char *text, size_t size);

/* CPUs of the process: the thread's, unless OpenMP has bound threads, then those of all places. */
void of_process_cpus(char *text, size_t size);

/* Lets the calling thread run on all CPUs of the process again, where OpenMP has bound it. */
void of_thread_unbind(void);

#endif
