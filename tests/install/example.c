/* SPDX-License-Identifier: Apache-2.0 */
/* The C API from end to end: how surprising are some images to a model, on which scale, and are
 * they exactly recoverable from their latents?
 *
 *     cc example.c $(pkg-config --cflags --libs outflow) -lm -o example
 *     ./example [MODEL.safetensors [SOURCE]]
 *
 * Without a model it makes a random one, so it runs without any data. */
#include <outflow/outflow.h>

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

enum { IMAGES = 8 };

/* Reads a model, or makes one with random weights. */
static of_status open_model(const char *path, of_model **model, of_error *error) {
    if (path != NULL)
        return of_model_load(path, model, error);
    of_architecture architecture = of_architecture_default();
    architecture.steps = 2;
    architecture.hidden = 16;
    return of_model_create(&architecture, 1, model, error);
}

/* Prints each image's bits per dimension and the contribution of every scale, in nats. */
static void print_scores(const of_architecture *architecture, const of_source_batch *images,
                         const double *logp, const double *contributions) {
    uint32_t scales = of_architecture_scale_count(architecture);
    for (size_t i = 0; i < images->count; i++) {
        printf("%-12s %-10s %8.4f bits/dim ", images->items[i].path, images->items[i].label,
               of_bits_per_dim(architecture, logp[i]));
        for (uint32_t s = 0; s < scales; s++)
            printf("  scale %u: %10.2f", (unsigned)s, contributions[i * scales + s]);
        putchar('\n');
    }
}

/* Largest difference between the images and what their latents give back, in grey levels. */
static double largest_error(const uint8_t *pixels, const float *restored, size_t values) {
    double largest = 0;
    for (size_t i = 0; i < values; i++)
        largest = fmax(largest, fabs(pixels[i] - 255.0 * (double)restored[i]));
    return largest;
}

/* Scores one batch of bytes and runs its latents back to images. */
static of_status score(of_session *session, const of_source_batch *images, of_error *error) {
    const of_architecture *architecture = of_plan_architecture(of_session_plan(session));
    size_t dimensions = of_architecture_dimensions(architecture);
    size_t values = images->count * dimensions;
    size_t scales = of_architecture_scale_count(architecture);
    double logp[IMAGES];
    double *contributions = malloc(images->count * scales * sizeof *contributions);
    float *latents = malloc(values * sizeof *latents);
    float *restored = malloc(values * sizeof *restored);
    of_status status = OF_ERROR_MEMORY;
    if (contributions != NULL && latents != NULL && restored != NULL) {
        of_batch batch = {OF_PIXEL_U8, images->pixels, images->count};
        of_likelihoods out = {.logp = logp, .contributions = contributions, .latents = latents};
        status = of_session_forward(session, &batch, &out, error);
        if (status == OF_OK)
            status = of_session_inverse(session, latents, images->count, restored, error);
        if (status == OF_OK) {
            print_scores(architecture, images, logp, contributions);
            printf("restored from the latents within %.2g grey levels\n",
                   largest_error(images->pixels, restored, values));
        }
    }
    free(contributions);
    free(latents);
    free(restored);
    return status;
}

int main(int argc, char **argv) {
    of_error error = {.message = "out of memory"};
    of_model *model = NULL;
    of_plan *plan = NULL;
    of_session *session = NULL;
    of_plan_options plan_options = of_plan_options_default();
    of_source *source = NULL;
    of_source_batch images = {0};

    of_status status = open_model(argc > 1 ? argv[1] : NULL, &model, &error);
    plan_options.inverse = true;
    if (status == OF_OK)
        status = of_plan_compile(model, &plan_options, &plan, &error);
    if (status == OF_OK)
        status = of_session_create(plan, 0, &session, &error);
    if (status == OF_OK) {
        of_source_options options = of_source_options_default(of_plan_architecture(plan));
        options.limit = IMAGES;
        status = of_source_open(argc > 2 ? argv[2] : "synthetic:shapes", &options, &source, &error);
    }
    if (status == OF_OK)
        status = of_source_next(source, IMAGES, &images, &error);
    if (status == OF_OK)
        status = score(session, &images, &error);

    of_source_free(source);
    of_session_free(session);
    of_plan_free(plan);
    of_model_free(model);
    if (status != OF_OK)
        fprintf(stderr, "%s: %s\n", of_status_name(status), error.message);
    return status == OF_OK ? EXIT_SUCCESS : EXIT_FAILURE;
}
