/* SPDX-License-Identifier: Apache-2.0 */
/* outflow sample: images drawn from a model, as a PNG grid. */
#define _POSIX_C_SOURCE 200809L
#include "cli/shared_options.h"
#include "cli/terminal/grid.h"
#include "cli/terminal/output.h"
#include "cli/terminal/words.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

const of_command of_sample_command = {
    .name = "sample",
    .summary = "Draw images from a model into a PNG grid",
    .operands = "",
    .details = "Draws latents from a normal distribution with the temperature as its standard "
               "deviation, runs them backwards through the flow, and writes the images as one "
               "PNG. The same model, seed and temperature give the same images; image number i "
               "depends on the seed and i alone.",
    .examples =
        "outflow sample -m in.safetensors --count 64 --temperature 0.7 --seed 1 -o grid.png",
};

typedef struct sample_settings {
    of_shared_settings shared;
    const char *out;
    uint64_t count, columns;
    double temperature;
} sample_settings;

static void declare(sample_settings *settings, of_option_table *table) {
    of_shared_model_option(&settings->shared, table);
    of_option *out = of_option_text(table, 'o', "out", "FILE", &settings->out,
                                    "PNG file to write; it appears only when it is complete.");
    out->required = true;
    out->role = OF_ROLE_WRITTEN;
    of_option_count(table, 'n', "count", &settings->count, 1, 65536,
                    "Number of images; without it, 64.");
    of_option_real(table, 0, "temperature", "T", &settings->temperature, 0, 100,
                   "Standard deviation of the latents; without it, 1.");
    of_option_count(table, 's', "seed", &settings->shared.seed, 0, 0x1p64,
                    "Seed of the random numbers; without it, 0.");
    of_option_count(table, 0, "columns", &settings->columns, 1, 65536,
                    "Images in a row of the grid; without it, about as many as rows.");
    of_option_flag(table, 'q', "quiet", &settings->shared.quiet, "Show no summary.");
    of_shared_plan_options(&settings->shared, table);
}

static uint64_t count_non_finite(const float *values, size_t count) {
    uint64_t non_finite = 0;
    for (size_t i = 0; i < count; i++)
        if (!isfinite(values[i]))
            non_finite++;
    return non_finite;
}

static of_grid make_grid(const sample_settings *settings, const of_architecture *architecture,
                         const float *images) {
    uint64_t columns =
        settings->columns != 0 ? settings->columns : (uint64_t)ceil(sqrt((double)settings->count));
    return (of_grid){
        .images = images,
        .count = (size_t)settings->count,
        .columns = (size_t)(columns < settings->count ? columns : settings->count),
        .channels = architecture->channels,
        .height = architecture->height,
        .width = architecture->width,
    };
}

/* What is drawn with, and where it goes. */
typedef struct sampler {
    const sample_settings *settings;
    of_console *console;
    const of_architecture *architecture;
    of_session *session;
    of_output *output;
} sampler;

static of_status sample_into(const sampler *s, float *images, size_t values, of_error *error) {
    const sample_settings *settings = s->settings;
    of_status status = of_session_sample(s->session, (size_t)settings->count, settings->temperature,
                                         settings->shared.seed, images, error);
    if (status == OF_OK)
        status = of_interrupt_check(error);
    if (status != OF_OK)
        return status;
    uint64_t non_finite = count_non_finite(images, values);
    if (non_finite > 0)
        of_log_write(&s->console->log, OF_LOG_WARNING,
                     "%" PRIu64 " of %zu values are not finite and are drawn black; a lower "
                     "--temperature may help",
                     non_finite, values);
    of_grid grid = make_grid(settings, s->architecture, images);
    status = of_grid_write_png(&grid, of_output_file(s->output), error);
    of_error reason; /* of the file, which the PNG library does not know */
    if (status == OF_ERROR_IO && of_console_flush(s->output, &reason) != OF_OK)
        return of_error_copy(error, &reason);
    return status;
}

static of_status sample_and_write(sampler *s, of_error *error) {
    size_t dimensions = of_architecture_dimensions(s->architecture);
    size_t count = (size_t)s->settings->count;
    float *images = calloc(count, dimensions * sizeof *images); /* NULL on overflow */
    of_status status = images != NULL ? sample_into(s, images, count * dimensions, error)
                                      : of_fail_setting(error, OF_ERROR_MEMORY, "count",
                                                        "out of memory for the images");
    free(images);
    return status == OF_OK ? of_console_commit(&s->output, error) : status;
}

static of_status compile(const sample_settings *settings, of_plan **plan, of_error *error) {
    of_plan_options options = of_shared_plan_wish(&settings->shared);
    of_model *model = NULL;
    options.inverse = true;
    options.latency = false; /* nothing is run forward */
    of_status status = of_model_open(settings->shared.model, &model, error);
    if (status == OF_OK)
        status = of_plan_compile(model, &options, plan, error);
    of_model_free(model);
    return status;
}

static of_status run_sample(const sample_settings *settings, of_console *console, of_error *error) {
    of_plan *plan = NULL;
    sampler s = {.settings = settings, .console = console};
    of_status status = compile(settings, &plan, error);
    if (status == OF_OK) {
        s.architecture = of_plan_architecture(plan);
        status = of_session_create(plan, 0, &s.session, error);
    }
    if (status == OF_OK)
        status = of_output_open(settings->out, &s.output, error);
    if (status == OF_OK)
        status = sample_and_write(&s, error);
    of_output_discard(s.output);
    of_session_free(s.session);
    of_plan_free(plan);
    return status;
}

/* The extension, if it promises another kind of image than is written; else NULL. */
static const char *foreign_extension(const char *path) {
    static const char *const others[] = {"jpg", "jpeg", "gif",  "bmp",  "tga", "pnm", "ppm",
                                         "pgm", "tif",  "tiff", "webp", "svg", "pdf"};
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot != NULL && i < sizeof others / sizeof *others; i++)
        if (strcasecmp(dot + 1, others[i]) == 0)
            return dot;
    return NULL;
}

static int sample_with(const sample_settings *settings, of_console *console) {
    of_error error;
    double start = of_seconds();
    if (settings->shared.quiet)
        of_console_quiet(console);
    of_interrupt_watch();
    if (run_sample(settings, console, &error) != OF_OK)
        return of_console_fail(console, &error);
    of_log_write(&console->log, OF_LOG_INFO, "%" PRIu64 " image%s in %.2f s", settings->count,
                 of_plural(settings->count), of_seconds() - start);
    return OF_EXIT_FINE;
}

static int check_and_sample(const sample_settings *settings, const of_text_list *operands,
                            of_console *console) {
    const of_command *command = &of_sample_command;
    if (operands->count > 0)
        return of_usage_error(console, command, "unexpected operand '%s'", operands->items[0]);
    const char *extension = foreign_extension(settings->out);
    if (extension != NULL)
        return of_usage_error(console, command, "--out %s: a PNG is written, not %s", settings->out,
                              extension);
    return sample_with(settings, console);
}

int of_verb_sample(int argc, char **argv, of_console *console) {
    sample_settings settings = {.count = 64, .temperature = 1};
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    int code;
    declare(&settings, &table);
    if (of_options_parse(&of_sample_command, &table, argc, argv, &operands, console, &code))
        code = check_and_sample(&settings, &operands, console);
    of_text_list_free(&operands);
    return code;
}
