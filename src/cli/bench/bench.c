/* SPDX-License-Identifier: Apache-2.0 */
/* outflow bench: throughput and latency of a model on this machine, over a grid of settings. */
#include "cli/bench/bench.h"

#include "cli/processes.h"
#include "cli/terminal/output.h"
#include "cli/verbs.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

const of_command of_bench_command = {
    .name = "bench",
    .summary = "Measure throughput and latency of a model on this machine",
    .operands = "",
    .details =
        "Times whole calls on random images in memory, for every combination of --batch, "
        "--threads, --isa and --precision. Numbers are lists such as 1,2,8 and ranges: 1-4 counts "
        "by one, 1-64*2 doubles, 1-9+4 adds four. After a warm-up, each repetition lasts "
        "--seconds; "
        "images/s is the median of the repetitions, ± % their standard deviation, latencies are "
        "percentiles of single calls. GFLOP/s counts the network's direct convolutions (in "
        "training three times); the peak is that of multiply-adds of floats in registers on the "
        "same threads, measured right after each row: bf16 may exceed it. Fewer images than "
        "threads share the threads, by rows; of dense models each takes one. RSS is the largest "
        "resident memory while a row "
        "was measured.\n"
        "--mode latency is for services: one call at a time, each with other images, as many "
        "calls as it takes for percentiles to mean something (--calls). Jitter is the mean "
        "difference between the times of one call and the next.\n"
        "--affinity binds each thread to a core, in this run of bench alone: it starts itself "
        "anew with OMP_PROC_BIND (and OMP_PLACES=cores, unless it is set). Without it nothing is "
        "bound but by the environment; the column CPUs tells where each thread may run.\n"
        "Instruction sets below the best one hold back the flow kernels; OUTFLOW_ISA=avx2 in the "
        "environment holds back the convolutions as well.",
    .examples = "outflow bench --steps 8 --hidden 128 --batch 1,64 --threads 1,2\n"
                "outflow bench --model in.safetensors --mode latency --batch 1,4 --affinity close\n"
                "outflow bench --steps 8 --hidden 128 --mode train --layers\n"
                "outflow bench --steps 8 --hidden 128 --cost\n"
                "outflow bench --steps 32 --hidden 512 --mode train --scaling --network 1.5:200",
};

enum { MOST_VALUES = 64, MOST_ROWS = 1024 };

typedef struct grid {
    uint64_t batch[MOST_VALUES], threads[MOST_VALUES];
    of_isa isa[4];
    of_precision precision[4];
    size_t batches, thread_counts, isas, precisions;
} grid;

typedef struct bench_settings {
    const char *model, *batch, *threads, *isa, *precision, *out;
    uint64_t scales, steps, hidden, size, channels, repetitions, micro_batch, calls, memory;
    int mode, format, coupling, family, block, affinity, gradient_precision;
    double seconds;
    bool layers, cost, scaling, quiet;
    const char *network;
    grid grid;
} bench_settings;

static void declare(bench_settings *s, of_option_table *table) {
    of_option_model(table, 'm', "model", &s->model,
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
    of_option_choice(table, "mode", "score|latency|train", &s->mode,
                     "score: images to likelihoods; latency: the same, for many single calls; "
                     "train: a whole optimizer step.");
    of_option_text(table, 'b', "batch", "LIST", &s->batch,
                   "Images a call; without it, 1,64, in mode latency 1, in mode train and with "
                   "--cost 64, with --layers 32.");
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
                   "Time of a repetition, at least; without it, 1.");
    of_option_count(table, 0, "calls", &s->calls, 1, 1e9,
                    "Calls a row, at least, over all repetitions; without it, 1, with latency "
                    "1000, which leaves 10 calls beyond the 99th percentile.");
    of_option_choice(table, "affinity", "none|close|spread", &s->affinity,
                     "Binds threads to cores: neighbouring ones, or far apart ones. Without it, "
                     "none.");
    of_option_count(table, 0, "micro-batch", &s->micro_batch, 1, 4096,
                    "Training: images that a thread takes at a time; without it, as 'train'.");
    of_option_bytes(table, "memory", &s->memory, 1,
                    "Training: for activations kept between forward and backward, of all threads; "
                    "the rest is computed again; without it, as 'train'.");
    of_option_choice(table, "format", "md|csv|json|jsonl", &s->format, "Without it, md.");
    of_option_flag(table, 0, "layers", &s->layers,
                   "Instead, a table of the layers of scoring or training on one thread: time, "
                   "GFLOP/s, share of the peak, memory traffic.");
    of_option_flag(table, 0, "cost", &s->cost,
                   "Instead, how the cost grows: with 1 to 16 steps, 1 to 256 images, 16x16 to "
                   "128x128 pixels, each varied alone.");
    of_option_flag(table, 0, "scaling", &s->scaling,
                   "Instead, training on 1 to 1024 ranks, predicted from the measured time of a "
                   "step of --batch images a rank and the network; under mpirun, that is measured "
                   "as well.");
    of_option_text(table, 0, "network", "LIST", &s->network,
                   "Networks for --scaling, each LATENCY:GBIT in microseconds and Gbit/s; without "
                   "it, 2:100,20:10.");
    of_option_choice(table, "gradient-precision", "f32|bf16", &s->gradient_precision,
                     "What --scaling sends gradients in; without it, f32.");
    of_option_text(table, 'o', "out", "FILE", &s->out, "Write to FILE instead of standard output.")
        ->role = OF_ROLE_WRITTEN;
    of_option_flag(table, 'q', "quiet", &s->quiet, "No progress.");
}

