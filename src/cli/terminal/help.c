/* SPDX-License-Identifier: Apache-2.0 */
/* The text of "outflow VERB --help". */
#include "cli/terminal/help.h"

#include "cli/terminal/output.h"

#include <stdio.h>
#include <string.h>

enum { COLUMNS = 92, OPTION_COLUMN = 30 };

void of_help_wrap(FILE *file, const char *text, size_t column, size_t indent) {
    while (*text != '\0') {
        size_t word = strcspn(text, " \n");
        if (column > indent && column + 1 + word > COLUMNS) {
            (void)fprintf(file, "\n%*s", (int)indent, "");
            column = indent;
        } else if (column > indent) {
            (void)fputc(' ', file);
            column++;
        }
        (void)fwrite(text, 1, word, file);
        column += word;
        text += word;
        if (*text == '\n') {
            (void)fprintf(file, "\n%*s", (int)indent, "");
            column = indent;
        }
        text += *text != '\0';
    }
    (void)fputc('\n', file);
}

static void print_option(FILE *file, char short_name, const char *name, const char *argument,
                         const char *help) {
    char left[128];
    int length = short_name != 0 ? snprintf(left, sizeof left, "  -%c, --%s", short_name, name)
                                 : snprintf(left, sizeof left, "      --%s", name);
    if (argument != NULL)
        length += snprintf(left + length, sizeof left - (size_t)length, " %s", argument);
    (void)fputs(left, file);
    if (length >= OPTION_COLUMN - 1)
        (void)fprintf(file, "\n%*s", OPTION_COLUMN, "");
    else
        (void)fprintf(file, "%*s", OPTION_COLUMN - length, "");
    of_help_wrap(file, help, OPTION_COLUMN, OPTION_COLUMN);
}

static void print_usage(FILE *file, const of_command *command, const of_option_table *table) {
    (void)fprintf(file, "Usage: outflow %s", command->name);
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].required)
            (void)fprintf(file, " --%s %s", table->rows[i].name, table->rows[i].argument);
    (void)fprintf(file, " [options]%s%s\n\n", *command->operands != '\0' ? " " : "",
                  command->operands);
}

static void print_examples(FILE *file, const char *examples) {
    (void)fputs("\nExample:\n", file);
    while (*examples != '\0') {
        size_t length = strcspn(examples, "\n");
        (void)fprintf(file, "  %.*s\n", (int)length, examples);
        examples += length + (examples[length] == '\n');
    }
}

int of_help_print(const of_command *command, const of_option_table *table, of_console *console) {
    FILE *file = stdout;
    print_usage(file, command, table);
    of_help_wrap(file, command->details, 0, 0);
    (void)fputs("\nOptions:\n", file);
    for (size_t i = 0; i < table->count; i++) {
        const of_option *option = &table->rows[i];
        print_option(file, option->short_name, option->name, option->argument, option->help);
    }
    print_option(file, 'h', "help", NULL, "Print this text.");
    print_examples(file, command->examples);
    return of_console_finish_stdout(console);
}
