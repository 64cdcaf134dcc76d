/* SPDX-License-Identifier: Apache-2.0 */
/* One flow step, coupling network and tail, on one thread, by scale of 32x32 colour images and by
 * hidden width; as many images at a time as the plan takes. Items are images. Operations are those
 * of the direct network and its map; backward (gradients of inputs and of weights) counts twice.
 *
 *     step/forward/scale:S/hidden:H     network, coupling, the next step's map
 *     step/inverse/scale:S/hidden:H     network, coupling undone, this step's inverse map
 *     step/backward/scale:S/hidden:H    from what the forward pass kept */
#include "bench.h"

#include <cstring>
#include <omp.h>

extern "C" {
#include "graph/training.h"
}

namespace {

using bench::Clock;
using bench::Floats;
using bench::floats;
using bench::part;
using bench::Work;

constexpr uint32_t scale_count = 3, widths[] = {64, 128, 512};

struct FreeModel {
    void operator()(of_model *model) const {
        of_model_free(model);
    }
};
struct Free {
    void operator()(of_plan *plan) const {
        of_plan_free(plan);
    }
    void operator()(of_session *session) const {
        of_session_free(session);
    }
    void operator()(of_training_plan *training) const {
        of_training_free(training);
    }
};

std::unique_ptr<of_model, FreeModel> make_model(uint32_t steps, uint32_t hidden) {
    of_architecture architecture = of_architecture_default();
    architecture.scales = scale_count;
    architecture.steps = steps;
    architecture.hidden = hidden;
    of_model *model = nullptr;
    of_error error = {};
    bench::check(of_model_create(&architecture, 1, &model, &error), error);
    return std::unique_ptr<of_model, FreeModel>(model);
}

Work step_work(const of_plan &plan, uint32_t s, uint32_t images, double passes) {
    const of_scale_plan &scale = plan.scales[s];
    const double hidden = plan.architecture.hidden, channels = scale.channels;
    const double network = 9.0 * scale.half * hidden + hidden * hidden + 9.0 * hidden * channels;
    Work work;
    work.items = images;
    work.operations = passes * 2 * images * scale.positions * (network + channels * channels);
    return work;
}

/* ---- Forward and inverse ----------------------------------------------------------------- */

/* The first of two steps, so that a map follows. Every iteration begins with the same state: the
 * tail works in place. */
class Step {
  public:
    Step(uint32_t s, uint32_t hidden) : scale_(s) {
        const auto model = make_model(2, hidden);
        of_plan_options options = of_plan_options_default();
        options.threads = 1;
        options.inverse = true;
        of_plan *made = nullptr;
        of_session *session = nullptr;
        of_error error = {};
        bench::check(of_plan_compile(model.get(), &options, &made, &error), error);
        plan_.reset(made);
        bench::check(of_session_create(made, 0, &session, &error), error);
        session_.reset(session);
        values_ = images() * of_state_floats(&made->scales[s]);
        pass_ = floats(values_);
        rest_ = floats(values_);
        run_.plan = made;
        run_.worker = &session->workers[0];
    }

    void run(bool inverse) {
        of_error error;
        std::memcpy(run_.worker->pass[scale_], pass_.get(), values_ * sizeof(float));
        std::memcpy(run_.worker->rest[scale_], rest_.get(), values_ * sizeof(float));
        const of_scale_plan &scale = plan_->scales[scale_];
        const of_op *tail = scale.ops;
        while (tail->kind != OF_OP_TAIL)
            tail++;
        const of_units units = {nullptr, 0, images()};
        if (inverse)
            bench::check(of_tail_type.inverse(&run_, tail, &units, &error), error);
        else
            bench::check(of_forward_ops(&run_, tail - tail->network, tail + 1, &units, &error),
                         error);
    }

    [[nodiscard]] uint32_t images() const {
        return plan_->scales[scale_].chunk;
    }
    [[nodiscard]] const of_plan &plan() const {
        return *plan_;
    }

