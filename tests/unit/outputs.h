/* SPDX-License-Identifier: Apache-2.0 */
/* Everything that a session finds out about images. Include after cmocka's headers and compiled.h.
 */
#ifndef OF_TESTS_OUTPUTS_H
#define OF_TESTS_OUTPUTS_H

#include "core/memory.h"

#include <string.h>

typedef struct outputs {
    double *logp, *contributions, *squares, *class_logp;
    float *latents;
    size_t scales, classes, dimensions;
} outputs;

static inline outputs make_outputs(const of_architecture *a, size_t count) {
    outputs out = {.scales = of_architecture_scale_count(a),
                   .classes = a->classes,
                   .dimensions = of_architecture_dimensions(a)};
    out.logp = of_allocate_zeroed(count, sizeof(double));
    out.contributions = of_allocate_zeroed(count * out.scales, sizeof(double));
    out.squares = of_allocate_zeroed(count * out.scales, sizeof(double));
    out.class_logp = out.classes ? of_allocate_zeroed(count * out.classes, sizeof(double)) : NULL;
    out.latents = of_allocate_zeroed(count * out.dimensions, sizeof(float));
    assert_true(out.logp && out.contributions && out.squares && out.latents);
    return out;
}

static inline void free_outputs(outputs *out) {
    of_free(out->logp);
    of_free(out->contributions);
    of_free(out->squares);
    of_free(out->class_logp);
    of_free(out->latents);
}

/* `type` of the pixels: images [first, first + count). */
static inline void forward_pixels(const compiled *model, of_pixel_type type, const void *pixels,
                                  const outputs *out, size_t first, size_t count) {
    of_error error;
    const of_likelihoods results = {
        .logp = out->logp + first,
        .contributions = out->contributions + first * out->scales,
        .latent_squares = out->squares + first * out->scales,
        .class_logp = out->classes ? out->class_logp + first * out->classes : NULL,
        .latents = out->latents + first * out->dimensions};
    size_t size = type == OF_PIXEL_U8 ? sizeof(uint8_t) : sizeof(float);
    const of_batch batch = {type, (const char *)pixels + first * out->dimensions * size, count};
    if (of_session_forward(model->session, &batch, &results, &error) != OF_OK)
        fail_msg("%s", error.message);
}

static inline void forward(const compiled *model, const uint8_t *pixels, const outputs *out,
                           size_t first, size_t count) {
    forward_pixels(model, OF_PIXEL_U8, pixels, out, first, count);
}

/* Which of them differ in any bit; NULL: none. */
static inline const char *difference_of_outputs(const outputs *a, const outputs *b, size_t count) {
    size_t of_scales = count * a->scales * sizeof(double);
    if (memcmp(a->logp, b->logp, count * sizeof(double)) != 0)
        return "log-likelihoods";
    if (memcmp(a->contributions, b->contributions, of_scales) != 0)
        return "contributions";
    if (memcmp(a->squares, b->squares, of_scales) != 0)
        return "squares of latents";
    if (a->classes > 0 &&
        memcmp(a->class_logp, b->class_logp, count * a->classes * sizeof(double)) != 0)
        return "log-likelihoods of classes";
    bool same = memcmp(a->latents, b->latents, count * a->dimensions * sizeof(float)) == 0;
    return same ? NULL : "latents";
}

static inline void assert_same_bits(const outputs *a, const outputs *b, size_t count) {
    const char *different = difference_of_outputs(a, b, count);
    if (different != NULL)
        fail_msg("other %s", different);
}

#endif
