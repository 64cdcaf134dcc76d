/* SPDX-License-Identifier: Apache-2.0 */
/* Image files in tar and zip archives, read in one pass without unpacking to disk. */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "data/formats/archive_input.h"
#include "data/formats/reader.h"
#include "data/pixels/image.h"

#include <archive.h>
#include <archive_entry.h>
#include <errno.h>
#include <inttypes.h>
#include <locale.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

enum {
    FIRST_RESERVATION = 1 << 20,
    PIECE = 1 << 20 /* unpacked at a time, between two looks at `cancelled` */
};

typedef struct archive_reader {
    of_reader reader;
    of_target target;
    of_archive_input *input;
    struct archive *archive;
    bool started;  /* opening reads, so it is the first `next` that opens */
    locale_t utf8; /* or 0; libarchive converts names to the thread's locale, and fails in "C" */
    uint64_t members, images, unpacked; /* the last in bytes, of members */
    struct archive_entry *member;       /* the last one, NULL before the first */
    bool broken;                        /* nothing more can be read */
    atomic_bool cancelled;
    char name[];
} archive_reader;

static bool is_cancelled(archive_reader *opened) {
    return atomic_load_explicit(&opened->cancelled, memory_order_relaxed);
}

static void cancel_archive(of_reader *reader) {
    archive_reader *opened = (archive_reader *)reader;
    atomic_store(&opened->cancelled, true);
    of_archive_input_cancel(opened->input);
}

static void close_archive(of_reader *reader) {
    archive_reader *opened = (archive_reader *)reader;
    if (opened->archive != NULL)
        (void)archive_read_free(opened->archive);
    of_archive_input_close(opened->input);
    if (opened->utf8 != (locale_t)0)
        freelocale(opened->utf8);
    free(opened);
}

static const char *archive_reason(struct archive *archive) {
    const char *reason = archive_error_string(archive);
    return reason != NULL ? reason : "data that cannot be unpacked";
}

static of_status fail_archive(const archive_reader *opened, of_error *error) {
    return of_fail(error, OF_ERROR_FORMAT, "%s: damaged or not an archive: %s", opened->name,
                   archive_reason(opened->archive));
}

/* Damage behind which nothing can be read. What was given before it keeps its worth: the entry in
 * hand, already named, takes the rest of the archive with it. Before the first image the archive
 * as a whole is an error. */
static of_status break_off(archive_reader *opened, of_entry *entry, of_error *error) {
    if (opened->images == 0 || archive_errno(opened->archive) == ENOMEM)
        return fail_archive(opened, error);
    opened->broken = true;
    entry->content = OF_CONTENT_UNREADABLE;
    entry->ends_source = true;
    (void)of_fail(&entry->reason, OF_ERROR_FORMAT,
                  "damaged archive: %s; nothing after this can be read",
                  archive_reason(opened->archive));
    return OF_OK;
}

/* "./a/b.png" and "/a/b.png" are "a/b.png". */
static const char *relative_name(const char *name) {
    for (;;) {
        if (name[0] == '/')
            name += 1;
        else if (name[0] == '.' && name[1] == '/')
            name += 2;
        else
            return name;
    }
}

/* ".DS_Store", "a/._b.png", "__MACOSX/...": what systems leave behind. */
static bool is_hidden(const char *name) {
    if (strncmp(name, "__MACOSX/", 9) == 0)
        return true;
    for (const char *part = name; part != NULL; part = strchr(part, '/')) {
        part += *part == '/';
        if (part[0] == '.' && part[1] != '/' && strncmp(part, "../", 3) != 0)
            return true;
    }
    return false;
}

/* Name of a member that should be an image, or NULL for what is passed over; *counts if that is a
 * file which somebody may have meant to be an image. */
static const char *image_name(struct archive_entry *member, bool *counts) {
    *counts = false;
    if (archive_entry_filetype(member) == AE_IFDIR)
        return NULL;
    const char *name = archive_entry_pathname(member);
    if (name == NULL)
        name = archive_entry_pathname_utf8(member);
    if (name == NULL)
        return "(name that cannot be read)";
    name = relative_name(name);
    *counts = !is_hidden(name) && !of_has_image_extension(name);
    return of_has_image_extension(name) && !is_hidden(name) ? name : NULL;
}

