/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/shared_options.h"

#include "cli/processes.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_NAMED = 32, NAME_SIZE = 34 /* of a score, with a comma */ };

void of_shared_model_option(of_shared_settings *settings, of_option_table *table) {
    of_option_model(table, 'm', "model", &settings->model,
                    "Weight file (safetensors), or the name of an installed model.")
        ->required = true;
}

void of_shared_general_option(of_shared_settings *settings, of_option_table *table) {
    of_option_model(
        table, 'g', "general-model", &settings->general,
        "Weight file of a model of images in general, for the ratio scores, or the name "
        "of an installed one. Without it, the installed one that the model was "
        "calibrated with; 'none': no general model.");
}

void of_shared_ensemble_option(of_shared_settings *settings, of_option_table *table) {
    of_option_list(table, "ensemble", "FILE", &settings->ensemble,
                   "Weight file of a further model of the same data, for the score 'ensemble'; may "
                   "be repeated.")
        ->role = OF_ROLE_READ;
}

void of_shared_webp_option(of_shared_settings *settings, of_option_table *table) {
    of_option_flag(table, 0, "webp", &settings->webp,
                   "Also the score complexity-webp, whose coder takes its time.");
}

void of_shared_tiles_option(of_shared_settings *settings, of_option_table *table) {
    of_option_text(table, 0, "tiles", "SIZE[:STRIDE]", &settings->tiles,
                   "Cut pictures into windows of SIZE pixels, STRIDE apart (without it, half the "
                   "size), and score those: a picture is as anomalous as its most anomalous "
                   "window. 'off': no windows. Without it, as the pictures that the model is "
                   "calibrated on.");
}

static bool cuts_off(const of_shared_settings *settings) {
    return settings->tiles != NULL && strcmp(settings->tiles, "off") == 0;
}

of_status of_shared_check_tiles(const of_shared_settings *settings, of_error *error) {
    of_tiling tiling;
    return settings->tiles == NULL || cuts_off(settings)
               ? OF_OK
               : of_tiling_parse(settings->tiles, &tiling, NULL, error);
}

void of_shared_plan_options(of_shared_settings *settings, of_option_table *table) {
    of_option_count(table, 't', "threads", &settings->threads, 1, 4096,
                    "Threads; without it, as many as the process may use CPUs.");
    of_option_choice(
        table, "isa", "auto|scalar|avx2|avx512", &settings->isa,
        "Instruction set of the hand-written kernels; without it, OUTFLOW_ISA or the best "
        "one. Convolutions follow OUTFLOW_ISA alone.");
}

void of_shared_precision_option(of_shared_settings *settings, of_option_table *table) {
    of_option_choice(
        table, "precision", "f32|bf16|auto|int8", &settings->precision,
        "What the networks calculate in; without it, f32. bf16 is faster and needs a "
        "CPU with AVX512_BF16; auto takes it where it is to be had. int8 is faster still "
        "and needs AVX512_VNNI and a model that 'outflow quantize' has prepared.");
}

void of_shared_lossy_option(of_shared_settings *settings, of_option_table *table) {
    of_option_flag(table, 0, "lossy-scores", &settings->lossy_scores,
                   "With --precision int8: also scores that lose more than 0.002 of their AUROC in "
                   "it, or whose loss 'outflow quantize' has not measured.");
}

void of_shared_source_options(of_shared_settings *settings, of_option_table *table) {
    of_option_count(table, 0, "limit", &settings->limit, 1, 0x1p63,
                    "Take only the first N images of each SRC. Archives are often sorted by "
                    "class: a fair sample is every N-th image, or part:0-0.1:SRC.");
    of_option_count(table, 0, "every", &settings->every, 1, 0x1p53,
                    "Take only every N-th image of each SRC, of those within --limit.");
    of_option_flag(table, 0, "strict", &settings->strict,
                   "Stop with an error at the first file that cannot be read.");
    of_option_count(table, 0, "max-pixels", &settings->max_pixels, 1, 0x1p32,
                    "Refuse images of more pixels; without it, 67108864.");
    of_option_count(table, 0, "max-bytes", &settings->max_bytes, 1, 0x1p53,
                    "Refuse images that take more memory than this to decode; without it, "
                    "536870912.");
    of_option_count(table, 0, "max-unpacked", &settings->max_unpacked, 1, 0x1p63,
                    "Stop with an error when more bytes than this were unpacked of an archive; "
                    "without it, there is no limit.");
    of_option_text(table, 0, "background", "COLOUR", &settings->background,
                   "What lies below transparent pixels: white, black, grey or #rrggbb; without it, "
                   "white.");
    of_option_choice(table, "frames", "first|all", &settings->frames,
                     "Of animations (GIF, PNG, WebP) and TIFF documents the first picture, or all, "
                     "each with a row of its own, path#0 and so on; without it, first.");
    of_option_flag(table, 0, "full-decoding", &settings->full_decoding,
                   "Decode large JPEGs at their full size even if they are shrunk to less than an "
                   "eighth: several times slower, pixels differ by a level at most.");
    of_option_count(
        table, 'b', "batch", &settings->batch, 1, 65536,
        "Images in memory at a time; results do not depend on it. Without it, chosen by "
        "their size.");
    of_option_count(table, 's', "seed", &settings->seed, 0, 0x1p64,
                    "Seed of synthetic: sources; without it, 0.");
    of_option_flag(table, 'q', "quiet", &settings->quiet, "Show no progress and no summary.");
}

