/* SPDX-License-Identifier: Apache-2.0 */
/* outflow inspect: what a weight file holds and how it runs on this machine. */
#include "cli/inspect_architecture.h"
#include "cli/layers.h"
#include "cli/shared_options.h"
#include "cli/terminal/output.h"
#include "cli/terminal/processor.h"
#include "cli/terminal/words.h"
#include "cli/verbs.h"

#include <inttypes.h>
#include <outflow/train.h>
#include <string.h>

const of_command of_inspect_command = {
    .name = "inspect",
    .summary = "Show a model's architecture, its cost and the kernels chosen for it",
    .operands = "[M]",
    .details =
        "Prints the architecture, number of parameters, floating-point operations, metadata "
        "and memory of the model M, a weight file or the name of an installed model, given as the "
        "operand or with --model, and the layers of the plan it is compiled to on "
        "this machine: operation, the kernel chosen, what it multiplies (f32 or bf16), images "
        "taken in one call, MFLOP and "
        "bytes of packed weights (sums where steps share a line), bytes of output for one "
        "image.",
    .examples = "outflow inspect in.safetensors\n"
                "outflow inspect --model cifar10 --train",
};

typedef struct inspect_settings {
    of_shared_settings shared;
    uint64_t micro_batch;
    bool json, layers, ops, train;
} inspect_settings;

/* What training would take; `micro_batch` 0: it was not asked for. */
typedef struct training_cost {
    unsigned micro_batch;
    of_train_memory memory;
} training_cost;

static void declare(inspect_settings *settings, of_option_table *table) {
    of_option_model(table, 'm', "model", &settings->shared.model,
                    "Weight file (safetensors), or the name of an installed model: the same as the "
                    "operand M.");
    of_option_flag(table, 0, "json", &settings->json, "Print JSON, with every layer.");
    of_option_flag(table, 0, "layers", &settings->layers,
                   "Print every layer on its own line instead of folding equal steps.");
    of_option_flag(
        table, 0, "ops", &settings->ops,
        "Print the list of ops that the model is, and what each pass makes of it, instead "
        "of everything else; with --layers every step of it.");
    of_option_flag(table, 0, "train", &settings->train,
                   "Print also the memory that training would take, with 'outflow train's own "
                   "settings.");
    of_option_count(table, 0, "micro-batch", &settings->micro_batch, 1, 4096,
                    "Images a thread holds in flight; without it, chosen.");
    of_shared_plan_options(&settings->shared, table);
    of_shared_precision_option(&settings->shared, table);
}

static uint64_t trained_parameters(const of_model *model) {
    uint64_t sum = 0;
    for (size_t i = 0; i < of_model_tensor_count(model); i++) {
        of_tensor_info tensor = of_model_tensor(model, i);
        uint64_t values = tensor.trainable;
        for (uint32_t axis = 0; axis < tensor.rank; axis++)
            values *= tensor.shape[axis];
        sum += values;
    }
    return sum;
}

/* ---- For people --------------------------------------------------------------------------- */

static void print_plan_summary(const of_plan *plan, FILE *file) {
    of_plan_info info = of_plan_describe(plan);
    char text[OF_NUMBER_SIZE];
    (void)fprintf(file, "%-14s %s FLOP an image\n", "cost",
                  of_scaled_text(info.flops_per_image, text));
    (void)fprintf(file, "%-14s %s, %s, %u thread%s, micro-batch %u, %s\n", "plan",
                  of_isa_name(info.isa), of_precision_name(info.precision), info.threads,
                  of_plural(info.threads), info.micro_batch, info.convolutions);
    (void)fprintf(file, "%-14s %s\n", "bfloat16", of_bf16_text());
    (void)fprintf(file, "%-14s %s packed weights", "memory",
                  of_bytes_text(info.weight_bytes, text));
    (void)fprintf(file, ", %s workspace\n\n", of_bytes_text(info.workspace_bytes, text));
}

