/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_CORE_CLOCK_H
#define OF_CORE_CLOCK_H

#include <outflow/outflow.h> /* of_seconds */

#endif
