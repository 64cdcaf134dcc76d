/* SPDX-License-Identifier: Apache-2.0 */
#include "data/pixels/image_pnm.h"

#include "core/error.h"

#include <assert.h>
#include <stddef.h>

/* "P" and a digit, then width, height and, but for bits, the value of white, which white space and
 * comments separate; one character of white space; the samples. */
typedef struct text {
    const uint8_t *bytes;
    size_t size, at;
} text;

enum { MOST_NUMBER = 1 << 24 };

static bool is_space(uint8_t c) {
    return c == ' ' || (c >= '\t' && c <= '\r');
}

static bool at_space(const text *header) {
    return header->at < header->size && is_space(header->bytes[header->at]);
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

static bool at_digit(const text *header) {
    return header->at < header->size && header->bytes[header->at] >= '0' &&
           header->bytes[header->at] <= '9';
}

/* False if there is none, or one beyond all reason. */
static bool read_number(text *header, uint32_t *number) {
    skip_space(header);
    size_t start = header->at;
    *number = 0;
    while (at_digit(header) && *number < MOST_NUMBER)
        *number = *number * 10 + (uint32_t)(header->bytes[header->at++] - '0');
    return header->at > start && !at_digit(header);
}

bool of_is_pnm(const uint8_t *bytes, size_t size) {
    return size >= 3 && bytes[0] == 'P' && bytes[1] >= '1' && bytes[1] <= '6' &&
           (is_space(bytes[2]) || bytes[2] == '#');
}

of_status of_pnm_read_header(const uint8_t *bytes, size_t size, of_pnm *pnm, of_error *error) {
    text header = {bytes, size, 2};
    int kind = (bytes[1] - '1') % 3; /* bits, grey, colour */
    *pnm = (of_pnm){
        .channels = kind == 2 ? 3 : 1, .most = 1, .bits = kind == 0, .text = bytes[1] <= '3'};
    if (!read_number(&header, &pnm->width) || !read_number(&header, &pnm->height) ||
        (!pnm->bits && !read_number(&header, &pnm->most)) || !at_space(&header))
        return of_fail(error, OF_ERROR_FORMAT,
                       header.at == size ? "truncated image" : "damaged PNM: its header");
    if (pnm->most == 0 || pnm->most > 65535)
        return of_fail(error, OF_ERROR_FORMAT, "damaged PNM: white is %u; expected 1 to 65535",
                       (unsigned)pnm->most);
    pnm->samples = bytes + header.at + 1;
    pnm->bytes = size - header.at - 1;
    return OF_OK;
}

static size_t samples_of(const of_pnm *pnm) {
    return (size_t)pnm->height * pnm->width * pnm->channels;
}

static size_t bytes_of_row(const of_pnm *pnm) {
    return pnm->bits ? ((size_t)pnm->width + 7) / 8
                     : (size_t)pnm->width * pnm->channels * (pnm->most > 255 ? 2 : 1);
}

of_status of_pnm_check_length(const of_pnm *pnm, of_error *error) {
    /* Numbers are separated, digits of bits need not be. */
    size_t least = !pnm->text  ? bytes_of_row(pnm) * pnm->height
                   : pnm->bits ? samples_of(pnm)
                               : 2 * samples_of(pnm) - 1;
    return pnm->bytes < least ? of_fail(error, OF_ERROR_FORMAT, "truncated image") : OF_OK;
}

/* To 8 bits; those of a whole byte stay what they are. */
static uint8_t reduce(uint32_t sample, uint32_t most) {
    assert(most > 0); /* the header was refused otherwise */
    sample = sample < most ? sample : most;
    return (uint8_t)(most > 255 ? 256 * sample / (most + 1) : (sample * 255 + most / 2) / most);
}

/* ---- Binary -----------------------------------------------------------------------------------
 */

static void decode_bits(const of_pnm *pnm, uint8_t *pixels) {
    size_t row = bytes_of_row(pnm);
    for (size_t y = 0; y < pnm->height; y++)
        for (size_t x = 0; x < pnm->width; x++)
            *pixels++ = (pnm->samples[y * row + x / 8] >> (7 - x % 8) & 1) != 0 ? 0 : 255;
}

static void decode_binary(const of_pnm *pnm, uint8_t *pixels) {
    size_t count = samples_of(pnm);
    const uint8_t *sample = pnm->samples;
    if (pnm->bits)
        decode_bits(pnm, pixels);
    else if (pnm->most > 255)
        for (size_t i = 0; i < count; i++)
            pixels[i] = reduce((uint32_t)sample[2 * i] << 8 | sample[2 * i + 1], pnm->most);
    else
        for (size_t i = 0; i < count; i++)
            pixels[i] = reduce(sample[i], pnm->most);
}

/* ---- Text -------------------------------------------------------------------------------------
 */

static bool read_bit(text *samples, uint32_t *bit) {
    skip_space(samples);
    uint8_t digit = samples->at < samples->size ? samples->bytes[samples->at] : 0;
    *bit = digit == '1' ? 0 : 1;
    samples->at += digit == '0' || digit == '1';
    return digit == '0' || digit == '1';
}

static of_status decode_text(const of_pnm *pnm, uint8_t *pixels, of_error *error) {
    text samples = {pnm->samples, pnm->bytes, 0};
    size_t count = samples_of(pnm);
    for (size_t i = 0; i < count; i++) {
        uint32_t sample;
        if (!(pnm->bits ? read_bit(&samples, &sample) : read_number(&samples, &sample)))
            return of_fail(error, OF_ERROR_FORMAT,
                           samples.at == samples.size ? "truncated image"
                                                      : "damaged PNM: not a number");
        pixels[i] = reduce(sample, pnm->most);
    }
    return OF_OK;
}

of_status of_pnm_decode(const of_pnm *pnm, uint8_t *pixels, of_error *error) {
    of_status status = of_pnm_check_length(pnm, error);
    if (status != OF_OK || pnm->text)
        return status != OF_OK ? status : decode_text(pnm, pixels, error);
    decode_binary(pnm, pixels);
    return OF_OK;
}
