/* SPDX-License-Identifier: Apache-2.0 */
/* What is told of a run, at its start and at every log interval. */
#define _POSIX_C_SOURCE 200809L
#include "train/training_run.h"

#include "core/clock.h"
#include "core/error.h"
#include "core/memory.h"
#include "model/matrix.h"
#include "model/mixing.h"

#include <math.h>
#include <outflow/output.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* Wider mixing matrices are judged by their LU diagonal alone, which is a lower bound. */
enum { EXACT_WIDTH = 128 };

static const double log_2 = 0.6931471805599453;
static const double alarming_condition = 1e6;

void of_trainer_warn(const of_trainer *trainer, const char *format, ...) {
    char text[1200];
    va_list arguments;
    va_start(arguments, format);
    (void)vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    of_plain_text(text); /* files may be called anything; a warning is one line */
    if (trainer->observer->warn != NULL)
        trainer->observer->warn(trainer->observer->user, text);
}

double of_trainer_seconds(const of_trainer *trainer) {
    return trainer->state.figures.seconds + of_seconds() - trainer->started;
}

double of_trainer_time_passed(const of_trainer *trainer) {
    double minutes = trainer->options.minutes;
    if (of_trainer_is_split(trainer))
        return trainer->decisions.passed;
    return minutes > 0 ? of_trainer_seconds(trainer) / (60 * minutes) : 0;
}

/* The second number of the file, in pages. */
static size_t resident_bytes(void) {
    char line[256];
    size_t pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (file == NULL)
        return 0;
    if (fgets(line, sizeof line, file) != NULL)
        pages = strtoul(line + strcspn(line, " "), NULL, 10);
    (void)fclose(file);
    return pages * (size_t)sysconf(_SC_PAGESIZE);
}

/* ---- The log ------------------------------------------------------------------------------ */

/* Figures are not worth the run: it goes on without them, and tells at its end. */
static void give_up_log(of_trainer *trainer, const of_error *failure) {
    trainer->log_error = *failure;
    of_trainer_warn(trainer, "%s; training goes on without this log", failure->message);
}

static void resume_log(of_trainer *trainer) {
    of_error failure;
    if (of_run_log_resume(&trainer->log, trainer->state.counters.step, &failure) != OF_OK)
        give_up_log(trainer, &failure);
}

static void write_log(of_trainer *trainer, const of_train_report *report) {
    of_error failure;
    if (trainer->log_error.status == OF_OK &&
        of_run_log_write(&trainer->log, report, &failure) != OF_OK)
        give_up_log(trainer, &failure);
}

/* ---- The start ---------------------------------------------------------------------------- */

static size_t trained_values(const of_trainer *trainer) {
    size_t count = 0;
    for (size_t i = 0; i < trainer->optimizer.piece_count; i++)
        count += trainer->optimizer.pieces[i].count;
    return count;
}

static size_t in_memory(const of_dataset *dataset) {
    return dataset->in_file ? 0 : dataset->count * dataset->image_bytes;
}

void of_trainer_tell_start(of_trainer *trainer) {
    const of_trainer_settings *options = &trainer->options;
    const of_validation *validation = &trainer->validation;
    of_training_memory memory = of_training_memory_use(trainer->plan);
    of_plan_info plan = of_plan_describe(of_session_plan(of_training_session(trainer->plan)));
    char *architecture = of_architecture_print(&options->architecture);
    size_t blocks = 0u + (trainer->optimizer.average != NULL) + (trainer->best != NULL);
    of_train_start start = {
        .architecture = &options->architecture,
        .architecture_json = architecture != NULL ? architecture : "",
        .parameters = of_model_parameter_count(trainer->model),
        .trained = trained_values(trainer),
        .memory = {.weights = memory.weights,
                   .gradients = memory.gradients,
                   .activations = memory.activations,
                   .optimizer = blocks * trainer->model->value_bytes +
                                2 * of_trainer_shard_floats(trainer) * sizeof(float),
                   .kept_share = memory.kept_share},
        .data_bytes = in_memory(&trainer->data) + in_memory(&trainer->general_data),
        .threads = options->threads,
        .micro_batch = options->micro_batch,
        .ranks = of_communicator_size(options->communicator),
        .lanes = options->lanes,
        .isa = plan.isa,
        .precision = plan.precision,
        .images = trainer->data.count,
        .general_images = trainer->general_data.count,
        .valid_images = validation->set_count > 0 ? validation->sets[0].data.count : 0,
        .total_images = trainer->total_images,
        .resumed_step = trainer->state.counters.step,
        .resumed_images = trainer->state.counters.images,
        .total_seconds = 60 * options->minutes,
        .passed_seconds = of_trainer_seconds(trainer),
    };
    for (size_t i = 0; i < validation->set_count; i++)
        start.data_bytes += in_memory(&validation->sets[i].data);
    if (trainer->observer->started != NULL)
        trainer->observer->started(trainer->observer->user, &start);
    free(architecture);
    resume_log(trainer);
}

/* ---- Conditioning of the mixing matrices -------------------------------------------------- */

/* Largest sum of magnitudes in a column. */
static double norm_1(const double *matrix, size_t n) {
    double largest = 0;
    for (size_t column = 0; column < n; column++) {
        double sum = 0;
        for (size_t row = 0; row < n; row++)
            sum += fabs(matrix[row * n + column]);
        largest = sum > largest ? sum : largest;
    }
    return largest;
}

