/* SPDX-License-Identifier: Apache-2.0 */
/* Options that verbs share: models, what computes them, and how sources are read. */
#ifndef OF_CLI_SHARED_OPTIONS_H
#define OF_CLI_SHARED_OPTIONS_H

#include "cli/terminal/options.h"

#include <outflow/detect.h>

enum { OF_FRAMES_FIRST, OF_FRAMES_ALL };

typedef struct of_shared_settings {
    const char *model, *general; /* paths; general may be NULL */
    of_text_list ensemble;       /* files or names of further models */
    uint64_t threads, batch, limit, every, seed;
    uint64_t max_pixels, max_bytes, max_unpacked; /* 0: not given */
    int isa;                                      /* of_isa */
    int precision;                                /* of_precision */
    const char *background;                       /* NULL: not given */
    int frames;                                   /* OF_FRAMES_FIRST or OF_FRAMES_ALL */
    bool strict, quiet, full_decoding;
    bool webp;         /* --webp: complexity-webp among all scores */
    bool lossy_scores; /* --lossy-scores */
    const char *tiles; /* --tiles: NULL, "off", or SIZE[:STRIDE] */
} of_shared_settings;

/* -m/--model, required */
void of_shared_model_option(of_shared_settings *settings, of_option_table *table);
/* -g/--general-model */
void of_shared_general_option(of_shared_settings *settings, of_option_table *table);
/* --ensemble, may be repeated; --webp */
void of_shared_ensemble_option(of_shared_settings *settings, of_option_table *table);
void of_shared_webp_option(of_shared_settings *settings, of_option_table *table);
/* --tiles; and its spelling, before a model is loaded */
void of_shared_tiles_option(of_shared_settings *settings, of_option_table *table);
of_status of_shared_check_tiles(const of_shared_settings *settings, of_error *error);
/* -t/--threads and --isa; --precision */
void of_shared_plan_options(of_shared_settings *settings, of_option_table *table);
void of_shared_precision_option(of_shared_settings *settings, of_option_table *table);
/* --lossy-scores; and tells which scores are left out without it */
void of_shared_lossy_option(of_shared_settings *settings, of_option_table *table);
void of_shared_say_lossy(const of_console *console, const of_detector *detector);
/* --limit, --every, --strict, --max-pixels, --max-bytes, --max-unpacked, --background, --frames,
 * --full-decoding, -b/--batch, -s/--seed, -q/--quiet */
void of_shared_source_options(of_shared_settings *settings, of_option_table *table);
/* Whether --background is a colour. */
of_status of_shared_check_background(const of_shared_settings *settings, of_error *error);

/* "32" or "32x48": height x width, of --size. */
of_status of_size_parse(const char *text, uint32_t *height, uint32_t *width, of_error *error);

/* Before the work: silence if it is wished, signals, and who runs where. */
void of_shared_begin(const of_shared_settings *settings, of_console *console);

/* Tells of a general model that was not given, but found. */
void of_shared_say_general(const of_console *console, const of_detector *detector);

/* What they say, in the library's forms. */
of_detector_options of_shared_detector_options(const of_shared_settings *settings);
of_stream_options of_shared_stream_options(const of_shared_settings *settings,
                                           const of_stream_observer *observer);
of_plan_options of_shared_plan_wish(const of_shared_settings *settings);

/* The model is one that others use, too, and no other file is given to write to. */
int of_shared_fail_installed(const of_shared_settings *settings, of_console *console,
                             const of_command *command);

void of_shared_settings_free(of_shared_settings *settings);

#endif
