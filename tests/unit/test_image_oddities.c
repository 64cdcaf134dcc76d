/* SPDX-License-Identifier: Apache-2.0 */
/* Image files that decoders read differently, or read what is not theirs: palettes with missing
 * colours, headers of old systems. */
#define _XOPEN_SOURCE 700
#include "source_fixture.h"

#include <outflow/outflow.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <zlib.h>

/* What another request may have left there. */
static __attribute__((noinline)) void dirty_stack(uint8_t value) {
    volatile uint8_t left[1 << 16];
    for (size_t i = 0; i < sizeof left; i++)
        left[i] = value;
}

static of_status decode(encoded file, const char *name, uint32_t channels, uint32_t height,
                        uint32_t width, uint8_t *pixels, of_image_info *info, of_error *error) {
    of_image_options options = of_image_options_default(NULL);
    options.channels = channels;
    options.height = height;
    options.width = width;
    dirty_stack(0xa5);
    return of_image_read(file.bytes, file.size, name, &options, pixels, info, error);
}

static void assert_decodes(encoded file, const char *name, uint32_t channels, uint32_t height,
                           uint32_t width, const uint8_t *expected) {
    uint8_t pixels[3 * 256];
    of_image_info info;
    of_error error;
    of_status status = decode(file, name, channels, height, width, pixels, &info, &error);
    if (status != OF_OK)
        print_error("%s\n", error.message);
    assert_int_equal(status, OF_OK);
    assert_int_equal(info.height, height);
    assert_int_equal(info.width, width);
    assert_memory_equal(pixels, expected, (size_t)channels * height * width);
}

static void put_16(uint8_t *to, uint32_t value) {
    to[0] = (uint8_t)value;
    to[1] = (uint8_t)(value >> 8);
}

static void put_32(uint8_t *to, uint32_t value) {
    put_16(to, value);
    put_16(to + 2, value >> 16);
}

/* ---- Palettes -------------------------------------------------------------------------------- */

/* A row of 256 pixels, whose indices are 0 to 255, and a palette of the colours (i, i + 1, i + 2).
 * The header has 12 bytes or 40; `said` is what it says of the number of colours. */
static encoded row_bmp(uint32_t header, uint32_t colours, uint32_t said) {
    static uint8_t bytes[2048];
    bool os2 = header == 12;
    uint32_t palette = 14 + header, place = palette + colours * (os2 ? 3 : 4);
    memset(bytes, 0, sizeof bytes);
    memcpy(bytes, "BM", 2);
    put_32(bytes + 10, place);
    put_32(bytes + 14, header);
    if (os2) {
        put_16(bytes + 18, 256);
        put_16(bytes + 20, 1);
        put_16(bytes + 22, 1);
        put_16(bytes + 24, 8);
    } else {
        put_32(bytes + 18, 256);
        put_32(bytes + 22, 1);
        put_16(bytes + 26, 1);
        put_16(bytes + 28, 8);
        put_32(bytes + 46, said);
    }
    for (uint32_t i = 0; i < colours; i++)
        for (uint32_t c = 0; c < 3; c++)
            bytes[palette + i * (os2 ? 3 : 4) + c] = (uint8_t)(i + 2 - c);
    for (uint32_t i = 0; i < 256; i++)
        bytes[place + i] = (uint8_t)i;
    return (encoded){bytes, place + 256};
}

/* The same as PNG. */
static encoded row_png(uint32_t colours) {
    static uint8_t bytes[4096];
    uint8_t palette[256 * 3], row[257] = {0}, packed[1024];
    const uint8_t header[] = {0, 0, 1, 0, 0, 0, 0, 1, 8, 3, 0, 0, 0};
    uLongf size = sizeof packed;
    encoded file = {bytes, 8};
    memcpy(bytes, "\x89PNG\r\n\x1a\n", 8);
    for (uint32_t i = 0; i < colours * 3; i++)
        palette[i] = (uint8_t)(i / 3 + i % 3);
    for (uint32_t i = 0; i < 256; i++)
        row[i + 1] = (uint8_t)i;
    assert_int_equal(compress(packed, &size, row, sizeof row), Z_OK);
    put_chunk(&file, "IHDR", header, sizeof header);
    put_chunk(&file, "PLTE", palette, colours * 3);
    put_chunk(&file, "IDAT", packed, (uint32_t)size);
    put_chunk(&file, "IEND", NULL, 0);
    return file;
}

