/* SPDX-License-Identifier: Apache-2.0 */
/* The verbs of the program. */
#ifndef OF_CLI_VERBS_H
#define OF_CLI_VERBS_H

#include "cli/terminal/options.h"

/* Runs a verb; argv[0] is its name. Returns the exit code. */
typedef int of_verb_run(int argc, char **argv, of_console *console);

of_verb_run of_verb_train, of_verb_score, of_verb_eval, of_verb_inspect, of_verb_sample,
    of_verb_cpu, of_verb_bench, of_verb_calibrate, of_verb_fit, of_verb_quantize, of_verb_serve,
    of_verb_clean;

extern const of_command of_train_command, of_score_command, of_eval_command, of_inspect_command,
    of_sample_command, of_cpu_command, of_bench_command, of_calibrate_command, of_fit_command,
    of_quantize_command, of_serve_command, of_clean_command;

#endif
