/* SPDX-License-Identifier: Apache-2.0 */
/* The layers of coupling networks, as the plan runs them through graph/convolution.h: on the shapes
 * of the three scales of 32x32 colour images, by hidden width and images a call. Items are images;
 * operations are those of the layer without padding, for 3x3 layers with what falls outside the
 * image (so they may exceed the peak; the same for both forms of the last layer, and comparable).
 *
 *     layer/FORM/scale:S/hidden:H/images:N
 *
 * forward     first 3x3; middle 1x1; last_taps 1x1 to nine taps, or last_direct 3x3
 * backward    to the inputs, matrix products: backward_last, backward_middle, backward_first
 * gradients   of the weights, matrix products: gradient_last, gradient_middle, gradient_first */
#include "bench.h"

#include <algorithm>

#include <omp.h>

extern "C" {
#include "graph/convolution.h"
}

namespace {

using bench::Clock;
using bench::Floats;
using bench::floats;
using bench::part;
using bench::Work;

constexpr uint32_t vector_multiple = 16; /* layers are padded to it, see graph/pass_choose.c */

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

std::string name_of(const char *form, const Scale &scale, uint32_t hidden, uint32_t images) {
    return std::string("layer/") + form + part("scale", scale.number) + part("hidden", hidden) +
           part("images", images);
}

/* ---- Convolutions ------------------------------------------------------------------------ */

/* A compiled layer with its packed weights and activations. */
class Layer {
  public:
    Layer(const of_convolution_shape &shape, uint32_t images) : images_(images) {
        of_error error = {};
        of_convolution *made = nullptr;
        bench::check(of_convolution_create(&shape, images, nullptr, &made, &error), error);
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
    std::unique_ptr<of_convolution, Free> convolution_;
    Floats source_, target_, bias_, packed_, scratch_;
};

of_convolution_shape shape_of(const Scale &scale, uint32_t inputs, uint32_t outputs,
                              uint32_t kernel, bool activated) {
    of_convolution_shape shape = {};
    shape.height = shape.width = scale.side;
    shape.inputs = inputs;
    shape.outputs = outputs;
    shape.kernel = kernel;
    shape.bias = shape.relu = activated;
    shape.source = shape.target = OF_PRECISION_F32;
    return shape;
}

/* `products` are the multiplications of a position that count. */
void add_layer(const char *form, const Scale &scale, uint32_t hidden,
               const of_convolution_shape &shape, double products) {
    for (const uint32_t images : batches) {
        Work work;
        work.items = images;
        work.operations = 2.0 * images * scale.positions() * products;
        bench::add(name_of(form, scale, hidden, images), [=](benchmark::State &state) {
            const Layer layer(shape, images);
            omp_set_num_threads(1);
            bench::measure(state, work, bench::best_isa(), Clock::thread, [&] { layer.run(); });
            state.SetLabel(layer.kernel());
        });
    }
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
}

/* ---- Gradients --------------------------------------------------------------------------- */

/* One product of `rows` outputs and `columns` inputs of a layer, at the positions of the images. */
using Product = of_status (*)(size_t rows, size_t columns, size_t positions, const float *gradient,
                              const float *other, float *result, of_error *error);

of_status to_weights(size_t rows, size_t columns, size_t positions, const float *gradient,
                     const float *inputs, float *weights, of_error *error) {
    return of_weight_product(rows, columns, positions, gradient, inputs, true, weights, error);
}

of_status to_inputs(size_t rows, size_t columns, size_t positions, const float *gradient,
                    const float *weights, float *inputs, of_error *error) {
    return of_data_product(positions, columns, rows, gradient, weights, inputs, error);
}

void add_product(const std::string &form, Product product, const Scale &scale, uint32_t hidden,
                 uint32_t rows, uint32_t columns, double products) {
    for (const uint32_t images : batches) {
        Work work;
        work.items = images;
        work.operations = 2.0 * images * scale.positions() * products;
        bench::add(name_of(form.c_str(), scale, hidden, images), [=](benchmark::State &state) {
            const size_t positions = size_t{images} * scale.positions();
            const size_t most = std::max(
                {positions * rows, positions * columns, static_cast<size_t>(rows) * columns});
            const Floats a = floats(positions * rows), b = floats(most), c = floats(most, 0, 0);
            of_error error;
            omp_set_num_threads(1);
            bench::measure(state, work, bench::best_isa(), Clock::thread, [&] {
                bench::check(product(rows, columns, positions, a.get(), b.get(), c.get(), &error),
                             error);
            });
        });
    }
}

void add_gradients(const Scale &scale, uint32_t hidden) {
    const auto add = [&](const char *layer, uint32_t rows, uint32_t columns, double products) {
        add_product(std::string("gradient_") + layer, to_weights, scale, hidden, rows, columns,
                    products);
        add_product(std::string("backward_") + layer, to_inputs, scale, hidden, rows, columns,
                    products);
    };
    add("last", scale.taps(), hidden, 9.0 * scale.outputs() * hidden);
    add("middle", hidden, hidden, 1.0 * hidden * hidden);
    add("first", hidden, scale.neighbourhood(), 9.0 * scale.half * hidden);
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
