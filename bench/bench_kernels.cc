/* SPDX-License-Identifier: Apache-2.0 */
/* Every kernel of the table simd/kernels.h, on every instruction set that this CPU runs, over whole
 * images of the shapes of real models, as the plan calls it. Items are positions; for kernels on
 * flat arrays, values. Bytes count the arrays that kernels.h names once for each reading and
 * writing; operations count products and sums of maps, taps and densities, no sigmoid or logarithm.
 *
 *     kernel/NAME/ISA/half:C/columns:W[/VARIANT]      half and columns of the flow state
 *     memory/copy, memory/fill                        what the machine's memory allows
 */
#include "bench.h"

#include <cstddef>
#include <cstring>

namespace {

using bench::Clock;
using bench::Floats;
using bench::floats;
using bench::part;
using bench::Work;

/* A flow state of 2*half channels; rows other than columns only for the odd one. */
struct Shape {
    uint32_t half, columns, rows;

    [[nodiscard]] size_t positions() const {
        return static_cast<size_t>(columns) * rows;
    }
    [[nodiscard]] std::string name() const {
        return part("half", half) + part("columns", columns);
    }
};

/* Colour images of 32x32 have the first three; 64x64 and four scales end with the fourth; grey
 * images begin with the fifth; the last one fills no vector. */
constexpr Shape shapes[] = {{6, 16, 16}, {12, 8, 8},  {24, 4, 4},
                            {48, 4, 4},  {2, 16, 16}, {5, 7, 5}};

/* Values of flat arrays: a step's small arrays, L1, L2, L3 or memory, and an odd number. */
constexpr size_t lengths[] = {384, 4096, 65536, 4194304, 1001};

constexpr double float_bytes = sizeof(float);

/* Registers a kernel's benchmark. `prepare(kernels)` gives the function that does the work of one
 * iteration and owns what it needs. */
template <class Prepare>
void add(const std::string &kernel, const of_kernels &kernels, const std::string &shape, Work work,
         Prepare prepare) {
    const of_kernels *table = &kernels;
    bench::add("kernel/" + kernel + "/" + of_isa_name(kernels.isa) + shape,
               [=](benchmark::State &state) {
                   auto run = prepare(*table);
                   bench::measure(state, work, table->isa, Clock::thread, run);
               });
}

/* A map that swaps all channels: applied again and again, values neither vanish nor grow. */
class Map {
  public:
    explicit Map(uint32_t channels)
        : padded_((channels / 2 + OF_MAP_PADDING - 1) / OF_MAP_PADDING * OF_MAP_PADDING),
          matrix_(floats(size_t{2} * channels * padded_, 0, 0)),
          bias_(floats(size_t{2} * padded_, 0, 0)), map_{matrix_.get(), bias_.get(), channels,
                                                         padded_} {
        for (uint32_t from = 0; from < channels; from++) {
            const uint32_t to = channels - 1 - from, half = channels / 2;
            matrix_[size_t{2} * from * padded_ + (to < half ? to : padded_ + to - half)] = 1;
        }
    }

    [[nodiscard]] const of_channel_map *get() const {
        return &map_;
    }

