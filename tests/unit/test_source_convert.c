/* SPDX-License-Identifier: Apache-2.0 */
/* From any image to a model's size and channels. */
#define _XOPEN_SOURCE 700
#include "source_fixture.h"

#include "data/pixels/convert.h"
#include "data/pixels/image.h"

#include <math.h>

static of_target target_of(uint32_t channels, uint32_t height, uint32_t width) {
    return (of_target){channels, height, width, 1 << 26, 1 << 28, 0, 0, 0, 0, 0, false, false};
}

/* ---- Channels -------------------------------------------------------------------------------- */

static void test_rgb_to_grey(void **state) {
    (void)state;
    for (unsigned i = 0; i < 5000; i++) {
        uint8_t rgb[3] = {(uint8_t)(i * 37), (uint8_t)(i * 101 + 7), (uint8_t)(i * 59 + 3)}, grey;
        of_target target = target_of(1, 1, 1);
        assert_int_equal(of_convert(&(of_raster){rgb, 1, 1, 3, false}, &target, &grey, NULL),
                         OF_OK);
        double luma = 0.299 * rgb[0] + 0.587 * rgb[1] + 0.114 * rgb[2];
        assert_true(fabs(grey - luma) <= 0.51);
        uint8_t same[3] = {rgb[0], rgb[0], rgb[0]};
        assert_int_equal(of_convert(&(of_raster){same, 1, 1, 3, false}, &target, &grey, NULL),
                         OF_OK);
        assert_int_equal(grey, rgb[0]);
    }
}

/* Every channel count and layout, with and without a change of size, against what it means. */
static void test_layouts(void **state) {
    (void)state;
    uint8_t colours[4][4] = {{10, 20, 30, 0}, {200, 0, 50, 9}, {0, 255, 0, 255}, {77, 77, 77, 1}};
    for (uint32_t channels = 1; channels <= 4; channels++)
        for (int planar = 0; planar < 2; planar++) {
            uint8_t raster[16], pixels[12], large[4 * 12];
            for (uint32_t i = 0; i < 4; i++)
                for (uint32_t c = 0; c < channels; c++)
                    raster[planar ? c * 4 + i : i * channels + c] = colours[i][c];
            of_raster from = {raster, 2, 2, channels, planar != 0};
            of_target target = target_of(3, 2, 2);
            assert_int_equal(of_convert(&from, &target, pixels, NULL), OF_OK);
            for (uint32_t i = 0; i < 4; i++)
                for (uint32_t c = 0; c < 3; c++)
                    assert_int_equal(pixels[3 * i + c], colours[i][channels < 3 ? 0 : c]);
            target = target_of(3, 4, 4);
            assert_int_equal(of_convert(&from, &target, large, NULL), OF_OK);
            for (uint32_t c = 0; c < 3; c++) /* corners keep the corner pixels' values */
                assert_int_equal(large[45 + c], pixels[9 + c]);
        }
}

/* ---- Size ------------------------------------------------------------------------------------ */

/* Weight of an input pixel: a triangle around the output pixel's centre, as wide as a pixel of
 * the coarser of the two grids. */
static double triangle(double centre, uint32_t at, double scale) {
    double width = scale > 1.0 ? scale : 1.0;
    double weight = 1.0 - fabs(((double)at + 0.5) - centre) / width;
    return weight > 0.0 ? weight : 0.0;
}

/* One output value in double, straight from the definition; pixels outside repeat the edge. */
static double expected_value(const uint8_t *image, uint32_t height, uint32_t width,
                             const of_target *target, uint32_t y, uint32_t x) {
    double scale_y = (double)height / target->height, scale_x = (double)width / target->width;
    double cy = ((double)y + 0.5) * scale_y, cx = ((double)x + 0.5) * scale_x;
    double sum = 0.0, total = 0.0;
    for (int64_t i = -(int64_t)height; i < 2 * (int64_t)height; i++)
        for (int64_t k = -(int64_t)width; k < 2 * (int64_t)width; k++) {
            double weight =
                triangle(cy - (double)i, 0, scale_y) * triangle(cx - (double)k, 0, scale_x);
            int64_t row = i < 0 ? 0 : i >= height ? height - 1 : i;
            int64_t column = k < 0 ? 0 : k >= width ? width - 1 : k;
            sum += weight * image[row * width + column];
            total += weight;
        }
    return sum / total;
}

static void assert_resampled(uint32_t height, uint32_t width, uint32_t to_height,
                             uint32_t to_width) {
    uint8_t image[64 * 64], pixels[64 * 64];
    of_target target = target_of(1, to_height, to_width);
    uint32_t noise = 7;
    for (size_t i = 0; i < sizeof image; i++)
        image[i] = (uint8_t)((noise = noise * 1664525u + 1013904223u) >> 24);
    assert_int_equal(
        of_convert(&(of_raster){image, height, width, 1, false}, &target, pixels, NULL), OF_OK);
    for (uint32_t y = 0; y < to_height; y++)
        for (uint32_t x = 0; x < to_width; x++) {
            double expected = expected_value(image, height, width, &target, y, x);
            double difference = pixels[y * to_width + x] - expected;
            if (fabs(difference) > 0.51)
                print_error("%u x %u -> %u x %u at %u, %u: %d instead of %f\n", width, height,
                            to_width, to_height, x, y, pixels[y * to_width + x], expected);
            assert_true(fabs(difference) <= 0.51);
        }
}

static void test_enlarging_is_bilinear(void **state) {
    (void)state;
    assert_resampled(28, 28, 32, 32); /* MNIST to CIFAR's size */
    assert_resampled(5, 7, 13, 8);
    assert_resampled(1, 1, 4, 4);
}

