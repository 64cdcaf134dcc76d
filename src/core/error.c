/* SPDX-License-Identifier: Apache-2.0 */
#include "core/error.h"

#include <outflow/output.h>

#include <stdarg.h>
#include <stdio.h>

/* The functions themselves, not what the static analyzer is told about them. */
#undef of_fail
#undef of_fail_setting
#undef of_fail_memory
#undef of_fail_io
#undef of_fail_from

const char *of_version(void) {
#define OF_TEXT_(x) #x
#define OF_TEXT(x) OF_TEXT_(x)
    return OF_TEXT(OF_VERSION_MAJOR) "." OF_TEXT(OF_VERSION_MINOR) "." OF_TEXT(OF_VERSION_PATCH);
}

const char *of_status_name(of_status status) {
    switch (status) {
    case OF_OK:
        return "ok";
    case OF_ERROR_ARGUMENT:
        return "argument";
    case OF_ERROR_MEMORY:
        return "memory";
    case OF_ERROR_IO:
        return "io";
    case OF_ERROR_FORMAT:
        return "format";
    case OF_ERROR_UNSUPPORTED:
        return "unsupported";
    case OF_ERROR_MISMATCH:
        return "mismatch";
    case OF_ERROR_NUMERIC:
        return "numeric";
    case OF_ERROR_INTERNAL:
        return "internal";
    }
    return "unknown";
}

static void fill(of_error *error, of_status status, const char *setting, const char *format,
                 va_list arguments) {
    error->status = status;
    (void)vsnprintf(error->message, sizeof error->message, format, arguments);
    of_plain_text(error->message);
    (void)snprintf(error->setting, sizeof error->setting, "%s", setting != NULL ? setting : "");
    of_plain_text(error->setting);
    error->os_error = 0;
}

of_status of_fail(of_error *error, of_status status, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        fill(error, status, "", format, arguments);
        va_end(arguments);
    }
    return status;
}

of_status of_fail_setting(of_error *error, of_status status, const char *setting,
                          const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        fill(error, status, setting, format, arguments);
        va_end(arguments);
    }
    return status;
}

of_status of_fail_io(of_error *error, int os_error, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        fill(error, OF_ERROR_IO, "", format, arguments);
        va_end(arguments);
        error->os_error = os_error;
    }
    return OF_ERROR_IO;
}

of_status of_fail_from(of_error *error, const of_error *cause, const char *format, ...) {
    if (error != NULL) {
        va_list arguments;
        va_start(arguments, format);
        fill(error, cause->status, cause->setting, format, arguments);
        va_end(arguments);
        error->os_error = cause->os_error;
    }
    return cause->status;
}

of_status of_error_copy(of_error *to, const of_error *from) {
    if (from == NULL)
        return OF_OK;
    if (to != NULL && to != from)
        *to = *from;
    return from->status;
}

of_status of_fail_memory(of_error *error, const char *what) {
    return of_fail(error, OF_ERROR_MEMORY, "out of memory while allocating %s", what);
}