  private:
    uint32_t scale_;
    std::unique_ptr<of_plan, Free> plan_;
    std::unique_ptr<of_session, Free> session_;
    size_t values_ = 0;
    Floats pass_, rest_;
    of_run run_ = {};
};

void add_step(uint32_t s, uint32_t hidden, bool inverse) {
    const std::string name = std::string("step/") + (inverse ? "inverse" : "forward") +
                             part("scale", s) + part("hidden", hidden);
    bench::add(name, [=](benchmark::State &state) {
        Step step(s, hidden);
        omp_set_num_threads(1);
        bench::measure(state, step_work(step.plan(), s, step.images(), 1), bench::best_isa(),
                       Clock::thread, [&] { step.run(inverse); });
        state.counters["images"] = step.images();
    });
}

/* ---- Backward ---------------------------------------------------------------------------- */

/* A scale of several steps, of which one iteration goes back through all. */
class Backward {
  public:
    static constexpr uint32_t steps = 4;

    Backward(uint32_t s, uint32_t hidden) : scale_(s), model_(make_model(steps, hidden)) {
        of_training_options options = {};
        options.threads = options.lanes = 1;
        options.batch = OF_TRAINING_GROUP;
        of_training_plan *made = nullptr;
        of_error error = {};
        bench::check(of_training_compile(model_.get(), &options, &made, &error), error);
        training_.reset(made);
        buffers_ = &made->buffers[0];
        run_.plan = made->plan;
        run_.worker = &made->session->workers[0];
        run_.kept = &buffers_->kept;
        turns_.training = made;
        turns_.lane = &made->lane[0];
        turns_.done = &done_;
        values_ = images() * of_state_floats(&made->plan->scales[s]);
        g_rest_ = floats(values_);
        forward();
    }

    void run() {
        of_error error;
        std::memcpy(buffers_->g_rest[scale_], g_rest_.get(), values_ * sizeof(float));
        bench::check(
            of_backward_scale(&run_, model_.get(), buffers_, &turns_, scale_, images(), &error),
            error);
    }

    [[nodiscard]] uint32_t images() const {
        return plan().group_images;
    }
    [[nodiscard]] const of_plan &plan() const {
        return *training_->plan;
    }

  private:
    void forward() {
        const size_t pixels = images() * of_architecture_dimensions(&plan().architecture);
        const Floats image = floats(pixels, 0, 1);
        const of_batch batch = {OF_PIXEL_F32, image.get(), images()};
        const of_likelihoods nothing = {};
        const of_group group = {&batch, &nothing, 0, 1, images(), nullptr, nullptr};
        of_error error = {};
        omp_set_num_threads(1);
        bench::check(of_forward_group(&run_, &group, &error), error);
        std::fill_n(buffers_->logp_gradients, images(), -1.0);
    }

    uint32_t scale_;
    std::unique_ptr<of_model, FreeModel> model_;
    std::unique_ptr<of_training_plan, Free> training_;
    of_backward_buffers *buffers_ = nullptr;
    of_run run_ = {};
    atomic_uint done_ = {};
    of_turns turns_ = {};
    size_t values_ = 0;
    Floats g_rest_;
};

void add_backward(uint32_t s, uint32_t hidden) {
    bench::add(
        "step/backward" + part("scale", s) + part("hidden", hidden), [=](benchmark::State &state) {
            const std::string key = part("scale", s) + part("hidden", hidden);
            auto &backward =
                bench::kept<Backward>(key, [=] { return std::make_unique<Backward>(s, hidden); });
            Work work = step_work(backward.plan(), s, backward.images(), 2);
            work.items *= Backward::steps;
            work.operations *= Backward::steps;
            omp_set_num_threads(1);
            bench::measure(state, work, bench::best_isa(), Clock::thread, [&] { backward.run(); });
            state.counters["images"] = backward.images();
        });
}

void add_all() {
    for (uint32_t s = 0; s < scale_count; s++)
        for (const uint32_t hidden : widths) {
            add_step(s, hidden, false);
            add_step(s, hidden, true);
            add_backward(s, hidden);
        }
}

} // namespace

int main(int argc, char **argv) {
    return bench::run(argc, argv, add_all);
}
