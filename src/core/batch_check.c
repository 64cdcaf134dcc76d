/* SPDX-License-Identifier: Apache-2.0 */
#include "core/batch_check.h"

#include "core/error.h"

of_status of_batch_check(const of_batch *batch, const char *what, of_error *error) {
    if (batch == NULL || (batch->pixels == NULL && batch->count > 0))
        return of_fail(error, OF_ERROR_ARGUMENT, "%s: images are needed", what);
    if (batch->type != OF_PIXEL_U8 && batch->type != OF_PIXEL_F32)
        return of_fail(error, OF_ERROR_ARGUMENT, "%s: unknown pixel type %d", what,
                       (int)batch->type);
    return OF_OK;
}
