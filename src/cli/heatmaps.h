/* SPDX-License-Identifier: Apache-2.0 */
/* A folder of heat maps: one PNG an image, and a list of them. */
#ifndef OF_CLI_HEATMAPS_H
#define OF_CLI_HEATMAPS_H

#include <outflow/evaluate.h>

/* Makes the folder unless it is there; an error if files cannot be made in it. */
of_status of_heatmaps_prepare(const char *folder, of_error *error);

/* Writes RANK-PATH.png for every example, the image and beside it its heat, enlarged, and
 * index.csv: file, path, source, label, the score's value and what the strongest colour stands for.
 * Each file appears only when it is complete, the list last. */
of_status of_heatmaps_write(const char *folder, const of_architecture *architecture, of_score score,
                            const of_examples *examples, of_error *error);

#endif
