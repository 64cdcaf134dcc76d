// SPDX-License-Identifier: Apache-2.0
// Images in memory, encoded images and image sources.
#include "core.h"

namespace outflow {

namespace {

std::string shape_text(const images &given) {
    std::string shape;
    for (size_t i = 0; i < given.ndim(); i++)
        shape += (i > 0 ? " x " : "") + std::to_string(given.shape(i));
    return shape;
}

[[noreturn]] void raise_shape(const images &given, const of_architecture &wanted) {
    of_error error;
    of_fail(&error, OF_ERROR_ARGUMENT,
            "expected images of N x %u x %u x %u, uint8 or float32; got an array of %s",
            wanted.height, wanted.width, wanted.channels, shape_text(given).c_str());
    raise(error);
}

bool has_shape(const images &given, const of_architecture &wanted) {
    return given.ndim() == 4 && given.shape(1) == wanted.height && given.shape(2) == wanted.width &&
           given.shape(3) == wanted.channels;
}

of_architecture size_of(uint32_t height, uint32_t width, uint32_t channels) {
    of_architecture size = of_architecture_default();
    size.height = height;
    size.width = width;
    size.channels = channels;
    return size;
}

nb::object decode(nb::bytes encoded, const std::string &name, uint32_t height, uint32_t width,
                  uint32_t channels) {
    of_architecture size = size_of(height, width, channels);
    of_image_options options = of_image_options_default(&size);
    array<uint8_t> pixels({height, width, channels});
    of_error error;
    of_status status;
    {
        nb::gil_scoped_release nogil;
        status =
            of_image_read(encoded.data(), encoded.size(), name.empty() ? nullptr : name.c_str(),
                          &options, pixels.data(), nullptr, &error);
    }
    check(status, error);
    return pixels.take();
}

// A stream of images; one caller at a time, which the GIL sees to but for `next`.
class source {
  public:
    source(const std::string &spec, uint32_t height, uint32_t width, uint32_t channels,
           uint64_t limit, uint64_t seed, bool strict, const std::string &background,
           bool all_frames)
        : shape(size_of(height, width, channels)) {
        of_source_options options = of_source_options_default(&shape);
        of_source *opened = nullptr;
        of_error error;
        of_status status;
        options.limit = limit;
        options.seed = seed;
        options.strict = strict;
        options.all_frames = all_frames;
        options.on_unreadable = [](void *user, const char *path, const char *reason) {
            static_cast<source *>(user)->failures.emplace_back(path, reason);
        };
        options.stop = [](void *user) { return static_cast<source *>(user)->watch.raised(); };
        options.user = this;
        check(of_colour_parse(background.c_str(), &options.background, &error), error);
        {
            nb::gil_scoped_release nogil;
            status = of_source_open(spec.c_str(), &options, &opened, &error);
        }
        watch.check(status, error);
        handle.reset(opened);
    }

    // (pixels [n, h, w, c], paths, labels) or None at the end.
    nb::object next(size_t most) {
        of_source_batch batch;
        of_error error;
        of_status status;
        if (busy)
            throw std::runtime_error("this source is being read by another thread");
        busy = true;
        {
            nb::gil_scoped_release nogil;
            status = of_source_next(handle.get(), most, &batch, &error);
        }
        busy = false;
        watch.check(status, error);
        return batch.count > 0 ? copy(batch) : nb::none();
    }

    uint64_t expected() const {
        return of_source_expected(handle.get());
    }
    uint64_t skipped() const {
        return of_source_skipped(handle.get());
    }
    std::vector<std::pair<std::string, std::string>> unreadable() const {
        return failures;
    }

  private:
    nb::object copy(const of_source_batch &batch) const {
        array<uint8_t> pixels({batch.count, shape.height, shape.width, shape.channels});
        nb::list paths, labels;
        memcpy(pixels.data(), batch.pixels, batch.count * of_architecture_dimensions(&shape));
        for (size_t i = 0; i < batch.count; i++) {
            paths.append(path_text(batch.items[i].path));
            labels.append(path_text(batch.items[i].label));
        }
        return nb::make_tuple(pixels.take(), paths, labels);
    }

    // Names of files are bytes: what is not UTF-8 is kept as Python keeps it.
    static nb::object path_text(const char *name) {
        return nb::steal(PyUnicode_DecodeFSDefault(name != nullptr ? name : ""));
    }

    of_architecture shape;
    owned<of_source, of_source_free> handle;
    signals watch;
    std::vector<std::pair<std::string, std::string>> failures;
    bool busy = false;
};

} // namespace

of_batch batch_of(const images &given, const of_architecture &architecture) {
    if (!has_shape(given, architecture))
        raise_shape(given, architecture);
    if (given.dtype() == nb::dtype<uint8_t>())
        return {OF_PIXEL_U8, given.data(), given.shape(0)};
    if (given.dtype() == nb::dtype<float>())
        return {OF_PIXEL_F32, given.data(), given.shape(0)};
    raise_shape(given, architecture);
}

void add_images(nb::module_ &module) {
    module.def("decode", decode, nb::arg("encoded"), nb::arg("name"), nb::arg("height"),
               nb::arg("width"), nb::arg("channels"),
               "Decodes and resizes an image file in memory to uint8 [h, w, c].");
    nb::class_<source>(module, "Source")
        .def(nb::init<const std::string &, uint32_t, uint32_t, uint32_t, uint64_t, uint64_t, bool,
                      const std::string &, bool>(),
             nb::arg("spec"), nb::arg("height"), nb::arg("width"), nb::arg("channels"),
             nb::arg("limit"), nb::arg("seed"), nb::arg("strict"), nb::arg("background"),
             nb::arg("all_frames"))
        .def("next", &source::next, nb::arg("most"))
        .def_prop_ro("expected", &source::expected)
        .def_prop_ro("skipped", &source::skipped)
        .def_prop_ro("unreadable", &source::unreadable);
}

} // namespace outflow
