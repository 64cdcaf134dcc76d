/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of coupling networks, as the plan runs them through graph/convolution.h: on the shapes
 * of the three scales of 32x32 colour images, by hidden width and images a call. Items are images;
 * operations are those of the layer without padding, for 3x3 layers with what falls outside the
 * image (so they may exceed the peak; the same for both forms of the last layer, and comparable).
 *
 *     layer/FORM/scale:S/hidden:H/images:N/threads:T
 *
 * forward     first 3x3; middle 1x1; last_taps 1x1 to nine taps, or last_direct 3x3
 * backward    to the inputs, all 1x1: backward_last, backward_middle, backward_first
 * gradients   of the weights, matrix products: gradient_last, gradient_middle, gradient_first */
#include "bench.h"

#include <omp.h>

extern "C" {
#include "graph/convolution.h"
}

namespace {

using bench::Clock;
using bench::Floats;
using bench::floats;
using bench::part;
using bench::Threads;
using bench::Work;

constexpr uint32_t vector_multiple = 16; /* layers are padded to it, see graph/compile.c */

struct Scale {
    uint32_t number, half, side;

    [[nodiscard]] uint32_t positions() const {
        return side * side;
    }
    [[nodiscard]] uint32_t outputs() const { /* affine coefficients */
        return 2 * half;
    }
    [[nodiscard]] uint32_t taps() const {
        return static_cast<uint32_t>(of_round_up(size_t{9} * outputs(), vector_multiple));
    }
    [[nodiscard]] uint32_t neighbourhood() const {
        return static_cast<uint32_t>(of_round_up(size_t{9} * half, vector_multiple));
    }
};

constexpr Scale scales[] = {{0, 6, 16}, {1, 12, 8}, {2, 24, 4}};
constexpr uint32_t widths[] = {64, 128, 512};
constexpr uint32_t batches[] = {1, 4, 16};

std::string name_of(const char *form, const Scale &scale, uint32_t hidden, uint32_t images,
                    const Threads &threads) {
    return std::string("layer/") + form + part("scale", scale.number) + part("hidden", hidden) +
           part("images", images) + threads.part;
}

/* ---- Convolutions ------------------------------------------------------------------------ */

/* A compiled layer with its packed weights and activations. */
class Layer {
  public:
    Layer(const of_convolution_shape &shape, uint32_t images, unsigned threads)
        : images_(images), threads_(threads) {
        of_error error = {};
        of_convolution *made = nullptr;
        bench::check(of_convolution_create(&shape, images, threads, &made, &error), error);
        convolution_.reset(made);
        const size_t positions = size_t{images} * shape.height * shape.width;
        source_ = floats(positions * shape.inputs);
        target_ = floats(positions * shape.outputs, 0, 0);
        bias_ = floats(shape.outputs);
        packed_ = floats(of_convolution_weight_bytes(made) / sizeof(float) + 1, 0, 0);
        scratch_ = floats(of_convolution_scratch_bytes(made) / sizeof(float) + 1, 0, 0);
        const Floats weights =
            floats(size_t{shape.outputs} * shape.inputs * shape.kernel * shape.kernel, -0.1F, 0.1F);
        bench::check(of_convolution_pack(made, weights.get(), packed_.get(), &error), error);
    }

    void run() const {
        of_error error;
        const bool bias = of_convolution_shape_of(convolution_.get())->bias;
        bench::check(of_convolution_run(convolution_.get(), images_, source_.get(), packed_.get(),
                                        bias ? bias_.get() : nullptr, target_.get(), scratch_.get(),
                                        &error),
                     error);
    }

    /* The OpenMP setting of this thread that the layer was compiled for. */
    void use_threads() const {
        omp_set_num_threads(static_cast<int>(threads_));
    }

    [[nodiscard]] const char *kernel() const {
        return of_convolution_kernel(convolution_.get());
    }