static void print_training(const training_cost *cost, FILE *file) {
    char weights[OF_NUMBER_SIZE], gradients[OF_NUMBER_SIZE], activations[OF_NUMBER_SIZE];
    char optimizer[OF_NUMBER_SIZE];
    if (cost->micro_batch == 0)
        return;
    (void)fprintf(file,
                  "%-14s %s weights, %s gradients, %s activations (micro-batch %u, %.0f %% of the "
                  "hidden ones kept), %s optimizer\n",
                  "training", of_bytes_text(cost->memory.weights, weights),
                  of_bytes_text(cost->memory.gradients, gradients),
                  of_bytes_text(cost->memory.activations, activations), cost->micro_batch,
                  100 * cost->memory.kept_share, of_bytes_text(cost->memory.optimizer, optimizer));
}

/* The text of a calibration holds thousands of numbers; what is to be known of it is printed. */
static bool is_calibration(const char *key) {
    return strcmp(key, "calibration") == 0;
}

static void print_calibration(const of_model *model, FILE *file) {
    of_calibration *calibration;
    of_error error;
    if (of_calibration_read(model, &calibration, &error) != OF_OK) {
        (void)fprintf(file, "%-14s ", "calibration");
        of_plain_write(file, error.message);
        (void)fputc('\n', file);
    } else if (calibration != NULL) {
        of_calibration_info info = of_calibration_describe(calibration);
        (void)fprintf(file, "%-14s %" PRIu64 " images", "calibration", info.images);
        if (info.source[0] != '\0') {
            (void)fputs(" of ", file);
            of_plain_write(file, info.source);
        }
        if (info.general != 0)
            (void)fprintf(file, ", with the general model %016" PRIx64, info.general);
        (void)fputc('\n', file);
    } else {
        (void)fprintf(file, "%-14s none\n", "calibration");
    }
    of_calibration_free(calibration);
}

static void write_calibration(of_json *json, const of_model *model) {
    of_calibration *calibration;
    char fingerprint[24];
    if (of_calibration_read(model, &calibration, NULL) != OF_OK || calibration == NULL)
        return;
    of_calibration_info info = of_calibration_describe(calibration);
    (void)snprintf(fingerprint, sizeof fingerprint, "%016" PRIx64, info.general);
    of_json_object(json, "calibration");
    of_json_count(json, "images", info.images);
    of_json_text(json, "source", info.source);
    of_json_real(json, "mean_nll", info.mean_nll);
    of_json_text(json, "general_fingerprint", info.general != 0 ? fingerprint : NULL);
    of_json_end(json);
    of_calibration_free(calibration);
}

/* Nor is that of activation ranges for reading. */
static const char *metadata_text(const of_model *model, const char *key) {
    if (is_calibration(key) || strcmp(key, "int8_losses") == 0)
        return "see above";
    return strcmp(key, "quantization") == 0 ? "activation ranges, for precision int8"
                                            : of_model_metadata(model, key);
}

static void print_losses(const of_model *model, FILE *file) {
    of_precision_loss losses[32];
    size_t count = of_model_precision_losses(model, losses, 32);
    for (size_t i = 0; i < count && i < 32; i++) {
        char name[32];
        of_score_name(losses[i].score, name, sizeof name);
        (void)fprintf(file, "%-14s %s: AUROC %+.4f against %s%s\n", i == 0 ? "in int8" : "", name,
                      -losses[i].auroc, losses[i].against,
                      of_precision_loss_is_large(&losses[i]) ? " (refused)" : "");
    }
}

static void print_metadata(const of_model *model, FILE *file) {
    const char *key;
    for (size_t i = 0; (key = of_model_metadata_key(model, i)) != NULL; i++) {
        (void)fprintf(file, "%-14s ", i == 0 ? "metadata" : "");
        of_plain_write(file, key);
        (void)fputs(": ", file);
        of_plain_write(file, metadata_text(model, key));
        (void)fputc('\n', file);
    }
}

