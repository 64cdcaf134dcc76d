/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal/words.h"

#include <string.h>

const char *of_plural(uint64_t count) {
    return count == 1 ? "" : "s";
}

const char *of_bytes_text(uint64_t bytes, char text[OF_NUMBER_SIZE]) {
    static const char *const units[] = {"B", "KiB", "MiB", "GiB", "TiB"};
    double value = (double)bytes;
    size_t unit = 0;
    for (; value >= 1024 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1024;
    (void)snprintf(text, OF_NUMBER_SIZE, unit == 0 ? "%.0f %s" : "%.1f %s", value, units[unit]);
    return text;
}

const char *of_scaled_text(double value, char text[OF_NUMBER_SIZE]) {
    static const char *const units[] = {"", " k", " M", " G", " T"};
    size_t unit = 0;
    for (; value >= 1000 && unit + 1 < sizeof units / sizeof *units; unit++)
        value /= 1000;
    (void)snprintf(text, OF_NUMBER_SIZE, unit == 0 ? "%.0f%s" : "%.2f%s", value, units[unit]);
    return text;
}

/* Where the last part of a path begins; a slash at the end belongs to that part. */
static size_t last_part(const char *path) {
    size_t length = strlen(path);
    while (length > 0 && path[length - 1] == '/')
        length--;
    while (length > 0 && path[length - 1] != '/')
        length--;
    return length;
}

size_t of_shared_folder(const char *const *paths, size_t count) {
    size_t shared = count > 0 ? last_part(paths[0]) : 0;
    for (size_t i = 1; i < count; i++) {
        size_t most = last_part(paths[i]), same = 0;
        while (same < shared && same < most && paths[i][same] == paths[0][same])
            same++;
        shared = same;
    }
    while (shared > 0 && paths[0][shared - 1] != '/')
        shared--;
    return shared;
}
