/* SPDX-License-Identifier: Apache-2.0 */
#include "train/order.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/random.h"

uint64_t of_key_for(uint64_t seed, of_key_purpose purpose) {
    uint32_t words[4];
    of_philox(seed, (uint64_t)purpose, UINT64_MAX, words);
    return (uint64_t)words[0] << 32 | words[1];
}

/* Fisher and Yates. */
static void shuffle(of_order *order, uint64_t epoch) {
    of_random random = of_random_stream(order->key, epoch);
    for (uint32_t i = 0; i < order->count; i++)
        order->images[i] = i;
    for (uint32_t i = order->count; i > 1; i--) {
        uint32_t other = of_random_below(&random, i), last = order->images[i - 1];
        order->images[i - 1] = order->images[other];
        order->images[other] = last;
    }
    order->epoch = epoch;
}

of_status of_order_open(uint64_t key, size_t count, of_order *order, of_error *error) {
    of_order made = {.key = key, .count = (uint32_t)count};
    if (count == 0 || count > UINT32_MAX)
        return of_fail(error, OF_ERROR_ARGUMENT, "an order of %zu images", count);
    made.images = of_allocate(count, sizeof *made.images);
    if (made.images == NULL)
        return of_fail_memory(error, "the order of a set");
    shuffle(&made, 0);
    *order = made;
    return OF_OK;
}

void of_order_close(of_order *order) {
    of_free(order->images);
    *order = (of_order){0};
}

uint32_t of_order_image(of_order *order, uint64_t place, uint64_t *epoch) {
    *epoch = place / order->count;
    if (*epoch != order->epoch)
        shuffle(order, *epoch);
    return order->images[place % order->count];
}
