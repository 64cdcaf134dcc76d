/* SPDX-License-Identifier: Apache-2.0 */
/* outflow bench --cost: how the time of a call grows with the steps of the flow, the images and the
 * pixels. Each is varied alone; a straight line is fitted to the times. */
#include "cli/bench/bench.h"

#include <math.h>
#include <stdlib.h>

enum { STEPS, IMAGES, PIXELS, SWEEPS, MOST_VALUES = 9 };

typedef struct sweep {
    const char *name, *unit;
    uint64_t values[MOST_VALUES]; /* of --steps, --batch and --size */
    size_t count;
} sweep;

static const sweep sweeps[SWEEPS] = {
    {"steps", "step", {1, 2, 4, 8, 16}, 5},
    {"images", "image", {1, 2, 4, 8, 16, 32, 64, 128, 256}, 9},
    {"pixels", "pixel", {16, 32, 64, 128}, 4},
};

/* What was measured of one sweep. */
typedef struct series {
    double amount[MOST_VALUES];  /* steps, images or pixels */
    double seconds[MOST_VALUES]; /* a call */
    of_bench_row rows[MOST_VALUES];
    size_t count;
    of_bench_line line;
    double growth; /* time of the last over time of the first, divided by that of amounts */
} series;

static of_architecture varied(const of_architecture *base, int which, uint64_t value) {
    of_architecture a = *base;
    if (which == STEPS)
        a.steps = (uint32_t)value;
    else if (which == PIXELS)
        a.height = a.width = (uint32_t)value;
    return a;
}

static of_status measure(const of_architecture *base, const of_bench_wish *base_wish, int which,
                         series *s, of_error *error) {
    uint64_t value = sweeps[which].values[s->count];
    of_architecture architecture = varied(base, which, value);
    of_bench_wish wish = *base_wish;
    of_bench_row *row = &s->rows[s->count];
    of_model *model = NULL;
    wish.batch = which == IMAGES ? value : base_wish->batch;
    of_status status = of_architecture_check(&architecture, error);
    if (status == OF_OK)
        status = of_model_create(&architecture, 1, &model, error);
    if (status == OF_OK)
        status = of_bench_measure(model, &wish, row, error);
    if (status == OF_OK) {
        double size = (double)value;
        s->amount[s->count] = which == PIXELS ? size * size : size;
        s->seconds[s->count] = (double)wish.batch / of_bench_median(row);
        s->count++;
    }
    free(row->rates);
    row->rates = NULL;
    of_model_free(model);
    return status;
}

static of_status measure_series(const of_architecture *base, of_bench_wish *wish, int which,
                                series *s, of_error *error) {
    for (size_t i = 0; i < sweeps[which].count; i++) {
        of_status status = measure(base, wish, which, s, error);
        if (status != OF_OK)
            return status;
        wish->progress_from += wish->repetitions;
    }
    size_t last = s->count - 1;
    s->line = of_bench_fit(s->amount, s->seconds, s->count);
    s->growth = s->seconds[last] / s->seconds[0] / (s->amount[last] / s->amount[0]);
    return OF_OK;
}

/* ---- Printing ------------------------------------------------------------------------------ */

static double rate_of(const series *s, size_t i) {
    return (double)s->rows[i].batch / s->seconds[i];
}

static double fitted(const series *s, size_t i) {
    return s->line.constant + s->line.slope * s->amount[i];
}

/* A call's time for one step, image or pixel; of one image unless images are varied. */
static double unit_seconds(const series *s, int which, size_t i) {
    return s->seconds[i] / s->amount[i] / (which == IMAGES ? 1 : (double)s->rows[i].batch);
}

