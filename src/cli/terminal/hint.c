/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal/hint.h"

#include <stdio.h>
#include <string.h>

/* Settings whose option is not called like them. */
static const struct {
    const char *setting, *option;
} others[] = {{"cache_bytes", "cache"},
              {"memory_bytes", "memory"},
              {"rate", "lr"},
              {"init_file", "init"},
              {"height", "size"},
              {"data_shares", "data-share"},
              {"general_shares", "general-share"},
              {"general_data", "general"},
              {"rate", "fpr"}};

static const char *find_option(const of_console *console, const char *name) {
    for (size_t i = 0; i < console->option_count; i++)
        if (strcmp(console->options[i], name) == 0)
            return console->options[i];
    return NULL;
}

const char *of_hint_option(const of_console *console, const char *setting) {
    char name[sizeof((of_error *)0)->setting];
    (void)snprintf(name, sizeof name, "%s", setting);
    for (char *c = name; *c != '\0'; c++)
        *c = *c == '_' ? '-' : *c;
    const char *found = find_option(console, name);
    for (size_t i = 0; found == NULL && i < sizeof others / sizeof *others; i++)
        if (strcmp(others[i].setting, setting) == 0)
            found = find_option(console, others[i].option);
    return found;
}

/* Where a verb of its own makes what is missing. */
static const char *find_verb(const char *setting) {
    if (strcmp(setting, "quantization") == 0)
        return "'outflow quantize'";
    return strcmp(setting, "calibration") == 0 ? "'outflow calibrate'" : NULL;
}

const char *of_hint_text(const of_console *console, const of_error *error, char *text,
                         size_t size) {
    const char *option = of_hint_option(console, error->setting);
    const char *verb = find_verb(error->setting);
    (void)snprintf(text, size, "%s%s%s%s", error->message,
                   option != NULL || verb != NULL ? "; see " : "", option != NULL ? "--" : "",
                   option != NULL ? option
                   : verb != NULL ? verb
                                  : "");
    return text;
}
