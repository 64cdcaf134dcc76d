/* SPDX-License-Identifier: Apache-2.0 */
/* Bands of rows, one for each thread: code for a layer on so many rows of an image, and weights
 * once more where that code wants them packed otherwise. How they run: bands.c. */
#include "core/memory.h"
#include "graph/plan.h"

/* Does a layer of a network read the rows beside its own? */
static bool reads_neighbours(const of_convolution *layer) {
    return of_convolution_shape_of(layer)->kernel == 3;
}

static bool same_band_code(const of_scale_plan *scale, const of_band *a, const of_band *b,
                           const of_convolution *layer) {
    if (a->rows != b->rows)
        return false;
    bool a_above = a->first > 0, b_above = b->first > 0;
    bool a_below = a->first + a->rows < scale->rows, b_below = b->first + b->rows < scale->rows;
    return !reads_neighbours(layer) || (a_above == b_above && a_below == b_below);
}

static of_status pack_step_again(of_plan *plan, const of_scale_plan *scale, of_band *band,
                                 int layer, uint32_t k, float *plain, of_error *error) {
    const of_convolution *code = band->layers[layer];
    void *packed = of_arena_take(&plan->arena, of_convolution_weight_bytes(code), 1);
    if (packed == NULL)
        return of_fail_memory(error, "weights for bands of rows");
    band->weights[layer][k] = packed;
    of_status status = of_convolution_unpack(scale->layers[layer],
                                             scale->steps[k].layers[layer].weights, plain, error);
    return status == OF_OK ? of_convolution_pack(code, plain, packed, error) : status;
}

/* The weights of a layer of all steps once more, for code that wants them packed otherwise. */
static of_status pack_again(of_plan *plan, const of_scale_plan *scale, of_band *band, int layer,
                            of_error *error) {
    const of_convolution_shape *shape = of_convolution_shape_of(scale->layers[layer]);
    uint32_t steps = plan->architecture.steps;
    float *plain = of_allocate((size_t)shape->inputs * shape->outputs,
                               (size_t)shape->kernel * shape->kernel * sizeof(float));
    band->weights[layer] = of_arena_take(&plan->arena, steps, sizeof(void *));
    of_status status = plain != NULL && band->weights[layer] != NULL
                           ? OF_OK
                           : of_fail_memory(error, "weights for bands of rows");
    for (uint32_t k = 0; status == OF_OK && k < steps; k++)
        status = pack_step_again(plan, scale, band, layer, k, plain, error);
    of_free(plain);
    return status;
}

/* Code for a layer of a band: an earlier band's, or new; if possible for the weights as they are.
 * Clears *uniform where it gives other bits than the whole layer. */
static of_status make_layer(of_plan *plan, of_scale_plan *scale, of_band *band, int layer,
                            bool *uniform, of_error *error) {
    const of_convolution *whole = scale->layers[layer];
    for (const of_band *other = scale->bands; other < band; other++)
        if (other->rows > 0 && same_band_code(scale, other, band, whole)) {
            band->layers[layer] = other->layers[layer];
            band->weights[layer] = other->weights[layer];
            return OF_OK;
        }
    of_convolution_shape shape = *of_convolution_shape_of(whole);
    shape.height = band->rows;
    shape.above = reads_neighbours(whole) && band->first > 0;
    shape.below = reads_neighbours(whole) && band->first + band->rows < scale->rows;
    of_status status = of_convolution_create(&shape, 1, whole, &band->layers[layer], error);
    bool alike = status == OF_OK;
    if (!alike)
        status = of_convolution_create(&shape, 1, NULL, &band->layers[layer], error);
    if (status != OF_OK)
        return status;
    band->owns[layer] = true;
    status = of_convolution_is_uniform(whole, band->layers[layer], band->first, uniform, error);
    bool repack = status == OF_OK && *uniform && !alike;
    return repack ? pack_again(plan, scale, band, layer, error) : status;
}

static of_status make_bands(of_plan *plan, of_scale_plan *scale, bool *uniform, of_error *error) {
    uint32_t threads = plan->threads < scale->rows ? plan->threads : scale->rows;
    scale->bands = of_arena_take(&plan->arena, plan->threads, sizeof *scale->bands);
    if (scale->bands == NULL)
        return of_fail_memory(error, "bands of rows");
    for (uint32_t t = 0, first = 0; t < threads; t++) {
        of_band *band = &scale->bands[t];
        band->first = first;
        band->rows = scale->rows / threads + (t < scale->rows % threads);
        first += band->rows;
        for (int layer = 0; layer < OF_LAYER_MIX && *uniform; layer++) {
            of_status status = make_layer(plan, scale, band, layer, uniform, error);
            if (status != OF_OK)
                return status;
        }
    }
    return OF_OK;
}

void of_bands_free(of_scale_plan *scale, unsigned threads) {
    for (unsigned t = 0; scale->bands != NULL && t < threads; t++)
        for (int layer = 0; layer < OF_LAYER_MIX; layer++)
            if (scale->bands[t].owns[layer])
                of_convolution_free(scale->bands[t].layers[layer]);
    scale->bands = NULL;
}

/* What cannot be made is done without. */
bool of_bands_compile(of_plan *plan) {
    of_error reason;
    of_status status = OF_OK;
    bool uniform = true;
    for (uint32_t s = 0; status == OF_OK && uniform && s < plan->scale_count; s++)
        status = make_bands(plan, &plan->scales[s], &uniform, &reason);
    bool made = status == OF_OK && uniform;
    for (uint32_t s = 0; !made && s < plan->scale_count; s++)
        of_bands_free(&plan->scales[s], plan->threads);
    return made;
}
