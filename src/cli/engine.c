/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/engine.h"

#include "cli/processes.h"
#include "cli/terminal/warnings.h"
#include "core/clock.h"
#include "core/error.h"
#include "data/pixels/image.h"
#include "ranks/ranks.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

/* ---- Options ------------------------------------------------------------------------------ */

void of_engine_model_option(of_engine_settings *settings, of_option_table *table) {
    of_option_model(table, 'm', "model", &settings->model,
                    "Weight file (safetensors), or the name of an installed model.")
        ->required = true;
}

void of_engine_general_option(of_engine_settings *settings, of_option_table *table) {
    of_option_model(table, 'g', "general-model", &settings->general,
                    "Weight file of a model of images in general, for the ratio scores.");
}

void of_engine_ensemble_option(of_engine_settings *settings, of_option_table *table) {
    of_option_list(table, "ensemble", "FILE", &settings->ensemble,
                   "Weight file of a further model of the same data, for the score 'ensemble'; may "
                   "be repeated.")
        ->role = OF_ROLE_READ;
}

void of_engine_webp_option(of_engine_settings *settings, of_option_table *table) {
    of_option_flag(table, 0, "webp", &settings->webp,
                   "Also the score complexity-webp, whose coder takes its time.");
}

void of_engine_plan_options(of_engine_settings *settings, of_option_table *table) {
    of_option_count(table, 't', "threads", &settings->threads, 1, 4096,
                    "Threads; without it, as many as the process may use CPUs.");
    of_option_choice(
        table, "isa", "auto|scalar|avx2|avx512", &settings->isa,
        "Instruction set of the hand-written kernels; without it, OUTFLOW_ISA or the best "
        "one. Convolutions follow OUTFLOW_ISA alone.");
}

void of_engine_precision_option(of_engine_settings *settings, of_option_table *table) {
    of_option_choice(table, "precision", "f32|bf16|auto", &settings->precision,
                     "What the networks calculate in; without it, f32. bf16 is faster and needs a "
                     "CPU with AVX512_BF16; auto takes it where it is to be had.");
}

