/* SPDX-License-Identifier: Apache-2.0 */
#include "detect/picture.h"

#include "core/error.h"
#include "core/memory.h"

#include <math.h>
#include <string.h>

enum { GAP = 8, GAP_SHADE = 255 };

/* ---- Colours ------------------------------------------------------------------------------ */

/* A colour in OKLab, where equal distances look alike (Ottosson 2020). */
typedef struct lab {
    double l, a, b;
} lab;

static double from_srgb(double v) {
    return v <= 0.04045 ? v / 12.92 : pow((v + 0.055) / 1.055, 2.4);
}

static uint8_t to_srgb(double v) {
    double s = v <= 0.0031308 ? 12.92 * v : 1.055 * pow(v, 1 / 2.4) - 0.055;
    return (uint8_t)lrint(255 * fmin(fmax(s, 0), 1));
}

static void lab_to_srgb(lab colour, uint8_t rgb[3]) {
    double l = colour.l + 0.3963377774 * colour.a + 0.2158037573 * colour.b;
    double m = colour.l - 0.1055613458 * colour.a - 0.0638541728 * colour.b;
    double s = colour.l - 0.0894841775 * colour.a - 1.2914855480 * colour.b;
    l = l * l * l;
    m = m * m * m;
    s = s * s * s;
    rgb[0] = to_srgb(4.0767416621 * l - 3.3077115913 * m + 0.2309699292 * s);
    rgb[1] = to_srgb(-1.2684380046 * l + 2.6097574011 * m - 0.3413193965 * s);
    rgb[2] = to_srgb(-0.0041960863 * l - 0.7034186147 * m + 1.7076147010 * s);
}

/* The ends of the scale of heat: orange, and blue of the same lightness, which also people who do
 * not tell red from green tell apart. */
static const lab hottest = {0.70, 0.115, 0.130}, coldest = {0.70, -0.050, -0.150};

/* Lightness `grey` of the image below, coloured by relative heat: more heat, more colour and less
 * of the image. */
static void blend(double grey, double relative, uint8_t rgb[3]) {
    double strength = fmin(fabs(relative), 1);
    const lab *end = relative > 0 ? &hottest : &coldest;
    double image = 1 - 0.65 * strength;
    lab_to_srgb((lab){grey * image + end->l * (1 - image), end->a * strength, end->b * strength},
                rgb);
}

void of_picture_colour(double relative, uint8_t colour[3]) {
    blend(0.5, relative, colour);
}

/* Lightness of a pixel, its contrast halved so that colours show in dark and light places. */
static double lightness(const uint8_t *pixel, uint32_t channels) {
    static const double weights[3] = {0.2126, 0.7152, 0.0722};
    double y = 0;
    for (int c = 0; c < 3; c++)
        y += weights[c] * from_srgb(pixel[channels == 3 ? c : 0] / 255.0);
    return 0.25 + 0.5 * cbrt(y);
}

/* ---- Pictures ----------------------------------------------------------------------------- */

uint32_t of_picture_factor(uint32_t height, uint32_t width, uint32_t side) {
    uint32_t longer = height > width ? height : width;
    return side > longer && longer > 0 ? side / longer : 1;
}

static of_status allocate(size_t height, size_t width, of_picture *picture, of_error *error) {
    size_t size;
    *picture = (of_picture){.height = (uint32_t)height, .width = (uint32_t)width};
    bool fits = height <= INT32_MAX && width <= INT32_MAX && of_multiply(height, width, &size) &&
                of_multiply(size, 3, &size);
    picture->pixels = fits ? of_allocate(size, 1) : NULL;
    return picture->pixels != NULL ? OF_OK : of_fail_memory(error, "a picture");
}

void of_picture_free(of_picture *picture) {
    of_free(picture->pixels);
    picture->pixels = NULL;
}

