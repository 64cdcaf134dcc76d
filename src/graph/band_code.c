/* SPDX-License-Identifier: Apache-2.0 */
/* Bands of rows, one for each thread: code for a layer on so many rows of an image, and weights
 * once more where that code wants them packed otherwise. How they run: bands.c. */
#include "core/memory.h"
#include "graph/plan.h"

static of_convolution_shape band_shape(const of_scale_plan *scale, const of_op *op,
                                       const of_band *band) {
    of_convolution_shape shape = op->shape;
    shape.height = band->rows;
    shape.above = shape.kernel == 3 && band->first > 0;
    shape.below = shape.kernel == 3 && band->first + band->rows < scale->rows;
    return shape;
}

static bool same_rows(const of_convolution *code, const of_convolution_shape *shape) {
    const of_convolution_shape *has = of_convolution_shape_of(code);
    return has->height == shape->height && has->above == shape->above && has->below == shape->below;
}

/* Code that there is already: an earlier band's, or that of an earlier op with the same code for a
 * whole image. */
static const of_band_layer *find_code(const of_scale_plan *scale, const of_op *op, unsigned thread,
                                      const of_convolution_shape *shape) {
    for (unsigned t = 0; t < thread; t++)
        if (op->bands[t].code != NULL && same_rows(op->bands[t].code, shape))
            return &op->bands[t];
    for (const of_op *other = scale->ops; other < op; other++)
        if (other->code == op->code)
            return &other->bands[thread];
    return NULL;
}

static of_status pack_again(of_plan *plan, const of_op *op, of_band_layer *layer, of_error *error) {
    float *plain = of_allocate(of_convolution_weights(&op->shape), sizeof(float));
    layer->weights = of_arena_take(&plan->arena, of_convolution_weight_bytes(layer->code), 1);
    of_status status = plain != NULL && layer->weights != NULL
                           ? of_convolution_unpack(op->code, op->packed.weights, plain, error)
                           : of_fail_memory(error, "weights for bands of rows");
    if (status == OF_OK)
        status = of_convolution_pack(layer->code, plain, layer->weights, error);
    of_free(plain);
    return status;
}

/* New code, if possible for the weights as they are. Clears *uniform where it gives other bits than
 * the whole layer. */
static of_status make_code(const of_op *op, const of_band *band, const of_convolution_shape *shape,
                           of_band_layer *layer, bool *uniform, of_error *error) {
    of_status status = of_convolution_create(shape, 1, op->code, &layer->code, error);
    layer->alike = status == OF_OK;
    if (!layer->alike)
        status = of_convolution_create(shape, 1, NULL, &layer->code, error);
    layer->owns = status == OF_OK;
    return layer->owns
               ? of_convolution_is_uniform(op->code, layer->code, band->first, uniform, error)
               : status;
}

static of_status make_layer(of_plan *plan, const of_scale_plan *scale, of_op *op, unsigned thread,
                            bool *uniform, of_error *error) {
    const of_band *band = &scale->bands[thread];
    of_band_layer *layer = &op->bands[thread];
    of_convolution_shape shape = band_shape(scale, op, band);
    const of_band_layer *other = find_code(scale, op, thread, &shape);
    of_status status = OF_OK;
    if (other != NULL)
        *layer = (of_band_layer){.code = other->code, .alike = other->alike};
    else
        status = make_code(op, band, &shape, layer, uniform, error);
    if (status != OF_OK || !*uniform || layer->alike)
        return status;
    for (unsigned t = 0; t < thread; t++)
        if (op->bands[t].code == layer->code) {
            layer->weights = op->bands[t].weights;
            return OF_OK;
        }
    return pack_again(plan, op, layer, error);
}

static of_status make_layers(of_plan *plan, const of_scale_plan *scale, of_op *op, bool *uniform,
                             of_error *error) {
    op->bands = of_arena_take(&plan->arena, plan->threads, sizeof *op->bands);
    of_status status = op->bands ? OF_OK : of_fail_memory(error, "bands of rows");
    for (unsigned t = 0; status == OF_OK && *uniform && t < plan->threads; t++)
        if (scale->bands[t].rows > 0)
            status = make_layer(plan, scale, op, t, uniform, error);
    return status;
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
    }
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && *uniform && i < scale->op_count; i++)
        if (scale->ops[i].code != NULL)
            status = make_layers(plan, scale, &scale->ops[i], uniform, error);
    return status;
}

void of_bands_free(of_plan *plan) {
    for (size_t i = 0; i < plan->op_count; i++) {
        of_op *op = &plan->ops[i];
        for (unsigned t = 0; op->bands != NULL && t < plan->threads; t++)
            if (op->bands[t].owns)
                of_convolution_free(op->bands[t].code);
        op->bands = NULL;
    }
    for (uint32_t s = 0; s < plan->scale_count; s++)
        plan->scales[s].bands = NULL;
}

/* What cannot be made is done without. */
bool of_bands_compile(of_plan *plan) {
    of_error reason;
    of_status status = OF_OK;
    bool uniform = true;
    for (uint32_t s = 0; status == OF_OK && uniform && s < plan->scale_count; s++)
        status = make_bands(plan, &plan->scales[s], &uniform, &reason);
    bool made = status == OF_OK && uniform;
    if (!made)
        of_bands_free(plan);
    return made;
}