/* ---- The grid ------------------------------------------------------------------------------ */

/* The next name of a list into `name`, cut off where it is too long for any; false after the last.
 */
static bool next_name(const char **text, char name[32]) {
    if (*text == NULL)
        return false;
    size_t length = strcspn(*text, ",");
    (void)snprintf(name, 32, "%.*s", (int)(length < 31 ? length : 31), *text);
    *text = (*text)[length] == ',' ? *text + length + 1 : NULL;
    return true;
}

static of_status read_isas(const char *text, grid *g, of_error *error) {
    const size_t most = sizeof g->isa / sizeof *g->isa;
    char name[32];
    of_error reason;
    while (next_name(&text, name)) {
        if (g->isas == most)
            return of_fail(error, OF_ERROR_ARGUMENT, "--isa: more than %zu names", most);
        if (of_isa_parse(name, &g->isa[g->isas++], &reason) != OF_OK)
            return of_fail(error, OF_ERROR_ARGUMENT, "--isa: %s", reason.message);
    }
    return OF_OK;
}

static of_status read_precisions(const char *text, grid *g, of_error *error) {
    const size_t most = sizeof g->precision / sizeof *g->precision;
    char name[32];
    of_error reason;
    while (next_name(&text, name)) {
        if (g->precisions == most)
            return of_fail(error, OF_ERROR_ARGUMENT, "--precision: more than %zu names", most);
        if (of_precision_parse(name, &g->precision[g->precisions++], &reason) != OF_OK)
            return of_fail(error, OF_ERROR_ARGUMENT, "--precision: %s", reason.message);
    }
    return OF_OK;
}

/* Images a call where --batch is not given. */
static const char *default_batch(const bench_settings *s) {
    if (s->layers)
        return "32";
    if (s->cost)
        return "64";
    return s->mode == OF_BENCH_LATENCY ? "1" : s->mode == OF_BENCH_TRAIN ? "64" : "1,64";
}

static of_status read_grid(bench_settings *s, of_error *error) {
    grid *g = &s->grid;
    const char *batch = s->batch != NULL ? s->batch : default_batch(s);
    g->threads[0] = s->layers ? 1 : of_cpu_count();
    g->thread_counts = 1;
    g->isa[0] = OF_ISA_AUTO;
    g->isas = s->isa == NULL;
    g->precision[0] = OF_PRECISION_F32;
    g->precisions = s->precision == NULL;
    of_status status =
        of_bench_numbers("--batch", batch, 1 << 20, g->batch, MOST_VALUES, &g->batches, error);
    if (status == OF_OK && s->threads != NULL)
        status = of_bench_numbers("--threads", s->threads, 4096, g->threads, MOST_VALUES,
                                  &g->thread_counts, error);
    if (status == OF_OK)
        status = read_isas(s->isa, g, error);
    return status == OF_OK ? read_precisions(s->precision, g, error) : status;
}

static size_t grid_rows(const grid *g) {
    return g->batches * g->thread_counts * g->isas * g->precisions;
}

/* ---- Running ------------------------------------------------------------------------------- */

static of_architecture wished_architecture(const bench_settings *s) {
    of_architecture a = of_architecture_default();
    a.family = (of_family)s->family;
    a.scales = (uint32_t)s->scales;
    a.steps = (uint32_t)s->steps;
    a.hidden = (uint32_t)s->hidden;
    a.coupling = (of_coupling)s->coupling;
    a.block = (of_block)s->block;
    a.height = a.width = (uint32_t)s->size;
    a.channels = (uint32_t)s->channels;
    return a;
}

