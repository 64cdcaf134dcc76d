/* SPDX-License-Identifier: Apache-2.0 */
/* outflow bench --scaling: training on several ranks, predicted. Measured are a step's time against
 * its images and, under a launcher, a reduction's time against its size; the network is measured or
 * given. Every rank has the same batch, so the global batch grows with the ranks.
 *
 * Of R ranks, each sends (R-1)/R of a gradient to the others and the same amount of sums back, in
 * R-1 messages each time: 2 latency + 2 (R-1)/R bytes/bandwidth for a scale, half of the
 * bytes in bfloat16 (that rounding takes time of the processor is left out). A scale's
 * reduction starts when the last micro-batch's backward pass has left it, and one follows the
 * other; what is not over when the first scale is done adds to the step. */
#include "cli/bench/bench_subject.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    BATCHES = 4,
    MOST_SCALES = 6,
    MOST_RANKS = 1024,
    SIZES = 6,
    REPEATS = 10,
    MOST_NETWORKS = 8
};

/* Of one connection. */
typedef struct network {
    double latency, bandwidth; /* seconds, bytes a second */
    bool measured;
} network;

/* What a step of one rank is made of. */
typedef struct step_cost {
    double batches[BATCHES], seconds[BATCHES]; /* measured */
    of_bench_line line;                        /* seconds against images */
    double bytes[MOST_SCALES];                 /* of a scale's gradient, as it is sent */
    double backward[MOST_SCALES];              /* seconds of the last micro-batch */
    uint32_t scales;
    uint64_t batch;
    unsigned threads;
    of_precision gradients;
} step_cost;

/* ---- Computing ---------------------------------------------------------------------------- */

static of_status measure_steps(of_model *model, const of_bench_wish *base, step_cost *cost,
                               of_error *error) {
    of_bench_wish wish = *base;
    of_status status = OF_OK;
    wish.without_peak = true;
    wish.lanes = 1; /* a rank's part of many */
    wish.micro_batch =
        base->micro_batch != 0 ? base->micro_batch : of_train_micro_batch(base->batch);
    for (int i = 0; status == OF_OK && i < BATCHES; i++) {
        of_bench_row row;
        wish.batch = base->batch * (uint64_t)(i + 1) / 2;
        status = of_bench_measure(model, &wish, &row, error);
        if (status == OF_OK) {
            cost->batches[i] = (double)wish.batch;
            cost->seconds[i] = (double)wish.batch / of_bench_median(&row);
            cost->threads = row.threads;
        }
        free(row.rates);
        wish.progress_from += wish.repetitions;
    }
    if (status == OF_OK)
        cost->line = of_bench_fit(cost->batches, cost->seconds, BATCHES);
    return status;
}

/* Two thirds of an image's time are its backward pass, which is nearly all in the convolutions: as
 * many positions, as much time. */
static of_status divide_step(of_model *model, const of_bench_wish *wish, step_cost *cost,
                             of_error *error) {
    const of_architecture *a = of_model_architecture(model);
    of_bench_subject subject = {0};
    double positions = 0, share = 1;
    unsigned group =
        (unsigned)(wish->micro_batch ? wish->micro_batch : of_train_micro_batch(wish->batch));
    of_status status = of_bench_set_up(model, wish, &subject, error);
    cost->scales = of_architecture_scale_count(a);
    for (uint32_t s = 0; status == OF_OK && s < cost->scales; s++) {
        cost->bytes[s] = (double)of_train_loop_scale_bytes(subject.loop, s) /
                         (cost->gradients == OF_PRECISION_BF16 ? 2 : 1);
        cost->backward[s] = share;
        positions += share;
        share /= 4;
    }
    of_bench_tear_down(&subject);
    for (uint32_t s = 0; s < cost->scales; s++)
        cost->backward[s] *= cost->line.slope * cost->threads * group * 2 / 3 / positions;
    return status;
}

/* ---- The network -------------------------------------------------------------------------- */

typedef struct reduction_times {
    double bytes[SIZES], seconds[SIZES];
    unsigned ranks;
} reduction_times;

