/* SPDX-License-Identifier: Apache-2.0 */
/* outflow bench: throughput and latency of a model on this machine, over a grid of settings. */
#include "cli/bench.h"

#include "cli/output.h"
#include "cli/verbs.h"
#include "core/error.h"
#include "model/model.h"
#include "train/trainer.h"

#include <stdlib.h>
#include <string.h>

const of_command of_bench_command = {
    .name = "bench",
    .summary = "Measure throughput and latency of a model on this machine",
    .operands = "",
    .details =
        "Times whole calls on random images in memory, for every combination of --batch, "
        "--threads, --isa and --precision. Numbers are lists such as 1,2,8 and ranges: 1-4 counts "
        "by one, "
        "1-64*2 doubles, 1-9+4 adds four. After a warm-up, each repetition lasts --seconds; "
        "images/s is the median of the repetitions, latencies are percentiles of single calls. "
        "GFLOP/s counts the network's direct convolutions (in training three times); the peak "
        "is that of multiply-adds of floats in registers on the same threads, measured right after "
        "each row: bf16 may exceed it. A batch smaller than the threads runs in latency mode, all "
        "threads inside each "
        "layer.\nRSS is the largest resident memory while a row was measured. Nothing is pinned; "
        "use taskset or numactl for that. Instruction sets below the best one hold back the flow "
        "kernels; OUTFLOW_ISA=avx2 in the environment holds back the convolutions as well.",
    .examples = "outflow bench --steps 8 --hidden 128 --batch 1,64 --threads 1,2\n"
                "outflow bench --model in.safetensors --layers",
};

enum { MOST_VALUES = 64, MOST_ROWS = 1024 };

typedef struct grid {
    uint64_t batch[MOST_VALUES], threads[MOST_VALUES];
    of_isa isa[4];
    of_precision precision[3];
    size_t batches, thread_counts, isas, precisions;
} grid;

typedef struct bench_settings {
    const char *model, *batch, *threads, *isa, *precision, *out;
    uint64_t scales, steps, hidden, size, channels, repetitions, micro_batch;
    int mode, format, coupling, family, block;
    double seconds;
    bool layers, quiet;
    grid grid;
} bench_settings;

static void declare(bench_settings *s, of_option_table *table) {
    of_option_text(table, 'm', "model", "FILE", &s->model,
                   "Weight file; without it, a random model of the architecture below.");
    of_option_choice(table, "family", "glow|patch-glow", &s->family, "Without it, glow.");
    of_option_count(table, 0, "scales", &s->scales, 1, OF_MAX_SCALES, "Without it, 3.");
    of_option_count(table, 0, "steps", &s->steps, 1, 256, "Flow steps a scale; without it, 8.");
    of_option_count(table, 0, "hidden", &s->hidden, 1, 8192,
                    "Width of the coupling networks; without it, 64.");
    of_option_choice(table, "coupling", "affine|additive", &s->coupling, "Without it, affine.");
    of_option_choice(table, "block", "conv|dense", &s->block, "Without it, conv.");
    of_option_count(table, 0, "size", &s->size, 2, 4096,
                    "Height and width of the images; without it, 32.");
    of_option_count(table, 0, "channels", &s->channels, 1, 3, "1 or 3; without it, 3.");
    of_option_choice(table, "mode", "score|train", &s->mode,
                     "score: images to likelihoods; train: a whole optimizer step.");
    of_option_text(table, 'b', "batch", "LIST", &s->batch, "Images a call; without it, 1,64.");
    of_option_text(table, 't', "threads", "LIST", &s->threads,
                   "Threads; without it, the CPUs this process may use.");
    of_option_text(table, 0, "isa", "LIST", &s->isa,
                   "Instruction sets of the flow kernels, for example avx2,avx512; without it, "
                   "the best one.");
    of_option_text(table, 0, "precision", "LIST", &s->precision,
                   "What the networks calculate in, for example f32,bf16; or auto. Without it, "
                   "f32.");
    of_option_count(table, 'r', "repetitions", &s->repetitions, 1, 1000, "Without it, 5.");
    of_option_real(table, 0, "seconds", "S", &s->seconds, 0.001, 3600,
                   "Time of a repetition; without it, 1.");
    of_option_count(table, 0, "micro-batch", &s->micro_batch, 1, 4096,
                    "Training: images that a thread takes at a time; without it, as 'train'.");
    of_option_choice(table, "format", "md|csv|json|jsonl", &s->format, "Without it, md.");
    of_option_flag(table, 0, "layers", &s->layers,
                   "Instead, a table of the layers: time, GFLOP/s and share of the peak on one "
                   "thread, with the first --batch.");
    of_option_text(table, 'o', "out", "FILE", &s->out, "Write to FILE instead of standard output.");
    of_option_flag(table, 'q', "quiet", &s->quiet, "No progress.");
}

