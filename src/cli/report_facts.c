/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/report_facts.h"

#include "cli/terminal/processor.h"
#include "core/error.h"

#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

__attribute__((format(printf, 3, 4))) static void add(of_report_facts *facts, const char *name,
                                                      const char *format, ...) {
    va_list arguments;
    if (facts->count == OF_REPORT_FACTS)
        return;
    char *text = facts->texts[facts->count];
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof facts->texts[0], format, arguments);
    va_end(arguments);
    facts->list[facts->count++] = (of_report_fact){name, text};
}

static of_status add_model(of_report_facts *facts, const char *name, const char *path,
                           of_error *error) {
    of_model *model = NULL;
    of_status status = of_model_load(path, &model, error);
    if (status != OF_OK)
        return status;
    const of_architecture *a = of_model_architecture(model);
    add(facts, name,
        "%.300s: %s, %" PRIu32 "x%" PRIu32 "x%" PRIu32 ", %" PRIu32 " scale%s, %" PRIu32
        " steps, hidden %" PRIu32 "%s%s; weights %016" PRIx64,
        path, of_family_name(a->family), a->channels, a->height, a->width,
        of_architecture_scale_count(a), of_architecture_scale_count(a) == 1 ? "" : "s", a->steps,
        a->hidden, a->block == OF_BLOCK_DENSE ? ", dense" : "",
        a->classes > 0 ? ", with classes" : "", of_model_fingerprint(model));
    of_model_free(model);
    return OF_OK;
}

static of_status add_models(const of_engine *engine, of_report_facts *facts, of_error *error) {
    const of_engine_settings *settings = engine->settings;
    of_status status = add_model(facts, "model", settings->model, error);
    if (status == OF_OK && settings->general != NULL)
        status = add_model(facts, "general model", settings->general, error);
    for (size_t i = 0; status == OF_OK && i < settings->ensemble.count; i++)
        status = add_model(facts, "ensemble", settings->ensemble.items[i], error);
    return status;
}

static void add_calibration(const of_engine *engine, of_report_facts *facts) {
    if (engine->calibration == NULL) {
        add(facts, "calibration", "none");
        return;
    }
    of_calibration_info info = of_calibration_describe(engine->calibration);
    add(facts, "calibration", "%" PRIu64 " images of %.300s", info.images,
        info.source != NULL ? info.source : "an unnamed source");
}

static void add_time(of_report_facts *facts) {
    time_t now = time(NULL);
    struct tm parts;
    char text[48];
    if (gmtime_r(&now, &parts) != NULL &&
        strftime(text, sizeof text, "%Y-%m-%d %H:%M UTC", &parts) > 0)
        add(facts, "made", "%s", text);
}

of_status of_report_facts_collect(const of_evaluation *evaluation, of_report_facts *facts,
                                  of_error *error) {
    const of_engine *engine = evaluation->engine;
    of_plan_info info = of_plan_describe(engine->plan);
    char processor[128];
    facts->count = 0;
    of_processor_name(processor, sizeof processor);
    add(facts, "program", "Outflow %s, %s", of_version(), of_convolutions());
    add(facts, "computed on", "%s: %s, %s, %u thread%s", processor, of_isa_name(info.isa),
        of_precision_name(info.precision), info.threads, info.threads == 1 ? "" : "s");
    add(facts, "speed", "%.1f images/s, reading and coding images included",
        of_evaluation_rate(evaluation));
    add_calibration(engine, facts);
    add_time(facts);
    return add_models(engine, facts, error);
}
