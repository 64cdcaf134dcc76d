/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of another source's pictures, each an image of its own. */
#include "core/error.h"
#include "core/hash.h"
#include "core/memory.h"
#include "core/random.h"
#include "data/formats/reader.h"
#include "data/pixels/image.h"
#include "data/pixels/tiles.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum {
    PLACE_SIZE = 32, /* "@65535,65535" */
    DEFAULT_RANDOM = 16,
    MOST_RANDOM = 1000000
};

typedef struct tiles_reader {
    of_reader reader;
    of_reader *whole;
    of_tiles_range tiles;
    of_target target;      /* of a window */
    of_entry picture;      /* the one that is being cut */
    of_bytes pixels, name; /* of it, [height][width][channels]; and room for a window's path */
    of_image_info info;    /* how it was read */
    of_tile_grid grid;
    uint64_t next, count; /* window */
    of_random places;     /* of the windows, where they lie at random */
    uint64_t seen, taken; /* pictures of the source, and those that were cut */
    atomic_bool cancelled;
} tiles_reader;

/* ---- A picture --------------------------------------------------------------------------------
 */

static of_status shape_of(const of_entry *picture, const of_target *target, of_image_shape *shape,
                          of_error *error) {
    if (picture->content == OF_CONTENT_FILE)
        return of_image_shape_of(picture->bytes.data, picture->bytes.size, target, shape, error);
    if (picture->content == OF_CONTENT_UNREADABLE)
        return of_error_copy(error, &picture->reason);
    *shape =
        (of_image_shape){picture->raster.channels, picture->raster.height, picture->raster.width};
    return of_check_size(shape->height, shape->width, target, error);
}

/* Places depend on the seed and the picture's path alone: not on what else the source holds. */
static void scatter(tiles_reader *tiles) {
    const char *path = of_text(&tiles->picture.path);
    uint64_t stream = OF_HASH_START;
    for (const char *at = path; *at != '\0'; at++) {
        uint32_t word = (uint8_t)*at;
        stream = of_hash(stream, &word, sizeof word);
    }
    tiles->places = of_random_stream(tiles->tiles.seed, stream);
    tiles->count = tiles->tiles.random;
}

static of_tile place_window(tiles_reader *tiles) {
    uint64_t number = tiles->next++;
    if (tiles->tiles.random == 0)
        return of_tile_grid_at(&tiles->grid, tiles->taken - 1, number);
    const of_tile_grid *grid = &tiles->grid;
    of_tile tile = of_tile_grid_at(grid, tiles->taken - 1, 0);
    tile.x = of_random_below(&tiles->places, grid->picture_width - grid->width + 1);
    tile.y = of_random_below(&tiles->places, grid->picture_height - grid->height + 1);
    tile.down = 1;
    tile.across = (uint32_t)tiles->count;
    tile.number = number;
    return tile;
}

/* Decodes it in its own size. */
static of_status decode_picture(tiles_reader *tiles, of_error *error) {
    of_target whole = tiles->target;
    of_image_shape shape = {0};
    of_status status = shape_of(&tiles->picture, &tiles->target, &shape, error);
    if (status != OF_OK)
        return status;
    whole.height = shape.height;
    whole.width = shape.width;
    if (!of_bytes_reserve(&tiles->pixels, of_target_bytes(&whole)))
        return of_fail_memory(error, "a picture");
    status = of_entry_decode(&tiles->picture, &whole, tiles->pixels.data, &tiles->info, error);
    if (status != OF_OK)
        return status;
    tiles->grid = of_tile_grid_of(&tiles->tiles.tiling, tiles->target.height, tiles->target.width,
                                  shape.height, shape.width);
    tiles->next = 0;
    tiles->count = of_tile_grid_count(&tiles->grid);
    if (tiles->tiles.random > 0)
        scatter(tiles);
    return OF_OK;
}

/* Hands out a picture that cannot be read under its own name. */
static of_status pass_failure(const tiles_reader *tiles, const of_error *reason, of_entry *entry,
                              of_error *error) {
    of_status status =
        of_entry_begin(entry, of_text(&tiles->picture.path), of_text(&tiles->picture.label), error);
    entry->content = OF_CONTENT_UNREADABLE;
    entry->reason = *reason;
    entry->ends_source = tiles->picture.ends_source;
    return status;
}