static of_status unreadable(of_entry *entry, of_status status, const char *reason) {
    entry->content = OF_CONTENT_UNREADABLE;
    (void)of_fail(&entry->reason, status, "%s", reason);
    return OF_OK;
}

static of_status too_large(of_entry *entry, size_t limit) {
    entry->content = OF_CONTENT_UNREADABLE;
    (void)of_fail(&entry->reason, OF_ERROR_UNSUPPORTED, "file is over the limit of %zu bytes",
                  limit);
    return OF_OK;
}

/* What a filter unpacks counts as a whole; what a zip archive holds, as far as it is looked at. */
static of_status check_budget(const archive_reader *opened, of_error *error) {
    la_int64_t filtered = archive_filter_bytes(opened->archive, 0);
    uint64_t stream = filtered > 0 ? (uint64_t)filtered : 0, most = opened->target.max_unpacked;
    uint64_t unpacked = stream > opened->unpacked ? stream : opened->unpacked;
    return most > 0 && unpacked > most
               ? of_fail_setting(error, OF_ERROR_UNSUPPORTED, "max_unpacked",
                                 "%s: unpacks to more than %" PRIu64 " bytes", opened->name, most)
               : OF_OK;
}

/* Reads a member's data. Lengths in the archive are only believed as far as data follows. */
static of_status read_data(archive_reader *opened, of_entry *entry, of_error *error) {
    of_bytes *bytes = &entry->bytes;
    size_t limit = opened->target.max_bytes;
    while (!is_cancelled(opened)) {
        if (bytes->size == bytes->capacity &&
            !of_bytes_reserve(bytes, bytes->size + (bytes->size >> 1) + 4096))
            return of_fail_memory(error, "a file's content");
        size_t room = bytes->capacity - bytes->size;
        la_ssize_t count = archive_read_data(opened->archive, bytes->data + bytes->size,
                                             room < PIECE ? room : PIECE);
        if (count == 0)
            return OF_OK;
        if (count == ARCHIVE_RETRY)
            continue;
        if (count == ARCHIVE_FATAL)
            return break_off(opened, entry, error);
        if (count < 0)
            return unreadable(entry, OF_ERROR_FORMAT, archive_reason(opened->archive));
        bytes->size += (size_t)count;
        opened->unpacked += (uint64_t)count;
        of_status status = check_budget(opened, error);
        if (status != OF_OK)
            return status;
        if (bytes->size > limit)
            return too_large(entry, limit);
    }
    return OF_OK;
}

static of_status read_member(archive_reader *opened, const char *name, of_entry *entry,
                             of_error *error) {
    struct archive_entry *member = opened->member;
    of_status status = of_entry_begin_in_folder(entry, name, error);
    if (status != OF_OK)
        return status;
    if (archive_entry_filetype(member) != AE_IFREG || archive_entry_hardlink(member) != NULL)
        return unreadable(entry, OF_ERROR_UNSUPPORTED,
                          "a link or special file inside an archive; unpack the archive");
    size_t reservation = 4096;
    if (archive_entry_size_is_set(member)) {
        la_int64_t size = archive_entry_size(member);
        if (size > 0 && (uint64_t)size > opened->target.max_bytes)
            return too_large(entry, opened->target.max_bytes);
        /* One byte more than the size, so that the end is seen without growing again. */
        if (size > 0)
            reservation = (size_t)size < FIRST_RESERVATION ? (size_t)size + 1 : FIRST_RESERVATION;
    }
    if (!of_bytes_reserve(&entry->bytes, reservation))
        return of_fail_memory(error, "a file's content");
    return read_data(opened, entry, error);
}

static of_status fail_empty(const archive_reader *opened, of_error *error) {
    return of_fail(error, OF_ERROR_FORMAT,
                   "%s: no images in this archive (%" PRIu64
                   " other entries); looked for files ending in %s",
                   opened->name, opened->members, OF_IMAGE_EXTENSIONS);
}

/*
 * Unpacks what is left of the last member, which is not wanted, where the library would do all of
 * that in one call that cannot be cancelled. Plain data of a known size it leaves to the library,
 * which moves on in the file. Failures show at the next header.
 */
