/* SPDX-License-Identifier: Apache-2.0 */
/* Calibration text: what is refused has a one-line reason; what is accepted gives p-values in (0,
 * 1] that fall as scores rise, and prints to text that reads back alike. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "score/calibration.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition)
        abort();
}

static void check_scores(const of_calibration *calibration, const of_calibration *again) {
    static const double values[] = {-INFINITY, -1e300, -1, 0, 1, 1e300, INFINITY, NAN};
    require(again->score_count == calibration->score_count);
    for (size_t i = 0; i < calibration->score_count; i++) {
        of_score score = calibration->scores[i].score;
        double last = 1;
        for (size_t k = 1; k < sizeof values / sizeof *values; k++) {
            double p = of_calibration_p_value(calibration, score, values[k]);
            require(p > 0 && p <= 1 && p <= last);
            require(p == of_calibration_p_value(again, score, values[k]));
            last = p;
        }
    }
}

static void check_accepted(const of_calibration *calibration) {
    static const double row[6] = {1, 2, 3, 4, 5, 6};
    of_calibration *again;
    char *text = of_calibration_print(calibration);
    require(text != NULL);
    require(of_calibration_parse(text, &calibration->architecture, &again, NULL) == OF_OK);
    check_scores(calibration, again);
    require(strcmp(calibration->source, again->source) == 0);
    of_image_likelihood image = {.contributions = row,
                                 .latent_squares = row,
                                 .general_contributions = row,
                                 .general_latent_squares = row,
                                 .png_bytes = 100};
    double distance = of_calibrated_value(calibration, (of_score){OF_SCORE_COMBINED, 0}, &image);
    require(!(distance < 0));
    of_calibration_free(again);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    of_architecture architecture = of_architecture_default();
    of_calibration *calibration = NULL;
    of_error error;
    char *text = malloc(size + 1);
    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    architecture.scales = 1;
    of_status status = of_calibration_parse(text, &architecture, &calibration, &error);
    if (status == OF_OK)
        check_accepted(calibration);
    else
        require(calibration == NULL && error.status == status &&
                strchr(error.message, '\n') == NULL);
    of_calibration_free(calibration);
    free(text);
    return 0;
}
