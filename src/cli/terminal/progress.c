/* SPDX-License-Identifier: Apache-2.0 */
#define _DEFAULT_SOURCE
#include "cli/terminal/progress.h"

#include <inttypes.h>
#include <outflow/outflow.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { BAR_CELLS = 24, LINE_SIZE = 512, DEFAULT_COLUMNS = 80 };

void of_progress_start(of_progress *progress, FILE *stream, const char *label, const char *unit,
                       uint64_t total) {
    bool terminal = stream != NULL && isatty(fileno(stream));
    double now = of_seconds();
    *progress = (of_progress){
        .stream = stream,
        .terminal = terminal,
        .interval = terminal ? 0.1 : 10,
        .start = now,
        .due = now + (terminal ? 0.3 : 10), /* a short run shows nothing */
        .total = total,
    };
    (void)snprintf(progress->label, sizeof progress->label, "%s", label);
    (void)snprintf(progress->unit, sizeof progress->unit, "%s", unit);
}

void of_progress_end_in(of_progress *progress, double seconds) {
    progress->end = of_seconds() + (seconds > 0 ? seconds : 0);
}

/* A line under construction; what does not fit is dropped. */
typedef struct text_line {
    char text[LINE_SIZE];
    size_t length;
} text_line;

__attribute__((format(printf, 2, 3))) static void append(text_line *line, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    int written = vsnprintf(line->text + line->length, LINE_SIZE - line->length, format, arguments);
    va_end(arguments);
    if (written > 0)
        line->length += (size_t)written;
    if (line->length >= LINE_SIZE)
        line->length = LINE_SIZE - 1;
}

static void append_bar(text_line *line, double share) {
    int filled = (int)(share * BAR_CELLS + 0.5);
    append(line, " [");
    for (int cell = 0; cell < BAR_CELLS; cell++)
        append(line, "%c", cell < filled ? '#' : '.');
    append(line, "]");
}

static void append_duration(text_line *line, double seconds) {
    uint64_t s = seconds < 1e9 ? (uint64_t)seconds : 1000000000u;
    if (s >= 3600)
        append(line, "%" PRIu64 ":%02u:%02u", s / 3600, (unsigned)(s / 60 % 60),
               (unsigned)(s % 60));
    else
        append(line, "%u:%02u", (unsigned)(s / 60), (unsigned)(s % 60));
}

/* Seconds until the end that comes first; below 0: none is known. */
static double time_left(const of_progress *progress, double now, double rate) {
    double by_count = -1, by_clock = -1;
    if (progress->total > progress->done && rate > 0)
        by_count = (double)(progress->total - progress->done) / rate;
    if (progress->end > 0)
        by_clock = progress->end > now ? progress->end - now : 0;
    if (by_count < 0 || (by_clock >= 0 && by_clock < by_count))
        return by_clock;
    return by_count;
}

/* How much of the run is done, by what ends it first; below 0: no end is known. */
static double share_done(const of_progress *progress, double now) {
    double by_count = -1, by_clock = -1, length = progress->end - progress->start;
    if (progress->total > 0)
        by_count = (double)progress->done / (double)progress->total;
    if (progress->end > 0)
        by_clock = length > 0 ? (now - progress->start) / length : 1;
    double share = by_clock > by_count ? by_clock : by_count;
    return share < 1 ? share : 1;
}

/* "label [#####.....] 1200/2000 images, 123.4 images/s, 0:06 left, note" */
static void describe(const of_progress *progress, double now, const char *note, text_line *line) {
    double elapsed = now - progress->start;
    double rate = elapsed > 0 ? (double)progress->done / elapsed : 0;
    uint64_t done = progress->done, total = progress->total;
    double share = share_done(progress, now), left = time_left(progress, now, rate);
    append(line, "%s", progress->label);
    if (share >= 0 && progress->terminal)
        append_bar(line, share);
    append(line, " %" PRIu64, done);
    if (total > 0)
        append(line, "/%" PRIu64, total);
    append(line, " %s, %.1f %s/s", progress->unit, rate, progress->unit);
    if (left >= 0) {
        append(line, ", ");
        append_duration(line, left);
        append(line, " left");
    }
    if (note != NULL && *note != '\0')
        append(line, ", %s", note);
}

static size_t terminal_columns(FILE *stream) {
    struct winsize size;
    if (ioctl(fileno(stream), TIOCGWINSZ, &size) == 0 && size.ws_col > 0)
        return size.ws_col;
    return DEFAULT_COLUMNS;
}

/* One write per update, the old line overwritten before its rest is cleared: no flicker. The last
 * column stays free, because writing there moves some terminals to the next line. */
static void draw(of_progress *progress, text_line *line) {
    size_t columns = terminal_columns(progress->stream);
    if (line->length >= columns)
        line->length = columns - 1;
    (void)fprintf(progress->stream, "\r%.*s\033[K", (int)line->length, line->text);
    (void)fflush(progress->stream);
    progress->visible = true;
}

void of_progress_update(of_progress *progress, uint64_t done, const char *note) {
    progress->done = done;
    if (progress->stream == NULL)
        return;
    double now = of_seconds();
    if (now < progress->due)
        return;
    text_line line = {.length = 0};
    progress->due = now + progress->interval;
    describe(progress, now, note, &line);
    if (progress->terminal) {
        draw(progress, &line);
    } else {
        (void)fprintf(progress->stream, "outflow: %s\n", line.text);
        (void)fflush(progress->stream);
    }
}

void of_progress_hide(of_progress *progress) {
    if (progress->stream == NULL || !progress->visible)
        return;
    (void)fputs("\r\033[K", progress->stream);
    (void)fflush(progress->stream);
    progress->visible = false;
}

void of_progress_finish(of_progress *progress) {
    of_progress_hide(progress);
    progress->stream = NULL;
}
