/* SPDX-License-Identifier: Apache-2.0 */
/* The result of outflow bench in its formats. */
#include "cli/bench/bench.h"
#include "cli/terminal/words.h"

#include <math.h>
#include <string.h>

const char *of_bench_mode_name(of_bench_mode mode) {
    static const char *const names[] = {"score", "latency", "train"};
    return names[mode];
}

static double gflops(const of_bench_row *row) {
    return of_bench_median(row) * row->flops_per_image * 1e-9;
}

static double peak_percent(const of_bench_row *row) {
    return row->peak > 0 ? 100e9 * gflops(row) / row->peak : (double)NAN;
}

/* Standard deviation of the repetitions in percent of their mean. */
static double spread_percent(const of_bench_row *row) {
    return 100 * of_bench_deviation(row->rates, row->count) / of_bench_mean(row->rates, row->count);
}

/* ---- Records ------------------------------------------------------------------------------- */

of_record_format of_bench_record_format(of_bench_format format) {
    return format == OF_BENCH_CSV    ? OF_RECORD_CSV
           : format == OF_BENCH_JSON ? OF_RECORD_JSON
                                     : OF_RECORD_JSONL;
}

static void record_latency(const of_bench_row *row, of_records *records) {
    const of_bench_latency *l = &row->latency;
    double image = 1e3 / (double)row->batch;
    of_records_real(records, "latency_min_ms", 1e3 * l->least);
    of_records_real(records, "latency_p50_ms", 1e3 * l->p50);
    of_records_real(records, "latency_p90_ms", 1e3 * l->p90);
    of_records_real(records, "latency_p95_ms", 1e3 * l->p95);
    of_records_real(records, "latency_p99_ms", 1e3 * l->p99);
    of_records_real(records, "latency_p999_ms", 1e3 * l->p999);
    of_records_real(records, "latency_max_ms", 1e3 * l->most);
    of_records_real(records, "latency_mean_ms", 1e3 * l->mean);
    of_records_real(records, "latency_stddev_ms", 1e3 * l->deviation);
    of_records_real(records, "latency_jitter_ms", 1e3 * l->jitter);
    of_records_real(records, "image_p50_ms", image * l->p50);
    of_records_real(records, "image_p90_ms", image * l->p90);
    of_records_real(records, "image_p99_ms", image * l->p99);
    of_records_real(records, "image_max_ms", image * l->most);
    of_records_count(records, "calls", l->calls);
    of_records_count(records, "warmup_calls", row->warmup_calls);
    of_records_flag(records, "p90_has_enough_calls", l->calls >= of_bench_calls_for(0.90));
    of_records_flag(records, "p99_has_enough_calls", l->calls >= of_bench_calls_for(0.99));
}

static void record_row(const of_bench_context *context, const of_bench_row *row,
                       of_records *records) {
    of_records_begin(records);
    of_records_text(records, "mode", of_bench_mode_name(row->mode));
    of_records_count(records, "batch", row->batch);
    of_records_count(records, "threads", row->threads);
    of_records_text(records, "isa", of_isa_name(row->isa));
    of_records_text(records, "precision", of_precision_name(row->precision));
    of_records_real(records, "images_per_second", of_bench_median(row));
    of_records_real(records, "images_per_second_min", row->rates[0]);
    of_records_real(records, "images_per_second_max", row->rates[row->count - 1]);
    of_records_real(records, "images_per_second_stddev",
                    of_bench_deviation(row->rates, row->count));
    of_records_real(records, "spread_percent", spread_percent(row));
    of_records_real(records, "gflops", gflops(row));
    of_records_real(records, "peak_gflops", row->peak * 1e-9);
    of_records_real(records, "peak_percent", peak_percent(row));
    record_latency(row, records);
    of_records_real(records, "rss_mb", (double)row->resident_bytes / 1048576);
    of_records_real(records, "weights_mb", (double)row->weight_bytes / 1048576);
    of_records_real(records, "compile_seconds", row->compile_seconds);
    of_records_real(records, "gflop_per_image", row->flops_per_image * 1e-9);
    of_records_count(records, "repetitions", row->count);
    of_records_list(records, "samples_images_per_second", row->rates, row->count);
    of_records_flag(records, "bound", row->bound);
    of_records_text(records, "thread_cpus", row->thread_cpus);
    of_records_count(records, "parameters", context->parameters);
    of_bench_context_record(context, context->architecture, records);
    of_records_end(records);
}

static of_status print_records(const of_bench_context *context, const of_bench_row *rows,
                               size_t count, of_bench_format format, FILE *file, of_error *error) {
    of_records records;
    of_status status = of_records_open(of_bench_record_format(format), file, &records, error);
    if (status != OF_OK)
        return status;
    for (size_t i = 0; i < count; i++)
        record_row(context, &rows[i], &records);
    return of_records_close(&records, error);
}

/* ---- Markdown ------------------------------------------------------------------------------ */

