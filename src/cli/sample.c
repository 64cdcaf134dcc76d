/* SPDX-License-Identifier: Apache-2.0 */
/* outflow sample: images drawn from a model, as a PNG grid. */
#define _POSIX_C_SOURCE 200809L
#include "cli/engine.h"
#include "cli/terminal/output.h"
#include "cli/terminal/png.h"
#include "cli/terminal/words.h"
#include "cli/verbs.h"
#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"

#include <inttypes.h>
#include <math.h>
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
    of_engine_settings engine;
    const char *out;
    uint64_t count, columns;
    double temperature;
} sample_settings;

static void declare(sample_settings *settings, of_option_table *table) {
    of_engine_model_option(&settings->engine, table);
    of_option *out = of_option_text(table, 'o', "out", "FILE", &settings->out,
                                    "PNG file to write; it appears only when it is complete.");
    out->required = true;
    out->role = OF_ROLE_WRITTEN;
    of_option_count(table, 'n', "count", &settings->count, 1, 65536,
                    "Number of images; without it, 64.");
    of_option_real(table, 0, "temperature", "T", &settings->temperature, 0, 100,
                   "Standard deviation of the latents; without it, 1.");
    of_option_count(table, 's', "seed", &settings->engine.seed, 0, 0x1p64,
                    "Seed of the random numbers; without it, 0.");
    of_option_count(table, 0, "columns", &settings->columns, 1, 65536,
                    "Images in a row of the grid; without it, about as many as rows.");
    of_option_flag(table, 'q', "quiet", &settings->engine.quiet, "Show no summary.");
    of_engine_plan_options(&settings->engine, table);
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

static of_status sample_into(const sample_settings *settings, of_engine *engine, float *images,
                             size_t values, of_output *output, of_error *error) {
    of_status status =
        of_session_sample(engine->own, (size_t)settings->count, settings->temperature,
                          settings->engine.seed, images, error);
    if (status == OF_OK)
        status = of_interrupt_check(error);
    if (status != OF_OK)
        return status;
    uint64_t non_finite = count_non_finite(images, values);
    if (non_finite > 0)
        of_log_write(&engine->console->log, OF_LOG_WARNING,
                     "%" PRIu64 " of %zu values are not finite and are drawn black; a lower "
                     "--temperature may help",
                     non_finite, values);
    of_grid grid = make_grid(settings, &engine->architecture, images);
    status = of_grid_write_png(&grid, of_output_file(output), error);
    of_error reason; /* of the file, which the PNG library does not know */
    if (status == OF_ERROR_IO && of_console_flush(output, &reason) != OF_OK)
        return of_error_copy(error, &reason);
    return status;
}

static of_status run_sample(const sample_settings *settings, of_engine *engine, of_error *error) {
    of_output *output = NULL;
    size_t values;
    if (!of_multiply((size_t)settings->count, of_architecture_dimensions(&engine->architecture),
                     &values))
        return of_fail(error, OF_ERROR_ARGUMENT, "--count is too large for this model");
    of_status status = of_output_open(settings->out, &output, error);
    if (status != OF_OK)
        return status;
    float *images = of_allocate(values, sizeof *images);
    status = images != NULL ? sample_into(settings, engine, images, values, output, error)
                            : of_fail_memory(error, "the images; lower --count");
    of_free(images);
    if (status == OF_OK)
        status = of_console_commit(&output, error);
    of_output_discard(output);
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
    of_engine engine;
    double start = of_seconds();
    if (settings->engine.quiet)
        of_console_quiet(console);
    of_interrupt_watch();
    of_status status = of_engine_open(&settings->engine, console, &engine, &error);
    if (status == OF_OK) {
        status = run_sample(settings, &engine, &error);
        of_engine_close(&engine);
    }
    if (status != OF_OK)
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
    sample_settings settings = {.engine.inverse = true, .count = 64, .temperature = 1};
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    int code;
    declare(&settings, &table);
    if (of_options_parse(&of_sample_command, &table, argc, argv, &operands, console, &code))
        code = check_and_sample(&settings, &operands, console);
    of_text_list_free(&operands);
    return code;
}
