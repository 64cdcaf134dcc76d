/* SPDX-License-Identifier: Apache-2.0 */
/* Writes a small model with random weights, for the command-line tests:
 *     make_model FILE SEED CHANNELS HEIGHT WIDTH SCALES STEPS HIDDEN [KEY VALUE | CLASSES]
 * KEY and VALUE are stored as metadata. */
#include <outflow/outflow.h>
#include <stdio.h>
#include <stdlib.h>

static uint32_t number(const char *text) {
    return (uint32_t)strtoul(text, NULL, 10);
}

static of_status make(char **arguments, uint32_t classes, const char *key, const char *value,
                      of_error *error) {
    of_architecture architecture = of_architecture_default();
    of_model *model = NULL;
    architecture.channels = number(arguments[2]);
    architecture.height = number(arguments[3]);
    architecture.width = number(arguments[4]);
    architecture.scales = number(arguments[5]);
    architecture.steps = number(arguments[6]);
    architecture.hidden = number(arguments[7]);
    architecture.classes = classes;
    of_status status = of_model_create(&architecture, number(arguments[1]), &model, error);
    if (status == OF_OK && key != NULL)
        status = of_model_set_metadata(model, key, value, error);
    if (status == OF_OK)
        status = of_model_save(model, arguments[0], error);
    of_model_free(model);
    return status;
}

int main(int argc, char **argv) {
    if (argc < 9 || argc > 11) {
        (void)fputs("make_model: 8 arguments, 9 with classes, or 10 with metadata, are needed\n",
                    stderr);
        return 2;
    }
    of_error error;
    uint32_t classes = argc == 10 ? number(argv[9]) : 0;
    if (make(argv + 1, classes, argc == 11 ? argv[9] : NULL, argc == 11 ? argv[10] : NULL,
             &error) != OF_OK) {
        (void)fprintf(stderr, "make_model: %s\n", error.message);
        return 1;
    }
    return 0;
}
