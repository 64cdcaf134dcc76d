/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench.h"

#include <errno.h>
#include <stdlib.h>

static bool read_number(const char **text, uint64_t most, uint64_t *number) {
    char *end;
    if (**text < '0' || **text > '9')
        return false;
    errno = 0;
    *number = strtoull(*text, &end, 10);
    *text = end;
    return errno == 0 && *number >= 1 && *number <= most;
}

/* "A", "A-B", "A-B+S" or "A-B*S". */
static bool read_range(const char **text, uint64_t most, uint64_t *first, uint64_t *last,
                       uint64_t *step, bool *multiply) {
    *step = 1;
    *multiply = false;
    if (!read_number(text, most, first))
        return false;
    *last = *first;
    if (**text != '-')
        return true;
    (*text)++;
    if (!read_number(text, most, last) || *last < *first)
        return false;
    if (**text != '+' && **text != '*')
        return true;
    *multiply = *(*text)++ == '*';
    return read_number(text, most, step) && (!*multiply || *step > 1);
}

bool of_bench_numbers(const char *text, uint64_t most, uint64_t *numbers, size_t capacity,
                      size_t *count) {
    *count = 0;
    for (;;) {
        uint64_t first, last, step;
        bool multiply;
        if (!read_range(&text, most, &first, &last, &step, &multiply))
            return false;
        for (uint64_t n = first; n <= last; n = multiply ? n * step : n + step) {
            if (*count == capacity)
                return false;
            numbers[(*count)++] = n;
        }
        if (*text == '\0')
            return true;
        if (*text++ != ',')
            return false;
    }
}