static void test_shrinking_is_antialiased(void **state) {
    (void)state;
    assert_resampled(32, 32, 16, 16);
    assert_resampled(60, 47, 8, 12);
    assert_resampled(20, 9, 9, 20); /* smaller one way, larger the other */
}

/* ---- Formats --------------------------------------------------------------------------------- */

static void decode(encoded file, const char *name, const of_target *target, uint8_t *pixels) {
    of_error error = {.status = OF_OK};
    of_image_info info;
    of_status status = of_image_decode(file.bytes, file.size, name, target, pixels, &info, &error);
    if (status != OF_OK)
        print_error("%s: %s\n", name, error.message);
    assert_int_equal(status, OF_OK);
}

static void test_png_kinds(void **state) {
    (void)state;
    uint8_t pixels[12];
    of_target target = target_of(3, 2, 2);
    const uint8_t rgba[] = {1, 2, 3, 0, 40, 50, 60, 255, 7, 8, 9, 128, 250, 251, 252, 1};
    const uint8_t on_white[] = {255, 255, 255, 40, 50, 60, 131, 131, 132, 255, 255, 255};
    const uint8_t on_colour[] = {16, 32, 48, 40, 50, 60, 11, 20, 28, 17, 33, 49};
    encoded file = encode_png(rgba, 2, 2, PNG_FORMAT_RGBA);
    decode(file, "alpha.png", &target, pixels);
    assert_memory_equal(pixels, on_white, sizeof on_white); /* hidden colours do not count */
    assert_int_equal(of_colour_parse("#102030", &target.background, NULL), OF_OK);
    decode(file, "alpha.png", &target, pixels);
    assert_memory_equal(pixels, on_colour, sizeof on_colour);
    target.background = 0;
    free(file.bytes);

    const uint8_t grey[] = {0, 100, 200, 255};
    file = encode_png(grey, 2, 2, PNG_FORMAT_GRAY);
    decode(file, "grey.png", &target, pixels);
    for (size_t i = 0; i < 12; i++)
        assert_int_equal(pixels[i], grey[i / 3]);
    free(file.bytes);
}

/* 2 x 1 pixels of 16-bit grey, 0x1234 and 0xfedc, stored without compression. */
static void test_16_bit_png(void **state) {
    (void)state;
    uint8_t bytes[256] = "\x89PNG\r\n\x1a\n", pixels[2];
    encoded file = {bytes, 8};
    const uint8_t header[] = {0, 0, 0, 2, 0, 0, 0, 1, 16, 0, 0, 0, 0};
    const uint8_t data[] = {0x78, 0x01, 1,    5,    0,    0xfa, 0xff, 0,
                            0x12, 0x34, 0xfe, 0xdc, 0x03, 0xc1, 0x02, 0x21};
    put_chunk(&file, "IHDR", header, sizeof header);
    put_chunk(&file, "IDAT", data, sizeof data);
    put_chunk(&file, "IEND", NULL, 0);
    of_target target = target_of(1, 1, 2);
    decode(file, "deep.png", &target, pixels);
    assert_int_equal(pixels[0], 0x12);
    assert_int_equal(pixels[1], 0xfe);
}

static void test_simple_formats(void **state) {
    (void)state;
    uint8_t pixels[6];
    of_target target = target_of(3, 1, 2);
    const uint8_t expected[] = {1, 2, 3, 4, 5, 6};
    decode(as_file(image_ppm, sizeof image_ppm - 1), "x.ppm", &target, pixels);
    assert_memory_equal(pixels, expected, 6);

    of_image_info info;
    decode(as_file(image_tga, sizeof image_tga), "x.TGA", &target, pixels);
    assert_memory_equal(pixels, expected, 6);
    assert_int_equal(
        of_image_decode(image_tga, sizeof image_tga, "x.png", &target, pixels, &info, NULL),
        OF_ERROR_FORMAT);
    assert_int_equal(
        of_image_decode(image_tga, sizeof image_tga - 1, "x.tga", &target, pixels, &info, NULL),
        OF_ERROR_FORMAT);

    decode(as_file(image_bmp, sizeof image_bmp), "x.bmp", &target, pixels);
    assert_memory_equal(pixels, expected, 6);
    assert_int_equal(
        of_image_decode(image_bmp, sizeof image_bmp - 4, "x.bmp", &target, pixels, &info, NULL),
        OF_ERROR_FORMAT);

    decode(as_file(image_gif, sizeof image_gif), "x.gif", &target, pixels);
    assert_memory_equal(pixels, expected, 6);
}

static void test_extensions(void **state) {
    (void)state;
    const char *images[] = {"a.png", "a.JPG", "b/c.jpeg", "x.y.Gif", ".bmp",
                            "a.ppm", "a.pgm", "a.jfif",   "a.JPE"};
    const char *others[] = {"png", "a.pngx", "a.txt", "a.png/b", "", "a.", "a.psd", "a.p"};
    for (size_t i = 0; i < sizeof images / sizeof *images; i++)
        assert_true(of_has_image_extension(images[i]));
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        assert_false(of_has_image_extension(others[i]));
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_rgb_to_grey),
        cmocka_unit_test(test_layouts),
        cmocka_unit_test(test_enlarging_is_bilinear),
        cmocka_unit_test(test_shrinking_is_antialiased),
        cmocka_unit_test(test_png_kinds),
        cmocka_unit_test(test_16_bit_png),
        cmocka_unit_test(test_simple_formats),
        cmocka_unit_test(test_extensions),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
