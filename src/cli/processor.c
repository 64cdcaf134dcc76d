/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/processor.h"

#include <stdio.h>
#include <string.h>

void of_processor_name(char *name, size_t size) {
    char line[512];
    FILE *facts = fopen("/proc/cpuinfo", "re");
    (void)snprintf(name, size, "unknown");
    while (facts != NULL && fgets(line, sizeof line, facts) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL) {
            (void)snprintf(name, size, "%s", colon + 2);
            name[strcspn(name, "\n")] = '\0';
            break;
        }
    }
    if (facts != NULL)
        (void)fclose(facts);
}
