/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal/options.h"

#include "cli/terminal/clashes.h"
#include "cli/terminal/config.h"
#include "cli/terminal/help.h"
#include "cli/terminal/hint.h"
#include <outflow/output.h>

#include <assert.h>
#include <errno.h>
#include <math.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

void of_text_list_free(of_text_list *list) {
    free(list->items);
    *list = (of_text_list){0};
}

/* ---- The table ---------------------------------------------------------------------------- */

static of_option *add(of_option_table *table, of_option option) {
    assert(table->count < sizeof table->rows / sizeof *table->rows);
    table->rows[table->count] = option;
    return &table->rows[table->count++];
}

of_option *of_option_flag(of_option_table *table, char short_name, const char *name, bool *target,
                          const char *help) {
    return add(table, (of_option){.type = OF_OPTION_FLAG,
                                  .short_name = short_name,
                                  .name = name,
                                  .help = help,
                                  .target = target});
}

of_option *of_option_text(of_option_table *table, char short_name, const char *name,
                          const char *argument, const char **target, const char *help) {
    return add(table, (of_option){.type = OF_OPTION_TEXT,
                                  .short_name = short_name,
                                  .name = name,
                                  .argument = argument,
                                  .help = help,
                                  .target = target});
}

of_option *of_option_model(of_option_table *table, char short_name, const char *name,
                           const char **target, const char *help) {
    of_option *option = of_option_text(table, short_name, name, "FILE", target, help);
    assert(table->path_count < sizeof table->paths / sizeof *table->paths);
    option->path = table->paths[table->path_count++];
    option->role = OF_ROLE_READ;
    return option;
}

of_option *of_option_list(of_option_table *table, const char *name, const char *argument,
                          of_text_list *target, const char *help) {
    return add(table, (of_option){.type = OF_OPTION_LIST,
                                  .name = name,
                                  .argument = argument,
                                  .help = help,
                                  .target = target});
}

of_option *of_option_count(of_option_table *table, char short_name, const char *name,
                           uint64_t *target, double least, double most, const char *help) {
    return add(table, (of_option){.type = OF_OPTION_COUNT,
                                  .short_name = short_name,
                                  .name = name,
                                  .argument = "N",
                                  .help = help,
                                  .target = target,
                                  .least = least,
                                  .most = most});
}

of_option *of_option_real(of_option_table *table, char short_name, const char *name,
                          const char *argument, double *target, double least, double most,
                          const char *help) {
    return add(table, (of_option){.type = OF_OPTION_REAL,
                                  .short_name = short_name,
                                  .name = name,
                                  .argument = argument,
                                  .help = help,
                                  .target = target,
                                  .least = least,
                                  .most = most});
}

of_option *of_option_bytes(of_option_table *table, const char *name, uint64_t *target, double least,
                           const char *help) {
    return add(table, (of_option){.type = OF_OPTION_BYTES,
                                  .name = name,
                                  .argument = "BYTES",
                                  .help = help,
                                  .target = target,
                                  .least = least,
                                  .most = 0x1p62});
}

of_option *of_option_choice(of_option_table *table, const char *name, const char *words,
                            int *target, const char *help) {
    return add(table, (of_option){.type = OF_OPTION_CHOICE,
                                  .name = name,
                                  .argument = words,
                                  .help = help,
                                  .target = target});
}

static const of_option *option_called(const of_option_table *table, const char *name) {
    size_t i = 0;
    while (i + 1 < table->count && strcmp(table->rows[i].name, name) != 0)
        i++;
    assert(strcmp(table->rows[i].name, name) == 0);
    return &table->rows[i];
}

void of_option_choose(of_option_table *table, const char *name, const char *text) {
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].name, name) == 0) {
            table->rows[i].given = true;
            table->rows[i].text = text;
        }
}

bool of_option_given(const of_option_table *table, const char *name) {
    return option_called(table, name)->given;
}

bool of_option_names_installed(const of_option_table *table, const char *name) {
    const of_option *option = option_called(table, name);
    return option->path != NULL && *(const char **)option->target == option->path;
}

