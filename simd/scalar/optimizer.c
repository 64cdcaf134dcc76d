/* SPDX-License-Identifier: Apache-2.0 */
/* One step of an optimizer, element by element; the equations stand in kernels.h. */
#include "kernels_scalar.h"

#include <math.h>

static float moving_average(float old, float value, float beta) {
    return beta * old + (1.0f - beta) * value;
}

static void adamax(const of_optimizer_update *update, size_t i, float g) {
    float *w = &update->values[i], *m = &update->first[i], *u = &update->second[i];
    float decayed = update->beta2 * *u, size = fabsf(g) + update->epsilon;
    *m = moving_average(*m, g, update->beta1);
    *u = size > decayed ? size : decayed; /* NaN when u was: m tells of g */
    *w -= update->step * *m / *u;
}

static void adam(const of_optimizer_update *update, size_t i, float g) {
    float *w = &update->values[i], *m = &update->first[i], *u = &update->second[i];
    *m = moving_average(*m, g, update->beta1);
    *u = moving_average(*u, g * g, update->beta2);
    *w -= update->step * *m / (sqrtf(*u * update->second_correction) + update->epsilon);
}

void of_scalar_optimizer_update(const of_optimizer_update *update) {
    for (size_t i = 0; i < update->n; i++) {
        float g = update->gradient_scale * update->gradients[i], *w = &update->values[i];
        if (update->kind == OF_OPTIMIZER_ADAMW)
            *w -= update->rate * update->weight_decay * *w;
        else
            g += update->weight_decay * *w;
        if (update->kind == OF_OPTIMIZER_ADAMAX)
            adamax(update, i, g);
        else
            adam(update, i, g);
    }
}
