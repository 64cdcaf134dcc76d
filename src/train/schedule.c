/* SPDX-License-Identifier: Apache-2.0 */
#include "train/schedule.h"

#include <math.h>

double of_schedule_rate(const of_schedule *schedule, uint64_t step) {
    if (step < schedule->warmup)
        return schedule->rate * (double)(step + 1) / (double)schedule->warmup;
    if (schedule->kind == OF_SCHEDULE_CONSTANT)
        return schedule->rate;
    double progress = schedule->passed;
    if (schedule->total > 0)
        progress = step < schedule->total ? (double)(step - schedule->warmup) /
                                                (double)(schedule->total - schedule->warmup)
                                          : 1;
    if (progress >= 1)
        return 0;
    return schedule->rate * 0.5 * (1 + cos(3.141592653589793 * progress));
}