void of_engine_source_options(of_engine_settings *settings, of_option_table *table) {
    of_option_count(table, 0, "limit", &settings->limit, 1, 0x1p63,
                    "Take only the first N images of each SRC. Archives are often sorted by "
                    "class: a fair sample is every N-th image, or part:0-0.1:SRC.");
    of_option_count(table, 0, "every", &settings->every, 1, 0x1p53,
                    "Take only every N-th image of each SRC, of those within --limit.");
    of_option_flag(table, 0, "strict", &settings->strict,
                   "Stop with an error at the first file that cannot be read.");
    of_option_count(
        table, 'b', "batch", &settings->batch, 1, 65536,
        "Images in memory at a time; results do not depend on it. Without it, chosen by "
        "their size.");
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

/* The threads that a rank takes where there are several. */
static of_plan_options plan_wish(const of_engine *engine) {
    of_plan_options options = of_engine_plan_wish(engine->settings);
    if (options.threads == 0)
        options.threads = of_ranks_threads(of_processes_ranks());
    return options;
}

/* ---- Models ------------------------------------------------------------------------------- */

/* What is loaded and given up again once it is compiled. */
typedef struct loaded_models {
    of_model *model, *general;
    of_model *members[OF_STREAM_MEMBERS];
    size_t member_count;
} loaded_models;

static of_status load_models(const of_engine_settings *settings, loaded_models *loaded,
                             of_error *error) {
    const of_text_list *ensemble = &settings->ensemble;
    if (ensemble->count > OF_STREAM_MEMBERS)
        return of_fail(error, OF_ERROR_ARGUMENT, "an ensemble has at most %d models",
                       OF_STREAM_MEMBERS + 1);
    of_status status = of_model_open(settings->model, &loaded->model, error);
    if (status == OF_OK && settings->general != NULL)
        status = of_model_open(settings->general, &loaded->general, error);
    for (size_t i = 0; status == OF_OK && i < ensemble->count; i++) {
        char named[OF_MODEL_PATH_SIZE];
        status =
            of_model_open(of_model_file(ensemble->items[i], named), &loaded->members[i], error);
        loaded->member_count += status == OF_OK;
    }
    return status;
}

static void free_models(loaded_models *loaded) {
    of_model_free(loaded->model);
    of_model_free(loaded->general);
    for (size_t i = 0; i < loaded->member_count; i++)
        of_model_free(loaded->members[i]);
}

static of_status check_sizes(const loaded_models *loaded, of_error *error) {
    const of_architecture *own = of_model_architecture(loaded->model);
    of_status status = OF_OK;
    if (loaded->general != NULL)
        status = of_stream_check(own, of_model_architecture(loaded->general), "the general model",
                                 error);
    for (size_t i = 0; status == OF_OK && i < loaded->member_count; i++)
        status = of_stream_check(own, of_model_architecture(loaded->members[i]),
                                 "a model of the ensemble", error);
    return status;
}

static of_status compile_models(const loaded_models *loaded, of_engine *engine, of_error *error) {
    of_plan_options options = plan_wish(engine);
    of_status status = check_sizes(loaded, error);
    if (status == OF_OK)
        status = of_plan_compile(loaded->model, &options, &engine->plan, error);
    if (status == OF_OK && loaded->general != NULL)
        status = of_plan_compile(loaded->general, &options, &engine->general, error);
    for (size_t i = 0; status == OF_OK && i < loaded->member_count; i++) {
        status = of_plan_compile(loaded->members[i], &options, &engine->members[i], error);
        engine->member_count += status == OF_OK;
    }
    return status;
}

/* A file may say anything: contributions are read by its number of scales. */
static bool contradicts_general(const of_engine *engine, const of_model *general) {
    of_calibration_info info = of_calibration_describe(engine->calibration);
    return general != NULL && info.general == engine->general_fingerprint &&
           info.general_scales != of_architecture_scale_count(of_model_architecture(general));
}

/* Fingerprints take time with large models, so only with a calibration. */
static void read_calibration(const loaded_models *loaded, of_engine *engine) {
    of_error error;
    if (of_calibration_read(loaded->model, &engine->calibration, &error) != OF_OK)
        (void)snprintf(engine->calibration_problem, sizeof engine->calibration_problem, "%.400s",
                       error.message);
    if (engine->calibration == NULL)
        return;
    if (loaded->general != NULL)
        engine->general_fingerprint = of_model_fingerprint(loaded->general);
    if (contradicts_general(engine, loaded->general)) {
        (void)snprintf(engine->calibration_problem, sizeof engine->calibration_problem,
                       "calibration: does not fit the general model it names: calibrate again");
        of_calibration_free(engine->calibration);
        engine->calibration = NULL;
        return;
    }
    engine->members_fingerprint =
        of_ensemble_fingerprint((const of_model *const *)loaded->members, loaded->member_count);
}

/* Ranks take their parts of the same batches, though their machines may differ. */
static of_status agree_on_batch(of_engine *engine, of_error *error) {
    of_ranks *ranks = of_processes_ranks();
    uint64_t batch = engine->settings->batch;
    if (batch == 0)
        batch = of_stream_batch_size(engine->plan) * (uint64_t)of_ranks_size(ranks);
    of_status status = of_ranks_share_batch(ranks, &batch, error);
    engine->batch = (size_t)batch;
    return status;
}

static void describe_engine(of_engine *engine) {
    engine->architecture = *of_plan_architecture(engine->plan);
    engine->comparable_scales =
        engine->general != NULL &&
        of_architecture_scale_count(&engine->architecture) ==
            of_architecture_scale_count(of_plan_architecture(engine->general));
}

of_status of_engine_open(const of_engine_settings *settings, of_console *console, of_engine *engine,
                         of_error *error) {
    loaded_models loaded = {.member_count = 0};
    *engine = (of_engine){.settings = settings, .console = console};
    of_processes_show(console, (unsigned)settings->threads);
    of_ranks *ranks = of_processes_ranks();
    of_status status = load_models(settings, &loaded, error);
    if (status == OF_OK)
        status = compile_models(&loaded, engine, error);
    status = of_ranks_agree(ranks, status, error);
    if (status == OF_OK)
        status = of_ranks_compare_kernels(ranks, engine->plan, error);
    if (status == OF_OK)
        status = agree_on_batch(engine, error);
    if (status == OF_OK) {
        describe_engine(engine);
        read_calibration(&loaded, engine);
    }
    free_models(&loaded);
    if (status != OF_OK)
        of_engine_close(engine);
    return status;
}

void of_engine_close(of_engine *engine) {
    of_plan_free(engine->plan);
    of_plan_free(engine->general);
    for (size_t i = 0; i < engine->member_count; i++)
        of_plan_free(engine->members[i]);
    of_calibration_free(engine->calibration);
    engine->plan = engine->general = NULL;
    engine->calibration = NULL;
    engine->member_count = 0;
}

/* ---- Runs --------------------------------------------------------------------------------- */

typedef struct watched_run {
    of_engine *engine;
    const of_run *run;
    uint64_t images;
    uint64_t reshaped;      /* images that lost much when they were resized */
    uint32_t height, width; /* the largest of them */
    of_warnings warnings;
} watched_run;

static void warn_unreadable(void *user, const char *path, const char *reason) {
    watched_run *watched = user;
    of_warnings_add(&watched->warnings, watched->run->source, path, reason);
}

static bool is_interrupted(void *user) {
    (void)user;
    return of_interrupted() != 0;
}

/* More decoders than this would only wait for the flow. */
enum { MAX_DECODERS = 16 };

static of_source_options source_options(watched_run *watched) {
    const of_engine *engine = watched->engine;
    of_source_options options = of_source_options_default(&engine->architecture);
    uint64_t threads = engine->settings->threads;
    options.threads = (unsigned)(threads < MAX_DECODERS ? threads : MAX_DECODERS);
    options.limit = engine->settings->limit;
    options.seed = engine->settings->seed;
    options.strict = engine->settings->strict;
    options.on_unreadable = warn_unreadable;
    options.user = watched;
    options.stop = is_interrupted;
    return options;
}

static uint64_t stride(const of_engine *engine) {
    return engine->settings->every > 0 ? engine->settings->every : 1;
}

static uint64_t expected_images(const of_engine *engine, const of_source *source) {
    uint64_t expected = of_source_expected(source), limit = engine->settings->limit;
    uint64_t read = limit != 0 && expected > limit ? limit : expected;
    return read / stride(engine) + (read % stride(engine) > 0);
}

static void note_shapes(watched_run *watched, const of_scored_batch *batch) {
    for (size_t i = 0; i < batch->count; i++) {
        const of_item *item = &batch->items[i];
        if (!item->reshaped)
            continue;
        watched->reshaped++;
        if ((uint64_t)item->height * item->width > (uint64_t)watched->height * watched->width) {
            watched->height = item->height;
            watched->width = item->width;
        }
    }
}

/* What a user may not know of the images that were scored, or were not. */
static void warn_of_images(const watched_run *watched, uint64_t skipped) {
    const of_engine *engine = watched->engine;
    if (skipped > 0)
        of_log_write(&engine->console->log, OF_LOG_WARNING,
                     "%s: passed over %" PRIu64 " files that are no images by their names (%s)",
                     watched->run->source, skipped, OF_IMAGE_EXTENSIONS);
    if (watched->reshaped > 0)
        of_log_write(&engine->console->log, OF_LOG_WARNING,
                     "%s: %" PRIu64 " of %" PRIu64 " images, up to %" PRIu32 "x%" PRIu32
                     ", were shrunk or squeezed to the model's %" PRIu32 "x%" PRIu32
                     ": what is small in them is lost",
                     watched->run->source, watched->reshaped, watched->images, watched->height,
                     watched->width, engine->architecture.height, engine->architecture.width);
}

static of_status watch_batch(void *user, const of_scored_batch *batch, of_error *error) {
    watched_run *watched = user;
    of_status status = of_interrupt_check(error);
    if (status == OF_OK)
        status = watched->run->visit(watched->run->user, batch, error);
    watched->images += batch->count;
    note_shapes(watched, batch);
    of_progress_update(&watched->engine->console->progress, watched->images, NULL);
    return status;
}

of_status of_engine_fail_empty(const char *source, uint64_t unreadable, of_error *error) {
    if (unreadable == 0)
        return of_fail(error, OF_ERROR_FORMAT, "%s: there is no image in it", source);
    return of_fail(error, OF_ERROR_FORMAT, "%s: no image could be read, %" PRIu64 " failed", source,
                   unreadable);
}

static of_stream_models stream_models(const of_engine *engine) {
    of_stream_models models = {.plan = engine->plan,
                               .general = engine->general,
                               .member_count = engine->member_count,
                               .with_png = engine->with_png,
                               .with_webp = engine->with_webp};
    memcpy(models.members, engine->members, sizeof models.members);
    models.part = of_ranks_rank(of_processes_ranks());
    models.parts = of_ranks_size(of_processes_ranks());
    models.share_items = of_ranks_compare_items;
    models.share = of_ranks_share_rows;
    models.user = of_processes_ranks();
    return models;
}

of_status of_engine_run(of_engine *engine, const of_run *run, of_tally *tally, of_error *error) {
    of_progress *progress = &engine->console->progress;
    watched_run watched = {.engine = engine,
                           .run = run,
                           .warnings = {.console = engine->console, .several = run->several}};
    of_source_options options = source_options(&watched);
    of_source *source = NULL;
    double start = of_seconds();
    of_status status = of_ranks_check_source(of_processes_ranks(), run->source, error);
    if (status == OF_OK)
        status = of_source_open(run->source, &options, &source, error);
    status = of_ranks_agree(of_processes_ranks(), status, error);
    if (status != OF_OK) {
        of_source_free(source);
        return status;
    }
    of_progress_start(progress, of_console_progress_stream(engine->console), run->label, "images",
                      expected_images(engine, source));
    of_stream_models models = stream_models(engine);
    status =
        of_stream_run(source, &models, engine->batch, stride(engine), watch_batch, &watched, error);
    of_progress_finish(progress);
    of_warnings_finish(&watched.warnings);
    warn_of_images(&watched, of_source_skipped(source));
    tally->images += watched.images;
    tally->unreadable += of_source_unreadable(source);
    tally->seconds += of_seconds() - start;
    of_source_free(source);
    return status == OF_OK ? of_interrupt_check(error) : status;
}
