/* SPDX-License-Identifier: Apache-2.0 */
/* Names of what can be chosen. */
#include "core/choice.h"

#include <outflow/train.h>

static const char *const loss_names[] = {"none", "ratio", "margin"};
static const char *const optimizer_names[] = {"adamax", "adam", "adamw"};
static const char *const schedule_names[] = {"constant", "cosine"};
static const char *const end_names[] = {"finished", "early-stop", "interrupted"};

static const of_choice losses = {"outlier loss", loss_names, 3};
static const of_choice optimizers = {"optimizer", optimizer_names, 3};
static const of_choice schedules = {"schedule", schedule_names, 2};
static const of_choice ends = {"end", end_names, 3};

const char *of_outlier_loss_name(of_outlier_loss loss) {
    return of_choice_name(&losses, (int)loss);
}

of_status of_outlier_loss_parse(const char *name, of_outlier_loss *loss, of_error *error) {
    int value;
    of_status status = of_choice_parse(&losses, name, &value, error);
    if (status == OF_OK)
        *loss = (of_outlier_loss)value;
    return status;
}

const char *of_optimizer_kind_name(of_optimizer_kind kind) {
    return of_choice_name(&optimizers, (int)kind);
}

of_status of_optimizer_kind_parse(const char *name, of_optimizer_kind *kind, of_error *error) {
    int value;
    of_status status = of_choice_parse(&optimizers, name, &value, error);
    if (status == OF_OK)
        *kind = (of_optimizer_kind)value;
    return status;
}

const char *of_schedule_kind_name(of_schedule_kind kind) {
    return of_choice_name(&schedules, (int)kind);
}

of_status of_schedule_kind_parse(const char *name, of_schedule_kind *kind, of_error *error) {
    int value;
    of_status status = of_choice_parse(&schedules, name, &value, error);
    if (status == OF_OK)
        *kind = (of_schedule_kind)value;
    return status;
}

const char *of_train_end_name(of_train_end end) {
    return of_choice_name(&ends, (int)end);
}
