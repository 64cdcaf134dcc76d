/* SPDX-License-Identifier: Apache-2.0 */
#include "fit/fitting.h"

#include <outflow/output.h>

#include <stdarg.h>
#include <stdio.h>

void of_fitting_warn(const of_fitting *fitting, const char *format, ...) {
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    of_plain_text(text);
    if (fitting->observer->warn != NULL)
        fitting->observer->warn(fitting->observer->user, text);
}
