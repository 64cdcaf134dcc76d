/* SPDX-License-Identifier: Apache-2.0 */
/* Errors travel as an of_status with a one-line message: of_fail and its kin in outflow.h, and
 * those that only the library needs. */
#ifndef OF_CORE_ERROR_H
#define OF_CORE_ERROR_H

#include <outflow/outflow.h>

/* OF_ERROR_IO for a system call that failed with `os_error`, an errno that the message names in
 * words. */
of_status of_fail_io(of_error *error, int os_error, const char *format, ...) OF_PRINTF(3, 4);

/* The failure `cause` under another message, which says where: status, setting and errno stay. */
of_status of_fail_from(of_error *error, const of_error *cause, const char *format, ...)
    OF_PRINTF(3, 4);

#ifdef __clang_analyzer__
#define of_fail_io(error, os_error, ...)                                                           \
    ((void)(of_fail_io)((error), (os_error), __VA_ARGS__), OF_ERROR_IO)
#define of_fail_from(error, cause, ...)                                                            \
    ((void)(of_fail_from)((error), (cause), __VA_ARGS__), (cause)->status)
#endif

#endif
