/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal/warnings.h"

#include <inttypes.h>
#include <outflow/output.h>
#include <stdio.h>
#include <string.h>

/* A source that is one file is its image's path, and those of a list are whole. */
static bool needs_source(const of_warnings *warnings, const char *path) {
    return warnings->several && strcmp(warnings->source, path) != 0 &&
           strcmp(warnings->source, "-") != 0;
}

void of_warnings_add(of_warnings *warnings, const char *source, const char *path,
                     const char *reason) {
    if (warnings->source == NULL || strcmp(warnings->source, source) != 0)
        of_warnings_finish(warnings);
    warnings->source = source;
    if (++warnings->count > OF_WARNINGS_SHOWN)
        return;
    if (!warnings->several && strcmp(source, path) == 0) {
        (void)snprintf(warnings->held, sizeof warnings->held, "%s", reason);
        return;
    }
    bool named = needs_source(warnings, path);
    of_log_write(&warnings->console->log, OF_LOG_WARNING, "%s%s%s: %s", named ? source : "",
                 named ? ": " : "", path, reason);
}

bool of_warnings_take(of_warnings *warnings, of_error *error) {
    bool held = warnings->held[0] != '\0';
    if (held)
        (void)of_fail(error, OF_ERROR_FORMAT, "%s: %s", warnings->source, warnings->held);
    warnings->held[0] = '\0';
    return held;
}

void of_warnings_finish(of_warnings *warnings) {
    if (warnings->held[0] != '\0')
        of_log_write(&warnings->console->log, OF_LOG_WARNING, "%s: %s", warnings->source,
                     warnings->held);
    warnings->held[0] = '\0';
    if (warnings->count > OF_WARNINGS_SHOWN)
        of_log_write(&warnings->console->log, OF_LOG_WARNING, "%s: ... and %" PRIu64 " more",
                     warnings->source, warnings->count - OF_WARNINGS_SHOWN);
    warnings->source = NULL;
    warnings->count = 0;
}
