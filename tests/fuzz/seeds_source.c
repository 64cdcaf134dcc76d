/* SPDX-License-Identifier: Apache-2.0 */
/* One small file of each kind, as seeds for fuzz_source: a byte that names the reader, then the
 * file. Those in seeds/source once crashed the decoder. */
#include "../unit/mat_fixture.h"

#include <archive.h>
#include <archive_entry.h>
#include <png.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { NPY = 0, IDX = 1, ARCHIVE = 2, IMAGE = 3, TGA = 4, MAT = 5 };

static const char *folder;

static void write_seed(const char *name, int reader, const void *bytes, size_t size) {
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "wb");
    if (file == NULL || fputc(reader, file) == EOF || fwrite(bytes, 1, size, file) != size ||
        fclose(file) != 0) {
        perror(path);
        exit(EXIT_FAILURE);
    }
}

static void require(int condition, const char *what) {
    if (!condition) {
        (void)fprintf(stderr, "cannot make a seed: %s\n", what);
        exit(EXIT_FAILURE);
    }
}

static size_t encode_png(uint32_t format, uint8_t *file, size_t capacity) {
    uint8_t pixels[6 * 5 * 8], colours[256 * 4] = {0};
    png_image image = {.version = PNG_IMAGE_VERSION, .width = 6, .height = 5, .format = format};
    png_alloc_size_t size = capacity;
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(format & PNG_FORMAT_FLAG_COLORMAP ? i % 4 : i * 37);
    image.colormap_entries = 4;
    require(png_image_write_to_memory(&image, file, &size, 0, pixels, 0, colours), image.message);
    return size;
}

static void write_pngs(void) {
    const uint32_t formats[] = {PNG_FORMAT_RGB, PNG_FORMAT_GA, PNG_FORMAT_RGB_COLORMAP,
                                PNG_FORMAT_LINEAR_Y};
    for (int i = 0; i < 4; i++) {
        char name[16];
        uint8_t file[2048];
        size_t size = encode_png(formats[i], file, sizeof file);
        (void)snprintf(name, sizeof name, "png-%d", i);
        write_seed(name, IMAGE, file, size);
    }
}

static void write_other_images(void) {
    /* Quantisation, 8 x 8 grey, Huffman tables of one code each, one empty block. */
    static const uint8_t before[] = {0xff, 0xd8, 0xff, 0xdb, 0, 67, 0};
    static const uint8_t after[] = {
        0xff, 0xc0, 0, 11, 8,    0,    8,    0, 8, 1, 1, 0x11, 0, 0xff, 0xc4, 0,    20,   0x00,
        1,    0,    0, 0,  0,    0,    0,    0, 0, 0, 0, 0,    0, 0,    0,    0,    0,    0,
        0xff, 0xc4, 0, 20, 0x10, 1,    0,    0, 0, 0, 0, 0,    0, 0,    0,    0,    0,    0,
        0,    0,    0, 0,  0,    0xff, 0xda, 0, 8, 1, 1, 0,    0, 63,   0,    0x3f, 0xff, 0xd9};
    uint8_t jpeg[sizeof before + 64 + sizeof after];
    memcpy(jpeg, before, sizeof before);
    memset(jpeg + sizeof before, 1, 64);
    memcpy(jpeg + sizeof before + 64, after, sizeof after);
    write_seed("jpeg", IMAGE, jpeg, sizeof jpeg);

    static const char pnm[] = "P6\n2 1\n255\n\1\2\3\4\5\6";
    write_seed("pnm", IMAGE, pnm, sizeof pnm - 1);
    static const uint8_t tga[] = {0, 0, 10, 0,  0, 0,    0, 0, 0, 0, 0, 0, 4,
                                  0, 1, 0,  24, 0, 0x82, 3, 2, 1, 0, 6, 5, 4};
    write_seed("tga-runs", TGA, tga, sizeof tga);
    static const uint8_t bmp[] = {'B', 'M', 62, 0, 0, 0, 0, 0, 0, 0, 54, 0, 0,  0, 40, 0,
                                  0,   0,   2,  0, 0, 0, 1, 0, 0, 0, 1,  0, 24, 0, 0,  0,
                                  0,   0,   8,  0, 0, 0, 0, 0, 0, 0, 0,  0, 0,  0, 0,  0,
                                  0,   0,   0,  0, 0, 0, 3, 2, 1, 6, 5,  4, 0,  0};
    write_seed("bmp", IMAGE, bmp, sizeof bmp);
    static const uint8_t gif[] = {'G', 'I', 'F', '8', '9', 'a', 2, 0,    1,    0, 0x80, 0,
                                  0,   1,   2,   3,   4,   5,   6, ',',  0,    0, 0,    0,
                                  2,   0,   1,   0,   0,   2,   2, 0x44, 0x0a, 0, ';'};
    write_seed("gif", IMAGE, gif, sizeof gif);
}

