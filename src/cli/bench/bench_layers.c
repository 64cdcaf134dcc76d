/* SPDX-License-Identifier: Apache-2.0 */
/* outflow bench --layers: which layer takes how long, and how near to the machine's peak it runs.
 * Steps of a scale share a line. */
#include "cli/bench/bench_profile.h"
#include "cli/terminal/words.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FORWARD, BACKWARD, UPDATE, PHASES };

static const char *const phase_names[PHASES] = {"forward", "backward", "update"};

/* All steps of one kind of layer in one scale; figures are of one image. */
typedef struct kind {
    of_layer_info layer; /* the first one, its name without the step */
    int phase;
    size_t steps;
    double seconds, flops;
    size_t input_bytes, output_bytes, weight_bytes;
    double traffic; /* bytes, if nothing stayed in a cache between calls */
} kind;

typedef struct layer_table {
    kind *kinds;
    size_t count, images; /* images: of a batch */
    double seconds;       /* an image, also between the layers */
    double peak;
    of_isa isa;
    of_precision precision;
    of_bench_mode mode;
} layer_table;

/* ---- Collecting ---------------------------------------------------------------------------- */

/* "scales.0.steps.3.conv1" -> "scales.0.conv1" */
static void drop_step(char *name) {
    char *steps = strstr(name, ".steps.");
    if (steps == NULL)
        return;
    const char *rest = strchr(steps + strlen(".steps."), '.');
    if (rest != NULL)
        memmove(steps, rest, strlen(rest) + 1);
}

static int phase_of(const of_layer_info *layer) {
    if (strncmp(layer->name, "scales.", strlen("scales.")) != 0)
        return UPDATE;
    return strstr(layer->name, ".backward.") != NULL ? BACKWARD : FORWARD;
}

/* Weights are read once a call; a call takes some of an image's units, or several images'. */
static double traffic_of(const of_layer_info *layer, size_t units, size_t images) {
    size_t most = units * images;
    size_t at_once =
        layer->images_per_call > 0 && layer->images_per_call < most ? layer->images_per_call : most;
    return (double)layer->input_bytes + (double)layer->output_bytes +
           (double)layer->weight_bytes * (double)units / (double)at_once;
}

static kind *kind_of(layer_table *table, const of_layer_info *layer) {
    for (size_t k = 0; k < table->count; k++)
        if (strcmp(table->kinds[k].layer.name, layer->name) == 0)
            return &table->kinds[k];
    kind *new_kind = &table->kinds[table->count++];
    *new_kind = (kind){.layer = *layer, .phase = phase_of(layer)};
    return new_kind;
}

static void collect(const of_bench_profile *profile, size_t units, layer_table *table) {
    for (size_t i = 0; i < profile->count; i++) {
        of_layer_info layer = profile->layers[i];
        if (profile->seconds[i] <= 0)
            continue; /* what this plan has nothing to do for */
        drop_step(layer.name);
        kind *k = kind_of(table, &layer);
        k->steps++;
        k->seconds += profile->seconds[i] / (double)profile->images;
        k->flops += layer.flops;
        k->input_bytes += layer.input_bytes;
        k->output_bytes += layer.output_bytes;
        k->weight_bytes += layer.weight_bytes;
        k->traffic += traffic_of(&layer, units, table->images);
    }
    table->seconds = profile->wall / (double)profile->images;
    table->isa = profile->isa;
    table->precision = profile->precision;
}

static void add(kind *sum, const kind *k) {
    sum->seconds += k->seconds;
    sum->flops += k->flops;
    sum->input_bytes += k->input_bytes;
    sum->output_bytes += k->output_bytes;
    sum->weight_bytes += k->weight_bytes;
    sum->traffic += k->traffic;
}

/* The sum of one phase, or of all. */
static kind sum_of(const layer_table *table, int phase) {
    kind sum = {.phase = phase};
    for (size_t k = 0; k < table->count; k++)
        if (phase == PHASES || table->kinds[k].phase == phase)
            add(&sum, &table->kinds[k]);
    return sum;
}

/* ---- Markdown ------------------------------------------------------------------------------ */

static void print_line(const layer_table *table, const kind *k, FILE *file) {
    const of_layer_info *layer = &k->layer;
    char input[OF_NUMBER_SIZE], output[OF_NUMBER_SIZE], weights[OF_NUMBER_SIZE];
    double rate = k->seconds > 0 ? k->flops / k->seconds : 0;
    (void)fprintf(file, "| %s | %s | %s | ", layer->name, layer->operation,
                  layer->kernel != NULL ? layer->kernel : "");
    if (k->steps > 0)
        (void)fprintf(file, "%zu | ", k->steps);
    else
        (void)fputs("| ", file);
    if (layer->images_per_call > 0)
        (void)fprintf(file, "%u | ", layer->images_per_call);
    else
        (void)fputs("| ", file);
    (void)fprintf(file, "%.4f | %.1f | ", 1e3 * k->seconds, 100 * k->seconds / table->seconds);
    if (k->flops > 0)
        (void)fprintf(file, "%.1f | %.1f | ", rate * 1e-9, 100 * rate / table->peak);
    else
        (void)fputs("| | ", file);
    (void)fprintf(file, "%s | %s | %s | ", of_bytes_text(k->input_bytes, input),
                  of_bytes_text(k->output_bytes, output), of_bytes_text(k->weight_bytes, weights));
    if (k->flops > 0)
        (void)fprintf(file, "%.1f | ", k->flops / k->traffic);
    else
        (void)fputs("| ", file);
    (void)fprintf(file, "%.1f |\n", k->seconds > 0 ? k->traffic / k->seconds * 1e-9 : 0);
}

