/* SPDX-License-Identifier: Apache-2.0 */
/* kernel_check: every kernel of every instruction set that this machine can run. */
#define _DEFAULT_SOURCE
#include "check.h"

#include <fnmatch.h>
#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

static const struct test {
    const char *name;
    check_function *run;
} tests[] = {
    {"squeeze_row_u8", check_squeeze_u8},
    {"squeeze_row_f32", check_squeeze_f32},
    {"unsqueeze_row", check_unsqueeze},
    {"tap_sum_row", check_tap_sum},
    {"coupling_row", check_coupling},
    {"coupling_row.inverse", check_coupling_inverse},
    {"coupling_row.log_scale", check_log_scale},
    {"coupling_row.extremes", check_coupling_extremes},
    {"coupling_row.nan", check_coupling_nan},
    {"coupling_row.independence", check_coupling_independence},
    {"scale_shift", check_scale_shift},
    {"scale_shift.nan", check_scale_shift_nan},
    {"round_to_bf16", check_round_to_bf16},
    {"round_to_bf16.special", check_round_to_bf16_special},
    {"network_input", check_network_input},
    {"network_input_bf16", check_network_input_bf16},
    {"network_input_s16", check_network_input_s16},
    {"integer_tile", check_integer_tile},
    {"network_input.nan", check_network_input_nan},
    {"network_input_backward", check_network_input_backward},
    {"network_input_backward.nan", check_network_input_backward_nan},
    {"look_up", check_look_up},
    {"coupling_row.kept", check_coupling_kept},
    {"coupling_backward", check_coupling_backward},
    {"coupling_backward.nan", check_coupling_backward_nan},
    {"coupling_backward.differences", check_coupling_backward_differences},
    {"map_backward", check_map_backward},
    {"map_backward.nan", check_map_backward_nan},
    {"map_backward.differences", check_map_backward_differences},
    {"map_backward.order", check_map_backward_order},
    {"tap_scatter_row", check_tap_scatter},
    {"tap_scatter_row.transpose", check_tap_transpose},
    {"relu_backward", check_relu_backward},
    {"relu_backward_bf16", check_relu_backward_bf16},
    {"weight_product_bf16", check_weight_product_bf16},
    {"scale_shift_backward", check_scale_shift_backward},
    {"optimizer_update", check_optimizer},
    {"optimizer_update.nan", check_optimizer_nan},
    {"optimizer_update.descent", check_optimizer_descent},
    {"accumulate", check_accumulate},
    {"square_sum", check_square_sum},
};
enum { TESTS = sizeof tests / sizeof *tests };

typedef struct settings {
    uint64_t seed;
    const char *pattern;
    of_isa isa;
    bool bench;
} settings;

static sigjmp_buf crash_place;

static void on_crash(int number) {
    siglongjmp(crash_place, number);
}

static void catch_crashes(void) {
    const int numbers[] = {SIGILL, SIGSEGV, SIGBUS, SIGFPE};
    struct sigaction action = {.sa_handler = on_crash};
    (void)sigemptyset(&action.sa_mask);
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++)
        (void)sigaction(numbers[i], &action, NULL);
}

static bool run_test(const struct test *test, of_isa isa, uint64_t seed) {
    static checker state; /* outlives the jump */
    state = (checker){
        .kernels = of_kernels_for(isa),
        .random = of_random_stream(seed, (uint64_t)(test - tests)),
    };
    int crash = sigsetjmp(crash_place, 1);
    if (crash == 0) {
        test->run(&state);
    } else {
        state.failures++;
        printf("    %s: %s (%s)\n", test->name, strsignal(crash), state.shape);
        guarded_drop();
    }
    printf("%-8s%-30s %5u cases, worst error %3.0f %% of tolerance  %s\n", of_isa_name(isa),
           test->name, state.cases, 100.0 * state.worst, state.failures ? "FAILED" : "ok");
    return state.failures == 0;
}

static int run_tests(const settings *options) {
    unsigned failed = 0, run = 0;
    printf("seed %" PRIu64 "\n", options->seed);
    catch_crashes();
    for (of_isa isa = OF_ISA_SCALAR; isa <= OF_ISA_AVX512; isa++) {
        if (options->isa != OF_ISA_AUTO && options->isa != isa)
            continue;
        if (of_kernels_for(isa) == NULL) {
            printf("%-8sSKIPPED: this machine cannot run it\n", of_isa_name(isa));
            continue;
        }
        for (size_t i = 0; i < TESTS; i++) {
            if (fnmatch(options->pattern, tests[i].name, 0) != 0)
                continue;
            run++;
            failed += !run_test(&tests[i], isa, options->seed);
        }
    }
    printf("%u of %u tests failed\n", failed, run);
    if (run == 0)
        fputs("nothing was run: see --list\n", stderr);
    return failed > 0 || run == 0;
}

static int usage(void) {
    fputs("usage: kernel_check [--seed N] [--test PATTERN] [--isa NAME] [--bench] [--list]\n",
          stderr);
    return 2;
}

static bool parse_seed(const char *text, uint64_t *seed) {
    char *end;
    *seed = strtoull(text, &end, 10);
    return *text >= '0' && *text <= '9' && *end == '\0';
}

int main(int argc, char **argv) {
    settings options = {.seed = (uint64_t)time(NULL), .pattern = "*"};
    (void)setvbuf(stdout, NULL, _IOLBF, 0);
    for (int i = 1; i < argc; i++) {
        const char *value = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(argv[i], "--list") == 0) {
            for (size_t t = 0; t < TESTS; t++)
                puts(tests[t].name);
            return 0;
        }
        if (strcmp(argv[i], "--bench") == 0) {
            options.bench = true;
            continue;
        }
        if (value == NULL)
            return usage();
        of_error error;
        if (strcmp(argv[i], "--seed") == 0 && parse_seed(value, &options.seed)) {
            i++;
        } else if (strcmp(argv[i], "--test") == 0) {
            options.pattern = value;
            i++;
        } else if (strcmp(argv[i], "--isa") == 0) {
            if (of_isa_parse(value, &options.isa, &error) != OF_OK) {
                fprintf(stderr, "kernel_check: %s\n", error.message);
                return 2;
            }
            i++;
        } else {
            return usage();
        }
    }
    if (options.isa != OF_ISA_AUTO && of_kernels_for(options.isa) == NULL) {
        fprintf(stderr, "kernel_check: this machine cannot run '%s'\n", of_isa_name(options.isa));
        return 2;
    }
    return options.bench ? bench(options.pattern, options.isa) : run_tests(&options);
}
