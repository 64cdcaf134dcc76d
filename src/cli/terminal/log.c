/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/terminal/log.h"

#include <outflow/output.h>

#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Colours of the terminal's palette: red, yellow, none. */
static const char *const level_names[] = {"error: ", "warning: ", ""};
static const char *const level_colours[] = {"\033[31m", "\033[33m", ""};

static bool shows_colour(FILE *stream) {
    const char *terminal = getenv("TERM"), *refused = getenv("NO_COLOR");
    return isatty(fileno(stream)) && (refused == NULL || *refused == '\0') && terminal != NULL &&
           strcmp(terminal, "dumb") != 0;
}

of_log of_log_to(FILE *stream, of_log_level level) {
    return (of_log){.stream = stream, .level = level, .colour = shows_colour(stream)};
}

void of_log_write(const of_log *log, of_log_level level, const char *format, ...) {
    if (level > log->level)
        return;
    char text[2048];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    of_plain_text(text);
    if (log->progress != NULL)
        of_progress_hide(log->progress);
    bool colour = log->colour && level < OF_LOG_INFO;
    (void)fprintf(log->stream, "outflow: %s%s%s%s\n", colour ? level_colours[level] : "",
                  level_names[level], colour ? "\033[0m" : "", text);
    (void)fflush(log->stream);
}
