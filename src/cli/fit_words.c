/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/fit_words.h"

#include "cli/terminal/words.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* ---- The plan ----------------------------------------------------------------------------- */

static void tell_count(const of_log *log, const of_fit_plan *plan) {
    char unreadable[64] = "", left_out[96] = "";
    if (plan->unreadable > 0)
        (void)snprintf(unreadable, sizeof unreadable, ", %" PRIu64 " unreadable", plan->unreadable);
    if (plan->found > plan->looked_at + plan->unreadable)
        (void)snprintf(left_out, sizeof left_out, " of %" PRIu64 ", which are enough", plan->found);
    of_log_write(log, OF_LOG_INFO, "found: %" PRIu64 " image%s%s%s", plan->looked_at,
                 of_plural(plan->looked_at), left_out, unreadable);
    if (plan->skipped > 0)
        of_log_write(log, OF_LOG_INFO, "  %" PRIu64 " other file%s passed over", plan->skipped,
                     plan->skipped == 1 ? " was" : "s were");
    if (plan->copies > 0)
        of_log_write(log, OF_LOG_INFO, "  %" PRIu64 " %s: one of each is used", plan->copies,
                     plan->copies == 1 ? "is a copy of another" : "are copies of others");
    if (plan->alike)
        of_log_write(log, OF_LOG_INFO, "  they are much alike");
    else if (plan->similar > 0)
        of_log_write(log, OF_LOG_INFO,
                     "  %" PRIu64
                     " are nearly the same as another: these stay together in one part",
                     plan->similar);
}

static void tell_sizes(const of_log *log, const of_fit_plan *plan) {
    const of_architecture *shape = &plan->architecture;
    const char *colour = shape->channels == 3 ? "colour" : "grey";
    if (plan->most_height > 0 &&
        (plan->least_height != plan->most_height || plan->least_width != plan->most_width))
        of_log_write(log, OF_LOG_INFO,
                     "sizes: %u x %u to %u x %u pixels, mostly about %u x %u, in %s",
                     (unsigned)plan->least_width, (unsigned)plan->least_height,
                     (unsigned)plan->most_width, (unsigned)plan->most_height,
                     (unsigned)plan->median_width, (unsigned)plan->median_height, colour);
    else
        of_log_write(log, OF_LOG_INFO, "sizes: %u x %u pixels, in %s", (unsigned)plan->median_width,
                     (unsigned)plan->median_height, colour);
    if (plan->reduced > 1.5 && plan->tiles.size == 0)
        of_log_write(log, OF_LOG_INFO,
                     "  the model sees them at %u x %u: what is smaller than about %.0f pixels is "
                     "not seen",
                     (unsigned)shape->width, (unsigned)shape->height, ceil(2 * plan->reduced));
}

static void tell_reason(const of_log *log, const of_fit_plan *plan) {
    const of_architecture *shape = &plan->architecture;
    unsigned width = (unsigned)shape->width, height = (unsigned)shape->height;
    if (plan->cut == OF_FIT_CUT_TEXTURE)
        of_log_write(log, OF_LOG_INFO,
                     "tiles: these look like textures, whose distant parts are alike; at %u x %u "
                     "%.0f %% of what they show would be lost",
                     width, height, 100 * plan->detail_lost);
    else if (plan->cut == OF_FIT_CUT_DETAIL)
        of_log_write(log, OF_LOG_INFO,
                     "tiles: these have much fine detail; at %u x %u %.0f %% of what they show "
                     "would be lost",
                     width, height, 100 * plan->detail_lost);
    else if (plan->cut == OF_FIT_WHOLE_FEW)
        of_log_write(log, OF_LOG_INFO,
                     "  tiles would show what is smaller, but take more pictures: %d at least, and "
                     "more for a low rate",
                     (int)OF_FIT_LEAST_TILED);
}

static void tell_tiles(const of_log *log, const of_fit_plan *plan) {
    const of_tiling *tiles = &plan->tiles;
    tell_reason(log, plan);
    if (tiles->size == 0)
        return;
    of_log_write(log, OF_LOG_INFO,
                 "%s so pictures are cut into windows of %u pixels, %u apart, in their own size; "
                 "--tiles none: whole pictures, reduced",
                 plan->cut == OF_FIT_CUT_ASKED ? "tiles: as asked," : " ", (unsigned)tiles->size,
                 (unsigned)tiles->stride);
}

static void tell_tiled_parts(const of_log *log, const of_fit_plan *plan) {
    char check[96] = "; too few to check the result on others";
    if (plan->check > 0)
        (void)snprintf(check, sizeof check, ", %" PRIu64 " to check the result with", plan->check);
    of_log_write(log, OF_LOG_INFO,
                 "parts: %" PRIu64 " picture%s to learn from, by about %" PRIu64
                 " windows at random places; %" PRIu64 " whole pictures to set the threshold by%s",
                 plan->train, of_plural(plan->train), plan->windows, plan->calibrate, check);
}

