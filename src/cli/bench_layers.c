/* SPDX-License-Identifier: Apache-2.0 */
/* outflow bench --layers: which layer takes how long, and how near to the machine's peak it runs.
 * Steps of a scale share a line. */
#include "cli/bench.h"
#include "cli/text.h"

#include "core/error.h"
#include "core/memory.h"
#include "core/progress.h"
#include "core/random.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* All steps of one kind of layer in one scale. */
typedef struct kind {
    of_layer_info layer; /* the first one, its name without the step */
    double seconds;      /* of all steps, an image */
    double flops;
    size_t weight_bytes, steps;
} kind;

/* "scales.0.steps.3.conv1" -> "scales.0.conv1" */
static void drop_step(char *name) {
    char *steps = strstr(name, ".steps.");
    if (steps == NULL)
        return;
    const char *rest = strchr(steps + strlen(".steps."), '.');
    if (rest != NULL)
        memmove(steps, rest, strlen(rest) + 1);
}

static size_t collect(const of_plan *plan, const double *seconds, size_t images, kind *kinds) {
    size_t count = 0;
    for (size_t i = 0; i < of_plan_layer_count(plan); i++) {
        of_layer_info layer;
        (void)of_plan_layer(plan, i, &layer, NULL);
        drop_step(layer.name);
        size_t k = 0;
        while (k < count && strcmp(kinds[k].layer.name, layer.name) != 0)
            k++;
        if (k == count)
            kinds[count++] = (kind){.layer = layer};
        kinds[k].seconds += seconds[i] / (double)images;
        kinds[k].flops += layer.flops;
        kinds[k].weight_bytes += layer.weight_bytes;
        kinds[k].steps++;
    }
    return count;
}

static void print_kinds(const kind *kinds, size_t count, double peak, FILE *file) {
    double total = 0, flops = 0;
    for (size_t k = 0; k < count; k++) {
        total += kinds[k].seconds;
        flops += kinds[k].flops;
    }
    (void)fprintf(
        file,
        "One thread; peak %.1f GFLOP/s (f32). Times and FLOP are of one image, all steps.\n\n"
        "| layer | operation | kernel | steps | images/call | us | %% of time | GFLOP/s "
        "| %% of peak | weights |\n"
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|\n",
        peak * 1e-9);
    for (size_t k = 0; k < count; k++) {
        const kind *row = &kinds[k];
        char weights[OF_NUMBER_SIZE];
        double rate = row->seconds > 0 ? row->flops / row->seconds : 0;
        (void)fprintf(file, "| %s | %s | %s | %zu | %u | %.1f | %.1f | %.1f | %.1f | %s |\n",
                      row->layer.name, row->layer.operation, row->layer.kernel, row->steps,
                      row->layer.images_per_call, 1e6 * row->seconds, 100 * row->seconds / total,
                      rate * 1e-9, 100 * rate / peak, of_bytes_text(row->weight_bytes, weights));
    }
    (void)fprintf(file, "| all | | | | | %.1f | 100.0 | %.1f | %.1f | |\n", 1e6 * total,
                  flops / total * 1e-9, 100 * flops / total / peak);
}

/* Adds up layer times for at least `seconds`; *passes counts the batches. */
static of_status profile(of_plan *plan, const of_batch *batch, double seconds, double *sums,
                         size_t *passes, of_error *error) {
    size_t layers = of_plan_layer_count(plan);
    double *times = calloc(layers, sizeof *times);
    of_status status = times ? of_plan_profile(plan, batch, times, error) /* warm-up */
                             : of_fail_memory(error, "layer times");
    double start = of_seconds();
    *passes = 0;
    while (status == OF_OK && (*passes == 0 || of_seconds() - start < seconds)) {
        status = of_plan_profile(plan, batch, times, error);
        for (size_t i = 0; i < layers; i++)
            sums[i] += times[i];
        (*passes)++;
    }
    free(times);
    return status;
}

of_status of_bench_layers(const of_model *model, of_isa isa, of_precision precision, uint64_t batch,
                          double seconds, FILE *file, of_error *error) {
    of_plan_options options = of_plan_options_default();
    of_plan *plan = NULL;
    double peak = 0, *sums = NULL;
    kind *kinds = NULL;
    uint8_t *pixels = NULL;
    size_t bytes = 0, passes = 0;
    options.isa = isa;
    options.precision = precision;
    options.threads = 1;
    of_status status = of_plan_compile(model, &options, &plan, error);
    if (status != OF_OK)
        return status;
    if (of_multiply(batch, of_architecture_dimensions(of_model_architecture(model)), &bytes))
        pixels = of_allocate(bytes, 1);
    sums = calloc(of_plan_layer_count(plan), sizeof *sums);
    kinds = calloc(of_plan_layer_count(plan), sizeof *kinds);
    if (pixels == NULL || sums == NULL || kinds == NULL) {
        status = of_fail_memory(error, "the layer table");
    } else {
        of_random random = of_random_stream(1, 0);
        for (size_t i = 0; i < bytes; i++)
            pixels[i] = (uint8_t)(of_random_u32(&random) >> 24);
        status =
            profile(plan, &(of_batch){OF_PIXEL_U8, pixels, batch}, seconds, sums, &passes, error);
    }
    if (status == OF_OK)
        status = of_measure_peak(1, OF_ISA_AUTO, &peak, error);
    if (status == OF_OK)
        print_kinds(kinds, collect(plan, sums, passes * batch, kinds), peak, file);
    free(kinds);
    free(sums);
    of_free(pixels);
    of_plan_free(plan);
    return status;
}
