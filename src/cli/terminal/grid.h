/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_CLI_TERMINAL_GRID_H
#define OF_CLI_TERMINAL_GRID_H

#include <outflow/outflow.h>
#include <stdio.h>

/* Images side by side: `columns` in a row, a gap between them. */
typedef struct of_grid {
    const float *images; /* [count][height][width][channels], 0 black to 1 white */
    size_t count, columns;
    uint32_t channels, height, width;
} of_grid;

/* Writes the grid as an 8-bit PNG. Values outside 0..1 are clipped; what is not finite is black. */
of_status of_grid_write_png(const of_grid *grid, FILE *file, of_error *error);

#endif
