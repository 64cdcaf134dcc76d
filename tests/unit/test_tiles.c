/* SPDX-License-Identifier: Apache-2.0 */
/* Windows of pictures: where they lie, as a source, blended into one map, and pixel metrics. */
#define _XOPEN_SOURCE 700
#include "core/memory.h"
#include "data/pixels/tiles.h"
#include "detect/tile_heat.h"
#include "evaluate/regions.h"
#include "source_fixture.h"

#include <math.h>

/* ---- Where they lie -------------------------------------------------------------------------- */

static of_tiling tiling_of(const char *text) {
    of_tiling tiling;
    assert_int_equal(of_tiling_parse(text, &tiling, NULL, NULL), OF_OK);
    return tiling;
}

static void test_parse(void **state) {
    (void)state;
    static const char *const bad[] = {"",
                                      "0",
                                      "3",
                                      "1:0",
                                      "32:0",
                                      "32:33",
                                      "32:",
                                      ":16",
                                      "32:1:1",
                                      "-32",
                                      "99999999",
                                      "32x32",
                                      "65536",
                                      " 32",
                                      "32 ",
                                      "4294967328",
                                      "18446744073709551648",
                                      "32:-1",
                                      "0x20",
                                      "32:99999999999"};
    of_tiling tiling = tiling_of("32");
    assert_true(tiling.size == 32 && tiling.stride == 16);
    tiling = tiling_of("65535:1");
    assert_true(tiling.size == 65535 && tiling.stride == 1);
    tiling = tiling_of("33");
    assert_true(tiling.size == 33 && tiling.stride == 16);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        of_error error;
        assert_int_equal(of_tiling_parse(bad[i], &tiling, NULL, &error), OF_ERROR_ARGUMENT);
        assert_string_equal(error.setting, "tiles");
    }
}

static void test_parse_rest(void **state) {
    (void)state;
    const char *rest;
    of_tiling tiling;
    assert_int_equal(of_tiling_parse("32:16:photos", &tiling, &rest, NULL), OF_OK);
    assert_true(tiling.stride == 16);
    assert_string_equal(rest, "photos");
    assert_int_equal(of_tiling_parse("32:photos:a", &tiling, &rest, NULL), OF_OK);
    assert_string_equal(rest, "photos:a");
    assert_int_equal(of_tiling_parse("32:2021/photos", &tiling, &rest, NULL), OF_OK);
    assert_string_equal(rest, "2021/photos");
    assert_int_equal(of_tiling_parse("32:2021", &tiling, &rest, NULL), OF_OK);
    assert_string_equal(rest, "2021");
    assert_int_equal(of_tiling_parse("32", &tiling, &rest, NULL), OF_ERROR_ARGUMENT);
}

/* Every pixel is in a window, every window in the picture, none farther from the last one than the
 * step. */
static void check_grid(uint32_t size, uint32_t stride, uint32_t height, uint32_t width) {
    const of_tiling tiling = {size, stride};
    of_tile_grid grid = of_tile_grid_of(&tiling, 32, 32, height, width);
    uint8_t *covered = calloc(height, width);
    assert_non_null(covered);
    uint64_t count = of_tile_grid_count(&grid);
    for (uint64_t n = 0; n < count; n++) {
        of_tile tile = of_tile_grid_at(&grid, 7, n);
        assert_true(tile.number == n && tile.picture == 7);
        assert_true(tile.x + tile.width <= width && tile.y + tile.height <= height);
        assert_true(tile.height >= 1 && tile.width >= 1);
        for (uint32_t y = 0; y < tile.height; y++)
            memset(covered + (size_t)(tile.y + y) * width + tile.x, 1, tile.width);
        if (n % grid.across > 0)
            assert_true(tile.x - of_tile_grid_at(&grid, 7, n - 1).x <= grid.step_x);
    }
    for (size_t i = 0; i < (size_t)height * width; i++)
        assert_true(covered[i] == 1);
    free(covered);
}

