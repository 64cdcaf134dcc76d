/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "train/feeder.h"

#include "core/error.h"
#include "core/memory.h"

#include <pthread.h>
#include <signal.h>
#include <string.h>

/* Two batches take turns: `given` of them were handed out, `made` are prepared, made - given is 0
 * or 1 while one of them is in use. */
struct of_feeder {
    of_feeder_options options;
    of_order order;
    of_feed feeds[2];
    uint64_t place; /* of the next batch to be prepared */
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    pthread_t thread;
    bool started, stop;
    uint64_t given, made;
};

size_t of_lane_images(size_t batch, unsigned lanes, unsigned first_lane, unsigned own_lanes) {
    size_t rest = batch % lanes, images = batch / lanes * own_lanes;
    size_t more = rest > first_lane ? rest - first_lane : 0;
    return images + (more < own_lanes ? more : own_lanes);
}

size_t of_lane_image(size_t index, unsigned lanes, unsigned first_lane, unsigned own_lanes) {
    return index / own_lanes * lanes + first_lane + index % own_lanes;
}

static void fill(of_feeder *feeder, of_feed *feed) {
    const of_feeder_options *options = &feeder->options;
    size_t values = options->dataset->image_bytes;
    uint64_t start = feeder->place;
    feeder->place += options->batch;
    for (size_t i = 0; i < feed->count; i++) {
        uint64_t pass, place = start + of_lane_image(i, options->lanes, options->first_lane,
                                                     options->own_lanes);
        uint32_t image = of_order_image(&feeder->order, place, &pass);
        const uint8_t *pixels = of_dataset_image(options->dataset, image);
        feed->images[i] = image;
        feed->classes[i] = options->dataset->classes[image];
        if (options->augment)
            of_augment(&options->augmentation, pass, image, pixels, feed->pixels + i * values);
        else
            of_dequantise(&options->augmentation, pass, image, pixels, feed->pixels + i * values);
    }
}

static void *run(void *argument) {
    of_feeder *feeder = argument;
    pthread_mutex_lock(&feeder->mutex);
    while (!feeder->stop) {
        if (feeder->made > feeder->given) {
            pthread_cond_wait(&feeder->changed, &feeder->mutex);
            continue;
        }
        of_feed *feed = &feeder->feeds[feeder->made % 2];
        pthread_mutex_unlock(&feeder->mutex);
        fill(feeder, feed);
        pthread_mutex_lock(&feeder->mutex);
        feeder->made++;
        pthread_cond_signal(&feeder->changed);
    }
    pthread_mutex_unlock(&feeder->mutex);
    return NULL;
}

static of_status allocate_feed(of_feed *feed, const of_feeder_options *options, of_error *error) {
    size_t values;
    feed->count =
        of_lane_images(options->batch, options->lanes, options->first_lane, options->own_lanes);
    feed->pixels = of_multiply(feed->count, options->dataset->image_bytes, &values)
                       ? of_allocate(values, sizeof *feed->pixels)
                       : NULL;
    feed->images = of_allocate(feed->count, sizeof *feed->images);
    feed->classes = of_allocate(feed->count, sizeof *feed->classes);
    if (feed->pixels == NULL || feed->images == NULL || feed->classes == NULL)
        return of_fail_memory(error, "a batch of training images");
    return OF_OK;
}

/* Signals are for the caller's threads. */
static of_status start(of_feeder *feeder, of_error *error) {
    sigset_t all, previous;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &previous);
    int failure = pthread_create(&feeder->thread, NULL, run, feeder);
    pthread_sigmask(SIG_SETMASK, &previous, NULL);
    if (failure != 0)
        return of_fail(error, OF_ERROR_INTERNAL, "cannot start a thread for training images: %s",
                       strerror(failure));
    feeder->started = true;
    return OF_OK;
}

static of_status open_order(const of_feeder_options *options, of_order *order, of_error *error) {
    const of_dataset *dataset = options->dataset;
    return options->shares == NULL
               ? of_order_open(options->order_key, dataset->count, order, error)
               : of_order_open_shares(options->order_key, dataset->source_ends, options->shares,
                                      dataset->source_count, order, error);
}

of_status of_feeder_open(const of_feeder_options *options, of_feeder **feeder, of_error *error) {
    of_feeder *made = of_allocate_zeroed(1, sizeof *made);
    if (made == NULL)
        return of_fail_memory(error, "a feeder of training images");
    made->options = *options;
    if (made->options.lanes == 0)
        made->options.lanes = made->options.own_lanes = 1;
    made->place = options->first;
    pthread_mutex_init(&made->mutex, NULL);
    pthread_cond_init(&made->changed, NULL);
    of_status status = open_order(options, &made->order, error);
    for (int i = 0; status == OF_OK && i < 2; i++)
        status = allocate_feed(&made->feeds[i], &made->options, error);
    if (status == OF_OK)
        status = start(made, error);
    if (status == OF_OK)
        *feeder = made;
    else
        of_feeder_close(made);
    return status;
}

const of_feed *of_feeder_next(of_feeder *feeder) {
    pthread_mutex_lock(&feeder->mutex);
    while (feeder->made == feeder->given)
        pthread_cond_wait(&feeder->changed, &feeder->mutex);
    const of_feed *feed = &feeder->feeds[feeder->given++ % 2];
    pthread_cond_signal(&feeder->changed);
    pthread_mutex_unlock(&feeder->mutex);
    return feed;
}

void of_feeder_close(of_feeder *feeder) {
    if (feeder == NULL)
        return;
    if (feeder->started) {
        pthread_mutex_lock(&feeder->mutex);
        feeder->stop = true;
        pthread_cond_signal(&feeder->changed);
        pthread_mutex_unlock(&feeder->mutex);
        pthread_join(feeder->thread, NULL);
    }
    for (int i = 0; i < 2; i++) {
        of_free(feeder->feeds[i].pixels);
        of_free(feeder->feeds[i].images);
        of_free(feeder->feeds[i].classes);
    }
    of_order_close(&feeder->order);
    pthread_cond_destroy(&feeder->changed);
    pthread_mutex_destroy(&feeder->mutex);
    of_free(feeder);
}
