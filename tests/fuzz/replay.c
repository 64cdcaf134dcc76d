/* SPDX-License-Identifier: Apache-2.0 */
/* Runs a fuzz target without libFuzzer: over every file in the folders given, over each file cut
 * short, and over each with random bytes changed (always the same ones). */
#define _POSIX_C_SOURCE 200809L
#include <dirent.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/random.h"

enum { CUTS = 200, MUTATIONS = 2000, MAX_BYTES = 1 << 20 };

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* From a block of exactly that size, so that a sanitizer sees every overrun. */
static void run(const uint8_t *data, size_t size) {
    uint8_t *exact = calloc(1, size + (size == 0));
    if (exact == NULL)
        exit(EXIT_FAILURE);
    memcpy(exact, data, size);
    (void)LLVMFuzzerTestOneInput(exact, size);
    free(exact);
}

static void run_mutations(uint8_t *data, size_t size) {
    of_random random = of_random_stream(1, size);
    for (size_t i = 0; i < CUTS; i++)
        run(data, size * i / CUTS);
    for (size_t i = 0; i < MUTATIONS && size > 0; i++) {
        uint8_t kept[4];
        size_t places[4], count = 1 + of_random_below(&random, 4);
        for (size_t k = 0; k < count; k++) {
            places[k] = of_random_below(&random, (uint32_t)size);
            kept[k] = data[places[k]];
            data[places[k]] = (uint8_t)of_random_u32(&random);
        }
        run(data, size);
        for (size_t k = count; k-- > 0;)
            data[places[k]] = kept[k];
    }
}

static int run_file(const char *folder, const char *name) {
    static uint8_t data[MAX_BYTES];
    char path[4096];
    (void)snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = fopen(path, "rb");
    if (file == NULL) {
        perror(path);
        return 1;
    }
    size_t size = fread(data, 1, sizeof data, file);
    (void)fclose(file);
    run(data, size);
    run_mutations(data, size);
    return 0;
}

int main(int count, char **folders) {
    size_t files = 0;
    int failures = 0;
    run((const uint8_t *)"", 0);
    for (int i = 1; i < count; i++) {
        DIR *listing = opendir(folders[i]);
        const struct dirent *entry;
        if (listing == NULL) {
            perror(folders[i]);
            return EXIT_FAILURE;
        }
        while ((entry = readdir(listing)) != NULL)
            if (entry->d_name[0] != '.') {
                failures += run_file(folders[i], entry->d_name);
                files++;
            }
        (void)closedir(listing);
    }
    printf("%zu seeds, %d mutations of each\n", files, CUTS + MUTATIONS);
    if (files == 0)
        (void)fprintf(stderr, "no seeds: nothing was tested\n");
    return failures > 0 || files == 0 ? EXIT_FAILURE : EXIT_SUCCESS;
}
