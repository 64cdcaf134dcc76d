/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal/hint.h"

#include <stdio.h>
#include <string.h>

/* Settings whose option has another name, or none. */
static const struct {
    const char *setting, *option;
} others[] = {{"rate", "lr"},
              {"memory_bytes", "memory"},
              {"cache_bytes", "cache"},
              {"init_file", "init"},
              {"height", "size"},
              {"data_shares", "data-share"},
              {"beta1", NULL},
              {"beta2", NULL},
              {"general_shares", "general-share"},
              {"epsilon", NULL},
              {"module_folder", NULL}};

static const char *option_of(const char *setting) {
    for (size_t i = 0; i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i].setting, setting) == 0)
            return others[i].option;
    return setting[0] != '\0' ? setting : NULL;
}

const char *of_hint_text(const of_error *error, char text[OF_HINT_SIZE]) {
    const char *option = option_of(error->setting);
    if (option == NULL)
        return "";
    (void)snprintf(text, OF_HINT_SIZE, " (--%s)", option);
    for (char *c = text; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;
    return text;
}