static void test_coverage(void **state) {
    (void)state;
    static const uint32_t sides[] = {1, 2, 31, 32, 33, 47, 48, 49, 64, 65, 97, 201};
    static const of_tiling tilings[] = {{32, 16}, {32, 32}, {32, 1}, {33, 7}, {4, 3}, {64, 64}};
    for (size_t t = 0; t < sizeof tilings / sizeof *tilings; t++)
        for (size_t h = 0; h < sizeof sides / sizeof *sides; h++)
            for (size_t w = 0; w < sizeof sides / sizeof *sides; w++)
                check_grid(tilings[t].size, tilings[t].stride, sides[h], sides[w]);
}

static void test_places(void **state) {
    (void)state;
    const of_tiling tiling = {32, 32};
    of_tile_grid grid = of_tile_grid_of(&tiling, 32, 32, 32, 65); /* a remainder of one pixel */
    assert_true(grid.across == 3 && grid.down == 1 && !grid.enlarged);
    assert_true(of_tile_grid_at(&grid, 0, 1).x == 32 && of_tile_grid_at(&grid, 0, 2).x == 33);
    grid = of_tile_grid_of(&tiling, 32, 32, 64, 64);
    assert_true(grid.across == 2 && grid.down == 2);
    assert_true(of_tile_grid_at(&grid, 0, 3).x == 32 && of_tile_grid_at(&grid, 0, 3).y == 32);
    grid = of_tile_grid_of(&tiling, 32, 32, 16, 100); /* as if enlarged twice */
    assert_true(grid.enlarged && grid.height == 16 && grid.width == 16 && grid.step_x == 16);
    assert_true(grid.across == 7 && grid.down == 1);
    grid = of_tile_grid_of(&tiling, 32, 64, 64, 128); /* windows of the images' form */
    assert_true(grid.height == 32 && grid.width == 64 && grid.across == 2 && grid.down == 2);
    grid = of_tile_grid_of(&(of_tiling){4, 1}, 32, 32, 65535, 1024);
    assert_true(of_tile_grid_count(&grid) == (uint64_t)65532 * 1021);
}

/* ---- As a source ----------------------------------------------------------------------------- */

/* Pixel (x, y) is 3 x + 5 y, so that a window tells where it is from. */
static void write_ramp(const char *path, uint32_t height, uint32_t width) {
    uint8_t *pixels = malloc((size_t)height * width), *png;
    size_t size;
    assert_non_null(pixels);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            pixels[y * width + x] = (uint8_t)(3 * x + 5 * y);
    assert_int_equal(of_png_encode(pixels, 1, height, width, &png, &size, NULL), OF_OK);
    FILE *file = fopen(path, "wb");
    assert_non_null(file);
    assert_int_equal(fwrite(png, 1, size, file), size);
    assert_int_equal(fclose(file), 0);
    of_free(png);
    free(pixels);
}

static of_source *open_tiles(const char *spec, uint32_t side, of_error *error) {
    of_source_options options = of_source_options_default(NULL);
    of_source *source = NULL;
    options.channels = 1;
    options.height = options.width = side;
    return of_source_open(spec, &options, &source, error) == OF_OK ? source : NULL;
}

static void test_source(void **state) {
    char spec[600];
    of_source_batch batch;
    of_error error;
    write_ramp(path_of(state, "ramp@1.png"), 9, 13);
    (void)snprintf(spec, sizeof spec, "tiles:8:4:%s", ((fixture *)*state)->directory);
    of_source *source = open_tiles(spec, 8, &error);
    assert_non_null(source);
    assert_int_equal(of_source_next(source, 100, &batch, &error), OF_OK);
    assert_int_equal(batch.count, 2 * 3);
    for (size_t i = 0; i < batch.count; i++) {
        const of_tile *tile = &batch.items[i].tile;
        char path[64];
        (void)snprintf(path, sizeof path, "ramp@1.png@%u,%u", tile->x, tile->y);
        assert_string_equal(batch.items[i].path, path);
        assert_true(tile->x == (i % 3 == 2 ? 5 : 4 * (i % 3)) && tile->y == i / 3);
        assert_true(tile->picture_height == 9 && tile->picture_width == 13 && tile->number == i);
        for (uint32_t p = 0; p < 64; p++)
            assert_int_equal(batch.pixels[i * 64 + p],
                             (uint8_t)(3 * (tile->x + p % 8) + 5 * (tile->y + p / 8)));
    }
    assert_int_equal(of_source_next(source, 100, &batch, &error), OF_OK);
    assert_int_equal(batch.count, 0);
    of_source_free(source);
}

