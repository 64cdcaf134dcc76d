/* SPDX-License-Identifier: Apache-2.0 */
/* Images in memory: the pixels of sources, what is said of them, and limits. */
#define _XOPEN_SOURCE 700
#include "source_fixture.h"

static of_image_options options_of(uint32_t channels, uint32_t height, uint32_t width) {
    of_image_options options = of_image_options_default(NULL);
    options.channels = channels;
    options.height = height;
    options.width = width;
    return options;
}

static of_image_info read_image(encoded file, const char *name, const of_image_options *options,
                                uint8_t *pixels) {
    of_image_info info = {0};
    of_error error = {.status = OF_OK};
    of_status status = of_image_read(file.bytes, file.size, name, options, pixels, &info, &error);
    if (status != OF_OK)
        print_error("%s\n", error.message);
    assert_int_equal(status, OF_OK);
    return info;
}

static void assert_refused(encoded file, const of_image_options *options, of_status expected,
                           const char *setting, const char *text) {
    static uint8_t pixels[64 * 64 * 3];
    of_image_info info = {.height = 77};
    of_error error = {.status = OF_OK};
    of_status status =
        of_image_read(file.bytes, file.size, "posted", options, pixels, &info, &error);
    if (status != expected || strstr(error.message, text) == NULL)
        print_error("status %d: %s\n", (int)status, error.message);
    assert_int_equal(status, expected);
    assert_memory_equal(error.message, "posted: ", 8);
    assert_non_null(strstr(error.message, text));
    assert_string_equal(error.setting, setting);
    assert_int_equal(info.height, 77);
}

/* ---- Files ----------------------------------------------------------------------------------- */

static encoded png_of(unsigned height, unsigned width, unsigned format) {
    static uint16_t pixels[64 * 64 * 4];
    for (size_t i = 0; i < sizeof pixels / sizeof *pixels; i++)
        pixels[i] = (uint16_t)(i * 2654435761u >> 7);
    return encode_png(pixels, height, width, format);
}

/* ---- Pixels ---------------------------------------------------------------------------------- */

static void assert_as_source(void **state, encoded file, const char *name) {
    static const uint32_t shapes[][3] = {{3, 32, 32}, {1, 32, 32}, {3, 1, 2}, {1, 7, 40}};
    for (size_t i = 0; i < sizeof shapes / sizeof *shapes; i++) {
        uint8_t pixels[32 * 32 * 3];
        of_image_options options = options_of(shapes[i][0], shapes[i][1], shapes[i][2]);
        of_source_options as_source = test_options(NULL);
        as_source.channels = options.channels;
        as_source.height = options.height;
        as_source.width = options.width;
        of_image_info info = read_image(file, name, &options, pixels);
        write_file(state, name, file.bytes, file.size);
        of_source *source = open_source(path_of(state, name), &as_source);
        of_source_batch batch = next_batch(source, 1);
        assert_int_equal(batch.count, 1);
        assert_memory_equal(pixels, batch.pixels,
                            (size_t)options.channels * options.height * options.width);
        assert_int_equal(info.height, batch.items[0].height);
        assert_int_equal(info.width, batch.items[0].width);
        assert_int_equal(info.reshaped, batch.items[0].reshaped);
        of_source_free(source);
    }
}

static void test_pixels_are_those_of_a_source(void **state) {
    static const unsigned formats[] = {PNG_FORMAT_RGB, PNG_FORMAT_RGBA, PNG_FORMAT_GRAY,
                                       PNG_FORMAT_GA, PNG_FORMAT_LINEAR_RGB};
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        encoded png = png_of(19, 31, formats[i]);
        assert_as_source(state, png, "a.png");
        free(png.bytes);
    }
    assert_as_source(state, as_file(image_jpeg, sizeof image_jpeg), "a.jpg");
    assert_as_source(state, as_file(image_bmp, sizeof image_bmp), "a.bmp");
    assert_as_source(state, as_file(image_gif, sizeof image_gif), "a.gif");
    assert_as_source(state, as_file(image_ppm, sizeof image_ppm - 1), "a.ppm");
    assert_as_source(state, as_file(image_tga, sizeof image_tga), "a.tga");
}

static void test_defaults(void **state) {
    (void)state;
    uint8_t pixels[32 * 32 * 3];
    encoded file = encode_pattern(5);
    of_image_info info = read_image(file, NULL, NULL, pixels);
    assert_pattern(pixels, 5);
    assert_false(info.resized || info.converted || info.alpha_dropped || info.depth_reduced ||
                 info.reshaped);
    assert_int_equal(of_image_read(file.bytes, file.size, NULL, NULL, pixels, NULL, NULL), OF_OK);
    free(file.bytes);

    of_architecture architecture = of_architecture_default();
    architecture.channels = 1;
    architecture.width = 64;
    of_image_options options = of_image_options_default(&architecture);
    assert_int_equal(options.size, sizeof options);
    assert_int_equal(options.channels, 1);
    assert_int_equal(options.height, 32);
    assert_int_equal(options.width, 64);
}

