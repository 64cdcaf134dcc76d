/* SPDX-License-Identifier: Apache-2.0 */
/* What Python is told of long calls: an object with methods ("hooks"), called with the GIL held by
 * the thread that made the call, which has released it. */
#ifndef OF_PYTHON_WATCH_H
#define OF_PYTHON_WATCH_H

#include <nanobind/nanobind.h>

#include <chrono>
#include <exception>

namespace outflow {

/* An exception in a hook, or Ctrl-C, ends the call by way of `stopped`; `rethrow` raises it once
 * the library is done. */
class Watch {
  public:
    explicit Watch(nanobind::object hooks) : hooks_(std::move(hooks)) {
        has_stop_ = !hook("stop").is_none();
    }

    /* Calls hook `name` with what `arguments()` returns, a tuple that is made under the GIL. Hooks
     * that are missing or None are passed over. */
    template <typename Arguments> void tell(const char *name, Arguments &&arguments) noexcept {
        if (failure_ != nullptr)
            return;
        nanobind::gil_scoped_acquire held;
        try {
            nanobind::object function = hook(name);
            if (!function.is_none())
                function(*nanobind::tuple(arguments()));
        } catch (...) {
            failure_ = std::current_exception();
        }
    }

    /* For the library's `stop`: true after a failure, Ctrl-C, or where the hook says so. */
    bool stopped() noexcept;

    /* Raises what ended the call, if anything did. */
    void rethrow() const {
        if (failure_ != nullptr)
            std::rethrow_exception(failure_);
    }

  private:
    nanobind::object hook(const char *name) const {
        return nanobind::getattr(hooks_, name, nanobind::none());
    }

    nanobind::object hooks_;
    bool has_stop_ = false;
    std::exception_ptr failure_;
    std::chrono::steady_clock::time_point next_look_{};
};

} // namespace outflow

#endif