static void print_series(const series *s, int which, FILE *file) {
    const char *unit = sweeps[which].unit;
    (void)fprintf(file,
                  "| %s | images/s | ms/call | us/%s%s | line ms | off the line |\n"
                  "|---:|---:|---:|---:|---:|---:|\n",
                  sweeps[which].name, unit, which == IMAGES ? "" : " and image");
    for (size_t i = 0; i < s->count; i++)
        (void)fprintf(file, "| %.0f | %.4g | %.4g | %.4g | %.4g | %+.1f %% |\n", s->amount[i],
                      rate_of(s, i), 1e3 * s->seconds[i], 1e6 * unit_seconds(s, which, i),
                      1e3 * fitted(s, i), 100 * (s->seconds[i] / fitted(s, i) - 1));
    (void)fprintf(file,
                  "\n%.0f times the %s take %.2f times the time (%.2f of proportional); line: %.3g "
                  "ms + %.4g us for each %s, R² %.5f\n\n",
                  s->amount[s->count - 1] / s->amount[0], sweeps[which].name,
                  s->seconds[s->count - 1] / s->seconds[0], s->growth, 1e3 * s->line.constant,
                  1e6 * s->line.slope, unit, s->line.r2);
}

static void print_markdown(const of_bench_context *context, const of_architecture *base,
                           const of_bench_wish *wish, const series *all, FILE *file) {
    of_bench_context_print(context, file);
    (void)fprintf(file,
                  "Mode %s, %u thread%s; what is not varied: %u steps, batches of %llu, images of "
                  "%ux%u. Medians of %llu repetitions.\n\n",
                  of_bench_mode_name(wish->mode), all[0].rows[0].threads,
                  all[0].rows[0].threads == 1 ? "" : "s", (unsigned)base->steps,
                  (unsigned long long)wish->batch, (unsigned)base->width, (unsigned)base->height,
                  (unsigned long long)wish->repetitions);
    for (int which = 0; which < SWEEPS; which++)
        print_series(&all[which], which, file);
}

static void record_point(const of_bench_context *context, const of_architecture *base,
                         const series *s, int which, size_t i, of_records *records) {
    const of_bench_row *row = &s->rows[i];
    of_architecture a = varied(base, which, sweeps[which].values[i]);
    of_records_begin(records);
    of_records_text(records, "mode", of_bench_mode_name(row->mode));
    of_records_text(records, "varied", sweeps[which].name);
    of_records_real(records, "amount", s->amount[i]);
    of_records_count(records, "batch", row->batch);
    of_records_count(records, "threads", row->threads);
    of_records_text(records, "isa", of_isa_name(row->isa));
    of_records_text(records, "precision", of_precision_name(row->precision));
    of_records_real(records, "images_per_second", rate_of(s, i));
    of_records_real(records, "call_ms", 1e3 * s->seconds[i]);
    of_records_real(records, "unit_us", 1e6 * unit_seconds(s, which, i));
    of_records_real(records, "line_ms", 1e3 * fitted(s, i));
    of_records_real(records, "line_constant_ms", 1e3 * s->line.constant);
    of_records_real(records, "line_slope_us", 1e6 * s->line.slope);
    of_records_real(records, "line_r2", s->line.r2);
    of_records_real(records, "growth_over_proportional", s->growth);
    of_records_flag(records, "bound", row->bound);
    of_records_text(records, "thread_cpus", row->thread_cpus);
    of_bench_context_record(context, &a, records);
    of_records_end(records);
}

static of_status print_all(const of_bench_context *context, const of_architecture *base,
                           const of_bench_wish *wish, const series *all, of_bench_format format,
                           FILE *file, of_error *error) {
    if (format == OF_BENCH_MARKDOWN) {
        print_markdown(context, base, wish, all, file);
        return OF_OK;
    }
    of_records records;
    of_status status = of_records_open(of_bench_record_format(format), file, &records, error);
    if (status != OF_OK)
        return status;
    for (int which = 0; which < SWEEPS; which++)
        for (size_t i = 0; i < all[which].count; i++)
            record_point(context, base, &all[which], which, i, &records);
    return of_records_close(&records, error);
}

of_status of_bench_cost(const of_architecture *base, const of_bench_wish *base_wish,
                        const of_bench_context *context, of_bench_format format, FILE *file,
                        of_error *error) {
    of_bench_wish wish = *base_wish;
    series *all = calloc(SWEEPS, sizeof *all);
    of_status status = all ? OF_OK : of_fail_memory(error, "results");
    wish.without_peak = true;
    for (int which = 0; status == OF_OK && which < SWEEPS; which++)
        status = measure_series(base, &wish, which, &all[which], error);
    if (status == OF_OK)
        status = print_all(context, base, &wish, all, format, file, error);
    free(all);
    return status;
}