of_status of_shared_check_background(const of_shared_settings *settings, of_error *error) {
    uint32_t colour;
    return settings->background == NULL ? OF_OK
                                        : of_colour_parse(settings->background, &colour, error);
}

void of_shared_begin(const of_shared_settings *settings, of_console *console) {
    if (settings->quiet)
        of_console_quiet(console);
    of_interrupt_watch();
    of_processes_show(console, (unsigned)settings->threads);
}

/* ---- Sizes -------------------------------------------------------------------------------- */

of_status of_size_parse(const char *text, uint32_t *height, uint32_t *width, of_error *error) {
    char *end = NULL;
    unsigned long first = *text >= '0' && *text <= '9' ? strtoul(text, &end, 10) : 0;
    unsigned long second = first;
    if (end != NULL && *end == 'x' && end[1] >= '0' && end[1] <= '9')
        second = strtoul(end + 1, &end, 10);
    if (end == NULL || *end != '\0' || first == 0 || second == 0 || first > 65535 || second > 65535)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "option --size: '%s' is not a size such as 32 or 32x48 (height x width)",
                       text);
    *height = (uint32_t)first;
    *width = (uint32_t)second;
    return OF_OK;
}

/* ---- What they say ------------------------------------------------------------------------- */

of_plan_options of_shared_plan_wish(const of_shared_settings *settings) {
    of_plan_options options = of_plan_options_default();
    options.threads = (unsigned)settings->threads;
    options.isa = (of_isa)settings->isa;
    options.precision = (of_precision)settings->precision;
    return options;
}

of_detector_options of_shared_detector_options(const of_shared_settings *settings) {
    of_detector_options options = of_detector_options_default();
    options.model = settings->model;
    bool none = settings->general != NULL && strcmp(settings->general, "none") == 0;
    options.general_model = none ? NULL : settings->general;
    options.find_general = !none;
    options.ensemble = (const char *const *)settings->ensemble.items;
    options.ensemble_count = settings->ensemble.count;
    options.webp = settings->webp;
    options.threads = (unsigned)settings->threads;
    options.isa = (of_isa)settings->isa;
    options.precision = (of_precision)settings->precision;
    options.lossy_scores = settings->lossy_scores;
    options.ranks = of_processes_ranks();
    options.whole = cuts_off(settings);
    if (settings->tiles != NULL && !options.whole) /* its spelling has been checked */
        (void)of_tiling_parse(settings->tiles, &options.tiles, NULL, NULL);
    /* the last batch of a source is hardly worth code of its own */
    unsigned threads = options.threads > 0 ? options.threads : of_cpu_count();
    options.latency = settings->batch > 0 && settings->batch < threads;
    return options;
}

void of_shared_say_general(const of_console *console, const of_detector *detector) {
    const of_detector_info info = of_detector_describe(detector);
    if (info.general_found)
        of_log_write(&console->log, OF_LOG_INFO,
                     "takes the general model %s, which %s was calibrated with",
                     info.general_model->file, info.model->file);
}

void of_shared_say_lossy(const of_console *console, const of_detector *detector) {
    of_score scores[MOST_NAMED];
    char names[MOST_NAMED * NAME_SIZE] = "";
    size_t count = of_detector_lossy_scores(detector, scores, MOST_NAMED), used = 0;
    if (count == 0)
        return;
    for (size_t i = 0; i < count && i < MOST_NAMED; i++) {
        char name[NAME_SIZE - 2];
        of_score_name(scores[i], name, sizeof name);
        used +=
            (size_t)snprintf(names + used, sizeof names - used, "%s%s", i > 0 ? ", " : "", name);
    }
    of_log_write(&console->log, OF_LOG_WARNING,
                 "left out, since they lose too much in int8 or it was not measured: %s; "
                 "--lossy-scores takes them in",
                 names);
}

of_stream_options of_shared_stream_options(const of_shared_settings *settings,
                                           const of_stream_observer *observer) {
    of_stream_options options = of_stream_options_default();
    options.limit = settings->limit;
    options.every = settings->every;
    options.seed = settings->seed;
    options.batch = (size_t)settings->batch;
    options.strict = settings->strict;
    options.max_pixels = settings->max_pixels;
    options.max_bytes = settings->max_bytes;
    options.max_unpacked = settings->max_unpacked;
    if (settings->background != NULL)
        (void)of_colour_parse(settings->background, &options.background, NULL); /* was checked */
    options.all_frames = settings->frames == OF_FRAMES_ALL;
    options.full_decoding = settings->full_decoding;
    options.observer = observer;
    return options;
}

int of_shared_fail_installed(const of_shared_settings *settings, of_console *console,
                             const of_command *command) {
    return of_usage_error(console, command,
                          "%s is installed for all: give --out FILE for a copy, or this path to "
                          "change it",
                          settings->model);
}

void of_shared_settings_free(of_shared_settings *settings) {
    of_text_list_free(&settings->ensemble);
}
