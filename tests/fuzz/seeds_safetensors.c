/* SPDX-License-Identifier: Apache-2.0 */
/* Small models of every kind of tensor, and a bundle of two, as seeds for fuzz_safetensors. */
#include <stdio.h>
#include <stdlib.h>

#include "model/weights.h"

static of_status write_seed(const char *folder, int number, of_architecture architecture,
                            of_dtype storage, of_error *error) {
    char path[4096];
    of_model *model = NULL;
    (void)snprintf(path, sizeof path, "%s/model-%d", folder, number);
    of_status status = of_model_create(&architecture, (uint64_t)number, &model, error);
    if (status == OF_OK)
        status = of_model_set_metadata(model, "note", "\xc3\xa9 \"quoted\"", error);
    if (status == OF_OK)
        status = of_model_save_as(model, storage, path, error);
    of_model_free(model);
    return status;
}

static of_status write_bundle(const char *folder, of_architecture architecture, of_error *error) {
    char path[4096];
    of_model *model = NULL, *general = NULL;
    (void)snprintf(path, sizeof path, "%s/bundle", folder);
    of_status status = of_model_create(&architecture, 3, &model, error);
    architecture.permutation = OF_PERMUTATION_SHUFFLE;
    if (status == OF_OK)
        status = of_model_create(&architecture, 4, &general, error);
    if (status == OF_OK)
        status = of_model_save_bundle(model, "{\"version\":2}", general, path, error);
    of_model_free(model);
    of_model_free(general);
    return status;
}

int main(int count, char **arguments) {
    of_architecture architecture = of_architecture_default();
    of_error error;
    if (count != 2)
        return EXIT_FAILURE;
    architecture.channels = 1;
    architecture.height = architecture.width = 2;
    architecture.scales = architecture.steps = architecture.hidden = 1;
    of_status status = write_seed(arguments[1], 0, architecture, OF_DTYPE_F32, &error);
    if (status == OF_OK)
        status = write_bundle(arguments[1], architecture, &error);
    architecture.permutation = OF_PERMUTATION_SHUFFLE;
    architecture.block = OF_BLOCK_DENSE;
    if (status == OF_OK)
        status = write_seed(arguments[1], 1, architecture, OF_DTYPE_F32, &error);
    architecture.permutation = OF_PERMUTATION_INVCONV_FIXED;
    architecture.classes = 1;
    if (status == OF_OK)
        status = write_seed(arguments[1], 2, architecture, OF_DTYPE_BF16, &error);
    if (status != OF_OK)
        (void)fprintf(stderr, "%s\n", error.message);
    return status == OF_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
