/* SPDX-License-Identifier: Apache-2.0 */
#include "core/choice.h"

#include <outflow/outflow.h>

static const char *const names[] = {"f32", "bf16", "auto", "int8", "int16"};
static const of_choice choice = {"precision", names, 5};

const char *of_precision_name(of_precision precision) {
    return of_choice_name(&choice, (int)precision);
}

of_status of_precision_parse(const char *name, of_precision *precision, of_error *error) {
    int value;
    of_status status = of_choice_parse(&choice, name, &value, error);
    if (status == OF_OK)
        *precision = (of_precision)value;
    return status;
}
