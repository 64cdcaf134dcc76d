/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/eval_compare.h"

#include "core/error.h"

#include <inttypes.h>
#include <math.h>

enum { NAME_WIDTH = 16, SCORE_NAME = 32 };

/* Of one set, over the images whose log-likelihood is finite in both. */
typedef struct set_change {
    uint64_t images;
    double f32_bits, bf16_bits;          /* bits/dim of the mean log-likelihood */
    double mean_nats, mean_abs, max_abs; /* of logp in bf16 - logp in f32, an image */
} set_change;

static set_change measure_set(const of_evaluation *f32, const of_eval_set *a,
                              const of_eval_set *b) {
    set_change change = {0};
    double sum_f32 = 0, sum_bf16 = 0;
    for (size_t i = 0; i < a->logp.count; i++) {
        double before = a->logp.items[i], after = b->logp.items[i];
        if (!isfinite(before) || !isfinite(after))
            continue;
        double nats = after - before;
        change.images++;
        sum_f32 += before;
        sum_bf16 += after;
        change.mean_nats += nats;
        change.mean_abs += fabs(nats);
        change.max_abs = fmax(change.max_abs, fabs(nats));
    }
    double count = change.images > 0 ? (double)change.images : (double)NAN;
    const of_architecture *architecture = &f32->engine->architecture;
    change.f32_bits = of_bits_per_dim(architecture, sum_f32 / count);
    change.bf16_bits = of_bits_per_dim(architecture, sum_bf16 / count);
    change.mean_nats /= count;
    change.mean_abs /= count;
    if (change.images == 0)
        change.max_abs = (double)NAN;
    return change;
}

of_status of_comparison_check(const of_evaluation *f32, const of_evaluation *bf16,
                              of_error *error) {
    for (size_t i = 0; i < f32->set_count; i++) {
        const of_eval_set *a = &f32->sets[i], *b = &bf16->sets[i];
        if (a->logp.count != b->logp.count)
            return of_fail(error, OF_ERROR_MISMATCH,
                           "%s: it had %zu images when it was scored in f32 and %zu in bf16; it "
                           "must not change meanwhile",
                           a->source, a->logp.count, b->logp.count);
    }
    return OF_OK;
}

/* ---- Tables ------------------------------------------------------------------------------- */

static void print_sets(const of_evaluation *f32, const of_evaluation *bf16, FILE *file) {
    (void)fprintf(file, "\n%-*s %8s %9s %9s %10s %11s %11s %11s\n", NAME_WIDTH, "bf16 against f32",
                  "images", "f32 b/d", "bf16 b/d", "change", "mean nats", "mean |nats|",
                  "max |nats|");
    for (size_t i = 0; i < f32->set_count; i++) {
        set_change change = measure_set(f32, &f32->sets[i], &bf16->sets[i]);
        (void)fprintf(file, "%-*s %8" PRIu64 " %9.4f %9.4f %+10.6f %+11.4f %11.4f %11.4f\n",
                      NAME_WIDTH, f32->sets[i].name, change.images, change.f32_bits,
                      change.bf16_bits, change.bf16_bits - change.f32_bits, change.mean_nats,
                      change.mean_abs, change.max_abs);
    }
}

static void print_aurocs(const of_evaluation *f32, const of_evaluation *bf16, size_t set,
                         FILE *file) {
    (void)fprintf(file, "\n%-*s %9s %9s %10s\n", NAME_WIDTH, f32->sets[set].name, "f32 AUROC",
                  "bf16", "change");
    for (size_t i = 0; i < f32->score_count; i++) {
        double before = f32->sets[set].metrics[i].auroc, after = bf16->sets[set].metrics[i].auroc;
        char name[SCORE_NAME];
        of_score_name(f32->scores[i], name, sizeof name);
        (void)fprintf(file, "  %-*s %9.4f %9.4f %+10.6f\n", NAME_WIDTH - 2, name, before, after,
                      after - before);
    }
}

void of_comparison_print(const of_evaluation *f32, const of_evaluation *bf16, FILE *file) {
    print_sets(f32, bf16, file);
    for (size_t i = 1; i < f32->set_count; i++)
        print_aurocs(f32, bf16, i, file);
    (void)fprintf(file, "\n%.1f images/s in f32, %.1f in bf16\n", of_evaluation_rate(f32),
                  of_evaluation_rate(bf16));
}

/* ---- JSON --------------------------------------------------------------------------------- */

static void write_sets(const of_evaluation *f32, const of_evaluation *bf16, of_json *json) {
    of_json_object(json, "sets");
    for (size_t i = 0; i < f32->set_count; i++) {
        set_change change = measure_set(f32, &f32->sets[i], &bf16->sets[i]);
        of_json_object(json, f32->sets[i].name);
        of_json_count(json, "images", change.images);
        of_json_real(json, "bits_per_dim_f32", change.f32_bits);
        of_json_real(json, "bits_per_dim_bf16", change.bf16_bits);
        of_json_real(json, "bits_per_dim_change", change.bf16_bits - change.f32_bits);
        of_json_real(json, "mean_change_nats", change.mean_nats);
        of_json_real(json, "mean_abs_change_nats", change.mean_abs);
        of_json_real(json, "max_abs_change_nats", change.max_abs);
        of_json_end(json);
    }
    of_json_end(json);
}

static void write_aurocs(const of_evaluation *f32, const of_evaluation *bf16, of_json *json) {
    of_json_object(json, "auroc");
    for (size_t set = 1; set < f32->set_count; set++) {
        of_json_object(json, f32->sets[set].name);
        for (size_t i = 0; i < f32->score_count; i++) {
            double before = f32->sets[set].metrics[i].auroc;
            double after = bf16->sets[set].metrics[i].auroc;
            char name[SCORE_NAME];
            of_score_name(f32->scores[i], name, sizeof name);
            of_json_object(json, name);
            of_json_real(json, "f32", before);
            of_json_real(json, "bf16", after);
            of_json_real(json, "change", after - before);
            of_json_end(json);
        }
        of_json_end(json);
    }
    of_json_end(json);
}

void of_comparison_write_json(const of_evaluation *f32, const of_evaluation *bf16, of_json *json) {
    of_json_object(json, "compare_precision");
    write_sets(f32, bf16, json);
    write_aurocs(f32, bf16, json);
    of_json_real(json, "images_per_second_f32", of_evaluation_rate(f32));
    of_json_real(json, "images_per_second_bf16", of_evaluation_rate(bf16));
    of_json_end(json);
}
