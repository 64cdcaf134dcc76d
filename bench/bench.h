/* SPDX-License-Identifier: Apache-2.0 */
/* What the benchmark programs share: registration, values to work on, counters, main.
 *
 * Names are parts joined by '/', from the general to the particular, arguments as key:value:
 * "kernel/coupling_row/avx2/half:6/columns:16". They say nothing of the machine: all of its CPUs
 * are "threads:all". So files of results from two builds, or two machines, can be compared. */
#ifndef OUTFLOW_BENCH_H
#define OUTFLOW_BENCH_H

#include <algorithm>
#include <benchmark/benchmark.h>
#include <cstdint>
#include <cstdio>
#include <ctime>
#include <exception>
#include <functional>
#include <map>
#include <memory>
#include <outflow/outflow.h>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

extern "C" {
#include "core/memory.h"
#include "core/random.h"
#include "kernels.h"
}

namespace bench {

/* "key:value", a part of a name. */
template <class Value> std::string part(const char *key, Value value) {
    return std::string("/") + key + ":" + std::to_string(value);
}

/* A failure becomes an exception, which becomes the benchmark's error. */
inline void check(of_status status, const of_error &error) {
    if (status != OF_OK)
        throw std::runtime_error(error.message);
}

/* ---- Values ------------------------------------------------------------------------------ */

struct Release {
    void operator()(float *block) const {
        of_free(block);
    }
};

/* Floats at a 64-byte boundary. */
using Floats = std::unique_ptr<float[], Release>;

/* Uniform in [low, high]; long arrays repeat a pattern, which costs less to make. */
inline Floats floats(size_t count, float low = -1, float high = 1) {
    constexpr size_t period = 8191;
    Floats values(static_cast<float *>(of_allocate(count, sizeof(float))));
    if (values == nullptr)
        throw std::bad_alloc();
    of_random random = of_random_stream(1, count);
    for (size_t i = 0; i < count; i++)
        values[i] =
            i < period ? low + (high - low) * of_random_uniform(&random) : values[i - period];
    return values;
}

inline std::vector<uint8_t> bytes(size_t count) {
    std::vector<uint8_t> values(count);
    of_random random = of_random_stream(2, count);
    for (uint8_t &value : values)
        value = static_cast<uint8_t>(of_random_u32(&random));
    return values;
}

/* Google Benchmark calls a function several times, for more and more iterations. This keeps what
 * is expensive to make until another benchmark of the program wants another one. */
template <class Fixture, class Make> Fixture &kept(const std::string &key, Make make) {
    static std::string last;
    static std::unique_ptr<Fixture> fixture;
    if (fixture == nullptr || key != last) {
        fixture.reset();
        fixture = make();
        last = key;
    }
    return *fixture;
}

/* ---- The machine ------------------------------------------------------------------------- */

/* How many threads a benchmark takes, and what its name says. */
struct Threads {
    unsigned count;
    const char *part;
};

inline Threads one_thread() {
    return {1, "/threads:1"};
}

inline Threads all_threads() {
    return {of_cpu_count(), "/threads:all"};
}

/* What the plan takes by itself, and OUTFLOW_ISA can lower. */
inline of_isa best_isa() {
    of_isa isa = OF_ISA_AUTO;
    of_error error = {};
    check(of_isa_resolve(OF_ISA_AUTO, &isa, &error), error);
    return isa;
}

/* ---- Measuring --------------------------------------------------------------------------- */

/* Time of the calling thread, or of the clock on the wall. */
class Stopwatch {
  public:
    explicit Stopwatch(bool wall)
        : clock_(wall ? CLOCK_MONOTONIC : CLOCK_THREAD_CPUTIME_ID), start_(now()) {
    }

    [[nodiscard]] double seconds() const {
        return now() - start_;
    }

  private:
    [[nodiscard]] double now() const {
        std::timespec time = {};
        (void)clock_gettime(clock_, &time);
        return static_cast<double>(time.tv_sec) + 1e-9 * static_cast<double>(time.tv_nsec);
    }

