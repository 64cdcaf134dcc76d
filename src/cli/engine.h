/* SPDX-License-Identifier: Apache-2.0 */
/* What the verbs share: the model and the general model, compiled, and runs of a source through
 * them with progress, warnings and interruption. */
#ifndef OF_CLI_ENGINE_H
#define OF_CLI_ENGINE_H

#include "cli/terminal/options.h"
#include "score/stream.h"

typedef struct of_engine_settings {
    const char *model, *general;                 /* paths; general may be NULL */
    uint64_t threads, batch, limit, every, seed; /* every 0: all images */
    int isa;                                     /* of_isa */
    int precision;                               /* of_precision */
    bool strict, quiet;
    of_text_list ensemble; /* paths of further models */
    bool webp;             /* --webp: complexity-webp among all scores */
    bool inverse;          /* also from latents to images */
} of_engine_settings;

/* -m/--model, required */
void of_engine_model_option(of_engine_settings *settings, of_option_table *table);
/* -t/--threads and --isa */
void of_engine_plan_options(of_engine_settings *settings, of_option_table *table);
/* --precision */
void of_engine_precision_option(of_engine_settings *settings, of_option_table *table);
/* --general-model, --limit, --every, --strict, -b/--batch, -s/--seed, -q/--quiet */
void of_engine_general_option(of_engine_settings *settings, of_option_table *table);
void of_engine_source_options(of_engine_settings *settings, of_option_table *table);

/* --ensemble, may be repeated; --webp */
void of_engine_ensemble_option(of_engine_settings *settings, of_option_table *table);
void of_engine_webp_option(of_engine_settings *settings, of_option_table *table);

of_plan_options of_engine_plan_wish(const of_engine_settings *settings);

typedef struct of_engine {
    const of_engine_settings *settings;
    of_console *console;
    of_plan *plan, *general_plan; /* general: NULL without a general model */
    of_plan *member_plans[OF_STREAM_MEMBERS];
    of_session *own, *general; /* of the plans */
    of_session *members[OF_STREAM_MEMBERS];
    size_t member_count;
    of_architecture architecture;
    bool comparable_scales; /* the general model's last scale can be compared with the model's */
    size_t batch;
    bool with_png, with_webp;      /* code every image; set before a run */
    of_calibration *calibration;   /* of the model; NULL: it has none that can be used */
    char calibration_problem[512]; /* why it cannot be used; "" if there is none */
    uint64_t general_fingerprint, members_fingerprint; /* with a calibration; 0 for none */
} of_engine;

/* Loads and compiles. A calibration that cannot be used is no error here; it is said by whoever
 * needs it. Sizes that do not fit each other are an error before anything is compiled. */
of_status of_engine_open(const of_engine_settings *settings, of_console *console, of_engine *engine,
                         of_error *error);
void of_engine_close(of_engine *engine);

/* What went through the engine. */
typedef struct of_tally {
    uint64_t images, unreadable;
    double seconds;
} of_tally;

typedef struct of_run {
    const char *source; /* SRC */
    const char *label;  /* shown with the progress */
    bool several;       /* there are further runs, of other sources: warnings name this one */
    of_scored_visit *visit;
    void *user;
} of_run;

/* The error for a source of which nothing could be scored. */
of_status of_engine_fail_empty(const char *source, uint64_t unreadable, of_error *error);

/* Runs one source and adds to the tally. An interruption ends it with an error. */
of_status of_engine_run(of_engine *engine, const of_run *run, of_tally *tally, of_error *error);

#endif
