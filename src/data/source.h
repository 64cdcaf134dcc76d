/* SPDX-License-Identifier: Apache-2.0 */
/* Sources over readers, for what lies above this layer and for tests. */
#ifndef OF_DATA_SOURCE_H
#define OF_DATA_SOURCE_H

#include "data/formats/reader.h"

/* The limits and the size that a source with these options works to; checks the options. */
of_status of_source_target(const of_source_options *options, of_target *target, of_error *error);

/* A source over a reader, which it owns from here on, also on failure. */
of_status of_source_from_reader(of_reader *reader, const of_source_options *options,
                                of_source **source, of_error *error);

/* of_source_expected without regard to a limit. */
uint64_t of_source_total(const of_source *source);

#endif
