// SPDX-License-Identifier: Apache-2.0
// What Python is told of long calls: an object with methods ("hooks"), called with the GIL held by
// the thread that made the call, which has released it.
#pragma once

#include "core.h"

#include <chrono>
#include <exception>

namespace outflow {

// An exception in a hook, or Ctrl-C, ends the call by way of `stopped`; `rethrow` raises it once
// the library is done.
class watcher {
  public:
    explicit watcher(nb::object hooks) : hooks_(std::move(hooks)) {
        has_stop_ = !hook("stop").is_none();
    }

    // Calls hook `name` with what `arguments()` returns, a tuple that is made under the GIL. Hooks
    // that are missing or None are passed over.
    template <class Arguments> void tell(const char *name, Arguments &&arguments) noexcept {
        if (failure_ != nullptr)
            return;
        nb::gil_scoped_acquire held;
        try {
            nb::object function = hook(name);
            if (!function.is_none())
                function(*nb::tuple(arguments()));
        } catch (...) {
            failure_ = std::current_exception();
        }
    }

    // For the library's `stop`: true after a failure, Ctrl-C, or where the hook says so.
    bool stopped() noexcept;

    // Raises what ended the call, if anything did.
    void rethrow() const {
        if (failure_ != nullptr)
            std::rethrow_exception(failure_);
    }

  private:
    nb::object hook(const char *name) const {
        return nb::getattr(hooks_, name, nb::none());
    }

    nb::object hooks_;
    bool has_stop_ = false;
    std::exception_ptr failure_;
    std::chrono::steady_clock::time_point next_look_{};
};

} // namespace outflow
