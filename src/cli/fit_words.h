/* SPDX-License-Identifier: Apache-2.0 */
/* What `outflow fit` says, in words that need no knowledge of flows. */
#ifndef OF_CLI_FIT_WORDS_H
#define OF_CLI_FIT_WORDS_H

#include "cli/terminal/log.h"

#include <outflow/fit.h>

void of_fit_tell_plan(const of_log *log, const of_fit_plan *plan);
void of_fit_tell_result(const of_log *log, const of_fit_options *options,
                        const of_fit_result *result);

#endif
