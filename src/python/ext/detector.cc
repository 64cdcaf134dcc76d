// SPDX-License-Identifier: Apache-2.0
// Detectors: scores, p-values, flags, heat, calibration.
#include "detector.h"

namespace outflow {

nb::dict plan_dict(const of_plan_info &info);

namespace {

detector *open(const std::string &model_name, std::optional<std::string> general,
               const std::vector<std::string> &ensemble, unsigned threads,
               const std::string &precision, const std::string &isa, bool webp, bool latency,
               bool lossy_scores, bool find_general, uint32_t tile_size, uint32_t tile_stride) {
    of_detector_options options = of_detector_options_default();
    std::vector<const char *> names;
    of_detector *opened = nullptr;
    of_error error;
    of_status status;
    for (const std::string &name : ensemble)
        names.push_back(name.c_str());
    options.model = model_name.c_str();
    options.general_model = general ? general->c_str() : nullptr;
    options.ensemble = names.empty() ? nullptr : names.data();
    options.ensemble_count = names.size();
    options.threads = threads;
    options.precision = precision_from(precision);
    options.isa = isa_from(isa);
    options.webp = webp;
    options.latency = latency;
    options.lossy_scores = lossy_scores;
    options.find_general = find_general;
    options.tiles = {tile_size, tile_stride};
    {
        nb::gil_scoped_release nogil;
        status = of_detector_open(&options, &opened, &error);
    }
    check(status, error);
    return new detector(opened);
}

detector *create(const model &main, const model *general,
                 const std::vector<const model *> &ensemble, unsigned threads,
                 const std::string &precision, const std::string &isa, bool webp, bool latency,
                 bool lossy_scores, uint32_t tile_size, uint32_t tile_stride) {
    of_detector_options options = of_detector_options_default();
    of_detector_models models = {};
    std::vector<const of_model *> members;
    of_detector *made = nullptr;
    of_error error;
    of_status status;
    for (const model *member : ensemble)
        members.push_back(member->get());
    models.size = sizeof models;
    models.model = main.get();
    models.general_model = general != nullptr ? general->get() : nullptr;
    models.ensemble = members.empty() ? nullptr : members.data();
    models.ensemble_count = members.size();
    options.threads = threads;
    options.precision = precision_from(precision);
    options.isa = isa_from(isa);
    options.webp = webp;
    options.latency = latency;
    options.tiles = {tile_size, tile_stride};
    options.lossy_scores = lossy_scores;
    {
        nb::gil_scoped_release nogil;
        status = of_detector_create(&models, &options, &made, &error);
    }
    check(status, error);
    return new detector(made);
}

// Images of about a second, so that Ctrl-C is heard.
size_t images_between_signals(const of_detector *handle) {
    double flops = of_detector_describe(handle).plan.flops_per_image;
    return flops > 1e9 ? 128 : flops > 0 ? static_cast<size_t>(128e9 / flops) : 1024;
}

of_status score_in_parts(const of_detector *handle, const of_batch &batch,
                         const std::vector<of_score> &scores, double *values, signals &watch,
                         of_error *error) {
    size_t dimensions = of_architecture_dimensions(of_detector_architecture(handle));
    size_t bytes = dimensions * (batch.type == OF_PIXEL_U8 ? 1 : sizeof(float));
    size_t most = images_between_signals(handle) * 2;
    of_status status = OF_OK;
    for (size_t first = 0; status == OF_OK && first < batch.count; first += most) {
        size_t count = std::min(most, batch.count - first);
        of_batch part = {batch.type, static_cast<const char *>(batch.pixels) + first * bytes,
                         count};
        if (first > 0 && watch.raised())
            return of_fail(error, OF_ERROR_IO, "interrupted");
        status = of_detector_score(handle, &part, scores.data(), scores.size(),
                                   values + first * scores.size(), error);
    }
    return status;
}

nb::object score(detector &self, const images &given, const std::vector<std::string> &names) {
    std::vector<of_score> scores = self.find(names);
    of_batch batch = batch_of(given, self.architecture());
    array<double> values({batch.count, scores.size()});
    signals watch;
    of_error error;
    of_status status;
    {
        nb::gil_scoped_release nogil;
        std::shared_lock<std::shared_mutex> lock(self.mutex);
        status = score_in_parts(self.get(), batch, scores, values.data(), watch, &error);
    }
    watch.check(status, error);
    return values.take();
}

using values_array = nb::ndarray<const double, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

nb::object p_values(detector &self, const values_array &values, const std::string &name) {
    of_score wanted = self.find({name})[0];
    size_t count = values.shape(0);
    array<double> p({count});
    of_error error;
    auto lock = self.reading();
    check(of_detector_check_p_value(self.get(), wanted, &error), error);
    for (size_t i = 0; i < count; i++)
        p.data()[i] = of_detector_p_value(self.get(), wanted, values.data()[i]);
    return p.take();
}

nb::object flags(detector &self, const values_array &values, const std::string &name, double rate,
                 double threshold) {
    of_flag_rule rule = {self.find({name})[0], rate, threshold};
    array<bool> flagged({values.shape(0)});
    of_error error;
    auto lock = self.reading();
    check(of_detector_check_rule(self.get(), &rule, &error), error);
    for (size_t i = 0; i < values.shape(0); i++)
        flagged.data()[i] = of_detector_flags(self.get(), &rule, values.data()[i]);
    return flagged.take();
}

double threshold(detector &self, const std::string &name, double rate) {
    of_flag_rule rule = {self.find({name})[0], rate, 0};
    of_error error;
    auto lock = self.reading();
    check(of_detector_check_rule(self.get(), &rule, &error), error);
    return of_detector_threshold(self.get(), rule.score, rate);
}

// What heat of in-distribution images heat maps are relative to.
class heat_reference {
  public:
    heat_reference(detector &self, const images &given, const std::string &name) {
        of_batch batch = batch_of(given, self.architecture());
        of_score wanted = self.find({name})[0];
        of_heat_reference *made = nullptr;
        of_error error;
        of_status status;
        {
            nb::gil_scoped_release nogil;
            std::shared_lock<std::shared_mutex> lock(self.mutex);
            status = of_heat_reference_create(self.get(), wanted, &batch, &made, &error);
        }
        check(status, error);
        handle.reset(made);
    }
    const of_heat_reference *get() const {
        return handle.get();
    }