static void test_bad_sources(void **state) {
    (void)state;
    static const char *const specs[] = {"tiles:",
                                        "tiles:32",
                                        "tiles:32:",
                                        "tiles:32:16:",
                                        "tiles:0:photos",
                                        "tiles:1:0:photos",
                                        "tiles:99999999:x",
                                        "tiles:32:33:photos",
                                        "tiles:8:tiles:8:x",
                                        "tiles:8:part:0-0.5:tiles:8:x",
                                        "tiles:8:synthetic:noise"};
    for (size_t i = 0; i < sizeof specs / sizeof *specs; i++) {
        of_error error;
        assert_null(open_tiles(specs[i], 8, &error));
        assert_int_equal(error.status, OF_ERROR_ARGUMENT);
    }
}

/* A part of the pictures, and a part of the tiles. */
static void test_parts(void **state) {
    char spec[600];
    of_source_batch batch;
    of_error error;
    for (int i = 0; i < 8; i++) {
        char name[16];
        (void)snprintf(name, sizeof name, "%d.png", i);
        write_ramp(path_of(state, name), 16, 16);
    }
    size_t counts[2] = {0, 0};
    static const char *const forms[] = {"tiles:8:8:part:0-0.5:%s", "part:0-0.5:tiles:8:8:%s"};
    for (size_t f = 0; f < 2; f++) {
        (void)snprintf(spec, sizeof spec, forms[f], ((fixture *)*state)->directory);
        of_source *source = open_tiles(spec, 8, &error);
        assert_non_null(source);
        assert_int_equal(of_source_next(source, 100, &batch, &error), OF_OK);
        counts[f] = batch.count;
        of_source_free(source);
    }
    assert_true(counts[0] > 0 && counts[0] < 32 && counts[0] % 4 == 0);
    assert_true(counts[1] > 0 && counts[1] < 32);
}

/* A file that is no picture is one failure, and the next picture follows. */
static void note_failure(void *user, const char *path, const char *reason) {
    (void)reason;
    assert_string_equal(path, "a.png");
    ++*(int *)user;
}

static void test_unreadable(void **state) {
    int failures = 0;
    char spec[600];
    of_source_batch batch;
    of_source *source;
    of_source_options options = of_source_options_default(NULL);
    FILE *file = fopen(path_of(state, "a.png"), "wb");
    assert_non_null(file);
    (void)fputs("no picture", file);
    (void)fclose(file);
    write_ramp(path_of(state, "b.png"), 8, 8);
    options.channels = 1;
    options.height = options.width = 8;
    options.on_unreadable = note_failure;
    options.user = &failures;
    (void)snprintf(spec, sizeof spec, "tiles:8:%s", ((fixture *)*state)->directory);
    assert_int_equal(of_source_open(spec, &options, &source, NULL), OF_OK);
    assert_int_equal(of_source_next(source, 10, &batch, NULL), OF_OK);
    assert_true(batch.count == 1 && failures == 1 && of_source_unreadable(source) == 1);
    of_source_free(source);
}

/* ---- One map --------------------------------------------------------------------------------- */

static void open_canvas(uint32_t side, of_heat_canvas *canvas) {
    of_architecture a = of_architecture_default();
    a.channels = 1;
    a.height = a.width = 8;
    of_heat_canvas_open(&a, side, canvas);
}

