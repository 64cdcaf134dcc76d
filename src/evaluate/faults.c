/* SPDX-License-Identifier: Apache-2.0 */
/* Files of a set that could not be read, for a report. */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "evaluate/evaluation.h"

#include <stdlib.h>
#include <string.h>

static bool has_room(of_image_set *set) {
    size_t capacity = set->fault_capacity > 0 ? 2 * set->fault_capacity : 16;
    if (set->fault_count < set->fault_capacity)
        return true;
    of_fault *faults = realloc(set->faults, capacity * sizeof *faults);
    if (faults == NULL)
        return false;
    set->faults = faults;
    set->fault_capacity = capacity;
    return true;
}

of_status of_evaluation_add_unreadable(of_evaluation *evaluation, size_t number, const char *path,
                                       const char *reason, of_error *error) {
    if (evaluation == NULL || path == NULL || reason == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_evaluation_add_unreadable: a required argument is NULL");
    if (evaluation->finished || number >= evaluation->set_count)
        return of_fail(error, OF_ERROR_ARGUMENT, "no file can be added to set %zu%s", number,
                       evaluation->finished ? ": the evaluation is finished" : ": there is none");
    of_image_set *set = &evaluation->sets[number];
    if (set->fault_count == OF_FAULTS_MOST)
        return OF_OK;
    of_fault fault = {strdup(path), strdup(reason)};
    if (fault.path == NULL || fault.reason == NULL || !has_room(set)) {
        free(fault.path);
        free(fault.reason);
        return of_fail_memory(error, "the files of a set");
    }
    set->faults[set->fault_count++] = fault;
    return OF_OK;
}

void of_faults_close(of_image_set *set) {
    for (size_t i = 0; i < set->fault_count; i++) {
        free(set->faults[i].path);
        free(set->faults[i].reason);
    }
    free(set->faults);
}
