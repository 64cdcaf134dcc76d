// SPDX-License-Identifier: Apache-2.0
// Training: a dictionary of settings becomes of_train_options, and a Python object the observer.
#include "core.h"
#include "watch.h"

#include <outflow/train.h>

#include <deque>
#include <map>
#include <string>
#include <vector>

using namespace nb::literals;

namespace outflow {
namespace {

// ---- Settings
// ------------------------------------------------------------------------------------

// Options with the memory that they point to.
class train_settings {
  public:
    of_train_options options = of_train_options_default();
    of_architecture architecture = of_architecture_default();

    const char *keep(const std::string &text) {
        texts_.push_back(text);
        return texts_.back().c_str();
    }

    const char *const *keep_sources(nb::handle value, size_t &count) {
        std::vector<const char *> &list = lists_.emplace_back();
        for (const std::string &source : nb::cast<std::vector<std::string>>(value))
            list.push_back(keep(source));
        count = list.size();
        return list.data();
    }

    const double *keep_shares(nb::handle value) {
        return shares_.emplace_back(nb::cast<std::vector<double>>(value)).data();
    }

    const of_named_source *keep_sets(nb::dict sets) {
        for (auto [name, source] : sets)
            named_.push_back(
                {keep(nb::cast<std::string>(name)), keep(nb::cast<std::string>(source))});
        return named_.data();
    }