  private:
    uint32_t padded_;
    Floats matrix_, bias_;
    of_channel_map map_;
};

Floats scratch(size_t values) {
    return floats(OF_SCRATCH_EXTRA + std::max<size_t>(OF_SCRATCH_FLOATS, 4 * values));
}

/* ---- Pixels ------------------------------------------------------------------------------ */

template <class Pixel>
void add_squeeze(const std::string &name, const of_kernels &kernels, Shape shape,
                 void (*of_kernels::*kernel)(const of_squeeze_row *)) {
    const double channels = 2.0 * shape.half, positions = static_cast<double>(shape.positions());
    Work work;
    work.items = positions;
    work.bytes = positions * channels * (sizeof(Pixel) + float_bytes);
    work.operations = positions * 2 * channels * channels;
    add(name, kernels, shape.name(), work, [=](const of_kernels &table) {
        const size_t values = shape.positions() * shape.half;
        return [&table, kernel, shape, source = std::vector<Pixel>(2 * values, Pixel{1}),
                map = Map(2 * shape.half), pass = floats(values), rest = floats(values),
                space = scratch(shape.half)] {
            of_squeeze_row row = {};
            row.source = source.data();
            row.row_stride = size_t{shape.columns} * shape.half;
            row.source_channels = shape.half / 2;
            row.width = shape.columns;
            row.map = map.get();
            row.pass = pass.get();
            row.rest = rest.get();
            row.scratch = space.get();
            for (row.row = 0; row.row < shape.rows; row.row++)
                (table.*kernel)(&row);
        };
    });
}

/* Bytes are those of images: grey or colour. */
void add_squeeze_row_u8(const std::string &name, const of_kernels &kernels) {
    for (const Shape shape : {Shape{6, 16, 16}, Shape{2, 16, 16}, Shape{6, 7, 5}})
        add_squeeze<uint8_t>(name, kernels, shape, &of_kernels::squeeze_row_u8);
}

/* An image as floats, or the rest of the scale before: the number of channels is even. */
constexpr Shape squeezed[] = {{6, 16, 16}, {12, 8, 8},  {24, 4, 4},
                              {48, 4, 4},  {2, 16, 16}, {12, 7, 5}};

void add_squeeze_row_f32(const std::string &name, const of_kernels &kernels) {
    for (const Shape shape : squeezed)
        add_squeeze<float>(name, kernels, shape, &of_kernels::squeeze_row_f32);
}

void add_unsqueeze_row(const std::string &name, const of_kernels &kernels) {
    for (const Shape shape : squeezed) {
        Work work;
        work.items = static_cast<double>(shape.positions());
        work.bytes = work.items * 4 * shape.half * float_bytes;
        add(name, kernels, shape.name(), work, [=](const of_kernels &table) {
            const size_t values = shape.positions() * shape.half;
            return [&table, shape, pass = floats(values), rest = floats(values),
                    target = floats(2 * values)] {
                of_unsqueeze_row row = {};
                row.pass = pass.get();
                row.rest = rest.get();
                row.target = target.get();
                row.row_stride = size_t{shape.columns} * shape.half;
                row.source_channels = shape.half / 2;
                row.width = shape.columns;
                for (row.row = 0; row.row < shape.rows; row.row++)
                    table.unsqueeze_row(&row);
            };
        });
    }
}

/* ---- Couplings --------------------------------------------------------------------------- */

/* Taps that lie inside the image, of all that its outputs have. */
double taps_inside(const Shape &shape, uint32_t kernel) {
    return kernel == 1 ? 1 * static_cast<double>(shape.positions())
                       : (3.0 * shape.columns - 2) * (3.0 * shape.rows - 2);
}

/* A row of taps as the last layer leaves them, padded to whole vectors. */
of_tap_row tap_row(const Shape &shape, uint32_t outputs, uint32_t kernel) {
    of_tap_row row = {};
    row.stride = of_round_up(size_t{kernel} * kernel * outputs, 16);
    row.outputs = outputs;
    row.kernel = kernel;
    row.height = shape.rows;
    row.width = shape.columns;
    return row;
}

void add_tap_sum_row(const std::string &name, const of_kernels &kernels) {
    for (const Shape shape : shapes) {
        const uint32_t outputs = 2 * shape.half;
        Work work;
        work.items = static_cast<double>(shape.positions());
        work.bytes = (taps_inside(shape, 3) + work.items) * outputs * float_bytes;
        work.operations = taps_inside(shape, 3) * outputs;
        add(name, kernels, shape.name(), work, [=](const of_kernels &table) {
            of_tap_row row = tap_row(shape, outputs, 3);
            return
                [&table, row, taps = floats(shape.positions() * row.stride), bias = floats(outputs),
                 sums = floats(size_t{shape.columns} * outputs)]() mutable {
                    row.taps = taps.get();
                    row.bias = bias.get();
                    for (row.row = 0; row.row < row.height; row.row++)
                        table.tap_sum_row(&row, sums.get());
                };
        });
    }
}

/* Forms of the tail of a step; the plan runs the first, training the kept one, sampling the
 * inverse, the last step of a scale the one without a map; the others are for converted models. */
struct Form {
    const char *name;
    uint32_t kernel;
    bool affine, inverse, mapped, kept;
    of_scale_map scale_map = OF_SCALE_MAP_SIGMOID;
    bool shift_after = false, edges = false;
};

constexpr Form forms[] = {
    {"", 3, true, false, true, false},
    {"/kept", 3, true, false, true, true},
    {"/inverse", 3, true, true, true, false},
    {"/no_map", 3, true, false, false, false},
    {"/additive", 3, false, false, true, false},
    {"/summed", 1, true, false, true, false},
    {"/edges", 3, true, false, true, false, OF_SCALE_MAP_SIGMOID, false, true},
    {"/shift_after", 3, true, false, true, false, OF_SCALE_MAP_SIGMOID, true},
    {"/exp", 3, true, false, true, false, OF_SCALE_MAP_EXP},
    {"/sigmoid_inverse", 3, true, false, true, false, OF_SCALE_MAP_SIGMOID_INVERSE},
    {"/tanh", 3, true, false, true, false, OF_SCALE_MAP_TANH},
    {"/tanh_after/kept", 3, true, false, true, true, OF_SCALE_MAP_TANH, true}};

Work coupling_work(const Shape &shape, const Form &form) {
    const double outputs = (form.affine ? 2.0 : 1.0) * shape.half, channels = 2.0 * shape.half;
    const double state = (form.mapped ? 4.0 : 2.0) + (form.kept ? 3.0 : 0.0) +
                         (form.kept && form.shift_after ? 2.0 : 0.0); /* halves */
    Work work;
    work.items = static_cast<double>(shape.positions());
    work.bytes =
        float_bytes * (taps_inside(shape, form.kernel) * outputs + work.items * state * shape.half);
    work.operations = taps_inside(shape, form.kernel) * outputs;
    if (form.mapped)
        work.operations += work.items * 2 * channels * channels;
    return work;
}

/* Everything a coupling of an image needs. The bias keeps a sigmoid at 1 to rounding, a small gain
 * and taps of zero the other scales, so that the state, over and over, does not overflow. */
class Coupling {
  public:
    Coupling(const Shape &shape, const Form &form)
        : form_(form), taps_(tap_row(shape, (form.affine ? 2 : 1) * shape.half, form.kernel)),
          map_(2 * shape.half) {
        const size_t values = shape.positions() * shape.half;
        const bool sigmoid = form.scale_map == OF_SCALE_MAP_SIGMOID ||
                             form.scale_map == OF_SCALE_MAP_SIGMOID_INVERSE;
        const float limit = sigmoid ? 0.1F : 0;
        tap_values_ = floats(shape.positions() * taps_.stride, -limit, limit);
        bias_ = floats(taps_.outputs, 0, 0);
        for (uint32_t o = shape.half; o < taps_.outputs && sigmoid; o++)
            bias_[o] = 16;
        edge_bias_ = floats(size_t{OF_EDGES} * taps_.outputs, 0, 0);
        for (size_t i = 0; i < size_t{OF_EDGES} * taps_.outputs; i++)
            edge_bias_[i] = bias_[i % taps_.outputs];
        gain_ = floats(shape.half, 1e-3F, 1e-3F);
        taps_.taps = tap_values_.get();
        taps_.bias = bias_.get();
        taps_.edge_bias = form.edges ? edge_bias_.get() : nullptr;
        for (Floats &state : states_)
            state = floats(values);
        space_ = scratch(shape.half);
        row_.half = shape.half;
        row_.affine = form.affine;
        row_.inverse = form.inverse;
        row_.scale_map = form.scale_map;
        row_.shift_after = form.shift_after;
        row_.gain = gain_.get();
        row_.pass = states_[0].get();
        row_.rest = states_[1].get();
        row_.map = form.mapped ? map_.get() : nullptr;
        row_.scratch = space_.get();
        if (form.kept) {
            row_.kept_pass = states_[2].get();
            row_.kept_rest = states_[3].get();
            row_.kept_scale = states_[4].get();
            row_.kept_tanh = states_[5].get();
            row_.kept_scaled = states_[6].get();
        }
    }

