/* SPDX-License-Identifier: Apache-2.0 */
/* Does a convolution give an image the same bits however many images a call takes, and in bands of
 * rows? Compiled code answers best: it is run on random numbers. */
#include "core/error.h"
#include "core/memory.h"
#include "core/random.h"
#include "graph/plan.h"

#include <omp.h>
#include <string.h>

typedef struct probe {
    float *weights, *bias;
    unsigned char *source, *target, *expected; /* numbers of the shape's precisions */
    void *packed, *scratch;
    size_t source_bytes, target_bytes; /* of one image */
} probe;

static void free_probe(probe *data) {
    of_free(data->source);
    of_free(data->target);
    of_free(data->expected);
    of_free(data->weights);
    of_free(data->packed);
    of_free(data->bias);
    of_free(data->scratch);
}

/* Uniform in [-1/2, 1/2), integers in what they may be. The upper half of a float is a number in
 * bfloat16. */
static void fill_source(const of_convolution_shape *shape, of_random *random, size_t count,
                        unsigned char *source) {
    for (size_t i = 0; i < count; i++) {
        float value = of_random_uniform(random) - 0.5F;
        uint32_t bits;
        memcpy(&bits, &value, sizeof bits);
        uint16_t upper = (uint16_t)(bits >> 16);
        if (shape->source == OF_PRECISION_INT8)
            source[i] = (uint8_t)(bits >> 8);
        else if (shape->source == OF_PRECISION_INT16)
            upper = (uint16_t)(int16_t)(value * (2 * OF_INT16_MOST));
        if (shape->source == OF_PRECISION_INT8)
            continue;
        if (shape->source != OF_PRECISION_F32)
            memcpy(source + i * sizeof upper, &upper, sizeof upper);
        else
            memcpy(source + i * sizeof value, &value, sizeof value);
    }
}

static of_status make_probe(const of_convolution *convolution, const of_convolution *band,
                            probe *data, of_error *error) {
    const of_convolution_shape *shape = of_convolution_shape_of(convolution);
    size_t images = of_convolution_most_images(convolution);
    size_t positions = (size_t)shape->height * shape->width;
    size_t weight_count = of_convolution_weights(shape);
    *data = (probe){.source_bytes = positions * shape->inputs * of_precision_bytes(shape->source),
                    .target_bytes = positions * shape->outputs * of_precision_bytes(shape->target)};
    data->source = of_allocate(images, data->source_bytes);
    data->target = of_allocate(images, data->target_bytes);
    data->expected = of_allocate(images, data->target_bytes);
    data->weights = of_allocate(weight_count, sizeof(float));
    data->packed = of_allocate_zeroed(of_larger(of_convolution_weight_bytes(convolution),
                                                band ? of_convolution_weight_bytes(band) : 0),
                                      1);
    data->bias = of_allocate_zeroed(shape->outputs, sizeof(float));
    data->scratch = of_allocate(of_larger(of_convolution_scratch_bytes(convolution),
                                          band ? of_convolution_scratch_bytes(band) : 0),
                                1);
    if (!data->source || !data->target || !data->expected || !data->weights || !data->packed ||
        !data->bias || !data->scratch) {
        free_probe(data);
        return of_fail_memory(error, "a convolution's self-check");
    }
    of_random random = of_random_stream(0x0f10, 0);
    fill_source(shape, &random, images * positions * shape->inputs, data->source);
    for (size_t i = 0; i < weight_count; i++)
        data->weights[i] = of_random_uniform(&random) - 0.5F;
    return OF_OK;
}

/* Runs all images of the probe in calls of `images` and compares with what is expected. */
static of_status compare_calls(const of_convolution *convolution, uint32_t images, uint32_t total,
                               const probe *data, bool *uniform, of_error *error) {
    for (uint32_t first = 0; first < total; first += images) {
        of_status status = of_convolution_run(
            convolution, images, data->source + first * data->source_bytes, data->packed,
            data->bias, data->target + first * data->target_bytes, data->scratch, error);
        if (status != OF_OK)
            return status;
    }
    if (memcmp(data->target, data->expected, total * data->target_bytes) != 0)
        *uniform = false;
    return OF_OK;
}

/* Rows from `first` on of the first image. */
static of_status compare_band(const of_convolution *band, uint32_t first, uint32_t image_rows,
                              const probe *data, bool *uniform, of_error *error) {
    const of_convolution_shape *shape = of_convolution_shape_of(band);
    size_t source_row = data->source_bytes / image_rows,
           target_row = data->target_bytes / image_rows;
    of_status status =
        of_convolution_run(band, 1, data->source + (first - shape->above) * source_row,
                           data->packed, data->bias, data->target, data->scratch, error);
    if (status == OF_OK &&
        memcmp(data->target, data->expected + first * target_row, shape->height * target_row) != 0)
        *uniform = false;
    return status;
}

of_status of_convolution_is_uniform(const of_convolution *convolution, const of_convolution *band,
                                    uint32_t first, bool *uniform, of_error *error) {
    probe data;
    of_status status = make_probe(convolution, band, &data, error);
    if (status != OF_OK)
        return status;
    uint32_t total = of_convolution_most_images(convolution);
    int callers_threads = omp_get_max_threads();
    omp_set_num_threads(1);
    status = of_convolution_pack(convolution, data.weights, data.packed, error);
    if (status == OF_OK)
        status = of_convolution_run(convolution, band != NULL ? 1 : total, data.source, data.packed,
                                    data.bias, data.expected, data.scratch, error);
    for (uint32_t images = 1; status == OF_OK && band == NULL && images < total; images *= 2)
        status = compare_calls(convolution, images, total, &data, uniform, error);
    if (status == OF_OK && band != NULL)
        status = of_convolution_pack(band, data.weights, data.packed, error);
    if (status == OF_OK && band != NULL)
        status = compare_band(band, first, of_convolution_shape_of(convolution)->height, &data,
                              uniform, error);
    omp_set_num_threads(callers_threads);
    free_probe(&data);
    return status;
}
