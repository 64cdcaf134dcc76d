/* SPDX-License-Identifier: Apache-2.0 */
/* The chain rule from folded weights to stored parameters, in double, once a batch. G is the sum
 * of dL/dlogp over all units, which constant log-determinants see. The sums of a step are moved
 * aside and the gradients of its parameters take their place. */
#include "core/memory.h"
#include "graph/training.h"
#include "model/matrix.h"
#include "model/mixing.h"

#include <math.h>
#include <omp.h>
#include <string.h>

typedef struct target {
    const of_training_plan *training;
    const of_plan *plan;
    const of_model *model;
    const of_lane *lane;
    const float *sums; /* of the step, or of the scale's priors */
} target;

static float *gradient_of(const target *t, int parameter) {
    if (parameter < 0 || t->model->parameters[parameter].kind != OF_PARAMETER_TRAINED)
        return NULL;
    return t->lane->block + t->training->places[parameter];
}

/* Moves the sums at `place` of the block to `sums`, and clears their place. */
static void move_sums(const of_lane *lane, size_t place, size_t floats, size_t room, float *sums) {
    memcpy(sums, lane->block + place, floats * sizeof(float));
    memset(lane->block + place, 0, room * sizeof(float));
}

/* ---- Layers: w' = f w, b' = f b with f = exp(factor * log_scale) --------------------------- */

typedef struct layer_target {
    float *g_weights, *g_shift, *g_log_scale; /* of the parameters; log_scale may be NULL */
    const float *weights, *shift, *log_scale;
    double log_factor;
    size_t inputs, outputs, taps;
    /* place of W'[o][i][t] in the folded gradient: o*out_step + i*in_step + t*tap_step */
    size_t out_step, in_step, tap_step;
} layer_target;

static void unfold_layer(const layer_target *l, const float *g_folded, const float *g_bias,
                         size_t o, size_t source) {
    double factor = l->log_scale ? exp(l->log_factor * (double)l->log_scale[source]) : 1;
    double g_shift = (double)g_bias[o];
    double g_factor = g_shift * (double)l->shift[source];
    for (size_t i = 0; i < l->inputs; i++)
        for (size_t t = 0; t < l->taps; t++) {
            size_t place = (source * l->inputs + i) * l->taps + t;
            double g = (double)g_folded[o * l->out_step + i * l->in_step + t * l->tap_step];
            l->g_weights[place] += (float)(g * factor);
            g_factor += g * (double)l->weights[place];
        }
    l->g_shift[source] += (float)(g_shift * factor);
    if (l->g_log_scale != NULL)
        l->g_log_scale[source] += (float)(l->log_factor * factor * g_factor);
}

static layer_target describe_layer(const target *t, uint32_t s, uint32_t k, int layer) {
    const of_step_parameters *p = &t->model->scales[s].steps[k];
    const of_scale_plan *scale = &t->plan->scales[s];
    bool dense = t->plan->architecture.block == OF_BLOCK_DENSE;
    const int weights[] = {dense ? p->fc1_weight : p->conv1_weight,
                           dense ? p->fc2_weight : p->conv2_weight,
                           dense ? p->fc3_weight : p->conv3_weight};
    const int shifts[] = {dense ? p->fc1_bias : p->conv1_loc, dense ? p->fc2_bias : p->conv2_loc,
                          dense ? p->fc3_bias : p->conv3_bias};
    const int log_scales[] = {p->conv1_log_scale, p->conv2_log_scale, p->conv3_log_scale};
    size_t hidden = t->plan->architecture.hidden, padded = t->plan->hidden;
    layer_target l = {
        .g_weights = gradient_of(t, weights[layer]),
        .g_shift = gradient_of(t, shifts[layer]),
        .g_log_scale = gradient_of(t, log_scales[layer]),
        .weights = of_model_values(t->model, weights[layer]),
        .shift = of_model_values(t->model, shifts[layer]),
        .log_scale = of_model_values(t->model, log_scales[layer]),
        .log_factor = layer == OF_LAYER_LAST ? 3 : 1,
        .inputs = layer == OF_LAYER_FIRST ? scale->half : hidden,
        .outputs = layer == OF_LAYER_LAST ? scale->outputs : hidden,
        .taps = dense || layer == OF_LAYER_MIDDLE ? 1 : 9,
        .out_step = padded,
        .in_step = 1,
    };
    if (layer == OF_LAYER_FIRST) { /* [o][t*half + i] */
        l.out_step = scale->gather_stride;
        l.tap_step = scale->half;
    } else if (layer == OF_LAYER_LAST) { /* [t*N + o][i] */
        l.tap_step = scale->outputs * padded;
    }
    return l;
}

static void unfold_network(const target *t, uint32_t s, uint32_t k) {
    const of_gradient_layout *layout = &t->training->layouts[s];
    const float *block = t->sums;
    for (int layer = OF_LAYER_FIRST; layer <= OF_LAYER_LAST; layer++) {
        layer_target l = describe_layer(t, s, k, layer);
        for (size_t o = 0; o < l.outputs; o++) {
            size_t source =
                layer == OF_LAYER_LAST
                    ? of_convolution_source(of_step_layer(t->plan, &t->plan->scales[s], k, layer),
                                            (uint32_t)o)
                    : o;
            unfold_layer(&l, block + layout->weights[layer], block + layout->layer_bias[layer], o,
                         source);
        }
    }
}

