/* SPDX-License-Identifier: Apache-2.0 */
/* The result of outflow bench in its formats. Every format has the same columns. */
#define _POSIX_C_SOURCE 200809L
#include "cli/bench.h"
#include "cli/json.h"
#include "cli/processor.h"
#include "cli/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const char *mode_name(of_bench_mode mode) {
    return mode == OF_BENCH_TRAIN ? "train" : "score";
}

static void now_text(char text[32]) {
    time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts) == NULL || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        text[0] = '\0';
}

static double gflops(const of_bench_row *row) {
    return of_bench_median(row) * row->flops_per_image * 1e-9;
}

static double peak_percent(const of_bench_row *row) {
    return row->peak > 0 ? 100e9 * gflops(row) / row->peak : NAN;
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void write_object(of_json *json, const of_bench_context *context, const of_bench_row *row) {
    char processor[256], test_time[32];
    of_processor_name(processor, sizeof processor);
    now_text(test_time);
    of_json_object(json, NULL);
    of_json_text(json, "mode", mode_name(row->mode));
    of_json_text(json, "model", context->model);
    of_json_count(json, "parameters", context->parameters);
    of_json_count(json, "batch", row->batch);
    of_json_count(json, "threads", row->threads);
    of_json_text(json, "isa", of_isa_name(row->isa));
    of_json_text(json, "precision", of_precision_name(row->precision));
    of_json_real(json, "images_per_second", of_bench_median(row));
    of_json_real(json, "images_per_second_min", row->rates[0]);
    of_json_real(json, "images_per_second_max", row->rates[row->count - 1]);
    of_json_real(json, "gflops", gflops(row));
    of_json_real(json, "peak_gflops", row->peak * 1e-9);
    of_json_real(json, "peak_percent", peak_percent(row));
    of_json_real(json, "latency_p50_ms", 1e3 * row->p50);
    of_json_real(json, "latency_p90_ms", 1e3 * row->p90);
    of_json_real(json, "latency_p99_ms", 1e3 * row->p99);
    of_json_real(json, "rss_mb", (double)row->resident_bytes / 1048576);
    of_json_real(json, "weights_mb", (double)row->weight_bytes / 1048576);
    of_json_real(json, "compile_seconds", row->compile_seconds);
    of_json_real(json, "gflop_per_image", row->flops_per_image * 1e-9);
    of_json_count(json, "repetitions", row->count);
    of_json_count(json, "calls", row->calls);
    of_json_array(json, "samples_images_per_second");
    for (size_t i = 0; i < row->count; i++)
        of_json_real(json, NULL, row->rates[i]);
    of_json_end(json);
    of_json_text(json, "cpu", processor);
    of_json_count(json, "cpus", of_cpu_count());
    of_json_text(json, "convolutions", of_convolutions());
    of_json_text(json, "version", of_version());
    of_json_text(json, "test_time", test_time);
    of_json_end(json);
}

static void print_json(const of_bench_context *context, const of_bench_row *rows, size_t count,
                       bool lines, FILE *file) {
    of_json json = of_json_to(file, !lines);
    if (!lines)
        of_json_array(&json, NULL);
    for (size_t i = 0; i < count; i++)
        write_object(&json, context, &rows[i]);
    if (!lines)
        of_json_end(&json);
}

/* ---- Tables ------------------------------------------------------------------------------- */

static void print_csv(const of_bench_context *context, const of_bench_row *rows, size_t count,
                      FILE *file) {
    char processor[256], number[OF_NUMBER_SIZE];
    of_processor_name(processor, sizeof processor);
    (void)fputs("mode,model,batch,threads,isa,precision,images_per_second,images_per_second_min,"
                "images_per_second_max,gflops,peak_gflops,peak_percent,latency_p50_ms,"
                "latency_p90_ms,latency_p99_ms,rss_mb,cpu,convolutions,version\n",
                file);
    for (size_t i = 0; i < count; i++) {
        const of_bench_row *row = &rows[i];
        const double numbers[] = {of_bench_median(row),
                                  row->rates[0],
                                  row->rates[row->count - 1],
                                  gflops(row),
                                  row->peak * 1e-9,
                                  peak_percent(row),
                                  1e3 * row->p50,
                                  1e3 * row->p90,
                                  1e3 * row->p99,
                                  (double)row->resident_bytes / 1048576};
        (void)fprintf(file, "%s,", mode_name(row->mode));
        of_csv_write(file, context->model);
        (void)fprintf(file, ",%llu,%u,%s,%s", (unsigned long long)row->batch, row->threads,
                      of_isa_name(row->isa), of_precision_name(row->precision));
        for (size_t k = 0; k < sizeof numbers / sizeof *numbers; k++)
            (void)fprintf(file, ",%s", of_number_text(numbers[k], number));
        (void)fputc(',', file);
        of_csv_write(file, processor);
        (void)fprintf(file, ",%s,%s\n", of_convolutions(), of_version());
    }
}

static void print_markdown(const of_bench_context *context, const of_bench_row *rows, size_t count,
                           FILE *file) {
    char processor[256];
    of_processor_name(processor, sizeof processor);
    (void)fprintf(file, "%s, %u usable CPUs; %s; outflow %s; %s, %.4g GFLOP an image\n\n",
                  processor, of_cpu_count(), of_convolutions(), of_version(), context->model,
                  count > 0 ? rows[0].flops_per_image * 1e-9 : 0.0);
    (void)fputs(
        "| mode | batch | threads | isa | precision | images/s | min..max | GFLOP/s | % of peak | "
        "p50 ms | p90 ms | p99 ms | RSS MiB |\n"
        "|---|---:|---:|---|---|---:|---:|---:|---:|---:|---:|---:|---:|\n",
        file);
    for (size_t i = 0; i < count; i++) {
        const of_bench_row *row = &rows[i];
        (void)fprintf(
            file,
            "| %s | %llu | %u | %s | %s | %.4g | %.4g..%.4g | %.1f | %.1f | %.3g | %.3g | "
            "%.3g | %.0f |\n",
            mode_name(row->mode), (unsigned long long)row->batch, row->threads,
            of_isa_name(row->isa), of_precision_name(row->precision), of_bench_median(row),
            row->rates[0], row->rates[row->count - 1], gflops(row), peak_percent(row),
            1e3 * row->p50, 1e3 * row->p90, 1e3 * row->p99, (double)row->resident_bytes / 1048576);
    }
}

void of_bench_print(const of_bench_context *context, const of_bench_row *rows, size_t count,
                    of_bench_format format, FILE *file) {
    if (format == OF_BENCH_MARKDOWN)
        print_markdown(context, rows, count, file);
    else if (format == OF_BENCH_CSV)
        print_csv(context, rows, count, file);
    else
        print_json(context, rows, count, format == OF_BENCH_JSONL, file);
}
