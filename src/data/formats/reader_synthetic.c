/* SPDX-License-Identifier: Apache-2.0 */
/* "NAME" or "NAME:COUNT": images from a generator, rendered by the decoding threads. */
#include "core/error.h"
#include "data/formats/reader.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

enum { DEFAULT_COUNT = 1000, MAX_NAME = 32 };

typedef struct synthetic_reader {
    of_reader reader;
    of_synthetic synthetic;
    uint64_t next;
} synthetic_reader;

static of_status next_image(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    synthetic_reader *synthetic = (synthetic_reader *)reader;
    uint64_t index = synthetic->next;
    *end = index == synthetic->reader.expected;
    if (*end)
        return OF_OK;
    const char *label;
    int32_t class_index = of_synthetic_class(&synthetic->synthetic, index, &label);
    of_status status = of_entry_begin(entry, "", label, error);
    if (status != OF_OK)
        return status;
    if (!of_text_format(&entry->path, "%" PRIu64, index))
        return of_fail_memory(error, "an image's name");
    entry->class_index = class_index;
    entry->content = OF_CONTENT_SYNTHETIC;
    entry->synthetic = synthetic->synthetic;
    entry->index = index;
    synthetic->next++;
    return OF_OK;
}

static void close_synthetic(of_reader *reader) {
    free(reader);
}

static of_status parse_count(const char *text, uint64_t *count, of_error *error) {
    char *end;
    errno = 0;
    *count = strtoull(text, &end, 10);
    if (text[0] < '0' || text[0] > '9' || *end != '\0' || errno != 0 || *count == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "synthetic: '%s' is no number of images; expected synthetic:NAME:COUNT "
                       "with COUNT at least 1",
                       text);
    return OF_OK;
}

of_status of_reader_open_synthetic(const char *name, uint64_t seed, of_reader **reader,
                                   of_error *error) {
    char kind_name[MAX_NAME];
    uint64_t count = DEFAULT_COUNT;
    of_synthetic_kind kind;
    size_t length = strcspn(name, ":");
    if (length >= sizeof kind_name)
        length = sizeof kind_name - 1;
    memcpy(kind_name, name, length);
    kind_name[length] = '\0';
    of_status status = of_synthetic_parse(kind_name, &kind, error);
    if (status == OF_OK && name[length] == ':')
        status = parse_count(name + length + 1, &count, error);
    if (status != OF_OK)
        return status;
    synthetic_reader *synthetic = calloc(1, sizeof *synthetic);
    if (synthetic == NULL)
        return of_fail_memory(error, "an image generator");
    synthetic->reader =
        (of_reader){.next = next_image, .close = close_synthetic, .expected = count};
    synthetic->synthetic = (of_synthetic){kind, seed};
    *reader = &synthetic->reader;
    return OF_OK;
}
