/* SPDX-License-Identifier: Apache-2.0 */
/* Machine, build and settings that a result of outflow bench depends on. */
#define _POSIX_C_SOURCE 200809L
#include "cli/bench/bench.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#ifndef OUTFLOW_BUILD_TYPE
#define OUTFLOW_BUILD_TYPE "unknown"
#endif

static const char *const build_type = OUTFLOW_BUILD_TYPE;

static void describe_compiler(char *text, size_t size) {
#if defined(__clang__)
    (void)snprintf(text, size, "clang %d.%d.%d", __clang_major__, __clang_minor__,
                   __clang_patchlevel__);
#elif defined(__GNUC__)
    (void)snprintf(text, size, "gcc %d.%d.%d", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#else
    (void)snprintf(text, size, "unknown");
#endif
}

static void describe_time(char text[32]) {
    time_t now = time(NULL);
    struct tm parts;
    if (gmtime_r(&now, &parts) == NULL || strftime(text, 32, "%Y-%m-%dT%H:%M:%SZ", &parts) == 0)
        text[0] = '\0';
}

/* "glow 3x32x32, 3 scales of 8 steps, hidden 128, affine" */
static void describe_architecture(const of_architecture *a, char *text, size_t size) {
    uint32_t scales = of_architecture_scale_count(a);
    (void)snprintf(text, size, "%s %ux%ux%u, %u scale%s of %u step%s, hidden %u, %s%s",
                   of_family_name(a->family), (unsigned)a->channels, (unsigned)a->height,
                   (unsigned)a->width, (unsigned)scales, scales == 1 ? "" : "s", (unsigned)a->steps,
                   a->steps == 1 ? "" : "s", (unsigned)a->hidden, of_coupling_name(a->coupling),
                   a->block == OF_BLOCK_DENSE ? ", dense" : "");
}

of_status of_bench_context_open(const of_model *model, const char *path, of_affinity affinity,
                                of_bench_context *context, of_error *error) {
    const of_architecture *architecture = of_model_architecture(model);
    of_isa isa;
    *context = (of_bench_context){.model = path != NULL ? path : "random",
                                  .architecture = architecture,
                                  .parameters = of_model_parameter_count(model),
                                  .flops_per_image = of_architecture_flops(architecture),
                                  .cpu_count = of_cpu_count(),
                                  .quota = of_cpu_quota(),
                                  .affinity = affinity,
                                  .proc_bind = of_affinity_in_force(),
                                  .places = getenv("OMP_PLACES"),
                                  .wait_policy = getenv("OMP_WAIT_POLICY")};
    of_status status = of_isa_resolve(OF_ISA_AUTO, &isa, error);
    if (status != OF_OK)
        return status;
    (void)snprintf(context->best_isa, sizeof context->best_isa, "%s", of_isa_name(isa));
    describe_architecture(architecture, context->description, sizeof context->description);
    describe_compiler(context->compiler, sizeof context->compiler);
    describe_time(context->test_time);
    of_cpu_name(context->processor, sizeof context->processor);
    of_process_cpus(context->cpus, sizeof context->cpus);
    return OF_OK;
}

void of_bench_context_print(const of_bench_context *context, FILE *file) {
    (void)fprintf(file, "- model: %s%s%s, %zu parameters, %.4g GFLOP an image\n",
                  context->description, strcmp(context->model, "random") == 0 ? "" : ", ",
                  strcmp(context->model, "random") == 0 ? "" : context->model, context->parameters,
                  context->flops_per_image * 1e-9);
    (void)fprintf(file, "- processor: %s, %s; %u usable CPUs (%s)", context->processor,
                  context->best_isa, context->cpu_count, context->cpus);
    if (context->quota > 0)
        (void)fprintf(file, ", cgroup quota %.4g CPUs\n", context->quota);
    else
        (void)fputs(", no cgroup quota\n", file);
    (void)fprintf(file, "- software: outflow %s, %s, %s build; %s\n", of_version(),
                  context->compiler, build_type, of_convolutions());
    (void)fprintf(file, "- threads: %s; OMP_PROC_BIND %s, OMP_PLACES %s, OMP_WAIT_POLICY %s\n",
                  context->affinity != OF_AFFINITY_NONE ? "bound by --affinity"
                  : strcmp(context->proc_bind, "false") ? "bound by the environment"
                                                        : "not bound",
                  context->proc_bind, context->places ? context->places : "not set",
                  context->wait_policy ? context->wait_policy : "not set");
    (void)fprintf(file, "- measured: %s\n\n", context->test_time);
}

static void record_architecture(const of_architecture *a, of_records *records) {
    of_records_text(records, "family", of_family_name(a->family));
    of_records_count(records, "channels", a->channels);
    of_records_count(records, "height", a->height);
    of_records_count(records, "width", a->width);
    of_records_count(records, "scales", of_architecture_scale_count(a));
    of_records_count(records, "steps", a->steps);
    of_records_count(records, "hidden", a->hidden);
    of_records_text(records, "coupling", of_coupling_name(a->coupling));
    of_records_text(records, "block", of_block_name(a->block));
    of_records_count(records, "classes", a->classes);
    of_records_real(records, "forward_gflop_per_image", of_architecture_flops(a) * 1e-9);
}

void of_bench_context_record(const of_bench_context *context, const of_architecture *architecture,
                             of_records *records) {
    of_records_text(records, "model", context->model);
    record_architecture(architecture, records);
    of_records_text(records, "cpu", context->processor);
    of_records_text(records, "cpu_isa", context->best_isa);
    of_records_count(records, "cpus", context->cpu_count);
    of_records_text(records, "cpu_mask", context->cpus);
    of_records_real(records, "cpu_quota", context->quota > 0 ? context->quota : (double)NAN);
    of_records_text(records, "affinity", of_affinity_name(context->affinity));
    of_records_text(records, "omp_proc_bind", context->proc_bind);
    of_records_text(records, "omp_places", context->places);
    of_records_text(records, "omp_wait_policy", context->wait_policy);
    of_records_text(records, "version", of_version());
    of_records_text(records, "compiler", context->compiler);
    of_records_text(records, "build", build_type);
    of_records_text(records, "convolutions", of_convolutions());
    of_records_text(records, "test_time", context->test_time);
}
