/* SPDX-License-Identifier: Apache-2.0 */
/* From what a file stores to what is seen: orientation, opacity, frames, notes. */
#define _XOPEN_SOURCE 700
#include "data/pixels/convert.h"
#include "data/pixels/exif.h"
#include "data/pixels/orient.h"
#include "source_fixture.h"

#include <outflow/outflow.h>

/* ---- Orientation ---------------------------------------------------------------------------- */

/* Rows 1 2 3 and 4 5 6 as they are to be seen for each orientation. */
static void test_orientations(void **state) {
    (void)state;
    static const struct {
        uint32_t height, width;
        uint8_t seen[6];
    } cases[9] = {[0] = {2, 3, {1, 2, 3, 4, 5, 6}}, [1] = {2, 3, {1, 2, 3, 4, 5, 6}},
                  [2] = {2, 3, {3, 2, 1, 6, 5, 4}}, [3] = {2, 3, {6, 5, 4, 3, 2, 1}},
                  [4] = {2, 3, {4, 5, 6, 1, 2, 3}}, [5] = {3, 2, {1, 4, 2, 5, 3, 6}},
                  [6] = {3, 2, {4, 1, 5, 2, 6, 3}}, [7] = {3, 2, {6, 3, 5, 2, 4, 1}},
                  [8] = {3, 2, {3, 6, 2, 5, 1, 4}}};
    for (uint32_t orientation = 0; orientation < 9; orientation++) {
        of_picture picture = {.pixels = NULL};
        of_decoder_memory_begin(1 << 20, 0);
        assert_int_equal(of_picture_allocate(&picture, 2, 3, 1, NULL), OF_OK);
        memcpy(picture.pixels, (const uint8_t[]){1, 2, 3, 4, 5, 6}, 6);
        assert_int_equal(of_picture_orient(&picture, orientation, NULL), OF_OK);
        assert_int_equal(picture.height, cases[orientation].height);
        assert_int_equal(picture.width, cases[orientation].width);
        assert_memory_equal(picture.pixels, cases[orientation].seen, 6);
        of_decoder_free(picture.pixels);
    }
}

static const uint8_t turned[] = {'M', 'M', 0, 42, 0, 0, 0, 8, 0, 1, 1, 0x12, 0,
                                 3,   0,   0, 0,  1, 0, 6, 0, 0, 0, 0, 0,    0};

static void test_exif(void **state) {
    (void)state;
    static const uint8_t little[] = {'I', 'I', 42, 0, 8, 0, 0, 0, 1, 0, 0x12, 1, 3,
                                     0,   1,   0,  0, 0, 8, 0, 0, 0, 0, 0,    0, 0};
    uint8_t bytes[6 + sizeof turned] = "Exif\0";
    memcpy(bytes + 6, turned, sizeof turned);
    assert_int_equal(of_exif_orientation(turned, sizeof turned), 6);
    assert_int_equal(of_exif_orientation(bytes, sizeof bytes), 6);
    assert_int_equal(of_exif_orientation(little, sizeof little), 8);
    for (size_t size = 0; size < sizeof turned - 4; size++) { /* exactly as many bytes */
        uint8_t *cut = malloc(size > 0 ? size : 1);
        assert_non_null(cut);
        memcpy(cut, turned, size);
        assert_int_equal(of_exif_orientation(cut, size), 1);
        free(cut);
    }
    memcpy(bytes, turned, sizeof turned);
    bytes[19] = 9; /* no such orientation */
    assert_int_equal(of_exif_orientation(bytes, sizeof turned), 1);
    memcpy(bytes, turned, sizeof turned);
    memset(bytes + 4, 0xff, 4); /* a directory beyond the end */
    assert_int_equal(of_exif_orientation(bytes, sizeof turned), 1);
}

/* ---- Opacity -------------------------------------------------------------------------------- */

static void compose(uint32_t channels, const uint8_t *pixel, bool premultiplied, uint8_t grey_level,
                    uint8_t *seen, bool *opaque) {
    of_picture picture = {.pixels = NULL};
    const uint8_t background[3] = {grey_level, grey_level, grey_level};
    of_decoder_memory_begin(1 << 20, 0);
    assert_int_equal(of_picture_allocate(&picture, 1, 1, channels, NULL), OF_OK);
    memcpy(picture.pixels, pixel, channels);
    picture.premultiplied = premultiplied;
    assert_int_equal(of_picture_compose(&picture, background, opaque, NULL), OF_OK);
    assert_int_equal(picture.channels, channels < 3 ? 1 : 3);
    memcpy(seen, picture.pixels, picture.channels);
    of_decoder_free(picture.pixels);
}

