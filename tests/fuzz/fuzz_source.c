/* SPDX-License-Identifier: Apache-2.0 */
/* Fuzzes what image sources read: the first byte chooses npy, IDX, an image file, an archive
 * or a MATLAB file, the rest is the content. */
#include "data/formats/reader.h"
#include "data/pixels/image.h"

enum { MOST_ENTRIES = 64 };

static const of_target target = {
    .channels = 3, .height = 8, .width = 8, .max_pixels = 1 << 16, .max_bytes = 1 << 20};

static void read_everything(of_reader *reader) {
    uint8_t pixels[8 * 8 * 3];
    of_image_info info;
    of_entry entry = {0};
    bool end = false;
    for (int i = 0; i < MOST_ENTRIES && !end; i++) {
        if (reader->next(reader, &entry, &end, NULL) != OF_OK)
            break;
        if (!end)
            (void)of_entry_decode(&entry, &target, pixels, &info, NULL);
    }
    of_entry_free(&entry);
    of_reader_close(reader);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    uint8_t pixels[8 * 8 * 3];
    of_image_info info;
    of_reader *reader = NULL;
    if (size == 0)
        return 0;
    const uint8_t *content = data + 1;
    size--;
    switch (data[0] % 6) {
    case 0:
        (void)of_reader_open_npy_memory(content, size, &target, &reader, NULL);
        break;
    case 1:
        (void)of_reader_open_idx_memory(content, size, &target, &reader, NULL);
        break;
    case 2:
        (void)of_reader_open_archive_memory(content, size, &target, &reader, NULL);
        break;
    case 3:
        (void)of_image_decode(content, size, "image.png", &target, pixels, &info, NULL);
        break;
    case 4:
        (void)of_image_decode(content, size, "image.tga", &target, pixels, &info, NULL);
        break;
    case 5:
        (void)of_reader_open_mat_memory(content, size, &target, &reader, NULL);
        break;
    }
    if (reader != NULL)
        read_everything(reader);
    return 0;
}
