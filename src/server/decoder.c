/* SPDX-License-Identifier: Apache-2.0 */
#define _GNU_SOURCE /* POSIX_SPAWN_SETSIGDEF and environ */
#include "server/decoder.h"

#include "server/decoder_wire.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

of_decoder of_decoder_make(const of_server_options *options, of_meters *metrics) {
    return (of_decoder){.options = options, .metrics = metrics, .socket = -1};
}

/* ---- The process ---------------------------------------------------------------------------- */

static int spawn(of_decoder *decoder, int other_end) {
    char memory[32], program[] = "outflow", verb[] = "serve", mode[] = OF_DECODER_ARGUMENT;
    char *arguments[] = {program, verb, mode, memory, NULL};
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attributes;
    sigset_t none;
    (void)snprintf(memory, sizeof memory, "%zu", decoder->options->decoder_memory);
    (void)sigemptyset(&none);
    (void)posix_spawn_file_actions_init(&files);
    (void)posix_spawn_file_actions_adddup2(&files, other_end, OF_DECODER_SOCKET);
    (void)posix_spawnattr_init(&attributes);
    (void)posix_spawnattr_setflags(&attributes, POSIX_SPAWN_SETSIGMASK);
    (void)posix_spawnattr_setsigmask(&attributes, &none);
    int failure =
        posix_spawn(&decoder->process, "/proc/self/exe", &files, &attributes, arguments, environ);
    (void)posix_spawnattr_destroy(&attributes);
    (void)posix_spawn_file_actions_destroy(&files);
    return failure;
}

