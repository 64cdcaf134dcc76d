/* SPDX-License-Identifier: Apache-2.0 */
#include <outflow/outflow.h>
#include <stdio.h>
#include <string.h>

void of_cpu_name(char *name, size_t size) {
    char line[512];
    FILE *facts = fopen("/proc/cpuinfo", "re");
    (void)snprintf(name, size, "unknown");
    while (facts != NULL && fgets(line, sizeof line, facts) != NULL) {
        const char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) == 0 && colon != NULL && colon[1] == ' ') {
            (void)snprintf(name, size, "%.*s", (int)strcspn(colon + 2, "\n"), colon + 2);
            break;
        }
    }
    if (facts != NULL)
        (void)fclose(facts);
}
