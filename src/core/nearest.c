/* SPDX-License-Identifier: Apache-2.0 */
#include <outflow/output.h>

#include <string.h>

enum { LONGEST = 40 };

static size_t smallest(size_t a, size_t b, size_t c) {
    size_t least = a < b ? a : b;
    return least < c ? least : c;
}

/* Edit distance (Levenshtein 1966), one row of the table at a time. */
static size_t edit_distance(const char *a, size_t a_length, const char *b, size_t b_length) {
    size_t row[LONGEST + 1];
    for (size_t j = 0; j <= b_length; j++)
        row[j] = j;
    for (size_t i = 1; i <= a_length; i++) {
        size_t diagonal = row[0];
        row[0] = i;
        for (size_t j = 1; j <= b_length; j++) {
            size_t changed = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            row[j] = smallest(changed, row[j] + 1, row[j - 1] + 1);
        }
    }
    return row[b_length];
}

of_nearest of_nearest_to(const char *wanted, size_t length) {
    /* Two changes (a swap of letters counts as two) may be a slip, in a short word only one. */
    size_t slips = length <= 3 ? 1 : 2;
    return (of_nearest){wanted, length, slips + 1, NULL};
}

void of_nearest_offer(of_nearest *nearest, const char *word) {
    size_t length = strlen(word);
    if (length > LONGEST || nearest->length > LONGEST || nearest->length == 0)
        return;
    bool prefix = nearest->length >= 2 && strncmp(word, nearest->wanted, nearest->length) == 0;
    size_t distance = prefix ? 0 : edit_distance(nearest->wanted, nearest->length, word, length);
    if (distance < nearest->distance) {
        nearest->distance = distance;
        nearest->word = word;
    }
}
