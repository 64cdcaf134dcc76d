/* SPDX-License-Identifier: Apache-2.0 */
/* Numbers and counts as people read them. */
#ifndef OF_CLI_TERMINAL_WORDS_H
#define OF_CLI_TERMINAL_WORDS_H

#include <outflow/output.h>
#include <stdint.h>

/* "" for one, "s" for any other number: "%u image%s". */
const char *of_plural(uint64_t count);

/* 1536 -> "1.5 KiB". Returns `text`. */
const char *of_bytes_text(uint64_t bytes, char text[OF_NUMBER_SIZE]);

/* 1.5e9 -> "1.50 G", for counts of things. Returns `text`. */
const char *of_scaled_text(double value, char text[OF_NUMBER_SIZE]);

/* Length of the leading folders that all paths share, which leaves of each its last part at
 * least. */
size_t of_shared_folder(const char *const *paths, size_t count);

#endif