/* That of a bundle. */
static of_status print_general(const char *path, FILE *file, of_error *error) {
    of_model *general = NULL;
    of_status status = of_model_load_general(path, &general, error);
    if (general == NULL)
        return status;
    const of_architecture *a = of_model_architecture(general);
    (void)fprintf(file,
                  "%-14s in the same file: %s, %" PRIu32 " scale%s, %" PRIu32
                  " steps a scale, %" PRIu32 " hidden, fingerprint %016" PRIx64 "\n",
                  "general model", of_family_name(a->family), of_architecture_scale_count(a),
                  of_plural(of_architecture_scale_count(a)), a->steps, a->hidden,
                  of_model_fingerprint(general));
    of_model_free(general);
    return OF_OK;
}

static of_status print_text(const char *path, const of_model *model, const of_plan *plan,
                            const training_cost *cost, bool layers, FILE *file, of_error *error) {
    (void)fprintf(file, "%-14s ", "file");
    of_plain_write(file, path);
    (void)fputc('\n', file);
    of_inspect_print_architecture(of_model_architecture(model), file);
    (void)fprintf(file, "%-14s %zu, %" PRIu64 " of them trained\n", "parameters",
                  of_model_parameter_count(model), trained_parameters(model));
    (void)fprintf(file, "%-14s %016" PRIx64 "\n", "fingerprint", of_model_fingerprint(model));
    of_status status = print_general(path, file, error);
    print_calibration(model, file);
    print_losses(model, file);
    print_metadata(model, file);
    print_training(cost, file);
    print_plan_summary(plan, file);
    return status == OF_OK ? of_layers_print(plan, layers, file, error) : status;
}

/* ---- For programs ------------------------------------------------------------------------- */

static void write_metadata(of_json *json, const of_model *model) {
    of_json_object(json, "metadata");
    const char *key;
    for (size_t i = 0; (key = of_model_metadata_key(model, i)) != NULL; i++)
        if (!is_calibration(key))
            of_json_text(json, key, of_model_metadata(model, key));
    of_json_end(json);
}

static void write_layer(of_json *json, const of_layer_info *layer) {
    of_json_object(json, NULL);
    of_json_text(json, "name", layer->name);
    of_json_text(json, "operation", layer->operation);
    of_json_text(json, "kernel", layer->kernel);
    of_json_text(json, "precision", of_precision_name(layer->precision));
    of_json_count(json, "images_per_call", layer->images_per_call);
    of_json_real(json, "flops", layer->flops);
    of_json_count(json, "weight_bytes", layer->weight_bytes);
    of_json_count(json, "output_bytes", layer->output_bytes);
    of_json_end(json);
}

static of_status write_plan(of_json *json, const of_plan *plan, of_error *error) {
    of_plan_info info = of_plan_describe(plan);
    of_status status = OF_OK;
    of_json_object(json, "plan");
    of_json_text(json, "isa", of_isa_name(info.isa));
    of_json_text(json, "precision", of_precision_name(info.precision));
    of_json_flag(json, "avx512_bf16", of_cpu_bf16().avx512_bf16);
    of_json_flag(json, "amx_bf16", of_cpu_bf16().amx_bf16);
    of_json_count(json, "threads", info.threads);
    of_json_count(json, "micro_batch", info.micro_batch);
    of_json_text(json, "convolutions", info.convolutions);
    of_json_count(json, "weight_bytes", info.weight_bytes);
    of_json_count(json, "workspace_bytes", info.workspace_bytes);
    of_json_array(json, "layers");
    for (size_t i = 0; status == OF_OK && i < of_plan_layer_count(plan); i++) {
        of_layer_info layer;
        status = of_plan_layer(plan, i, &layer, error);
        if (status == OF_OK)
            write_layer(json, &layer);
    }
    of_json_end(json);
    of_json_end(json);
    return status;
}

