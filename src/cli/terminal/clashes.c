/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "cli/terminal/clashes.h"

#include <libgen.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

/* A file named on the command line: --option, or an operand if option is NULL. */
typedef struct named_file {
    const of_option *option;
    const char *path;
} named_file;

/* ---- The same file? ----------------------------------------------------------------------- */

static bool is_stream(const char *path) {
    struct stat info;
    return strcmp(path, "-") == 0 || (stat(path, &info) == 0 && !S_ISREG(info.st_mode));
}

/* The folder of a path, resolved; NULL if there is none. */
static char *folder_of(const char *path) {
    char *copy = strdup(path);
    char *folder = copy != NULL ? realpath(dirname(copy), NULL) : NULL;
    free(copy);
    return folder;
}

static const char *last_part(const char *path) {
    const char *slash = strrchr(path, '/');
    return slash != NULL ? slash + 1 : path;
}

/* Two files of which at least one is yet to be made. */
static bool are_same_place(const char *a, const char *b) {
    if (strcmp(last_part(a), last_part(b)) != 0)
        return false;
    char *first = folder_of(a), *second = folder_of(b);
    bool same = first != NULL && second != NULL && strcmp(first, second) == 0;
    free(first);
    free(second);
    return same;
}

static bool are_same(const char *a, const char *b) {
    struct stat first, second;
    if (is_stream(a) || is_stream(b))
        return false;
    if (stat(a, &first) == 0 && stat(b, &second) == 0)
        return first.st_dev == second.st_dev && first.st_ino == second.st_ino;
    return are_same_place(a, b);
}

/* ---- The files of a command line ---------------------------------------------------------- */

/* The file of "SRC", "part:FROM-TO:SRC" or "NAME=SRC". */
static const char *file_of_source(const char *text, bool named) {
    const char *equals = named ? strchr(text, '=') : NULL;
    if (equals != NULL)
        text = equals + 1;
    while (strncmp(text, "part:", 5) == 0) {
        const char *colon = strchr(text + 5, ':');
        if (colon == NULL)
            return text;
        text = colon + 1;
    }
    return text;
}

static of_status fail_same(const named_file *written, const named_file *other, of_error *error) {
    const char *path = written->path;
    if (other->option == NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "--%s %s is among the images to read",
                       written->option->name, path);
    return of_fail(error, OF_ERROR_ARGUMENT, "--%s %s is the file of --%s as well",
                   written->option->name, path, other->option->name);
}

static of_status compare(const named_file *written, const of_option *option, const char *text,
                         of_error *error) {
    bool named = option == NULL || strchr(option->argument, '=') != NULL;
    const char *whole = file_of_source(text, false), *part = file_of_source(text, named);
    named_file other = {option, whole};
    if (are_same(written->path, whole) || are_same(written->path, part))
        return fail_same(written, &other, error);
    return OF_OK;
}

static of_status compare_option(const named_file *written, const of_option *option,
                                of_error *error) {
    of_status status = OF_OK;
    if (!option->given || option->role == OF_ROLE_NONE || option == written->option)
        return OF_OK;
    if (option->type != OF_OPTION_LIST)
        return compare(written, option, *(const char **)option->target, error);
    const of_text_list *list = option->target;
    for (size_t i = 0; status == OF_OK && i < list->count; i++)
        status = compare(written, option, list->items[i], error);
    return status;
}

static of_status check_written(const of_option_table *table, const of_text_list *operands,
                               const of_option *option, of_error *error) {
    named_file written = {option, *(const char **)option->target};
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < table->count; i++)
        status = compare_option(&written, &table->rows[i], error);
    for (size_t i = 0; status == OF_OK && i < operands->count; i++)
        status = compare(&written, NULL, operands->items[i], error);
    return status;
}

of_status of_clashes_check(const of_option_table *table, const of_text_list *operands,
                           of_error *error) {
    of_status status = OF_OK;
    for (size_t i = 0; status == OF_OK && i < table->count; i++)
        if (table->rows[i].given && table->rows[i].role == OF_ROLE_WRITTEN)
            status = check_written(table, operands, &table->rows[i], error);
    return status;
}
