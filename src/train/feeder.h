/* SPDX-License-Identifier: Apache-2.0 */
/* Batches of training images, in the order of a run. While one is being used, a thread prepares
 * the next. */
#ifndef OF_TRAIN_FEEDER_H
#define OF_TRAIN_FEEDER_H

#include "data/sets/augment.h"
#include "data/sets/dataset.h"
#include "train/order.h"

typedef struct of_feed {
    size_t count;
    float *pixels;    /* [count] images in the form of OF_PIXEL_F32 */
    uint32_t *images; /* [count] their numbers in the set */
    int32_t *classes; /* [count] */
} of_feed;

typedef struct of_feeder of_feeder;

typedef struct of_feeder_options {
    const of_dataset *dataset; /* must outlive the feeder, as do its pixels */
    of_augmentation augmentation;
    bool augment; /* move images, not only dequantise them */
    uint64_t order_key;
    const double *shares; /* [dataset->source_count] of the draw; NULL: by the sources' sizes */
    uint64_t first;       /* place in the run of the first image */
    size_t batch;
    /* Of each batch only the images of these lanes: image i belongs to lane i mod lanes. lanes 0:
     * all images. */
    unsigned lanes, first_lane, own_lanes;
} of_feeder_options;

/* Images of a batch that belong to these lanes; and the place in the batch of number `index` of
 * them. Such images have among themselves the lanes index mod own_lanes. */
size_t of_lane_images(size_t batch, unsigned lanes, unsigned first_lane, unsigned own_lanes);
size_t of_lane_image(size_t index, unsigned lanes, unsigned first_lane, unsigned own_lanes);

of_status of_feeder_open(const of_feeder_options *options, of_feeder **feeder, of_error *error);

/* The next batch, valid until the next call. */
const of_feed *of_feeder_next(of_feeder *feeder);

/* Accepts NULL. */
void of_feeder_close(of_feeder *feeder);

#endif
