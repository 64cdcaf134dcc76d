/* SPDX-License-Identifier: Apache-2.0 */
/* Rows of named values as CSV, JSON or JSON lines; every row has the same names. */
#ifndef OF_CLI_TERMINAL_RECORD_H
#define OF_CLI_TERMINAL_RECORD_H

#include <outflow/output.h>
#include <stddef.h>

typedef enum of_record_format {
    OF_RECORD_CSV,  /* a header line first; lists are joined by semicolons */
    OF_RECORD_JSON, /* an array of objects */
    OF_RECORD_JSONL /* an object a line */
} of_record_format;

typedef struct of_records {
    of_record_format format;
    FILE *file;
    of_json *json;   /* NULL for CSV */
    bool has_header; /* CSV */
    FILE *names, *values;
    char *name_text, *value_text;
    size_t name_size, value_size;
    bool filled, failed; /* of the current row; failed: out of memory */
} of_records;

/* After OF_OK, of_records_close must follow. */
of_status of_records_open(of_record_format format, FILE *file, of_records *records,
                          of_error *error);

void of_records_begin(of_records *records);
void of_records_text(of_records *records, const char *name, const char *text);
void of_records_real(of_records *records, const char *name, double value);
void of_records_count(of_records *records, const char *name, uint64_t value);
void of_records_flag(of_records *records, const char *name, bool value);
void of_records_list(of_records *records, const char *name, const double *values, size_t count);
void of_records_end(of_records *records);

/* Ends the output; an error if memory ran out on the way. */
of_status of_records_close(of_records *records, of_error *error);

#endif
