/* SPDX-License-Identifier: Apache-2.0 */
/* Errors travel as an of_status with a one-line message: of_fail and its kin in outflow.h. */
#ifndef OF_CORE_ERROR_H
#define OF_CORE_ERROR_H

#include <outflow/outflow.h>

#endif