static void test_opacity(void **state) {
    (void)state;
    uint8_t seen[3];
    bool opaque;
    compose(4, (const uint8_t[]){10, 20, 30, 255}, false, 255, seen, &opaque);
    assert_memory_equal(seen, ((const uint8_t[]){10, 20, 30}), 3);
    assert_true(opaque);
    compose(4, (const uint8_t[]){10, 20, 30, 0}, false, 200, seen, &opaque);
    assert_memory_equal(seen, ((const uint8_t[]){200, 200, 200}), 3);
    assert_false(opaque);
    compose(2, (const uint8_t[]){100, 51}, false, 0, seen, &opaque); /* a fifth */
    assert_int_equal(seen[0], 20);
    compose(2, (const uint8_t[]){20, 51}, true, 100, seen, &opaque);
    assert_int_equal(seen[0], 100);
    compose(2, (const uint8_t[]){255, 51}, true, 255, seen, &opaque); /* more than there can be */
    assert_int_equal(seen[0], 255);
}

static void test_colours(void **state) {
    (void)state;
    uint32_t colour = 7;
    static const char *const wrong[] = {"", "#", "#12345", "#1234567", "#12345g", "0x1234", "red"};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(of_colour_parse(wrong[i], &colour, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(of_colour_parse(NULL, &colour, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(of_colour_parse("black", &colour, NULL), OF_OK);
    assert_int_not_equal(colour, 0); /* which would be white */
    of_target target = {.background = colour};
    uint8_t rgb[3];
    of_target_background(&target, rgb);
    assert_memory_equal(rgb, ((const uint8_t[]){0, 0, 0}), 3);
    assert_int_equal(of_colour_parse("#0aFF80", &target.background, NULL), OF_OK);
    of_target_background(&target, rgb);
    assert_memory_equal(rgb, ((const uint8_t[]){0x0a, 0xff, 0x80}), 3);
    target.background = 0;
    of_target_background(&target, rgb);
    assert_memory_equal(rgb, ((const uint8_t[]){255, 255, 255}), 3);
}

/* ---- Frames --------------------------------------------------------------------------------- */

static void test_all_frames(void **state) {
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    encoded animation = animated_gif(3, true);
    make_folder(state, "f");
    write_file(state, "f/a.gif", animation.bytes, animation.size);
    write_file(state, "f/b.gif", image_gif, sizeof image_gif);
    options.all_frames = true;
    of_source *source = open_source(path_of(state, "f"), &options);
    of_source_batch batch = next_batch(source, 100);
    assert_int_equal(batch.count, 4);
    assert_string_equal(batch.items[0].path, "a.gif#0");
    assert_string_equal(batch.items[2].path, "a.gif#2");
    assert_string_equal(batch.items[3].path, "b.gif");
    assert_int_equal(batch.items[2].info.frames_dropped, 0);
    assert_true(batch.items[2].info.alpha_dropped);
    assert_false(batch.items[3].info.alpha_dropped);
    of_source_free(source);

    options.all_frames = false;
    source = open_source(path_of(state, "f"), &options);
    batch = next_batch(source, 100);
    assert_int_equal(batch.count, 2);
    assert_int_equal(batch.items[0].info.frames_dropped, 2);
    of_source_free(source);
    assert_int_equal(noted.count, 0);
}

/* ---- Notes ---------------------------------------------------------------------------------- */

static void test_notes(void **state) {
    (void)state;
    char text[OF_NOTES_SIZE];
    of_image_info info = {.channels = 1};
    assert_string_equal(of_image_notes(&info, text), "");
    info.oriented = info.alpha_dropped = info.converted = info.enlarged = true;
    assert_string_equal(of_image_notes(&info, text),
                        "orientation applied; alpha on background; grey to colour; enlarged");
    info = (of_image_info){.channels = 3,
                           .converted = true,
                           .alpha_dropped = true,
                           .depth_reduced = true,
                           .frames_dropped = 2,
                           .reshaped = true,
                           .oriented = true,
                           .enlarged = true,
                           .cmyk = true,
                           .dim = true};
    assert_true(strlen(of_image_notes(&info, text)) < OF_NOTES_SIZE - 1);
    assert_non_null(strstr(text, "much shrunk or squeezed"));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_orientations),
        cmocka_unit_test(test_exif),
        cmocka_unit_test(test_opacity),
        cmocka_unit_test(test_colours),
        cmocka_unit_test_setup_teardown(test_all_frames, make_directory, remove_directory),
        cmocka_unit_test(test_notes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
