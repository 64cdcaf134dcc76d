/* SPDX-License-Identifier: Apache-2.0 */
#include "report/chart_parts.h"

#include "core/utf8.h"
#include "report/html.h"

#include <math.h>

size_t of_chart_colour(size_t set) {
    return set == 0 ? 0 : 1 + (set - 1) % (OF_CHART_COLOURS - 1);
}

bool of_chart_numbers_sets(const of_report *report) {
    return report->set_count > OF_CHART_COLOURS;
}

/* Bytes of the first character; a byte that begins none is one of its own. */
static size_t step(const char *text) {
    size_t length = of_utf8_length(text);
    return length > 0 ? length : 1;
}

/* Characters of three bytes and more are counted as wide. */
static size_t width(const char *text) {
    return step(text) > 2 ? 2 : 1;
}

void of_chart_short_text(const char *name, size_t most, FILE *file) {
    size_t wide = 0;
    for (const char *c = name; *c != '\0'; c += step(c))
        wide += width(c);
    if (wide > most) {
        for (; wide + 1 > most && *name != '\0'; name += step(name))
            wide -= width(name);
        (void)fputs("\xe2\x80\xa6", file); /* an ellipsis */
    }
    of_html_text(file, name);
}

bool of_chart_has_threshold(const of_report *report, size_t score) {
    return report->with_flags && score == report->main_score && isfinite(report->threshold);
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
