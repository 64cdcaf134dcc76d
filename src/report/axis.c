/* SPDX-License-Identifier: Apache-2.0 */
#include "report/axis.h"

#include "report/html.h"

#include <math.h>
#include <stdbool.h>
#include <string.h>

enum { MOST_TICKS = 16, EDGE = 12 };

of_axis of_axis_around(double low, double high, double from, double to) {
    const double most = 1e300; /* so that differences are finite */
    low = fmin(fmax(low, -most), most);
    high = fmin(fmax(high, -most), most);
    double size = fmax(fabs(low), fabs(high)), room = 0.04 * (high - low);
    if (!(room > 1e-9 * size)) /* so that ticks are different numbers */
        room = fmax(size, 1) * 0.05;
    return (of_axis){low - room, high + room, from, to};
}

double of_axis_place(const of_axis *axis, double value) {
    double share = (value - axis->low) / (axis->high - axis->low);
    return axis->from + fmin(fmax(share, 0), 1) * (axis->to - axis->from);
}

/* 1, 2 or 5 times a power of ten, so that about `count` ticks fit. */
static double tick_step(const of_axis *axis, double count) {
    double rough = (axis->high - axis->low) / count, power = pow(10, floor(log10(rough)));
    double digits = rough / power;
    return power * (digits < 1.5 ? 1 : digits < 3.5 ? 2 : digits < 7.5 ? 5 : 10);
}

static const char *tick_text(double value, double step, char text[OF_HTML_NUMBER]) {
    int digits = step >= 1 ? 0 : (int)ceil(-log10(step) - 1e-9);
    if (fabs(value) >= 1e6 || digits > 6)
        (void)snprintf(text, OF_HTML_NUMBER, "%.3g", value);
    else
        (void)snprintf(text, OF_HTML_NUMBER, "%.*f", digits, value);
    return text;
}

/* Multiples of the step inside the axis, rounded so that 0 is 0. */
static double tick_value(double number, double step) {
    double value = number * step;
    return value == 0 ? 0 : value;
}

void of_axis_draw_across(const of_axis *axis, double top, double bottom, const char *name,
                         FILE *file) {
    char text[OF_HTML_NUMBER];
    double step = tick_step(axis, 5);
    double first = ceil(axis->low / step);
    for (int i = 0; i < MOST_TICKS && (first + i) * step <= axis->high; i++) {
        double value = tick_value(first + i, step), x = of_axis_place(axis, value);
        (void)fprintf(file, "<path class=\"grid\" d=\"M%.1f %.1fV%.1f\"/>", x, top, bottom);
        (void)tick_text(value, step, text);
        /* a long number at an end would stand out of the picture */
        bool fits = strlen(text) <= 3 || (x > axis->from + EDGE && x < axis->to - EDGE);
        if (fits)
            (void)fprintf(
                file,
                "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">%s</text>\n", x,
                bottom + 14, text);
    }
    (void)fprintf(file, "<text class=\"name\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"middle\">",
                  (axis->from + axis->to) / 2, bottom + 30);
    of_html_text(file, name);
    (void)fputs("</text>\n", file);
}

void of_axis_draw_up(const of_axis *axis, double left, double right, FILE *file) {
    char text[OF_HTML_NUMBER];
    double step = tick_step(axis, 5);
    double first = ceil(axis->low / step);
    for (int i = 0; i < MOST_TICKS && (first + i) * step <= axis->high; i++) {
        double value = tick_value(first + i, step), y = of_axis_place(axis, value);
        (void)fprintf(file,
                      "<path class=\"grid\" d=\"M%.1f %.1fH%.1f\"/>"
                      "<text class=\"tick\" x=\"%.1f\" y=\"%.1f\" text-anchor=\"end\">%s</text>\n",
                      left, y, right, left - 5, y + 4, tick_text(value, step, text));
    }
}
