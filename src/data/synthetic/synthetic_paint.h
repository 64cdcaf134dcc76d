/* SPDX-License-Identifier: Apache-2.0 */
/* The painters behind the synthetic kinds. Each paints the whole canvas. */
#ifndef OF_DATA_SYNTHETIC_SYNTHETIC_PAINT_H
#define OF_DATA_SYNTHETIC_SYNTHETIC_PAINT_H

#include "data/synthetic/canvas.h"

enum { OF_SHAPE_CLASSES = 10, OF_DIGIT_CLASSES = 10 };

/* "disc", "square" and so on. */
const char *of_shape_name(uint32_t shape);

/* Overlapping regions of textured, shaded colour. */
void of_paint_scene(of_canvas *canvas, of_random *random);

/* An object of a class before a scene. */
void of_paint_shape(of_canvas *canvas, uint32_t shape, of_random *random);

/* A smooth gradient. */
void of_paint_gradient(of_canvas *canvas, of_random *random);

/* An outlined digit before a smooth gradient. */
void of_paint_digit(of_canvas *canvas, uint32_t digit, of_random *random);

void of_paint_stripes(of_canvas *canvas, of_random *random);
void of_paint_flat(of_canvas *canvas, of_random *random);

#endif
