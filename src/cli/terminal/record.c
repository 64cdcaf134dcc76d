/* SPDX-License-Identifier: Apache-2.0 */
#define _POSIX_C_SOURCE 200809L
#include "cli/terminal/record.h"

#include "cli/terminal/words.h"

#include <inttypes.h>
#include <math.h>
#include <stdlib.h>

of_status of_records_open(of_record_format format, FILE *file, of_records *records,
                          of_error *error) {
    *records = (of_records){.format = format, .file = file};
    if (format == OF_RECORD_CSV)
        return OF_OK;
    of_status status = of_json_create(file, format == OF_RECORD_JSON, &records->json, error);
    if (status == OF_OK && format == OF_RECORD_JSON)
        of_json_array(records->json, NULL);
    return status;
}

/* A CSV row is collected in memory: the first one's names come before it. */
static void begin_csv(of_records *records) {
    records->filled = false;
    records->names = open_memstream(&records->name_text, &records->name_size);
    records->values = open_memstream(&records->value_text, &records->value_size);
    if (records->names == NULL || records->values == NULL)
        records->failed = true;
}

void of_records_begin(of_records *records) {
    if (records->format == OF_RECORD_CSV)
        begin_csv(records);
    else
        of_json_object(records->json, NULL);
}

/* True if a CSV value is to be written, its name and the comma done. */
static bool next_csv(of_records *records, const char *name) {
    if (records->failed)
        return false;
    if (records->filled) {
        (void)fputc(',', records->names);
        (void)fputc(',', records->values);
    }
    records->filled = true;
    of_csv_write(records->names, name);
    return true;
}

void of_records_text(of_records *records, const char *name, const char *text) {
    if (records->format != OF_RECORD_CSV)
        of_json_text(records->json, name, text);
    else if (next_csv(records, name))
        of_csv_write(records->values, text != NULL ? text : "");
}

void of_records_real(of_records *records, const char *name, double value) {
    char text[OF_NUMBER_SIZE];
    if (records->format != OF_RECORD_CSV)
        of_json_real(records->json, name, value);
    else if (next_csv(records, name) && isfinite(value))
        (void)fputs(of_number_text(value, text), records->values);
}

void of_records_count(of_records *records, const char *name, uint64_t value) {
    if (records->format != OF_RECORD_CSV)
        of_json_count(records->json, name, value);
    else if (next_csv(records, name))
        (void)fprintf(records->values, "%" PRIu64, value);
}

void of_records_flag(of_records *records, const char *name, bool value) {
    if (records->format != OF_RECORD_CSV)
        of_json_flag(records->json, name, value);
    else if (next_csv(records, name))
        (void)fputs(value ? "true" : "false", records->values);
}

void of_records_list(of_records *records, const char *name, const double *values, size_t count) {
    char text[OF_NUMBER_SIZE];
    if (records->format != OF_RECORD_CSV) {
        of_json_array(records->json, name);
        for (size_t i = 0; i < count; i++)
            of_json_real(records->json, NULL, values[i]);
        of_json_end(records->json);
    } else if (next_csv(records, name)) {
        for (size_t i = 0; i < count; i++)
            (void)fprintf(records->values, "%s%s", i > 0 ? ";" : "",
                          of_number_text(values[i], text));
    }
}

static void end_csv(of_records *records) {
    if (records->names != NULL && fclose(records->names) != 0)
        records->failed = true;
    if (records->values != NULL && fclose(records->values) != 0)
        records->failed = true;
    if (!records->failed && !records->has_header)
        (void)fprintf(records->file, "%s\n", records->name_text);
    if (!records->failed)
        (void)fprintf(records->file, "%s\n", records->value_text);
    records->has_header = true;
    free(records->name_text);
    free(records->value_text);
    records->name_text = records->value_text = NULL;
    records->names = records->values = NULL;
}

void of_records_end(of_records *records) {
    if (records->format == OF_RECORD_CSV)
        end_csv(records);
    else
        of_json_end(records->json);
}

of_status of_records_close(of_records *records, of_error *error) {
    if (records->format == OF_RECORD_JSON)
        of_json_end(records->json);
    of_json_free(records->json);
    records->json = NULL;
    return records->failed ? of_fail_memory(error, "a row") : OF_OK;
}
