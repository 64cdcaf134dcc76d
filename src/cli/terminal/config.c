/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/terminal/config.h"

#include <outflow/output.h>

#include <cjson/cJSON.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MOST_BYTES = 1 << 20 };

/* Texts that options refer to. */
struct of_config {
    cJSON *tree;
    char numbers[OF_CONSOLE_OPTIONS][OF_NUMBER_SIZE];
    size_t count;
};

/* Of how a run was started, not of what it does. */
static const char *const passing[] = {"config", "resume", "overwrite", "quiet", "dry-run"};

void of_option_config(of_option_table *table) {
    of_option_text(table, 0, "config", "FILE", &table->config_file,
                   "Take settings from FILE, a JSON object whose keys are the names of options; "
                   "what is given on the command line wins. Every run writes its own to "
                   "OUT.settings.json.")
        ->role = OF_ROLE_READ;
}

void of_option_config_free(of_option_table *table) {
    if (table->config != NULL)
        cJSON_Delete(table->config->tree);
    free(table->config);
    table->config = NULL;
}

/* ---- Reading ------------------------------------------------------------------------------ */

static of_status read_file(const char *path, char **text, size_t *length, of_error *error) {
    FILE *file = fopen(path, "re");
    *text = NULL;
    if (file == NULL)
        return of_fail(error, OF_ERROR_IO, "%s: %s", path, strerror(errno));
    *text = malloc(MOST_BYTES + 1);
    *length = *text != NULL ? fread(*text, 1, MOST_BYTES + 1, file) : 0;
    bool failed = ferror(file) != 0;
    (void)fclose(file);
    if (*text == NULL)
        return of_fail_memory(error, "a settings file");
    if (failed)
        return of_fail(error, OF_ERROR_IO, "%s: it cannot be read", path);
    return *length <= MOST_BYTES
               ? OF_OK
               : of_fail(error, OF_ERROR_FORMAT, "%s: too large for settings", path);
}

static of_status parse(const char *path, struct of_config *config, of_error *error) {
    char *text = NULL;
    size_t length = 0;
    const char *end = NULL;
    of_status status = read_file(path, &text, &length, error);
    if (status == OF_OK)
        config->tree = cJSON_ParseWithLengthOpts(text, length, &end, false);
    if (status == OF_OK && !cJSON_IsObject(config->tree))
        status = of_fail(error, OF_ERROR_FORMAT,
                         "%s: no JSON object of settings, such as {\"lr\": 0.001}%s", path,
                         config->tree == NULL ? "; it cannot be parsed" : "");
    while (status == OF_OK && end < text + length && strchr(" \t\r\n", *end) != NULL &&
           *end != '\0')
        end++;
    if (status == OF_OK && end != text + length)
        status = of_fail(error, OF_ERROR_FORMAT, "%s: something follows the object", path);
    free(text);
    return status;
}

static of_status fail_value(const of_option_table *table, const char *key, const char *expected,
                            of_error *error) {
    return of_fail(error, OF_ERROR_ARGUMENT, "%s: key '%s': expected %s", table->config_file, key,
                   expected);
}

static of_status fail_unknown(const of_option_table *table, const char *key, of_error *error) {
    of_nearest nearest = of_nearest_to(key, strlen(key));
    for (size_t i = 0; i < table->count; i++)
        of_nearest_offer(&nearest, table->rows[i].name);
    if (nearest.word != NULL)
        return of_fail(error, OF_ERROR_ARGUMENT, "%s: unknown key '%s' (did you mean '%s'?)",
                       table->config_file, key, nearest.word);
    return of_fail(error, OF_ERROR_ARGUMENT, "%s: unknown key '%s'", table->config_file, key);
}

/* The text of a string or a number as the command line would have it, with the bytes that it had
 * there; NULL for anything else. */
static const char *text_of(struct of_config *config, const cJSON *item) {
    if (cJSON_IsString(item)) {
        of_text_unescape(item->valuestring);
        return item->valuestring;
    }
    if (!cJSON_IsNumber(item) || config->count == OF_CONSOLE_OPTIONS)
        return NULL;
    char *text = config->numbers[config->count++];
    double value = item->valuedouble;
    if (value == floor(value) && fabs(value) < 0x1p53)
        (void)snprintf(text, OF_NUMBER_SIZE, "%.0f", value);
    else
        (void)of_number_text(value, text);
    return text;
}

static of_status take_texts(of_option_table *table, of_text_list *list, const cJSON *item,
                            of_error *error) {
    int count = cJSON_IsArray(item) ? cJSON_GetArraySize(item) : 1;
    free(list->items);
    *list = (of_text_list){.items = calloc((size_t)count + 1, sizeof *list->items)};
    if (list->items == NULL)
        return of_fail_memory(error, "options");
    for (int i = 0; i < count; i++) {
        const cJSON *element = cJSON_IsArray(item) ? cJSON_GetArrayItem(item, i) : item;
        const char *text = text_of(table->config, element);
        if (text == NULL)
            return fail_value(table, item->string, "a string, or an array of strings", error);
        list->items[list->count++] = text;
    }
    return OF_OK;
}

static of_status take_scalar(of_option_table *table, of_option *option, const cJSON *item,
                             of_error *error) {
    of_error inner;
    const char *text = text_of(table->config, item);
    if (text == NULL)
        return fail_value(table, item->string, "a string or a number", error);
    of_status status = of_option_store(option, text, 1, &inner);
    return status == OF_OK
               ? OF_OK
               : of_fail(error, status, "%s: %.900s", table->config_file, inner.message);
}

