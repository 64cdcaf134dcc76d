// SPDX-License-Identifier: Apache-2.0
// From normal images to a detector: a dictionary becomes of_fit_options, a Python object the
// observer.
#include "core.h"
#include "watch.h"

#include <outflow/fit.h>

#include <cmath>
#include <string>
#include <vector>

using namespace nb::literals;

namespace outflow {
namespace {

// Options with the memory that they point to.
struct fit_settings {
    of_fit_options options = of_fit_options_default();
    std::string source, out, report, general_model, record;
    std::vector<std::string> general;
    std::vector<const char *> general_names;
};

template <class Field> void take(const nb::dict &given, const char *name, Field &field) {
    if (given.contains(name))
        field = nb::cast<Field>(given[name]);
}

void take_text(const nb::dict &given, const char *name, std::string &kept, const char *&field) {
    if (!given.contains(name))
        return;
    kept = nb::cast<std::string>(given[name]);
    field = kept.c_str();
}

void take_general(const nb::dict &given, fit_settings &settings) {
    take(given, "general_data", settings.general);
    for (const std::string &name : settings.general)
        settings.general_names.push_back(name.c_str());
    settings.options.general_data = settings.general_names.data();
    settings.options.general_count = settings.general_names.size();
}

void take_all(const nb::dict &given, fit_settings &settings) {
    of_fit_options &o = settings.options;
    take_text(given, "source", settings.source, o.source);
    take_text(given, "out", settings.out, o.out);
    take_text(given, "report", settings.report, o.report);
    take_text(given, "general_model", settings.general_model, o.general_model);
    take_text(given, "record", settings.record, o.record);
    take_general(given, settings);
    take(given, "minutes", o.minutes);
    take(given, "images", o.images);
    take(given, "height", o.height);
    take(given, "width", o.width);
    take(given, "channels", o.channels);
    take(given, "most_images", o.most_images);
    take(given, "rate", o.rate);
    take(given, "seed", o.seed);
    take(given, "threads", o.threads);
    take(given, "resume", o.resume);
    take(given, "overwrite", o.overwrite);
    take(given, "whole", o.whole);
    take(given, "tile_size", o.tiles.size);
    take(given, "tile_stride", o.tiles.stride);
}

nb::dict describe(const of_fit_result &r) {
    nb::dict d, sets;
    char score[32];
    of_score_name(r.score, score, sizeof score);
    for (size_t i = 0; i < r.set_count; i++) {
        nb::dict set;
        set["images"] = r.sets[i].images;
        set["auroc"] = r.sets[i].auroc;
        set["flagged"] = r.sets[i].flagged;
        sets[decoded(r.sets[i].name)] = set;
    }
    d["interrupted"] = r.interrupted;
    d["score"] = score;
    d["rate"] = r.rate;
    d["trained"] = r.trained;
    d["calibrated"] = r.calibrated;
    d["checked"] = r.checked;
    d["flagged"] = r.flagged;
    d["sets"] = sets;
    d["unreadable"] = r.unreadable;
    d["seconds"] = r.seconds;
    d["tiles"] =
        r.tiles.size > 0 ? nb::object(nb::make_tuple(r.tiles.size, r.tiles.stride)) : nb::none();
    return d;
}

of_fit_observer observe(watcher &watch) {
    of_fit_observer o = of_fit_observer_default();
    observe_common(o, watch);
    o.stage = [](void *user, of_fit_stage stage, uint64_t images, double seconds) {
        watcher_of(user).tell(
            "stage", [&] { return nb::make_tuple(of_fit_stage_name(stage), images, seconds); });
    };
    o.progressed = [](void *user, uint64_t images, double bits) {
        watcher_of(user).tell("progressed", [&] { return nb::make_tuple(images, bits); });
    };
    return o;
}

nb::dict fit(const nb::dict &given, const nb::object &hooks) {
    fit_settings settings;
    watcher watch(hooks);
    const of_fit_observer observer = observe(watch);
    of_fit_result result;
    of_error error;
    of_status status;
    take_all(given, settings);
    {
        const signal_stack stack;
        nb::gil_scoped_release released;
        status = of_fit(&settings.options, &observer, &result, &error);
    }
    watch.rethrow();
    check(status, error);
    return describe(result);
}

} // namespace

void add_fit(nb::module_ &module) {
    module.def("fit", &fit, "settings"_a, "hooks"_a,
               "Fits a detector; settings are fields of of_fit_options.");
}

} // namespace outflow
