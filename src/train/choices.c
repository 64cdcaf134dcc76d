/* SPDX-License-Identifier: Apache-2.0 */
/* Names of what can be chosen. */
#include "core/error.h"

#include <outflow/train.h>

#include <stdio.h>
#include <string.h>

static const char *const losses[] = {"none", "ratio", "margin"};
static const char *const optimizers[] = {"adamax", "adam", "adamw"};
static const char *const schedules[] = {"constant", "cosine"};
static const char *const ends[] = {"finished", "early-stop", "interrupted"};

#define COUNT(names) (sizeof(names) / sizeof *(names))

static const char *name_of(const char *const *names, size_t count, unsigned number) {
    return number < count ? names[number] : "unknown";
}

/* The number of a name, or an error that lists all of them. */
static of_status parse(const char *const *names, size_t count, const char *what, const char *name,
                       unsigned *number, of_error *error) {
    char list[64] = "";
    for (unsigned i = 0; i < count; i++) {
        size_t length = strlen(list);
        if (name != NULL && strcmp(name, names[i]) == 0) {
            *number = i;
            return OF_OK;
        }
        (void)snprintf(list + length, sizeof list - length, "%s%s", i > 0 ? ", " : "", names[i]);
    }
    return of_fail(error, OF_ERROR_ARGUMENT, "'%.64s' is no %s (%s)", name != NULL ? name : "",
                   what, list);
}

const char *of_outlier_loss_name(of_outlier_loss loss) {
    return name_of(losses, COUNT(losses), (unsigned)loss);
}

of_status of_outlier_loss_parse(const char *name, of_outlier_loss *loss, of_error *error) {
    unsigned number;
    of_status status = parse(losses, COUNT(losses), "outlier loss", name, &number, error);
    if (status == OF_OK)
        *loss = (of_outlier_loss)number;
    return status;
}

const char *of_optimizer_kind_name(of_optimizer_kind kind) {
    return name_of(optimizers, COUNT(optimizers), (unsigned)kind);
}

of_status of_optimizer_kind_parse(const char *name, of_optimizer_kind *kind, of_error *error) {
    unsigned number;
    of_status status = parse(optimizers, COUNT(optimizers), "optimizer", name, &number, error);
    if (status == OF_OK)
        *kind = (of_optimizer_kind)number;
    return status;
}

const char *of_schedule_kind_name(of_schedule_kind kind) {
    return name_of(schedules, COUNT(schedules), (unsigned)kind);
}

of_status of_schedule_kind_parse(const char *name, of_schedule_kind *kind, of_error *error) {
    unsigned number;
    of_status status = parse(schedules, COUNT(schedules), "schedule", name, &number, error);
    if (status == OF_OK)
        *kind = (of_schedule_kind)number;
    return status;
}

const char *of_train_end_name(of_train_end end) {
    return name_of(ends, COUNT(ends), (unsigned)end);
}
