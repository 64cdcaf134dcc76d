/* SPDX-License-Identifier: Apache-2.0 */
#include "report/chart_parts.h"

#include "core/utf8.h"
#include "report/html.h"

#include <string.h>

size_t of_chart_colour(size_t set) {
    return set == 0 ? 0 : 1 + (set - 1) % (OF_CHART_COLOURS - 1);
}

void of_chart_short_text(const char *name, size_t most, FILE *file) {
    char text[128];
    size_t used = 0, characters = 0;
    while (*name != '\0' && characters < most) {
        size_t length = of_utf8_length(name);
        length = length > 0 ? length : 1;
        if (used + length + 4 > sizeof text)
            break;
        memcpy(text + used, name, length);
        used += length;
        name += length;
        characters++;
    }
    if (*name != '\0') {
        memcpy(text + used, "\xe2\x80\xa6", 3); /* an ellipsis */
        used += 3;
    }
    text[used] = '\0';
    of_html_text(file, text);
}

const char *of_chart_unit(of_score score) {
    switch (score.kind) {
    case OF_SCORE_COMPLEXITY:
    case OF_SCORE_COMPLEXITY_WEBP:
        return "bits";
    case OF_SCORE_COMBINED:
        return "no unit";
    default:
        return "nats";
    }
}