static void print_sum(const layer_table *table, int phase, const char *name, FILE *file) {
    kind sum = sum_of(table, phase);
    if (phase == PHASES)
        sum.seconds = table->seconds;
    (void)snprintf(sum.layer.name, sizeof sum.layer.name, "%s", name);
    print_line(table, &sum, file);
}

static void print_markdown(const of_bench_context *context, const layer_table *table, FILE *file) {
    double between = table->seconds - sum_of(table, PHASES).seconds;
    double flops = context->flops_per_image * (table->mode == OF_BENCH_TRAIN ? 3 : 1);
    double rate = flops / table->seconds;
    of_bench_context_print(context, file);
    (void)fprintf(
        file,
        "One thread, %s, %s, batches of %zu; peak %.1f GFLOP/s (f32). Times, FLOP and activations "
        "are of one image, all steps.\n\n"
        "| layer | operation | kernel | steps | images/call | ms | %% of time | GFLOP/s "
        "| %% of peak | in | out | weights | FLOP/byte | GB/s |\n"
        "|---|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        of_isa_name(table->isa), of_precision_name(table->precision), table->images,
        table->peak * 1e-9);
    for (size_t k = 0; k < table->count; k++)
        print_line(table, &table->kinds[k], file);
    for (int phase = 0; table->mode == OF_BENCH_TRAIN && phase < PHASES; phase++)
        print_sum(table, phase, phase_names[phase], file);
    (void)fprintf(file, "| between the layers | | | | | %.4f | %.1f | | | | | | | |\n",
                  1e3 * between, 100 * between / table->seconds);
    print_sum(table, PHASES, "all", file);
    (void)fprintf(file,
                  "\n%.4g images/s; the network's direct convolutions%s: %.1f GFLOP/s, %.1f %% of "
                  "the peak.\n",
                  1 / table->seconds, table->mode == OF_BENCH_TRAIN ? ", three times" : "",
                  rate * 1e-9, 100 * rate / table->peak);
}

/* ---- Records ------------------------------------------------------------------------------- */

static void record_kind(const of_bench_context *context, const layer_table *table, const kind *k,
                        of_records *records) {
    const of_layer_info *layer = &k->layer;
    double rate = k->seconds > 0 ? k->flops / k->seconds : 0;
    of_records_begin(records);
    of_records_text(records, "mode", of_bench_mode_name(table->mode));
    of_records_count(records, "batch", table->images);
    of_records_count(records, "threads", 1);
    of_records_text(records, "isa", of_isa_name(table->isa));
    of_records_text(records, "precision", of_precision_name(table->precision));
    of_records_text(records, "phase", phase_names[k->phase]);
    of_records_text(records, "layer", layer->name);
    of_records_text(records, "operation", layer->operation);
    of_records_text(records, "kernel", layer->kernel);
    of_records_count(records, "steps", k->steps);
    of_records_count(records, "images_per_call", layer->images_per_call);
    of_records_real(records, "ms", 1e3 * k->seconds);
    of_records_real(records, "time_percent", 100 * k->seconds / table->seconds);
    of_records_real(records, "flop", k->flops);
    of_records_real(records, "gflops", rate * 1e-9);
    of_records_real(records, "peak_gflops", table->peak * 1e-9);
    of_records_real(records, "peak_percent", 100 * rate / table->peak);
    of_records_count(records, "input_bytes", k->input_bytes);
    of_records_count(records, "output_bytes", k->output_bytes);
    of_records_count(records, "weight_bytes", k->weight_bytes);
    of_records_real(records, "flop_per_byte", k->flops / k->traffic);
    of_records_real(records, "gb_per_second", k->traffic / k->seconds * 1e-9);
    of_records_real(records, "image_ms", 1e3 * table->seconds);
    of_bench_context_record(context, context->architecture, records);
    of_records_end(records);
}

static of_status print_table(const of_bench_context *context, const layer_table *table,
                             of_bench_format format, FILE *file, of_error *error) {
    if (format == OF_BENCH_MARKDOWN) {
        print_markdown(context, table, file);
        return OF_OK;
    }
    of_records records;
    of_status status = of_records_open(of_bench_record_format(format), file, &records, error);
    if (status != OF_OK)
        return status;
    for (size_t k = 0; k < table->count; k++)
        record_kind(context, table, &table->kinds[k], &records);
    return of_records_close(&records, error);
}

of_status of_bench_layers(of_model *model, const of_bench_wish *wish,
                          const of_bench_context *context, of_bench_format format, FILE *file,
                          of_error *error) {
    layer_table table = {.images = (size_t)wish->batch, .mode = wish->mode};
    of_bench_profile profile = {0};
    double before = 0, after = 0;
    of_status status = of_measure_peak(1, OF_ISA_AUTO, &before, error);
    if (status == OF_OK)
        status = of_bench_profile_run(model, wish, &profile, error);
    if (status == OF_OK)
        status = of_measure_peak(1, OF_ISA_AUTO, &after, error);
    if (status == OF_OK) {
        table.peak = fmax(before, after); /* disturbances only lower it */
        table.kinds = calloc(profile.count, sizeof *table.kinds);
        if (table.kinds == NULL)
            status = of_fail_memory(error, "the layer table");
    }
    if (status == OF_OK) {
        collect(&profile, of_architecture_units(of_model_architecture(model)), &table);
        status = print_table(context, &table, format, file, error);
    }
    free(table.kinds);
    of_bench_profile_free(&profile);
    return status;
}
