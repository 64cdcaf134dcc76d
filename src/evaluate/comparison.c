/* SPDX-License-Identifier: Apache-2.0 */
/* Two evaluations of the same sets: what one changes against the other. */
#include "evaluate/comparison.h"

#include "core/error.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static of_status check_set(const of_image_set *before, const of_image_set *after, of_error *error) {
    if (strcmp(before->name, after->name) != 0)
        return of_fail(error, OF_ERROR_MISMATCH,
                       "a set is '%s' in one evaluation and '%s' in the other", before->name,
                       after->name);
    if (before->logp.count != after->logp.count)
        return of_fail(error, OF_ERROR_MISMATCH,
                       "%s: it had %zu images in one evaluation and %zu in the other; it must not "
                       "change meanwhile",
                       before->source, before->logp.count, after->logp.count);
    return OF_OK;
}

static bool same_scores(const of_evaluation *before, const of_evaluation *after) {
    bool same = before->score_count == after->score_count;
    for (size_t i = 0; same && i < before->score_count; i++)
        same = before->scores[i].kind == after->scores[i].kind &&
               before->scores[i].scale == after->scores[i].scale;
    return same;
}

of_status of_evaluation_check_pair(const of_evaluation *before, const of_evaluation *after,
                                   of_error *error) {
    of_status status = of_evaluation_check_finished(before, error);
    if (status == OF_OK)
        status = of_evaluation_check_finished(after, error);
    if (status != OF_OK)
        return status;
    if (before->set_count != after->set_count || before->compared != after->compared)
        return of_fail(error, OF_ERROR_MISMATCH, "the two evaluations are of different sets");
    if (!same_scores(before, after))
        return of_fail(error, OF_ERROR_MISMATCH, "the two evaluations have different scores");
    for (size_t i = 0; status == OF_OK && i < before->set_count; i++)
        status = check_set(&before->sets[i], &after->sets[i], error);
    return status;
}

of_set_change of_evaluation_change(const of_evaluation *before, const of_evaluation *after,
                                   size_t set) {
    of_set_change change = {.images = 0};
    double sum_before = 0, sum_after = 0;
    if (set >= before->set_count || set >= after->set_count)
        return change;
    const of_values *a = &before->sets[set].logp, *b = &after->sets[set].logp;
    for (size_t i = 0; i < a->count && i < b->count; i++) {
        if (!isfinite(a->items[i]) || !isfinite(b->items[i]))
            continue;
        double nats = b->items[i] - a->items[i];
        change.images++;
        sum_before += a->items[i];
        sum_after += b->items[i];
        change.mean_nats += nats;
        change.mean_abs_nats += fabs(nats);
        change.max_abs_nats = fmax(change.max_abs_nats, fabs(nats));
    }
    double count = change.images > 0 ? (double)change.images : (double)NAN;
    const of_architecture *architecture = of_detector_architecture(before->detector);
    change.before_bits_per_dim = of_bits_per_dim(architecture, sum_before / count);
    change.after_bits_per_dim =
        of_bits_per_dim(of_detector_architecture(after->detector), sum_after / count);
    change.mean_nats /= count;
    change.mean_abs_nats /= count;
    if (change.images == 0)
        change.max_abs_nats = (double)NAN;
    return change;
}

/* ---- JSON ---------------------------------------------------------------------------------- */

static const char *precision_of(const of_evaluation *evaluation) {
    return of_precision_name(of_detector_describe(evaluation->detector).plan.precision);
}

/* "NAME_PRECISION". */
static void write_real_of(const char *name, const of_evaluation *evaluation, double value,
                          of_json *json) {
    char key[64];
    (void)snprintf(key, sizeof key, "%s_%s", name, precision_of(evaluation));
    of_json_real(json, key, value);
}

static void write_sets(const of_evaluation *f32, const of_evaluation *reduced, of_json *json) {
    of_json_object(json, "sets");
    for (size_t i = 0; i < f32->set_count; i++) {
        of_set_change change = of_evaluation_change(f32, reduced, i);
        of_json_object(json, f32->sets[i].name);
        of_json_count(json, "images", change.images);
        write_real_of("bits_per_dim", f32, change.before_bits_per_dim, json);
        write_real_of("bits_per_dim", reduced, change.after_bits_per_dim, json);
        of_json_real(json, "bits_per_dim_change",
                     change.after_bits_per_dim - change.before_bits_per_dim);
        of_json_real(json, "mean_change_nats", change.mean_nats);
        of_json_real(json, "mean_abs_change_nats", change.mean_abs_nats);
        of_json_real(json, "max_abs_change_nats", change.max_abs_nats);
        of_json_end(json);
    }
    of_json_end(json);
}

static void write_aurocs(const of_evaluation *f32, const of_evaluation *reduced, of_json *json) {
    of_json_object(json, "auroc");
    for (size_t set = 1; set < f32->set_count; set++) {
        of_json_object(json, f32->sets[set].name);
        for (size_t i = 0; i < f32->score_count; i++) {
            double before = f32->sets[set].columns[i].metrics.auroc;
            double after = reduced->sets[set].columns[i].metrics.auroc;
            char name[32];
            of_score_name(f32->scores[i], name, sizeof name);
            of_json_object(json, name);
            of_json_real(json, precision_of(f32), before);
            of_json_real(json, precision_of(reduced), after);
            of_json_real(json, "change", after - before);
            of_json_end(json);
        }
        of_json_end(json);
    }
    of_json_end(json);
}

void of_comparison_write_json(const of_evaluation *f32, const of_evaluation *reduced,
                              of_json *json) {
    of_json_object(json, "compare_precision");
    write_sets(f32, reduced, json);
    if (f32->compared)
        write_aurocs(f32, reduced, json);
    write_real_of("images_per_second", f32, of_evaluation_summarise(f32).images_per_second, json);
    write_real_of("images_per_second", reduced, of_evaluation_summarise(reduced).images_per_second,
                  json);
    of_json_end(json);
}