/* Mean of block x block pixels (fewer at the edges). */
static of_status reduce(of_picture *picture, uint32_t block, of_error *error) {
    of_picture small;
    of_status status = allocate((picture->height + block - 1) / block,
                                (picture->width + block - 1) / block, &small, error);
    if (status != OF_OK)
        return status;
    for (size_t i = 0; i < (size_t)small.height * small.width * 3; i++) {
        size_t c = i % 3, left = i / 3 % small.width * block, top = i / 3 / small.width * block;
        uint64_t sum = 0, count = 0;
        for (size_t y = top; y < top + block && y < picture->height; y++)
            for (size_t x = left; x < left + block && x < picture->width; x++, count++)
                sum += picture->pixels[(y * picture->width + x) * 3 + c];
        small.pixels[i] = (uint8_t)(count > 0 ? (sum + count / 2) / count : 0);
    }
    of_picture_free(picture);
    *picture = small;
    return OF_OK;
}

static of_status enlarge(of_picture *picture, uint32_t factor, of_error *error) {
    of_picture large;
    of_status status =
        allocate((size_t)picture->height * factor, (size_t)picture->width * factor, &large, error);
    if (status != OF_OK)
        return status;
    for (size_t y = 0; y < large.height; y++)
        for (size_t x = 0; x < large.width; x++)
            memcpy(large.pixels + (y * large.width + x) * 3,
                   picture->pixels + (y / factor * picture->width + x / factor) * 3, 3);
    of_picture_free(picture);
    *picture = large;
    return OF_OK;
}

typedef void paint_pixel(const of_heated_image *image, size_t pixel, uint8_t rgb[3]);

static void paint_plain(const of_heated_image *image, size_t pixel, uint8_t rgb[3]) {
    for (uint32_t c = 0; c < 3; c++)
        rgb[c] = image->pixels[pixel * image->channels + (image->channels == 3 ? c : 0)];
}

/* What is not finite is in the strongest colour: it is most anomalous. */
static void paint_heat(const of_heated_image *image, size_t pixel, uint8_t rgb[3]) {
    double heat = image->heat[pixel];
    double relative = !isfinite(heat) ? 1 : image->limit > 0 ? heat / image->limit : 0;
    blend(lightness(image->pixels + pixel * image->channels, image->channels), relative, rgb);
}

static of_status paint(const of_heated_image *image, uint32_t factor, uint32_t most,
                       paint_pixel *painter, of_picture *picture, of_error *error) {
    uint32_t longer = image->height > image->width ? image->height : image->width;
    of_status status = allocate(image->height, image->width, picture, error);
    if (status != OF_OK)
        return status;
    for (size_t i = 0; i < (size_t)image->height * image->width; i++)
        painter(image, i, picture->pixels + 3 * i);
    if (longer > most)
        status = reduce(picture, (longer + most - 1) / most, error);
    else if (factor > 1)
        status = enlarge(picture, factor, error);
    if (status != OF_OK)
        of_picture_free(picture);
    return status;
}

of_status of_picture_plain(const of_heated_image *image, uint32_t factor, uint32_t most,
                           of_picture *picture, of_error *error) {
    return paint(image, factor, most, paint_plain, picture, error);
}

of_status of_picture_heat(const of_heated_image *image, uint32_t factor, uint32_t most,
                          of_picture *picture, of_error *error) {
    return paint(image, factor, most, paint_heat, picture, error);
}

of_status of_picture_join(const of_picture *left, const of_picture *right, of_picture *joined,
                          of_error *error) {
    of_status status =
        allocate(left->height, (size_t)left->width + GAP + right->width, joined, error);
    if (status != OF_OK)
        return status;
    memset(joined->pixels, GAP_SHADE, (size_t)joined->height * joined->width * 3);
    for (size_t y = 0; y < joined->height; y++) {
        uint8_t *row = joined->pixels + y * joined->width * 3;
        memcpy(row, left->pixels + y * left->width * 3, (size_t)left->width * 3);
        memcpy(row + ((size_t)left->width + GAP) * 3, right->pixels + y * right->width * 3,
               (size_t)right->width * 3);
    }
    return OF_OK;
}

of_status of_picture_encode(const of_picture *picture, uint8_t **bytes, size_t *size,
                            of_error *error) {
    return of_png_encode(picture->pixels, 3, picture->height, picture->width, bytes, size, error);
}
