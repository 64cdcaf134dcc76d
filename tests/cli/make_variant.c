/* SPDX-License-Identifier: Apache-2.0 */
/* make_variant FILE NAME: writes one of the small models of all that an architecture's fields say,
 * no tensor of which is neutral, for the command-line tests. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "../unit/flow_variants.h"

static of_status make(const char *file, const char *name, of_error *error) {
    flow_variant variants[FLOW_VARIANTS];
    make_flow_variants(variants);
    for (size_t i = 0; i < FLOW_VARIANTS; i++)
        if (strcmp(variants[i].name, name) == 0) {
            of_model *model = make_flow_model(&variants[i].architecture);
            of_status status = of_model_save(model, file, error);
            of_model_free(model);
            return status;
        }
    return of_fail(error, OF_ERROR_ARGUMENT, "no variant is named %s", name);
}

int main(int argc, char **argv) {
    of_error error = {.message = "FILE and NAME are needed"};
    if (argc != 3 || make(argv[1], argv[2], &error) != OF_OK) {
        (void)fprintf(stderr, "make_variant: %s\n", error.message);
        return 1;
    }
    return 0;
}
