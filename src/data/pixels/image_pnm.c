/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/image_pnm.h"

#include <stddef.h>

/* "P5" or "P6", then width, height and largest value, which white space and comments separate, one
 * character of white space, then the samples. */
typedef struct text {
    const uint8_t *bytes;
    size_t size, at;
} text;

static bool at_space(const text *header) {
    uint8_t c = header->at < header->size ? header->bytes[header->at] : 0;
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static void skip_space(text *header) {
    while (at_space(header) || (header->at < header->size && header->bytes[header->at] == '#')) {
        bool comment = header->bytes[header->at] == '#';
        header->at++;
        while (comment && header->at < header->size && header->bytes[header->at] != '\n' &&
               header->bytes[header->at] != '\r')
            header->at++;
    }
}

static bool read_number(text *header, uint32_t *number) {
    enum { MOST = 1 << 24 };
    size_t start = header->at;
    *number = 0;
    while (header->at < header->size && *number < MOST && header->bytes[header->at] >= '0' &&
           header->bytes[header->at] <= '9')
        *number = *number * 10 + (uint32_t)(header->bytes[header->at++] - '0');
    return header->at > start;
}

bool of_pnm_is_deep(const uint8_t *bytes, size_t size, of_deep_pnm *pnm) {
    text header = {bytes, size, 2};
    if (size < 2 || bytes[0] != 'P' || (bytes[1] != '5' && bytes[1] != '6'))
        return false;
    uint32_t *numbers[] = {&pnm->width, &pnm->height, &pnm->most};
    for (int i = 0; i < 3; i++) {
        skip_space(&header);
        if (!read_number(&header, numbers[i]))
            return false;
    }
    if (!at_space(&header))
        return false;
    pnm->channels = bytes[1] == '5' ? 1 : 3;
    pnm->samples = bytes + header.at + 1;
    pnm->bytes = size - header.at - 1;
    return pnm->most > 255 && pnm->most <= 65535;
}

bool of_pnm_reduce(const of_deep_pnm *pnm, uint8_t *pixels) {
    size_t count = (size_t)pnm->height * pnm->width * pnm->channels;
    if (pnm->bytes / 2 < count)
        return false;
    for (size_t i = 0; i < count; i++) {
        uint32_t sample = (uint32_t)pnm->samples[2 * i] << 8 | pnm->samples[2 * i + 1];
        pixels[i] = (uint8_t)(256 * (sample < pnm->most ? sample : pnm->most) / (pnm->most + 1));
    }
    return true;
}
