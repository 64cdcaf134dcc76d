/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Readers: one per kind of source. A reader hands out entries one after the other, undecoded, and
 * is used by one thread; of_entry_decode turns an entry into pixels on any thread.
 */
#ifndef OF_DATA_FORMATS_READER_H
#define OF_DATA_FORMATS_READER_H

#include "data/bytes.h"
#include "data/pixels/convert.h"
#include "data/probe.h"
#include "data/synthetic/synthetic.h"

typedef enum of_content {
    OF_CONTENT_FILE,      /* `bytes` is an encoded image file */
    OF_CONTENT_PIXELS,    /* `bytes` are pixels of the shape of `raster` */
    OF_CONTENT_SYNTHETIC, /* image `index` of `synthetic` */
    OF_CONTENT_UNREADABLE /* `reason` says why */
} of_content;

/* One image before it is decoded. Storage is reused from entry to entry. */
typedef struct of_entry {
    of_bytes path, label;
    int32_t class_index; /* of a record's stored label, else -1 */
    of_content content;
    of_bytes bytes;
    of_raster raster;   /* shape only: its pixels are those in `bytes` */
    of_image_info info; /* of pixels that were decoded already, if `described` */
    bool described;
    of_synthetic synthetic;
    uint64_t index;
    of_tile tile; /* all zero for a whole image */
    of_error reason;
    bool ends_source; /* unreadable, and with it all that would have followed */
} of_entry;

void of_entry_free(of_entry *entry);

/* Names the next image and forgets what the entry held; "" as label means none. */
of_status of_entry_begin(of_entry *entry, const char *path, const char *label, of_error *error);

/* About the memory that of_entry_decode takes for this entry while it runs, 0 if it is little. */
size_t of_entry_decoding_bytes(const of_entry *entry, const of_target *target);

/* Writes the entry as one target image; on success *info says what it was before. Its failures
 * concern this image alone. */
of_status of_entry_decode(const of_entry *entry, const of_target *target, uint8_t *pixels,
                          of_image_info *info, of_error *error);

typedef struct of_reader of_reader;

/* A part of a source. Every image has a number in [0, 1) that its path in the source decides; the
 * part has those in [from, to). */
typedef struct of_part_range {
    double from, to;    /* 0 <= from < to <= 1 */
    const char *source; /* any but standard input or another part; inside the text that was read */
} of_part_range;

struct of_reader {
    /* Fills the next entry, or sets *end. A failure ends the source. */
    of_status (*next)(of_reader *reader, of_entry *entry, bool *end, of_error *error);
    /* Makes a `next` that waits for outside data return soon, as at the end; called from
     * another thread. NULL where `next` never waits. */
    void (*cancel)(of_reader *reader);
    void (*close)(of_reader *reader);
    uint64_t expected; /* number of images if known, else 0 */
    uint64_t skipped;  /* files that are no images by their names, so far */
    /* Only entries of this part are wanted; NULL: all. Which of the others are left out, before
     * anything of them is read, is the reader's choice. */
    const of_part_range *wanted;
};

/* Accepts NULL. */
void of_reader_close(of_reader *reader);

/* Opens any SRC of the command line, by what it is and then by what it holds. */
of_status of_reader_open(const char *spec, const of_target *target, uint64_t seed,
                         of_reader **reader, of_error *error);

/* ---- The kinds. Each checks sizes against the target's limits. ------------------------------ */

/* Image files below a folder, sorted by the bytes of their paths; else CIFAR files in it. */
of_status of_reader_open_folder(const char *path, const of_target *target, of_reader **reader,
                                of_error *error);

/* One image file. */
of_status of_reader_open_file(const char *path, const of_target *target, of_reader **reader,
                              of_error *error);

/* Paths of image files, one a line. The descriptor stays the caller's. */
of_status of_reader_open_list(int descriptor, const of_target *target, of_reader **reader,
                              of_error *error);

/* The images that a text file lists: "FILE" or "FILE:ROOT". */
of_status of_reader_open_imglist(const char *spec, const of_target *target, of_reader **reader,
                                 of_error *error);