static of_status measure_network(of_ranks *ranks, reduction_times *times, network *found,
                                 of_error *error) {
    const size_t most = (size_t)1 << 22;
    double n = of_ranks_size(ranks);
    of_status status = OF_OK;
    times->ranks = of_ranks_size(ranks);
    for (int i = 0; status == OF_OK && i < SIZES; i++) {
        size_t floats = most >> (2 * (SIZES - 1 - i));
        times->bytes[i] = (double)(floats * sizeof(float));
        status = of_ranks_time_reduction(ranks, floats, REPEATS, &times->seconds[i], error);
    }
    if (status != OF_OK)
        return status;
    of_bench_line line = of_bench_fit(times->bytes, times->seconds, SIZES);
    found->measured = true;
    found->latency = line.constant > 0 ? line.constant / (2 * (n - 1)) : 0;
    found->bandwidth = line.slope > 0 ? 2 * (n - 1) / n / line.slope : (double)INFINITY;
    return OF_OK;
}

/* "2:100,20:10": microseconds and Gbit/s of each. */
static bool read_networks(const char *text, network *networks, size_t *count) {
    while (*text != '\0') {
        char *end;
        network *next = &networks[*count];
        if (*count == MOST_NETWORKS)
            return false;
        next->measured = false;
        next->latency = strtod(text, &end) * 1e-6;
        if (end == text || *end != ':')
            return false;
        text = end + 1;
        next->bandwidth = strtod(text, &end) * 1e9 / 8;
        if (end == text || (*end != ',' && *end != '\0') || !(next->latency >= 0) ||
            !(next->bandwidth > 0) || !isfinite(next->latency + next->bandwidth))
            return false;
        text = end + (*end == ',');
        (*count)++;
    }
    return *count > 0;
}

bool of_bench_networks_valid(const char *text) {
    network networks[MOST_NETWORKS];
    size_t count = 0;
    return read_networks(text, networks, &count);
}

/* ---- Prediction --------------------------------------------------------------------------- */

/* Seconds of a step that are spent waiting for the network. */
static double exposed(const step_cost *cost, const network *net, double ranks) {
    double now = 0, free_at = 0; /* since the last micro-batch's backward pass began */
    for (uint32_t s = cost->scales; s-- > 0;) {
        now += cost->backward[s];
        double start = now > free_at ? now : free_at;
        free_at = start + 2 * (ranks - 1) * net->latency +
                  2 * (ranks - 1) / ranks * cost->bytes[s] / net->bandwidth;
    }
    return free_at > now ? free_at - now : 0;
}

static double own_seconds(const step_cost *cost) {
    return cost->line.constant + cost->line.slope * (double)cost->batch;
}

static double predicted_rate(const step_cost *cost, const network *net, double ranks) {
    return ranks * (double)cost->batch / (own_seconds(cost) + exposed(cost, net, ranks));
}

/* ---- Printing ----------------------------------------------------------------------------- */

static void print_measurements(const step_cost *cost, const reduction_times *times, FILE *file) {
    double bytes = 0;
    (void)fputs("| images | ms/step | line |\n|---:|---:|---:|\n", file);
    for (int i = 0; i < BATCHES; i++)
        (void)fprintf(file, "| %.0f | %.4g | %.4g |\n", cost->batches[i], 1e3 * cost->seconds[i],
                      1e3 * (cost->line.constant + cost->line.slope * cost->batches[i]));
    for (uint32_t s = 0; s < cost->scales; s++)
        bytes += cost->bytes[s];
    (void)fprintf(file,
                  "\nA step: %.3g ms + %.4g ms for each image, %u threads, R² %.4f; gradient %.4g "
                  "MB in %s.\n\n",
                  1e3 * cost->line.constant, 1e3 * cost->line.slope, cost->threads, cost->line.r2,
                  1e-6 * bytes, of_precision_name(cost->gradients));
    if (times->ranks < 2)
        return;
    (void)fprintf(file, "| KB reduced over %u ranks | ms |\n|---:|---:|\n", times->ranks);
    for (int i = 0; i < SIZES; i++)
        (void)fprintf(file, "| %.0f | %.4g |\n", times->bytes[i] / 1024, 1e3 * times->seconds[i]);
    (void)fputc('\n', file);
}