/* ---- What is said of them -------------------------------------------------------------------- */

static void test_formats_are_told(void **state) {
    (void)state;
    uint8_t pixels[6];
    of_image_options options = options_of(3, 1, 2);
    const struct {
        const char *format;
        encoded file;
        uint32_t channels;
    } cases[] = {{"BMP", as_file(image_bmp, sizeof image_bmp), 3},
                 {"GIF", as_file(image_gif, sizeof image_gif), 3},
                 {"PNM", as_file(image_ppm, sizeof image_ppm - 1), 3},
                 {"TGA", as_file(image_tga, sizeof image_tga), 3},
                 {"PNG", animated_png(0, false), 1},
                 {"JPEG", as_file(image_jpeg, sizeof image_jpeg), 1}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        of_image_info info = read_image(cases[i].file, "x.tga", &options, pixels);
        assert_string_equal(info.format, cases[i].format);
        assert_int_equal(info.channels, cases[i].channels);
        assert_int_equal(info.converted, cases[i].channels == 1);
        assert_int_equal(info.height, i < 5 ? 1 : 8);
        assert_int_equal(info.width, i < 5 ? 2 : 8);
        assert_int_equal(info.resized, i == 5);
        assert_false(info.alpha_dropped || info.depth_reduced);
        assert_int_equal(info.frames_dropped, 0);
    }
}

static void test_opacity_is_told_where_it_matters(void **state) {
    (void)state;
    uint8_t pixels[6], rgba[] = {1, 2, 3, 255, 4, 5, 6, 255};
    of_image_options options = options_of(3, 1, 2);
    encoded file = encode_png(rgba, 1, 2, PNG_FORMAT_RGBA);
    assert_false(read_image(file, NULL, &options, pixels).alpha_dropped);
    free(file.bytes);
    rgba[7] = 254;
    file = encode_png(rgba, 1, 2, PNG_FORMAT_RGBA);
    of_image_info info = read_image(file, NULL, &options, pixels);
    assert_true(info.alpha_dropped);
    assert_int_equal(info.channels, 3);
    assert_false(info.converted);
    free(file.bytes);
    assert_true(read_image(animated_gif(1, true), NULL, &options, pixels).alpha_dropped);
    assert_false(read_image(animated_gif(1, false), NULL, &options, pixels).alpha_dropped);
}

static void test_depth_is_told(void **state) {
    (void)state;
    uint8_t pixels[6];
    of_image_options options = options_of(3, 1, 2);
    encoded file = png_of(1, 2, PNG_FORMAT_LINEAR_RGB);
    assert_true(read_image(file, NULL, &options, pixels).depth_reduced);
    free(file.bytes);
    static const uint8_t deep[] = "P6 2 1 65535\n\1\0\2\0\3\0\4\0\5\0\6\0";
    assert_true(read_image(as_file(deep, sizeof deep - 1), NULL, &options, pixels).depth_reduced);
    for (uint8_t i = 0; i < 6; i++)
        assert_int_equal(pixels[i], i + 1);

    static const uint8_t scan[] = "P5\n#12 bits\n2 1\n4095\n\x0f\xff\x08\x01";
    (void)read_image(as_file(scan, sizeof scan - 1), NULL, &options, pixels);
    assert_int_equal(pixels[0], 255);
    assert_int_equal(pixels[3], 128);
    assert_refused(as_file(scan, sizeof scan - 2), &options, OF_ERROR_FORMAT, "", "truncated");
}

static void test_frames_are_counted(void **state) {
    (void)state;
    uint8_t pixels[6];
    of_image_options options = options_of(3, 1, 2);
    for (unsigned further = 0; further < 12; further += 5) {
        of_image_info info = read_image(animated_gif(further + 1, false), NULL, &options, pixels);
        assert_int_equal(info.frames_dropped, further);
        info = read_image(animated_png(further, true), NULL, &options, pixels);
        assert_int_equal(info.frames_dropped, further);
        info = read_image(animated_png(further, false), NULL, &options, pixels);
        assert_int_equal(info.frames_dropped, further);
        assert_int_equal(pixels[0], 10); /* of the default image */
        assert_int_equal(pixels[5], 20);
    }
}

