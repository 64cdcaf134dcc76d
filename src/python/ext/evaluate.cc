// SPDX-License-Identifier: Apache-2.0
// Evaluations: sets of images through a detector, and what is written about them.
#include "detector.h"
#include "watch.h"

#include <outflow/evaluate.h>
#include <outflow/output.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using namespace nb::literals;

namespace outflow {
namespace {

using named_source = std::pair<std::string, std::string>;

// What is written to a stream of stdio, as bytes.
template <class Write> nb::bytes written(Write &&write) {
    char *text = nullptr;
    size_t size = 0;
    of_error error;
    of_status status;
    FILE *file = open_memstream(&text, &size);
    if (file == nullptr)
        throw std::bad_alloc();
    {
        nb::gil_scoped_release released;
        status = write(file, &error);
        if (fclose(file) != 0 && status == OF_OK)
            status = of_fail_memory(&error, "an evaluation's text");
    }
    nb::object bytes;
    if (status == OF_OK)
        bytes = nb::bytes(text, size);
    free(text);
    check(status, error);
    return nb::borrow<nb::bytes>(bytes);
}

// The same to a file, which appears whole.
template <class Write> void write_file(const std::string &path, Write &&write) {
    of_error error;
    of_status status;
    {
        nb::gil_scoped_release released;
        of_output *output = nullptr;
        status = of_output_open(path.c_str(), &output, &error);
        if (status == OF_OK && (status = write(of_output_file(output), &error)) == OF_OK)
            status = of_output_commit(output, &error);
        else
            of_output_discard(output);
    }
    check(status, error);
}

// A copy: the evaluation may go before the array.
nb::object copied(const double *values, size_t count) {
    if (values == nullptr)
        return nb::none();
    array<double> copy({count});
    std::copy(values, values + count, copy.data());
    return copy.take();
}

of_stream_observer observe(watcher &watch) {
    of_stream_observer o = {};
    o.size = sizeof o;
    observe_common(o, watch);
    o.started = [](void *user, const char *source, uint64_t expected) {
        watcher_of(user).tell("started", [&] { return nb::make_tuple(decoded(source), expected); });
    };
    o.progressed = [](void *user, uint64_t images) {
        watcher_of(user).tell("progressed", [&] { return nb::make_tuple(images); });
    };
    return o;
}

// An evaluation with the detector that it needs, for one thread at a time.
class evaluated {
  public:
    evaluated(nb::object owner, of_evaluation *evaluation)
        : detector_(std::move(owner)), evaluation_(evaluation) {
    }
    ~evaluated() {
        of_evaluation_free(evaluation_);
    }
    evaluated(const evaluated &) = delete;
    evaluated &operator=(const evaluated &) = delete;

    // Each to memory (path None), or to a file.
    nb::object json(const std::optional<std::string> &path) const {
        return write(path, [&](FILE *file, of_error *error) {
            return of_evaluation_write_json(evaluation_, nullptr, file, error);
        });
    }

    nb::object figure(const std::optional<std::string> &path) const {
        return write(path, [&](FILE *file, of_error *error) {
            return of_evaluation_write_figure(evaluation_, file, error);
        });
    }

    nb::object report(const std::optional<std::string> &path,
                      const std::optional<std::string> &command, const nb::object &hooks) {
        watcher watch(hooks);
        const of_stream_observer observer = observe(watch);
        of_report_options options = of_report_options_default();
        options.command = command ? command->c_str() : nullptr;
        options.observer = &observer;
        try {
            detector &used = nb::cast<detector &>(detector_);
            return write(path, [&](FILE *file, of_error *error) {
                std::shared_lock shared(used.mutex); // it makes heat
                return of_evaluation_write_report(evaluation_, &options, file, error);
            });
        } catch (...) {
            watch.rethrow(); // Ctrl-C says more than "interrupted"
            throw;
        }
    }

    nb::list scores() const {
        size_t count;
        const of_score *scores = of_evaluation_scores(evaluation_, &count);
        nb::list names;
        for (size_t i = 0; i < count; i++) {
            char name[32];
            of_score_name(scores[i], name, sizeof name);
            names.append(name);
        }
        return names;
    }

    nb::list sets() const {
        nb::list sets;
        for (size_t i = 0; i < of_evaluation_set_count(evaluation_); i++) {
            const of_evaluation_set set = of_evaluation_get_set(evaluation_, i);
            nb::dict d;
            d["name"] = set.name;
            d["source"] = set.source;
            d["images"] = set.stream.images;
            d["unreadable"] = set.stream.unreadable;
            d["bits_per_dim"] = set.bits_per_dim;
            d["mean_logp"] = set.mean_logp;
            sets.append(d);
        }
        return sets;
    }

    size_t main_score() const {
        return of_evaluation_main_score(evaluation_);
    }

    nb::object metrics(size_t set, size_t score) const {
        const of_metrics *m = of_evaluation_metrics(evaluation_, set, score);
        if (m == nullptr)
            return nb::none();
        nb::dict d;
        d["auroc"] = m->auroc;
        d["aupr_out"] = m->aupr_out;
        d["aupr_in"] = m->aupr_in;
        d["fpr95"] = m->fpr95;
        return d;
    }

    nb::object flags(size_t set, size_t score) const {
        const of_evaluation_flags f = of_evaluation_get_flags(evaluation_, set, score);
        if (!f.known)
            return nb::none();
        nb::dict d;
        d["count"] = f.count;
        d["share"] = f.share;
        d["low"] = f.low;
        d["high"] = f.high;
        return d;
    }

