/* SPDX-License-Identifier: Apache-2.0 */
/* Checks of the flow kernels: each kernel of each instruction set, the scalar ones included,
 * against one reference written from kernels.h in double precision. The tolerance stands beside it.
 */
#ifndef KERNEL_CHECK_H
#define KERNEL_CHECK_H

#include "core/random.h"
#include "kernels.h"

typedef struct checker {
    const of_kernels *kernels;
    of_random random;
    unsigned cases, failures;
    double worst; /* the largest error met, as a fraction of its tolerance */
    char shape[200];
} checker;

typedef void check_function(checker *check);

/* check_squeeze.c, check_coupling.c, check_gaussian.c */
check_function check_squeeze_u8, check_squeeze_f32, check_unsqueeze;
check_function check_tap_sum, check_coupling, check_coupling_inverse, check_coupling_extremes,
    check_coupling_nan, check_coupling_independence;
check_function check_scale_shift, check_scale_shift_nan;

/* check_scale_map.c, check_network_input.c */
check_function check_log_scale;
check_function check_integer_tile, check_network_input_s16; /* check_integer_tile.c */
check_function check_network_input, check_network_input_bf16, check_network_input_nan,
    check_network_input_backward, check_network_input_backward_nan, check_look_up;

/* check_bf16.c */
check_function check_round_to_bf16, check_round_to_bf16_special;

/* check_coupling_backward.c, check_map_backward.c, check_taps_backward.c, check_training.c,
 * check_optimizer.c */
check_function check_coupling_kept, check_coupling_backward, check_coupling_backward_nan,
    check_coupling_backward_differences;
check_function check_map_backward, check_map_backward_nan, check_map_backward_differences,
    check_map_backward_order;
check_function check_tap_scatter, check_tap_transpose;
check_function check_relu_backward, check_scale_shift_backward, check_accumulate, check_square_sum;
check_function check_optimizer, check_optimizer_nan, check_optimizer_descent;

/* check_training_bf16.c */
check_function check_relu_backward_bf16, check_weight_product_bf16;

/* Starts a case: describes it for failure messages. */
__attribute__((format(printf, 2, 3))) void begin_case(checker *check, const char *format, ...);

/* got must equal want within tolerance; NaN must meet NaN, infinities be equal. Reports the first
 * failures of a test. */
void expect_near(checker *check, const char *what, size_t index, double got, double want,
                 double tolerance);
void expect_true(checker *check, bool condition, const char *what);

/* Random numbers. */
uint32_t between(checker *check, uint32_t low, uint32_t high); /* inclusive */
float normal(checker *check, double deviation);
bool coin(checker *check);

/* ---- Guarded memory: a block ends (or begins) right at an unreadable page, and the bytes around
 * it are known, so that reads and writes outside it are noticed. ---- */

void *guarded(checker *check, size_t count, size_t size);
float *guarded_floats(checker *check, size_t count); /* filled with NaN */
float *guarded_copy(checker *check, const float *source, size_t count);
/* Reports bytes written outside any block since it was made, and releases all blocks. */
void guarded_release(checker *check);
/* Releases without looking, after a crash. */
void guarded_drop(void);

/* ---- Random cases ---- */

/* A random map of `channels` channels. NULL never. The arrays are guarded. */
of_channel_map random_map(checker *check, uint32_t channels);
double map_matrix(const of_channel_map *map, uint32_t output, uint32_t input);
double map_bias(const of_channel_map *map, uint32_t output);

/* Expects pass/rest of `position` to be the map of x, where |x - exact x| <= error. */
void expect_mapped(checker *check, const of_channel_map *map, const double *x, const double *error,
                   const float *pass, const float *rest, size_t position);

/* ---- check_scale_map.c ---- */

enum { SCALE_MAPS = 4 };
const char *scale_map_name(of_scale_map map);

/* s with its limits, l without them, tanh(raw), and the errors of s and l that are allowed. */
typedef struct exact_scale {
    double s, l, tanh, s_error, l_error;
} exact_scale;

exact_scale exact_scale_of(of_scale_map map, float raw, float gain);
/* dl / d raw, from what is kept. */
double exact_slope(of_scale_map map, double s, double tanh, double gain);

/* Floats of scratch for N values per position, as kernels.h asks for. */
size_t scratch_floats(size_t values);

/* ---- bench_timing.c ---- */
int bench(const char *pattern, of_isa only);

#endif
