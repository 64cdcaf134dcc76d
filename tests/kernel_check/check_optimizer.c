/* SPDX-License-Identifier: Apache-2.0 */
/* One optimizer step against the equations in kernels.h, in double, with the error that float may
 * make carried along. */
#include "check.h"

#include <float.h>
#include <math.h>
#include <string.h>

static const double EPSILON = (double)FLT_EPSILON;

typedef struct inexact {
    double value, error;
} inexact;

typedef struct element {
    inexact w, m, u;
} element;

static inexact average(float beta, double old, inexact g) {
    double kept = (double)beta * old, added = (double)(1.0f - beta) * g.value;
    return (inexact){kept + added,
                     (double)(1.0f - beta) * g.error + 2.0 * EPSILON * (fabs(kept) + fabs(added))};
}

static inexact gradient_of(const of_optimizer_update *o, double w, double gradient) {
    double scaled = (double)o->gradient_scale * gradient;
    double decay = o->kind == OF_OPTIMIZER_ADAMW ? 0.0 : (double)o->weight_decay * w;
    return (inexact){scaled + decay, 2.0 * EPSILON * (fabs(scaled) + fabs(decay))};
}

static inexact second_of(const of_optimizer_update *o, double u, inexact g) {
    if (o->kind != OF_OPTIMIZER_ADAMAX) {
        inexact square = {g.value * g.value, 2.0 * fabs(g.value) * g.error + g.error * g.error};
        return average(o->beta2, u, square);
    }
    double decayed = (double)o->beta2 * u, size = fabs(g.value) + (double)o->epsilon;
    double larger = isnan(decayed) || decayed > size ? decayed : size;
    return (inexact){larger, g.error + 2.0 * EPSILON * fabs(larger)};
}

static element step(const of_optimizer_update *o, double w, double m, double u, double gradient) {
    inexact g = gradient_of(o, w, gradient);
    element e = {.m = average(o->beta1, m, g), .u = second_of(o, u, g)};
    double divisor = e.u.value, divisor_error = e.u.error;
    if (o->kind != OF_OPTIMIZER_ADAMAX) {
        double root = sqrt(e.u.value * (double)o->second_correction);
        double relative = e.u.value > 0.0 ? e.u.error / e.u.value : 0.0;
        divisor = root + (double)o->epsilon;
        divisor_error = root * (relative + 2.0 * EPSILON) + EPSILON * divisor;
    }
    double shrink = o->kind == OF_OPTIMIZER_ADAMW ? (double)o->rate * (double)o->weight_decay : 0.0;
    double move = (double)o->step * e.m.value / divisor;
    double move_error = (double)o->step * e.m.error / divisor +
                        fabs(move) * (divisor_error / divisor + 3.0 * EPSILON);
    e.w.value = w - shrink * w - move;
    e.w.error = 1.1 * move_error + 2.0 * EPSILON * (fabs(w) + fabs(e.w.value));
    return e;
}

static void fill(checker *check, float *values, size_t n, double deviation, bool positive) {
    for (size_t i = 0; i < n; i++) {
        values[i] = between(check, 0, 7) > 0 ? normal(check, deviation) : 0.0f;
        values[i] = positive ? fabsf(values[i]) : values[i];
    }
}

static void run_case(checker *check, of_optimizer_update o, size_t poisoned) {
    size_t n = o.n;
    float *gradients = guarded_floats(check, n);
    o.values = guarded_floats(check, n);
    o.first = guarded_floats(check, n);
    o.second = guarded_floats(check, n);
    o.gradients = gradients;
    fill(check, gradients, n, 3.0, false);
    fill(check, o.values, n, 0.2, false);
    fill(check, o.first, n, 0.1, false);
    fill(check, o.second, n, 0.1, true);
    if (poisoned < n) {
        float *arrays[] = {gradients, o.values, o.first, o.second};
        arrays[between(check, 0, 3)][poisoned] = NAN;
    }
    const float *w = guarded_copy(check, o.values, n), *m = guarded_copy(check, o.first, n);
    const float *u = guarded_copy(check, o.second, n);
    check->kernels->optimizer_update(&o);
    for (size_t i = 0; i < n; i++) {
        element e = step(&o, (double)w[i], (double)m[i], (double)u[i], (double)gradients[i]);
        if (i == poisoned) { /* it shows in the value, whatever it was in */
            expect_true(check, isnan(o.values[i]), "NaN was hidden");
            continue;
        }
        expect_near(check, "m", i, (double)o.first[i], e.m.value, e.m.error + 1e-37);
        expect_near(check, "u", i, (double)o.second[i], e.u.value, e.u.error + 1e-37);
        expect_near(check, "w", i, (double)o.values[i], e.w.value, e.w.error + 1e-37);
    }
    guarded_release(check);
}

