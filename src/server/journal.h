/* SPDX-License-Identifier: Apache-2.0 */
/* The log: a line of JSON on standard error for each event. Of a request it holds size, time and
 * status, never what it was about. */
#ifndef OF_SERVER_JOURNAL_H
#define OF_SERVER_JOURNAL_H

#include <outflow/output.h>

typedef struct of_journal_line {
    FILE *stream;
    char *text;
    size_t size;
    of_json *json; /* where the event's fields go; NULL without memory */
} of_journal_line;

/* Begins a line. False without memory: there is then nothing to end. */
bool of_journal_begin(of_journal_line *line, const char *level, const char *event);

/* Writes the line, as a whole. */
void of_journal_end(of_journal_line *line);

/* A line with a message. */
void of_journal_say(const char *level, const char *event, const char *message);

#endif
