// SPDX-License-Identifier: Apache-2.0
// What every part of the extension uses: errors as exceptions, Ctrl-C, arrays.
#pragma once

#include <outflow/detect.h>
#include <outflow/outflow.h>

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>
#include <nanobind/stl/optional.h>
#include <nanobind/stl/pair.h>
#include <nanobind/stl/string.h>
#include <nanobind/stl/vector.h>

#include <cstring>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace nb = nanobind;

namespace outflow {

// A library handle that frees itself.
template <auto free> struct freed_by {
    template <class handle> void operator()(handle *value) const {
        free(value);
    }
};
template <class handle, auto free> using owned = std::unique_ptr<handle, freed_by<free>>;

// Raises the exception for an error, see outflow/errors.py. Needs the GIL.
[[noreturn]] void raise(const of_error &error);

// The same if there is one.
inline void check(of_status status, const of_error &error) {
    if (status != OF_OK)
        raise(error);
}

// Asks Python for signals from the callbacks of long calls that run without the GIL.
class signals {
  public:
    // True, from now on, once a signal's handler has raised.
    bool raised();
    // An observer's `stop`, whose `user` is a `signals *`.
    static bool stop(void *user) {
        return static_cast<signals *>(user)->raised();
    }
    // Passes on what the handler has raised, else the error if there is one. Needs the GIL.
    void check(of_status status, const of_error &error) const;
    // Keeps the exception that a callback of the caller's has raised; the call then stops.
    void keep_exception() {
        was_raised = true;
    }

  private:
    bool was_raised = false;
};

// Contiguous images, [count][height][width][channels], bytes or floats.
using images = nb::ndarray<nb::ro, nb::c_contig, nb::device::cpu>;

// As the library takes them; their shape is checked against the architecture.
of_batch batch_of(const images &given, const of_architecture &architecture);

// A new NumPy array.
template <class number> struct array {
    explicit array(std::vector<size_t> sizes) : shape(std::move(sizes)) {
        size_t count = 1;
        for (size_t size : shape)
            count *= size;
        values = std::make_unique<number[]>(count);
    }
    number *data() {
        return values.get();
    }
    nb::object take() {
        number *raw = values.release();
        nb::capsule owner(raw,
                          [](void *memory) noexcept { delete[] static_cast<number *>(memory); });
        return nb::cast(nb::ndarray<nb::numpy, number>(raw, shape.size(), shape.data(), owner));
    }

  private:
    std::vector<size_t> shape;
    std::unique_ptr<number[]> values;
};

// The architecture's fields by their names in weight files, and back.
nb::dict architecture_dict(const of_architecture &architecture);
of_architecture architecture_from(const nb::dict &fields);
// Members of of_input_map by their names; what is missing is the default.
of_input_map input_map_from(const nb::dict &members);
// Flags by their names.
uint32_t edges_from(const std::vector<std::string> &names);

// Text of the library, "" for NULL.
inline std::string text(const char *given) {
    return given != nullptr ? given : "";
}

// "f32", "avx2": as options take them.
of_isa isa_from(const std::string &name);
of_precision precision_from(const std::string &name);

void add_errors(nb::module_ &module);
void add_images(nb::module_ &module);
void add_model(nb::module_ &module);
void add_plan(nb::module_ &module);
void add_detector(nb::module_ &module);
void add_pictures(nb::module_ &module);
void add_train(nb::module_ &module);
void add_fit(nb::module_ &module);
void add_clean(nb::module_ &module);
void add_evaluate(nb::module_ &module);

} // namespace outflow
