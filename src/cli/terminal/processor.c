/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal/processor.h"

#include <outflow/outflow.h>
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

const char *of_bf16_text(void) {
    static const char *const texts[2][2] = {
        {"avx512_bf16 (no), amx_bf16 (no)", "avx512_bf16 (no), amx_bf16 (yes)"},
        {"avx512_bf16 (yes), amx_bf16 (no)", "avx512_bf16 (yes), amx_bf16 (yes)"}};
    of_bf16_support support = of_cpu_bf16();
    return texts[support.avx512_bf16][support.amx_bf16];
}
