/* SPDX-License-Identifier: Apache-2.0 */
/* Errors travel as an of_status with a one-line message: of_fail and its kin in outflow.h. */
#ifndef OF_CORE_ERROR_H
#define OF_CORE_ERROR_H

#include <outflow/outflow.h>

#ifdef __clang_analyzer__
/* The static analyzer sees one file at a time. What it must know: a failure returns its status. */
#define of_fail(error, status, ...) ((void)(of_fail)((error), (status), __VA_ARGS__), (status))
#define of_fail_setting(error, status, setting, ...)                                               \
    ((void)(of_fail_setting)((error), (status), (setting), __VA_ARGS__), (status))
#define of_fail_memory(error, what) ((void)(of_fail_memory)((error), (what)), OF_ERROR_MEMORY)
#endif

#endif
