/* SPDX-License-Identifier: Apache-2.0 */
/* Lanes that are taken in turn and share blocks: the same bits as side by side, in less memory;
 * sums that are rounded; lanes of which other processes have a part. */
#include "core/memory.h"
#include "core/random.h"
#include "graph/gradient.h"
#include "ranks/lane_tree.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "random_model.h"

enum { IMAGES = 19, LANES = 9 };

typedef struct subject {
    of_model *model;
    float *images;
} subject;

static subject make_subject(void) {
    of_architecture a = of_architecture_default();
    a.channels = 1;
    a.height = a.width = 8;
    a.scales = 2;
    a.steps = 2;
    a.hidden = 10;
    a.classes = 3;
    size_t floats = IMAGES * of_architecture_dimensions(&a);
    subject made = {make_model(&a), of_allocate(floats, sizeof(float))};
    of_random random = of_random_stream(5, 0);
    assert_non_null(made.images);
    for (size_t i = 0; i < floats; i++)
        made.images[i] = of_random_uniform(&random);
    return made;
}

static void free_subject(subject *s) {
    of_model_free(s->model);
    of_free(s->images);
}

static double loss(void *user, size_t image, double logp, const double *class_logp,
                   double *class_gradient) {
    (void)user;
    (void)logp;
    (void)class_logp;
    for (size_t c = 0; c < 3; c++)
        class_gradient[c] = c == image % 3 ? 1.0 : -0.25;
    return 0;
}

static of_training_plan *compile(const subject *s, of_training_options options, bool in_turn) {
    of_training_plan *plan = NULL;
    of_error error;
    options.one_call = in_turn;
    options.block_bytes = 1;
    options.batch = options.batch > 0 ? options.batch : IMAGES;
    if (of_training_compile(s->model, &options, &plan, &error) != OF_OK)
        fail_msg("%s", error.message);
    return plan;
}

static void run(of_training_plan *plan, const subject *s, size_t images) {
    const of_batch batch = {OF_PIXEL_F32, s->images, images};
    of_error error;
    if (of_training_gradient(plan, s->model, &batch, &(of_likelihoods){0}, loss, NULL, false,
                             &error) != OF_OK)
        fail_msg("%s", error.message);
}

/* The finished gradient, to be freed; *bytes: memory for gradients. */
static float *gradient_of(const subject *s, of_training_options options, bool in_turn,
                          size_t *floats, size_t *bytes) {
    float *blocks[64], *copy;
    of_training_plan *plan = compile(s, options, in_turn);
    for (int turn = 0; turn < 2; turn++) { /* the second one finds what the first one left */
        run(plan, s, IMAGES);
        assert_int_equal(of_training_finish_gradient(plan, s->model, NULL), OF_OK);
    }
    *floats = of_training_lane_blocks(plan, blocks);
    *bytes = of_training_memory_use(plan).gradients;
    copy = of_allocate(*floats, sizeof(float));
    assert_non_null(copy);
    of_gradient_view view = of_training_gradient_view(plan);
    memset(copy, 0, *floats * sizeof(float));
    for (size_t p = 0; p < s->model->parameter_count; p++)
        if (view.places[p] != OF_NO_PLACE)
            memcpy(copy + view.places[p], view.values + view.places[p],
                   s->model->parameters[p].count * sizeof(float));
    of_training_free(plan);
    return copy;
}

static void compare(const subject *s, of_training_options options, size_t most_blocks) {
    size_t floats, bytes, fewer;
    options.threads = 1;
    float *expected = gradient_of(s, options, false, &floats, &bytes);
    for (unsigned threads = 1; threads <= 3; threads++) {
        options.threads = threads;
        float *found = gradient_of(s, options, true, &floats, &fewer);
        if (memcmp(found, expected, floats * sizeof(float)) != 0)
            fail_msg("%u lanes, groups of %u, %u threads, in turn: other bits", options.lanes,
                     options.micro_batch, threads);
        size_t saved = options.lanes > most_blocks ? options.lanes - most_blocks : 0;
        assert_true(bytes - fewer >= saved * floats * sizeof(float));
        of_free(found);
    }
    of_free(expected);
}

/* As deep as the tree, and one more; one less where every lane is one group. */
static void in_turn_is_as_side_by_side(void **state) {
    static const size_t blocks[LANES + 1] = {0, 1, 2, 2, 3, 3, 3, 3, 4, 4};
    (void)state;
    subject s = make_subject();
    for (unsigned lanes = 1; lanes <= LANES; lanes++)
        for (unsigned group = 1; group <= 3; group++) {
            of_training_options options = {.lanes = lanes, .micro_batch = group};
            compare(&s, options, blocks[lanes]);
            options.sum_precision = OF_PRECISION_BF16;
            compare(&s, options, blocks[lanes]);
        }
    compare(&s, (of_training_options){.lanes = 4, .micro_batch = 5}, 2);
    compare(&s, (of_training_options){.lanes = 8, .micro_batch = 3}, 3);
    free_subject(&s);
}

