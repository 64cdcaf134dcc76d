/* SPDX-License-Identifier: Apache-2.0 */
/* One step of an optimizer: every array passes through the registers once. */
#include "kernels_avx512.h"
#include "vector.h"

/* What a step multiplies with, in all lanes. */
typedef struct constants {
    __m512 gradient_scale, weight_decay, shrink, step, beta1, beta2, rest1, rest2, epsilon,
        correction;
} constants;

static constants constants_of(const of_optimizer_update *update) {
    return (constants){
        .gradient_scale = _mm512_set1_ps(update->gradient_scale),
        .weight_decay = _mm512_set1_ps(update->weight_decay),
        .shrink = _mm512_set1_ps(update->rate * update->weight_decay),
        .step = _mm512_set1_ps(update->step),
        .beta1 = _mm512_set1_ps(update->beta1),
        .beta2 = _mm512_set1_ps(update->beta2),
        .rest1 = _mm512_set1_ps(1.0f - update->beta1),
        .rest2 = _mm512_set1_ps(1.0f - update->beta2),
        .epsilon = _mm512_set1_ps(update->epsilon),
        .correction = _mm512_set1_ps(update->second_correction),
    };
}

/* One vector; `kind` and a whole vector's `lanes` are constants at each call. */
ALWAYS_INLINE void update_vector(const of_optimizer_update *update, const constants *k, size_t i,
                                 __mmask16 lanes, of_optimizer_kind kind) {
    __m512 w = _mm512_maskz_loadu_ps(lanes, update->values + i),
           m = _mm512_maskz_loadu_ps(lanes, update->first + i);
    __m512 u = _mm512_maskz_loadu_ps(lanes, update->second + i);
    __m512 g =
        _mm512_mul_ps(k->gradient_scale, _mm512_maskz_loadu_ps(lanes, update->gradients + i));
    if (kind == OF_OPTIMIZER_ADAMW)
        w = _mm512_fnmadd_ps(k->shrink, w, w);
    else
        g = _mm512_fmadd_ps(k->weight_decay, w, g);
    m = _mm512_fmadd_ps(k->beta1, m, _mm512_mul_ps(k->rest1, g));
    __m512 divisor;
    if (kind == OF_OPTIMIZER_ADAMAX) {
        __m512 size = _mm512_add_ps(_mm512_abs_ps(g), k->epsilon);
        u = _mm512_max_ps(size, _mm512_mul_ps(k->beta2, u)); /* NaN when u was */
        divisor = u;
    } else {
        __m512 square = _mm512_mul_ps(g, g);
        u = _mm512_fmadd_ps(k->beta2, u, _mm512_mul_ps(k->rest2, square));
        divisor = _mm512_add_ps(_mm512_sqrt_ps(_mm512_mul_ps(u, k->correction)), k->epsilon);
    }
    w = _mm512_sub_ps(w, _mm512_div_ps(_mm512_mul_ps(k->step, m), divisor));
    _mm512_mask_storeu_ps(update->values + i, lanes, w);
    _mm512_mask_storeu_ps(update->first + i, lanes, m);
    _mm512_mask_storeu_ps(update->second + i, lanes, u);
}

ALWAYS_INLINE void update_all(const of_optimizer_update *update, of_optimizer_kind kind) {
    const of_optimizer_update copy = *update; /* copies that no store can alias */
    const constants k = constants_of(update);
    size_t i = 0;
    for (; i + LANES <= copy.n; i += LANES)
        update_vector(&copy, &k, i, first_lanes(LANES), kind);
    if (i < copy.n)
        update_vector(&copy, &k, i, first_lanes(copy.n - i), kind);
}

void of_avx512_optimizer_update(const of_optimizer_update *update) {
    switch (update->kind) {
    case OF_OPTIMIZER_ADAMAX:
        update_all(update, OF_OPTIMIZER_ADAMAX);
        break;
    case OF_OPTIMIZER_ADAM:
        update_all(update, OF_OPTIMIZER_ADAM);
        break;
    case OF_OPTIMIZER_ADAMW:
        update_all(update, OF_OPTIMIZER_ADAMW);
        break;
    }
}
