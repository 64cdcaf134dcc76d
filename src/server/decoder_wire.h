/* SPDX-License-Identifier: Apache-2.0 */
/* What server and decoder process say to each other: both are the same program. After a question
 * follow `size` bytes of the image; after an answer with status OF_OK the pixels. */
#ifndef OF_SERVER_DECODER_WIRE_H
#define OF_SERVER_DECODER_WIRE_H

#include <outflow/outflow.h>

typedef struct of_decoder_question {
    uint64_t size;
    uint64_t max_pixels, max_bytes;
    uint32_t channels, height, width;
    uint32_t unused;
} of_decoder_question;

typedef struct of_decoder_answer {
    int32_t status; /* of_status */
    uint32_t height, width;
    uint8_t resized, reshaped, unused[2];
    char setting[32];
    char message[464];
} of_decoder_answer;

#endif