static void rounded_sums_are_near(void **state) {
    (void)state;
    subject s = make_subject();
    size_t floats, bytes;
    double square = 0, off = 0;
    of_training_options options = {.threads = 1, .lanes = 4};
    float *exact = gradient_of(&s, options, false, &floats, &bytes);
    options.sum_precision = OF_PRECISION_BF16;
    float *rounded = gradient_of(&s, options, false, &floats, &bytes);
    for (size_t i = 0; i < floats; i++) {
        double difference = (double)rounded[i] - (double)exact[i];
        square += (double)exact[i] * (double)exact[i];
        off += difference * difference;
    }
    assert_true(off > 0);
    assert_true(off < 1e-4 * square);
    of_free(exact);
    of_free(rounded);
    free_subject(&s);
}

static void ready(void *user, size_t begin, size_t count) {
    (void)begin;
    *(size_t *)user += count;
}

/* The branches of lanes first..first+own of `lanes`, in the blocks of their first lanes. */
static void compare_part(const subject *s, unsigned lanes, unsigned ranks, unsigned rank) {
    of_branch branches[LANES];
    of_lane_tree tree = {.lanes = lanes, .ranks = ranks, .branches = branches};
    unsigned first = of_first_lane(lanes, ranks, rank);
    unsigned own = of_first_lane(lanes, ranks, rank + 1) - first;
    const of_training_options options = {
        .threads = 2, .lanes = own, .all_lanes = lanes, .first_lane = first, .micro_batch = 2};
    float *blocks[2][64];
    size_t told = 0, floats = 0;
    of_training_plan *plans[2];
    const of_gradient_exchange exchange = {&told, ready};
    for (int i = 0; i < 2; i++) {
        plans[i] = compile(s, options, i == 1);
        told = 0;
        of_training_exchange_next(plans[i], &exchange);
        run(plans[i], s, IMAGES);
        floats = of_training_lane_blocks(plans[i], blocks[i]);
        assert_int_equal(told, floats);
    }
    if (!of_training_lanes_added(plans[1]))
        assert_int_equal(own, 1);
    of_tree_list_branches(&tree);
    for (unsigned b = 0; b < tree.branch_count; b++) {
        if (branches[b].rank != rank)
            continue;
        unsigned place = branches[b].lane - first;
        of_tree_add_branch(&tree, &branches[b], blocks[0], first, 0, floats);
        if (memcmp(blocks[0][place], blocks[1][place], floats * sizeof(float)) != 0)
            fail_msg("%u lanes, rank %u of %u: lane %u has another sum", lanes, rank, ranks,
                     branches[b].lane);
    }
    of_training_free(plans[0]);
    of_training_free(plans[1]);
}

static void branches_of_a_rank_lie_in_their_first_lanes(void **state) {
    (void)state;
    subject s = make_subject();
    for (unsigned lanes = 2; lanes <= LANES; lanes++)
        for (unsigned ranks = 2; ranks <= 4 && ranks <= lanes; ranks++)
            for (unsigned rank = 0; rank < ranks; rank++)
                compare_part(&s, lanes, ranks, rank);
    free_subject(&s);
}

static void what_lanes_in_turn_cannot_do_is_an_error(void **state) {
    (void)state;
    subject s = make_subject();
    const of_training_options options = {.threads = 1, .lanes = 4, .micro_batch = 2, .batch = 8};
    of_training_plan *plan = compile(&s, options, true);
    of_batch batch = {OF_PIXEL_F32, s.images, 8};
    of_error error;
    run(plan, &s, 8);
    assert_int_equal(
        of_training_gradient(plan, s.model, &batch, &(of_likelihoods){0}, loss, NULL, true, &error),
        OF_ERROR_ARGUMENT);
    assert_non_null(strstr(error.message, "share memory"));
    for (batch.count = 3; batch.count <= 9; batch.count += 6)
        assert_int_equal(of_training_gradient(plan, s.model, &batch, &(of_likelihoods){0}, loss,
                                              NULL, false, &error),
                         OF_ERROR_ARGUMENT);
    of_training_free(plan);
    free_subject(&s);
}

int main(void) {
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(in_turn_is_as_side_by_side),
        cmocka_unit_test(rounded_sums_are_near),
        cmocka_unit_test(branches_of_a_rank_lie_in_their_first_lanes),
        cmocka_unit_test(what_lanes_in_turn_cannot_do_is_an_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