static void write_training(of_json *json, const training_cost *cost) {
    if (cost->micro_batch == 0)
        return;
    of_json_object(json, "training");
    of_json_count(json, "micro_batch", cost->micro_batch);
    of_json_count(json, "weight_bytes", cost->memory.weights);
    of_json_count(json, "gradient_bytes", cost->memory.gradients);
    of_json_count(json, "activation_bytes", cost->memory.activations);
    of_json_real(json, "hidden_kept_share", cost->memory.kept_share);
    of_json_count(json, "optimizer_bytes", cost->memory.optimizer);
    of_json_end(json);
}

static of_status write_json(const char *path, const of_model *model, const of_plan *plan,
                            const training_cost *cost, FILE *file, of_error *error) {
    of_json *json = NULL;
    of_status status = of_json_create(file, true, &json, error);
    if (status != OF_OK)
        return status;
    of_json_object(json, NULL);
    of_json_text(json, "file", path);
    of_inspect_write_architecture(json, of_model_architecture(model));
    of_json_count(json, "parameters", of_model_parameter_count(model));
    of_json_count(json, "trained_parameters", trained_parameters(model));
    of_json_real(json, "flops_per_image", of_plan_describe(plan).flops_per_image);
    write_calibration(json, model);
    write_metadata(json, model);
    write_training(json, cost);
    status = write_plan(json, plan, error);
    of_json_end(json);
    of_json_free(json);
    return status;
}

/* ---- The verb ----------------------------------------------------------------------------- */

static of_status measure_training(const inspect_settings *settings, of_model *model,
                                  training_cost *cost, of_error *error) {
    of_train_loop_options options = of_train_loop_options_default();
    of_train_loop *loop = NULL;
    if (!settings->train)
        return OF_OK;
    options.threads = of_shared_plan_wish(&settings->shared).threads;
    options.isa = (of_isa)settings->shared.isa;
    of_status status = of_train_loop_create(model, &options, &loop, error);
    if (status == OF_OK)
        *cost =
            (training_cost){of_train_loop_describe(loop).micro_batch, of_train_loop_memory(loop)};
    of_train_loop_free(loop);
    return status;
}

static of_status inspect_file(const inspect_settings *settings, const char *path, of_error *error) {
    of_model *model = NULL;
    of_plan *plan = NULL;
    training_cost cost = {0};
    of_plan_options options = of_shared_plan_wish(&settings->shared);
    options.micro_batch = (unsigned)settings->micro_batch;
    options.latency = false; /* nothing is run */
    char named[OF_MODEL_PATH_SIZE];
    of_status status = of_model_locate(path, named, sizeof named, error);
    path = named;
    if (status == OF_OK)
        status = of_model_load(path, &model, error);
    if (status == OF_OK)
        status = of_plan_compile(model, &options, &plan, error);
    if (status == OF_OK)
        status = measure_training(settings, model, &cost, error);
    if (status == OF_OK && settings->ops)
        status = of_ops_print(plan, settings->layers, stdout, error);
    else if (status == OF_OK)
        status = settings->json
                     ? write_json(path, model, plan, &cost, stdout, error)
                     : print_text(path, model, plan, &cost, settings->layers, stdout, error);
    of_plan_free(plan);
    of_model_free(model);
    return status;
}

int of_verb_inspect(int argc, char **argv, of_console *console) {
    inspect_settings settings = {0};
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    of_error error;
    int code;
    declare(&settings, &table);
    if (of_options_parse(&of_inspect_command, &table, argc, argv, &operands, console, &code)) {
        const char *model = settings.shared.model;
        if (operands.count + (model != NULL) != 1)
            code = of_usage_error(console, &of_inspect_command, "one weight file must be given");
        else if (inspect_file(&settings, model != NULL ? model : operands.items[0], &error) !=
                 OF_OK)
            code = of_console_fail(console, &error);
        else
            code = of_console_finish_stdout(console);
    }
    of_text_list_free(&operands);
    return code;
}
