// SPDX-License-Identifier: Apache-2.0
// Pictures of a source, cut into tiles.
#include "detector.h"

#include <algorithm>

namespace outflow {

namespace {

// What the visitor of a stream keeps, without the GIL.
struct picture {
    std::string path, label;
    uint32_t height, width;
    double value, p_value;
    uint64_t tiles;
    uint32_t tile_height, tile_width;
    std::vector<float> heat;
    uint32_t heat_height, heat_width, cell;
    double usual, limit;
};

struct gatherer {
    const of_detector *handle;
    of_score score;
    bool calibrated;
    signals watch;
    std::vector<picture> pictures;
    std::vector<std::string> warnings;
};

void keep_heat(const of_tiled_heat *heat, picture &kept) {
    if (heat == nullptr)
        return;
    kept.heat.assign(heat->values, heat->values + size_t{heat->height} * heat->width);
    kept.heat_height = heat->height;
    kept.heat_width = heat->width;
    kept.cell = heat->cell;
    kept.usual = heat->usual;
    kept.limit = heat->limit;
}

of_status keep(void *user, const of_scored_batch *batch, of_error *) {
    gatherer &g = *static_cast<gatherer *>(user);
    for (size_t i = 0; i < of_scored_count(batch); i++) {
        const of_item *item = of_scored_item(batch, i);
        of_image_likelihood likelihood = of_scored_likelihood(batch, i);
        picture kept = {};
        kept.path = item->path;
        kept.label = item->label;
        kept.height = item->height;
        kept.width = item->width;
        kept.value = of_detector_value(g.handle, g.score, &likelihood);
        kept.p_value = g.calibrated ? of_detector_p_value(g.handle, g.score, kept.value) : 0;
        kept.tiles = likelihood.tiles->count;
        kept.tile_height = likelihood.tiles->tile.height;
        kept.tile_width = likelihood.tiles->tile.width;
        keep_heat(of_scored_heat(batch, i), kept);
        g.pictures.push_back(std::move(kept));
    }
    return OF_OK;
}

nb::object decoded(const std::string &value) {
    return nb::steal(
        PyUnicode_DecodeUTF8(value.data(), (Py_ssize_t)value.size(), "surrogateescape"));
}

nb::dict dict_of(const picture &kept, bool calibrated) {
    nb::dict d;
    d["path"] = decoded(kept.path);
    d["label"] = decoded(kept.label);
    d["height"] = kept.height;
    d["width"] = kept.width;
    d["score"] = kept.value;
    d["p_value"] = calibrated ? nb::cast(kept.p_value) : nb::none();
    d["tiles"] = kept.tiles;
    d["tile_height"] = kept.tile_height;
    d["tile_width"] = kept.tile_width;
    if (kept.heat.empty())
        return d;
    array<double> map({kept.heat_height, kept.heat_width});
    std::copy(kept.heat.begin(), kept.heat.end(), map.data());
    d["heat"] = map.take();
    d["cell"] = kept.cell;
    d["usual"] = kept.usual;
    d["limit"] = kept.limit;
    return d;
}

// Returns the pictures, and what to warn of.
nb::tuple score_pictures(detector &self, const std::string &source, const std::string &score,
                         bool heat, uint32_t side) {
    of_stream_options options = of_stream_options_default();
    of_stream_observer observer = of_stream_observer_default();
    gatherer g = {self.get(), self.find({score})[0], false, {}, {}, {}};
    of_error error;
    of_status status;
    observer.user = &g;
    observer.stop = [](void *user) { return static_cast<gatherer *>(user)->watch.raised(); };
    observer.warn = [](void *user, const char *line) {
        static_cast<gatherer *>(user)->warnings.emplace_back(line);
    };
    observer.unreadable = [](void *user, const char *, const char *path, const char *reason) {
        static_cast<gatherer *>(user)->warnings.push_back(text(path) + ": " + reason);
    };
    options.observer = &observer;
    options.needs = of_score_needs(g.score);
    options.tile_heat = heat ? &g.score : nullptr;
    options.tile_heat_side = side;
    {
        nb::gil_scoped_release nogil;
        std::shared_lock<std::shared_mutex> lock(self.mutex);
        g.calibrated = of_detector_check_p_value(self.get(), g.score, nullptr) == OF_OK;
        status =
            of_detector_stream(self.get(), source.c_str(), &options, keep, &g, nullptr, &error);
    }
    g.watch.check(status, error);
    nb::list pictures;
    for (const picture &kept : g.pictures)
        pictures.append(dict_of(kept, g.calibrated));
    return nb::make_tuple(pictures, g.warnings);
}

nb::object tiling(detector &self) {
    of_tiling tiles = of_detector_tiling(self.get());
    return tiles.size > 0 ? nb::object(nb::make_tuple(tiles.size, tiles.stride)) : nb::none();
}

} // namespace

void add_pictures(nb::module_ &module) {
    module.def("score_pictures", score_pictures, nb::arg("detector"), nb::arg("source"),
               nb::arg("score"), nb::arg("heat"), nb::arg("side"));
    module.def("tiling", tiling, nb::arg("detector"));
}

} // namespace outflow
