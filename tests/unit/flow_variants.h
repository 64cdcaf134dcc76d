/* SPDX-License-Identifier: Apache-2.0 */
/* Small models of all that an architecture's fields say otherwise: each field alone, and random
 * combinations of them. Include after cmocka's headers. */
#ifndef OF_TESTS_FLOW_VARIANTS_H
#define OF_TESTS_FLOW_VARIANTS_H

#include <outflow/outflow.h>

enum { FLOW_FIELDS = 26, FLOW_COMBINATIONS = 40, FLOW_VARIANTS = FLOW_FIELDS + FLOW_COMBINATIONS };

typedef struct flow_variant {
    char name[48]; /* the field and its value, or "combination N" */
    of_architecture architecture;
} flow_variant;

/* Fields alone first, the last of these all of them at once. All pass of_architecture_check. */
void make_flow_variants(flow_variant variants[FLOW_VARIANTS]);

/* A model no tensor of which is neutral: also the unused halves of LU factors are not zero, and
 * network inputs have scales of both signs. */
of_model *make_flow_model(const of_architecture *architecture);

/* [count][height][width][channels] random bytes, to be freed with of_free. */
uint8_t *make_flow_pixels(const of_architecture *architecture, size_t count);

/* What variant this is, for messages: "combination 3: 1x24x16, 2 scales, ..., leak 0.1"; static. */
const char *describe_flow_variant(const flow_variant *variant);

#endif