static void test_much_is_lost_beyond_a_quarter(void **state) {
    (void)state;
    static const struct {
        unsigned height, width;
        bool reshaped;
    } cases[] = {{64, 64, true}, {40, 40, false}, {41, 41, true}, {40, 32, false}, {32, 40, false},
                 {41, 32, true}, {2, 2, false},   {5, 4, false},  {4, 6, true}};
    uint8_t pixels[10 * 10];
    of_image_options options = options_of(1, 10, 10);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        encoded file = png_of(cases[i].height, cases[i].width, PNG_FORMAT_RGB);
        of_image_info info = read_image(file, NULL, &options, pixels);
        assert_int_equal(info.reshaped, cases[i].reshaped);
        assert_true(info.resized && info.converted);
        free(file.bytes);
    }
}

/* ---- Limits ---------------------------------------------------------------------------------- */

static void test_limits_name_themselves(void **state) {
    (void)state;
    encoded file = png_of(40, 50, PNG_FORMAT_RGB);
    uint8_t pixels[32 * 32 * 3];
    of_image_options options = of_image_options_default(NULL);
    options.max_pixels = 40 * 50 - 1;
    assert_refused(file, &options, OF_ERROR_UNSUPPORTED, "max_pixels", "over the limit");
    options.max_pixels++;
    (void)read_image(file, NULL, &options, pixels);
    options.min_height = 41;
    assert_refused(file, &options, OF_ERROR_UNSUPPORTED, "min_height", "smaller than");
    options.min_height = 40;
    options.min_width = 51;
    assert_refused(file, &options, OF_ERROR_UNSUPPORTED, "min_width", "smaller than");
    options.min_width = 50;
    (void)read_image(file, NULL, &options, pixels);

    options.max_bytes = 40 * 50 * 3; /* the pixels alone */
    assert_refused(file, &options, OF_ERROR_UNSUPPORTED, "max_bytes", "more than 6000 bytes");
    options.max_bytes = 1 << 20;
    (void)read_image(file, NULL, &options, pixels);
    free(file.bytes);
}

static void test_senseless_wishes(void **state) {
    (void)state;
    uint8_t pixels[6];
    of_error error;
    of_image_options options = options_of(2, 1, 2);
    assert_int_equal(
        of_image_read(image_gif, sizeof image_gif, NULL, &options, pixels, NULL, &error),
        OF_ERROR_ARGUMENT);
    assert_string_equal(error.setting, "channels");
    options = options_of(3, 0, 2);
    assert_int_equal(of_image_read(image_gif, sizeof image_gif, NULL, &options, pixels, NULL, NULL),
                     OF_ERROR_ARGUMENT);
    options = options_of(3, 1, 2);
    options.size = 0;
    assert_int_equal(of_image_read(image_gif, sizeof image_gif, NULL, &options, pixels, NULL, NULL),
                     OF_ERROR_ARGUMENT);
    assert_int_equal(of_image_read(NULL, 5, NULL, NULL, pixels, NULL, NULL), OF_ERROR_ARGUMENT);
    assert_int_equal(of_image_read(image_gif, sizeof image_gif, NULL, NULL, NULL, NULL, NULL),
                     OF_ERROR_ARGUMENT);
}

static void test_hostile_bytes(void **state) {
    (void)state;
    uint8_t pixels[32 * 32 * 3];
    of_image_options options = of_image_options_default(NULL);
    assert_refused((encoded){NULL, 0}, &options, OF_ERROR_FORMAT, "", "empty file");
    assert_refused(as_file((const uint8_t *)"<html>", 6), &options, OF_ERROR_FORMAT, "",
                   "content is not a PNG");
    assert_refused(as_file(image_tga, sizeof image_tga), &options, OF_ERROR_FORMAT, "",
                   "content is not a PNG");
    const encoded files[] = {encode_pattern(1), animated_gif(3, true),
                             as_file(image_jpeg, sizeof image_jpeg),
                             as_file(image_bmp, sizeof image_bmp)};
    for (size_t i = 0; i < sizeof files / sizeof *files; i++)
        for (size_t size = 0; size < files[i].size; size++) { /* exactly as many bytes */
            uint8_t *cut = malloc(size > 0 ? size : 1);
            assert_non_null(cut);
            memcpy(cut, files[i].bytes, size);
            of_status status = of_image_read(cut, size, NULL, &options, pixels, NULL, NULL);
            /* Nothing but later frames and the end of a GIF may be missing. */
            assert_true(status == OF_ERROR_FORMAT || (i == 1 && status == OF_OK));
            free(cut);
        }
    free(files[0].bytes);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_pixels_are_those_of_a_source, make_directory,
                                        remove_directory),
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_formats_are_told),
        cmocka_unit_test(test_opacity_is_told_where_it_matters),
        cmocka_unit_test(test_depth_is_told),
        cmocka_unit_test(test_frames_are_counted),
        cmocka_unit_test(test_much_is_lost_beyond_a_quarter),
        cmocka_unit_test(test_limits_name_themselves),
        cmocka_unit_test(test_senseless_wishes),
        cmocka_unit_test(test_hostile_bytes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
