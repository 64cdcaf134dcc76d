/* SPDX-License-Identifier: Apache-2.0 */
/* One step of an optimizer: every array passes through the registers once. */
#include "kernels_avx2.h"
#include "vector.h"

/* What a step multiplies with, in all lanes. */
typedef struct constants {
    __m256 gradient_scale, weight_decay, shrink, step, beta1, beta2, rest1, rest2, epsilon,
        correction;
} constants;

static constants constants_of(const of_optimizer_update *update) {
    return (constants){
        .gradient_scale = _mm256_set1_ps(update->gradient_scale),
        .weight_decay = _mm256_set1_ps(update->weight_decay),
        .shrink = _mm256_set1_ps(update->rate * update->weight_decay),
        .step = _mm256_set1_ps(update->step),
        .beta1 = _mm256_set1_ps(update->beta1),
        .beta2 = _mm256_set1_ps(update->beta2),
        .rest1 = _mm256_set1_ps(1.0f - update->beta1),
        .rest2 = _mm256_set1_ps(1.0f - update->beta2),
        .epsilon = _mm256_set1_ps(update->epsilon),
        .correction = _mm256_set1_ps(update->second_correction),
    };
}

/* One vector; `kind` and a whole vector's `lanes` are constants at each call. */
ALWAYS_INLINE void update_vector(const of_optimizer_update *update, const constants *k, size_t i,
                                 size_t lanes, of_optimizer_kind kind) {
    __m256 w = load_first(update->values + i, lanes), m = load_first(update->first + i, lanes);
    __m256 u = load_first(update->second + i, lanes);
    __m256 g = _mm256_mul_ps(k->gradient_scale, load_first(update->gradients + i, lanes));
    if (kind == OF_OPTIMIZER_ADAMW)
        w = _mm256_fnmadd_ps(k->shrink, w, w);
    else
        g = _mm256_fmadd_ps(k->weight_decay, w, g);
    m = _mm256_fmadd_ps(k->beta1, m, _mm256_mul_ps(k->rest1, g));
    __m256 divisor;
    if (kind == OF_OPTIMIZER_ADAMAX) {
        __m256 size = _mm256_add_ps(_mm256_andnot_ps(_mm256_set1_ps(-0.0f), g), k->epsilon);
        u = _mm256_max_ps(size, _mm256_mul_ps(k->beta2, u)); /* NaN when u was */
        divisor = u;
    } else {
        __m256 square = _mm256_mul_ps(g, g);
        u = _mm256_fmadd_ps(k->beta2, u, _mm256_mul_ps(k->rest2, square));
        divisor = _mm256_add_ps(_mm256_sqrt_ps(_mm256_mul_ps(u, k->correction)), k->epsilon);
    }
    w = _mm256_sub_ps(w, _mm256_div_ps(_mm256_mul_ps(k->step, m), divisor));
    store_first(update->values + i, w, lanes);
    store_first(update->first + i, m, lanes);
    store_first(update->second + i, u, lanes);
}

ALWAYS_INLINE void update_all(const of_optimizer_update *update, of_optimizer_kind kind) {
    const of_optimizer_update copy = *update; /* copies that no store can alias */
    const constants k = constants_of(update);
    size_t i = 0;
    for (; i + LANES <= copy.n; i += LANES)
        update_vector(&copy, &k, i, LANES, kind);
    if (i < copy.n)
        update_vector(&copy, &k, i, copy.n - i, kind);
}

void of_avx2_optimizer_update(const of_optimizer_update *update) {
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
