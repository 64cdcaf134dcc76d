/* SPDX-License-Identifier: Apache-2.0 */
/* outflow quantize: how large a model's activations are, into the weight file, for --precision
 * int8.
 */
#include "cli/processes.h"
#include "cli/shared_options.h"
#include "cli/verbs.h"
#include "cli/watcher.h"

#include <inttypes.h>

const of_command of_quantize_command = {
    .name = "quantize",
    .summary = "Prepare a model for --precision int8, the fastest way to score",
    .operands = "",
    .details =
        "Runs images through the model and stores in the weight file how large its activations "
        "become: with them, 'outflow score --precision int8' and others turn activations into "
        "8-bit integers. The file is replaced atomically (or, with --out, written anew); its "
        "tensors stay byte for byte as they are, and so does a calibration.\n\n"
        "The images should be like those to come, and may be those that the model was trained on; "
        "500 to 2000 serve well. Take them from all over an archive: --every 10. A general model "
        "is quantized like any other, with the same images; in a bundle both models are.\n\n"
        "'outflow eval --precision int8 --compare-precision' tells what it costs.\n\n"
        "SRC is what 'outflow score --help' says.\n\n"
        "Exit code 3: finished, but some files could not be read.",
    .examples =
        "outflow quantize -m in.safetensors --data train.tar --every 50 -o fast.safetensors",
};

typedef struct quantize_settings {
    of_shared_settings shared;
    const char *data, *out;
    bool bundle, installed; /* installed: the model is given by its name */
} quantize_settings;

static void declare(quantize_settings *settings, of_option_table *table) {
    of_option *data;
    of_shared_model_option(&settings->shared, table);
    data = of_option_text(table, 0, "data", "SRC", &settings->data,
                          "Images like those that will be scored.");
    data->role = OF_ROLE_READ;
    data->required = true;
    of_shared_general_option(&settings->shared, table);
    of_option_text(table, 'o', "out", "FILE", &settings->out,
                   "Write the quantized model to FILE and leave the weight file as it is; needed "
                   "for a model that is given by its name.")
        ->role = OF_ROLE_WRITTEN;
    of_option_flag(table, 0, "bundle", &settings->bundle,
                   "Write the general model into FILE as well, quantized on the same images. Needs "
                   "--out and --general-model.");
    of_shared_source_options(&settings->shared, table);
    of_shared_plan_options(&settings->shared, table);
}

static of_status run(const quantize_settings *settings, of_console *console, of_detector *detector,
                     of_stream_result *result, of_error *error) {
    of_watcher watcher = of_watcher_make(console, "quantize", false);
    const of_stream_observer observer = of_watcher_observer(&watcher);
    const of_stream_options options = of_shared_stream_options(&settings->shared, &observer);
    const char *out = settings->out != NULL ? settings->out : settings->shared.model;
    of_save_options save = of_save_options_default();
    save.bundle = settings->bundle;
    of_status status = of_detector_quantize(detector, settings->data, &options, result, error);
    of_watcher_finish(&watcher);
    return status == OF_OK ? of_detector_save(detector, out, &save, error) : status;
}

static int quantize(const quantize_settings *settings, of_console *console) {
    of_error error;
    of_detector *detector = NULL;
    of_stream_result result = {0};
    const of_detector_options options = of_shared_detector_options(&settings->shared);
    of_shared_begin(&settings->shared, console);
    of_status status = of_detector_open(&options, &detector, &error);
    if (status == OF_OK)
        status = run(settings, console, detector, &result, &error);
    of_detector_free(detector);
    if (status != OF_OK)
        return of_console_fail(console, &error);
    of_log_write(&console->log, OF_LOG_INFO, "%" PRIu64 " images measured", result.images);
    return result.unreadable > 0 ? OF_EXIT_UNREADABLE : OF_EXIT_FINE;
}

static int check_and_quantize(const quantize_settings *settings, const of_text_list *operands,
                              of_console *console) {
    const of_command *command = &of_quantize_command;
    if (operands->count > 0)
        return of_usage_error(console, command, "unexpected operand '%s': images are --data SRC",
                              operands->items[0]);
    if (settings->bundle != (settings->shared.general != NULL))
        return of_usage_error(
            console, command,
            "--bundle and --general-model go together: without --bundle, quantize "
            "the general model by itself");
    if (settings->bundle && settings->out == NULL)
        return of_usage_error(console, command, "--bundle needs --out FILE");
    if (settings->installed && settings->out == NULL)
        return of_shared_fail_installed(&settings->shared, console, command);
    return quantize(settings, console);
}

int of_verb_quantize(int argc, char **argv, of_console *console) {
    quantize_settings settings = {.bundle = false};
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    int code;
    declare(&settings, &table);
    if (of_options_parse(&of_quantize_command, &table, argc, argv, &operands, console, &code)) {
        settings.installed = of_option_names_installed(&table, "model");
        code = check_and_quantize(&settings, &operands, console);
    }
    of_text_list_free(&operands);
    return code;
}
