/* SPDX-License-Identifier: Apache-2.0 */
/* Writes calibration texts, with and without a general model, into the folder it is given. */
#include "score/calibration.h"

#include <stdio.h>
#include <stdlib.h>

enum { IMAGES = 100 };

static of_status add_images(of_calibrator *calibrator, of_error *error) {
    of_status status = OF_OK;
    for (int i = 0; status == OF_OK && i < IMAGES; i++) {
        const double contribution[] = {-10.0 - i % 7}, squares[] = {12.0 + i % 5};
        const of_image_likelihood image = {.logp = contribution[0],
                                           .contributions = contribution,
                                           .latent_squares = squares,
                                           .general_logp = -11,
                                           .general_contributions = contribution,
                                           .general_latent_squares = squares,
                                           .png_bytes = 70 + i % 3};
        status = of_calibrator_add(calibrator, &image, error);
    }
    return status;
}

static of_status write_seed(const char *folder, bool with_general, of_error *error) {
    char path[4096];
    of_architecture architecture = of_architecture_default();
    of_model *model = NULL;
    of_calibrator *calibrator = NULL;
    of_calibration *calibration = NULL;
    char *text = NULL;
    architecture.channels = 1;
    architecture.height = architecture.width = 2;
    architecture.scales = architecture.steps = architecture.hidden = 1;
    of_status status = of_model_create(&architecture, 1, &model, error);
    const of_calibration_options options = {.size = sizeof options,
                                            .model = model,
                                            .general = with_general ? model : NULL,
                                            .source = "seed"};
    if (status == OF_OK)
        status = of_calibrator_create(&options, &calibrator, error);
    if (status == OF_OK)
        status = add_images(calibrator, error);
    if (status == OF_OK)
        status = of_calibrator_finish(calibrator, &calibration, error);
    if (status == OF_OK)
        text = of_calibration_print(calibration);
    (void)snprintf(path, sizeof path, "%s/calibration-%d", folder, with_general);
    FILE *file = text != NULL ? fopen(path, "w") : NULL;
    if (file == NULL || fputs(text, file) < 0 || fclose(file) != 0)
        status = OF_ERROR_IO;
    free(text);
    of_calibration_free(calibration);
    of_calibrator_free(calibrator);
    of_model_free(model);
    return status;
}

int main(int count, char **arguments) {
    of_error error = {.message = "usage: seeds_calibration FOLDER"};
    if (count != 2 || write_seed(arguments[1], false, &error) != OF_OK ||
        write_seed(arguments[1], true, &error) != OF_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return EXIT_FAILURE;
    }
    return EXIT_SUCCESS;
}
