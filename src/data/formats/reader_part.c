/* SPDX-License-Identifier: Apache-2.0 */
/* A part of another source, chosen by the images' paths: the same images however often, in which
 * order and beside which others they are read. */
#include "core/error.h"
#include "core/random.h"
#include "data/formats/reader.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

typedef struct part_reader {
    of_reader reader;
    of_reader *whole;
    double from, to;
    atomic_bool cancelled;
} part_reader;

/* FNV-1a, whose words Philox mixes. */
double of_part_number(const char *path) {
    uint64_t hash = 0xcbf29ce484222325u;
    for (; *path != '\0'; path++)
        hash = (hash ^ (unsigned char)*path) * 0x100000001b3u;
    uint32_t words[4];
    of_philox(hash, 0, 0, words);
    return ((double)words[0] * 0x1p32 + (double)(words[1] & ~0x7ffu)) * 0x1p-64;
}

static of_status next_of_part(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    part_reader *part = (part_reader *)reader;
    for (;;) {
        of_status status = part->whole->next(part->whole, entry, end, error);
        reader->skipped = part->whole->skipped;
        if (status != OF_OK || *end)
            return status;
        double number = of_part_number(of_text(&entry->path));
        /* What is lost with the source's end is missing in every part. */
        if (entry->ends_source || (number >= part->from && number < part->to))
            return OF_OK;
        *end = atomic_load(&part->cancelled);
        if (*end)
            return OF_OK;
    }
}

static void cancel_part(of_reader *reader) {
    part_reader *part = (part_reader *)reader;
    atomic_store(&part->cancelled, true);
    if (part->whole->cancel != NULL)
        part->whole->cancel(part->whole);
}

static void close_part(of_reader *reader) {
    part_reader *part = (part_reader *)reader;
    of_reader_close(part->whole);
    free(part);
}

static bool parse_bound(const char **at, char after, double *value) {
    char *end = NULL;
    bool begins = (**at >= '0' && **at <= '9') || **at == '.';
    *value = begins ? strtod(*at, &end) : 0;
    if (!begins || *end != after || !(*value >= 0 && *value <= 1))
        return false;
    *at = end + 1;
    return true;
}

static of_status parse(const char **text, double *from, double *to, of_error *error) {
    const char *at = *text;
    if (!parse_bound(&at, '-', from) || !parse_bound(&at, ':', to) || *from >= *to || *at == '\0')
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "part:%s: expected part:FROM-TO:SRC with 0 <= FROM < TO <= 1, for example "
                       "part:0-0.1:photos.tar",
                       *text);
    if (strcmp(at, "-") == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "part:%s: no part of a list on standard input; give a shorter list", *text);
    if (strncmp(at, "part:", 5) == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "part:%s: a part of a part", *text);
    *text = at;
    return OF_OK;
}

of_status of_reader_open_part(const char *text, const of_target *target, uint64_t seed,
                              of_reader **reader, of_error *error) {
    double from = 0, to = 0;
    of_status status = parse(&text, &from, &to, error);
    if (status != OF_OK)
        return status;
    part_reader *part = calloc(1, sizeof *part);
    if (part == NULL)
        return of_fail_memory(error, "a part of a source");
    status = of_reader_open(text, target, seed, &part->whole, error);
    if (status != OF_OK) {
        free(part);
        return status;
    }
    /* How many images there will be is not known before they were named. */
    part->reader = (of_reader){.next = next_of_part, .cancel = cancel_part, .close = close_part};
    part->from = from;
    part->to = to;
    atomic_init(&part->cancelled, false);
    *reader = &part->reader;
    return OF_OK;
}

/* A whole source is the part from 0 to 1 of itself. */
static const char *whole_of(const char *source, double *from, double *to) {
    const char *text = source + strlen("part:");
    *from = 0;
    *to = 1;
    return strncmp(source, "part:", strlen("part:")) == 0 && parse(&text, from, to, NULL) == OF_OK
               ? text
               : source;
}

bool of_sources_overlap(const char *a, const char *b) {
    double from[2], to[2];
    const char *first = whole_of(a, &from[0], &to[0]), *second = whole_of(b, &from[1], &to[1]);
    return strcmp(first, second) == 0 && from[0] < to[1] && from[1] < to[0];
}