/* ---- A window ---------------------------------------------------------------------------------
 */

static bool name_window(tiles_reader *tiles, const of_tile *tile) {
    const char *path = of_text(&tiles->picture.path);
    size_t length = strlen(path);
    if (!of_bytes_reserve(&tiles->name, length + PLACE_SIZE))
        return false;
    memcpy(tiles->name.data, path, length);
    (void)snprintf((char *)tiles->name.data + length, PLACE_SIZE, "@%" PRIu32 ",%" PRIu32, tile->x,
                   tile->y);
    return true;
}

static void copy_window(const tiles_reader *tiles, const of_tile *tile, uint8_t *to) {
    size_t channels = tiles->target.channels, row = tile->width * channels;
    const uint8_t *from =
        tiles->pixels.data + ((size_t)tile->y * tile->picture_width + tile->x) * channels;
    for (uint32_t y = 0; y < tile->height; y++)
        memcpy(to + y * row, from + (size_t)y * tile->picture_width * channels, row);
}

/* Its size is its own, the rest is the picture's. */
static of_image_info describe_window(const tiles_reader *tiles, const of_tile *tile) {
    const of_image_info sizes =
        of_describe_image("", tiles->target.channels, tile->height, tile->width, &tiles->target);
    of_image_info info = tiles->info;
    info.height = tile->height;
    info.width = tile->width;
    info.resized = sizes.resized;
    info.enlarged = sizes.enlarged;
    info.reshaped = sizes.reshaped;
    return info;
}

static of_status next_window(tiles_reader *tiles, of_entry *entry, of_error *error) {
    const of_tile tile = place_window(tiles);
    size_t bytes = (size_t)tile.height * tile.width * tiles->target.channels;
    if (!name_window(tiles, &tile))
        return of_fail_memory(error, "a tile's name");
    of_status status = of_entry_begin(entry, (const char *)tiles->name.data,
                                      of_text(&tiles->picture.label), error);
    if (status != OF_OK)
        return status;
    if (!of_bytes_reserve(&entry->bytes, bytes))
        return of_fail_memory(error, "a tile");
    copy_window(tiles, &tile, entry->bytes.data);
    entry->bytes.size = bytes;
    entry->content = OF_CONTENT_PIXELS;
    entry->raster = (of_raster){NULL, tile.height, tile.width, tiles->target.channels, false};
    entry->class_index = tiles->picture.class_index;
    entry->tile = tile;
    entry->info = describe_window(tiles, &tile);
    entry->described = true;
    return OF_OK;
}

/* ---- The reader -------------------------------------------------------------------------------
 */

/* The next picture that is wanted; *end where there is none. */
static of_status next_picture(tiles_reader *tiles, bool *end, of_error *error) {
    of_status status;
    do {
        *end = (tiles->tiles.limit > 0 && tiles->seen == tiles->tiles.limit) ||
               atomic_load(&tiles->cancelled);
        if (*end)
            return OF_OK;
        status = tiles->whole->next(tiles->whole, &tiles->picture, end, error);
        tiles->reader.skipped = tiles->whole->skipped;
    } while (status == OF_OK && !*end && tiles->seen++ % tiles->tiles.every != 0);
    return status;
}

static of_status next_of_tiles(of_reader *reader, of_entry *entry, bool *end, of_error *error) {
    tiles_reader *tiles = (tiles_reader *)reader;
    of_error reason;
    if (tiles->next < tiles->count)
        return next_window(tiles, entry, error);
    of_status status = next_picture(tiles, end, error);
    if (status != OF_OK || *end)
        return status;
    tiles->next = tiles->count = 0;
    status = decode_picture(tiles, &reason);
    if (status == OF_ERROR_MEMORY)
        return of_error_copy(error, &reason);
    if (status != OF_OK)
        return pass_failure(tiles, &reason, entry, error);
    tiles->taken++;
    return next_window(tiles, entry, error);
}

static void cancel_tiles(of_reader *reader) {
    tiles_reader *tiles = (tiles_reader *)reader;
    atomic_store(&tiles->cancelled, true);
    if (tiles->whole->cancel != NULL)
        tiles->whole->cancel(tiles->whole);
}

