/* SPDX-License-Identifier: Apache-2.0 */
/* Images of the caller's, before they are read. */
#ifndef OF_CORE_BATCH_CHECK_H
#define OF_CORE_BATCH_CHECK_H

#include <outflow/outflow.h>

/* OF_ERROR_ARGUMENT for NULL, for images without pixels, and for a pixel type that is none: its
 * pixels have no size. `what` begins the message. */
of_status of_batch_check(const of_batch *batch, const char *what, of_error *error);

#endif
