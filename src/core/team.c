/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "core/team.h"

#include "core/error.h"

#include <unistd.h>

/* The process in which this thread has had a team; 0: none. A fork copies it with the thread. */
static _Thread_local pid_t process;

of_status of_team_check(unsigned threads, of_error *error) {
    if (threads < 2)
        return OF_OK;
    pid_t now = getpid();
    if (process != 0 && process != now)
        return of_fail_setting(
            error, OF_ERROR_UNSUPPORTED, "threads",
            "several threads have run in the process that this one was forked "
            "from, so it can use but one: fork before, or start another program");
    process = now;
    return OF_OK;
}
