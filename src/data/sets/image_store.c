/* SPDX-License-Identifier: Apache-2.0 */
#define _XOPEN_SOURCE 700
#include "data/sets/image_store.h"

#include "core/error.h"
#include "core/memory.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

of_image_store of_image_store_open(size_t cap) {
    return (of_image_store){.cap = cap, .descriptor = -1};
}

static of_status write_all(const of_image_store *store, const uint8_t *bytes, size_t size,
                           of_error *error) {
    while (size > 0) {
        ssize_t written = write(store->descriptor, bytes, size);
        if (written < 0 && errno == EINTR)
            continue;
        if (written < 0)
            return of_fail_setting(
                error, OF_ERROR_IO, "cache_bytes",
                "cannot keep decoded images in a temporary file: %s; raise the cache, or "
                "point TMPDIR to a larger disk",
                strerror(errno));
        bytes += written;
        size -= (size_t)written;
    }
    return OF_OK;
}

/* The file loses its name at once, so that nothing is left behind whatever happens. */
static of_status create_file(of_image_store *store, of_error *error) {
    const char *folder = getenv("TMPDIR");
    char name[4096];
    (void)snprintf(name, sizeof name, "%s/outflow-images-XXXXXX",
                   folder != NULL && *folder != '\0' ? folder : "/var/tmp");
    store->descriptor = mkstemp(name);
    if (store->descriptor < 0)
        return of_fail_setting(
            error, OF_ERROR_IO, "cache_bytes",
            "decoded images exceed the cache of %zu bytes, and %s cannot be created: "
            "%s; raise the cache, or set TMPDIR",
            store->cap, name, strerror(errno));
    (void)unlink(name);
    return OF_OK;
}

static of_status move_to_file(of_image_store *store, of_error *error) {
    of_status status = create_file(store, error);
    if (status == OF_OK)
        status = write_all(store, store->bytes, store->size, error);
    free(store->bytes);
    store->bytes = NULL;
    store->capacity = 0;
    return status;
}

static of_status reserve(of_image_store *store, size_t size, of_error *error) {
    if (size <= store->capacity)
        return OF_OK;
    size_t capacity = store->capacity + (store->capacity >> 1);
    capacity = capacity < size ? size : capacity > store->cap ? store->cap : capacity;
    uint8_t *bytes = realloc(store->bytes, capacity);
    if (bytes == NULL)
        return of_fail_memory(error, "decoded images");
    store->bytes = bytes;
    store->capacity = capacity;
    return OF_OK;
}

of_status of_image_store_append(of_image_store *store, const void *bytes, size_t size,
                                of_error *error) {
    size_t end;
    of_status status = OF_OK;
    if (!of_add(store->size, size, &end))
        return of_fail_memory(error, "decoded images");
    if (store->descriptor < 0 && end > store->cap)
        status = move_to_file(store, error);
    if (status == OF_OK && store->descriptor >= 0) {
        status = write_all(store, bytes, size, error);
    } else if (status == OF_OK && (status = reserve(store, end, error)) == OF_OK) {
        memcpy(store->bytes + store->size, bytes, size);
    }
    if (status == OF_OK)
        store->size = end;
    return status;
}

of_status of_image_store_close(of_image_store *store, of_error *error) {
    if (store->descriptor < 0) {
        uint8_t *bytes = store->size > 0 ? realloc(store->bytes, store->size) : NULL;
        store->bytes = bytes != NULL ? bytes : store->bytes;
        return OF_OK;
    }
    void *mapping = mmap(NULL, store->size, PROT_READ, MAP_SHARED, store->descriptor, 0);
    if (mapping == MAP_FAILED)
        return of_fail_io(error, errno, "cannot map the decoded images: %s", strerror(errno));
    store->bytes = mapping;
    return OF_OK;
}

void of_image_store_free(of_image_store *store) {
    if (store->descriptor < 0) {
        free(store->bytes);
    } else {
        if (store->bytes != NULL)
            (void)munmap(store->bytes, store->size);
        (void)close(store->descriptor);
    }
    *store = (of_image_store){.descriptor = -1};
}
