/* SPDX-License-Identifier: Apache-2.0 */
/* Every frame of what another reader reads: "path#0", "path#1" and so on of files that hold several
 * pictures. They are decoded here, one after the other, because a frame is drawn over those before
 * it. */
#include "core/error.h"
#include "core/memory.h"
#include "data/formats/reader.h"
#include "data/pixels/frames.h"

#include <stdatomic.h>
#include <string.h>

typedef struct frames_reader {
    of_reader reader;
    of_reader *whole;
    of_target target;
    of_entry file; /* whose frames are given out */
    of_frames *frames;
    uint32_t number;
    atomic_bool cancelled;
} frames_reader;

static void close_frames(of_reader *reader) {
    frames_reader *opened = (frames_reader *)reader;
    of_frames_close(opened->frames);
    of_entry_free(&opened->file);
    of_reader_close(opened->whole);
    of_free(opened);
}

static void cancel_frames(of_reader *reader) {
    frames_reader *opened = (frames_reader *)reader;
    atomic_store(&opened->cancelled, true);
    if (opened->whole->cancel != NULL)
        opened->whole->cancel(opened->whole);
}

static of_status begin_frame(frames_reader *opened, of_entry *entry, of_error *error) {
    of_status status =
        of_entry_begin(entry, of_text(&opened->file.path), of_text(&opened->file.label), error);
    entry->class_index = opened->file.class_index;
    return status == OF_OK && !of_text_format(&entry->path, "%s#%u", of_text(&opened->file.path),
                                              (unsigned)opened->number++)
               ? of_fail_memory(error, "a file name")
               : status;
}

/* The pixels, or why there are none: a frame that cannot be decoded ends its file. */
static of_status fill_frame(frames_reader *opened, of_entry *entry, bool *end, of_error *error) {
    of_raster raster;
    entry->content = OF_CONTENT_PIXELS;
    of_status status = of_frames_next(opened->frames, &raster, &entry->info, end, &entry->reason);
    if (status != OF_OK) {
        entry->content = OF_CONTENT_UNREADABLE;
        *end = true;
        return status == OF_ERROR_MEMORY ? of_error_copy(error, &entry->reason) : OF_OK;
    }
    if (*end)
        return OF_OK;
    size_t bytes = (size_t)raster.height * raster.width * raster.channels;
    if (!of_bytes_reserve(&entry->bytes, bytes))
        return of_fail_memory(error, "a frame");
    memcpy(entry->bytes.data, raster.pixels, bytes);
    entry->bytes.size = bytes;
    entry->raster = raster;
    entry->described = true;
    return OF_OK;
}

/* False if the file has no further frame, and the entry is not filled. */
static of_status next_frame(frames_reader *opened, of_entry *entry, bool *filled, of_error *error) {
    bool end = false;
    of_status status = begin_frame(opened, entry, error);
    if (status == OF_OK)
        status = fill_frame(opened, entry, &end, error);
    *filled = status == OF_OK && (!end || entry->content == OF_CONTENT_UNREADABLE);
    if (end || status != OF_OK) {
        of_frames_close(opened->frames);
        opened->frames = NULL;
    }
    return status;
}

static void swap_entries(of_entry *a, of_entry *b) {
    of_entry kept = *a;
    *a = *b;
    *b = kept;
}

static of_status next_entry(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    frames_reader *opened = (frames_reader *)reader;
    bool filled = false;
    of_status status = OF_OK;
    *end = false;
    while (status == OF_OK && !filled) {
        *end = atomic_load(&opened->cancelled);
        if (*end)
            return OF_OK;
        if (opened->frames != NULL) {
            status = next_frame(opened, entry, &filled, error);
            continue;
        }
        status = opened->whole->next(opened->whole, &opened->file, end, error);
        opened->reader.skipped = opened->whole->skipped;
        if (status != OF_OK || *end)
            return status;
        opened->number = 0;
        of_error reason;
        if (opened->file.content == OF_CONTENT_FILE &&
            of_frames_open(opened->file.bytes.data, opened->file.bytes.size, &opened->target,
                           &opened->frames, &reason) != OF_OK) {
            opened->file.content = OF_CONTENT_UNREADABLE;
            opened->file.reason = reason;
        }
        if (opened->frames == NULL) {
            swap_entries(&opened->file, entry);
            filled = true;
        }
    }
    return status;
}

of_status of_reader_open_frames(of_reader *whole, const of_target *target, of_reader **reader,
                                of_error *error) {
    frames_reader *opened = of_allocate_zeroed(1, sizeof *opened);
    if (opened == NULL) {
        of_reader_close(whole);
        return of_fail_memory(error, "a reader of frames");
    }
    opened->reader =
        (of_reader){.next = next_entry, .cancel = cancel_frames, .close = close_frames};
    opened->whole = whole;
    opened->target = *target;
    atomic_init(&opened->cancelled, false);
    *reader = &opened->reader;
    return OF_OK;
}
