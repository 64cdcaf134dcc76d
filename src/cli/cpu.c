/* SPDX-License-Identifier: Apache-2.0 */
/* outflow cpu: what this machine offers and what would be used of it. */
#include "cli/layers.h"
#include "cli/shared_options.h"
#include "cli/terminal/output.h"
#include "cli/terminal/processor.h"
#include "cli/verbs.h"

const of_command of_cpu_command = {
    .name = "cpu",
    .summary = "Show the instruction sets, threads and libraries that would be used",
    .operands = "",
    .details = "Prints the processor, the instruction sets this machine can run and the one "
               "chosen (OUTFLOW_ISA lowers it), its instructions for bfloat16, the threads, the "
               "version of the convolution "
               "library, and the kernels chosen for the layers of a small network.",
    .examples = "outflow cpu",
};

static void print_processor(FILE *file) {
    char name[256];
    of_cpu_name(name, sizeof name);
    (void)fprintf(file, "%-18s%s\n", "processor", name);
}

static void print_instruction_sets(FILE *file) {
    (void)fprintf(file, "%-18s", "instruction sets");
    for (int isa = OF_ISA_SCALAR; isa <= OF_ISA_AVX512; isa++) {
        of_isa resolved;
        bool runs = of_isa_resolve((of_isa)isa, &resolved, NULL) == OF_OK;
        (void)fprintf(file, "%s%s (%s)", isa == OF_ISA_SCALAR ? "" : ", ", of_isa_name((of_isa)isa),
                      runs ? "yes" : "no");
    }
    (void)fputc('\n', file);
}

/* The smallest network that has every kind of layer. */
static of_status compile_small(const of_shared_settings *settings, of_plan **plan,
                               of_error *error) {
    of_architecture architecture = of_architecture_default();
    of_plan_options options = of_shared_plan_wish(settings);
    of_model *model = NULL;
    options.latency = false; /* nothing is run */
    architecture.scales = 2;
    architecture.steps = 2;
    of_status status = of_model_create(&architecture, 0, &model, error);
    if (status == OF_OK)
        status = of_plan_compile(model, &options, plan, error);
    of_model_free(model);
    return status;
}

static of_status print_choices(const of_shared_settings *settings, FILE *file, of_error *error) {
    of_plan *plan = NULL;
    of_status status = compile_small(settings, &plan, error);
    if (status != OF_OK)
        return status;
    of_plan_info info = of_plan_describe(plan);
    print_processor(file);
    print_instruction_sets(file);
    (void)fprintf(file, "%-18s%s\n", "bfloat16", of_bf16_text());
    (void)fprintf(file, "%-18s%s\n", "chosen", of_isa_name(info.isa));
    (void)fprintf(file, "%-18s%s\n", "precision", of_precision_name(info.precision));
    (void)fprintf(file, "%-18s%u of %u usable CPUs\n", "threads", info.threads, of_cpu_count());
    (void)fprintf(file, "%-18s%s\n", "convolutions", info.convolutions);
    (void)fprintf(file, "%-18s%s\n\n", "outflow", of_version());
    status = of_layers_print(plan, false, file, error);
    of_plan_free(plan);
    return status;
}

int of_verb_cpu(int argc, char **argv, of_console *console) {
    of_shared_settings settings = {0};
    of_option_table table = {.count = 0};
    of_text_list operands = {0};
    of_error error;
    int code;
    of_shared_plan_options(&settings, &table);
    of_shared_precision_option(&settings, &table);
    if (of_options_parse(&of_cpu_command, &table, argc, argv, &operands, console, &code)) {
        if (operands.count > 0)
            code = of_usage_error(console, &of_cpu_command, "unexpected operand '%s'",
                                  operands.items[0]);
        else if (print_choices(&settings, stdout, &error) != OF_OK)
            code = of_console_fail(console, &error);
        else
            code = of_console_finish_stdout(console);
    }
    of_text_list_free(&operands);
    return code;
}