    void run(const of_kernels &kernels) {
        row_.map = form_.mapped ? map_.get() : nullptr; /* where this object now is */
        row_.taps = taps_;
        double sum = 0;
        for (row_.taps.row = 0; row_.taps.row < taps_.height; row_.taps.row++)
            sum += kernels.coupling_row(&row_);
        benchmark::DoNotOptimize(sum);
    }

  private:
    Form form_;
    of_tap_row taps_;
    Map map_;
    Floats tap_values_, bias_, edge_bias_, gain_, states_[7], space_;
    of_coupling_row row_ = {};
};

void add_coupling_row(const std::string &name, const of_kernels &kernels) {
    for (const Shape shape : shapes)
        for (const Form &form : forms)
            add(name, kernels, shape.name() + form.name, coupling_work(shape, form),
                [=](const of_kernels &table) {
                    return [&table, coupling = Coupling(shape, form)]() mutable {
                        coupling.run(table);
                    };
                });
}

void add_coupling_backward(const std::string &name, const of_kernels &kernels) {
    struct Backward {
        const char *name;
        bool affine;
        of_scale_map scale_map;
        bool shift_after;
    };
    for (const Shape shape : shapes)
        for (const Backward form : {Backward{"", true, OF_SCALE_MAP_SIGMOID, false},
                                    Backward{"/additive", false, OF_SCALE_MAP_SIGMOID, false},
                                    Backward{"/exp", true, OF_SCALE_MAP_EXP, false},
                                    Backward{"/tanh_after", true, OF_SCALE_MAP_TANH, true}}) {
            const bool tanh = form.scale_map == OF_SCALE_MAP_TANH;
            Work work;
            work.items = static_cast<double>(shape.positions());
            work.bytes = work.items * shape.half * (form.affine ? tanh ? 7 : 6 : 2) * float_bytes;
            add(name, kernels, shape.name() + form.name, work, [=](const of_kernels &table) {
                const size_t values = shape.positions() * shape.half;
                /* s is 1, or the gradient, changed in place, would vanish */
                return [&table, shape, form, after = floats(values), scale = floats(values, 1, 1),
                        gradient = floats(values), coefficients = floats(2 * values),
                        kept_tanh = floats(values), gain = floats(shape.half),
                        gain_gradient = floats(shape.half)] {
                    of_coupling_backward task = {};
                    task.rest_after = task.scaled = after.get();
                    task.scale = form.affine ? scale.get() : nullptr;
                    task.log_det_gradient = 0.1F;
                    task.g_rest = gradient.get();
                    task.g_coefficients = coefficients.get();
                    task.positions = shape.positions();
                    task.half = shape.half;
                    task.affine = form.affine;
                    task.scale_map = form.scale_map;
                    task.shift_after = form.shift_after;
                    task.gain = gain.get();
                    task.tanh_kept = kept_tanh.get();
                    task.gain_gradient = gain_gradient.get();
                    table.coupling_backward(&task);
                };
            });
        }
}

/* ---- Network input ----------------------------------------------------------------------- */

/* With a channel of ones, padded by another: what edges of the first layer need. */
of_network_input network_input(const Shape &shape, const float *pass, const float *affine) {
    of_network_input input = {};
    input.pass = pass;
    input.scale = affine;
    input.shift = affine;
    input.positions = shape.positions();
    input.half = shape.half;
    input.inputs = shape.half + 2;
    input.ones = true;
    return input;
}

/* `Value` is what the network reads. */
template <class Value>
void add_input(const std::string &name, const of_kernels &kernels,
               void (*of_kernels::*kernel)(const of_network_input *, Value *)) {
    for (const Shape shape : shapes)
        for (const bool affine : {true, false}) {
            Work work;
            work.items = static_cast<double>(shape.positions());
            work.bytes = work.items * (shape.half * float_bytes + (shape.half + 2) * sizeof(Value));
            add(name, kernels, shape.name() + (affine ? "/affine" : ""), work,
                [=](const of_kernels &table) {
                    return
                        [&table, kernel, shape, affine,
                         pass = floats(shape.positions() * shape.half), scale = floats(shape.half),
                         target =
                             std::vector<Value>(shape.positions() * (shape.half + 2))]() mutable {
                            const of_network_input input =
                                network_input(shape, pass.get(), affine ? scale.get() : nullptr);
                            (table.*kernel)(&input, target.data());
                            benchmark::ClobberMemory();
                        };
                });
        }
}

void add_network_input(const std::string &name, const of_kernels &kernels) {
    add_input<float>(name, kernels, &of_kernels::network_input);
}

void add_network_input_bf16(const std::string &name, const of_kernels &kernels) {
    add_input<uint16_t>(name, kernels, &of_kernels::network_input_bf16);
}

void add_network_input_backward(const std::string &name, const of_kernels &kernels) {
    for (const Shape shape : shapes)
        for (const bool affine : {true, false}) {
            Work work;
            work.items = static_cast<double>(shape.positions());
            work.bytes = work.items * shape.half * (affine ? 4 : 3) * float_bytes;
            add(name, kernels, shape.name() + (affine ? "/affine" : ""), work,
                [=](const of_kernels &table) {
                    const size_t values = shape.positions() * shape.half;
                    return
                        [&table, shape, affine, pass = floats(values), scale = floats(shape.half),
                         g_inputs = floats(values), g_pass = floats(values),
                         g_scale = floats(shape.half), g_shift = floats(shape.half)] {
                            of_network_input_backward task = {};
                            task.pass = pass.get();
                            task.scale = task.shift = affine ? scale.get() : nullptr;
                            task.g_inputs = g_inputs.get();
                            task.g_pass = g_pass.get();
                            task.scale_gradient = g_scale.get();
                            task.shift_gradient = g_shift.get();
                            task.positions = shape.positions();
                            task.half = task.inputs = shape.half;
                            table.network_input_backward(&task);
                        };
                });
        }
}

/* ---- Other backward kernels -------------------------------------------------------------- */

/* Gradients of the coefficients to taps; mirrored: the neighbourhoods of the first layer. */
void add_tap_scatter_row(const std::string &name, const of_kernels &kernels) {
    for (const Shape shape : shapes)
        for (const bool mirrored : {false, true}) {
            const of_tap_row taps = tap_row(shape, (mirrored ? 1 : 2) * shape.half, 3);
            Work work;
            work.items = static_cast<double>(shape.positions());
            work.bytes =
                work.items * (taps.outputs + static_cast<double>(taps.stride)) * float_bytes;
            add(name, kernels, shape.name() + (mirrored ? "/mirrored" : ""), work,
                [=](const of_kernels &table) {
                    return [&table, row = taps, mirrored,
                            values = floats(shape.positions() * taps.outputs),
                            target = floats(shape.positions() * taps.stride)]() mutable {
                        for (row.row = 0; row.row < row.height; row.row++)
                            table.tap_scatter_row(&row, values.get(), mirrored, target.get());
                    };
                });
        }
}

void add_map_backward(const std::string &name, const of_kernels &kernels) {
    for (const Shape shape : shapes) {
        const double channels = 2.0 * shape.half;
        Work work;
        work.items = static_cast<double>(shape.positions());
        work.bytes = work.items * channels * 3 * float_bytes;
        work.operations = work.items * 4 * channels * channels;
        add(name, kernels, shape.name(), work, [=](const of_kernels &table) {
            const size_t values = shape.positions() * shape.half, c = size_t{2} * shape.half;
            return [&table, positions = shape.positions(), map = Map(2 * shape.half),
                    pass = floats(values), rest = floats(values), g_pass = floats(values),
                    g_rest = floats(values), matrix = floats(c * c), bias = floats(c),
                    space = scratch(c)] {
                of_map_backward task = {};
                task.pass = pass.get();
                task.rest = rest.get();
                task.g_pass = g_pass.get();
                task.g_rest = g_rest.get();
                task.positions = positions;
                task.transposed = map.get();
                task.matrix_gradient = matrix.get();
                task.bias_gradient = bias.get();
                task.scratch = space.get();
                table.map_backward(&task);
            };
        });
    }
}

/* Hidden layers of a chunk; without activations the sums alone, as for the last layer's bias. */
void add_relu_backward(const std::string &name, const of_kernels &kernels) {
    struct Layer {
        size_t channels, positions;
        bool sums;
        float leak; /* 1: or the gradient, changed in place, would vanish */
    };
    for (const Layer layer :
         {Layer{64, 256, false, 0}, Layer{128, 256, false, 0}, Layer{512, 256, false, 0},
          Layer{67, 49, false, 0}, Layer{12, 256, true, 0}, Layer{48, 256, true, 0},
          Layer{128, 256, false, 1}}) {
        Work work;
        work.items = static_cast<double>(layer.channels * layer.positions);
        work.bytes = work.items * (layer.sums ? 1 : 3) * float_bytes;
        const std::string shape =
            part("channels", layer.channels) + part("positions", layer.positions);
        add(name, kernels,
            shape + (layer.sums       ? "/sums"
                     : layer.leak > 0 ? "/leak"
                                      : ""),
            work, [=](const of_kernels &table) {
                const size_t values = layer.channels * layer.positions;
                return [&table, layer, activation = floats(values), gradient = floats(values),
                        bias = floats(layer.channels)] {
                    table.relu_backward(layer.sums ? nullptr : activation.get(), gradient.get(),
                                        layer.positions, layer.channels, layer.leak, bias.get());
                };
            });
    }
}

constexpr size_t chunk_positions = 256;

/* The same layers in bfloat16; leaking, or the gradient would vanish. */
void add_relu_backward_bf16(const std::string &name, const of_kernels &kernels) {
    for (const size_t channels : {size_t{64}, size_t{128}, size_t{512}}) {
        Work work;
        work.items = static_cast<double>(channels * chunk_positions);
        work.bytes = work.items * 3 * sizeof(uint16_t);
        add(name, kernels, part("channels", channels) + part("positions", chunk_positions), work,
            [=](const of_kernels &table) {
                const size_t values = channels * chunk_positions;
                return
                    [&table, channels, activation = std::vector<uint16_t>(values, uint16_t{0x3f80}),
                     gradient = std::vector<uint16_t>(values, uint16_t{0x3f80}),
                     bias = floats(channels)]() mutable {
                        table.relu_backward_bf16(activation.data(), gradient.data(),
                                                 chunk_positions, channels, 1, bias.get());
                    };
            });
    }
}

/* Gradients of weights: of a hidden layer, of the last one's taps, of the first one's. */
void add_weight_product_bf16(const std::string &name, const of_kernels &kernels) {
    struct Layer {
        size_t outputs, inputs;
    };
    for (const Layer layer :
         {Layer{128, 128}, Layer{512, 512}, Layer{112, 128}, Layer{128, 64}, Layer{512, 64}}) {
        Work work;
        work.items = static_cast<double>(chunk_positions);
        work.operations = 2.0 * static_cast<double>(chunk_positions * layer.outputs * layer.inputs);
        add(name, kernels, part("outputs", layer.outputs) + part("inputs", layer.inputs), work,
            [=](const of_kernels &table) {
                const size_t scratch_floats =
                    OF_PRODUCT_SCRATCH_BYTES(layer.outputs) / sizeof(float);
                return
                    [&table, layer,
                     a = std::vector<uint16_t>(chunk_positions * layer.outputs, uint16_t{0x3f80}),
                     b = std::vector<uint16_t>(chunk_positions * layer.inputs, uint16_t{0x3f80}),
                     c = floats(layer.outputs * layer.inputs), space = floats(scratch_floats)] {
                        of_product_bf16 task = {};
                        task.a = a.data();
                        task.b = b.data();
                        task.m = layer.outputs;
                        task.n = layer.inputs;
                        task.k = chunk_positions;
                        task.c = c.get();
                        task.scratch = space.get();
                        table.weight_product_bf16(&task);
                    };
            });
    }
}

/* ---- Integers ---------------------------------------------------------------------------- */

void add_network_input_s16(const std::string &name, const of_kernels &kernels) {
    for (const Shape shape : shapes) {
        Work work;
        work.items = static_cast<double>(shape.positions());
        work.bytes = work.items * (shape.half * float_bytes + (shape.half + 2) * sizeof(int16_t));
        add(name, kernels, shape.name(), work, [=](const of_kernels &table) {
            return [&table, shape, pass = floats(shape.positions() * shape.half),
                    target = std::vector<int16_t>(shape.positions() * (shape.half + 2))]() mutable {
                const of_network_input input = network_input(shape, pass.get(), nullptr);
                table.network_input_s16(&input, 1000, target.data());
                benchmark::ClobberMemory();
            };
        });
    }
}

/* A 1x1 layer of so many inputs and outputs, 8 positions a call, in 8 bits or wide. */
void add_integer_tile(const std::string &name, const of_kernels &kernels) {
    if (kernels.isa == OF_ISA_AVX512 && !of_cpu_int8().avx512_vnni)
        return;
    for (const bool wide : {false, true})
        for (const uint32_t channels : {64U, 128U, 512U}) {
            Work work;
            work.items = OF_TILE_ROWS;
            work.operations = work.items * 2.0 * channels * channels;
            add(name, kernels, part("channels", channels) + (wide ? "/wide" : ""), work,
                [=](const of_kernels &table) {
                    const size_t bytes = size_t{channels} * (wide ? 2 : 1);
                    return [&table, wide, channels, bytes,
                            rows = std::vector<uint8_t>(OF_TILE_ROWS * bytes, uint8_t{1}),
                            weights = std::vector<int8_t>(channels * bytes, int8_t{1}),
                            scale = floats(channels), bias = floats(channels),
                            target = floats(size_t{OF_TILE_ROWS} * channels)] {
                        const void *sources[OF_TILE_ROWS];
                        for (size_t r = 0; r < OF_TILE_ROWS; r++)
                            sources[r] = rows.data() + r * bytes;
                        of_integer_tile tile = {};
                        tile.sources = sources;
                        tile.taps = tile.all_taps = 1;
                        tile.groups = bytes / 4;
                        tile.wide = wide;
                        tile.weights = weights.data();
                        tile.scale = scale.get();
                        tile.bias = bias.get();
                        tile.outputs = channels;
                        tile.rows = OF_TILE_ROWS;
                        tile.to = OF_TILE_F32;
                        tile.target = target.get();
                        tile.stride = channels * sizeof(float);
                        table.integer_tile(&tile);
                        benchmark::ClobberMemory();
                    };
                });
        }
}

/* ---- Flat arrays ------------------------------------------------------------------------- */

constexpr int array_count = 6;

/* A kernel on up to that many arrays of `n` floats: `call(kernels, arrays, n)`. */
template <class Call>
void add_flat(const std::string &name, const of_kernels &kernels, size_t n,
              const std::string &variant, double touched, double operations, Call call) {
    Work work;
    work.items = static_cast<double>(n);
    work.bytes = work.items * touched * float_bytes;
    work.operations = work.items * operations;
    add(name, kernels, part("values", n) + variant, work, [=](const of_kernels &table) {
        std::vector<Floats> arrays;
        arrays.reserve(array_count);
        for (int i = 0; i < array_count; i++)
            arrays.push_back(floats(n, 0.25F, 1));
        return [&table, n, call, arrays = std::move(arrays)] { call(table, arrays, n); };
    });
}

void add_scale_shift(const std::string &name, const of_kernels &kernels) {
    for (const size_t n : {size_t{384}, size_t{1536}, size_t{1001}})
        for (const bool stored : {false, true})
            add_flat(name, kernels, n, stored ? "/stored" : "", stored ? 4 : 3, 4,
                     [stored](const of_kernels &table, const std::vector<Floats> &a, size_t count) {
                         double sum = table.scale_shift(a[0].get(), a[1].get(), a[2].get(),
                                                        stored ? a[3].get() : nullptr, count);
                         benchmark::DoNotOptimize(sum);
                     });
}

void add_scale_shift_backward(const std::string &name, const of_kernels &kernels) {
    for (const size_t n : {size_t{384}, size_t{1536}, size_t{1001}})
        add_flat(name, kernels, n, "", 8, 7,
                 [](const of_kernels &table, const std::vector<Floats> &a, size_t count) {
                     table.scale_shift_backward(a[0].get(), a[1].get(), a[2].get(), 1e-3F,
                                                a[3].get(), a[4].get(), a[5].get(), count);
                 });
}

void add_optimizer_update(const std::string &name, const of_kernels &kernels) {
    struct Kind {
        const char *name;
        of_optimizer_kind kind;
    };
    for (const Kind kind : {Kind{"/adamax", OF_OPTIMIZER_ADAMAX}, Kind{"/adam", OF_OPTIMIZER_ADAM},
                            Kind{"/adamw", OF_OPTIMIZER_ADAMW}})
        for (const size_t n : lengths)
            add_flat(name, kernels, n, kind.name, 7, 0,
                     [kind](const of_kernels &table, const std::vector<Floats> &a, size_t count) {
                         of_optimizer_update update = {};
                         update.kind = kind.kind;
                         update.values = a[0].get();
                         update.first = a[1].get();
                         update.second = a[2].get();
                         update.gradients = a[3].get();
                         update.n = count;
                         update.gradient_scale = 0.9F;
                         update.rate = update.step = 1e-4F;
                         update.beta1 = 0.9F;
                         update.beta2 = 0.999F;
                         update.epsilon = 1e-8F;
                         update.weight_decay = 5e-5F;
                         update.second_correction = 1;
                         table.optimizer_update(&update);
                     });
}

void add_accumulate(const std::string &name, const of_kernels &kernels) {
    for (const size_t n : lengths)
        add_flat(name, kernels, n, "", 3, 1,
                 [](const of_kernels &table, const std::vector<Floats> &a, size_t count) {
                     table.accumulate(a[0].get(), a[1].get(), count);
                 });
}

/* Reads floats and writes half as many bytes: 1.5 floats a value. The second array takes them. */
void add_round_to_bf16(const std::string &name, const of_kernels &kernels) {
    for (const size_t n : lengths)
        add_flat(name, kernels, n, "", 1.5, 0,
                 [](const of_kernels &table, const std::vector<Floats> &a, size_t count) {
                     table.round_to_bf16(a[0].get(), reinterpret_cast<uint16_t *>(a[1].get()),
                                         count);
                 });
}

void add_look_up(const std::string &name, const of_kernels &kernels) {
    for (const size_t n : {size_t{3072}, size_t{12288}}) {
        Work work;
        work.items = static_cast<double>(n);
        work.bytes = work.items * (1 + float_bytes);
        add(name, kernels, part("values", n), work, [=](const of_kernels &table) {
            std::vector<uint8_t> pixels(n);
            for (size_t i = 0; i < n; i++)
                pixels[i] = static_cast<uint8_t>(i * 37);
            return
                [&table, n, pixels = std::move(pixels), values = floats(256), target = floats(n)] {
                    table.look_up(pixels.data(), values.get(), target.get(), n);
                    benchmark::ClobberMemory();
                };
        });
    }
}

void add_square_sum(const std::string &name, const of_kernels &kernels) {
    for (const size_t n : lengths)
        add_flat(name, kernels, n, "", 1, 2,
                 [](const of_kernels &table, const std::vector<Floats> &a, size_t count) {
                     double sum = table.square_sum(a[0].get(), count);
                     benchmark::DoNotOptimize(sum);
                 });
}

void add_multiply_add_burst(const std::string &name, const of_kernels &kernels) {
    constexpr size_t rounds = 1024;
    Work work;
    work.items = static_cast<double>(rounds * OF_BURST_VALUES);
    work.operations = 2 * work.items;
    add(name, kernels, part("rounds", rounds), work, [](const of_kernels &table) {
        return [&table] {
            float result = 0;
            table.multiply_add_burst(rounds, &result);
            benchmark::DoNotOptimize(result);
        };
    });
}

/* ---- All of them ------------------------------------------------------------------------- */

struct Entry {
    const char *name;
    size_t offset;
    void (*add)(const std::string &name, const of_kernels &kernels);
};

#define KERNEL(name)                                                                               \
    { #name, offsetof(of_kernels, name), add_##name }

constexpr Entry entries[] = {
    KERNEL(squeeze_row_u8),
    KERNEL(squeeze_row_f32),
    KERNEL(unsqueeze_row),
    KERNEL(tap_sum_row),
    KERNEL(coupling_row),
    KERNEL(scale_shift),
    KERNEL(tap_scatter_row),
    KERNEL(map_backward),
    KERNEL(coupling_backward),
    KERNEL(relu_backward),
    KERNEL(scale_shift_backward),
    KERNEL(optimizer_update),
    KERNEL(multiply_add_burst),
    KERNEL(accumulate),
    KERNEL(square_sum),
    KERNEL(round_to_bf16),
    KERNEL(look_up),
    KERNEL(network_input),
    KERNEL(network_input_bf16),
    KERNEL(network_input_backward),
    KERNEL(relu_backward_bf16),
    KERNEL(weight_product_bf16),
    KERNEL(network_input_s16),
    KERNEL(integer_tile),
};

/* The table is its instruction set, then function pointers alone. */
constexpr bool all_kernels_have_benchmarks() {
    for (size_t at = offsetof(of_kernels, squeeze_row_u8); at < sizeof(of_kernels);
         at += sizeof(void (*)())) {
        bool found = false;
        for (const Entry &entry : entries)
            found = found || entry.offset == at;
        if (!found)
            return false;
    }
    return true;
}
static_assert(all_kernels_have_benchmarks(),
              "a kernel of simd/kernels.h has no benchmark: give it an add_NAME and an entry");

void add_memory() {
    for (const size_t n : lengths) {
        Work work;
        work.items = static_cast<double>(n);
        work.bytes = work.items * 2 * float_bytes;
        bench::add("memory/copy" + part("values", n), [=](benchmark::State &state) {
            const Floats from = floats(n), to = floats(n);
            bench::measure(state, work, OF_ISA_SCALAR, Clock::thread, [&] {
                std::memcpy(to.get(), from.get(), n * sizeof(float));
                benchmark::ClobberMemory();
            });
        });
        work.bytes = work.items * float_bytes;
        bench::add("memory/fill" + part("values", n), [=](benchmark::State &state) {
            const Floats to = floats(n);
            bench::measure(state, work, OF_ISA_SCALAR, Clock::thread, [&] {
                std::memset(to.get(), 0, n * sizeof(float));
                benchmark::ClobberMemory();
            });
        });
    }
}

void add_all() {
    for (const Entry &entry : entries)
        for (const of_isa isa : {OF_ISA_SCALAR, OF_ISA_AVX2, OF_ISA_AVX512})
            if (const of_kernels *kernels = of_kernels_for(isa))
                entry.add(entry.name, *kernels);
    add_memory();
}

} // namespace

int main(int argc, char **argv) {
    return bench::run(argc, argv, add_all);
}
