/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The order in which images are shown: epoch after epoch, each a random permutation of the set
 * that depends on (key, epoch) alone. Image number n of a run is at place n mod count of epoch
 * n / count, so a run's place in its data is one number.
 *
 * With shares, an epoch has as many images, but of each part of the set its share: the next ones
 * of a sequence of permutations of that part, in random order with those of the other parts.
 */
#ifndef OF_TRAIN_ORDER_H
#define OF_TRAIN_ORDER_H

#include <outflow/outflow.h>

/* Images first .. first + count - 1, of which an epoch has `quota`. */
typedef struct of_order_part {
    uint32_t first, count, quota;
} of_order_part;

typedef struct of_order {
    uint64_t key, epoch;
    uint32_t count;
    uint32_t *images; /* [count]: those of `epoch` in their order */
    /* With shares: */
    size_t part_count;    /* 0: without */
    of_order_part *parts; /* [part_count] */
    uint64_t *passes;     /* [count]: how often the image's part was gone through before */
    uint32_t *turn;       /* room for a permutation of the largest part */
} of_order;

of_status of_order_open(uint64_t key, size_t count, of_order *order, of_error *error);

/* Part i of the set ends before image ends[i]; shares are relative to their sum, each above 0. A
 * share of less than one image an epoch is OF_ERROR_ARGUMENT. */
of_status of_order_open_shares(uint64_t key, const size_t *ends, const double *shares,
                               size_t part_count, of_order *order, of_error *error);
void of_order_close(of_order *order);

/* The image at this place of a run, and how often it was shown before: with equal shares, the
 * epoch. */
uint32_t of_order_image(of_order *order, uint64_t place, uint64_t *pass);

/* A key for one purpose out of a run's seed: streams of different purposes do not meet. */
typedef enum of_key_purpose {
    OF_KEY_ORDER = 1,
    OF_KEY_AUGMENT = 2,
    OF_KEY_GENERAL_ORDER = 3,
    OF_KEY_GENERAL_AUGMENT = 4,
    OF_KEY_INITIALISE = 5
} of_key_purpose;
uint64_t of_key_for(uint64_t seed, of_key_purpose purpose);

#endif
