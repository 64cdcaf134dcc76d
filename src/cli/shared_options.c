/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/shared_options.h"

#include "cli/processes.h"

void of_shared_model_option(of_shared_settings *settings, of_option_table *table) {
    of_option_model(table, 'm', "model", &settings->model,
                    "Weight file (safetensors), or the name of an installed model.")
        ->required = true;
}

void of_shared_general_option(of_shared_settings *settings, of_option_table *table) {
    of_option_model(table, 'g', "general-model", &settings->general,
                    "Weight file of a model of images in general, for the ratio scores.");
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
    of_option_count(
        table, 'b', "batch", &settings->batch, 1, 65536,
        "Images in memory at a time; results do not depend on it. Without it, chosen by "
        "their size.");
    of_option_count(table, 's', "seed", &settings->seed, 0, 0x1p64,
                    "Seed of synthetic: sources; without it, 0.");
    of_option_flag(table, 'q', "quiet", &settings->quiet, "Show no progress and no summary.");
}

void of_shared_begin(const of_shared_settings *settings, of_console *console) {
    if (settings->quiet)
        of_console_quiet(console);
    of_interrupt_watch();
    of_processes_show(console, (unsigned)settings->threads);
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
    options.general_model = settings->general;
    options.ensemble = (const char *const *)settings->ensemble.items;
    options.ensemble_count = settings->ensemble.count;
    options.webp = settings->webp;
    options.threads = (unsigned)settings->threads;
    options.isa = (of_isa)settings->isa;
    options.precision = (of_precision)settings->precision;
    options.ranks = of_processes_ranks();
    /* the last batch of a source is hardly worth code of its own */
    unsigned threads = options.threads > 0 ? options.threads : of_cpu_count();
    options.latency = settings->batch > 0 && settings->batch < threads;
    return options;
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
    options.observer = observer;
    return options;
}

void of_shared_settings_free(of_shared_settings *settings) {
    of_text_list_free(&settings->ensemble);
}
