/* SPDX-License-Identifier: Apache-2.0 */
/* Gives up all rights but to compute, to read and to write what is open. */
#ifndef OF_SERVER_SANDBOX_H
#define OF_SERVER_SANDBOX_H

#include <stdbool.h>
#include <stddef.h>

/* `memory`: bytes that the process may take beside what it has. False: the machine does not allow
 * it. A system call that is not allowed ends the process. */
bool of_sandbox_enter(size_t memory);

/* True if system calls are held back in this build. */
bool of_sandbox_has_filter(void);

#endif
