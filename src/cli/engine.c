/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/engine.h"

#include "core/error.h"

#include <inttypes.h>

/* ---- Options ------------------------------------------------------------------------------ */

void of_engine_model_option(of_engine_settings *settings, of_option_table *table) {
    of_option_text(table, 'm', "model", "FILE", &settings->model, "Weight file (safetensors).")
        ->required = true;
}

void of_engine_general_option(of_engine_settings *settings, of_option_table *table) {
    of_option_text(table, 'g', "general-model", "FILE", &settings->general,
                   "Weight file of a model of images in general, for the ratio scores.");
}

void of_engine_plan_options(of_engine_settings *settings, of_option_table *table) {
    of_option_count(table, 't', "threads", &settings->threads, 1, 4096,
                    "Threads; without it, as many as the process may use CPUs.");
    of_option_choice(table, "isa", "auto|scalar|avx2|avx512", &settings->isa,
                     "Instruction set of the kernels; without it, OUTFLOW_ISA or the best one.");
}

void of_engine_precision_option(of_engine_settings *settings, of_option_table *table) {
    of_option_choice(table, "precision", "f32|bf16|auto", &settings->precision,
                     "What the networks calculate in; without it, f32. bf16 is faster and needs a "
                     "CPU with AVX512_BF16; auto takes it where it is to be had.");
}

void of_engine_source_options(of_engine_settings *settings, of_option_table *table) {
    of_option_count(table, 0, "limit", &settings->limit, 1, 0x1p63,
                    "Take only the first N images of each SRC.");
    of_option_flag(table, 0, "strict", &settings->strict,
                   "Stop with an error at the first file that cannot be read.");
    of_option_count(table, 'b', "batch", &settings->batch, 1, 65536,
                    "Images in memory at a time; results do not depend on it.");
    of_option_count(table, 's', "seed", &settings->seed, 0, 0x1p64,
                    "Seed of synthetic: sources; without it, 0.");
    of_option_flag(table, 'q', "quiet", &settings->quiet, "Show no progress and no summary.");
}

of_plan_options of_engine_plan_wish(const of_engine_settings *settings) {
    of_plan_options options = of_plan_options_default();
    options.threads = (unsigned)settings->threads;
    options.isa = (of_isa)settings->isa;
    options.precision = (of_precision)settings->precision;
    return options;
}

/* ---- Models ------------------------------------------------------------------------------- */

static of_status compile_both(const of_model *model, const of_model *general, of_engine *engine,
                              of_error *error) {
    of_plan_options options = of_engine_plan_wish(engine->settings);
    of_status status = OF_OK;
    if (general != NULL)
        status =
            of_stream_check(of_model_architecture(model), of_model_architecture(general), error);
    if (status == OF_OK)
        status = of_plan_compile(model, &options, &engine->plan, error);
    if (status == OF_OK && general != NULL)
        status = of_plan_compile(general, &options, &engine->general, error);
    return status;
}

static void describe_engine(of_engine *engine) {
    uint64_t batch = engine->settings->batch;
    engine->architecture = *of_plan_architecture(engine->plan);
    engine->batch = batch != 0 ? (size_t)batch : of_stream_batch_size(engine->plan);
    engine->comparable_scales =
        engine->general != NULL &&
        of_architecture_scale_count(&engine->architecture) ==
            of_architecture_scale_count(of_plan_architecture(engine->general));
}

of_status of_engine_open(const of_engine_settings *settings, of_console *console, of_engine *engine,
                         of_error *error) {
    of_model *model = NULL, *general = NULL;
    *engine = (of_engine){.settings = settings, .console = console};
    of_status status = of_model_load(settings->model, &model, error);
    if (status == OF_OK && settings->general != NULL)
        status = of_model_load(settings->general, &general, error);
    if (status == OF_OK)
        status = compile_both(model, general, engine, error);
    if (status == OF_OK)
        describe_engine(engine);
    of_model_free(model);
    of_model_free(general);
    if (status != OF_OK)
        of_engine_close(engine);
    return status;
}

void of_engine_close(of_engine *engine) {
    of_plan_free(engine->plan);
    of_plan_free(engine->general);
    engine->plan = engine->general = NULL;
}

/* ---- Runs --------------------------------------------------------------------------------- */

static void warn_unreadable(void *user, const char *path, const char *reason) {
    of_console *console = user;
    of_log_write(&console->log, OF_LOG_WARNING, "%s: %s", path, reason);
}

/* More decoders than this would only wait for the flow. */
enum { MAX_DECODERS = 16 };

static of_source_options source_options(const of_engine *engine, const of_run *run) {
    of_source_options options = of_source_options_default(&engine->architecture);
    uint64_t threads = engine->settings->threads;
    options.threads = (unsigned)(threads < MAX_DECODERS ? threads : MAX_DECODERS);
    options.limit = run->limit;
    options.seed = engine->settings->seed;
    options.strict = engine->settings->strict;
    options.on_unreadable = warn_unreadable;
    options.user = engine->console;
    return options;
}

static uint64_t expected_images(const of_source *source, uint64_t limit) {
    uint64_t expected = of_source_expected(source);
    return limit != 0 && expected > limit ? limit : expected;
}

typedef struct watched_run {
    of_engine *engine;
    const of_run *run;
    uint64_t images;
} watched_run;

static of_status watch_batch(void *user, const of_scored_batch *batch, of_error *error) {
    watched_run *watched = user;
    of_status status = of_interrupt_check(error);
    if (status == OF_OK)
        status = watched->run->visit(watched->run->user, batch, error);
    watched->images += batch->count;
    of_progress_update(&watched->engine->console->progress, watched->images, NULL);
    return status;
}

of_status of_engine_fail_empty(const char *source, uint64_t unreadable, of_error *error) {
    if (unreadable == 0)
        return of_fail(error, OF_ERROR_FORMAT, "%s: there is no image in it", source);
    return of_fail(error, OF_ERROR_FORMAT, "%s: no image could be read, %" PRIu64 " failed", source,
                   unreadable);
}

of_status of_engine_run(of_engine *engine, const of_run *run, of_tally *tally, of_error *error) {
    of_source_options options = source_options(engine, run);
    of_progress *progress = &engine->console->progress;
    watched_run watched = {engine, run, 0};
    of_source *source = NULL;
    double start = of_seconds();
    of_status status = of_source_open(run->source, &options, &source, error);
    if (status != OF_OK)
        return status;
    of_progress_start(progress, of_console_progress_stream(engine->console), run->label, "images",
                      expected_images(source, run->limit));
    status = of_stream_run(source, engine->plan, engine->general, engine->batch, watch_batch,
                           &watched, error);
    of_progress_finish(progress);
    tally->images += watched.images;
    tally->unreadable += of_source_unreadable(source);
    tally->seconds += of_seconds() - start;
    of_source_free(source);
    return status == OF_OK ? of_interrupt_check(error) : status;
}
