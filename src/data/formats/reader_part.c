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
    of_part_range range;
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

bool of_part_has(const of_part_range *part, const char *path) {
    double number = of_part_number(path);
    return number >= part->from && number < part->to;
}

static of_status next_of_part(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    part_reader *part = (part_reader *)reader;
    for (;;) {
        of_status status = part->whole->next(part->whole, entry, end, error);
        reader->skipped = part->whole->skipped;
        if (status != OF_OK || *end)
            return status;
        /* What is lost with the source's end is missing in every part. */
        if (entry->ends_source || of_part_has(&part->range, of_text(&entry->path)))
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

of_status of_part_parse(const char *text, of_part_range *part, of_error *error) {
    const char *at = text;
    if (!parse_bound(&at, '-', &part->from) || !parse_bound(&at, ':', &part->to) ||
        part->from >= part->to || *at == '\0')
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "part:%s: expected part:FROM-TO:SRC with 0 <= FROM < TO <= 1, for example "
                       "part:0-0.1:photos.tar",
                       text);
    if (strcmp(at, "-") == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "part:%s: no part of a list on standard input; give a shorter list", text);
    if (strncmp(at, "part:", 5) == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "part:%s: a part of a part", text);
    part->source = at;
    return OF_OK;
}

of_status of_reader_open_part(of_reader *whole, const of_part_range *part, of_reader **reader,
                              of_error *error) {
    part_reader *made = calloc(1, sizeof *made);
    if (made == NULL) {
        of_reader_close(whole);
        return of_fail_memory(error, "a part of a source");
    }
    /* How many images there will be is not known before they were named. */
    made->reader = (of_reader){.next = next_of_part, .cancel = cancel_part, .close = close_part};
    made->whole = whole;
    made->range = *part;
    whole->wanted = &made->range;
    atomic_init(&made->cancelled, false);
    *reader = &made->reader;
    return OF_OK;
}

/* A whole source is the part from 0 to 1 of itself. */
static of_part_range part_of(const char *source) {
    of_part_range part;
    const char *text = source + strlen("part:");
    if (strncmp(source, "part:", strlen("part:")) == 0 && of_part_parse(text, &part, NULL) == OF_OK)
        return part;
    return (of_part_range){0, 1, source};
}

bool of_sources_overlap(const char *a, const char *b) {
    of_part_range first = part_of(a), second = part_of(b);
    return strcmp(first.source, second.source) == 0 && first.from < second.to &&
           second.from < first.to;
}