static void close_tiles(of_reader *reader) {
    tiles_reader *tiles = (tiles_reader *)reader;
    of_reader_close(tiles->whole);
    of_entry_free(&tiles->picture);
    of_bytes_free(&tiles->pixels);
    of_bytes_free(&tiles->name);
    free(tiles);
}

of_status of_reader_open_tiles(of_reader *whole, const of_tiles_range *tiles,
                               const of_target *target, of_reader **reader, of_error *error) {
    tiles_reader *made = calloc(1, sizeof *made);
    if (made == NULL) {
        of_reader_close(whole);
        return of_fail_memory(error, "tiles of a source");
    }
    /* How many there will be is not known before the pictures are. */
    made->reader = (of_reader){.next = next_of_tiles, .cancel = cancel_tiles, .close = close_tiles};
    made->whole = whole;
    made->tiles = *tiles;
    made->target = *target;
    made->tiles.every = tiles->every > 0 ? tiles->every : 1;
    atomic_init(&made->cancelled, false);
    *reader = &made->reader;
    return OF_OK;
}

/* ---- Its name ---------------------------------------------------------------------------------
 */

of_status of_tiles_check_source(const char *source, of_error *error) {
    const char *inner = source;
    of_part_range part;
    if (strncmp(source, "part:", 5) == 0 && of_part_parse(source + 5, &part, NULL) == OF_OK)
        inner = part.source;
    if (strncmp(inner, "tiles:", 6) == 0 || strncmp(inner, "windows:", 8) == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "%.400s: tiles of tiles", source);
    if (strncmp(inner, "synthetic:", 10) == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "%.400s: synthetic images have the model's size: there is nothing to cut",
                       source);
    return OF_OK;
}

of_status of_tiles_parse(const char *text, of_tiles_range *tiles, const char **source,
                         of_error *error) {
    of_error reason;
    *tiles = (of_tiles_range){.every = 1};
    of_status status = of_tiling_parse(text, &tiles->tiling, source, &reason);
    if (status == OF_OK && **source == '\0')
        status = of_fail(&reason, OF_ERROR_ARGUMENT, "no source follows");
    if (status != OF_OK)
        return of_fail(error, status,
                       "tiles:%.200s: %.300s; expected tiles:SIZE[:STRIDE]:SRC, for example "
                       "tiles:32:16:photos",
                       text, reason.message);
    return of_tiles_check_source(*source, error);
}

/* Digits and a colon; 0 if that is not what `text` begins with. */
static uint64_t read_count(const char *text, const char **rest) {
    uint64_t value = 0;
    const char *at = text;
    for (; *at >= '0' && *at <= '9'; at++)
        value = value <= MOST_RANDOM ? value * 10 + (uint64_t)(*at - '0') : value;
    if (at == text || *at != ':')
        return 0;
    *rest = at + 1;
    return value;
}

of_status of_windows_parse(const char *text, of_tiles_range *tiles, const char **source,
                           of_error *error) {
    of_error reason;
    const char *rest = text;
    uint64_t size = read_count(text, &rest);
    bool spelled = rest != text;
    *source = rest;
    uint64_t count = read_count(rest, source);
    *tiles = (of_tiles_range){.every = 1,
                              .random = *source != rest ? count : DEFAULT_RANDOM,
                              .tiling = {(uint32_t)size, size > 0 ? (uint32_t)size : 1}};
    of_status status = of_tiling_check(&tiles->tiling, &reason);
    if (status == OF_OK && (!spelled || **source == '\0'))
        status = of_fail(&reason, OF_ERROR_ARGUMENT, "no source follows");
    if (status == OF_OK && (tiles->random == 0 || tiles->random > MOST_RANDOM))
        status =
            of_fail(&reason, OF_ERROR_ARGUMENT, "1 to %d windows of a picture", (int)MOST_RANDOM);
    if (status != OF_OK)
        return of_fail(error, status,
                       "windows:%.200s: %.300s; expected windows:SIZE[:COUNT]:SRC, for example "
                       "windows:32:100:photos",
                       text, reason.message);
    return of_tiles_check_source(*source, error);
}
