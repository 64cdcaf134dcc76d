/* SPDX-License-Identifier: Apache-2.0 */
/* Linked into the program in place of what the system gives (-Wl,--wrap): one call of one kind
 * fails, as it could at any time, and what is written to disk is recorded. What libraries allocate
 * by themselves stays as it is, but for cJSON's memory.
 *
 *     FAULTS_KIND    allocation, read, open, write, rename, sync, map or thread
 *     FAULTS_AT      which call of this kind fails, from 1; 0: none
 *     FAULTS_COUNTS  a file for the number of calls of each kind, "KIND COUNT" a line
 *     FAULTS_RECORD  a file for what changes files and folders, and with ".data" after its name one
 *                    for the bytes: see power_cut_test.py */
#define _GNU_SOURCE
#include <cjson/cJSON.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { KINDS = 8, MODE = 0666 };

typedef enum kind { ALLOCATION, READ, OPEN, WRITE, RENAME, SYNC, MAP, THREAD, NOTHING } kind;

static const char *const names[KINDS] = {"allocation", "read", "open", "write",
                                         "rename",     "sync", "map",  "thread"};
static atomic_ulong counts[KINDS];
static kind chosen = NOTHING;
static unsigned long chosen_at;
static int record = -1, record_data = -1;

static bool fails(kind what, int reason) {
    unsigned long count = atomic_fetch_add(&counts[what], 1) + 1;
    if (what != chosen || count != chosen_at)
        return false;
    errno = reason;
    return true;
}

#define REAL(result, name, parameters)                                                             \
    result __real_##name parameters;                                                               \
    result __wrap_##name parameters;                                                               \
    result __wrap_##name parameters

/* ---- Memory -------------------------------------------------------------------------------- */

REAL(void *, malloc, (size_t size)) {
    return fails(ALLOCATION, ENOMEM) ? NULL : __real_malloc(size);
}

REAL(void *, calloc, (size_t count, size_t size)) {
    return fails(ALLOCATION, ENOMEM) ? NULL : __real_calloc(count, size);
}

REAL(void *, realloc, (void *block, size_t size)) {
    return fails(ALLOCATION, ENOMEM) ? NULL : __real_realloc(block, size);
}

REAL(void *, aligned_alloc, (size_t alignment, size_t size)) {
    return fails(ALLOCATION, ENOMEM) ? NULL : __real_aligned_alloc(alignment, size);
}

REAL(char *, strdup, (const char *text)) {
    return fails(ALLOCATION, ENOMEM) ? NULL : __real_strdup(text);
}

REAL(char *, strndup, (const char *text, size_t most)) {
    return fails(ALLOCATION, ENOMEM) ? NULL : __real_strndup(text, most);
}

REAL(FILE *, open_memstream, (char **text, size_t *size)) {
    return fails(ALLOCATION, ENOMEM) ? NULL : __real_open_memstream(text, size);
}

REAL(void *, mmap, (void *at, size_t size, int access, int flags, int descriptor, off_t offset)) {
    return fails(MAP, ENOMEM) ? MAP_FAILED
                              : __real_mmap(at, size, access, flags, descriptor, offset);
}

/* ---- Threads ------------------------------------------------------------------------------- */

REAL(int, pthread_create,
     (pthread_t * thread, const pthread_attr_t *attributes, void *(*work)(void *),
      void *argument)) {
    return fails(THREAD, EAGAIN) ? EAGAIN
                                 : __real_pthread_create(thread, attributes, work, argument);
}

/* ---- Recording ----------------------------------------------------------------------------- */

static void note(const char *format, ...) {
    char line[8192];
    va_list values;
    va_start(values, format);
    int length = vsnprintf(line, sizeof line, format, values);
    va_end(values);
    if (record >= 0 && write(record, line, (size_t)length) != length)
        abort();
}

/* ---- Files --------------------------------------------------------------------------------- */

static bool is_written(int flags) {
    return (flags & O_ACCMODE) != O_RDONLY;
}

