// SPDX-License-Identifier: Apache-2.0
#include "watch.h"

namespace outflow {

// Steps of training may take less than a millisecond, and taking the GIL waits for others: without
// a hook, signals are looked for some times a second only.
bool watcher::stopped() noexcept {
    constexpr std::chrono::milliseconds between_looks(50);
    if (failure_ != nullptr)
        return true;
    const auto now = std::chrono::steady_clock::now();
    if (!has_stop_ && now < next_look_)
        return false;
    next_look_ = now + between_looks;
    nb::gil_scoped_acquire held;
    try {
        if (PyErr_CheckSignals() != 0)
            nb::raise_python_error();
        return has_stop_ && nb::cast<bool>(nb::bool_(hook("stop")()));
    } catch (...) {
        failure_ = std::current_exception();
        return true;
    }
}

} // namespace outflow