/* ---- Maps: A = W diag(e^ls), b = A loc ---------------------------------------------------- */

/* Work space for one step: n*n matrices. */
typedef struct map_buffers {
    double *w, *g, *a, *b, *c;
} map_buffers;

/* W = P L' U' with L' = L + I, U' = U + diag(sign e^ld): g_L' = P^T g U'^T, g_U' = (P L')^T g. */
static void unfold_lu(const target *t, const of_step_parameters *p, size_t n, double weight,
                      map_buffers *m) {
    const float *permutation = of_model_values(t->model, p->permutation);
    const float *lower = of_model_values(t->model, p->lower);
    const float *upper = of_model_values(t->model, p->upper);
    const float *sign = of_model_values(t->model, p->sign);
    const float *log_diag = of_model_values(t->model, p->log_diag);
    float *g_lower = gradient_of(t, p->lower), *g_upper = gradient_of(t, p->upper);
    float *g_log_diag = gradient_of(t, p->log_diag);
    /* a = P^T g (rows of g in the order of P), b = U'^T, c = L'^T */
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < n; j++) {
            if (permutation[i * n + j] != 0)
                memcpy(m->a + j * n, m->g + i * n, n * sizeof(double));
            double diagonal = (double)sign[j] * exp((double)log_diag[j]);
            double u = j < i ? (double)upper[j * n + i] : i == j ? diagonal : 0;
            double l = j > i ? (double)lower[j * n + i] : i == j ? 1 : 0;
            m->b[i * n + j] = u;
            m->c[i * n + j] = l;
        }
    of_matrix_multiply(m->a, m->b, n, m->w);
    for (size_t i = 0; i < n; i++)
        for (size_t j = 0; j < i; j++)
            g_lower[i * n + j] += (float)m->w[i * n + j];
    of_matrix_multiply(m->c, m->a, n, m->w);
    for (size_t i = 0; i < n; i++) {
        double diagonal = (double)sign[i] * exp((double)log_diag[i]);
        g_log_diag[i] += (float)(m->w[i * n + i] * diagonal + weight);
        for (size_t j = i + 1; j < n; j++)
            g_upper[i * n + j] += (float)m->w[i * n + j];
    }
}

/* d log|det W| / dW = W^-T. */
static of_status unfold_plain(const target *t, const of_step_parameters *p, size_t n, double weight,
                              map_buffers *m, of_error *error) {
    float *g_weight = gradient_of(t, p->weight);
    of_status status = of_matrix_inverse(m->w, n, m->a, error);
    for (size_t i = 0; status == OF_OK && i < n; i++)
        for (size_t j = 0; j < n; j++)
            g_weight[i * n + j] += (float)(m->g[i * n + j] + weight * m->a[j * n + i]);
    return status;
}

static of_status unfold_map(const target *t, uint32_t s, uint32_t k, map_buffers *m,
                            of_error *error) {
    const of_step_parameters *p = &t->model->scales[s].steps[k];
    const of_gradient_layout *layout = &t->training->layouts[s];
    const float *g_a = t->sums + layout->matrix, *g_b = t->sums + layout->bias;
    const float *loc = of_model_values(t->model, p->actnorm_loc);
    const float *log_scale = of_model_values(t->model, p->actnorm_log_scale);
    float *g_loc = gradient_of(t, p->actnorm_loc);
    float *g_log_scale = gradient_of(t, p->actnorm_log_scale);
    size_t n = t->plan->scales[s].channels;
    double weight = t->lane->logp_gradient * t->plan->scales[s].positions;
    of_status status = of_mixing_matrix(t->model, s, k, m->w, NULL, error);
    if (status != OF_OK)
        return status;
    for (size_t c = 0; c < n; c++) {
        double factor = exp((double)log_scale[c]), loc_sum = 0, scale_sum = 0;
        for (size_t r = 0; r < n; r++) {
            double a = m->w[r * n + c] * factor;
            double g = (double)g_a[r * n + c] + (double)g_b[r] * (double)loc[c];
            loc_sum += a * (double)g_b[r];
            scale_sum += a * g;
            m->g[r * n + c] = g * factor;
        }
        g_loc[c] += (float)loc_sum;
        g_log_scale[c] += (float)(scale_sum + weight);
    }
    if (p->log_diag >= 0)
        unfold_lu(t, p, n, weight, m);
    else if (p->weight >= 0 && t->model->parameters[p->weight].kind == OF_PARAMETER_TRAINED)
        return unfold_plain(t, p, n, weight, m, error);
    return OF_OK;
}

/* ---- Priors: z = e^ls (x + loc) ----------------------------------------------------------- */