/* ---- Values ------------------------------------------------------------------------------- */

/* The file that a model's name stands for, in `path`; without one of that name, the text. */
static const char *model_file(const char *text, char *path) {
    return of_model_locate(text, path, OF_MODEL_PATH_SIZE, NULL) == OF_OK && strcmp(path, text) != 0
               ? path
               : text;
}

static bool push(of_text_list *list, const char *text, int capacity) {
    if (list->items == NULL)
        list->items = calloc((size_t)capacity + 1, sizeof *list->items);
    if (list->items == NULL)
        return false;
    list->items[list->count++] = text;
    return true;
}

static of_status check_range(const of_option *option, double value, const char *text,
                             of_error *error) {
    if (value >= option->least && value <= option->most)
        return OF_OK;
    bool unlimited = option->most >= 0x1p53; /* a limit that nobody means is not named */
    if (unlimited && value < option->least)
        return of_fail(error, OF_ERROR_ARGUMENT, "option --%s: %s is below %.15g", option->name,
                       text, option->least);
    if (unlimited)
        return of_fail(error, OF_ERROR_ARGUMENT, "option --%s: %s is too large", option->name,
                       text);
    return of_fail(error, OF_ERROR_ARGUMENT, "option --%s: %s is not between %.15g and %.15g",
                   option->name, text, option->least, option->most);
}

static bool is_negative(const char *text) {
    return *text == '-' && text[1] != '\0' && text[1 + strspn(text + 1, "0123456789")] == '\0' &&
           strtod(text, NULL) < 0;
}

static of_status read_count(const of_option *option, const char *text, of_error *error) {
    char *end = NULL;
    errno = 0;
    if (is_negative(text))
        return check_range(option, strtod(text, NULL), text, error);
    unsigned long long value = strtoull(text, &end, 10);
    if (*text < '0' || *text > '9' || *end != '\0')
        return of_fail(error, OF_ERROR_ARGUMENT, "option --%s: '%s' is not a whole number",
                       option->name, text);
    if (errno == ERANGE)
        return of_fail(error, OF_ERROR_ARGUMENT, "option --%s: %s is too large", option->name,
                       text);
    of_status status = check_range(option, (double)value, text, error);
    if (status == OF_OK)
        *(uint64_t *)option->target = value;
    return status;
}

static of_status read_real(const of_option *option, const char *text, of_error *error) {
    char *end = NULL;
    double value = strtod(text, &end);
    if (end == text || *end != '\0' || !isfinite(value))
        return of_fail(error, OF_ERROR_ARGUMENT, "option --%s: '%s' is not a finite number",
                       option->name, text);
    of_status status = check_range(option, value, text, error);
    if (status == OF_OK)
        *(double *)option->target = value;
    return status;
}

static of_status read_bytes(const of_option *option, const char *text, of_error *error) {
    static const char units[] = "KMGT";
    char *end = NULL;
    errno = 0;
    unsigned long long value = strtoull(text, &end, 10);
    const char *unit = *end != '\0' ? strchr(units, *end) : NULL;
    if (*text < '0' || *text > '9' || errno == ERANGE || (*end != '\0' && unit == NULL) ||
        (unit != NULL && end[1] != '\0'))
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "option --%s: '%s' is not a size such as 1000000, 512M or 2G", option->name,
                       text);
    double scale = unit != NULL ? ldexp(1, 10 * (int)(unit - units + 1)) : 1;
    of_status status = check_range(option, (double)value * scale, text, error);
    if (status == OF_OK)
        *(uint64_t *)option->target = value * (uint64_t)scale;
    return status;
}

static of_status read_choice(const of_option *option, const char *text, of_error *error) {
    size_t length = strlen(text);
    int number = 0;
    for (const char *word = option->argument; word != NULL; number++) {
        const char *bar = strchr(word, '|');
        size_t word_length = bar != NULL ? (size_t)(bar - word) : strlen(word);
        if (word_length == length && strncmp(word, text, length) == 0) {
            *(int *)option->target = number;
            return OF_OK;
        }
        word = bar != NULL ? bar + 1 : NULL;
    }
    return of_fail(error, OF_ERROR_ARGUMENT, "option --%s: '%s' is none of %s", option->name, text,
                   option->argument);
}

