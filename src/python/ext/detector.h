// SPDX-License-Identifier: Apache-2.0
// A detector's handle, as scoring and evaluation take it.
#pragma once

#include "model.h"

#include <mutex>
#include <shared_mutex>

namespace outflow {

class detector {
  public:
    explicit detector(of_detector *taken) : handle(taken) {
    }
    of_detector *get() const {
        return handle.get();
    }
    const of_architecture &architecture() const {
        return *of_detector_architecture(handle.get());
    }
    // Scores by their names; raises for one that cannot be computed.
    std::vector<of_score> find(const std::vector<std::string> &names);
    // Shared by scoring, alone for calibration; never waited for with the GIL held.
    std::shared_mutex mutex;
    // The same for short work that keeps the GIL.
    std::shared_lock<std::shared_mutex> reading() {
        nb::gil_scoped_release nogil;
        return std::shared_lock<std::shared_mutex>(mutex);
    }

  private:
    owned<of_detector, of_detector_free> handle;
};

} // namespace outflow
