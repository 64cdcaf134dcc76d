/* SPDX-License-Identifier: Apache-2.0 */
#include "core/choice.h"

#include "core/error.h"

#include <stdio.h>
#include <string.h>

const char *of_choice_name(const of_choice *choice, int value) {
    return value >= 0 && (unsigned)value < choice->count ? choice->names[value] : "unknown";
}

of_status of_choice_parse(const of_choice *choice, const char *name, int *value, of_error *error) {
    char names[256] = "";
    size_t used = 0;
    for (unsigned i = 0; i < choice->count; i++) {
        const char *before = i == 0 ? "" : i + 1 < choice->count ? ", " : " or ";
        if (name != NULL && strcmp(name, choice->names[i]) == 0) {
            *value = (int)i;
            return OF_OK;
        }
        if (used < sizeof names)
            used += (size_t)snprintf(names + used, sizeof names - used, "%s%s", before,
                                     choice->names[i]);
    }
    return of_fail(error, OF_ERROR_ARGUMENT, "unknown %s '%.200s': use %s", choice->what,
                   name != NULL ? name : "", names);
}