of_status of_option_store(of_option *option, const char *text, int capacity, of_error *error) {
    if (option->given && option->type != OF_OPTION_LIST)
        return of_fail(error, OF_ERROR_ARGUMENT, "option --%s is given twice", option->name);
    option->given = true;
    option->text = text;
    switch (option->type) {
    case OF_OPTION_FLAG:
        *(bool *)option->target = true;
        return OF_OK;
    case OF_OPTION_TEXT:
        *(const char **)option->target =
            option->path != NULL ? model_file(text, option->path) : text;
        return OF_OK;
    case OF_OPTION_LIST:
        return push(option->target, text, capacity) ? OF_OK : of_fail_memory(error, "options");
    case OF_OPTION_COUNT:
        return read_count(option, text, error);
    case OF_OPTION_REAL:
        return read_real(option, text, error);
    case OF_OPTION_BYTES:
        return read_bytes(option, text, error);
    case OF_OPTION_CHOICE:
        return read_choice(option, text, error);
    }
    return of_fail(error, OF_ERROR_INTERNAL, "option --%s has no type", option->name);
}

/* ---- Parsing ------------------------------------------------------------------------------ */

/* Where the parser stands in argv. */
typedef struct option_parser {
    of_option_table *table;
    char **argv;
    int argc, next;
    of_text_list *operands;
    bool help;
} option_parser;

static of_status fail_unknown(const option_parser *parser, const char *name, size_t length,
                              of_error *error) {
    of_nearest nearest = of_nearest_to(name, length);
    for (size_t i = 0; i < parser->table->count; i++)
        of_nearest_offer(&nearest, parser->table->rows[i].name);
    of_nearest_offer(&nearest, "help");
    if (nearest.word != NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "unknown option '--%.*s' (did you mean '--%s'?)",
                       (int)length, name, nearest.word);
    return of_fail(error, OF_ERROR_ARGUMENT, "unknown option '--%.*s'", (int)length, name);
}

/* The value of an option: attached to it, or the next argument. Another option in its place is
 * almost always a forgotten value. */
static of_status take_value(option_parser *parser, const of_option *option, const char **value,
                            of_error *error) {
    if (*value != NULL)
        return OF_OK;
    bool present = parser->next < parser->argc;
    if (!present || strncmp(parser->argv[parser->next], "--", 2) == 0)
        return of_fail(error, OF_ERROR_ARGUMENT, "option --%s needs a value, --%s %s%s",
                       option->name, option->name, option->argument,
                       present ? " (write --NAME=VALUE for one that starts with --)" : "");
    *value = parser->argv[parser->next++];
    return OF_OK;
}

static of_status apply(option_parser *parser, of_option *option, const char *value,
                       of_error *error) {
    if (option->type == OF_OPTION_FLAG && value != NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "option --%s takes no value", option->name);
    of_status status = OF_OK;
    if (option->type != OF_OPTION_FLAG)
        status = take_value(parser, option, &value, error);
    return status == OF_OK ? of_option_store(option, value, parser->argc, error) : status;
}

/* --name, --name value, --name=value */
static of_status parse_long(option_parser *parser, const char *name, of_error *error) {
    size_t length = strcspn(name, "=");
    const char *value = name[length] == '=' ? name + length + 1 : NULL;
    if (length == 4 && strncmp(name, "help", 4) == 0) {
        parser->help = true;
        return OF_OK;
    }
    for (size_t i = 0; i < parser->table->count; i++) {
        of_option *option = &parser->table->rows[i];
        if (strlen(option->name) == length && strncmp(option->name, name, length) == 0)
            return apply(parser, option, value, error);
    }
    return fail_unknown(parser, name, length, error);
}