/* ---- The grid ------------------------------------------------------------------------------ */

static bool read_isas(const char *text, grid *g) {
    while (*text != '\0') {
        char name[16];
        size_t length = strcspn(text, ",");
        of_error reason;
        if (length >= sizeof name || g->isas == sizeof g->isa / sizeof *g->isa)
            return false;
        memcpy(name, text, length);
        name[length] = '\0';
        if (of_isa_parse(name, &g->isa[g->isas++], &reason) != OF_OK)
            return false;
        text += length;
        text += *text == ',';
    }
    return g->isas > 0;
}

static bool read_precisions(const char *text, grid *g) {
    while (*text != '\0') {
        char name[16];
        size_t length = strcspn(text, ",");
        of_error reason;
        if (length >= sizeof name || g->precisions == sizeof g->precision / sizeof *g->precision)
            return false;
        memcpy(name, text, length);
        name[length] = '\0';
        if (of_precision_parse(name, &g->precision[g->precisions++], &reason) != OF_OK)
            return false;
        text += length;
        text += *text == ',';
    }
    return g->precisions > 0;
}

static bool read_grid(bench_settings *s, const char **wrong) {
    grid *g = &s->grid;
    *wrong = "--batch";
    if (!of_bench_numbers(s->batch, 1 << 20, g->batch, MOST_VALUES, &g->batches))
        return false;
    g->threads[0] = of_cpu_count();
    g->thread_counts = 1;
    *wrong = "--threads";
    if (s->threads != NULL &&
        !of_bench_numbers(s->threads, 4096, g->threads, MOST_VALUES, &g->thread_counts))
        return false;
    g->isa[0] = OF_ISA_AUTO;
    g->isas = s->isa == NULL;
    *wrong = "--isa";
    if (s->isa != NULL && !read_isas(s->isa, g))
        return false;
    g->precision[0] = OF_PRECISION_F32;
    g->precisions = s->precision == NULL;
    *wrong = "--precision";
    return s->precision == NULL || read_precisions(s->precision, g);
}

/* ---- Running ------------------------------------------------------------------------------- */

static of_status open_model(const bench_settings *s, of_model **model, of_error *error) {
    if (s->model != NULL)
        return of_model_load(s->model, model, error);
    of_architecture a = of_architecture_default();
    a.family = (of_family)s->family;
    a.scales = (uint32_t)s->scales;
    a.steps = (uint32_t)s->steps;
    a.hidden = (uint32_t)s->hidden;
    a.coupling = (of_coupling)s->coupling;
    a.block = (of_block)s->block;
    a.height = a.width = (uint32_t)s->size;
    a.channels = (uint32_t)s->channels;
    of_status status = of_architecture_check(&a, error);
    return status == OF_OK ? of_model_create(&a, 1, model, error) : status;
}

static size_t grid_rows(const grid *g) {
    return g->batches * g->thread_counts * g->isas * g->precisions;
}

/* Rows of the grid one after the other; *count tells how many are done, also on failure. */
static of_status run_grid(const bench_settings *s, const of_model *model, of_console *console,
                          of_bench_row *rows, size_t *count, of_error *error) {
    const grid *g = &s->grid;
    size_t total = grid_rows(g);
    of_progress_start(&console->progress, of_console_progress_stream(console), "bench", "rows",
                      total);
    for (size_t i = 0; i < total; i++) {
        const of_bench_wish wish = {
            .mode = (of_bench_mode)s->mode,
            .batch = g->batch[i % g->batches],
            .threads = (unsigned)g->threads[i / g->batches % g->thread_counts],
            .isa = g->isa[i / g->batches / g->thread_counts % g->isas],
            .precision = g->precision[i / g->batches / g->thread_counts / g->isas],
            .repetitions = s->repetitions,
            .micro_batch =
                s->micro_batch ? s->micro_batch : of_train_micro_batch(g->batch[i % g->batches]),
            .seconds = s->seconds,
        };
        of_progress_update(&console->progress, i, NULL);
        of_status status = of_bench_measure(model, &wish, &rows[i], error);
        *count = i + 1; /* also what failed has something to free */
        if (status != OF_OK)
            return status;
    }
    of_progress_finish(&console->progress);
    return OF_OK;
}

