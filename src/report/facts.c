/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "report/facts.h"

#include "evaluate/evaluation.h"

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

static void add_model(of_report_facts *facts, const char *name, const of_detector_model *model) {
    const of_architecture *a = &model->architecture;
    uint32_t scales = of_architecture_scale_count(a);
    add(facts, name,
        "%.300s: %s, %" PRIu32 "x%" PRIu32 "x%" PRIu32 ", %" PRIu32 " scale%s, %" PRIu32
        " steps, hidden %" PRIu32 "%s%s; weights %016" PRIx64,
        model->file[0] != '\0' ? model->file : "in memory", of_family_name(a->family), a->channels,
        a->height, a->width, scales, scales == 1 ? "" : "s", a->steps, a->hidden,
        a->block == OF_BLOCK_DENSE ? ", dense" : "", a->classes > 0 ? ", with classes" : "",
        model->fingerprint);
}

static void add_models(of_report_facts *facts, const of_detector_info *detector) {
    add_model(facts, "model", detector->model);
    if (detector->general_model != NULL)
        add_model(facts, "general model", detector->general_model);
    for (size_t i = 0; i < detector->ensemble_count; i++)
        add_model(facts, "ensemble", &detector->ensemble[i]);
}

static void add_calibration(of_report_facts *facts, const of_detector_info *detector) {
    if (detector->calibration == NULL) {
        add(facts, "calibration", "none");
        return;
    }
    of_calibration_info info = of_calibration_describe(detector->calibration);
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

static void add_tiles(of_report_facts *facts, const of_evaluation *evaluation,
                      const of_detector_info *detector) {
    of_tiling tiling = of_detector_tiling(evaluation->detector);
    of_evaluation_pixels pixels = of_evaluation_get_pixels(evaluation, 0);
    if (tiling.size > 0)
        add(facts, "tiles",
            "%" PRIu32 " pixels, %" PRIu32 " apart, seen as %" PRIu32 "x%" PRIu32
            "; a picture's score is its largest",
            tiling.size, tiling.stride, detector->model->architecture.height,
            detector->model->architecture.width);
    if (pixels.known)
        add(facts, "heat in masks",
            "AUROC of pixels %.4f, AUPRO up to a false-positive rate of 0.3 %.4f, of %" PRIu64
            " pictures with masks",
            pixels.metrics.auroc, pixels.metrics.aupro, pixels.pictures);
}

void of_report_facts_collect(const of_evaluation *evaluation, const of_detector_info *detector,
                             of_report_facts *facts) {
    const of_plan_info *plan = &detector->plan;
    char processor[128];
    facts->count = 0;
    of_cpu_name(processor, sizeof processor);
    add(facts, "program", "Outflow %s, %s", of_version(), of_convolutions());
    add(facts, "computed on", "%s: %s, %s, %u thread%s", processor, of_isa_name(plan->isa),
        of_precision_name(plan->precision), plan->threads, plan->threads == 1 ? "" : "s");
    add(facts, "speed", "%.1f images/s, reading and coding images included",
        of_evaluation_summarise(evaluation).images_per_second);
    add_tiles(facts, evaluation, detector);
    add_calibration(facts, detector);
    add_time(facts);
    add_models(facts, detector);
}
