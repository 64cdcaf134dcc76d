/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/bench/bench.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

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

/* The item that starts at `text`. */
static of_status fail_item(const char *option, const char *text, uint64_t most, of_error *error) {
    size_t length = strcspn(text, ",");
    return of_fail(error, OF_ERROR_ARGUMENT,
                   "%s: '%.*s' is neither a number from 1 to %" PRIu64
                   " nor a range of them such as 1-8, 1-9+4 or 1-64*2",
                   option, (int)(length < 40 ? length : 40), text, most);
}

of_status of_bench_numbers(const char *option, const char *text, uint64_t most, uint64_t *numbers,
                           size_t capacity, size_t *count, of_error *error) {
    *count = 0;
    for (;; text++) {
        uint64_t first, last, step;
        bool multiply;
        const char *item = text;
        if (!read_range(&text, most, &first, &last, &step, &multiply) ||
            (*text != '\0' && *text != ','))
            return fail_item(option, item, most, error);
        for (uint64_t n = first; n <= last; n = multiply ? n * step : n + step) {
            if (*count == capacity)
                return of_fail(error, OF_ERROR_ARGUMENT, "%s: more than %zu numbers", option,
                               capacity);
            numbers[(*count)++] = n;
        }
        if (*text == '\0')
            return OF_OK;
    }
}