/* Tiles of one value make a map of that value, whatever their size, step and the map's. */
static void test_flat_heat(void **state) {
    (void)state;
    static const of_tiling tilings[] = {{8, 4}, {8, 8}, {11, 3}, {64, 64}, {4, 1}};
    static const uint32_t sides[] = {5, 16, 100};
    const uint8_t pixels[64] = {0};
    for (size_t t = 0; t < sizeof tilings / sizeof *tilings; t++)
        for (size_t s = 0; s < 3; s++) {
            of_heat_canvas canvas;
            of_tile_grid grid = of_tile_grid_of(&tilings[t], 8, 8, 37, 50);
            of_tile tile = of_tile_grid_at(&grid, 0, 0);
            open_canvas(sides[s], &canvas);
            assert_int_equal(of_heat_canvas_begin(&canvas, &tile, NULL), OF_OK);
            assert_true(canvas.heat.width <= sides[s] && canvas.heat.height <= sides[s]);
            for (uint64_t n = 0; n < of_tile_grid_count(&grid); n++) {
                tile = of_tile_grid_at(&grid, 0, n);
                of_heat_canvas_add(&canvas, &tile, pixels, 2.5);
            }
            of_heat_canvas_finish(&canvas);
            for (size_t i = 0; i < (size_t)canvas.heat.height * canvas.heat.width; i++)
                assert_true(fabsf(canvas.heat.values[i] - 2.5f) < 1e-5f);
            of_heat_canvas_close(&canvas);
        }
}

/* Two windows, one beside the other with half in common: by the tent, the value goes from the
 * first's to the second's in equal steps. */
static void test_blending(void **state) {
    (void)state;
    const uint8_t pixels[64] = {0};
    of_heat_canvas canvas;
    of_tile_grid grid = of_tile_grid_of(&(of_tiling){8, 4}, 8, 8, 8, 12);
    of_tile tiles[2] = {of_tile_grid_at(&grid, 0, 0), of_tile_grid_at(&grid, 0, 1)};
    assert_int_equal(of_tile_grid_count(&grid), 2);
    open_canvas(12, &canvas);
    assert_int_equal(of_heat_canvas_begin(&canvas, &tiles[0], NULL), OF_OK);
    of_heat_canvas_add(&canvas, &tiles[0], pixels, 0);
    of_heat_canvas_add(&canvas, &tiles[1], pixels, 1);
    of_heat_canvas_finish(&canvas);
    const float expected[12] = {0, 0, 0, 0, 0.2f, 0.4f, 0.6f, 0.8f, 1, 1, 1, 1};
    for (size_t y = 0; y < 8; y++)
        for (size_t x = 0; x < 12; x++)
            assert_true(fabsf(canvas.heat.values[y * 12 + x] - expected[x]) < 1e-6f);
    of_heat_canvas_close(&canvas);
}

/* What is not finite shows, and only where its tile is. */
static void test_infinite_heat(void **state) {
    (void)state;
    const uint8_t pixels[64] = {0};
    of_heat_canvas canvas;
    of_tile_grid grid = of_tile_grid_of(&(of_tiling){8, 8}, 8, 8, 8, 16);
    of_tile tiles[2] = {of_tile_grid_at(&grid, 0, 0), of_tile_grid_at(&grid, 0, 1)};
    open_canvas(16, &canvas);
    assert_int_equal(of_heat_canvas_begin(&canvas, &tiles[0], NULL), OF_OK);
    of_heat_canvas_add(&canvas, &tiles[0], pixels, NAN);
    of_heat_canvas_add(&canvas, &tiles[1], pixels, 1);
    of_heat_canvas_finish(&canvas);
    assert_true(isinf(canvas.heat.values[0]) && canvas.heat.values[8] == 1);
    of_heat_canvas_close(&canvas);
}

/* The picture itself, in its own size, out of overlapping tiles; and its mean in one pixel. */
static void test_map_pixels(void **state) {
    (void)state;
    uint8_t tile_pixels[64];
    of_heat_canvas canvas;
    of_tile_grid grid = of_tile_grid_of(&(of_tiling){8, 5}, 8, 8, 13, 21);
    of_tile tile = of_tile_grid_at(&grid, 0, 0);
    open_canvas(21, &canvas);
    assert_int_equal(of_heat_canvas_begin(&canvas, &tile, NULL), OF_OK);
    for (uint64_t n = 0; n < of_tile_grid_count(&grid); n++) {
        tile = of_tile_grid_at(&grid, 0, n);
        for (uint32_t p = 0; p < 64; p++)
            tile_pixels[p] = (uint8_t)(3 * (tile.x + p % 8) + 5 * (tile.y + p / 8));
        of_heat_canvas_add(&canvas, &tile, tile_pixels, 0);
    }
    of_heat_canvas_finish(&canvas);
    for (uint32_t i = 0; i < 13 * 21; i++)
        assert_int_equal(canvas.heat.pixels[i], (uint8_t)(3 * (i % 21) + 5 * (i / 21)));
    of_heat_canvas_close(&canvas);
}