static void unfold_prior(const target *t, uint32_t s) {
    const of_scale_plan *scale = &t->plan->scales[s];
    const of_gradient_layout *layout = &t->training->layouts[s];
    const float *g_scale = t->sums + layout->prior_scale;
    const float *g_shift = t->sums + layout->prior_shift;
    float *g_loc = gradient_of(t, t->model->scales[s].prior_loc);
    float *g_log_scale = gradient_of(t, t->model->scales[s].prior_log_scale);
    for (size_t i = 0; i < scale->shape.latents; i++) {
        size_t place = of_latent_place(scale, i);
        double a = (double)of_scale_latents(scale)->density.scale[place],
               b = (double)of_scale_latents(scale)->density.shift[place];
        g_loc[i] += (float)(a * (double)g_shift[place]);
        g_log_scale[i] += (float)(a * (double)g_scale[place] + b * (double)g_shift[place] +
                                  t->lane->logp_gradient);
    }
}

/* a = e^(ls - lstd), b = (e^ls loc - mean) e^-lstd. */
static void unfold_class(const target *t, uint32_t s, size_t c) {
    const of_scale_plan *scale = &t->plan->scales[s];
    const of_gradient_layout *layout = &t->training->layouts[s];
    const of_class_parameters *p = &t->model->classes[c * t->plan->scale_count + s];
    const float *log_std = of_model_values(t->model, p->log_std);
    const float *loc = of_model_values(t->model, p->loc);
    float *g_loc = gradient_of(t, p->loc), *g_log_scale = gradient_of(t, p->log_scale);
    float *g_mean = gradient_of(t, p->mean), *g_log_std = gradient_of(t, p->log_std);
    double weight = t->lane->class_gradients[c];
    for (size_t i = 0; i < scale->shape.latents; i++) {
        size_t place = c * scale->shape.latents + of_latent_place(scale, i);
        double g_a = (double)t->sums[layout->class_scale + place];
        double g_b = (double)t->sums[layout->class_shift + place];
        double a = (double)of_scale_latents(scale)->density.class_scale[place],
               b = (double)of_scale_latents(scale)->density.class_shift[place];
        g_loc[i] += (float)(a * g_b);
        g_log_scale[i] += (float)(a * g_a + a * (double)loc[i] * g_b + weight);
        g_mean[i] -= (float)(g_b * exp(-(double)log_std[i]));
        g_log_std[i] -= (float)(a * g_a + b * g_b + weight);
    }
}

/* ---- All ---------------------------------------------------------------------------------- */

static of_status unfold_steps(const target *all, uint32_t s, of_error *error) {
    const of_training_plan *training = all->training;
    const of_gradient_layout *layout = &training->layouts[s];
    size_t n = all->plan->scales[s].channels;
    uint32_t steps = all->plan->architecture.steps;
    of_error first_error = {0};
    omp_lock_t lock; /* a critical section would leave a symbol in the library */
    omp_init_lock(&lock);
#pragma omp parallel num_threads(training->buffer_count)
    {
        float *sums = training->buffers[omp_get_thread_num()].sums;
        target t = *all;
        t.sums = sums;
        of_error mine = {0};
        of_status status = OF_OK;
        double *memory = of_allocate(5 * n * n, sizeof(double));
        if (memory == NULL)
            status = of_fail_memory(&mine, "gradients of channel mixing");
        map_buffers m = {memory, memory + n * n, memory + 2 * n * n, memory + 3 * n * n,
                         memory + 4 * n * n};
#pragma omp for schedule(dynamic, 1)
        for (uint32_t k = 0; k < steps; k++) {
            move_sums(t.lane, layout->steps + k * layout->step_room, layout->step_floats,
                      layout->step_room, sums);
            if (status == OF_OK)
                status = unfold_map(&t, s, k, &m, &mine);
            if (status == OF_OK)
                unfold_network(&t, s, k);
        }
        of_free(memory);
        if (status != OF_OK) {
            omp_set_lock(&lock);
            first_error = mine;
            omp_unset_lock(&lock);
        }
    }
    omp_destroy_lock(&lock);
    return first_error.status == OF_OK ? OF_OK : of_error_copy(error, &first_error);
}

static void unfold_priors(const target *all, uint32_t s) {
    const of_training_plan *training = all->training;
    const of_gradient_layout *layout = &training->layouts[s];
    float *sums = training->buffers[0].sums;
    target t = *all;
    t.sums = sums;
    move_sums(t.lane, layout->priors, layout->prior_floats, layout->prior_room, sums);
    unfold_prior(&t, s);
    for (size_t c = 0; c < t.plan->architecture.classes; c++)
        unfold_class(&t, s, c);
}

of_status of_unfold_gradients(const of_training_plan *training, const of_model *model,
                              of_error *error) {
    const target t = {training, training->plan, model, &training->lane[0], NULL};
    for (uint32_t s = 0; s < training->plan->scale_count; s++) {
        of_status status = unfold_steps(&t, s, error);
        if (status != OF_OK)
            return status;
        unfold_priors(&t, s);
    }
    return OF_OK;
}
