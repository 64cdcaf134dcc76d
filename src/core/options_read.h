/* SPDX-License-Identifier: Apache-2.0 */
/* Structs that callers fill, of this version of the library or another. */
#ifndef OF_CORE_OPTIONS_READ_H
#define OF_CORE_OPTIONS_READ_H

#include <outflow/outflow.h>
#include <stddef.h>

/* Size of a struct up to the field that was the last one of its first version. */
#define OF_SIZE_UP_TO(type, last) (offsetof(type, last) + sizeof(((type *)0)->last))

/* Both structs begin with `size_t size`. `own` holds the defaults and keeps them where `given`
 * (NULL: everywhere) is too short to have a field; its size is set. `least` is the size of the
 * struct's first version: a smaller one was never set, nor one of several kilobytes, which would
 * have bytes read that do not belong to the struct. `what` names the options in messages. */
of_status of_options_read(void *own, size_t own_size, size_t least, const void *given,
                          const char *what, of_error *error);

#endif