/* -x, -x value, -xvalue */
static of_status parse_short(option_parser *parser, const char *letters, of_error *error) {
    if (strcmp(letters, "h") == 0) {
        parser->help = true;
        return OF_OK;
    }
    for (size_t i = 0; i < parser->table->count; i++) {
        of_option *option = &parser->table->rows[i];
        if (option->short_name == letters[0])
            return apply(parser, option, letters[1] != '\0' ? letters + 1 : NULL, error);
    }
    return of_fail(error, OF_ERROR_ARGUMENT, "unknown option '-%s'", letters);
}

/* A lone "-" is an operand: standard input. */
static of_status parse_all(option_parser *parser, of_error *error) {
    bool only_operands = false;
    of_status status = OF_OK;
    while (status == OF_OK && parser->next < parser->argc && !parser->help) {
        const char *text = parser->argv[parser->next++];
        if (only_operands || text[0] != '-' || text[1] == '\0')
            status = push(parser->operands, text, parser->argc) ? OF_OK
                                                                : of_fail_memory(error, "operands");
        else if (strcmp(text, "--") == 0)
            only_operands = true;
        else if (text[1] == '-')
            status = parse_long(parser, text + 2, error);
        else
            status = parse_short(parser, text + 1, error);
    }
    return status;
}

enum { NAMES_SIZE = 512 };

/* "a, b" */
static void append_name(void *user, const char *name) {
    char *names = user;
    size_t used = strlen(names);
    (void)snprintf(names + used, NAMES_SIZE - used, "%s%s", used > 0 ? ", " : "", name);
}

static of_status check_required(const of_option_table *table, of_error *error) {
    for (size_t i = 0; i < table->count; i++) {
        const of_option *option = &table->rows[i];
        if (!option->required || option->given)
            continue;
        char names[NAMES_SIZE] = "";
        if (option->path != NULL)
            (void)of_model_list(append_name, names);
        return of_fail(error, OF_ERROR_ARGUMENT, "option --%s %s is required%s%s", option->name,
                       option->argument, names[0] != '\0' ? "; installed models: " : "", names);
    }
    return OF_OK;
}

/* The names outlive the table, which is the verb's. */
static void note_options(const of_option_table *table, of_console *console) {
    for (size_t i = 0; i < table->count; i++)
        console->options[i] = table->rows[i].name;
    console->option_count = table->count;
}

bool of_options_parse(const of_command *command, of_option_table *table, int argc, char **argv,
                      of_text_list *operands, of_console *console, int *code) {
    option_parser parser = {
        .table = table, .argv = argv, .argc = argc, .next = 1, .operands = operands};
    of_error error;
    note_options(table, console);
    of_status status = parse_all(&parser, &error);
    if (status == OF_OK && !parser.help)
        status = of_config_apply(command, table, operands, &error);
    if (status == OF_OK && !parser.help)
        status = check_required(table, &error);
    if (status == OF_OK && !parser.help)
        status = of_clashes_check(table, operands, &error);
    if (status != OF_OK) {
        *code = error.status == OF_ERROR_MEMORY
                    ? of_console_fail(console, &error)
                    : of_usage_error(console, command, "%s", error.message);
        return false;
    }
    if (parser.help)
        *code = of_help_print(command, table, console);
    return !parser.help;
}

int of_usage_error(of_console *console, const of_command *command, const char *format, ...) {
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    of_log_write(&console->log, OF_LOG_ERROR, "%s; see 'outflow %s%s--help'", text, command->name,
                 *command->name != '\0' ? " " : "");
    return OF_EXIT_USAGE;
}

int of_usage_fail(of_console *console, const of_command *command, const of_error *error) {
    char text[OF_HINT_SIZE];
    (void)of_hint_text(console, error, text, sizeof text);
    /* One hint is enough, and the nearer one is better. */
    if (strcmp(text, error->message) == 0)
        return of_usage_error(console, command, "%s", text);
    of_log_write(&console->log, OF_LOG_ERROR, "%s", text);
    return OF_EXIT_USAGE;
}
