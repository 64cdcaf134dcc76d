/* SPDX-License-Identifier: Apache-2.0 */
#ifndef OF_CORE_CLOCK_H
#define OF_CORE_CLOCK_H

/* Monotonic seconds. */
double of_seconds(void);

#endif
