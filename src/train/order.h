/* SPDX-License-Identifier: Apache-2.0 */
/* The order in which images are shown: epoch after epoch, each a random permutation of the set
 * that depends on (key, epoch) alone. Image number n of a run is at place n mod count of epoch
 * n / count, so a run's place in its data is one number. */
#ifndef OF_TRAIN_ORDER_H
#define OF_TRAIN_ORDER_H

#include <outflow/outflow.h>

typedef struct of_order {
    uint64_t key, epoch;
    uint32_t count;
    uint32_t *images; /* [count]: the permutation of `epoch` */
} of_order;

of_status of_order_open(uint64_t key, size_t count, of_order *order, of_error *error);
void of_order_close(of_order *order);

/* The image at this place of a run, and its epoch. */
uint32_t of_order_image(of_order *order, uint64_t place, uint64_t *epoch);

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
