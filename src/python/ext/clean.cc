// SPDX-License-Identifier: Apache-2.0
// Cleaning of labelled images: a dictionary becomes of_clean_options, findings become dictionaries.
#include "core.h"
#include "watch.h"

#include <outflow/clean.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <optional>
#include <string>

using namespace nb::literals;

namespace outflow {
namespace {

struct cleaning_free {
    void operator()(of_cleaning *cleaning) const {
        of_cleaning_free(cleaning);
    }
};

nb::object decoded(const char *value) {
    return nb::steal(PyUnicode_DecodeUTF8(value, (Py_ssize_t)strlen(value), "surrogateescape"));
}

nb::dict describe(const of_clean_finding &f) {
    nb::dict d;
    d["issue"] = of_clean_issue_name(f.issue);
    d["path"] = decoded(f.path);
    d["label"] = decoded(f.label);
    d["p_value"] = std::isnan(f.p_value) ? nb::object(nb::none()) : nb::cast(f.p_value);
    d["suggested"] = decoded(f.suggested);
    d["duplicate_of"] = decoded(f.duplicate_of);
    d["source"] = decoded(f.source);
    d["duplicate_source"] = decoded(f.duplicate_source);
    d["notes"] = decoded(f.notes);
    return d;
}

of_status write_report(const of_cleaning *cleaning, const char *path, of_error *error) {
    of_output *output = nullptr;
    of_status status = of_output_open(path, &output, error);
    if (status == OF_OK)
        status = of_cleaning_write_report(cleaning, nullptr, of_output_file(output), error);
    if (status == OF_OK)
        return of_output_commit(output, error);
    of_output_discard(output);
    return status;
}

watcher &watcher_of(void *user) {
    return *static_cast<watcher *>(user);
}

nb::list clean(const std::string &source, const std::optional<std::string> &other,
               const std::optional<std::string> &model, const std::optional<std::string> &report,
               double rate, uint64_t suspects, uint64_t limit, unsigned threads,
               const nb::object &hooks) {
    watcher watch(hooks);
    of_clean_options options = of_clean_options_default();
    of_stream_observer observer = of_stream_observer_default();
    of_cleaning *made = nullptr;
    of_error error;
    of_status status;
    options.source = source.c_str();
    options.other = other ? other->c_str() : nullptr;
    options.model = model ? model->c_str() : nullptr;
    options.rate = rate;
    options.suspects = suspects;
    options.limit = limit;
    options.threads = threads;
    observer.user = &watch;
    observer.stop = [](void *user) { return watcher_of(user).stopped(); };
    {
        const signal_stack stack;
        nb::gil_scoped_release released;
        status = of_clean(&options, &observer, &made, &error);
        if (status == OF_OK && report)
            status = write_report(made, report->c_str(), &error);
    }
    const std::unique_ptr<of_cleaning, cleaning_free> cleaning(made);
    watch.rethrow();
    check(status, error);
    nb::list findings;
    for (size_t i = 0; i < of_cleaning_count(made); i++)
        findings.append(describe(of_cleaning_finding(made, i)));
    return findings;
}

} // namespace

void add_clean(nb::module_ &module) {
    module.def("clean", &clean, "source"_a, "other"_a.none(), "model"_a.none(), "report"_a.none(),
               "rate"_a, "suspects"_a, "limit"_a, "threads"_a, "hooks"_a.none(),
               "Examines labelled images; gives of_clean_finding as dictionaries.");
}

} // namespace outflow