/* A percentile in ms, with a star if fewer than ten calls lie beyond it. */
static const char *percentile_text(const of_bench_row *row, double seconds, double share,
                                   char text[OF_NUMBER_SIZE]) {
    bool enough = row->latency.calls >= of_bench_calls_for(share);
    (void)snprintf(text, OF_NUMBER_SIZE, "%.4g%s", 1e3 * seconds, enough ? "" : "*");
    return text;
}

static bool too_few_calls(const of_bench_row *rows, size_t count) {
    for (size_t i = 0; i < count; i++)
        if (rows[i].latency.calls < of_bench_calls_for(0.99))
            return true;
    return false;
}

/* Where threads may run; records have it in full. */
static const char *cpus_text(const of_bench_row *row) {
    if (!row->bound)
        return "any";
    return strlen(row->thread_cpus) <= 24 ? row->thread_cpus : "bound";
}

static void print_throughput(const of_bench_row *row, FILE *file) {
    const of_bench_latency *l = &row->latency;
    char p90[OF_NUMBER_SIZE], p99[OF_NUMBER_SIZE];
    (void)fprintf(
        file,
        "| %s | %llu | %u | %s | %s | %.4g | %.4g..%.4g | %.1f | %.1f | %.1f | %.4g | %s | %s "
        "| %.0f | %s |\n",
        of_bench_mode_name(row->mode), (unsigned long long)row->batch, row->threads,
        of_isa_name(row->isa), of_precision_name(row->precision), of_bench_median(row),
        row->rates[0], row->rates[row->count - 1], spread_percent(row), gflops(row),
        peak_percent(row), 1e3 * l->p50, percentile_text(row, l->p90, 0.90, p90),
        percentile_text(row, l->p99, 0.99, p99), (double)row->resident_bytes / 1048576,
        cpus_text(row));
}

static void print_latency(const of_bench_row *row, FILE *file) {
    const of_bench_latency *l = &row->latency;
    double image = 1.0 / (double)row->batch;
    char text[4][OF_NUMBER_SIZE];
    (void)fprintf(
        file,
        "| %s | %llu | %u | %s | %s | %zu | %.4g | %.4g | %s | %s | %.4g | %.3g | %.4g | %s | "
        "%s | %.4g | %.4g | %.1f | %.1f | %.0f | %s |\n",
        of_bench_mode_name(row->mode), (unsigned long long)row->batch, row->threads,
        of_isa_name(row->isa), of_precision_name(row->precision), l->calls, 1e3 * l->least,
        1e3 * l->p50, percentile_text(row, l->p90, 0.90, text[0]),
        percentile_text(row, l->p99, 0.99, text[1]), 1e3 * l->most, 1e3 * l->jitter,
        1e3 * image * l->p50, percentile_text(row, image * l->p90, 0.90, text[2]),
        percentile_text(row, image * l->p99, 0.99, text[3]), 1e3 * image * l->most,
        of_bench_median(row), spread_percent(row), peak_percent(row),
        (double)row->resident_bytes / 1048576, cpus_text(row));
}

static void print_markdown(const of_bench_context *context, const of_bench_row *rows, size_t count,
                           FILE *file) {
    bool latency = count > 0 && rows[0].mode == OF_BENCH_LATENCY;
    of_bench_context_print(context, file);
    if (latency)
        (void)fputs("| mode | batch | threads | isa | precision | calls | min ms | p50 ms | p90 ms "
                    "| p99 ms | "
                    "max ms | jitter ms | p50 ms/image | p90 ms/image | p99 ms/image | "
                    "max ms/image | images/s | ± % | % of peak | RSS MiB | CPUs |\n"
                    "|---|---:|---:|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|---:|"
                    "---:|---:|---:|---:|---|\n",
                    file);
    else
        (void)fputs(
            "| mode | batch | threads | isa | precision | images/s | min..max | ± % | GFLOP/s | "
            "% of peak | p50 ms | p90 ms | p99 ms | RSS MiB | CPUs |\n"
            "|---|---:|---:|---|---|---:|---:|---:|---:|---:|---:|---:|---:|---:|---|\n",
            file);
    for (size_t i = 0; i < count; i++) {
        if (latency)
            print_latency(&rows[i], file);
        else
            print_throughput(&rows[i], file);
    }
    if (latency)
        (void)fputs("\nOne call after the other, on images in memory: nothing is decoded.\n", file);
    if (too_few_calls(rows, count))
        (void)fprintf(file,
                      "%s* fewer than 10 calls lie beyond this percentile: p90 needs %zu calls, "
                      "p99 %zu; see --calls.\n",
                      latency ? "" : "\n", of_bench_calls_for(0.90), of_bench_calls_for(0.99));
}

of_status of_bench_print(const of_bench_context *context, const of_bench_row *rows, size_t count,
                         of_bench_format format, FILE *file, of_error *error) {
    if (format != OF_BENCH_MARKDOWN)
        return print_records(context, rows, count, format, file, error);
    print_markdown(context, rows, count, file);
    return OF_OK;
}
