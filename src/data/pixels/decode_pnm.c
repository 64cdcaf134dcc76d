/* SPDX-License-Identifier: Apache-2.0 */
/* PNM as a decoder of the table. */
#include "data/pixels/decoder.h"
#include "data/pixels/image_pnm.h"

static of_status read_header(const uint8_t *bytes, size_t size, of_image_header *header,
                             of_error *error) {
    of_pnm pnm;
    of_status status = of_pnm_read_header(bytes, size, &pnm, error);
    if (status == OF_OK)
        *header = (of_image_header){.height = pnm.height,
                                    .width = pnm.width,
                                    .channels = pnm.channels,
                                    .orientation = 1,
                                    .frames = 1,
                                    .deep = pnm.most > 255};
    return status;
}

static of_status decode(const uint8_t *bytes, size_t size, const of_picture_wish *wish,
                        of_picture *picture, of_error *error) {
    (void)wish;
    of_pnm pnm;
    of_status status = of_pnm_read_header(bytes, size, &pnm, error);
    if (status == OF_OK)
        status = of_pnm_check_length(&pnm, error);
    if (status == OF_OK)
        status = of_picture_allocate(picture, pnm.height, pnm.width, pnm.channels, error);
    return status == OF_OK ? of_pnm_decode(&pnm, picture->pixels, error) : status;
}

const of_decoder of_decoder_pnm = {OF_KIND_PNM, "built in", read_header, decode, false};
