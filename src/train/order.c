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
static void shuffle(uint64_t key, uint64_t stream, uint32_t *images, uint32_t count) {
    of_random random = of_random_stream(key, stream);
    for (uint32_t i = count; i > 1; i--) {
        uint32_t other = of_random_below(&random, i), last = images[i - 1];
        images[i - 1] = images[other];
        images[other] = last;
    }
}

static uint64_t key_of_part(const of_order *order, size_t part) {
    uint32_t words[4];
    of_philox(order->key, part, UINT64_MAX - 1, words);
    return (uint64_t)words[0] << 32 | words[1];
}

/* The quota's images of a part from its place of this epoch on, to `to`. */
static void draw_part(const of_order *order, size_t number, uint64_t epoch, uint32_t to) {
    const of_order_part *part = &order->parts[number];
    uint64_t key = key_of_part(order, number), drawn = UINT64_MAX;
    for (uint32_t i = 0; i < part->quota; i++) {
        uint64_t place = epoch * part->quota + i, pass = place / part->count;
        if (pass != drawn) {
            for (uint32_t j = 0; j < part->count; j++)
                order->turn[j] = part->first + j;
            shuffle(key, pass, order->turn, part->count);
            drawn = pass;
        }
        order->images[to + i] = order->turn[place % part->count];
        order->passes[to + i] = pass;
    }
}

/* Images and their passes are moved together. */
static void mix_parts(const of_order *order, uint64_t epoch) {
    of_random random = of_random_stream(order->key, epoch);
    for (uint32_t i = order->count; i > 1; i--) {
        uint32_t other = of_random_below(&random, i), image = order->images[i - 1];
        uint64_t pass = order->passes[i - 1];
        order->images[i - 1] = order->images[other];
        order->passes[i - 1] = order->passes[other];
        order->images[other] = image;
        order->passes[other] = pass;
    }
}

static void fill(of_order *order, uint64_t epoch) {
    uint32_t filled = 0;
    order->epoch = epoch;
    if (order->part_count == 0) {
        for (uint32_t i = 0; i < order->count; i++)
            order->images[i] = i;
        shuffle(order->key, epoch, order->images, order->count);
        return;
    }
    for (size_t i = 0; i < order->part_count; i++) {
        draw_part(order, i, epoch, filled);
        filled += order->parts[i].quota;
    }
    mix_parts(order, epoch);
}

of_status of_order_open(uint64_t key, size_t count, of_order *order, of_error *error) {
    of_order made = {.key = key, .count = (uint32_t)count};
    if (count == 0 || count > UINT32_MAX)
        return of_fail(error, OF_ERROR_ARGUMENT, "an order of %zu images", count);
    made.images = of_allocate(count, sizeof *made.images);
    if (made.images == NULL)
        return of_fail_memory(error, "the order of a set");
    fill(&made, 0);
    *order = made;
    return OF_OK;
}

/* Quotas by the rounded sums of the shares before and with a part, so that they add up. */
static of_status set_quotas(of_order *order, const size_t *ends, const double *shares,
                            of_error *error) {
    double sum = 0, before = 0;
    uint32_t given = 0;
    for (size_t i = 0; i < order->part_count; i++)
        sum += shares[i];
    for (size_t i = 0; i < order->part_count; i++) {
        of_order_part *part = &order->parts[i];
        bool last = i + 1 == order->part_count;
        part->first = i == 0 ? 0 : (uint32_t)ends[i - 1];
        part->count = (uint32_t)ends[i] - part->first;
        before += shares[i];
        uint32_t with = last ? order->count : (uint32_t)(before / sum * order->count + 0.5);
        part->quota = with - given;
        given = with;
        if (part->quota == 0)
            return of_fail(error, OF_ERROR_ARGUMENT,
                           "source %zu has a share of %.3g of %.3g: less than one image of the %u "
                           "of an epoch",
                           i + 1, shares[i], sum, (unsigned)order->count);
    }
    return OF_OK;
}

of_status of_order_open_shares(uint64_t key, const size_t *ends, const double *shares,
                               size_t part_count, of_order *order, of_error *error) {
    size_t count = ends[part_count - 1], largest = 0;
    of_order made = {.key = key, .count = (uint32_t)count, .part_count = part_count};
    if (count == 0 || count > UINT32_MAX)
        return of_fail(error, OF_ERROR_ARGUMENT, "an order of %zu images", count);
    for (size_t i = 0; i < part_count; i++) {
        size_t size = ends[i] - (i > 0 ? ends[i - 1] : 0);
        largest = size > largest ? size : largest;
    }
    made.images = of_allocate(count, sizeof *made.images);
    made.parts = of_allocate(part_count, sizeof *made.parts);
    made.passes = of_allocate(count, sizeof *made.passes);
    made.turn = of_allocate(largest, sizeof *made.turn);
    of_status status = OF_OK;
    if (made.images == NULL || made.parts == NULL || made.passes == NULL || made.turn == NULL)
        status = of_fail_memory(error, "the order of a set");
    if (status == OF_OK)
        status = set_quotas(&made, ends, shares, error);
    if (status != OF_OK) {
        of_order_close(&made);
        return status;
    }
    fill(&made, 0);
    *order = made;
    return OF_OK;
}

void of_order_close(of_order *order) {
    of_free(order->images);
    of_free(order->parts);
    of_free(order->passes);
    of_free(order->turn);
    *order = (of_order){0};
}

uint32_t of_order_image(of_order *order, uint64_t place, uint64_t *pass) {
    uint64_t epoch = place / order->count;
    if (epoch != order->epoch)
        fill(order, epoch);
    *pass = order->part_count > 0 ? order->passes[place % order->count] : epoch;
    return order->images[place % order->count];
}
