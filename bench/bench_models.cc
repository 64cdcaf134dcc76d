/* SPDX-License-Identifier: Apache-2.0 */
/* Whole models with random weights on random images in memory, through the public API and the
 * trainer's parts. Items are images. Operations are those of the direct network
 * (of_plan_describe); a training step counts three times that.
 *
 *     model/TASK/FAMILY/K:k/hidden:H/.../batch:N/threads:T
 *
 * score    bytes to log-likelihoods               inverse  latents to images
 * sample   random numbers to images               train    gradients, optimizer, packing anew */
#include "bench.h"

#include <cstring>
#include <omp.h>

extern "C" {
#include "graph/gradient.h"
#include "train/loss.h"
#include "train/optimizers.h"
#include "train/settings.h"
}

namespace {

using bench::Clock;
using bench::Floats;
using bench::floats;
using bench::part;
using bench::Threads;
using bench::Work;

/* ---- Models ------------------------------------------------------------------------------ */

/* An architecture with the part of the name that tells it from the others. */
struct Variant {
    std::string family;
    of_architecture architecture;

    [[nodiscard]] std::string name() const {
        const of_architecture &a = architecture;
        std::string text = "/" + family + part("K", a.steps) + part("hidden", a.hidden);
        return a.classes > 0 ? text + part("classes", a.classes) : text;
    }
};

Variant glow(uint32_t steps, uint32_t hidden) {
    of_architecture architecture = of_architecture_default();
    architecture.steps = steps;
    architecture.hidden = hidden;
    return {"glow", architecture};
}

Variant additive(uint32_t steps, uint32_t hidden) {
    Variant variant = glow(steps, hidden);
    variant.family = "additive";
    variant.architecture.coupling = OF_COUPLING_ADDITIVE;
    return variant;
}

Variant conditional(uint32_t steps, uint32_t hidden, uint32_t classes) {
    Variant variant = glow(steps, hidden);
    variant.architecture.classes = classes;
    return variant;
}

Variant grey(uint32_t steps, uint32_t hidden) {
    Variant variant = glow(steps, hidden);
    variant.family = "grey";
    variant.architecture.channels = 1;
    return variant;
}

Variant patches(uint32_t steps, uint32_t hidden) {
    Variant variant = glow(steps, hidden);
    variant.family = "patch";
    variant.architecture.family = OF_FAMILY_PATCH_GLOW;
    return variant;
}

Variant dense(uint32_t steps, uint32_t hidden) { /* its maps have 1024 channels on scale 0 */
    Variant variant = grey(steps, hidden);
    variant.family = "dense";
    variant.architecture.block = OF_BLOCK_DENSE;
    return variant;
}

struct FreeModel {
    void operator()(of_model *model) const {
        of_model_free(model);
    }
};
struct FreePlan {
    void operator()(of_plan *plan) const {
        of_plan_free(plan);
    }
};
struct FreeSession {
    void operator()(of_session *session) const {
        of_session_free(session);
    }
};
struct FreeTraining {
    void operator()(of_training_plan *training) const {
        of_training_free(training);
    }
};
using Model = std::unique_ptr<of_model, FreeModel>;
using Plan = std::unique_ptr<of_plan, FreePlan>;
using Session = std::unique_ptr<of_session, FreeSession>;
using TrainingPlan = std::unique_ptr<of_training_plan, FreeTraining>;

Model make_model(const Variant &variant) {
    of_model *model = nullptr;
    of_error error = {};
    bench::check(of_model_create(&variant.architecture, 1, &model, &error), error);
    return Model(model);
}

Plan compile(const Variant &variant, unsigned threads) {
    const Model model = make_model(variant);
    of_plan_options options = of_plan_options_default();
    options.threads = threads;
    options.inverse = true;
    of_plan *plan = nullptr;
    of_error error = {};
    bench::check(of_plan_compile(model.get(), &options, &plan, &error), error);
    return Plan(plan);
}

Session open_session(const Plan &plan) {
    of_session *session = nullptr;
    of_error error = {};
    bench::check(of_session_create(plan.get(), 0, &session, &error), error);
    return Session(session);
}

/* ---- Forward and back -------------------------------------------------------------------- */

/* A plan with a session, and room for a batch. */
struct Inference {
    Inference(const Variant &variant, size_t batch, unsigned threads)
        : count(batch), plan(compile(variant, threads)), session(open_session(plan)) {
        const size_t values = batch * of_architecture_dimensions(&variant.architecture);
        pixels = bench::bytes(values);
        latents = floats(values);
        images = floats(values, 0, 0);
        logp.resize(batch);
    }

    void score() {
        const of_batch batch = {OF_PIXEL_U8, pixels.data(), count};
        of_likelihoods out = {};
        out.logp = logp.data();
        of_error error;
        bench::check(of_session_forward(session.get(), &batch, &out, &error), error);
    }
    void inverse() {
        of_error error;
        bench::check(of_session_inverse(session.get(), latents.get(), count, images.get(), &error),
                     error);
    }
    void sample() {
        of_error error;
        bench::check(of_session_sample(session.get(), count, 0.8, 1, images.get(), &error), error);
    }

