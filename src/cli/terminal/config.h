/* SPDX-License-Identifier: Apache-2.0 */
/* Settings files: a JSON object whose keys are the names of a verb's options,
 *
 *     {"outflow": "train", "data": ["photos.tar"], "lr": 0.001, "flip": true, "out":
 * "m.safetensors"}
 *
 * "outflow" is the verb it is for, "operands" what is given without an option; both may be missing.
 * Bytes of names that are not UTF-8 stand as \xHH, as in the CSV of `score`.
 * What is given on the command line wins. */
#ifndef OF_CLI_TERMINAL_CONFIG_H
#define OF_CLI_TERMINAL_CONFIG_H

#include "cli/terminal/options.h"

/* --config FILE; of_options_parse then reads the file. To be freed with of_option_config_free once
 * the options are no longer used. */
void of_option_config(of_option_table *table);
void of_option_config_free(of_option_table *table);

/* Takes the file's settings where the command line has none. Unknown keys are errors. */
of_status of_config_apply(const of_command *command, of_option_table *table, of_text_list *operands,
                          of_error *error);

/* Writes the settings of this run beside its result, to OUT.settings.json: the same verb with
 * --config does the same again. How a run was started (--resume, --overwrite, --quiet ...) is left
 * out. */
of_status of_config_save(const of_command *command, const of_option_table *table,
                         const of_text_list *operands, const char *out, of_error *error);

#endif