static of_status open_model(const bench_settings *s, of_model **model, of_error *error) {
    if (s->model != NULL)
        return of_model_open(s->model, model, error);
    of_architecture a = wished_architecture(s);
    of_status status = of_architecture_check(&a, error);
    return status == OF_OK ? of_model_create(&a, 1, model, error) : status;
}

/* Row `i` of the grid. */
static of_bench_wish wish_of(const bench_settings *s, size_t i) {
    const grid *g = &s->grid;
    assert(g->batches > 0 && g->thread_counts > 0 && g->isas > 0);
    uint64_t batch = g->batch[i % g->batches];
    return (of_bench_wish){
        .mode = (of_bench_mode)s->mode,
        .batch = batch,
        .threads = (unsigned)g->threads[i / g->batches % g->thread_counts],
        .isa = g->isa[i / g->batches / g->thread_counts % g->isas],
        .precision = g->precision[i / g->batches / g->thread_counts / g->isas],
        .gradient_precision = (of_precision)s->gradient_precision,
        .repetitions = s->repetitions,
        .micro_batch = s->micro_batch,
        .calls = s->calls                      ? s->calls
                 : s->mode == OF_BENCH_LATENCY ? of_bench_calls_for(0.99)
                                               : 1,
        .seconds = s->seconds,
        .memory = (size_t)s->memory,
    };
}

/* Rows of the grid one after the other; *count tells how many are done, also on failure. */
static of_status run_grid(const bench_settings *s, of_model *model, of_progress *progress,
                          of_bench_row *rows, size_t *count, of_error *error) {
    for (size_t i = 0; i < grid_rows(&s->grid); i++) {
        of_bench_wish wish = wish_of(s, i);
        wish.progress = progress;
        wish.progress_from = i * s->repetitions;
        of_status status = of_bench_measure(model, &wish, &rows[i], error);
        *count = i + 1; /* also what failed has something to free */
        if (status != OF_OK)
            return status;
    }
    return OF_OK;
}

static of_status measure_grid(const bench_settings *s, of_model *model,
                              const of_bench_context *context, of_progress *progress, FILE *file,
                              of_error *error) {
    size_t total = grid_rows(&s->grid), count = 0;
    of_bench_row *rows = calloc(total > 0 ? total : 1, sizeof *rows);
    if (rows == NULL)
        return of_fail_memory(error, "results");
    of_status status = run_grid(s, model, progress, rows, &count, error);
    of_progress_finish(progress);
    if (status == OF_OK)
        status = of_bench_print(context, rows, count, (of_bench_format)s->format, file, error);
    for (size_t i = 0; i < count; i++)
        free(rows[i].rates);
    free(rows);
    return status;
}

static of_status measure_and_print(const bench_settings *s, of_model *model,
                                   const of_bench_context *context, of_console *console, FILE *file,
                                   of_error *error) {
    of_bench_format format = (of_bench_format)s->format;
    of_bench_wish wish = wish_of(s, 0);
    uint64_t rows = s->cost      ? OF_BENCH_COST_ROWS
                    : s->scaling ? OF_BENCH_SCALING_ROWS
                                 : grid_rows(&s->grid);
    wish.progress = &console->progress;
    of_progress_start(&console->progress, of_console_progress_stream(console), "bench",
                      s->layers ? "batches" : "repetitions", s->layers ? 0 : rows * s->repetitions);
    if (s->layers)
        return of_bench_layers(model, &wish, context, format, file, error);
    if (s->scaling && s->threads == NULL && of_ranks_threads(of_processes_ranks()) > 0)
        wish.threads = of_ranks_threads(of_processes_ranks());
    if (s->scaling)
        return of_bench_scaling(model, &wish, s->network, of_processes_ranks(), context, format,
                                file, error);
    if (!s->cost)
        return measure_grid(s, model, context, &console->progress, file, error);
    return of_bench_cost(of_model_architecture(model), &wish, context, format, file, error);
}