static void assert_row(encoded file, const char *name, uint32_t colours) {
    uint8_t expected[256 * 3] = {0};
    for (uint32_t i = 0; i < colours * 3; i++)
        expected[i] = (uint8_t)(i / 3 + i % 3);
    assert_decodes(file, name, 3, 1, 256, expected);
}

/* Indices beyond the palette are black, not what lies behind it on the stack. */
static void test_missing_colours_are_black(void **state) {
    (void)state;
    static const uint32_t counts[] = {1, 2, 100, 255, 256};
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++) {
        assert_row(row_bmp(40, counts[i], counts[i]), "row.bmp", counts[i]);
        assert_row(row_bmp(40, counts[i], 0), "row.bmp", counts[i]);
        assert_row(row_png(counts[i]), "row.png", counts[i]);
    }
    assert_row(row_bmp(40, 256, 100), "row.bmp", 100);
    assert_row(row_bmp(124, 7, 7), "row.bmp", 7);
}

/* The oldest header has 12 bytes; the last colours are there and must not be lost. */
static void test_colours_of_old_bitmaps(void **state) {
    (void)state;
    assert_row(row_bmp(12, 256, 0), "row.bmp", 256);
    assert_row(row_bmp(12, 255, 0), "row.bmp", 255);
    assert_row(row_bmp(12, 3, 0), "row.bmp", 3);
}

/* More room before the pixels than 256 colours take. */
static void test_gap_after_the_palette(void **state) {
    (void)state;
    assert_row(row_bmp(40, 300, 0), "row.bmp", 256);
}

static void assert_no_part_decodes(encoded file) {
    uint8_t pixels[768];
    for (size_t size = 0; size < file.size; size++) { /* exactly as many bytes */
        encoded cut = {malloc(size > 0 ? size : 1), size};
        assert_non_null(cut.bytes);
        memcpy(cut.bytes, file.bytes, size);
        assert_int_not_equal(decode(cut, "", 3, 1, 256, pixels, NULL, NULL), OF_OK);
        free(cut.bytes);
    }
}

static void test_cut_palettes(void **state) {
    (void)state;
    assert_no_part_decodes(row_png(20));
    assert_no_part_decodes(row_bmp(40, 20, 0));
    assert_no_part_decodes(row_bmp(12, 20, 0));
}

/* ---- Other ways to the same pixels -------------------------------------------------------------
 */

/* A negative height: the first row is the top one. */
static void test_top_down_bitmap(void **state) {
    (void)state;
    uint8_t bytes[54 + 2 * 8];
    memcpy(bytes, image_bmp, 54);
    memcpy(bytes + 54, image_bmp + 54, 8);
    memcpy(bytes + 62, (const uint8_t[]){9, 8, 7, 12, 11, 10, 0, 0}, 8);
    put_32(bytes + 22, (uint32_t)-2);
    static const uint8_t expected[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12};
    assert_decodes(as_file(bytes, sizeof bytes), "", 3, 2, 2, expected);
    uint8_t pixels[12];
    put_32(bytes + 22, 0x80000000u);
    assert_int_equal(decode(as_file(bytes, sizeof bytes), "", 3, 2, 2, pixels, NULL, NULL),
                     OF_ERROR_UNSUPPORTED);
}

static void test_tga_from_the_right(void **state) {
    (void)state;
    uint8_t bytes[sizeof image_tga];
    memcpy(bytes, image_tga, sizeof bytes);
    bytes[17] |= 0x10;
    static const uint8_t expected[] = {4, 5, 6, 1, 2, 3};
    assert_decodes(as_file(bytes, sizeof bytes), "x.tga", 3, 1, 2, expected);
}

/* What is transparent has the colour of the background, whatever the palette says of it. */
static void test_transparent_gif(void **state) {
    (void)state;
    static const uint8_t opaque[] = {1, 2, 3, 4, 5, 6};
    static const uint8_t expected[] = {1, 2, 3, 255, 255, 255};
    assert_decodes(animated_gif(1, false), "", 3, 1, 2, opaque);
    assert_decodes(animated_gif(1, true), "", 3, 1, 2, expected);
    assert_decodes(animated_gif(3, true), "", 3, 1, 2, expected);

    /* A picture of 3 x 1, of which the image covers two: nothing is in the rest. */
    uint8_t bytes[64];
    memcpy(bytes, image_gif, sizeof image_gif);
    bytes[6] = 3;
    static const uint8_t wider[] = {1, 2, 3, 4, 5, 6, 255, 255, 255};
    assert_decodes(as_file(bytes, sizeof image_gif), "", 3, 1, 3, wider);
    bytes[11] = 1; /* the background colour of the file */
    assert_decodes(as_file(bytes, sizeof image_gif), "", 3, 1, 3, wider);
}

