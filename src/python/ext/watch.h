// SPDX-License-Identifier: Apache-2.0
// What Python is told of long calls: an object with methods ("hooks"), called with the GIL held by
// the thread that made the call, which has released it.
#pragma once

#include "core.h"

#include <chrono>
#include <csignal>
#include <cstring>
#include <exception>
#include <vector>

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

inline watcher &watcher_of(void *user) {
    return *static_cast<watcher *>(user);
}

// Text of the library, in which names of files may hold any bytes.
inline nb::object decoded(const char *value) {
    return nb::steal(PyUnicode_DecodeUTF8(value, (Py_ssize_t)strlen(value), "surrogateescape"));
}

// What observers of all kinds have in common.
template <class Observer> void observe_common(Observer &observer, watcher &watch) {
    observer.user = &watch;
    observer.unreadable = [](void *user, const char *source, const char *path, const char *reason) {
        watcher_of(user).tell("unreadable", [&] {
            return nb::make_tuple(decoded(source), decoded(path), decoded(reason));
        });
    };
    observer.warn = [](void *user, const char *warning) {
        watcher_of(user).tell("warn", [&] { return nb::make_tuple(decoded(warning)); });
    };
    observer.stop = [](void *user) { return watcher_of(user).stopped(); };
}

// A stack of its own for signal handlers of this thread while training runs on it: the convolution
// library's matrix products use the stack pointer for other things, so that a handler on the
// thread's own stack writes over their data. Python asks for such a stack (SA_ONSTACK, 3.10 and
// later) and uses it where there is one.
class signal_stack {
  public:
    signal_stack() : memory_(1 << 17) {
        (void)sigaltstack(nullptr, &before_);
        if ((before_.ss_flags & SS_DISABLE) == 0)
            return; // somebody has set one
        stack_t own = {};
        own.ss_sp = memory_.data();
        own.ss_size = memory_.size();
        set_ = sigaltstack(&own, nullptr) == 0;
    }
    ~signal_stack() {
        if (set_)
            (void)sigaltstack(&before_, nullptr);
    }
    signal_stack(const signal_stack &) = delete;
    signal_stack &operator=(const signal_stack &) = delete;

  private:
    std::vector<char> memory_;
    stack_t before_ = {};
    bool set_ = false;
};

} // namespace outflow
