/* SPDX-License-Identifier: Apache-2.0 */
/* Decoding, in a process that may do nothing else: what a hostile image can break is that process.
 */
#ifndef OF_SERVER_DECODER_H
#define OF_SERVER_DECODER_H

#include "server/metrics.h"

#include <sys/types.h>

/* One process, started when it is first needed and after each time that it died; for one thread. */
typedef struct of_decoder {
    const of_server_options *options;
    of_meters *metrics;
    pid_t process; /* 0: none runs */
    int socket;
} of_decoder;

/* What was asked and found. */
typedef struct of_decoded {
    uint32_t height, width; /* as stored */
    bool resized, reshaped;
} of_decoded;

of_decoder of_decoder_make(const of_server_options *options, of_meters *metrics);

/* Starts the process now, so that the first image does not wait for it. A failure shows then. */
void of_decoder_warm(of_decoder *decoder);

/* Decodes an image to the size of the architecture: `pixels` gets [height][width][channels].
 * OF_ERROR_INTERNAL if the process died over it, OF_ERROR_UNSUPPORTED if it took too long. */
of_status of_decoder_run(of_decoder *decoder, const void *bytes, size_t size,
                         const of_architecture *architecture, uint8_t *pixels, of_decoded *decoded,
                         of_error *error);

/* Ends the process. */
void of_decoder_close(of_decoder *decoder);

#endif
