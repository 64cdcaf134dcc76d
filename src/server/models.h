/* SPDX-License-Identifier: Apache-2.0 */
/* The models that are served. A set of them is read as a whole and never changes: requests hold the
 * set that they began with, so that another one can take its place at any time. */
#ifndef OF_SERVER_MODELS_H
#define OF_SERVER_MODELS_H

#include "server/server.h"

enum { OF_SERVED_NAME = 64, OF_SERVED_MOST = 16, OF_SERVED_SCORES = 64 };

typedef struct of_served_model {
    char name[OF_SERVED_NAME];
    size_t index; /* in the set */
    of_detector *detector;
    of_score scores[OF_SERVED_SCORES]; /* all that can be computed */
    size_t score_count;
    uint64_t usual;  /* those of them that "all" means, a bit each: WebP's coder takes its time */
    size_t judged;   /* place among them of the score that is judged by default */
    bool calibrated; /* that score has p-values */
    size_t image_bytes; /* [height][width][channels] */
} of_served_model;

typedef struct of_model_set of_model_set;

/* Reads all models of the options. To be given back. */
of_status of_model_set_open(const of_server_options *options, of_model_set **set, of_error *error);

/* One more holder of the set; returns it. */
of_model_set *of_model_set_hold(of_model_set *set);

/* One holder less; the last one frees it. NULL is allowed. */
void of_model_set_release(of_model_set *set);

size_t of_model_set_count(const of_model_set *set);
const of_served_model *of_model_set_at(const of_model_set *set, size_t index);

/* The model of a name, the first one for ""; NULL if there is none. */
const of_served_model *of_model_set_find(const of_model_set *set, const char *name);

/* The place of a score among those of the model, by its name; with an error if it has none. */
of_status of_served_score(const of_served_model *model, const char *name, size_t *place,
                          of_error *error);

#endif
