// SPDX-License-Identifier: Apache-2.0
#include "core.h"

namespace outflow {

void raise(const of_error &error) {
    nb::object made = nb::module_::import_("outflow.errors")
                          .attr("make")(of_status_name(error.status),
                                        nb::bytes(error.message, strlen(error.message)),
                                        error.setting, error.os_error);
    PyErr_SetObject(reinterpret_cast<PyObject *>(Py_TYPE(made.ptr())), made.ptr());
    throw nb::python_error();
}

bool signals::raised() {
    if (was_raised)
        return true;
    nb::gil_scoped_acquire gil;
    was_raised = PyErr_CheckSignals() != 0;
    return was_raised;
}

void signals::check(of_status status, const of_error &error) const {
    if (was_raised && PyErr_Occurred() != nullptr)
        throw nb::python_error();
    outflow::check(status, error);
}

of_isa isa_from(const std::string &name) {
    of_isa isa;
    of_error error;
    check(of_isa_parse(name.c_str(), &isa, &error), error);
    return isa;
}

of_precision precision_from(const std::string &name) {
    of_precision precision;
    of_error error;
    check(of_precision_parse(name.c_str(), &precision, &error), error);
    return precision;
}

void add_errors(nb::module_ &module) {
    module.def("version", of_version, "Version of the library.");
    module.def("convolutions", of_convolutions, "Library that runs the convolutions.");
    module.def("cpu_count", of_cpu_count, "CPUs that this process may use.");
    module.def("has_webp", of_has_webp, "Is the score complexity-webp there?");
    module.def(
        "isa",
        [] {
            of_isa isa;
            of_error error;
            check(of_isa_resolve(OF_ISA_AUTO, &isa, &error), error);
            return of_isa_name(isa);
        },
        "Instruction set that runs.");
}

} // namespace outflow