    clockid_t clock_;
    double start_;
};

/* The multiply-add peak of one thread by its own time, as its benchmarks are measured: others on
 * the machine do not lower it. */
inline double thread_peak(of_isa isa) {
    constexpr size_t rounds = 1 << 14, values = OF_BURST_VALUES;
    constexpr double enough_seconds = 0.1;
    double best = 0, spent = 0;
    while (spent < enough_seconds) {
        float result = 0;
        const Stopwatch watch(false);
        of_kernels_for(isa)->multiply_add_burst(rounds, &result);
        const double seconds = watch.seconds();
        benchmark::DoNotOptimize(result);
        best = std::max(best, 2.0 * static_cast<double>(rounds * values) / seconds);
        spent += seconds;
    }
    return best;
}

/* FLOP/s of nothing but multiply-adds, measured when first asked for. */
inline double peak(of_isa isa, unsigned threads) {
    static std::map<std::pair<of_isa, unsigned>, double> measured;
    double &rate = measured[{isa, threads}];
    of_error error = {};
    if (rate == 0 && threads == 1)
        rate = thread_peak(isa);
    else if (rate == 0)
        check(of_measure_peak(threads, isa, &rate, &error), error);
    return rate;
}

/* What one iteration does. */
struct Work {
    double items = 1;      /* positions, values, images: the head of each program says which */
    double bytes = 0;      /* of memory read and written; 0: not reported */
    double operations = 0; /* floating-point additions and multiplications; 0: not reported */
    unsigned threads = 1;
};

/* items_per_second, bytes_per_second; ns/item; GFLOP/s and its share of the instruction set's
 * multiply-add peak. */
inline void report(benchmark::State &state, const Work &work, double seconds, of_isa isa) {
    const double iterations = static_cast<double>(state.iterations());
    state.SetItemsProcessed(static_cast<int64_t>(iterations * work.items));
    if (work.bytes > 0)
        state.SetBytesProcessed(static_cast<int64_t>(iterations * work.bytes));
    state.counters["ns/item"] = 1e9 * seconds / (iterations * work.items);
    if (work.operations > 0) {
        const double rate = iterations * work.operations / seconds;
        state.counters["GFLOP/s"] = 1e-9 * rate;
        state.counters["peak%"] = 100 * rate / peak(isa, work.threads);
    }
}

/* Times `run`: by the time of this thread, or, for a benchmark with UseRealTime, by the wall. The
 * first call, which may compile code, make inverse maps or touch new memory, is not counted. */
enum class Clock { thread, wall };
template <class Run>
void measure(benchmark::State &state, const Work &work, of_isa isa, Clock clock, Run &&run) {
    run();
    const Stopwatch watch(clock == Clock::wall);
    for (auto _ : state)
        run();
    report(state, work, watch.seconds(), isa);
}

/* ---- Registration and main --------------------------------------------------------------- */

inline unsigned &failures() {
    static unsigned count;
    return count;
}

/* Registers `function(state)` under a name. */
template <class Function> auto *add(const std::string &name, Function function) {
    return benchmark::RegisterBenchmark(name.c_str(), [function](benchmark::State &state) {
        try {
            function(state);
        } catch (const std::exception &reason) {
            failures()++;
            state.SkipWithError(reason.what());
        }
    });
}

/* The exit status: 0, 1 if a benchmark failed or none was asked for, 2 for wrong usage. */
inline int run(int argc, char **argv, void (*add_all)()) {
    try {
        benchmark::Initialize(&argc, argv);
        if (benchmark::ReportUnrecognizedArguments(argc, argv))
            return 2;
        benchmark::AddCustomContext("outflow", of_version());
        benchmark::AddCustomContext("isa", of_isa_name(best_isa()));
        benchmark::AddCustomContext("convolutions", of_convolutions());
        benchmark::AddCustomContext("threads_all", std::to_string(of_cpu_count()));
        add_all();
        const size_t matched = benchmark::RunSpecifiedBenchmarks();
        benchmark::Shutdown();
        return matched > 0 && failures() == 0 ? 0 : 1;
    } catch (const std::exception &reason) {
        (void)std::fprintf(stderr, "%s: %s\n", argv[0], reason.what());
        return 2;
    }
}

} // namespace bench

#endif
