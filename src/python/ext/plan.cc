// SPDX-License-Identifier: Apache-2.0
// Compiled models and what they calculate.
#include "model.h"

#include <mutex>

namespace outflow {

namespace {

// A plan with its sessions: each call takes one that is free, or makes one.
class plan {
  public:
    plan(const model &weights, unsigned threads, const std::string &precision,
         const std::string &isa, unsigned micro_batch, bool inverse, bool latency) {
        of_plan_options options = of_plan_options_default();
        of_plan *compiled = nullptr;
        of_error error;
        of_status status;
        options.threads = threads;
        options.precision = precision_from(precision);
        options.isa = isa_from(isa);
        options.micro_batch = micro_batch;
        options.inverse = inverse;
        options.latency = latency;
        {
            nb::gil_scoped_release nogil;
            status = of_plan_compile(weights.get(), &options, &compiled, &error);
        }
        check(status, error);
        handle.reset(compiled);
    }

    const of_architecture &architecture() const {
        return *of_plan_architecture(handle.get());
    }
    const of_plan *get() const {
        return handle.get();
    }

    // Runs `work(session, error)` without the GIL.
    template <class function> void run(function work) {
        of_error error;
        of_status status;
        {
            nb::gil_scoped_release nogil;
            session_handle session;
            status = take(session, error);
            if (status == OF_OK) {
                status = work(session.get(), &error);
                give(std::move(session));
            }
        }
        check(status, error);
    }

  private:
    using session_handle = owned<of_session, of_session_free>;

    of_status take(session_handle &session, of_error &error) {
        {
            std::lock_guard<std::mutex> lock(mutex);
            if (!idle.empty()) {
                session = std::move(idle.back());
                idle.pop_back();
                return OF_OK;
            }
        }
        of_session *made = nullptr;
        of_status status = of_session_create(handle.get(), 0, &made, &error);
        session.reset(made);
        return status;
    }

    void give(session_handle session) {
        std::lock_guard<std::mutex> lock(mutex);
        idle.push_back(std::move(session));
    }

    owned<of_plan, of_plan_free> handle;
    std::mutex mutex;
    std::vector<session_handle> idle; // freed before the plan
};

using latents_array = nb::ndarray<const float, nb::ndim<2>, nb::c_contig, nb::device::cpu>;

// logp [n], contributions [n, scales], class_logp [n, classes] or None, latent_squares [n, scales],
// latents [n, d] or None.
nb::tuple likelihoods(plan &self, const images &given, bool with_latents) {
    const of_architecture &shape = self.architecture();
    of_batch batch = batch_of(given, shape);
    size_t scales = of_architecture_scale_count(&shape);
    array<double> logp({batch.count}), contributions({batch.count, scales});
    array<double> classes({batch.count, shape.classes}), squares({batch.count, scales});
    array<float> latents({with_latents ? batch.count : 0, of_architecture_dimensions(&shape)});
    of_likelihoods out = {};
    out.logp = logp.data();
    out.contributions = contributions.data();
    out.class_logp = shape.classes > 0 ? classes.data() : nullptr;
    out.latents = with_latents ? latents.data() : nullptr;
    out.latent_squares = squares.data();
    self.run([&](of_session *session, of_error *error) {
        return of_session_forward(session, &batch, &out, error);
    });
    return nb::make_tuple(logp.take(), contributions.take(),
                          shape.classes > 0 ? classes.take() : nb::none(), squares.take(),
                          with_latents ? latents.take() : nb::none());
}

nb::object inverse(plan &self, const latents_array &latents) {
    const of_architecture &shape = self.architecture();
    of_error error;
    if (latents.shape(1) != of_architecture_dimensions(&shape)) {
        of_fail(&error, OF_ERROR_ARGUMENT, "expected latents of N x %zu, float32; got %zu x %zu",
                of_architecture_dimensions(&shape), latents.shape(0), latents.shape(1));
        raise(error);
    }
    array<float> made({latents.shape(0), shape.height, shape.width, shape.channels});
    self.run([&](of_session *session, of_error *fail) {
        return of_session_inverse(session, latents.data(), latents.shape(0), made.data(), fail);
    });
    return made.take();
}

nb::object sample(plan &self, size_t count, double temperature, uint64_t seed) {
    const of_architecture &shape = self.architecture();
    array<float> made({count, shape.height, shape.width, shape.channels});
    self.run([&](of_session *session, of_error *error) {
        return of_session_sample(session, count, temperature, seed, made.data(), error);
    });
    return made.take();
}

nb::list layers(const plan &self) {
    nb::list rows;
    for (size_t i = 0; i < of_plan_layer_count(self.get()); i++) {
        of_layer_info layer;
        of_error error;
        nb::dict row;
        check(of_plan_layer(self.get(), i, &layer, &error), error);
        row["name"] = layer.name;
        row["operation"] = layer.operation;
        row["kernel"] = text(layer.kernel);
        row["precision"] = of_precision_name(layer.precision);
        row["flops"] = layer.flops;
        row["weight_bytes"] = layer.weight_bytes;
        row["output_bytes"] = layer.output_bytes;
        rows.append(row);
    }
    return rows;
}

} // namespace

nb::dict plan_dict(const of_plan_info &info) {
    nb::dict fields;
    fields["isa"] = of_isa_name(info.isa);
    fields["precision"] = of_precision_name(info.precision);
    fields["threads"] = info.threads;
    fields["micro_batch"] = info.micro_batch;
    fields["flops_per_image"] = info.flops_per_image;
    fields["weight_bytes"] = info.weight_bytes;
    fields["workspace_bytes"] = info.workspace_bytes;
    fields["convolutions"] = text(info.convolutions);
    return fields;
}

void add_plan(nb::module_ &module) {
    nb::class_<plan>(module, "Plan")
        .def(nb::init<const model &, unsigned, const std::string &, const std::string &, unsigned,
                      bool, bool>(),
             nb::arg("model"), nb::arg("threads"), nb::arg("precision"), nb::arg("isa"),
             nb::arg("micro_batch"), nb::arg("inverse"), nb::arg("latency"))
        .def("likelihoods", likelihoods, nb::arg("images"), nb::arg("latents"))
        .def("inverse", inverse, nb::arg("latents"))
        .def("sample", sample, nb::arg("count"), nb::arg("temperature"), nb::arg("seed"))
        .def("layers", layers)
        .def("info", [](const plan &self) { return plan_dict(of_plan_describe(self.get())); })
        .def_prop_ro("architecture",
                     [](const plan &self) { return architecture_dict(self.architecture()); });
}

} // namespace outflow
