/* SPDX-License-Identifier: Apache-2.0 */
/* outflow quantize: how large a model's activations are, into the weight file, for --precision
 * int8.
 */
#include "cli/processes.h"
#include "cli/shared_options.h"
#include "cli/terminal/output.h"
#include "cli/verbs.h"
#include "cli/watcher.h"

#include <inttypes.h>
#include <stdlib.h>

const of_command of_quantize_command = {
    .name = "quantize",
    .summary = "Prepare a model for --precision int8, the fastest way to score",
    .operands = "",
    .details =
        "Runs images through the model and stores in the weight file how large its activations "
        "become: with them, 'outflow score --precision int8' and others turn activations into "
        "8-bit integers. The file is replaced atomically (or, with --out, written anew); its "
        "tensors stay byte for byte as they are, and so does a calibration.\n\n"
        "Every third image is kept aside to measure what each score then loses, of its AUROC "
        "against built-in outliers (altered copies of those images, synthetic ones) and in its "
        "p-values: what loses more than 0.002 is refused in int8 unless --lossy-scores allows it. "
        "Scores that compare with a general model are measured with the one that is given or found "
        "and hold for that one, quantized on the same images (--bundle, or 'outflow quantize' with "
        "the same --data).\n\n"
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

static void print_loss(const of_precision_loss *loss, FILE *file) {
    char name[32];
    of_score_name(loss->score, name, sizeof name);
    (void)fprintf(file, "%-16s %+9.4f %7.4f  %-16s %7.3f %7.3f%s\n", name, -loss->auroc,
                  loss->error, loss->against, loss->p_value, loss->flagged,
                  of_precision_loss_is_large(loss) ? "  refused in int8" : "");
}

/* What scores lose; nothing where it could not be measured. */
static of_status print_losses(const of_detector *detector, of_console *console, of_error *error) {
    of_output *output = NULL;
    size_t count = of_detector_scores(detector, NULL, 0), known = 0;
    of_score *scores = calloc(count, sizeof *scores);
    if (scores == NULL)
        return of_fail_memory(error, "scores");
    (void)of_detector_scores(detector, scores, count);
    of_status status = of_output_open(NULL, &output, error);
    for (size_t i = 0; status == OF_OK && i < count; i++) {
        const of_precision_loss *loss = of_detector_precision_loss(detector, scores[i]);
        if (loss != NULL && known++ == 0)
            (void)fprintf(of_output_file(output), "%-16s %9s %7s  %-16s %7s %7s\n", "score in int8",
                          "AUROC", "+-", "against", "p-value", "at 5 %");
        if (loss != NULL)
            print_loss(loss, of_output_file(output));
    }
    if (status == OF_OK)
        status = of_console_commit(&output, error);
    if (known == 0)
        of_log_write(&console->log, OF_LOG_WARNING,
                     "what scores lose in int8 was not measured, which takes 96 images and a CPU "
                     "with AVX512_VNNI: 'outflow score --precision int8' will refuse them");
    free(scores);
    return status;
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
    if (status == OF_OK)
        status = of_detector_save(detector, out, &save, error);
    return status == OF_OK && !settings->shared.quiet ? print_losses(detector, console, error)
                                                      : status;
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
    if (settings->bundle && settings->shared.general == NULL)
        return of_usage_error(console, command, "--bundle needs --general-model");
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
