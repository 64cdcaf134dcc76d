// SPDX-License-Identifier: Apache-2.0
// A model's handle, as plans, detectors and training take it.
#pragma once

#include "core.h"

namespace outflow {

class model {
  public:
    explicit model(of_model *taken) : handle(taken) {
    }
    of_model *get() const {
        return handle.get();
    }

  private:
    owned<of_model, of_model_free> handle;
};

} // namespace outflow
