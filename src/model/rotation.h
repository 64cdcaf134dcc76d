/* SPDX-License-Identifier: Apache-2.0 */
/* Random rotations and permutations. */
#ifndef OF_MODEL_ROTATION_H
#define OF_MODEL_ROTATION_H

#include "core/random.h"

#include <outflow/outflow.h>

/* 0..n-1 in random order (Fisher and Yates); returns the sign of the permutation, 1 or -1. */
int of_random_permutation(of_random *random, size_t n, size_t *order);

/* A random orthogonal matrix [n][n] of determinant 1. Up to n = 512 it is uniform (Haar measure).
 * Above, three rounds of random block rotations between random permutations make it: orthogonal,
 * every output depends on every input, and n^3 work is avoided. */
of_status of_random_rotation(of_random *random, size_t n, double *matrix, of_error *error);

#endif
