/* SPDX-License-Identifier: Apache-2.0 */
/* A row for every tile of pictures, as CSV. */
#ifndef OF_CLI_TILE_ROWS_H
#define OF_CLI_TILE_ROWS_H

#include "cli/terminal/output.h"

#include <outflow/detect.h>

typedef struct of_tile_rows {
    of_output *output; /* NULL: nobody wants them */
    const of_detector *detector;
    const char *source; /* of the pictures that are being read */
    of_score *scores;   /* [count]: a column each */
    size_t count;
    of_score judged; /* whose p-value among tiles is a column */
    bool with_p_value;
} of_tile_rows;

/* Columns: source, path, label, x, y, width, height, the scores that can be computed with these
 * needs, and tile_p_value where the judged score is calibrated. */
of_status of_tile_rows_open(of_tile_rows *rows, const char *path, const of_detector *detector,
                            of_score judged, unsigned needs, of_error *error);
/* An of_scored_visit of tiles. */
of_status of_tile_rows_write(void *rows, const of_scored_batch *tiles, of_error *error);
/* The file appears. */
of_status of_tile_rows_commit(of_tile_rows *rows, of_error *error);
/* Accepts zeroed rows. */
void of_tile_rows_close(of_tile_rows *rows);

#endif
