/* SPDX-License-Identifier: Apache-2.0 */
#include "data/probe.h"

#include "core/error.h"
#include "core/memory.h"
#include "data/pixels/image.h"
#include "data/source.h"

#include <string.h>

enum { SYNTHETIC_SIDE = 32 };

/* Entries that cannot be read, or are no image, are passed over as training will. */
static bool shape_of(const of_entry *entry, const of_target *target, of_image_shape *shape) {
    switch (entry->content) {
    case OF_CONTENT_FILE:
        return of_image_shape_of(entry->bytes.data, entry->bytes.size, target, shape, NULL) ==
               OF_OK;
    case OF_CONTENT_PIXELS:
        *shape = (of_image_shape){entry->raster.channels < 3 ? 1 : 3, entry->raster.height,
                                  entry->raster.width};
        return true;
    case OF_CONTENT_SYNTHETIC:
        *shape = (of_image_shape){3, SYNTHETIC_SIDE, SYNTHETIC_SIDE};
        return true;
    case OF_CONTENT_UNREADABLE:
        break;
    }
    return false;
}

of_status of_probe_source(const char *spec, of_image_shape *shape, of_error *error) {
    of_source_options options = of_source_options_default(NULL);
    of_target target;
    of_reader *reader = NULL;
    of_entry *entry = NULL;
    bool end = false, found = false;
    if (strcmp(spec, "-") == 0)
        return of_fail(error, OF_ERROR_ARGUMENT,
                       "standard input cannot be looked at before it is read: give the images' "
                       "size and channels");
    of_status status = of_source_target(&options, &target, error);
    if (status == OF_OK)
        status = of_reader_open(spec, &target, 0, &reader, error);
    if (status == OF_OK && (entry = of_allocate_zeroed(1, sizeof *entry)) == NULL)
        status = of_fail_memory(error, "an image");
    while (status == OF_OK && !found && !end) {
        status = reader->next(reader, entry, &end, error);
        found = status == OF_OK && !end && shape_of(entry, &target, shape);
    }
    if (status == OF_OK && !found)
        status =
            of_fail(error, OF_ERROR_FORMAT, "%s: there is no image in it that can be read", spec);
    if (entry != NULL)
        of_entry_free(entry);
    of_free(entry);
    of_reader_close(reader);
    return status;
}
