/* SPDX-License-Identifier: Apache-2.0 */
/* A detector into one weight file: the model with its calibration, and perhaps its general model.
 */
#define _POSIX_C_SOURCE 200809L
#include "core/error.h"
#include "core/options_read.h"
#include "detect/losses.h"
#include "model/bundle.h"
#include "model/weights.h"
#include "score/calibration.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

of_save_options of_save_options_default(void) {
    return (of_save_options){.size = sizeof(of_save_options)};
}

of_file_identity of_file_identify(const char *path) {
    struct stat info;
    if (stat(path, &info) != 0)
        return (of_file_identity){0};
    return (of_file_identity){.device = (uint64_t)info.st_dev,
                              .inode = (uint64_t)info.st_ino,
                              .bytes = (uint64_t)info.st_size,
                              .seconds = (int64_t)info.st_mtim.tv_sec,
                              .nanoseconds = (int64_t)info.st_mtim.tv_nsec};
}

static bool is_unchanged(const of_file_identity *known, const char *path) {
    of_file_identity now = of_file_identify(path);
    return known->inode != 0 && memcmp(known, &now, sizeof now) == 0;
}

/* The file may have been replaced since it was opened; only then it is read once more. */
static of_status check_weights(const of_detector *detector, size_t place, of_error *error) {
    const of_detector_model *known = &detector->models[place];
    of_model *model;
    if (is_unchanged(&detector->identities[place], known->file))
        return OF_OK;
    bool bundled = place == OF_PLACE_GENERAL &&
                   strcmp(known->file, detector->models[OF_PLACE_MODEL].file) == 0;
    of_status status = bundled ? of_model_load_general(known->file, &model, error)
                               : of_model_load(known->file, &model, error);
    if (status != OF_OK)
        return status;
    if (model == NULL || of_model_fingerprint(model) != known->fingerprint)
        status = of_fail(error, OF_ERROR_MISMATCH,
                         "%.480s: its weights are no longer the ones that were opened: nothing was "
                         "written",
                         known->file);
    of_model_free(model);
    return status;
}

static of_status save_files(const of_detector *detector, const char *calibration, bool bundle,
                            const char *path, of_error *error) {
    const char *file = detector->files[OF_PLACE_MODEL];
    of_status status = check_weights(detector, OF_PLACE_MODEL, error);
    if (status == OF_OK && bundle)
        status = check_weights(detector, OF_PLACE_GENERAL, error);
    if (status != OF_OK)
        return status;
    return bundle
               ? of_bundle_write(file, calibration, detector->files[OF_PLACE_GENERAL], path, error)
               : of_safetensors_replace_metadata(file, path, "calibration", calibration, error);
}

static of_status save_models(const of_detector *detector, const char *calibration, bool bundle,
                             const char *path, of_error *error) {
    return of_model_save_bundle(detector->given[OF_PLACE_MODEL], calibration,
                                bundle ? detector->given[OF_PLACE_GENERAL] : NULL, path, error);
}

/* New activation ranges go into the file that was written, those of the general model if it has one
 * of its own. */
static of_status save_quantizations(const of_detector *detector, bool bundle, const char *path,
                                    of_error *error) {
    static const char *const keys[] = {
        [OF_PLACE_MODEL] = "quantization", [OF_PLACE_GENERAL] = "general.quantization"};
    const char *general = detector->files[OF_PLACE_GENERAL];
    bool stays = general != NULL && strcmp(general, detector->files[OF_PLACE_MODEL]) == 0;
    size_t places = bundle || stays ? 2 : 1;
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < places; i++)
        if (detector->quantizations[i] != NULL)
            status = of_safetensors_replace_metadata(path, path, keys[i],
                                                     detector->quantizations[i], error);
    if (status == OF_OK && detector->losses_text != NULL)
        status = of_safetensors_replace_metadata(path, path, of_losses_key, detector->losses_text,
                                                 error);
    return status;
}

of_status of_detector_save(const of_detector *detector, const char *path,
                           const of_save_options *options, of_error *error) {
    of_save_options own = of_save_options_default();
    if (detector == NULL || path == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "of_detector_save: detector and path are both needed");
    of_status status =
        of_options_read(&own, sizeof own, sizeof own, options, "of_save_options", error);
    if (status == OF_OK && own.bundle && !detector->has_general)
        status = of_fail_setting(error, OF_ERROR_ARGUMENT, "general_model",
                                 "a bundle needs a general model, and none is given");
    if (status != OF_OK)
        return status;
    char *text = detector->calibration != NULL ? of_calibration_print(detector->calibration) : NULL;
    if (detector->calibration != NULL && text == NULL)
        return of_fail_memory(error, "the text of a calibration");
    status = detector->given[OF_PLACE_MODEL] == NULL
                 ? save_files(detector, text, own.bundle, path, error)
                 : save_models(detector, text, own.bundle, path, error);
    if (status == OF_OK)
        status = save_quantizations(detector, own.bundle, path, error);
    free(text);
    return status;
}