static of_status run(const bench_settings *s, of_console *console, of_error *error) {
    of_model *model = NULL;
    of_bench_context context = {0};
    of_output *output = NULL;
    of_status status = of_output_open(of_processes_output(s->out), &output, error);
    if (status != OF_OK)
        return status;
    status = open_model(s, &model, error);
    if (status == OF_OK)
        status = of_bench_context_open(model, s->model, (of_affinity)s->affinity, &context, error);
    if (status == OF_OK)
        status = measure_and_print(s, model, &context, console, of_output_file(output), error);
    of_progress_finish(&console->progress);
    if (status == OF_OK)
        status = of_console_commit(&output, error);
    else
        of_output_discard(output);
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

/* What does not go together, or NULL. */
static const char *contradiction(const bench_settings *s, const of_option_table *table) {
    const grid *g = &s->grid;
    if (s->layers && s->cost)
        return "--layers and --cost exclude each other";
    if ((s->layers || s->cost) && s->mode == OF_BENCH_LATENCY)
        return "--layers and --cost take --mode score or train";
    if (s->layers && (g->batches > 1 || g->isas > 1 || g->precisions > 1))
        return "--layers takes one --batch, one --isa and one --precision";
    if (s->layers && (g->thread_counts > 1 || g->threads[0] != 1))
        return "--layers runs on one thread";
    if (s->layers && of_option_given(table, "calls"))
        return "--layers does not take --calls: it runs for --seconds";
    if (s->layers && of_option_given(table, "repetitions"))
        return "--layers does not take --repetitions: it runs for --seconds";
    if (s->cost && grid_rows(g) > 1)
        return "--cost takes one --batch, one --threads, one --isa and one --precision";
    if (s->cost && s->model != NULL)
        return "--cost and --model exclude each other: steps and sizes are varied";
    if (s->scaling && (s->layers || s->cost))
        return "--scaling excludes --layers and --cost";
    if (s->scaling && s->mode != OF_BENCH_TRAIN)
        return "--scaling takes --mode train";
    if (s->scaling && grid_rows(g) > 1)
        return "--scaling takes one --batch, one --threads, one --isa and one --precision";
    if (s->scaling && g->batch[0] < 4)
        return "--scaling takes a --batch of 4 or more";
    if (!s->scaling && of_option_given(table, "network"))
        return "--network needs --scaling";
    if (!s->scaling && of_option_given(table, "gradient-precision"))
        return "--gradient-precision needs --scaling";
    if (!of_bench_networks_valid(s->network))
        return "--network: not a list of LATENCY:GBIT";
    if (s->mode != OF_BENCH_TRAIN &&
        (of_option_given(table, "micro-batch") || of_option_given(table, "memory")))
        return "--micro-batch and --memory need --mode train";
    return NULL;
}

/* The exit code of what is wrong with the command line, or OF_EXIT_FINE. */
static int check(bench_settings *s, const of_option_table *table, const of_text_list *operands,
                 of_console *console) {
    of_error error;
    if (operands->count > 0)
        return of_usage_error(console, &of_bench_command, "unexpected operand '%s'",
                              operands->items[0]);
    if (useless_option(s, table) != NULL)
        return of_usage_error(console, &of_bench_command,
                              "--%s and --model exclude each other: the file says it",
                              useless_option(s, table));
    if (read_grid(s, &error) != OF_OK)
        return of_usage_fail(console, &of_bench_command, &error);
    if (grid_rows(&s->grid) > MOST_ROWS)
        return of_usage_error(console, &of_bench_command, "more than %d rows", MOST_ROWS);
    if (s->affinity != OF_AFFINITY_NONE && of_processes_ranks() != NULL)
        return of_usage_error(console, &of_bench_command,
                              "--affinity starts the program anew, which ranks cannot: let the "
                              "launcher bind them");
    if (contradiction(s, table) != NULL)
        return of_usage_error(console, &of_bench_command, "%s", contradiction(s, table));
    return OF_EXIT_FINE;
}

/* Threads that cannot be bound are no reason to measure nothing; the rows tell. */
static void bind_threads(const bench_settings *s, int argc, char **argv, of_console *console) {
    of_error error;
    if (of_affinity_bind((of_affinity)s->affinity, argc, argv, &error) != OF_OK)
        of_log_write(&console->log, OF_LOG_WARNING, "--affinity: %s", error.message);
}

int of_verb_bench(int argc, char **argv, of_console *console) {
    bench_settings s = {.scales = 3,
                        .steps = 8,
                        .hidden = 64,
                        .size = 32,
                        .channels = 3,
                        .repetitions = 5,
                        .seconds = 1,
                        .network = "2:100,20:10"};
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    of_error error;
    int code;
    declare(&s, &table);
    if (of_options_parse(&of_bench_command, &table, argc, argv, &operands, console, &code)) {
        if (s.quiet)
            of_console_quiet(console);
        code = check(&s, &table, &operands, console);
        if (code == OF_EXIT_FINE) {
            bind_threads(&s, argc, argv, console);
            of_interrupt_watch();
            if (run(&s, console, &error) != OF_OK)
                code = of_processes_fail(console, &error);
        }
    }
    of_text_list_free(&operands);
    return code;
}