    nb::object values(size_t set, size_t score) const {
        size_t count = 0;
        const double *values = of_evaluation_values(evaluation_, set, score, &count);
        return copied(values, count);
    }

    nb::object logp(size_t set) const {
        size_t count = 0;
        const double *values = of_evaluation_logp(evaluation_, set, &count);
        return copied(values, count);
    }

    nb::object general_logp(size_t set) const {
        size_t count = 0;
        const double *values = of_evaluation_general_logp(evaluation_, set, &count);
        return copied(values, count);
    }

    nb::dict summary() const {
        const of_evaluation_summary s = of_evaluation_summarise(evaluation_);
        nb::dict d;
        d["compared"] = s.compared;
        d["rate"] = s.rate;
        d["images_per_second"] = s.images_per_second;
        d["convention"] = s.convention;
        return d;
    }

  private:
    template <class Write>
    static nb::object write(const std::optional<std::string> &path, Write &&content) {
        if (!path)
            return written(content);
        write_file(*path, content);
        return nb::none();
    }

    nb::object detector_;
    of_evaluation *evaluation_;
};

// What of_evaluation_options and of_stream_options point to.
struct evaluation_request {
    std::vector<named_source> sets;
    std::optional<std::string> asked;
    std::optional<double> threshold;
    std::optional<double> rate;
    bool keep_images;
    uint64_t limit, every, seed;
    size_t batch;
    bool strict;
};

// The program's choice: a rate that is asked for must be possible for the score that decides by
// default; without one, 0.05 where the detector is calibrated.
of_status choose_rate(const of_detector *handle, const evaluation_request &request, double *rate,
                      of_error *error) {
    constexpr double usual = 0.05;
    *rate = request.rate.value_or(0);
    if (request.rate) {
        const of_flag_rule rule = {{OF_SCORE_COMBINED, 0}, *rate, 0};
        return of_detector_check_rule(handle, &rule, error);
    }
    if (!request.threshold && of_detector_describe(handle).calibration != nullptr)
        *rate = usual;
    return OF_OK;
}

of_status run(const of_detector *handle, const evaluation_request &request,
              const of_stream_observer &observer, of_evaluation **evaluation, of_error *error) {
    of_evaluation_options options = of_evaluation_options_default();
    of_stream_options stream = of_stream_options_default();
    std::vector<of_evaluation_set_options> sets;
    of_score asked;
    for (const named_source &set : request.sets)
        sets.push_back({set.first.c_str(), set.second.c_str()});
    stream.limit = request.limit;
    stream.every = request.every;
    stream.seed = request.seed;
    stream.batch = request.batch;
    stream.strict = request.strict;
    stream.observer = &observer;
    options.sets = sets.data();
    options.set_count = sets.size();
    options.compared = true;
    options.threshold = request.threshold ? &*request.threshold : nullptr;
    options.keep_images = request.keep_images;
    options.stream = &stream;
    if (request.asked) {
        const of_status status =
            of_detector_find_score(handle, request.asked->c_str(), &asked, error);
        if (status != OF_OK)
            return status;
        options.asked = &asked;
    }
    const of_status status = choose_rate(handle, request, &options.rate, error);
    return status == OF_OK ? of_evaluate(handle, &options, evaluation, error) : status;
}

evaluated *evaluate(nb::object owner, std::vector<named_source> sets,
                    std::optional<std::string> asked, std::optional<double> rate,
                    std::optional<double> threshold, bool keep_images, uint64_t limit,
                    uint64_t every, uint64_t seed, size_t batch, bool strict,
                    const nb::object &hooks) {
    const evaluation_request request = {
        std::move(sets), std::move(asked), threshold, rate, keep_images, limit, every, seed, batch,
        strict};
    detector &used = nb::cast<detector &>(owner);
    watcher watch(hooks);
    const of_stream_observer observer = observe(watch);
    of_evaluation *evaluation = nullptr;
    of_error error;
    of_status status;
    {
        nb::gil_scoped_release released;
        std::shared_lock shared(used.mutex);
        status = run(used.get(), request, observer, &evaluation, &error);
    }
    auto made = std::make_unique<evaluated>(std::move(owner), evaluation);
    watch.rethrow();
    check(status, error);
    return made.release();
}

} // namespace

void add_evaluate(nb::module_ &module) {
    nb::class_<evaluated>(module, "Evaluation")
        .def("json", &evaluated::json, "path"_a.none())
        .def("figure", &evaluated::figure, "path"_a.none())
        .def("report", &evaluated::report, "path"_a.none(), "command"_a.none(), "hooks"_a)
        .def("scores", &evaluated::scores)
        .def("sets", &evaluated::sets)
        .def("main_score", &evaluated::main_score)
        .def("metrics", &evaluated::metrics, "set"_a, "score"_a)
        .def("flags", &evaluated::flags, "set"_a, "score"_a)
        .def("values", &evaluated::values, "set"_a, "score"_a)
        .def("logp", &evaluated::logp, "set"_a)
        .def("general_logp", &evaluated::general_logp, "set"_a)
        .def("summary", &evaluated::summary);
    module.def("evaluate", &evaluate, "detector"_a, "sets"_a, "asked"_a.none(), "rate"_a.none(),
               "threshold"_a.none(), "keep_images"_a, "limit"_a, "every"_a, "seed"_a, "batch"_a,
               "strict"_a, "hooks"_a);
}

} // namespace outflow
