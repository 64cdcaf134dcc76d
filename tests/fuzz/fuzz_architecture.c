/* SPDX-License-Identifier: Apache-2.0 */
/* Architecture text: what is accepted passes the checks, and prints to text that reads back. */
#include <stdlib.h>
#include <string.h>

#include "model/model.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool condition) {
    if (!condition)
        abort();
}

static void check_accepted(const of_architecture *architecture) {
    of_architecture again;
    of_error error;
    require(of_architecture_check(architecture, &error) == OF_OK);
    require(of_architecture_flops(architecture) > 0);
    size_t latents = 0;
    for (uint32_t scale = 0; scale < of_architecture_scale_count(architecture); scale++)
        latents += of_architecture_scale(architecture, scale).latents;
    require(latents * of_architecture_units(architecture) ==
            of_architecture_dimensions(architecture));
    char *text = of_architecture_print(architecture);
    require(text != NULL);
    require(of_architecture_parse(text, "fuzz", &again, &error) == OF_OK);
    require(again.scales == architecture->scales && again.hidden == architecture->hidden);
    free(text);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    of_architecture architecture;
    of_error error;
    char *text = malloc(size + 1);
    require(text != NULL);
    memcpy(text, data, size);
    text[size] = '\0';
    if (of_architecture_parse(text, "fuzz", &architecture, &error) == OF_OK)
        check_accepted(&architecture);
    else
        require(strncmp(error.message, "fuzz", 4) == 0);
    free(text);
    return 0;
}
