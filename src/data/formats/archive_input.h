/* SPDX-License-Identifier: Apache-2.0 */
/* What libarchive reads: a file or memory, until somebody cancels. */
#ifndef OF_DATA_FORMATS_ARCHIVE_INPUT_H
#define OF_DATA_FORMATS_ARCHIVE_INPUT_H

#include <archive.h>
#include <outflow/outflow.h>

typedef struct of_archive_input of_archive_input;

of_status of_archive_input_open(const char *path, of_archive_input **input, of_error *error);
/* The bytes stay the caller's. */
of_status of_archive_input_open_memory(const void *bytes, size_t size, of_archive_input **input,
                                       of_error *error);

/*
 * Has an archive, that is to be opened, read from here: tar or zip, compressed as the first bytes
 * say or not at all. The library's own search for filters is not used: it unpacks what it finds to
 * search in that again, as deep and as long as the file makes it. A libarchive result.
 */
int of_archive_input_attach(of_archive_input *input, struct archive *archive);

/* Makes what the library reads end with an error; from any thread. */
void of_archive_input_cancel(of_archive_input *input);

/* After the archive is freed. Accepts NULL. */
void of_archive_input_close(of_archive_input *input);

#endif
