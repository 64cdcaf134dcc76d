// SPDX-License-Identifier: Apache-2.0
#include "core.h"

NB_MODULE(_core, module) {
    module.doc() = "The library's C interface, for the Python code beside it.";
    outflow::add_errors(module);
    outflow::add_images(module);
    outflow::add_model(module);
    outflow::add_plan(module);
    outflow::add_detector(module);
    outflow::add_pictures(module);
    outflow::add_train(module);
    outflow::add_fit(module);
    outflow::add_clean(module);
    outflow::add_evaluate(module);
}
