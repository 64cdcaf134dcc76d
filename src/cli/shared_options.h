/* SPDX-License-Identifier: Apache-2.0 */
/* Options that verbs share: models, what computes them, and how sources are read. */
#ifndef OF_CLI_SHARED_OPTIONS_H
#define OF_CLI_SHARED_OPTIONS_H

#include "cli/terminal/options.h"

#include <outflow/detect.h>

typedef struct of_shared_settings {
    const char *model, *general; /* paths; general may be NULL */
    of_text_list ensemble;       /* files or names of further models */
    uint64_t threads, batch, limit, every, seed;
    uint64_t max_pixels, max_bytes, max_unpacked; /* 0: not given */
    int isa;                                      /* of_isa */
    int precision;                                /* of_precision */
    bool strict, quiet;
    bool webp; /* --webp: complexity-webp among all scores */
} of_shared_settings;

/* -m/--model, required */
void of_shared_model_option(of_shared_settings *settings, of_option_table *table);
/* -g/--general-model */
void of_shared_general_option(of_shared_settings *settings, of_option_table *table);
/* --ensemble, may be repeated; --webp */
void of_shared_ensemble_option(of_shared_settings *settings, of_option_table *table);
void of_shared_webp_option(of_shared_settings *settings, of_option_table *table);
/* -t/--threads and --isa; --precision */
void of_shared_plan_options(of_shared_settings *settings, of_option_table *table);
void of_shared_precision_option(of_shared_settings *settings, of_option_table *table);
/* --limit, --every, --strict, --max-pixels, --max-bytes, --max-unpacked, -b/--batch, -s/--seed,
 * -q/--quiet */
void of_shared_source_options(of_shared_settings *settings, of_option_table *table);

/* "32" or "32x48": height x width, of --size. */
of_status of_size_parse(const char *text, uint32_t *height, uint32_t *width, of_error *error);

/* Before the work: silence if it is wished, signals, and who runs where. */
void of_shared_begin(const of_shared_settings *settings, of_console *console);

/* What they say, in the library's forms. */
of_detector_options of_shared_detector_options(const of_shared_settings *settings);
of_stream_options of_shared_stream_options(const of_shared_settings *settings,
                                           const of_stream_observer *observer);
of_plan_options of_shared_plan_wish(const of_shared_settings *settings);

void of_shared_settings_free(of_shared_settings *settings);

#endif
