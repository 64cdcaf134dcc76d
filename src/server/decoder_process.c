/* SPDX-License-Identifier: Apache-2.0 */
/* The other side of decoder.c: reads images, writes pixels, and has no right to anything else. */
#define _POSIX_C_SOURCE 200809L
#include "server/decoder_wire.h"
#include "server/sandbox.h"
#include "server/server.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LARGEST_SIDE = 1 << 14 };

static bool read_all(void *to, size_t size) {
    char *next = to;
    while (size > 0) {
        ssize_t got = read(OF_DECODER_SOCKET, next, size);
        if (got <= 0 && !(got < 0 && errno == EINTR))
            return false;
        if (got > 0) {
            next += got;
            size -= (size_t)got;
        }
    }
    return true;
}

static bool write_all(const void *from, size_t size) {
    const char *next = from;
    while (size > 0) {
        ssize_t written = write(OF_DECODER_SOCKET, next, size);
        if (written < 0 && errno != EINTR)
            return false;
        if (written > 0) {
            next += written;
            size -= (size_t)written;
        }
    }
    return true;
}

static of_decoder_answer decode(const of_decoder_question *question, const uint8_t *bytes,
                                uint8_t *pixels) {
    of_decoder_answer answer = {0};
    of_image_options options = of_image_options_default(NULL);
    of_image_info info = {0};
    of_error error = {.status = OF_OK};
    options.channels = question->channels;
    options.height = question->height;
    options.width = question->width;
    options.max_pixels = question->max_pixels;
    options.max_bytes = question->max_bytes;
    answer.status =
        (int32_t)of_image_read(bytes, question->size, "image", &options, pixels, &info, &error);
    answer.height = info.height;
    answer.width = info.width;
    answer.resized = info.resized;
    answer.reshaped = info.reshaped;
    if (answer.status != OF_OK) {
        (void)snprintf(answer.setting, sizeof answer.setting, "%s", error.setting);
        (void)snprintf(answer.message, sizeof answer.message, "%.*s",
                       (int)sizeof answer.message - 1, error.message);
    }
    return answer;
}

/* One image; false ends the process. */
static bool serve_one(void) {
    of_decoder_question question;
    if (!read_all(&question, sizeof question) || question.height > LARGEST_SIDE ||
        question.width > LARGEST_SIDE || question.channels > 4)
        return false;
    size_t pixel_bytes = (size_t)question.channels * question.height * question.width;
    uint8_t *bytes = malloc(question.size + 1), *pixels = malloc(pixel_bytes + 1);
    bool fine = bytes != NULL && pixels != NULL && read_all(bytes, question.size);
    if (fine) {
        of_decoder_answer answer = decode(&question, bytes, pixels);
        fine = write_all(&answer, sizeof answer) &&
               (answer.status != OF_OK || write_all(pixels, pixel_bytes));
    }
    free(bytes);
    free(pixels);
    return fine;
}

int of_decoder_process(size_t memory) {
    if (!of_sandbox_enter(memory))
        return EXIT_FAILURE;
    while (serve_one())
        continue;
    _exit(EXIT_SUCCESS); /* what others do at an exit needs rights that are gone */
}