/* tar or zip, compressed or not. */
of_status of_reader_open_archive(const char *path, const of_target *target, of_reader **reader,
                                 of_error *error);
of_status of_reader_open_archive_memory(const void *bytes, size_t size, const of_target *target,
                                        of_reader **reader, of_error *error);

/* CIFAR-10 or CIFAR-100 binary files, one after the other; all of one kind. */
of_status of_reader_open_cifar(const char *const *paths, size_t count, const of_target *target,
                               of_reader **reader, of_error *error);

/* IDX images, gzip or not, with labels from the file beside it if there is one. */
of_status of_reader_open_idx(const char *path, const of_target *target, of_reader **reader,
                             of_error *error);
of_status of_reader_open_idx_memory(const void *bytes, size_t size, const of_target *target,
                                    of_reader **reader, of_error *error);

/* A NumPy array of bytes: N x H x W x C, N x C x H x W or N x H x W. */
of_status of_reader_open_npy(const char *path, const of_target *target, of_reader **reader,
                             of_error *error);
of_status of_reader_open_npy_memory(const void *bytes, size_t size, const of_target *target,
                                    of_reader **reader, of_error *error);

/* A MATLAB 5 file with X and y, as those of SVHN. */
of_status of_reader_open_mat(const char *path, const of_target *target, of_reader **reader,
                             of_error *error);
of_status of_reader_open_mat_memory(const void *bytes, size_t size, const of_target *target,
                                    of_reader **reader, of_error *error);

/* Reads "FROM-TO:SRC", which follows "part:". */
of_status of_part_parse(const char *text, of_part_range *part, of_error *error);
/* The part of what `whole` reads, which it owns from here on, also on failure. */
of_status of_reader_open_part(of_reader *whole, const of_part_range *part, of_reader **reader,
                              of_error *error);
/* That number. */
double of_part_number(const char *path);
bool of_part_has(const of_part_range *part, const char *path);
/* Whether two sources, by their names, have images in common: the same ones, or parts of the same
 * that overlap. */
bool of_sources_overlap(const char *a, const char *b);

/* Every frame of the files that `whole` reads, which it owns from here on, also on failure. */
of_status of_reader_open_frames(of_reader *whole, const of_target *target, of_reader **reader,
                                of_error *error);
/* Windows of the pictures of a source. */
typedef struct of_tiles_range {
    of_tiling tiling;
    uint64_t limit, every; /* of pictures, as in of_stream_options */
    uint64_t random;       /* this many windows of each picture at random places; 0: the grid */
    uint64_t seed;         /* of the places */
} of_tiles_range;

/* Reads "SIZE[:STRIDE]:SRC", which follows "tiles:". */
of_status of_tiles_parse(const char *text, of_tiles_range *tiles, const char **source,
                         of_error *error);
/* Reads "SIZE[:COUNT]:SRC", which follows "windows:". */
of_status of_windows_parse(const char *text, of_tiles_range *tiles, const char **source,
                           of_error *error);
/* Can this source be cut? Not one of tiles, nor what is made in any size. */
of_status of_tiles_check_source(const char *source, of_error *error);
/* The windows of what `whole` reads, which it owns from here on, also on failure. One picture at a
 * time is in memory, in its own size; the target's size is that of the windows' form. */
of_status of_reader_open_tiles(of_reader *whole, const of_tiles_range *tiles,
                               const of_target *target, of_reader **reader, of_error *error);

/* "NAME" or "NAME:COUNT". */
of_status of_reader_open_synthetic(const char *name, uint64_t seed, of_reader **reader,
                                   of_error *error);

/* ---- Shared by the kinds ------------------------------------------------------------------- */

/* Reads a whole file into the entry. A failure that concerns this file alone makes the entry
 * unreadable; what is returned is OF_OK or lack of memory. */
of_status of_entry_read_file(of_entry *entry, const char *path, const of_target *target,
                             of_error *error);

/* Calls of_entry_begin with the first folder of the path as label. */
of_status of_entry_begin_in_folder(of_entry *entry, const char *path, of_error *error);

#endif
