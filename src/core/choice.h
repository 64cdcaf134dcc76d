/* SPDX-License-Identifier: Apache-2.0 */
/* Enums whose values have names. */
#ifndef OF_CORE_CHOICE_H
#define OF_CORE_CHOICE_H

#include <outflow/outflow.h>

/* The names of an enum's values 0, 1, ... */
typedef struct of_choice {
    const char *what; /* e.g. "instruction set" */
    const char *const *names;
    unsigned count;
} of_choice;

/* "unknown" for what is no value of the enum. */
const char *of_choice_name(const of_choice *choice, int value);

/* "unknown WHAT 'NAME': use A, B or C". The name may be NULL. */
of_status of_choice_parse(const of_choice *choice, const char *name, int *value, of_error *error);

#endif