  private:
    std::deque<std::string> texts_;
    std::deque<std::vector<const char *>> lists_;
    std::deque<std::vector<double>> shares_;
    std::vector<of_named_source> named_;
};

using setter = void (*)(train_settings &, nb::handle);

template <auto Member> void put(train_settings &settings, nb::handle value) {
    auto &field = settings.options.*Member;
    field = nb::cast<std::remove_reference_t<decltype(field)>>(value);
}

template <auto Member> void put_text(train_settings &settings, nb::handle value) {
    settings.options.*Member = settings.keep(nb::cast<std::string>(value));
}

template <auto Member, auto Parse> void put_choice(train_settings &settings, nb::handle value) {
    of_error error;
    check(Parse(nb::cast<std::string>(value).c_str(), &(settings.options.*Member), &error), error);
}

template <auto List, auto Count> void put_sources(train_settings &settings, nb::handle value) {
    settings.options.*List = settings.keep_sources(value, settings.options.*Count);
}

template <auto List, auto Count> void put_shares(train_settings &settings, nb::handle value) {
    if (nb::len(value) != settings.options.*Count)
        throw nb::value_error("a share is given for each source, in their order");
    settings.options.*List = settings.keep_shares(value);
}

void put_sets(train_settings &settings, nb::handle value) {
    const nb::dict sets = nb::cast<nb::dict>(value);
    settings.options.out_of = settings.keep_sets(sets);
    settings.options.out_of_count = sets.size();
}

template <auto Member> void put_shape(train_settings &settings, nb::handle value) {
    auto &field = settings.architecture.*Member;
    field = nb::cast<std::remove_reference_t<decltype(field)>>(value);
}

template <auto Member, auto Parse> void put_kind(train_settings &settings, nb::handle value) {
    of_error error;
    check(Parse(nb::cast<std::string>(value).c_str(), &(settings.architecture.*Member), &error),
          error);
}

void put_input(train_settings &settings, nb::handle value) {
    settings.architecture.input = input_map_from(nb::cast<nb::dict>(value));
}

void put_edges(train_settings &settings, nb::handle value) {
    settings.architecture.edges = edges_from(nb::cast<std::vector<std::string>>(value));
}

using field_table = std::map<std::string, setter>;

const field_table &architecture_fields() {
    using a = of_architecture;
    static const field_table fields = {
        {"family", put_kind<&a::family, of_family_parse>},
        {"channels", put_shape<&a::channels>},
        {"height", put_shape<&a::height>},
        {"width", put_shape<&a::width>},
        {"scales", put_shape<&a::scales>},
        {"steps", put_shape<&a::steps>},
        {"hidden", put_shape<&a::hidden>},
        {"coupling", put_kind<&a::coupling, of_coupling_parse>},
        {"permutation", put_kind<&a::permutation, of_permutation_parse>},
        {"lu", put_shape<&a::lu>},
        {"block", put_kind<&a::block, of_block_parse>},
        {"input", put_input},
        {"latents", put_kind<&a::latents, of_latents_parse>},
        {"split_prior", put_kind<&a::split_prior, of_split_prior_parse>},
        {"edges", put_edges},
        {"scale_map", put_kind<&a::scale_map, of_scale_map_parse>},
        {"shift", put_kind<&a::shift, of_shift_parse>},
        {"net_input", put_kind<&a::net_input, of_net_input_parse>},
        {"leak", put_shape<&a::leak>},
        {"closing", put_shape<&a::closing>},
    };
    return fields;
}

void put_all(train_settings &settings, const field_table &fields, const nb::dict &given) {
    for (auto [key, value] : given) {
        const std::string name = nb::cast<std::string>(key);
        const auto field = fields.find(name);
        if (field == fields.end())
            throw nb::type_error(("there is no setting '" + name + "'").c_str());
        try {
            field->second(settings, value);
        } catch (const nb::cast_error &) {
            const std::string got = nb::cast<std::string>(nb::repr(value));
            if (PyLong_Check(value.ptr()))
                throw nb::value_error((name + ": " + got + " is out of its range").c_str());
            throw nb::type_error((name + ": " + got + " is not what it takes").c_str());
        }
    }
}

// Sizes that are not given are those of the data.
void put_architecture(train_settings &settings, nb::handle value) {
    of_architecture &a = settings.architecture;
    a.channels = a.height = a.width = 0;
    put_all(settings, architecture_fields(), nb::cast<nb::dict>(value));
    settings.options.architecture = &a;
}

// `ranks` is missing: several processes are started by a launcher of the program's.
const field_table &train_fields() {
    using o = of_train_options;
    static const field_table fields = {
        {"out", put_text<&o::out>},
        {"resume", put<&o::resume>},
        {"overwrite", put<&o::overwrite>},
        {"architecture", put_architecture},
        {"class_conditional", put<&o::class_conditional>},
        {"init_file", put_text<&o::init_file>},
        {"data", put_sources<&o::data, &o::data_count>},
        {"data_shares", put_shares<&o::data_shares, &o::data_count>},
        {"general_data", put_sources<&o::general_data, &o::general_count>},
        {"general_shares", put_shares<&o::general_shares, &o::general_count>},
        {"general_model", put_text<&o::general_model>},
        {"valid", put_sources<&o::valid, &o::valid_count>},
        {"hold_out", put<&o::hold_out>},
        {"out_of", put_sets},
        {"limit", put<&o::limit>},
        {"strict", put<&o::strict>},
        {"background", put_choice<&o::background, of_colour_parse>},
        {"cache_bytes", put<&o::cache_bytes>},
        {"shift", put<&o::shift>},
        {"flip", put<&o::flip>},
        {"zoom", put<&o::zoom>},
        {"color", put<&o::color>},
        {"outlier_loss", put_choice<&o::outlier_loss, of_outlier_loss_parse>},
        {"outlier_weight", put<&o::outlier_weight>},
        {"temperature", put<&o::temperature>},
        {"batch", put<&o::batch>},
        {"general_batch", put<&o::general_batch>},
        {"optimizer", put_choice<&o::optimizer, of_optimizer_kind_parse>},
        {"lr", put<&o::rate>},
        {"weight_decay", put<&o::weight_decay>},
        {"beta1", put<&o::beta1>},
        {"beta2", put<&o::beta2>},
        {"epsilon", put<&o::epsilon>},
        {"clip", put<&o::clip>},
        {"ema", put<&o::ema>},
        {"schedule", put_choice<&o::schedule, of_schedule_kind_parse>},
        {"warmup", put<&o::warmup>},
        {"seed", put<&o::seed>},
        {"init_images", put<&o::init_images>},
        {"epochs", put<&o::epochs>},
        {"images", put<&o::images>},
        {"minutes", put<&o::minutes>},
        {"valid_every", put<&o::valid_every>},
        {"patience", put<&o::patience>},
        {"threads", put<&o::threads>},
        {"isa", put_choice<&o::isa, of_isa_parse>},
        {"precision", put_choice<&o::precision, of_precision_parse>},
        {"gradient_precision", put_choice<&o::gradient_precision, of_precision_parse>},
        {"micro_batch", put<&o::micro_batch>},
        {"lanes", put<&o::lanes>},
        {"memory_bytes", put<&o::memory_bytes>},
        {"checkpoint_every", put<&o::checkpoint_every>},
        {"shard_optimizer", put<&o::shard_optimizer>},
        {"log", put_text<&o::log>},
        {"log_every", put<&o::log_every>},
        {"record", put_text<&o::record>},
    };
    return fields;
}

// ---- What hooks are told -------------------------------------------------------------------

nb::dict describe(const of_train_start &s) {
    nb::dict d;
    d["architecture"] = decoded(s.architecture_json);
    d["parameters"] = s.parameters;
    d["trained"] = s.trained;
    d["threads"] = s.threads;
    d["micro_batch"] = s.micro_batch;
    d["lanes"] = s.lanes;
    d["isa"] = of_isa_name(s.isa);
    d["precision"] = of_precision_name(s.precision);
    d["images"] = s.images;
    d["general_images"] = s.general_images;
    d["valid_images"] = s.valid_images;
    d["total_images"] = s.total_images;
    d["resumed_step"] = s.resumed_step;
    d["resumed_images"] = s.resumed_images;
    d["data_bytes"] = s.data_bytes;
    d["activation_bytes"] = s.memory.activations;
    return d;
}

nb::dict describe(const of_valid_report &v) {
    nb::dict d, sets;
    for (size_t i = 0; i < v.out_of_count; i++) {
        const of_valid_set &s = v.out_of[i];
        nb::dict set;
        set["bits_per_dim"] = s.bits_per_dim;
        set["auroc_nll"] = s.auroc_nll;
        set["auroc_last"] = s.auroc_last;
        set["auroc_ratio"] = s.auroc_ratio;
        sets[decoded(s.name)] = set;
    }
    d["bits_per_dim"] = v.bits_per_dim;
    d["non_finite"] = v.non_finite;
    d["out_of"] = sets;
    d["best"] = v.best;
    d["since_best"] = v.since_best;
    return d;
}

nb::dict describe(const of_train_report &r) {
    nb::dict d;
    nb::list scale_bits;
    for (uint32_t i = 0; i < r.scales; i++)
        scale_bits.append(r.scale_bits[i]);
    d["step"] = r.step;
    d["images"] = r.images;
    d["skipped"] = r.skipped;
    d["epoch"] = r.epoch;
    d["loss"] = r.loss;
    d["bits_per_dim"] = r.bits_per_dim;
    d["outlier_loss"] = r.outlier_loss;
    d["general_bits_per_dim"] = r.general_bits_per_dim;
    d["scale_bits"] = scale_bits;
    d["lr"] = r.rate;
    d["grad_norm"] = r.grad_norm;
    d["condition"] = r.condition;
    d["images_per_second"] = r.images_per_second;
    d["seconds"] = r.seconds;
    d["resident_bytes"] = r.resident_bytes;
    d["validation"] =
        r.validation == nullptr ? nb::object(nb::none()) : nb::object(describe(*r.validation));
    return d;
}

nb::dict describe(const of_train_result &r) {
    nb::dict d;
    d["end"] = of_train_end_name(r.end);
    d["step"] = r.step;
    d["images"] = r.images;
    d["skipped"] = r.skipped;
    d["unreadable"] = r.unreadable;
    d["bits_per_dim"] = r.bits_per_dim;
    d["seconds"] = r.seconds;
    d["checkpoint"] = decoded(r.checkpoint);
    d["log_error"] =
        r.log_error.status == OF_OK ? nb::object(nb::none()) : decoded(r.log_error.message);
    return d;
}

of_train_observer observe(watcher &watch) {
    of_train_observer o = of_train_observer_default();
    observe_common(o, watch);
    o.started = [](void *user, const of_train_start *start) {
        watcher_of(user).tell("started", [&] { return nb::make_tuple(describe(*start)); });
    };
    o.loading = [](void *user, const char *source, uint64_t loaded, uint64_t expected) {
        watcher_of(user).tell("loading",
                              [&] { return nb::make_tuple(decoded(source), loaded, expected); });
    };
    o.validating = [](void *user, uint64_t done, uint64_t total) {
        watcher_of(user).tell("validating", [&] { return nb::make_tuple(done, total); });
    };
    o.report = [](void *user, const of_train_report *report, of_error *) {
        watcher_of(user).tell("report", [&] { return nb::make_tuple(describe(*report)); });
        return OF_OK;
    };
    return o;
}

nb::dict train(const nb::dict &given, const nb::object &hooks) {
    train_settings settings;
    watcher watch(hooks);
    of_train_observer observer = observe(watch);
    of_train_result result;
    of_error error;
    of_status status;
    // Told after every step: only who listens pays for it.
    if (!nb::getattr(hooks, "progressed", nb::none()).is_none())
        observer.progressed = [](void *user, uint64_t images, double bits, double rate) {
            watcher_of(user).tell("progressed", [&] { return nb::make_tuple(images, bits, rate); });
        };
    put_all(settings, train_fields(), given);
    {
        const signal_stack stack;
        nb::gil_scoped_release released;
        status = of_train(&settings.options, &observer, &result, &error);
    }
    watch.rethrow();
    check(status, error);
    return describe(result);
}

nb::list names(const field_table &fields) {
    nb::list list;
    for (const auto &field : fields)
        list.append(field.first);
    return list;
}

} // namespace

void add_train(nb::module_ &module) {
    module.def("train", &train, "settings"_a, "hooks"_a,
               "Trains; settings are the fields of of_train_options that are not their defaults.");
    module.def("train_settings", [] { return names(train_fields()); });
    module.def("architecture_settings", [] { return names(architecture_fields()); });
}

} // namespace outflow
