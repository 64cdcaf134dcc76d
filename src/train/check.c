/* SPDX-License-Identifier: Apache-2.0 */
/* What can be said of a run's options before a file is opened. */
#include "core/error.h"
#include "core/options_read.h"
#include "train/settings.h"

#include <inttypes.h>
#include <string.h>

/* ---- Ranges ------------------------------------------------------------------------------- */

typedef struct real_range {
    const char *setting;
    double value, least, most;
} real_range;

typedef struct count_range {
    const char *setting;
    uint64_t value, least, most;
} count_range;

static of_status check_reals(const of_train_options *o, of_error *error) {
    const double below_one = 1 - 1e-12;
    const real_range ranges[] = {{"shift", o->shift, 0, 0.5},
                                 {"zoom", o->zoom, 0, 0.5},
                                 {"color", o->color, 0, 1},
                                 {"hold_out", o->hold_out, 0, 1 - 1e-6},
                                 {"outlier_weight", o->outlier_weight, 0, 1e9},
                                 {"temperature", o->temperature, 0, 1e9},
                                 {"rate", o->rate, 1e-12, 10},
                                 {"weight_decay", o->weight_decay, 0, 1},
                                 {"beta1", o->beta1, 0, below_one},
                                 {"beta2", o->beta2, 0, below_one},
                                 {"epsilon", o->epsilon, 1e-20, 1},
                                 {"clip", o->clip, 0, 1e12},
                                 {"ema", o->ema, 0, 0.999999},
                                 {"minutes", o->minutes, 0, 1e9},
                                 {"checkpoint_every", o->checkpoint_every, 0, 1e9}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const real_range *r = &ranges[i];
        if (!(r->value >= r->least && r->value <= r->most))
            return of_fail_setting(error, OF_ERROR_ARGUMENT, r->setting,
                                   "%s: %g is not from %g to %g", r->setting, r->value, r->least,
                                   r->most);
    }
    return OF_OK;
}

static of_status check_counts(const of_train_options *o, of_error *error) {
    const uint64_t many = (uint64_t)1 << 60; /* sums of them stay far from overflowing */
    const count_range ranges[] = {{"data", o->data_count, 1, OF_TRAIN_MOST_SOURCES},
                                  {"general_data", o->general_count, 0, OF_TRAIN_MOST_SOURCES},
                                  {"valid", o->valid_count, 0, OF_TRAIN_MOST_SOURCES},
                                  {"out_of", o->out_of_count, 0, OF_TRAIN_MOST_OUT_SETS},
                                  {"batch", o->batch, 1, 65536},
                                  {"general_batch", o->general_batch, 0, 65536},
                                  {"init_images", o->init_images, 2, 65536},
                                  {"epochs", o->epochs, 0, 1000000000},
                                  {"images", o->images, 0, many},
                                  {"valid_every", o->valid_every, 0, many},
                                  {"warmup", o->warmup, 0, many},
                                  {"log_every", o->log_every, 1, many},
                                  {"threads", o->threads, 0, 4096},
                                  {"micro_batch", o->micro_batch, 0, 4096},
                                  {"lanes", o->lanes, 0, 4096},
                                  {"outlier_loss", (uint64_t)o->outlier_loss, 0, OF_OUTLIER_MARGIN},
                                  {"optimizer", (uint64_t)o->optimizer, 0, OF_OPTIMIZER_ADAMW},
                                  {"schedule", (uint64_t)o->schedule, 0, OF_SCHEDULE_COSINE},
                                  {"isa", (uint64_t)o->isa, 0, OF_ISA_AVX512},
                                  {"precision", (uint64_t)o->precision, 0, OF_PRECISION_AUTO},
                                  {"gradient_precision", (uint64_t)o->gradient_precision,
                                   OF_PRECISION_F32, OF_PRECISION_BF16}};
    for (size_t i = 0; i < sizeof ranges / sizeof *ranges; i++) {
        const count_range *r = &ranges[i];
        if (r->value < r->least || r->value > r->most)
            return of_fail_setting(error, OF_ERROR_ARGUMENT, r->setting,
                                   "%s: %" PRIu64 " is not from %" PRIu64 " to %" PRIu64,
                                   r->setting, r->value, r->least, r->most);
    }
    return OF_OK;
}

/* ---- Sources ------------------------------------------------------------------------------ */

static of_status check_list(const char *setting, const char *const *items, const double *shares,
                            size_t count, of_error *error) {
    for (size_t i = 0; i < count; i++) {
        if (items == NULL || items[i] == NULL)
            return of_fail_setting(error, OF_ERROR_ARGUMENT, setting, "%s: source %zu is missing",
                                   setting, i + 1);
        if (shares != NULL && !(shares[i] >= 1e-6 && shares[i] <= 1e6))
            return of_fail_setting(error, OF_ERROR_ARGUMENT, setting,
                                   "%s: the share %g of %s is not from 0.000001 to 1000000",
                                   setting, shares[i], items[i]);
    }
    return OF_OK;
}

static size_t count_of_input(const char *const *items, size_t count) {
    size_t times = 0;
    for (size_t i = 0; i < count; i++)
        times += strcmp(items[i], "-") == 0;
    return times;
}