int __real_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...);
int __wrap_open(const char *path, int flags, ...) {
    va_list values;
    va_start(values, flags);
    mode_t mode = flags & O_CREAT ? va_arg(values, mode_t) : 0;
    va_end(values);
    if (fails(OPEN, EMFILE))
        return -1;
    int descriptor = __real_open(path, flags, mode);
    if (descriptor >= 0 && is_written(flags))
        note("open %d %d %s\n", descriptor, flags & O_TRUNC ? 1 : 0, path);
    if (descriptor >= 0 && flags & O_DIRECTORY)
        note("folder %d %s\n", descriptor, path);
    return descriptor;
}

REAL(FILE *, fopen, (const char *path, const char *mode)) {
    return fails(OPEN, EMFILE) ? NULL : __real_fopen(path, mode);
}

REAL(DIR *, opendir, (const char *path)) {
    return fails(OPEN, EMFILE) ? NULL : __real_opendir(path);
}

REAL(ssize_t, read, (int descriptor, void *bytes, size_t count)) {
    return fails(READ, EIO) ? -1 : __real_read(descriptor, bytes, count);
}

REAL(ssize_t, pread, (int descriptor, void *bytes, size_t count, off_t offset)) {
    return fails(READ, EIO) ? -1 : __real_pread(descriptor, bytes, count, offset);
}

REAL(ssize_t, write, (int descriptor, const void *bytes, size_t count)) {
    if (descriptor != record && descriptor != record_data && fails(WRITE, ENOSPC))
        return -1;
    ssize_t written = __real_write(descriptor, bytes, count);
    if (written > 0 && record >= 0 && descriptor > STDERR_FILENO && descriptor != record) {
        note("write %d %zd\n", descriptor, written);
        if (__real_write(record_data, bytes, (size_t)written) != written)
            abort();
    }
    return written;
}

/* A stream is full when its buffer goes out at the end. */
REAL(int, fclose, (FILE * file)) {
    bool full = fails(WRITE, ENOSPC);
    int result = __real_fclose(file);
    if (!full)
        return result;
    errno = ENOSPC;
    return EOF;
}

REAL(int, fflush, (FILE * file)) {
    return fails(WRITE, ENOSPC) ? EOF : __real_fflush(file);
}

REAL(int, rename, (const char *from, const char *to)) {
    if (fails(RENAME, EIO))
        return -1;
    int result = __real_rename(from, to);
    if (result == 0)
        note("rename %s\n%s\n", from, to);
    return result;
}

REAL(int, unlink, (const char *path)) {
    int result = __real_unlink(path);
    if (result == 0)
        note("unlink %s\n", path);
    return result;
}

REAL(int, fsync, (int descriptor)) {
    if (fails(SYNC, EIO))
        return -1;
    int result = __real_fsync(descriptor);
    if (result == 0)
        note("sync %d\n", descriptor);
    return result;
}

REAL(int, close, (int descriptor)) {
    int result = __real_close(descriptor);
    if (result == 0)
        note("close %d\n", descriptor);
    return result;
}

/* ---- The wishes ---------------------------------------------------------------------------- */

static int open_record(const char *path, const char *ending) {
    char name[4096];
    (void)snprintf(name, sizeof name, "%s%s", path, ending);
    return __real_open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, MODE);
}

static void read_wishes(void) __attribute__((constructor));
static void read_wishes(void) {
    const char *wish = getenv("FAULTS_KIND"), *at = getenv("FAULTS_AT");
    const char *path = getenv("FAULTS_RECORD");
    cJSON_Hooks hooks = {__wrap_malloc, free};
    cJSON_InitHooks(&hooks);
    for (int i = 0; wish != NULL && i < KINDS; i++)
        if (strcmp(wish, names[i]) == 0)
            chosen = (kind)i;
    chosen_at = at != NULL ? strtoul(at, NULL, 10) : 0;
    if (path != NULL) {
        record_data = open_record(path, ".data");
        record = open_record(path, "");
    }
}

static void tell_counts(void) __attribute__((destructor));
static void tell_counts(void) {
    const char *path = getenv("FAULTS_COUNTS");
    FILE *file = path != NULL ? __real_fopen(path, "w") : NULL;
    for (int i = 0; file != NULL && i < KINDS; i++)
        (void)fprintf(file, "%s %lu\n", names[i], atomic_load(&counts[i]));
    if (file != NULL)
        (void)__real_fclose(file);
}
