// SPDX-License-Identifier: Apache-2.0
// Weights: architecture, tensors, metadata.
#include "model.h"

#include <cstring>

namespace outflow {

nb::dict architecture_dict(const of_architecture &architecture) {
    nb::dict fields;
    fields["family"] = of_family_name(architecture.family);
    fields["channels"] = architecture.channels;
    fields["height"] = architecture.height;
    fields["width"] = architecture.width;
    fields["scales"] = architecture.scales;
    fields["steps"] = architecture.steps;
    fields["hidden"] = architecture.hidden;
    fields["coupling"] = of_coupling_name(architecture.coupling);
    fields["permutation"] = of_permutation_name(architecture.permutation);
    fields["lu"] = architecture.lu;
    fields["block"] = of_block_name(architecture.block);
    fields["classes"] = architecture.classes;
    nb::dict input;
    input["bits"] = architecture.input.bits;
    input["scale"] = architecture.input.scale;
    input["shift"] = architecture.input.shift;
    input["bin"] = architecture.input.bin;
    input["logit"] = architecture.input.logit;
    nb::list edges;
    for (uint32_t edge = OF_EDGES_CONV1; edge <= OF_EDGES_SPLIT; edge *= 2)
        if ((architecture.edges & edge) != 0)
            edges.append(of_edges_name((of_edges)edge));
    fields["input"] = input;
    fields["latents"] = of_latents_name(architecture.latents);
    fields["split_prior"] = of_split_prior_name(architecture.split_prior);
    fields["edges"] = edges;
    fields["scale_map"] = of_scale_map_name(architecture.scale_map);
    fields["shift"] = of_shift_name(architecture.shift);
    fields["net_input"] = of_net_input_name(architecture.net_input);
    fields["leak"] = architecture.leak;
    fields["closing"] = architecture.closing;
    return fields;
}

of_input_map input_map_from(const nb::dict &members) {
    of_input_map made = of_input_map_default();
    for (auto [key, value] : members) {
        const std::string name = nb::cast<std::string>(key);
        if (name == "bits")
            made.bits = nb::cast<uint32_t>(value);
        else if (name == "scale")
            made.scale = nb::cast<double>(value);
        else if (name == "shift")
            made.shift = nb::cast<double>(value);
        else if (name == "bin")
            made.bin = nb::cast<double>(value);
        else if (name == "logit")
            made.logit = nb::cast<double>(value);
        else
            throw nb::type_error(("an input map has no '" + name + "'").c_str());
    }
    return made;
}

uint32_t edges_from(const std::vector<std::string> &names) {
    uint32_t edges = 0;
    for (const std::string &name : names) {
        of_edges edge;
        of_error error;
        check(of_edges_parse(name.c_str(), &edge, &error), error);
        edges |= (uint32_t)edge;
    }
    return edges;
}

of_architecture architecture_from(const nb::dict &fields) {
    of_architecture made = of_architecture_default();
    of_error error;
    auto word = [&](const char *key) { return nb::cast<std::string>(fields[key]); };
    auto number = [&](const char *key) { return nb::cast<uint32_t>(fields[key]); };
    check(of_family_parse(word("family").c_str(), &made.family, &error), error);
    check(of_coupling_parse(word("coupling").c_str(), &made.coupling, &error), error);
    check(of_permutation_parse(word("permutation").c_str(), &made.permutation, &error), error);
    check(of_block_parse(word("block").c_str(), &made.block, &error), error);
    made.channels = number("channels");
    made.height = number("height");
    made.width = number("width");
    made.scales = number("scales");
    made.steps = number("steps");
    made.hidden = number("hidden");
    made.classes = number("classes");
    made.lu = nb::cast<bool>(fields["lu"]);
    check(of_latents_parse(word("latents").c_str(), &made.latents, &error), error);
    check(of_split_prior_parse(word("split_prior").c_str(), &made.split_prior, &error), error);
    check(of_scale_map_parse(word("scale_map").c_str(), &made.scale_map, &error), error);
    check(of_shift_parse(word("shift").c_str(), &made.shift, &error), error);
    check(of_net_input_parse(word("net_input").c_str(), &made.net_input, &error), error);
    made.input = input_map_from(nb::cast<nb::dict>(fields["input"]));
    made.edges = edges_from(nb::cast<std::vector<std::string>>(fields["edges"]));
    made.leak = nb::cast<double>(fields["leak"]);
    made.closing = nb::cast<bool>(fields["closing"]);
    return made;
}

namespace {

model *load(const std::string &name) {
    of_model *loaded = nullptr;
    of_error error;
    of_status status;
    {
        nb::gil_scoped_release nogil;
        status = of_model_open(name.c_str(), &loaded, &error);
    }
    check(status, error);
    return new model(loaded);
}

model *create(const nb::dict &fields, uint64_t seed) {
    of_architecture architecture = architecture_from(fields);
    of_model *made = nullptr;
    of_error error;
    of_status status;
    {
        nb::gil_scoped_release nogil;
        status = of_model_create(&architecture, seed, &made, &error);
    }
    check(status, error);
    return new model(made);
}

void save(const model &self, const std::string &path) {
    of_error error;
    of_status status;
    {
        nb::gil_scoped_release nogil;
        status = of_model_save(self.get(), path.c_str(), &error);
    }
    check(status, error);
}

// Views of the tensors by name, read-only, which keep the model alive.
nb::dict tensors(nb::handle_t<model> self) {
    const of_model *handle = nb::cast<const model &>(self).get();
    nb::dict views;
    for (size_t i = 0; i < of_model_tensor_count(handle); i++) {
        of_tensor_info tensor = of_model_tensor(handle, i);
        size_t shape[4];
        for (uint32_t d = 0; d < tensor.rank; d++)
            shape[d] = tensor.shape[d];
        views[tensor.name] = tensor.is_index ? nb::cast(nb::ndarray<nb::numpy, const int64_t>(
                                                   tensor.indices, tensor.rank, shape, self))
                                             : nb::cast(nb::ndarray<nb::numpy, const float>(
                                                   tensor.values, tensor.rank, shape, self));
    }
    return views;
}

nb::dict metadata(const model &self) {
    nb::dict entries;
    const char *key;
    for (size_t i = 0; (key = of_model_metadata_key(self.get(), i)) != nullptr; i++)
        entries[key] = text(of_model_metadata(self.get(), key));
    return entries;
}

void set_metadata(model &self, const std::string &key, std::optional<std::string> value) {
    of_error error;
    check(of_model_set_metadata(self.get(), key.c_str(), value ? value->c_str() : nullptr, &error),
          error);
}

std::string locate(const std::string &name) {
    char path[OF_MODEL_PATH_SIZE];
    of_error error;
    check(of_model_locate(name.c_str(), path, sizeof path, &error), error);
    return path;
}

nb::list installed() {
    nb::list names;
    of_model_list([](void *user, const char *name) { static_cast<nb::list *>(user)->append(name); },
                  &names);
    return names;
}

} // namespace

void add_model(nb::module_ &module) {
    module.def("locate", locate, nb::arg("name"), "The file that a model's name stands for.");
    module.def("installed", installed, "Names of the installed models.");
    module.def(
        "check_architecture",
        [](const nb::dict &fields) {
            of_architecture architecture = architecture_from(fields);
            of_error error;
            check(of_architecture_check(&architecture, &error), error);
        },
        nb::arg("fields"));
    module.def(
        "flops",
        [](const nb::dict &fields) {
            of_architecture architecture = architecture_from(fields);
            return of_architecture_flops(&architecture);
        },
        nb::arg("fields"));
    module.def("default_architecture", [] { return architecture_dict(of_architecture_default()); });
    nb::class_<model>(module, "Model")
        .def_static("load", load, nb::arg("name"))
        .def_static("create", create, nb::arg("architecture"), nb::arg("seed"))
        .def("save", save, nb::arg("path"))
        .def("tensors", tensors)
        .def("metadata", metadata)
        .def("set_metadata", set_metadata, nb::arg("key"), nb::arg("value").none())
        .def_prop_ro(
            "architecture",
            [](const model &self) { return architecture_dict(*of_model_architecture(self.get())); })
        .def_prop_ro("fingerprint",
                     [](const model &self) { return of_model_fingerprint(self.get()); })
        .def_prop_ro("parameter_count",
                     [](const model &self) { return of_model_parameter_count(self.get()); });
}

} // namespace outflow