/* Standard input can be read once. */
static of_status check_standard_input(const of_train_options *o, of_error *error) {
    size_t times = count_of_input(o->data, o->data_count) +
                   count_of_input(o->general_data, o->general_count) +
                   count_of_input(o->valid, o->valid_count);
    for (size_t i = 0; i < o->out_of_count; i++)
        times += strcmp(o->out_of[i].source, "-") == 0;
    return times > 1 ? of_fail(error, OF_ERROR_ARGUMENT,
                               "standard input ('-') can be read for one set only")
                     : OF_OK;
}

static of_status check_hold_out(const of_train_options *o, of_error *error) {
    if (o->hold_out > 0 && o->valid_count > 0)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "hold_out",
                               "holding out and images to validate on exclude each other");
    for (size_t i = 0; o->hold_out > 0 && i < o->data_count; i++)
        if (strncmp(o->data[i], "part:", 5) == 0 || strcmp(o->data[i], "-") == 0)
            return of_fail_setting(error, OF_ERROR_ARGUMENT, "hold_out",
                                   "holding out cannot divide '%s': give the two parts as data "
                                   "and as images to validate on",
                                   o->data[i]);
    return OF_OK;
}

static of_status check_sources(const of_train_options *o, of_error *error) {
    of_status status = check_list("data", o->data, o->data_shares, o->data_count, error);
    if (status == OF_OK)
        status =
            check_list("general_data", o->general_data, o->general_shares, o->general_count, error);
    if (status == OF_OK)
        status = check_list("valid", o->valid, NULL, o->valid_count, error);
    for (size_t i = 0; status == OF_OK && i < o->out_of_count; i++)
        if (o->out_of == NULL || o->out_of[i].name == NULL || o->out_of[i].source == NULL)
            status = of_fail_setting(error, OF_ERROR_ARGUMENT, "out_of",
                                     "set %zu of outliers has no name or no source", i + 1);
    if (status == OF_OK)
        status = check_hold_out(o, error);
    return status == OF_OK ? check_standard_input(o, error) : status;
}

/* ---- What goes together ------------------------------------------------------------------- */

static of_status fail_useless(const char *useless, const char *without, const char *setting,
                              of_error *error) {
    return of_fail_setting(error, OF_ERROR_ARGUMENT, setting, "%s is of no use without %s", useless,
                           without);
}

static of_status check_outlier_loss(const of_train_options *o, of_error *error) {
    bool full_label = o->class_conditional && o->general_model != NULL;
    bool ratio = o->outlier_loss == OF_OUTLIER_RATIO, none = o->outlier_loss == OF_OUTLIER_NONE;
    if (!none && o->general_count == 0)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "general_data",
                               "an outlier loss needs images of the general distribution");
    if (ratio && o->general_model == NULL)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "general_model",
                               "the ratio loss needs a general model");
    if (none && o->general_count > 0)
        return fail_useless("a set of general images", "an outlier loss, ratio or margin",
                            "outlier_loss", error);
    if (o->general_model != NULL && !ratio && o->out_of_count == 0 && !o->class_conditional)
        return fail_useless("a general model", "the ratio loss, classes or sets of outliers",
                            "outlier_loss", error);
    if (o->temperature > 0 && !ratio && !full_label)
        return fail_useless("a temperature", "a ratio loss", "outlier_loss", error);
    if (o->outlier_weight > 0 && none && !full_label)
        return fail_useless("a weight of the outlier loss", "an outlier loss", "outlier_loss",
                            error);
    if (o->general_batch > 0 && none)
        return fail_useless("a batch of general images", "an outlier loss", "outlier_loss", error);
    return OF_OK;
}

static of_status check_validation(const of_train_options *o, of_error *error) {
    const char *needing = o->out_of_count > 0  ? "a set of outliers"
                          : o->valid_every > 0 ? "an interval of validations"
                          : o->patience > 0    ? "patience"
                                               : NULL;
    if (needing != NULL && o->valid_count == 0 && o->hold_out <= 0)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "valid",
                               "%s needs images to validate on, given or held out", needing);
    if (o->patience > 0 && o->outlier_loss != OF_OUTLIER_NONE && o->out_of_count == 0)
        return of_fail_setting(error, OF_ERROR_ARGUMENT, "out_of",
                               "with an outlier loss, patience needs sets of outliers: bits/dim "
                               "are given up for separation, so they cannot tell the best weights");
    return OF_OK;
}

static of_status check_length(const of_train_options *o, of_error *error) {
    if (o->resume && o->overwrite)
        return of_fail(error, OF_ERROR_ARGUMENT, "resume and overwrite exclude each other");
    return OF_OK;
}

of_status of_train_options_read(const of_train_options *given, of_train_options *o,
                                of_error *error) {
    *o = of_train_options_default();
    of_status status =
        of_options_read(o, sizeof *o, sizeof *o, given, "options of training", error);
    if (status == OF_OK && (o->out == NULL || o->out[0] == '\0'))
        status = of_fail_setting(error, OF_ERROR_ARGUMENT, "out",
                                 "out: training needs a weight file to write");
    if (status == OF_OK)
        status = check_counts(o, error);
    if (status == OF_OK)
        status = check_reals(o, error);
    if (status == OF_OK)
        status = check_sources(o, error);
    if (status == OF_OK)
        status = check_outlier_loss(o, error);
    if (status == OF_OK)
        status = check_validation(o, error);
    return status == OF_OK ? check_length(o, error) : status;
}

of_status of_train_options_check(const of_train_options *options, of_error *error) {
    of_train_options own;
    return of_train_options_read(options, &own, error);
}
