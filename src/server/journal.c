/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "server/journal.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { TIME_SIZE = 40 };

static void time_text(char text[TIME_SIZE]) {
    struct timespec now;
    struct tm parts;
    char seconds[24];
    (void)clock_gettime(CLOCK_REALTIME, &now);
    if (gmtime_r(&now.tv_sec, &parts) == NULL)
        parts = (struct tm){.tm_mday = 1};
    (void)strftime(seconds, sizeof seconds, "%Y-%m-%dT%H:%M:%S", &parts);
    (void)snprintf(text, TIME_SIZE, "%s.%03dZ", seconds, (int)(now.tv_nsec / 1000000));
}

bool of_journal_begin(of_journal_line *line, const char *level, const char *event) {
    char now[TIME_SIZE];
    *line = (of_journal_line){.stream = NULL};
    line->stream = open_memstream(&line->text, &line->size);
    if (line->stream == NULL)
        return false;
    if (of_json_create(line->stream, false, &line->json, NULL) != OF_OK) {
        (void)fclose(line->stream);
        free(line->text);
        return false;
    }
    time_text(now);
    of_json_object(line->json, NULL);
    of_json_text(line->json, "time", now);
    of_json_text(line->json, "level", level);
    of_json_text(line->json, "event", event);
    return true;
}

void of_journal_end(of_journal_line *line) {
    of_json_end(line->json);
    of_json_free(line->json);
    if (fclose(line->stream) == 0)
        (void)fwrite(line->text, 1, line->size, stderr);
    free(line->text);
}

void of_journal_say(const char *level, const char *event, const char *message) {
    of_journal_line line;
    if (!of_journal_begin(&line, level, event))
        return;
    of_json_text(line.json, "message", message);
    of_journal_end(&line);
}
