/* SPDX-License-Identifier: Apache-2.0 */
/* Teams of OpenMP's threads and fork. */
#ifndef OF_CORE_TEAM_H
#define OF_CORE_TEAM_H

#include <outflow/outflow.h>

/* Asked before a parallel region of `threads` threads. libgomp keeps a thread's team for its next
 * region; after a fork the child's copy of that thread would wait for ever for a team that is not
 * there: OF_ERROR_UNSUPPORTED. */
of_status of_team_check(unsigned threads, of_error *error);

#endif
