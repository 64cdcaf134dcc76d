/* SPDX-License-Identifier: Apache-2.0 */
/* A calibration into a weight file that lies there already. */
#include "core/error.h"
#include "model/weights.h"
#include "score/calibration.h"

#include <stdlib.h>

/* The file may have been replaced since the calibration was made. */
static of_status check_weights(const of_calibration *calibration, const char *path,
                               of_error *error) {
    of_model *model;
    of_status status = of_model_load(path, &model, error);
    if (status != OF_OK)
        return status;
    if (calibration != NULL && of_model_fingerprint(model) != calibration->model)
        status =
            of_fail(error, OF_ERROR_MISMATCH,
                    "%.480s: not changed: its weights are not the ones that were calibrated", path);
    of_model_free(model);
    return status;
}

of_status of_calibration_store(const of_calibration *calibration, const char *path,
                               of_error *error) {
    return of_calibration_store_copy(calibration, path, path, error);
}

of_status of_calibration_store_copy(const of_calibration *calibration, const char *from,
                                    const char *to, of_error *error) {
    if (from == NULL || to == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "of_calibration_store: a path is NULL");
    of_status status = check_weights(calibration, from, error);
    if (status != OF_OK)
        return status;
    char *text = calibration != NULL ? of_calibration_print(calibration) : NULL;
    if (calibration != NULL && text == NULL)
        return of_fail_memory(error, "the text of a calibration");
    status = of_safetensors_replace_metadata(from, to, "calibration", text, error);
    free(text);
    return status;
}