  private:
    struct Free {
        void operator()(of_convolution *convolution) const {
            of_convolution_free(convolution);
        }
    };
    uint32_t images_;
    unsigned threads_;
    std::unique_ptr<of_convolution, Free> convolution_;
    Floats source_, target_, bias_, packed_, scratch_;
};

of_convolution_shape shape_of(const Scale &scale, uint32_t inputs, uint32_t outputs,
                              uint32_t kernel, bool activated) {
    return {scale.side, scale.side, inputs,           outputs,         kernel,
            activated,  activated,  OF_PRECISION_F32, OF_PRECISION_F32};
}

/* `products` are the multiplications of a position that count. */
void add_layer(const char *form, const Scale &scale, uint32_t hidden,
               const of_convolution_shape &shape, double products) {
    const auto add = [=](uint32_t images, const Threads &threads) {
        Work work;
        work.items = images;
        work.operations = 2.0 * images * scale.positions() * products;
        work.threads = threads.count;
        const bool wall = std::string(threads.part) == bench::all_threads().part;
        auto *added =
            bench::add(name_of(form, scale, hidden, images, threads), [=](benchmark::State &state) {
                const Layer layer(shape, images, threads.count);
                layer.use_threads();
                bench::measure(state, work, bench::best_isa(), wall ? Clock::wall : Clock::thread,
                               [&] { layer.run(); });
                state.SetLabel(layer.kernel());
            });
        if (wall)
            added->UseRealTime();
    };
    for (const uint32_t images : batches)
        add(images, bench::one_thread());
    add(1, bench::all_threads()); /* latency mode: threads inside the layer */
}

void add_convolutions(const Scale &scale, uint32_t hidden) {
    const double first = 9.0 * scale.half * hidden, middle = 1.0 * hidden * hidden,
                 last = 9.0 * scale.outputs() * hidden;
    const auto add = [&](const char *form, uint32_t inputs, uint32_t outputs, uint32_t kernel,
                         bool activated, double products) {
        add_layer(form, scale, hidden, shape_of(scale, inputs, outputs, kernel, activated),
                  products);
    };
    add("first", scale.half, hidden, 3, true, first);
    add("middle", hidden, hidden, 1, true, middle);
    add("last_taps", hidden, scale.taps(), 1, false, last);
    add("last_direct", hidden, scale.outputs(), 3, false, last);
    add("backward_last", scale.taps(), hidden, 1, false, last);
    add("backward_middle", hidden, hidden, 1, false, middle);
    add("backward_first", hidden, scale.neighbourhood(), 1, false, first);
}

/* ---- Gradients of weights ---------------------------------------------------------------- */

/* c[rows][columns] += a^T b over the positions of the images, on this thread. */
void add_gradient(const char *form, const Scale &scale, uint32_t hidden, uint32_t rows,
                  uint32_t columns, double products) {
    for (const uint32_t images : batches) {
        Work work;
        work.items = images;
        work.operations = 2.0 * images * scale.positions() * products;
        bench::add(name_of(form, scale, hidden, images, bench::one_thread()),
                   [=](benchmark::State &state) {
                       const size_t positions = size_t{images} * scale.positions();
                       const Floats a = floats(positions * rows), b = floats(positions * columns),
                                    c = floats(size_t{rows} * columns, 0, 0);
                       of_error error;
                       omp_set_num_threads(1);
                       bench::measure(state, work, bench::best_isa(), Clock::thread, [&] {
                           bench::check(of_weight_product(rows, columns, positions, a.get(),
                                                          b.get(), true, c.get(), &error),
                                        error);
                       });
                   });
    }
}

void add_gradients(const Scale &scale, uint32_t hidden) {
    add_gradient("gradient_last", scale, hidden, scale.taps(), hidden,
                 9.0 * scale.outputs() * hidden);
    add_gradient("gradient_middle", scale, hidden, hidden, hidden, 1.0 * hidden * hidden);
    add_gradient("gradient_first", scale, hidden, hidden, scale.neighbourhood(),
                 9.0 * scale.half * hidden);
}

void add_all() {
    for (const Scale &scale : scales)
        for (const uint32_t hidden : widths) {
            add_convolutions(scale, hidden);
            add_gradients(scale, hidden);
        }
}

} // namespace

int main(int argc, char **argv) {
    return bench::run(argc, argv, add_all);
}