static void write_records(void) {
    uint8_t idx[16 + 2 * 3 * 4] = {0, 0, 8, 3, 0, 0, 0, 2, 0, 0, 0, 3, 0, 0, 0, 4};
    write_seed("idx", IDX, idx, sizeof idx);
    static const char *const shapes[] = {"(2, 3, 4, 3)", "(2, 1, 5, 6)", "(4, 3, 5)"};
    for (int i = 0; i < 3; i++) {
        char name[16];
        uint8_t npy[10 + 128 + 72] = "\x93NUMPY\1\0";
        npy[8] = 128;
        memset(npy + 10, ' ', 128);
        int length = snprintf((char *)npy + 10, 128,
                              "{'descr': '|u1', 'fortran_order': False, 'shape': %s, }", shapes[i]);
        npy[10 + length] = ' ';
        (void)snprintf(name, sizeof name, "npy-%d", i);
        write_seed(name, NPY, npy, sizeof npy);
    }
}

static void write_mat(const char *name, int compressed) {
    const uint32_t shape[] = {4, 3, 3, 2}, labels[] = {2, 1};
    uint8_t pixels[4 * 3 * 3 * 2];
    mat_file file = {0};
    for (size_t i = 0; i < sizeof pixels; i++)
        pixels[i] = (uint8_t)(i * 37);
    mat_begin(&file);
    mat_add_array(&file, "X", MAT_UINT8, MAT_BYTES, shape, 4, pixels, sizeof pixels, compressed);
    mat_add_array(&file, "y", MAT_DOUBLE, MAT_BYTES, labels, 2, "\1\12", 2, compressed);
    write_seed(name, MAT, file.bytes, file.size);
    free(file.bytes);
}

static void write_archive(const char *name, int (*format)(struct archive *),
                          int (*filter)(struct archive *)) {
    uint8_t image[2048], file[32768];
    size_t image_size = encode_png(PNG_FORMAT_RGB, image, sizeof image), size = 0;
    struct archive *archive = archive_write_new();
    require(format(archive) == ARCHIVE_OK && filter(archive) == ARCHIVE_OK &&
                archive_write_set_bytes_in_last_block(archive, 1) == ARCHIVE_OK &&
                archive_write_open_memory(archive, file, sizeof file, &size) == ARCHIVE_OK,
            name);
    for (int i = 0; i < 2; i++) {
        struct archive_entry *entry = archive_entry_new();
        archive_entry_set_pathname(entry, i == 0 ? "a/1.png" : "b/2.png");
        archive_entry_set_filetype(entry, AE_IFREG);
        archive_entry_set_size(entry, (la_int64_t)image_size);
        require(archive_write_header(archive, entry) == ARCHIVE_OK, name);
        require(archive_write_data(archive, image, image_size) == (la_ssize_t)image_size, name);
        archive_entry_free(entry);
    }
    require(archive_write_close(archive) == ARCHIVE_OK, name);
    (void)archive_write_free(archive);
    write_seed(name, ARCHIVE, file, size);
}

int main(int count, char **arguments) {
    if (count != 2)
        return EXIT_FAILURE;
    folder = arguments[1];
    write_pngs();
    write_other_images();
    write_records();
    write_mat("mat", 0);
    write_mat("mat-packed", 1);
    write_archive("tar", archive_write_set_format_pax_restricted, archive_write_add_filter_none);
    write_archive("tar-gz", archive_write_set_format_ustar, archive_write_add_filter_gzip);
    write_archive("tar-xz", archive_write_set_format_gnutar, archive_write_add_filter_xz);
    write_archive("zip", archive_write_set_format_zip, archive_write_add_filter_none);
    return EXIT_SUCCESS;
}