static void tell_parts(const of_log *log, const of_fit_plan *plan) {
    if (plan->tiles.size > 0) {
        tell_tiled_parts(log, plan);
        return;
    }
    if (plan->way == OF_FIT_TRAIN && plan->check > 0)
        of_log_write(log, OF_LOG_INFO,
                     "parts: %" PRIu64 " to learn from, %" PRIu64
                     " to set the threshold by, %" PRIu64 " to check the result with",
                     plan->train, plan->calibrate, plan->check);
    else if (plan->way == OF_FIT_TRAIN)
        of_log_write(log, OF_LOG_INFO,
                     "parts: %" PRIu64 " to learn from, %" PRIu64
                     " to set the threshold by; too few to check the result on others",
                     plan->train, plan->calibrate);
    else
        of_log_write(
            log, OF_LOG_INFO,
            "these are too few to train a model on, which takes %d: fit learns how a general "
            "model scores them instead",
            (int)OF_FIT_LEAST_TRAIN);
    if (plan->way == OF_FIT_COPIES)
        of_log_write(log, OF_LOG_WARNING,
                     "with fewer than %d images the threshold is set by moved copies as well: the "
                     "share of normal images that is marked will be rough",
                     (int)OF_CALIBRATION_LEAST);
}

static void tell_training(const of_log *log, const of_fit_plan *plan) {
    if (plan->general_model != NULL)
        of_log_write(log, OF_LOG_INFO, "start: from the general model %s", plan->general_model);
    else
        of_log_write(log, OF_LOG_INFO,
                     "start: no general model of %u x %u pixels is installed: a small one is "
                     "trained first, which is a weaker start",
                     (unsigned)plan->architecture.width, (unsigned)plan->architecture.height);
    if (plan->against_general)
        of_log_write(log, OF_LOG_INFO, "training: to tell them from the general images given");
    if (plan->train_images > 0)
        of_log_write(log, OF_LOG_INFO, "training: %" PRIu64 " images, with repetitions",
                     plan->train_images);
    if (plan->minutes > 0)
        of_log_write(log, OF_LOG_INFO, "this takes about %.*f minutes", plan->minutes < 10 ? 1 : 0,
                     plan->minutes);
}

void of_fit_tell_plan(const of_log *log, const of_fit_plan *plan) {
    tell_count(log, plan);
    tell_sizes(log, plan);
    tell_tiles(log, plan);
    tell_parts(log, plan);
    tell_training(log, plan);
}

/* ---- The result --------------------------------------------------------------------------- */

static const char *judge(double auroc) {
    return auroc >= 0.95   ? "very well"
           : auroc >= 0.85 ? "well"
           : auroc >= 0.7  ? "fairly"
           : auroc >= 0.6  ? "poorly"
                           : "hardly";
}

static void tell_sets(const of_log *log, const of_fit_result *result) {
    of_log_write(log, OF_LOG_INFO,
                 "how well images that do not belong are told from those held out (1 is perfect, "
                 "0.5 is chance), and the share that is marked:");
    for (size_t i = 0; i < result->set_count; i++) {
        const of_fit_set *set = &result->sets[i];
        of_log_write(log, OF_LOG_INFO, "  %-16s %.3f (%s), %3.0f %% marked", set->name, set->auroc,
                     judge(set->auroc), 100 * set->flagged);
    }
}

void of_fit_tell_result(const of_log *log, const of_fit_options *options,
                        const of_fit_result *result) {
    char name[32];
    of_score_name(result->score, name, sizeof name);
    tell_sets(log, result);
    if (result->checked > 0)
        of_log_write(log, OF_LOG_INFO,
                     "of %" PRIu64 " normal images that were kept for this, %.1f %% are marked (at "
                     "most about %g %% was asked for)",
                     result->checked, 100 * result->flagged, 100 * result->rate);
    if (result->interrupted)
        of_log_write(log, OF_LOG_INFO,
                     "interrupted after %" PRIu64 " images of training: the detector is finished "
                     "with what was learned; the same command with --resume trains on",
                     result->trained);
    of_log_write(log, OF_LOG_INFO, "wrote %s after %.0f s%s%s", options->out, result->seconds,
                 options->report != NULL ? ", and a report, " : "",
                 options->report != NULL ? options->report : "");
    of_log_write(log, OF_LOG_INFO, "score new images with:  outflow score --model %s NEW_FOLDER",
                 options->out);
}