static of_status pass_over(archive_reader *opened, of_error *error) {
    const void *block;
    size_t size;
    la_int64_t offset;
    int result = ARCHIVE_OK;
    if (opened->member == NULL || (archive_filter_code(opened->archive, 0) == ARCHIVE_FILTER_NONE &&
                                   archive_entry_size_is_set(opened->member)))
        return OF_OK;
    of_status status = OF_OK;
    while (result == ARCHIVE_OK && status == OF_OK && !is_cancelled(opened)) {
        result = archive_read_data_block(opened->archive, &block, &size, &offset);
        opened->unpacked += result == ARCHIVE_OK ? size : 0;
        status = check_budget(opened, error);
    }
    return status;
}

/* A header that cannot be read has no name to give. */
static of_status lose_rest(archive_reader *opened, of_entry *entry, of_error *error) {
    of_status status = of_entry_begin(entry, "(rest of the archive)", "", error);
    return status == OF_OK ? break_off(opened, entry, error) : status;
}

static of_status start(archive_reader *opened, of_error *error) {
    opened->started = true;
    return of_archive_input_attach(opened->input, opened->archive) < ARCHIVE_WARN
               ? fail_archive(opened, error)
               : OF_OK;
}

static of_status find_image(archive_reader *opened, of_entry *entry, bool *end, of_error *error) {
    of_status status = opened->started || is_cancelled(opened) ? OF_OK : start(opened, error);
    if (status != OF_OK && !is_cancelled(opened))
        return status;
    for (;;) {
        status = pass_over(opened, error);
        if (status == OF_OK)
            status = check_budget(opened, error);
        if (status != OF_OK)
            return status;
        *end = opened->broken || is_cancelled(opened);
        if (*end)
            return OF_OK;
        int result = archive_read_next_header(opened->archive, &opened->member);
        *end = is_cancelled(opened);
        if (*end)
            return OF_OK;
        *end = result == ARCHIVE_EOF;
        if (*end)
            return opened->images > 0 ? OF_OK : fail_empty(opened, error);
        if (result != ARCHIVE_OK && result != ARCHIVE_WARN)
            return lose_rest(opened, entry, error);
        opened->members++;
        bool counts;
        const char *name = image_name(opened->member, &counts);
        opened->reader.skipped += counts;
        if (name == NULL)
            continue;
        status = read_member(opened, name, entry, error);
        opened->images++;
        return status;
    }
}

static of_status next_member(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    archive_reader *opened = (archive_reader *)reader;
    locale_t previous = uselocale(opened->utf8); /* 0 changes nothing */
    of_status status = find_image(opened, entry, end, error);
    (void)uselocale(previous);
    return status;
}

/* The reader owns the input from here on, also on failure. */
static of_status new_archive(const char *name, const of_target *target, of_archive_input *input,
                             of_reader **reader, of_error *error) {
    size_t length = strlen(name) + 1;
    archive_reader *made = calloc(1, sizeof *made + length);
    if (made == NULL) {
        of_archive_input_close(input);
        return of_fail_memory(error, "an archive reader");
    }
    made->reader =
        (of_reader){.next = next_member, .cancel = cancel_archive, .close = close_archive};
    atomic_init(&made->cancelled, false);
    made->target = *target;
    made->input = input;
    memcpy(made->name, name, length);
    made->utf8 = newlocale(LC_CTYPE_MASK, "C.UTF-8", (locale_t)0);
    made->archive = archive_read_new();
    if (made->archive == NULL) {
        close_archive(&made->reader);
        return of_fail_memory(error, "an archive reader");
    }
    *reader = &made->reader;
    return OF_OK;
}

of_status of_reader_open_archive(const char *path, const of_target *target, of_reader **reader,
                                 of_error *error) {
    of_archive_input *input;
    of_status status = of_archive_input_open(path, &input, error);
    return status == OF_OK ? new_archive(path, target, input, reader, error) : status;
}

of_status of_reader_open_archive_memory(const void *bytes, size_t size, const of_target *target,
                                        of_reader **reader, of_error *error) {
    of_archive_input *input;
    of_status status = of_archive_input_open_memory(bytes, size, &input, error);
    return status == OF_OK ? new_archive("archive", target, input, reader, error) : status;
}
