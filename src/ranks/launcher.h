/* SPDX-License-Identifier: Apache-2.0 */
/* Whether a launcher has started several processes, and the module that speaks its MPI. */
#ifndef OF_RANKS_LAUNCHER_H
#define OF_RANKS_LAUNCHER_H

#include "ranks/transport.h"

#include <outflow/outflow.h>

typedef struct of_launcher of_launcher;

/* NULL: none, or one of a single process. */
const of_launcher *of_launcher_find(void);

/* Loads the first of its modules that there is, from `folder`, or where modules are built and
 * installed if it is NULL. The module stays loaded. */
of_status of_launcher_open(const of_launcher *launcher, const char *folder, of_transport *transport,
                           of_error *error);

#endif
