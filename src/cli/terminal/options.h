/* SPDX-License-Identifier: Apache-2.0 */
/* Command-line options from a table: parsing, checking, and the text of --help. */
#ifndef OF_CLI_TERMINAL_OPTIONS_H
#define OF_CLI_TERMINAL_OPTIONS_H

#include "cli/terminal/console.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* Texts of the command line, in order. They belong to argv, or to a settings file's config. */
typedef struct of_text_list {
    const char **items; /* freed with of_text_list_free */
    size_t count;
} of_text_list;

void of_text_list_free(of_text_list *list);

typedef enum of_option_type {
    OF_OPTION_FLAG,   /* bool */
    OF_OPTION_TEXT,   /* const char * */
    OF_OPTION_LIST,   /* of_text_list: may be repeated */
    OF_OPTION_COUNT,  /* uint64_t */
    OF_OPTION_REAL,   /* double, finite */
    OF_OPTION_BYTES,  /* uint64_t: a whole number, also with K, M, G or T for powers of 1024 */
    OF_OPTION_CHOICE, /* int: number of the word among `argument`, "first|second|third" */
} of_option_type;

/* What becomes of the file that an option names. */
typedef enum of_option_role { OF_ROLE_NONE, OF_ROLE_READ, OF_ROLE_WRITTEN } of_option_role;

typedef struct of_option {
    of_option_type type;
    char short_name;      /* 0: none */
    const char *name;     /* without the dashes */
    const char *argument; /* placeholder in the help text, or the words of a choice */
    const char *help;
    void *target;       /* holds the default until the option is given */
    double least, most; /* inclusive range of a number */
    of_option_role role;
    bool required;
    char *path;       /* of a model: memory for the file that its name stands for */
    bool given;       /* set by the parser */
    const char *text; /* what was given, but for flags and lists */
} of_option;

/* A verb's options, filled by the functions below in the order of the help text. */
typedef struct of_option_table {
    of_option rows[OF_CONSOLE_OPTIONS];
    size_t count;
    char paths[4][OF_MODEL_PATH_SIZE];
    size_t path_count;
    const char *config_file;  /* config.h; NULL: none */
    struct of_config *config; /* what texts of options may belong to */
} of_option_table;

of_option *of_option_flag(of_option_table *table, char short_name, const char *name, bool *target,
                          const char *help);
of_option *of_option_text(of_option_table *table, char short_name, const char *name,
                          const char *argument, const char **target, const char *help);
of_option *of_option_list(of_option_table *table, const char *name, const char *argument,
                          of_text_list *target, const char *help);

/* A weight file, or the name of an installed model; the target's text lives as long as the table.
 */
of_option *of_option_model(of_option_table *table, char short_name, const char *name,
                           const char **target, const char *help);
of_option *of_option_count(of_option_table *table, char short_name, const char *name,
                           uint64_t *target, double least, double most, const char *help);
of_option *of_option_real(of_option_table *table, char short_name, const char *name,
                          const char *argument, double *target, double least, double most,
                          const char *help);
of_option *of_option_bytes(of_option_table *table, const char *name, uint64_t *target, double least,
                           const char *help);
of_option *of_option_choice(of_option_table *table, const char *name, const char *words,
                            int *target, const char *help);

/* Takes a value as the command line gives it; `capacity` of a list is that of its first text. */
of_status of_option_store(of_option *option, const char *text, int capacity, of_error *error);

/* What the program chose for an option that was not given: settings files keep it. `text` must live
 * as long as the table. */
void of_option_choose(of_option_table *table, const char *name, const char *text);

/* True if the option was given. The name must be in the table. */
bool of_option_given(const of_option_table *table, const char *name);

/* True if a model was given by the name of an installed one. */
bool of_option_names_installed(const of_option_table *table, const char *name);

/* What a verb is for; the text of its help. */
typedef struct of_command {
    const char *name;
    const char *summary;  /* a line in the list of verbs */
    const char *operands; /* e.g. "SRC...", or "" */
    const char *details;  /* paragraphs, wrapped when printed */
    const char *examples; /* command lines, each on its own line */
} of_command;

/* Parses argv[1..argc), argv[0] being the verb. Returns true if the verb should run. Otherwise
 * *code is the exit code: help was asked for and printed, or a usage error was reported, such as a
 * file that would be both read and written. The operands are freed by the caller in both cases. */
bool of_options_parse(const of_command *command, of_option_table *table, int argc, char **argv,
                      of_text_list *operands, of_console *console, int *code);

/* Reports "TEXT; see 'outflow VERB --help'" and returns the exit code for usage errors. */
__attribute__((format(printf, 3, 4))) int
of_usage_error(of_console *console, const of_command *command, const char *format, ...);

/* The same for an error of the library, after the option that would help, if the verb has it. */
int of_usage_fail(of_console *console, const of_command *command, const of_error *error);

#endif
