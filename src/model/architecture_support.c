/* SPDX-License-Identifier: Apache-2.0 */
/* What of an architecture is trained. */
#include "core/error.h"
#include "model/model.h"

/* The first field that is not trained; NULL: none. */
static const char *unsupported_field(const of_architecture *a) {
    const of_input_map standard = of_input_map_default();
    const struct {
        const char *field;
        bool used;
    } fields[] = {
        {"input.bits", a->input.bits != standard.bits},
        {"input.scale", a->input.scale != standard.scale},
        {"input.shift", a->input.shift != standard.shift},
        {"input.logit", a->input.logit != standard.logit},
        {"latents", a->latents != OF_LATENTS_FIRST},
        {"split_prior", a->split_prior != OF_SPLIT_PRIOR_NONE},
        {"edges", a->edges != 0},
        {"scale_map", a->scale_map != OF_SCALE_MAP_SIGMOID},
        {"shift", a->shift != OF_SHIFT_BEFORE},
        {"net_input", a->net_input != OF_NET_INPUT_NONE},
        {"leak", a->leak != 0},
        {"closing", a->closing},
    };
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++)
        if (fields[i].used)
            return fields[i].field;
    return NULL;
}

of_status of_architecture_check_training(const of_architecture *architecture, of_error *error) {
    const char *field = unsupported_field(architecture);
    return field == NULL ? OF_OK
                         : of_fail(error, OF_ERROR_UNSUPPORTED,
                                   "models whose architecture has another '%s' than the default "
                                   "can be run, but not trained yet",
                                   field);
}
