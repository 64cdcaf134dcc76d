/* SPDX-License-Identifier: Apache-2.0 */
/* The log of a run: a JSON object a line, written as it comes. */
#ifndef OF_TRAIN_RUN_LOG_H
#define OF_TRAIN_RUN_LOG_H

#include <outflow/train.h>

#include <outflow/output.h>

typedef struct of_run_log {
    FILE *file; /* NULL: there is no log */
    const char *path;
    of_json *json;
} of_run_log;

/* Opens without changing what is there. `path` may be NULL. */
of_status of_run_log_open(const char *path, of_run_log *log, of_error *error);

/* Keeps the lines up to this step, and drops what a run wrote after its last checkpoint. Step 0
 * starts an empty log. */
of_status of_run_log_resume(of_run_log *log, uint64_t step, of_error *error);

of_status of_run_log_write(of_run_log *log, const of_train_report *report, of_error *error);

void of_run_log_close(of_run_log *log);

#endif