static void test_kinds_of_jpeg(void **state) {
    (void)state;
    static const struct {
        uint8_t marker;
        const char *reason;
    } cases[] = {
        {0xc3, "lossless"},   {0xc5, "hierarchical"}, {0xcf, "lossless"},
#ifndef OUTFLOW_JPEG
        {0xc9, "arithmetic"}, {0xca, "arithmetic"},
#endif
    };
    uint8_t bytes[sizeof image_jpeg], pixels[64];
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        of_error error = {.status = OF_OK};
        memcpy(bytes, image_jpeg, sizeof bytes);
        assert_int_equal(bytes[72], 0xc0);
        bytes[72] = cases[i].marker;
        assert_int_equal(decode(as_file(bytes, sizeof bytes), "", 1, 8, 8, pixels, NULL, &error),
                         OF_ERROR_UNSUPPORTED);
        assert_non_null(strstr(error.message, cases[i].reason));
    }
}

/* ---- PNM ------------------------------------------------------------------------------------- */

#define PNM(content) as_file((const uint8_t *)(content), sizeof(content) - 1)

static void test_pnm_kinds(void **state) {
    (void)state;
    static const uint8_t grey[] = {0, 255, 128, 64}, colour[] = {1, 2, 3, 4, 5, 6};
    static const uint8_t bits[] = {255, 0,   255, 0,   255, 0,   255, 0,   255,
                                   0,   255, 0,   255, 0,   255, 0,   255, 0};
    assert_decodes(PNM("P5 2 2 255\n\x00\xff\x80\x40"), "", 1, 2, 2, grey);
    assert_decodes(PNM("P2\n# by hand\n2 2\n255\n0 255\n128\t64"), "", 1, 2, 2, grey);
    assert_decodes(PNM("P6#c\n2 1 255 \1\2\3\4\5\6"), "", 3, 1, 2, colour);
    assert_decodes(PNM("P3 2 1 255 1 2 3 # half\n 4 5 6\n"), "", 3, 1, 2, colour);
    assert_decodes(PNM("P4 9 2\n\x55\x00\xaa\x80"), "", 1, 2, 9, bits);
    assert_decodes(PNM("P1 9 2\n010101010\n1 0 1 0 1 # so on\n0101"), "", 1, 2, 9, bits);
}

/* The value of white decides what a sample means, and those of two bytes begin with the upper. */
static void test_pnm_white(void **state) {
    (void)state;
    static const uint8_t whole[] = {0, 85, 170, 255}, part[] = {0, 127, 128, 255};
    assert_decodes(PNM("P5 4 1 3\n\0\1\2\3"), "", 1, 1, 4, whole);
    assert_decodes(PNM("P5 4 1 15\n\0\5\12\17"), "", 1, 1, 4, whole);
    assert_decodes(PNM("P2 4 1 15\n0 5 10 16"), "", 1, 1, 4, whole);
    assert_decodes(PNM("P5 4 1 4095\n\x00\x0f\x07\xff\x08\x01\x0f\xff"), "", 1, 1, 4, part);
    assert_decodes(PNM("P2 4 1 4095\n15 2047 2049 9999"), "", 1, 1, 4, part);
    assert_decodes(PNM("P5 4 1 65535\n\x00\xff\x7f\xff\x80\x00\xff\x00"), "", 1, 1, 4, part);
}

static void assert_refused(encoded file, const char *reason) {
    uint8_t pixels[768];
    of_error error = {.status = OF_OK};
    assert_int_equal(decode(file, "posted", 3, 2, 2, pixels, NULL, &error), OF_ERROR_FORMAT);
    if (strstr(error.message, reason) == NULL)
        print_error("'%s' instead of '%s'\n", error.message, reason);
    assert_non_null(strstr(error.message, reason));
}