    size_t count;
    Plan plan;
    Session session;
    std::vector<uint8_t> pixels;
    Floats latents, images;
    std::vector<double> logp;
};

struct Task {
    const char *name;
    void (Inference::*run)();
};

constexpr Task score = {"score", &Inference::score}, inverse = {"inverse", &Inference::inverse},
               sample = {"sample", &Inference::sample};

void add_inference(const Task &task, const Variant &variant, size_t batch) {
    for (const Threads &threads : {bench::one_thread(), bench::all_threads()}) {
        const std::string shape = variant.name() + part("batch", batch) + threads.part;
        auto *added =
            bench::add(std::string("model/") + task.name + shape, [=](benchmark::State &state) {
                auto &inference = bench::kept<Inference>(shape, [&] {
                    return std::make_unique<Inference>(variant, batch, threads.count);
                });
                Work work;
                work.items = static_cast<double>(batch);
                work.operations =
                    work.items * of_plan_describe(inference.plan.get()).flops_per_image;
                work.threads = threads.count;
                bench::measure(state, work, bench::best_isa(), Clock::wall,
                               [&] { (inference.*task.run)(); });
            });
        added->UseRealTime()->Unit(benchmark::kMillisecond);
    }
}

/* ---- Training ---------------------------------------------------------------------------- */

/* Steps of the likelihood loss on one batch, as train/step.c takes them. */
class Training {
  public:
    Training(const Variant &variant, size_t batch, unsigned threads)
        : model_(make_model(variant)), count_(batch), logp_(batch), terms_(batch), classes_(batch) {
        const of_architecture &architecture = variant.architecture;
        of_training_options options = {};
        options.threads = threads;
        options.lanes = of_train_lanes(batch);
        options.micro_batch = of_train_micro_batch(batch);
        options.batch = batch;
        of_training_plan *made = nullptr;
        of_error error = {};
        bench::check(of_training_compile(model_.get(), &options, &made, &error), error);
        plan_.reset(made);
        const of_optimizer_options settings = of_optimizer_defaults();
        bench::check(
            of_optimizer_open(&settings, model_.get(), of_training_gradient_view(made).places,
                              of_kernels_for(bench::best_isa()), threads, &optimizer_, &error),
            error);
        pixels_ = floats(batch * of_architecture_dimensions(&architecture), 0, 1);
        const of_batch images = {OF_PIXEL_F32, pixels_.get(), count_};
        bench::check(of_training_initialise(made, model_.get(), &images, &error), error);
        loss_.architecture = architecture;
        loss_.count = batch;
        loss_.classes = classes_.data();
        loss_.loss = terms_.data();
        for (size_t i = 0; i < batch && architecture.classes > 0; i++)
            classes_[i] = static_cast<int32_t>(i % architecture.classes);
    }
    Training(const Training &) = delete;
    Training &operator=(const Training &) = delete;
    ~Training() {
        of_optimizer_close(&optimizer_);
    }

    void step() {
        const of_batch images = {OF_PIXEL_F32, pixels_.get(), count_};
        of_likelihoods out = {};
        out.logp = logp_.data();
        of_error error;
        bench::check(of_training_gradient(plan_.get(), model_.get(), &images, &out, of_loss_nll,
                                          &loss_, false, &error),
                     error);
        bench::check(of_training_finish_gradient(plan_.get(), model_.get(), &error), error);
        const float *gradient = of_training_gradient_view(plan_.get()).values;
        const double norm = of_optimizer_norm(&optimizer_, gradient);
        of_optimizer_apply(&optimizer_, model_.get(), gradient, of_clip_scale(1, norm), 1e-5,
                           steps_++);
        bench::check(of_training_refresh(plan_.get(), model_.get(), &error), error);
    }

    [[nodiscard]] double operations() const {
        const double forward_and_back = 3;
        return forward_and_back * static_cast<double>(count_) *
               of_plan_describe(of_session_plan(of_training_session(plan_.get()))).flops_per_image;
    }

  private:
    Model model_;
    TrainingPlan plan_;
    size_t count_;
    of_optimizer optimizer_ = {};
    of_batch_loss loss_ = {};
    Floats pixels_;
    std::vector<double> logp_, terms_;
    std::vector<int32_t> classes_;
    uint64_t steps_ = 0;
};

void add_training(const Variant &variant, size_t batch) {
    for (const Threads &threads : {bench::one_thread(), bench::all_threads()}) {
        const std::string shape = variant.name() + part("batch", batch) + threads.part;
        auto *added = bench::add("model/train" + shape, [=](benchmark::State &state) {
            auto &training = bench::kept<Training>(
                shape, [&] { return std::make_unique<Training>(variant, batch, threads.count); });
            Work work;
            work.items = static_cast<double>(batch);
            work.operations = training.operations();
            work.threads = threads.count;
            bench::measure(state, work, bench::best_isa(), Clock::wall, [&] { training.step(); });
        });
        added->UseRealTime()->Unit(benchmark::kMillisecond);
    }
}

/* ---- All of them ------------------------------------------------------------------------- */

void add_all() {
    for (const size_t batch : {size_t{1}, size_t{64}}) {
        add_inference(score, glow(8, 64), batch);
        add_inference(score, glow(8, 128), batch);
    }
    for (const size_t batch : {size_t{1}, size_t{32}})
        add_inference(score, glow(32, 512), batch);
    for (const Variant &variant :
         {additive(8, 128), conditional(8, 128, 10), grey(8, 128), patches(8, 128), dense(4, 128)})
        add_inference(score, variant, 64);
    for (const Task &task : {inverse, sample}) {
        add_inference(task, glow(8, 128), 64);
        add_inference(task, patches(8, 128), 64);
    }
    for (const Variant &variant : {glow(8, 64), glow(8, 128), additive(8, 128),
                                   conditional(8, 128, 10), patches(8, 128), dense(4, 128)})
        add_training(variant, 64);
    add_training(glow(32, 512), 16);
}

} // namespace

int main(int argc, char **argv) {
    return bench::run(argc, argv, add_all);
}
