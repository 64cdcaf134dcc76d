/* SPDX-License-Identifier: Apache-2.0 */
/* Findings as CSV, to act on. */
#include "clean/cleaning.h"

#include <math.h>

static void write_finding(const of_clean_finding *finding, FILE *file) {
    char number[OF_NUMBER_SIZE];
    of_csv_write_text(file, finding->path);
    (void)fputc(',', file);
    of_csv_write_text(file, finding->label);
    (void)fprintf(file, ",%s,%s,", of_clean_issue_name(finding->issue),
                  isnan(finding->p_value) ? "" : of_number_text(finding->p_value, number));
    const char *const fields[] = {finding->suggested, finding->duplicate_of, finding->source,
                                  finding->duplicate_source, finding->notes};
    for (size_t i = 0; i < sizeof fields / sizeof *fields; i++) {
        of_csv_write_text(file, fields[i]);
        (void)fputc(i + 1 < sizeof fields / sizeof *fields ? ',' : '\n', file);
    }
}

void of_cleaning_write_csv(const of_cleaning *cleaning, FILE *file) {
    (void)fputs("path,label,issue,p_value,suggested,duplicate_of,source,duplicate_source,notes\n",
                file);
    for (size_t i = 0; i < cleaning->entry_count; i++) {
        of_clean_finding finding = of_cleaning_finding(cleaning, i);
        write_finding(&finding, file);
    }
}