static of_status start(of_decoder *decoder, of_error *error) {
    int ends[2], failure;
    if (socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
        return of_fail(error, OF_ERROR_INTERNAL, "a decoder cannot be started: %s",
                       strerror(errno));
    failure = spawn(decoder, ends[1]);
    (void)close(ends[1]);
    if (failure != 0) {
        (void)close(ends[0]);
        decoder->process = 0;
        return of_fail(error, OF_ERROR_INTERNAL, "a decoder cannot be started: %s",
                       strerror(failure));
    }
    decoder->socket = ends[0];
    of_meters_count(decoder->metrics, &decoder->metrics->decoder_starts);
    return OF_OK;
}

void of_decoder_close(of_decoder *decoder) {
    if (decoder->process == 0)
        return;
    (void)close(decoder->socket);
    (void)kill(decoder->process, SIGKILL);
    while (waitpid(decoder->process, NULL, 0) < 0 && errno == EINTR)
        continue;
    decoder->process = 0;
    decoder->socket = -1;
}

/* ---- Talking to it -------------------------------------------------------------------------- */

typedef enum talk { TALK_FINE, TALK_DEAD, TALK_LATE } talk;

static talk wait_for(int socket, short event, double end) {
    double left = end - of_seconds();
    struct pollfd wanted = {.fd = socket, .events = event};
    int ready = poll(&wanted, 1, left > 0 ? (int)(left * 1000) + 1 : 0);
    if (ready < 0 && errno != EINTR)
        return TALK_DEAD;
    return ready > 0 || of_seconds() < end ? TALK_FINE : TALK_LATE;
}

static talk send_all(int socket, const void *from, size_t size, double end) {
    const char *next = from;
    while (size > 0) {
        ssize_t sent = send(socket, next, size, MSG_NOSIGNAL | MSG_DONTWAIT);
        if (sent > 0) {
            next += sent;
            size -= (size_t)sent;
        } else if (errno == EAGAIN || errno == EINTR) {
            talk waited = wait_for(socket, POLLOUT, end);
            if (waited != TALK_FINE)
                return waited;
        } else {
            return TALK_DEAD;
        }
    }
    return TALK_FINE;
}

static talk receive_all(int socket, void *to, size_t size, double end) {
    char *next = to;
    while (size > 0) {
        ssize_t got = recv(socket, next, size, MSG_DONTWAIT);
        if (got > 0) {
            next += got;
            size -= (size_t)got;
        } else if (got < 0 && (errno == EAGAIN || errno == EINTR)) {
            talk waited = wait_for(socket, POLLIN, end);
            if (waited != TALK_FINE)
                return waited;
        } else {
            return TALK_DEAD;
        }
    }
    return TALK_FINE;
}

static of_decoder_question question_for(const of_decoder *decoder, size_t size,
                                        const of_architecture *architecture) {
    return (of_decoder_question){.size = size,
                                 .max_pixels = decoder->options->max_pixels,
                                 .max_bytes = decoder->options->decoder_memory,
                                 .channels = architecture->channels,
                                 .height = architecture->height,
                                 .width = architecture->width};
}

static talk ask(of_decoder *decoder, const of_decoder_question *question, const void *bytes,
                uint8_t *pixels, of_decoder_answer *answer) {
    double end = of_seconds() + decoder->options->decode_time;
    talk result = send_all(decoder->socket, question, sizeof *question, end);
    if (result == TALK_FINE)
        result = send_all(decoder->socket, bytes, question->size, end);
    if (result == TALK_FINE)
        result = receive_all(decoder->socket, answer, sizeof *answer, end);
    if (result == TALK_FINE && answer->status == OF_OK)
        result = receive_all(decoder->socket, pixels,
                             (size_t)question->channels * question->height * question->width, end);
    return result;
}

/* Has it died since the last image? Then that is not this image's doing. */
static bool is_alive(const of_decoder *decoder) {
    char byte;
    ssize_t got = recv(decoder->socket, &byte, 1, MSG_DONTWAIT | MSG_PEEK);
    return got < 0 && (errno == EAGAIN || errno == EINTR);
}

static of_status make_ready(of_decoder *decoder, of_error *error) {
    if (decoder->process != 0 && !is_alive(decoder))
        of_decoder_close(decoder);
    return decoder->process != 0 ? OF_OK : start(decoder, error);
}

void of_decoder_warm(of_decoder *decoder) {
    if (decoder->options->isolate)
        (void)make_ready(decoder, NULL);
}

static of_status give_up(of_decoder *decoder, talk result, of_error *error) {
    of_decoder_close(decoder);
    of_meters_count(decoder->metrics, &decoder->metrics->decoder_failures);
    if (result == TALK_LATE)
        return of_fail(error, OF_ERROR_UNSUPPORTED, "the image takes more than %g s to decode",
                       decoder->options->decode_time);
    return of_fail(error, OF_ERROR_INTERNAL, "the decoder died over the image");
}

static of_status read_answer(const of_decoder_answer *answer, of_decoded *decoded,
                             of_error *error) {
    if (answer->status != OF_OK)
        return of_fail_setting(error, (of_status)answer->status, answer->setting, "%s",
                               answer->message);
    *decoded = (of_decoded){.height = answer->height,
                            .width = answer->width,
                            .resized = answer->resized != 0,
                            .reshaped = answer->reshaped != 0};
    return OF_OK;
}

/* A process that sends what it should not is as good as a dead one. */
static bool is_sound(of_decoder_answer *answer) {
    answer->setting[sizeof answer->setting - 1] = '\0';
    answer->message[sizeof answer->message - 1] = '\0';
    return answer->status >= OF_OK && answer->status <= OF_ERROR_INTERNAL;
}

static of_status run_apart(of_decoder *decoder, const void *bytes, size_t size,
                           const of_architecture *architecture, uint8_t *pixels,
                           of_decoded *decoded, of_error *error) {
    const of_decoder_question question = question_for(decoder, size, architecture);
    of_decoder_answer answer = {0};
    of_status status = make_ready(decoder, error);
    if (status != OF_OK)
        return status;
    talk result = ask(decoder, &question, bytes, pixels, &answer);
    if (result == TALK_FINE && !is_sound(&answer))
        result = TALK_DEAD;
    return result == TALK_FINE ? read_answer(&answer, decoded, error)
                               : give_up(decoder, result, error);
}

static of_status run_here(const of_decoder *decoder, const void *bytes, size_t size,
                          const of_architecture *architecture, uint8_t *pixels, of_decoded *decoded,
                          of_error *error) {
    of_image_options options = of_image_options_default(architecture);
    of_image_info info;
    options.max_pixels = decoder->options->max_pixels;
    options.max_bytes = decoder->options->decoder_memory;
    of_status status = of_image_read(bytes, size, "image", &options, pixels, &info, error);
    if (status == OF_OK)
        *decoded = (of_decoded){info.height, info.width, info.resized, info.reshaped};
    return status;
}

of_status of_decoder_run(of_decoder *decoder, const void *bytes, size_t size,
                         const of_architecture *architecture, uint8_t *pixels, of_decoded *decoded,
                         of_error *error) {
    double begin = of_seconds();
    of_status status = decoder->options->isolate
                           ? run_apart(decoder, bytes, size, architecture, pixels, decoded, error)
                           : run_here(decoder, bytes, size, architecture, pixels, decoded, error);
    of_meters_stage(decoder->metrics, OF_STAGE_DECODE, of_seconds() - begin);
    return status;
}