  private:
    owned<of_heat_reference, of_heat_reference_free> handle;
};

// (heat [n, h, w], limits [n])
nb::tuple heat(detector &self, const images &given, const std::string &name, bool relative,
               const heat_reference *reference) {
    const of_architecture &shape = self.architecture();
    of_batch batch = batch_of(given, shape);
    of_score wanted = self.find({name})[0];
    array<double> maps({batch.count, shape.height, shape.width}), limits({batch.count});
    of_error error;
    of_status status;
    {
        nb::gil_scoped_release nogil;
        std::shared_lock<std::shared_mutex> lock(self.mutex);
        status = relative
                     ? of_detector_relative_heat(self.get(), wanted,
                                                 reference != nullptr ? reference->get() : nullptr,
                                                 &batch, maps.data(), limits.data(), &error)
                     : of_detector_heat(self.get(), wanted, &batch, maps.data(), &error);
    }
    check(status, error);
    return nb::make_tuple(maps.take(), limits.take());
}

using pixels_array = nb::ndarray<const uint8_t, nb::ndim<3>, nb::c_contig, nb::device::cpu>;
using map_array = nb::ndarray<const double, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

nb::bytes heat_picture(detector &self, const pixels_array &pixels, const map_array &map,
                       double limit, uint32_t side, bool with_image) {
    of_heat_picture_options options = of_heat_picture_options_default();
    uint8_t *png = nullptr;
    size_t size = 0;
    of_error error;
    options.side = side;
    options.with_image = with_image;
    check(of_heat_picture(&self.architecture(), pixels.data(), map.data(), limit, &options, &png,
                          &size, &error),
          error);
    nb::bytes made(png, size);
    of_free(png);
    return made;
}

using learn_from_pixels = of_status (*)(of_detector *, const of_batch *, const char *, of_error *);
using learn_from_source = of_status (*)(of_detector *, const char *, const of_stream_options *,
                                        of_stream_result *, of_error *);

void learn_images(detector &self, learn_from_pixels learn, const images &given,
                  const std::string &source) {
    of_batch batch = batch_of(given, self.architecture());
    of_error error;
    of_status status;
    {
        nb::gil_scoped_release nogil;
        std::unique_lock<std::shared_mutex> lock(self.mutex);
        status = learn(self.get(), &batch, source.empty() ? nullptr : source.c_str(), &error);
    }
    check(status, error);
}

void calibrate_images(detector &self, const images &given, const std::string &source) {
    learn_images(self, of_detector_calibrate_pixels, given, source);
}

void quantize_images(detector &self, const images &given, const std::string &source) {
    learn_images(self, of_detector_quantize_pixels, given, source);
}

// What learning from a source tells: signals, and lines to warn of.
struct learning_watch {
    signals watch;
    std::vector<std::string> warnings;
};

// Returns what to warn of.
std::vector<std::string> learn_stream(detector &self, learn_from_source learn,
                                      const std::string &source, uint64_t limit, uint64_t seed) {
    of_stream_options options = of_stream_options_default();
    of_stream_observer observer = {};
    learning_watch told;
    of_error error;
    of_status status;
    observer.size = sizeof observer;
    observer.user = &told;
    observer.stop = [](void *user) { return static_cast<learning_watch *>(user)->watch.raised(); };
    observer.warn = [](void *user, const char *line) {
        static_cast<learning_watch *>(user)->warnings.emplace_back(line);
    };
    options.observer = &observer;
    options.limit = limit;
    options.seed = seed;
    {
        nb::gil_scoped_release nogil;
        std::unique_lock<std::shared_mutex> lock(self.mutex);
        status = learn(self.get(), source.c_str(), &options, nullptr, &error);
    }
    told.watch.check(status, error);
    return told.warnings;
}

std::vector<std::string> calibrate_source(detector &self, const std::string &source, uint64_t limit,
                                          uint64_t seed) {
    return learn_stream(self, of_detector_calibrate, source, limit, seed);
}

std::vector<std::string> quantize_source(detector &self, const std::string &source, uint64_t limit,
                                         uint64_t seed) {
    return learn_stream(self, of_detector_quantize, source, limit, seed);
}

void save(detector &self, const std::string &path, bool bundle) {
    of_save_options options = of_save_options_default();
    of_error error;
    of_status status;
    options.bundle = bundle;
    {
        nb::gil_scoped_release nogil;
        std::shared_lock<std::shared_mutex> lock(self.mutex);
        status = of_detector_save(self.get(), path.c_str(), &options, &error);
    }
    check(status, error);
}

nb::dict model_dict(const of_detector_model &model) {
    nb::dict fields;
    fields["file"] = text(model.file);
    fields["architecture"] = architecture_dict(model.architecture);
    fields["fingerprint"] = model.fingerprint;
    return fields;
}

nb::object calibration_dict(const of_calibration *calibration) {
    if (calibration == nullptr)
        return nb::none();
    of_calibration_info info = of_calibration_describe(calibration);
    nb::dict fields;
    fields["images"] = info.images;
    fields["source"] = text(info.source);
    fields["mean_nll"] = info.mean_nll;
    return fields;
}

nb::dict info(detector &self) {
    auto lock = self.reading();
    of_detector_info given = of_detector_describe(self.get());
    nb::dict fields;
    nb::list ensemble;
    for (size_t i = 0; i < given.ensemble_count; i++)
        ensemble.append(model_dict(given.ensemble[i]));
    fields["model"] = model_dict(*given.model);
    fields["general"] =
        given.general_model != nullptr ? nb::object(model_dict(*given.general_model)) : nb::none();
    fields["ensemble"] = ensemble;
    fields["plan"] = plan_dict(given.plan);
    fields["calibration"] = calibration_dict(given.calibration);
    fields["calibration_problem"] = text(given.calibration_problem);
    return fields;
}

std::string name_of(of_score score) {
    char name[32];
    of_score_name(score, name, sizeof name);
    return name;
}

std::vector<std::string> score_names(detector &self) {
    auto lock = self.reading();
    std::vector<of_score> scores(of_detector_scores(self.get(), nullptr, 0));
    std::vector<std::string> names;
    of_detector_scores(self.get(), scores.data(), scores.size());
    for (of_score one : scores)
        names.push_back(name_of(one));
    return names;
}

// {score: (auroc, against, p_value, flagged)}
nb::dict precision_losses(detector &self) {
    auto lock = self.reading();
    nb::dict losses;
    for (bool kept : {true, false}) {
        auto list = kept ? of_detector_scores : of_detector_lossy_scores;
        std::vector<of_score> scores(list(self.get(), nullptr, 0));
        list(self.get(), scores.data(), scores.size());
        for (of_score one : scores) {
            const of_precision_loss *loss = of_detector_precision_loss(self.get(), one);
            if (loss == nullptr)
                continue;
            nb::dict fields;
            fields["auroc"] = loss->auroc;
            fields["error"] = loss->error;
            fields["against"] = text(loss->against);
            fields["p_value"] = loss->p_value;
            fields["flagged"] = loss->flagged;
            losses[name_of(one).c_str()] = fields;
        }
    }
    return losses;
}

bool has_p_value(detector &self, const std::string &name) {
    of_score wanted = self.find({name})[0];
    auto lock = self.reading();
    return of_detector_check_p_value(self.get(), wanted, nullptr) == OF_OK;
}

} // namespace

std::vector<of_score> detector::find(const std::vector<std::string> &names) {
    std::vector<of_score> scores(names.size());
    of_error error;
    auto lock = reading();
    for (size_t i = 0; i < names.size(); i++)
        check(of_detector_find_score(get(), names[i].c_str(), &scores[i], &error), error);
    return scores;
}

void add_detector(nb::module_ &module) {
    nb::class_<heat_reference>(module, "HeatReference")
        .def(nb::init<detector &, const images &, const std::string &>(), nb::arg("detector"),
             nb::arg("images"), nb::arg("score"));
    nb::class_<detector>(module, "Detector")
        .def_static("open", open, nb::arg("model"), nb::arg("general").none(), nb::arg("ensemble"),
                    nb::arg("threads"), nb::arg("precision"), nb::arg("isa"), nb::arg("webp"),
                    nb::arg("latency"), nb::arg("lossy_scores"), nb::arg("find_general"),
                    nb::arg("tile_size"), nb::arg("tile_stride"))
        .def_static("create", create, nb::arg("model"), nb::arg("general").none(),
                    nb::arg("ensemble"), nb::arg("threads"), nb::arg("precision"), nb::arg("isa"),
                    nb::arg("webp"), nb::arg("latency"), nb::arg("lossy_scores"),
                    nb::arg("tile_size"), nb::arg("tile_stride"))
        .def("score_names", score_names)
        .def("default_score",
             [](detector &self) {
                 auto lock = self.reading();
                 return name_of(of_detector_default_score(self.get()));
             })
        .def(
            "heat_score",
            [](detector &self, const std::string &name) {
                return name_of(of_detector_heat_score(self.get(), self.find({name})[0]));
            },
            nb::arg("score"))
        .def("has_p_value", has_p_value, nb::arg("score"))
        .def("score", score, nb::arg("images"), nb::arg("scores"))
        .def("p_values", p_values, nb::arg("values"), nb::arg("score"))
        .def("flags", flags, nb::arg("values"), nb::arg("score"), nb::arg("rate"),
             nb::arg("threshold"))
        .def("threshold", threshold, nb::arg("score"), nb::arg("rate"))
        .def("heat", heat, nb::arg("images"), nb::arg("score"), nb::arg("relative"),
             nb::arg("reference").none())
        .def("heat_picture", heat_picture, nb::arg("pixels"), nb::arg("heat"), nb::arg("limit"),
             nb::arg("side"), nb::arg("with_image"))
        .def("calibrate_images", calibrate_images, nb::arg("images"), nb::arg("source"))
        .def("calibrate_source", calibrate_source, nb::arg("source"), nb::arg("limit"),
             nb::arg("seed"))
        .def("quantize_images", quantize_images, nb::arg("images"), nb::arg("source"))
        .def("quantize_source", quantize_source, nb::arg("source"), nb::arg("limit"),
             nb::arg("seed"))
        .def("precision_losses", precision_losses)
        .def("save", save, nb::arg("path"), nb::arg("bundle"))
        .def("info", info)
        .def_prop_ro("architecture",
                     [](detector &self) { return architecture_dict(self.architecture()); });
}

} // namespace outflow