/* ---- Masks ----------------------------------------------------------------------------------- */

static void test_regions(void **state) {
    (void)state;
    /* two parts that touch at a corner are one */
    const uint8_t mask[20] = {9, 9, 0, 0, 0, /**/ 0, 0, 9, 0, 0, /**/ 0, 0, 0, 0, 9, /**/
                              9, 0, 8, 0, 9};
    const uint32_t expected[20] = {4, 4, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 5, 6, 0, 0, 0, 5};
    uint32_t regions[20], last;
    assert_int_equal(of_regions_find(mask, 4, 5, 9, 3, regions, &last, NULL), OF_OK);
    assert_int_equal(last, 6);
    assert_memory_equal(regions, expected, sizeof expected);
}

static void test_pixel_metrics(void **state) {
    (void)state;
    of_pixel_metrics m;
    of_error error;
    /* perfect */
    const float good[] = {9, 8, 1, 2, 3, 0};
    const uint32_t regions[] = {1, 2, 0, 0, 0, 0};
    assert_int_equal(of_pixel_metrics_compute(good, regions, 6, 0.3, &m, &error), OF_OK);
    assert_true(fabs(m.auroc - 1) < 1e-12 && fabs(m.aupro - 1) < 1e-12 && m.regions == 2);
    /* all equal: half, and the diagonal up to the limit */
    const float flat[] = {1, 1, 1, 1, 1, 1};
    assert_int_equal(of_pixel_metrics_compute(flat, regions, 6, 0.3, &m, &error), OF_OK);
    assert_true(fabs(m.auroc - 0.5) < 1e-12 && fabs(m.aupro - 0.15) < 1e-12);
    /* Regions of 1 and 3 pixels; by heat: region 1, normal, region 2 (twice), normal, region 2 and
     * two normal ones. Points (fpr, pro): (0, 1/2), (1/4, 1/2), (1/4, 5/6), (1/2, 5/6), ... */
    const float mixed[] = {9, 8, 7, 6, 5, 4, 3, 2};
    const uint32_t parts[] = {1, 0, 2, 2, 0, 2, 0, 0};
    assert_int_equal(of_pixel_metrics_compute(mixed, parts, 8, 0.5, &m, &error), OF_OK);
    assert_true(fabs(m.aupro - (0.25 * 0.5 + 0.25 * 5 / 6) / 0.5) < 1e-12);
    assert_true(fabs(m.auroc - (0.25 * 0.25 + 0.25 * 0.75 + 0.5)) < 1e-12);
    assert_int_equal(of_pixel_metrics_compute(mixed, parts, 8, 0.3, &m, &error), OF_OK);
    assert_true(fabs(m.aupro - (0.25 * 0.5 + 0.05 * 5 / 6) / 0.3) < 1e-12);
    const uint32_t none[6] = {0}, only[6] = {1, 1, 1, 1, 1, 1};
    assert_int_equal(of_pixel_metrics_compute(good, none, 6, 0.3, &m, &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_pixel_metrics_compute(good, only, 6, 0.3, &m, &error), OF_ERROR_ARGUMENT);
    assert_int_equal(of_pixel_metrics_compute(good, regions, 6, 0, &m, &error), OF_ERROR_ARGUMENT);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_parse),
        cmocka_unit_test(test_parse_rest),
        cmocka_unit_test(test_coverage),
        cmocka_unit_test(test_places),
        cmocka_unit_test_setup_teardown(test_source, make_directory, remove_directory),
        cmocka_unit_test(test_bad_sources),
        cmocka_unit_test_setup_teardown(test_parts, make_directory, remove_directory),
        cmocka_unit_test_setup_teardown(test_unreadable, make_directory, remove_directory),
        cmocka_unit_test(test_flat_heat),
        cmocka_unit_test(test_blending),
        cmocka_unit_test(test_infinite_heat),
        cmocka_unit_test(test_map_pixels),
        cmocka_unit_test(test_regions),
        cmocka_unit_test(test_pixel_metrics),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
