/* SPDX-License-Identifier: Apache-2.0 */
#include "core/options_read.h"

#include "core/error.h"

#include <string.h>

/* No version of any struct is as large: such a size was never set. */
enum { MOST_SIZE = 4096 };

/* Fields that this version does not know may be there, as long as they are not used. */
static bool all_zero(const unsigned char *bytes, size_t count) {
    for (size_t i = 0; i < count; i++) {
        if (bytes[i] != 0)
            return false;
    }
    return true;
}

of_status of_options_read(void *own, size_t own_size, size_t least, const void *given,
                          const char *what, of_error *error) {
    size_t size = own_size;
    if (given != NULL) {
        (void)memcpy(&size, given, sizeof size);
        if (size < least || size > MOST_SIZE)
            return of_fail(error, OF_ERROR_ARGUMENT, "%s: size is not set; start from its default",
                           what);
        if (size > own_size && !all_zero((const unsigned char *)given + own_size, size - own_size))
            return of_fail(error, OF_ERROR_UNSUPPORTED,
                           "%s: made for a newer version of the library", what);
        (void)memcpy(own, given, size < own_size ? size : own_size);
    }
    (void)memcpy(own, &own_size, sizeof own_size);
    return OF_OK;
}