static void print_markdown(const of_bench_context *context, const step_cost *cost,
                           const reduction_times *times, const network *networks, size_t count,
                           FILE *file) {
    of_bench_context_print(context, file);
    print_measurements(cost, times, file);
    (void)fprintf(file,
                  "Predicted images/s (and share of %s), %llu images a rank and step:\n\n| "
                  "ranks |",
                  "what the ranks would do alone", (unsigned long long)cost->batch);
    for (size_t i = 0; i < count; i++)
        (void)fprintf(file, " %.3g us, %.3g Gbit/s%s |", 1e6 * networks[i].latency,
                      8e-9 * networks[i].bandwidth, networks[i].measured ? " (measured)" : "");
    (void)fputs("\n|---:|", file);
    for (size_t i = 0; i < count; i++)
        (void)fputs("---:|", file);
    (void)fputc('\n', file);
    for (unsigned ranks = 1; ranks <= MOST_RANKS; ranks *= 2) {
        (void)fprintf(file, "| %u |", ranks);
        for (size_t i = 0; i < count; i++) {
            double rate = predicted_rate(cost, &networks[i], ranks);
            (void)fprintf(file, " %.4g (%.0f %%) |", rate,
                          100 * rate * own_seconds(cost) / ((double)cost->batch * ranks));
        }
        (void)fputc('\n', file);
    }
}

static void record_all(const of_bench_context *context, const step_cost *cost,
                       const network *networks, size_t count, of_records *records) {
    for (unsigned ranks = 1; ranks <= MOST_RANKS; ranks *= 2)
        for (size_t i = 0; i < count; i++) {
            double rate = predicted_rate(cost, &networks[i], ranks);
            of_records_begin(records);
            of_records_text(records, "mode", "train");
            of_records_count(records, "ranks", ranks);
            of_records_count(records, "batch", cost->batch);
            of_records_count(records, "threads", cost->threads);
            of_records_text(records, "gradient_precision", of_precision_name(cost->gradients));
            of_records_real(records, "latency_us", 1e6 * networks[i].latency);
            of_records_real(records, "gbit_per_second", 8e-9 * networks[i].bandwidth);
            of_records_flag(records, "network_measured", networks[i].measured);
            of_records_real(records, "images_per_second", rate);
            of_records_real(records, "efficiency",
                            rate * own_seconds(cost) / ((double)cost->batch * ranks));
            of_records_real(records, "step_ms", 1e3 * own_seconds(cost));
            of_records_real(records, "waiting_ms", 1e3 * exposed(cost, &networks[i], ranks));
            of_records_real(records, "line_constant_ms", 1e3 * cost->line.constant);
            of_records_real(records, "line_slope_ms", 1e3 * cost->line.slope);
            of_bench_context_record(context, context->architecture, records);
            of_records_end(records);
        }
}

of_status of_bench_scaling(of_model *model, const of_bench_wish *wish, const char *given,
                           of_ranks *ranks, const of_bench_context *context, of_bench_format format,
                           FILE *file, of_error *error) {
    step_cost cost = {.batch = wish->batch, .gradients = wish->gradient_precision};
    reduction_times times = {.ranks = 1};
    network networks[MOST_NETWORKS + 1];
    size_t count = 0;
    (void)read_networks(given, networks, &count);
    of_status status = measure_steps(model, wish, &cost, error);
    if (status == OF_OK)
        status = divide_step(model, wish, &cost, error);
    status = of_ranks_agree(ranks, status, error);
    if (status == OF_OK && of_ranks_size(ranks) > 1)
        status = measure_network(ranks, &times, &networks[count++], error);
    if (status != OF_OK)
        return status;
    if (format == OF_BENCH_MARKDOWN) {
        print_markdown(context, &cost, &times, networks, count, file);
        return OF_OK;
    }
    of_records records;
    status = of_records_open(of_bench_record_format(format), file, &records, error);
    if (status != OF_OK)
        return status;
    record_all(context, &cost, networks, count, &records);
    return of_records_close(&records, error);
}
