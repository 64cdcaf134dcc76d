/* SPDX-License-Identifier: Apache-2.0 */
/* Whole models with random weights on random images in memory: images/s and GFLOP/s of direct
 * convolutions. Names are stable: score/K:<steps>/hidden:<n>/batch:<n>/threads:<n>. */
#include <benchmark/benchmark.h>
#include <memory>
#include <outflow/outflow.h>
#include <random>
#include <vector>

namespace {

struct Plan {
    of_plan *handle = nullptr;
    ~Plan() {
        of_plan_free(handle);
    }
};

bool compile(const of_architecture &architecture, unsigned threads, Plan &plan, of_error &error) {
    of_model *model = nullptr;
    if (of_model_create(&architecture, 1, &model, &error) != OF_OK)
        return false;
    of_plan_options options = of_plan_options_default();
    options.threads = threads;
    bool compiled = of_plan_compile(model, &options, &plan.handle, &error) == OF_OK;
    of_model_free(model);
    return compiled;
}

void score(benchmark::State &state) {
    of_architecture architecture = of_architecture_default();
    architecture.steps = static_cast<uint32_t>(state.range(0));
    architecture.hidden = static_cast<uint32_t>(state.range(1));
    const size_t batch = static_cast<size_t>(state.range(2));
    Plan plan;
    of_error error;
    if (!compile(architecture, static_cast<unsigned>(state.range(3)), plan, error)) {
        state.SkipWithError(error.message);
        return;
    }
    std::vector<uint8_t> pixels(batch * of_architecture_dimensions(&architecture));
    std::mt19937 random(1);
    for (uint8_t &value : pixels)
        value = static_cast<uint8_t>(random());
    std::vector<double> logp(batch);
    const of_batch images = {OF_PIXEL_U8, pixels.data(), batch};
    of_likelihoods results = {};
    results.logp = logp.data();
    /* the first call prepares latency mode */
    of_status status = of_plan_forward(plan.handle, &images, &results, &error);
    for (auto _ : state) {
        if (status == OF_OK)
            status = of_plan_forward(plan.handle, &images, &results, &error);
        if (status != OF_OK) {
            state.SkipWithError(error.message);
            break;
        }
        benchmark::DoNotOptimize(logp.data());
    }
    const double images_done = static_cast<double>(state.iterations()) * static_cast<double>(batch);
    state.SetItemsProcessed(static_cast<int64_t>(images_done));
    state.counters["GFLOP/s"] =
        benchmark::Counter(images_done * of_plan_describe(plan.handle).flops_per_image * 1e-9,
                           benchmark::Counter::kIsRate);
}

void shapes(benchmark::internal::Benchmark *benchmark) {
    const int64_t most = of_cpu_count();
    for (const auto &[steps, hidden, batch] : {std::tuple<int, int, int>{8, 64, 64},
                                               {8, 128, 64},
                                               {8, 128, 1},
                                               {32, 512, 32},
                                               {32, 512, 1}}) {
        benchmark->Args({steps, hidden, batch, 1});
        if (most > 1)
            benchmark->Args({steps, hidden, batch, most});
    }
}

BENCHMARK(score)
    ->ArgNames({"K", "hidden", "batch", "threads"})
    ->Apply(shapes)
    ->UseRealTime()
    ->Unit(benchmark::kMillisecond);

} // namespace

BENCHMARK_MAIN();