static const char *describe_model(const bench_settings *s, const of_model *model, char **text) {
    *text = NULL;
    if (s->model != NULL)
        return s->model;
    *text = of_architecture_print(of_model_architecture(model));
    return *text != NULL ? *text : "random model";
}

static of_status measure_and_print(const bench_settings *s, const of_model *model,
                                   of_console *console, FILE *file, of_error *error) {
    const grid *g = &s->grid;
    if (s->layers)
        return of_bench_layers(model, g->isa[0], g->precision[0], g->batch[0], s->seconds, file,
                               error);
    size_t total = grid_rows(g), count = 0;
    of_bench_row *rows = calloc(total, sizeof *rows);
    if (rows == NULL)
        return of_fail_memory(error, "results");
    of_status status = run_grid(s, model, console, rows, &count, error);
    if (status == OF_OK) {
        char *text;
        const of_bench_context context = {.model = describe_model(s, model, &text),
                                          .parameters = of_model_parameter_count(model)};
        of_bench_print(&context, rows, count, (of_bench_format)s->format, file);
        free(text);
    }
    for (size_t i = 0; i < count; i++)
        free(rows[i].rates);
    free(rows);
    return status;
}

static of_status run(const bench_settings *s, of_console *console, of_error *error) {
    of_model *model = NULL;
    of_output output;
    of_status status = of_output_open(s->out, &output, error);
    if (status != OF_OK)
        return status;
    status = open_model(s, &model, error);
    if (status == OF_OK)
        status = measure_and_print(s, model, console, output.file, error);
    if (status == OF_OK)
        status = of_output_commit(&output, error);
    else
        of_output_discard(&output);
    of_model_free(model);
    return status;
}

/* ---- The verb ------------------------------------------------------------------------------ */

/* Options of the architecture say nothing beside a weight file. */
static const char *useless_option(const bench_settings *s, const of_option_table *table) {
    static const char *const names[] = {"family",   "scales", "steps", "hidden",
                                        "coupling", "block",  "size",  "channels"};
    for (size_t i = 0; s->model != NULL && i < sizeof names / sizeof *names; i++)
        if (of_option_given(table, names[i]))
            return names[i];
    return NULL;
}

int of_verb_bench(int argc, char **argv, of_console *console) {
    bench_settings s = {.batch = "1,64",
                        .scales = 3,
                        .steps = 8,
                        .hidden = 64,
                        .size = 32,
                        .channels = 3,
                        .repetitions = 5,
                        .seconds = 1};
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    of_error error;
    const char *wrong;
    int code;
    declare(&s, &table);
    if (of_options_parse(&of_bench_command, &table, argc, argv, &operands, console, &code)) {
        if (s.quiet)
            of_console_quiet(console);
        of_interrupt_watch();
        if (operands.count > 0)
            code = of_usage_error(console, &of_bench_command, "unexpected operand '%s'",
                                  operands.items[0]);
        else if (useless_option(&s, &table) != NULL)
            code = of_usage_error(console, &of_bench_command,
                                  "--%s and --model exclude each other: the file says it",
                                  useless_option(&s, &table));
        else if (!read_grid(&s, &wrong))
            code = of_usage_error(console, &of_bench_command, "%s: not a list it can take", wrong);
        else if (grid_rows(&s.grid) > MOST_ROWS)
            code = of_usage_error(console, &of_bench_command, "more than %d rows", MOST_ROWS);
        else if (run(&s, console, &error) != OF_OK)
            code = of_console_fail(console, &error);
        else
            code = OF_EXIT_FINE;
    }
    of_text_list_free(&operands);
    return code;
}
