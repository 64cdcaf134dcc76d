/* SPDX-License-Identifier: Apache-2.0 */
/* Built-in image generators. Image i depends on the kind, the seed and i alone. */
#ifndef OF_DATA_SYNTHETIC_SYNTHETIC_H
#define OF_DATA_SYNTHETIC_SYNTHETIC_H

#include "data/pixels/convert.h"

typedef enum of_synthetic_kind {
    OF_SYNTHETIC_SHAPES,   /* coloured objects of ten classes before textured scenes */
    OF_SYNTHETIC_DIGITS,   /* outlined digits before smooth colour gradients */
    OF_SYNTHETIC_TEXTURES, /* the scenes of `shapes` without an object */
    OF_SYNTHETIC_STRIPES,  /* two colours alternating along one direction */
    OF_SYNTHETIC_FLAT,     /* one colour */
    OF_SYNTHETIC_NOISE,    /* independent uniform bytes */
    OF_SYNTHETIC_GENERAL   /* all of these but noise, and smooth gradients, mixed */
} of_synthetic_kind;

typedef struct of_synthetic {
    of_synthetic_kind kind;
    uint64_t seed;
} of_synthetic;

/* Reads a kind's name, "shapes" and so on. */
of_status of_synthetic_parse(const char *name, of_synthetic_kind *kind, of_error *error);

/* Class of an image: its number and name; -1 and "" for kinds without classes. */
int32_t of_synthetic_class(const of_synthetic *synthetic, uint64_t index, const char **label);

/* Renders an image at the target's size and channel count. */
of_status of_synthetic_render(const of_synthetic *synthetic, uint64_t index,
                              const of_target *target, uint8_t *pixels, of_error *error);

#endif