static double exact_condition(const of_model *model, uint32_t scale, uint32_t step, double *room) {
    size_t n = of_mixing_width(model, scale);
    double *matrix = room, *inverse = room + n * n;
    if (of_mixing_matrix(model, scale, step, matrix, NULL, NULL) != OF_OK ||
        of_matrix_inverse(matrix, n, inverse, NULL) != OF_OK)
        return (double)INFINITY;
    return norm_1(matrix, n) * norm_1(inverse, n);
}

/* Of the diagonal of an LU form; 0 where there is none. */
static double diagonal_condition(const of_model *model, uint32_t scale, uint32_t step) {
    int number = model->scales[scale].steps[step].log_diag;
    const float *log_diag = of_model_values(model, number);
    if (log_diag == NULL)
        return 0;
    float least = log_diag[0], most = log_diag[0];
    for (size_t i = 1; i < model->parameters[number].count; i++) {
        least = log_diag[i] < least ? log_diag[i] : least;
        most = log_diag[i] > most ? log_diag[i] : most;
    }
    return exp((double)most - (double)least);
}

/* The worst step's condition number in the 1-norm, and its place. */
static double worst_condition(const of_model *model, uint32_t *worst_scale, uint32_t *worst_step) {
    const of_architecture *architecture = &model->architecture;
    double worst = 0;
    *worst_scale = *worst_step = 0;
    if (architecture->permutation != OF_PERMUTATION_INVCONV)
        return 1;
    double *room = of_allocate((size_t)2 * EXACT_WIDTH * EXACT_WIDTH, sizeof *room);
    for (uint32_t s = 0; s < of_architecture_scale_count(architecture); s++)
        for (uint32_t k = 0; k < of_architecture_mixings(architecture); k++) {
            bool exact = room != NULL && of_mixing_width(model, s) <= EXACT_WIDTH;
            double condition =
                exact ? exact_condition(model, s, k, room) : diagonal_condition(model, s, k);
            if (condition > worst) {
                worst = condition;
                *worst_scale = s;
                *worst_step = k;
            }
        }
    of_free(room);
    return worst;
}

static double judge_mixing(const of_trainer *trainer) {
    uint32_t scale, step;
    double condition = worst_condition(trainer->model, &scale, &step);
    if (condition > alarming_condition)
        of_trainer_warn(trainer,
                        "the mixing matrix of scale %u, step %u is nearly singular: condition "
                        "number %.2g",
                        (unsigned)scale, (unsigned)step, condition);
    return condition;
}

/* ---- The report --------------------------------------------------------------------------- */

static void describe_sums(const of_trainer *trainer, of_train_report *report, double *scale_bits) {
    const of_train_counters *counters = &trainer->state.counters;
    const of_train_figures *figures = &trainer->state.figures;
    double dimensions = (double)of_architecture_dimensions(&trainer->options.architecture);
    double images = (double)counters->report_images, general = (double)counters->report_general;
    report->loss = images > 0 ? figures->loss / (double)counters->report_steps : (double)NAN;
    report->bits_per_dim = images > 0 ? figures->nll / images / (dimensions * log_2) : (double)NAN;
    for (uint32_t s = 0; s < report->scales; s++)
        scale_bits[s] =
            images > 0 ? -figures->contributions[s] / images / (dimensions * log_2) : (double)NAN;
    report->outlier_loss = (double)NAN;
    report->general_bits_per_dim = (double)NAN;
    if (general > 0) {
        report->outlier_loss = figures->outlier_loss / general / trainer->options.outlier_weight;
        report->general_bits_per_dim = figures->general_nll / general / (dimensions * log_2);
    }
}

static void forget_sums(of_trainer *trainer, double seconds) {
    of_train_counters *counters = &trainer->state.counters;
    of_train_figures *figures = &trainer->state.figures;
    counters->report_steps = counters->report_images = counters->report_general = 0;
    figures->loss = figures->nll = figures->outlier_loss = figures->general_nll = 0;
    for (size_t s = 0; s < OF_MAX_SCALES; s++)
        figures->contributions[s] = 0;
    figures->report_seconds = seconds;
}

of_status of_trainer_report(of_trainer *trainer, const of_valid_report *validation,
                            of_error *error) {
    const of_train_observer *observer = trainer->observer;
    const of_train_counters *counters = &trainer->state.counters;
    double seconds = of_trainer_seconds(trainer);
    double scale_bits[OF_MAX_SCALES], passed = seconds - trainer->state.figures.report_seconds;
    of_train_report report = {
        .step = counters->step,
        .images = counters->images,
        .skipped = counters->skipped,
        .epoch = (double)counters->images / (double)trainer->data.count,
        .scale_bits = scale_bits,
        .scales = of_architecture_scale_count(&trainer->options.architecture),
        .rate = trainer->state.figures.rate,
        .grad_norm = trainer->state.figures.grad_norm,
        .condition = judge_mixing(trainer),
        .images_per_second = passed > 0 ? (double)counters->report_images / passed : 0,
        .seconds = seconds,
        .reduction_seconds = (double)NAN,
        .reduction_waited = (double)NAN,
        .resident_bytes = resident_bytes(),
        .validation = validation,
    };
    describe_sums(trainer, &report, scale_bits);
    if (trainer->reduction != NULL)
        report.reduction_seconds =
            of_reduction_seconds(trainer->reduction, &report.reduction_waited);
    trainer->state.figures.last_bits = report.bits_per_dim;
    forget_sums(trainer, seconds);
    of_status status =
        observer->report != NULL ? observer->report(observer->user, &report, error) : OF_OK;
    if (status == OF_OK)
        write_log(trainer, &report);
    return of_communicator_agree(trainer->options.communicator, status, error);
}
