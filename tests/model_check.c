/* SPDX-License-Identifier: Apache-2.0 */
/* model_check FILE...: loads weight files, one line each: the path and what was found, or the
 * error. For the tests of programs that write such files. */
#include <stdio.h>
#include <stdlib.h>

#include <outflow/outflow.h>

static int check(const char *path) {
    of_model *model = NULL;
    of_error error;
    if (of_model_load(path, &model, &error) != OF_OK) {
        (void)fprintf(stderr, "%s\n", error.message);
        return 1;
    }
    printf("%s: %zu tensors, %zu values\n", path, of_model_tensor_count(model),
           of_model_parameter_count(model));
    of_model_free(model);
    return 0;
}

int main(int count, char **paths) {
    int failures = count < 2;
    for (int i = 1; i < count; i++)
        failures += check(paths[i]);
    return failures > 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
