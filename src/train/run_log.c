/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "train/run_log.h"

#include "core/error.h"

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static of_status fail_log(const of_run_log *log, of_error *error) {
    return of_fail_io(error, errno, "cannot write %s: %s", log->path, strerror(errno));
}

of_status of_run_log_open(const char *path, of_run_log *log, of_error *error) {
    *log = (of_run_log){.path = path};
    if (path == NULL)
        return OF_OK;
    log->file = fopen(path, "a+e");
    if (log->file == NULL)
        return fail_log(log, error);
    of_status status = of_json_create(log->file, false, &log->json, error);
    if (status != OF_OK)
        of_run_log_close(log);
    return status;
}

/* The step of a line, or -1 if it is no line of a log. */
static double step_of(const char *line, size_t length) {
    if (length == 0 || line[length - 1] != '\n')
        return -1;
    cJSON *object = cJSON_ParseWithLength(line, length);
    const cJSON *step = cJSON_GetObjectItemCaseSensitive(object, "step");
    double number = cJSON_IsNumber(step) ? step->valuedouble : -1;
    cJSON_Delete(object);
    return number;
}

of_status of_run_log_resume(of_run_log *log, uint64_t step, of_error *error) {
    char *line = NULL;
    size_t size = 0;
    off_t kept = 0;
    if (log->file == NULL)
        return OF_OK;
    rewind(log->file);
    for (ssize_t length; step > 0 && (length = getline(&line, &size, log->file)) > 0;) {
        double number = step_of(line, (size_t)length);
        if (number < 0 || number > (double)step)
            break;
        kept += length;
    }
    free(line);
    errno = 0;
    /* A pipe or a device keeps nothing. */
    if (ftruncate(fileno(log->file), kept) != 0 && errno != EINVAL)
        return fail_log(log, error);
    (void)fseeko(log->file, 0, SEEK_END);
    return OF_OK;
}

static void write_validation(of_json *json, const of_valid_report *report) {
    of_json_object(json, "validation");
    of_json_real(json, "bits_per_dim", report->bits_per_dim);
    of_json_count(json, "non_finite", report->non_finite);
    of_json_flag(json, "best", report->best);
    of_json_object(json, "out");
    for (size_t i = 0; i < report->out_of_count; i++) {
        const of_valid_set *set = &report->out_of[i];
        of_json_object(json, set->name);
        of_json_real(json, "bits_per_dim", set->bits_per_dim);
        of_json_real(json, "auroc_nll", set->auroc_nll);
        of_json_real(json, "auroc_last", set->auroc_last);
        if (!isnan(set->auroc_ratio))
            of_json_real(json, "auroc_ratio", set->auroc_ratio);
        of_json_end(json);
    }
    of_json_end(json);
    of_json_end(json);
}

static void write_report(of_json *json, const of_train_report *report) {
    of_json_object(json, NULL);
    of_json_count(json, "step", report->step);
    of_json_count(json, "images", report->images);
    of_json_real(json, "epoch", report->epoch);
    of_json_real(json, "loss", report->loss);
    of_json_real(json, "bits_per_dim", report->bits_per_dim);
    for (uint32_t scale = 0; scale < report->scales; scale++) {
        char name[32];
        (void)snprintf(name, sizeof name, "bits_per_dim_scale%u", (unsigned)scale);
        of_json_real(json, name, report->scale_bits[scale]);
    }
    if (!isnan(report->outlier_loss)) {
        of_json_real(json, "outlier_loss", report->outlier_loss);
        of_json_real(json, "general_bits_per_dim", report->general_bits_per_dim);
    }
    of_json_real(json, "lr", report->rate);
    of_json_real(json, "grad_norm", report->grad_norm);
    of_json_count(json, "skipped", report->skipped);
    of_json_real(json, "condition", report->condition);
    of_json_real(json, "images_per_second", report->images_per_second);
    of_json_real(json, "seconds", report->seconds);
    if (!isnan(report->reduction_seconds)) {
        of_json_real(json, "reduction_seconds", report->reduction_seconds);
        of_json_real(json, "reduction_waited", report->reduction_waited);
    }
    of_json_count(json, "rss_bytes", report->resident_bytes);
    if (report->validation != NULL)
        write_validation(json, report->validation);
    of_json_end(json);
}

of_status of_run_log_write(of_run_log *log, const of_train_report *report, of_error *error) {
    if (log->file == NULL)
        return OF_OK;
    write_report(log->json, report);
    errno = 0;
    return fflush(log->file) != 0 || ferror(log->file) ? fail_log(log, error) : OF_OK;
}

void of_run_log_close(of_run_log *log) {
    if (log->file != NULL)
        (void)fclose(log->file);
    of_json_free(log->json);
    *log = (of_run_log){0};
}
