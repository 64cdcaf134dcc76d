/* SPDX-License-Identifier: Apache-2.0 */
/**
 * Files that appear whole, and JSON and CSV whose numbers read back exactly: for programs that
 * print results.
 *
 *     of_output *output = NULL;
 *     of_json *json = NULL;
 *     of_status status = of_output_open("scores.json", &output, &error);
 *     if (status == OF_OK)
 *         status = of_json_create(of_output_file(output), true, &json, &error);
 *     if (status == OF_OK) {
 *         of_json_object(json, NULL);
 *         of_json_real(json, "nll", 1234.5);
 *         of_json_end(json);
 *         status = of_output_commit(output, &error); // scores.json is there, with all of it
 *     } else {
 *         of_output_discard(output);                 // or is as it was before
 *     }
 *     of_json_free(json);
 *
 * What is written with stdio, of_json and the functions below them reports no failure of its own:
 * the stream remembers it, and of_output_flush and of_output_commit return it.
 */
#ifndef OUTFLOW_OUTPUT_H
#define OUTFLOW_OUTPUT_H

#include <outflow/outflow.h>
#include <stdio.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- Files -------------------------------------------------------------------------------- */

/** Where results go. */
typedef struct of_output of_output;

/**
 * Opens a file to be written. NULL, "-" and any path of the file that standard output is mean
 * standard output. What exists and is not a regular file (a device, a pipe) is written in place.
 * Everything else is written beside its place, to a hidden file ".NAME.tmp-...", and
 * of_output_commit puts it there; symbolic links are followed, so that they survive.
 *
 * A path that cannot be written is OF_ERROR_IO now and not after the work.
 */
OF_API of_status of_output_open(const char *path, of_output **output, of_error *error);

/**
 * The same for a file in a folder into which others may write, too: a symbolic link of that name is
 * replaced and not followed, and what is no regular file is OF_ERROR_IO. The folder may be a link.
 */
OF_API of_status of_output_open_in(const char *folder, const char *name, of_output **output,
                                   of_error *error);

/**
 * Opens a file to be continued: what is written goes to its end, in place, as it is flushed, and
 * stays whatever happens afterwards. NULL, "-" and so on mean standard output, as above.
 */
OF_API of_status of_output_open_append(const char *path, of_output **output, of_error *error);

/** The stream to write to, valid until commit or discard. */
OF_API FILE *of_output_file(const of_output *output);

/** What messages should call it: the path, or "standard output". Valid as the stream. */
OF_API const char *of_output_name(const of_output *output);

/** Writes out what is buffered, so that a reader of a pipe sees it. OF_ERROR_IO if anything could
    not be written so far. */
OF_API of_status of_output_flush(of_output *output, of_error *error);

/** True after a failure of of_output_flush whose reason is that nobody reads the pipe any more. The
    program must ignore SIGPIPE to see it. */
OF_API bool of_output_reader_gone(const of_output *output);

/**
 * Completes the output and frees it, whether that succeeds or not. A file is synchronised, renamed
 * to its name, and its folder is synchronised: a reader, or a crash at any moment, sees the old
 * content or the new. On failure the old file is as it was (unless only the folder could not be
 * synchronised), and nothing is left beside it.
 */
OF_API of_status of_output_commit(of_output *output, of_error *error);

/** Gives the output up and frees it; the old file, if any, is as it was. NULL is allowed. */
OF_API void of_output_discard(of_output *output);

/* ---- JSON --------------------------------------------------------------------------------- */

/** Writes JSON as it comes. */
typedef struct of_json of_json;

/**
 * Begins JSON on a stream, which must outlive the writer: on one line, or indented by two. Any
 * number of values may follow each other at the top, each object and array on a line of its own.
 */
OF_API of_status of_json_create(FILE *file, bool indented, of_json **json, of_error *error);

/** Frees the writer, not the stream; NULL is allowed. */
OF_API void of_json_free(of_json *json);

/**
 * Begins an object or an array. The functions below take the key, which must be given inside an
 * object and be NULL inside an array and at the top. Bytes of strings that are
 * not UTF-8 are written as of_csv_write_text does, so that they read back. What nests deeper than
 * 32 is written as null.
 */
OF_API void of_json_object(of_json *json, const char *key);
OF_API void of_json_array(of_json *json, const char *key);

/** Ends the innermost object or array; a newline follows the outermost. */
OF_API void of_json_end(of_json *json);

/** A string; NULL gives null. */
OF_API void of_json_text(of_json *json, const char *key, const char *text);

/** A number, as of_number_text writes it; one that is not finite gives null. */
OF_API void of_json_real(of_json *json, const char *key, double value);

/** A whole number, with all its digits. */
OF_API void of_json_count(of_json *json, const char *key, uint64_t value);

/** true or false. */
OF_API void of_json_flag(of_json *json, const char *key, bool value);

/* ---- Numbers and text --------------------------------------------------------------------- */

enum { OF_NUMBER_SIZE = 32 /**< bytes that hold any number's text */ };

/** The shortest of 15, 16 and 17 digits that reads back as the same double; "nan", "inf" or "-inf"
    otherwise. Returns `text`. */
OF_API const char *of_number_text(double value, char text[OF_NUMBER_SIZE]);

/** Writes a field of a CSV line, quoted where RFC 4180 asks for it. */
OF_API void of_csv_write(FILE *file, const char *field);

/**
 * The same for text from elsewhere, such as names of files, so that it is valid UTF-8, no formula,
 * and reads back. A byte that is not UTF-8 becomes \xHH, two small hexadecimal digits, and a
 * backslash that is followed by x and two such digits becomes \x5c; nothing else changes. Where a
 * spreadsheet would take the text for a formula, because it begins with = + - @, a tab or a return,
 * apostrophes before them not counted, one more apostrophe stands before it. To read it back, take
 * one apostrophe away where only apostrophes stand before one of these characters, and replace each
 * \xHH by its byte.
 */
OF_API void of_csv_write_text(FILE *file, const char *field);

/** Takes back in place what of_csv_write_text and of_json_text did to bytes: each \xHH becomes its
    byte. \x00, which they never write, stays. */
OF_API void of_text_unescape(char *text);

/** Writes text for a terminal: control characters, those that turn the direction of what follows,
    and what is not UTF-8 become '?'. */
OF_API void of_plain_write(FILE *file, const char *text);

/** The same in place. */
OF_API void of_plain_text(char *text);

/* ---- Mistyped words ------------------------------------------------------------------------ */

/** For "did you mean ...?". Nothing to be freed; the words must outlive it. */
typedef struct of_nearest {
    const char *wanted;
    size_t length, distance;
    const char *word; /**< the best so far, NULL while none is near enough */
} of_nearest;

/** Begins with what was typed, `length` bytes of it. */
OF_API of_nearest of_nearest_to(const char *wanted, size_t length);

/** Takes `word` if it is nearer than what was offered before: fewer letters changed, or a word that
    starts with what was typed. */
OF_API void of_nearest_offer(of_nearest *nearest, const char *word);

#ifdef __cplusplus
}
#endif

#endif