static of_status take(of_option_table *table, of_option *option, const cJSON *item,
                      of_error *error) {
    if (option->type == OF_OPTION_LIST) {
        option->given = true;
        return take_texts(table, option->target, item, error);
    }
    if (option->type != OF_OPTION_FLAG)
        return take_scalar(table, option, item, error);
    if (!cJSON_IsBool(item))
        return fail_value(table, item->string, "true or false", error);
    *(bool *)option->target = option->given = cJSON_IsTrue(item);
    return OF_OK;
}

static of_option *find(of_option_table *table, const char *name) {
    for (size_t i = 0; i < table->count; i++)
        if (strcmp(table->rows[i].name, name) == 0 && strcmp(name, "config") != 0)
            return &table->rows[i];
    return NULL;
}

static of_status take_operands(of_option_table *table, of_text_list *operands, const cJSON *item,
                               of_error *error) {
    return operands->count > 0 ? OF_OK : take_texts(table, operands, item, error);
}

static of_status check_verb(const of_command *command, const of_option_table *table,
                            const cJSON *item, of_error *error) {
    if (cJSON_IsString(item) && strcmp(item->valuestring, command->name) == 0)
        return OF_OK;
    return of_fail(error, OF_ERROR_ARGUMENT, "%s: these are settings of another verb than '%s'",
                   table->config_file, command->name);
}

static of_status take_all(const of_command *command, of_option_table *table, of_text_list *operands,
                          of_error *error) {
    bool on_line[OF_CONSOLE_OPTIONS] = {false};
    const cJSON *item;
    for (size_t i = 0; i < table->count; i++)
        on_line[i] = table->rows[i].given;
    cJSON_ArrayForEach(item, table->config->tree) {
        of_option *option = find(table, item->string);
        of_status status = OF_OK;
        if (strcmp(item->string, "outflow") == 0)
            status = check_verb(command, table, item, error);
        else if (strcmp(item->string, "operands") == 0)
            status = take_operands(table, operands, item, error);
        else if (option == NULL)
            status = fail_unknown(table, item->string, error);
        else if (!on_line[option - table->rows])
            status = take(table, option, item, error);
        if (status != OF_OK)
            return status;
    }
    return OF_OK;
}

of_status of_config_apply(const of_command *command, of_option_table *table, of_text_list *operands,
                          of_error *error) {
    if (table->config_file == NULL)
        return OF_OK;
    table->config = calloc(1, sizeof *table->config);
    if (table->config == NULL)
        return of_fail_memory(error, "settings");
    of_status status = parse(table->config_file, table->config, error);
    return status == OF_OK ? take_all(command, table, operands, error) : status;
}

/* ---- Writing ------------------------------------------------------------------------------ */

static bool is_passing(const of_option *option) {
    for (size_t i = 0; i < sizeof passing / sizeof *passing; i++)
        if (strcmp(option->name, passing[i]) == 0)
            return true;
    return false;
}

static void write_list(of_json *json, const char *key, const of_text_list *list) {
    of_json_array(json, key);
    for (size_t i = 0; i < list->count; i++)
        of_json_text(json, NULL, list->items[i]);
    of_json_end(json);
}

/* Numbers that a reader of JSON might round stand as text. */
static void write_option(of_json *json, const of_option *option) {
    switch (option->type) {
    case OF_OPTION_FLAG:
        of_json_flag(json, option->name, true);
        break;
    case OF_OPTION_LIST:
        write_list(json, option->name, option->target);
        break;
    case OF_OPTION_COUNT:
        if (*(uint64_t *)option->target < (uint64_t)1 << 53)
            of_json_count(json, option->name, *(uint64_t *)option->target);
        else
            of_json_text(json, option->name, option->text);
        break;
    case OF_OPTION_REAL:
        of_json_real(json, option->name, *(double *)option->target);
        break;
    case OF_OPTION_TEXT:
    case OF_OPTION_BYTES:
    case OF_OPTION_CHOICE:
        of_json_text(json, option->name, option->text);
        break;
    }
}

static void write_all(const of_command *command, const of_option_table *table,
                      const of_text_list *operands, of_json *json) {
    of_json_object(json, NULL);
    of_json_text(json, "outflow", command->name);
    if (operands->count > 0)
        write_list(json, "operands", operands);
    for (size_t i = 0; i < table->count; i++)
        if (table->rows[i].given && !is_passing(&table->rows[i]))
            write_option(json, &table->rows[i]);
    of_json_end(json);
}

of_status of_config_save(const of_command *command, const of_option_table *table,
                         const of_text_list *operands, const char *out, of_error *error) {
    size_t size = strlen(out) + sizeof ".settings.json";
    char *path = malloc(size);
    of_output *output = NULL;
    of_json *json = NULL;
    if (path == NULL)
        return of_fail_memory(error, "a file name");
    (void)snprintf(path, size, "%s.settings.json", out);
    of_status status = of_output_open(path, &output, error);
    free(path);
    if (status != OF_OK)
        return status;
    status = of_json_create(of_output_file(output), true, &json, error);
    if (status != OF_OK) {
        of_output_discard(output);
        return status;
    }
    write_all(command, table, operands, json);
    of_json_free(json);
    return of_output_commit(output, error);
}
