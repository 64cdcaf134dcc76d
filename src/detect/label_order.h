/* SPDX-License-Identifier: Apache-2.0 */
/* Do the images of a stream come class by class? Then its first ones are no fair sample. */
#ifndef OF_DETECT_LABEL_ORDER_H
#define OF_DETECT_LABEL_ORDER_H

#include <stdbool.h>
#include <stddef.h>

enum { OF_LABEL_ORDER_MOST = 64 /* classes that are remembered */, OF_LABEL_ORDER_NAME = 64 };

/* Starts from zero. */
typedef struct of_label_order {
    char names[OF_LABEL_ORDER_MOST][OF_LABEL_ORDER_NAME]; /* in the order of their first images */
    size_t classes;
    unsigned long long images;
    bool mixed; /* a class came again after another one, or there are too many to tell */
} of_label_order;

/* The next image's label; "" is none. */
void of_label_order_add(of_label_order *order, const char *label);

/* Did there come classes, each at one go and of two images or more on average? */
bool of_label_order_is_sorted(const of_label_order *order);

#endif
