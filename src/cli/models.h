/* SPDX-License-Identifier: Apache-2.0 */
/* Models by name: NAME stands for NAME.safetensors in a folder of models. Folders are those of
 * OUTFLOW_MODELS (separated by colons), then the one installed with the program, or beside its
 * build. */
#ifndef OF_CLI_MODELS_H
#define OF_CLI_MODELS_H

#include <outflow/outflow.h>
#include <stddef.h>
#include <stdint.h>

enum { OF_MODEL_PATH_SIZE = 4096 };

/* The file that `name` stands for: itself if it is a path or a file (no folder) that exists, else
 * an installed model's path, written to `path`. Without one of that name, `name`. */
const char *of_model_file(const char *name, char path[OF_MODEL_PATH_SIZE]);

/* Of what of_model_file gives: if it was meant as a name and there is none, an error that says
 * which names are near, or which there are. */
of_status of_model_check_name(const char *file, of_error *error);

/* Checks the name and loads the file. */
of_status of_model_open(const char *file, of_model **model, of_error *error);

/* Names of the installed models, sorted, as "a, b, c"; empty if there are none. */
void of_model_names(char *text, size_t size);

/* The name of an installed model with these weights (of_model_fingerprint), if there is one. Reads
 * all of them. */
bool of_model_with_fingerprint(uint64_t fingerprint, char *name, size_t size);

#endif