static of_optimizer_update random_settings(checker *check, of_optimizer_kind kind) {
    float t = (float)between(check, 1, 1000), beta1 = 0.9f, beta2 = 0.999f, rate = 1e-3f;
    return (of_optimizer_update){
        .kind = kind,
        .gradient_scale = coin(check) ? 1.0f : of_random_uniform(&check->random),
        .rate = rate,
        .step = rate / (1.0f - powf(beta1, t)),
        .beta1 = beta1,
        .beta2 = beta2,
        .epsilon = 1e-8f,
        .weight_decay = coin(check) ? 0.0f : 5e-2f,
        .second_correction = 1.0f / (1.0f - powf(beta2, t)),
    };
}

static void check_lengths(checker *check, bool poison) {
    for (of_optimizer_kind kind = OF_OPTIMIZER_ADAMAX; kind <= OF_OPTIMIZER_ADAMW; kind++)
        for (uint32_t i = 0; i < 120; i++) {
            of_optimizer_update settings = random_settings(check, kind);
            settings.n = i < 70 ? i : between(check, 70, 3000);
            begin_case(check, "kind %d, n %zu, decay %g", (int)kind, settings.n,
                       (double)settings.weight_decay);
            size_t poisoned = settings.n;
            if (poison && settings.n > 0)
                poisoned = of_random_below(&check->random, (uint32_t)settings.n);
            run_case(check, settings, poisoned);
        }
}

void check_optimizer(checker *check) {
    check_lengths(check, false);
}

void check_optimizer_nan(checker *check) {
    check_lengths(check, true);
}

/* Many steps on the loss sum of (w - target)^2 / 2 bring every weight near its target. */
void check_optimizer_descent(checker *check) {
    enum { N = 37, STEPS = 3000 };
    for (of_optimizer_kind kind = OF_OPTIMIZER_ADAMAX; kind <= OF_OPTIMIZER_ADAMW; kind++) {
        begin_case(check, "kind %d", (int)kind);
        float target[N], gradients[N];
        of_optimizer_update o = random_settings(check, kind);
        o.n = N;
        o.weight_decay = 0.0f;
        o.gradient_scale = 0.5f;
        o.gradients = gradients;
        o.values = guarded_floats(check, N);
        o.first = guarded_floats(check, N);
        o.second = guarded_floats(check, N);
        memset(o.first, 0, N * sizeof(float));
        memset(o.second, 0, N * sizeof(float));
        for (size_t i = 0; i < N; i++) {
            target[i] = 2.0f * of_random_uniform(&check->random) - 1.0f;
            o.values[i] = 0.0f;
        }
        for (int t = 1; t <= STEPS; t++) {
            o.rate = 1e-2f * (1.0f - (float)t / (STEPS + 1));
            o.step = o.rate / (1.0f - powf(o.beta1, (float)t));
            o.second_correction = 1.0f / (1.0f - powf(o.beta2, (float)t));
            for (size_t i = 0; i < N; i++)
                gradients[i] = o.values[i] - target[i];
            check->kernels->optimizer_update(&o);
        }
        for (size_t i = 0; i < N; i++)
            expect_near(check, "w", i, (double)o.values[i], (double)target[i], 1e-3);
        guarded_release(check);
    }
}