static void test_bad_pnm(void **state) {
    (void)state;
    assert_refused(PNM("P5 2 2 0\n\0\0\0\0"), "white is 0");
    assert_refused(PNM("P5 2 2 65536\n\0\0\0\0"), "white is 65536");
    assert_refused(PNM("P5 2 2 99999999999999999999\n\0\0\0\0"), "damaged PNM");
    assert_refused(PNM("P5 99999999999999999999 2 255\n\0\0\0\0"), "PNM");
    assert_refused(PNM("P5 -2 2 255\n\0\0\0\0"), "damaged PNM");
    assert_refused(PNM("P5 2 2 255\n\0\0\0"), "truncated");
    assert_refused(PNM("P6 2 2 256\n\0\0\0\0\0\0\0\0\0\0\0\0"), "truncated");
    assert_refused(PNM("P2 2 2 255\n1 2 3"), "truncated");
    assert_refused(PNM("P2 2 2 255\n1 2 3    "), "truncated");
    assert_refused(PNM("P2 2 2 255\n1 2 x 4 5"), "not a number");
    assert_refused(PNM("P1 2 2\n1 2 0 1"), "not a number");
    assert_refused(PNM("P4 2 2\n\0"), "truncated");
    assert_refused(PNM("P5 0 2 255\n\0"), "0 x 2");
    assert_refused(PNM("P5 2 2"), "truncated");
    assert_refused(PNM("P5x2 2 255\n\0\0\0\0"), "content is not");
    assert_refused(PNM("P8 2 2 255\n\0\0\0\0"), "content is not");
}

/* ---- Much from little -------------------------------------------------------------------------
 */

/* A GIF of 35 bytes whose picture has 2^26 pixels would take 600 MB: refused unless that is wished.
 */
static void test_memory_of_one_image(void **state) {
    uint8_t bytes[sizeof image_gif];
    complaints noted = {0};
    of_source_options options = test_options(&noted);
    memcpy(bytes, image_gif, sizeof bytes);
    put_16(bytes + 6, 8192);
    put_16(bytes + 8, 8192);
    write_file(state, "large.gif", bytes, sizeof bytes);
    of_source *source = open_source(path_of(state, "large.gif"), &options);
    assert_int_equal(next_batch(source, 1).count, 0);
    assert_int_equal(noted.count, 1);
    assert_non_null(strstr(noted.reason, "more than 536870912 bytes to decode"));
    of_source_free(source);

    put_16(bytes + 6, 256);
    put_16(bytes + 8, 256);
    write_file(state, "large.gif", bytes, sizeof bytes);
    options.max_bytes = 1 << 19;
    options.strict = true;
    assert_source_fails(path_of(state, "large.gif"), &options, OF_ERROR_UNSUPPORTED,
                        "more than 524288 bytes");
    options.max_bytes = 1 << 20;
    source = open_source(path_of(state, "large.gif"), &options);
    assert_int_equal(next_batch(source, 1).count, 1);
    of_source_free(source);
}

#if defined(__SANITIZE_ADDRESS__)
#define SANITIZED 1
#elif defined(__has_feature)
#define SANITIZED (__has_feature(address_sanitizer) || __has_feature(thread_sanitizer))
#else
#define SANITIZED 0
#endif

/* Lack of memory is not the file's fault. */
static void test_lack_of_memory_is_said(void **state) {
    (void)state;
    static uint8_t pixels[3 * 32 * 32];
    uint8_t bytes[sizeof image_gif];
    if (SANITIZED) /* which reserves more than any limit */
        skip();
    memcpy(bytes, image_gif, sizeof bytes);
    put_16(bytes + 6, 8192);
    put_16(bytes + 8, 4096);
    pid_t child = fork();
    assert_int_not_equal(child, -1);
    if (child == 0) {
        const struct rlimit limit = {256 << 20, 256 << 20};
        of_image_options options = of_image_options_default(NULL);
        bool limited = setrlimit(RLIMIT_AS, &limit) == 0;
        of_status status = of_image_read(bytes, sizeof bytes, NULL, &options, pixels, NULL, NULL);
        _exit(limited && status == OF_ERROR_MEMORY ? 0 : 1);
    }
    int result;
    assert_int_equal(waitpid(child, &result, 0), child);
    assert_int_equal(result, 0);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_missing_colours_are_black),
        cmocka_unit_test(test_colours_of_old_bitmaps),
        cmocka_unit_test(test_gap_after_the_palette),
        cmocka_unit_test(test_cut_palettes),
        cmocka_unit_test_setup_teardown(test_memory_of_one_image, make_directory, remove_directory),
        cmocka_unit_test(test_lack_of_memory_is_said),
        cmocka_unit_test(test_top_down_bitmap),
        cmocka_unit_test(test_tga_from_the_right),
        cmocka_unit_test(test_transparent_gif),
        cmocka_unit_test(test_kinds_of_jpeg),
        cmocka_unit_test(test_pnm_kinds),
        cmocka_unit_test(test_pnm_white),
        cmocka_unit_test(test_bad_pnm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
