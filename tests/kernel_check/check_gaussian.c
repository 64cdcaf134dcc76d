/* SPDX-License-Identifier: Apache-2.0 */
#include "check.h"

#include <float.h>
#include <math.h>

static const size_t lengths[] = {0,  1,  3,  7,  8,  9,  15, 16,  17,  19,  24,
                                 31, 32, 33, 35, 47, 48, 63, 255, 768, 1537};
enum { LENGTHS = sizeof lengths / sizeof *lengths };

enum target { SEPARATE, IN_PLACE, SUM_ONLY };

/* One call; NaN is put at `poisoned` unless it is n. */
static void check_case(checker *check, size_t n, enum target target, size_t poisoned) {
    begin_case(check, "n %zu target %d poisoned %zu", n, (int)target, poisoned);
    float *x = guarded_floats(check, n), *scale = guarded_floats(check, n);
    float *shift = guarded_floats(check, n);
    for (size_t i = 0; i < n; i++) {
        x[i] = normal(check, 1.0);
        scale[i] = normal(check, 2.0);
        shift[i] = normal(check, 0.5);
    }
    if (poisoned < n)
        (coin(check) ? x : coin(check) ? scale : shift)[poisoned] = NAN;
    float *input = guarded_copy(check, x, n);
    float *z = target == IN_PLACE ? x : target == SEPARATE ? guarded_floats(check, n) : NULL;
    double sum = check->kernels->scale_shift(x, scale, shift, z, n);

    double want_sum = 0.0, tolerance = (double)FLT_MIN;
    for (size_t i = 0; i < n; i++) {
        double product = (double)scale[i] * (double)input[i], want = product + (double)shift[i];
        double error = (double)FLT_EPSILON * (fabs(product) + fabs(want));
        if (z != NULL)
            expect_near(check, "z", i, (double)z[i], want, error);
        want_sum += want * want;
        tolerance += 2.0 * fabs(want) * error + error * error;
    }
    expect_near(check, "sum", 0, sum, want_sum, tolerance + 1e-12 * want_sum);
    guarded_release(check);
}

void check_scale_shift(checker *check) {
    for (size_t i = 0; i < LENGTHS; i++)
        for (enum target target = SEPARATE; target <= SUM_ONLY; target++)
            for (int repeat = 0; repeat < 3; repeat++)
                check_case(check, lengths[i], target, lengths[i]);
}

void check_scale_shift_nan(checker *check) {
    for (size_t i = 1; i < LENGTHS; i++)
        for (size_t poisoned = 0; poisoned < lengths[i]; poisoned += 1 + lengths[i] / 8)
            check_case(check, lengths[i], poisoned % 2 ? SEPARATE : SUM_ONLY, poisoned);
}
