/* SPDX-License-Identifier: Apache-2.0 */
/* Errors travel as an of_status with a one-line message. */
#ifndef OF_CORE_ERROR_H
#define OF_CORE_ERROR_H

#include <outflow/outflow.h>
#include <stdarg.h>

/* Fills `error` (may be NULL) with a status and a printf message; returns the status, so that a
 * failing branch is one line: `return of_fail(error, OF_ERROR_IO, "%s: %s", path, reason);`
 * Control characters and newlines in the result are replaced by '?', so that a hostile name
 * cannot break the one-line rule or a terminal. */
__attribute__((format(printf, 3, 4))) of_status of_fail(of_error *error, of_status status,
                                                        const char *format, ...);

/* The same where one setting of the caller's would help: its name, that of an option struct's field
 * ("general_model"), goes along. Without one of_fail leaves it empty. */
__attribute__((format(printf, 4, 5))) of_status
of_fail_setting(of_error *error, of_status status, const char *setting, const char *format, ...);

/* Copies `from` into `to` (either may be NULL) and returns its status. */
of_status of_error_copy(of_error *to, const of_error *from);

/* "out of memory" with what was being allocated. */
of_status of_fail_memory(of_error *error, const char *what);

#ifdef __clang_analyzer__
/* The static analyzer sees one file at a time. What it must know: a failure returns its status. */
#define of_fail(error, status, ...) ((void)(of_fail)((error), (status), __VA_ARGS__), (status))
#define of_fail_setting(error, status, setting, ...)                                               \
    ((void)(of_fail_setting)((error), (status), (setting), __VA_ARGS__), (status))
#define of_fail_memory(error, what) ((void)(of_fail_memory)((error), (what)), OF_ERROR_MEMORY)
#endif

#endif
