/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/terminal/command_line.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool is_plain(const char *text) {
    static const char plain[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
                                "_-./:=,+@%";
    return *text != '\0' && text[strspn(text, plain)] == '\0';
}

/* In single quotes, where a quote becomes '\''. */
static void write_quoted(const char *text, FILE *file) {
    if (is_plain(text)) {
        (void)fputs(text, file);
        return;
    }
    (void)fputc('\'', file);
    for (; *text != '\0'; text++) {
        if (*text == '\'')
            (void)fputs("'\\'", file);
        (void)fputc(*text, file);
    }
    (void)fputc('\'', file);
}

char *of_command_line(int argc, char *const *argv) {
    char *command = NULL;
    size_t size;
    FILE *file = open_memstream(&command, &size);
    if (file == NULL)
        return NULL;
    (void)fputs("outflow", file);
    for (int i = 0; i < argc; i++) {
        (void)fputc(' ', file);
        write_quoted(argv[i], file);
    }
    bool written = ferror(file) == 0;
    if (fclose(file) == 0 && written)
        return command;
    free(command);
    return NULL;
}
