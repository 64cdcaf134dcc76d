/* SPDX-License-Identifier: Apache-2.0 */
/* Axes of charts. */
#ifndef OF_REPORT_AXIS_H
#define OF_REPORT_AXIS_H

#include <stdio.h>

/* Values low..high on pixels from..to. */
typedef struct of_axis {
    double low, high, from, to;
} of_axis;

/* An axis with some room at both ends; an empty range gets some width. */
of_axis of_axis_around(double low, double high, double from, double to);

/* The pixel of a value; values beyond the ends are at the ends. */
double of_axis_place(const of_axis *axis, double value);

/* Grid lines from `top` to `bottom` with numbers below them, and the axis's name under those. */
void of_axis_draw_across(const of_axis *axis, double top, double bottom, const char *name,
                         FILE *file);

/* Grid lines from `left` to `right` with numbers to their left. */
void of_axis_draw_up(const of_axis *axis, double left, double right, FILE *file);

#endif
