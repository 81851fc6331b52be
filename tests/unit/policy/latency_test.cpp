// SPDX-License-Identifier: BSL-1.0
// Proves the latency metric: the reference's sequences, idle at once, clocks that jump, extremes.
#include "policy/latency.hpp"

#include <limits>

#include "support/catch.hpp"
#include "unit/policy/machines.hpp"

using namespace paceline::core::policy;
using paceline::qos;
using paceline::core::kMillisecond;
using paceline::core::Nanos;
using paceline_test::Loads;
using paceline_test::Machine;

TEST_CASE("statement 36: the depths of 3.3 give its averages") {
  struct Step {
    std::uint32_t depth;
    Nanos ms;
    std::uint32_t average;
    std::uint32_t rounded;
  };
  ClassLoad load;
  Nanos now = 0;
  for (const Step& step :
       {Step{3, 1, 0, 0}, Step{8, 1, 512, 2}, Step{16, 10, 768, 3}, Step{16, 10, 896, 4},
        Step{4, 10, 576, 2}, Step{4, 30, 336, 1}, Step{3, 1, 0, 0}}) {
    now += step.ms * kMillisecond;
    load = with_depth(load, step.depth, 4, now);
    CHECK(load.average == step.average);
    CHECK(rounded(load.average) == step.rounded);
    CHECK(load.depth == step.depth);
  }
}

TEST_CASE("statement 36: the slices of 3.3 give its averages") {
  struct Step {
    std::uint64_t us;
    Nanos ms;
    std::uint32_t exec_us;
  };
  ClassLoad load;
  Nanos now = 0;
  for (const Step& step :
       {Step{100, 10, 50}, Step{100, 10, 75}, Step{1000, 1, 159}, Step{50, 40, 71}}) {
    now += step.ms * kMillisecond;
    load = with_slice(load, step.us, now);
    CHECK(load.exec_us == step.exec_us);
  }
}

TEST_CASE("time_scale stretches what both averages remember, within its bounds") {
  for (const double scale : {0.001, 0.1, 1.0, 7.0, 100.0}) {
    INFO(scale);
    const Nanos memory = latency_memory(scale);
    const auto stretched = [&](Nanos ms) { return memory * ms / 10; };
    // The sequences of 3.3, that much faster or slower.
    ClassLoad load = with_depth({}, 8, 4, stretched(1), memory);
    CHECK(load.average == 512);
    load = with_depth(load, 16, 4, stretched(1) + stretched(10), memory);
    CHECK(load.average == 768);
    load = with_slice({}, 100, stretched(10), memory);
    CHECK(load.exec_us == 50);
    load = with_slice(load, 100, stretched(20), memory);
    CHECK(load.exec_us == 75);
  }
  CHECK(latency_memory(1) == kLatencyMemory);
  CHECK(latency_memory(0) == latency_memory(kLeastTimeScale));
  CHECK(latency_memory(1e9) == latency_memory(kMostTimeScale));
  // A memory that is none, or longer than any scale makes it, neither divides by nothing nor wraps.
  const ClassLoad some{0, 0, 8, 512, 100};
  CHECK(with_slice(some, 200, 0, 0).exec_us == 100);
  CHECK(with_slice(some, 200, paceline::core::kSecond, -1).exec_us == 199);
  CHECK(with_slice(some, 200, paceline::core::kSecond, paceline::core::kForever).exec_us == 150);
}

TEST_CASE("a clock that jumps back changes no average and the next update goes on") {
  ClassLoad load = with_depth({}, 16, 4, 100 * kMillisecond);
  const ClassLoad back = with_depth(load, 8, 4, 50 * kMillisecond);
  CHECK(back.average == load.average);
  CHECK(back.updated == load.updated);
  CHECK(back.depth == 8);
  load = with_depth(back, 8, 4, 110 * kMillisecond);
  CHECK(load.average == (4 * 256 + 2 * 256) / 2);

  const ClassLoad slice = with_slice({}, 100, 10 * kMillisecond);
  CHECK(with_slice(slice, 1'000'000, 9 * kMillisecond) == slice);
}

TEST_CASE("a clock that stands still leaves an average between two loads where it is") {
  ClassLoad load = with_depth({}, 16, 4, 10);
  load = with_depth(load, 8, 4, 10);
  CHECK(load.average == 4 * 256);
  load = with_depth(load, 0, 4, 10);
  CHECK(load.average == 0);
}

TEST_CASE("a cluster without workers keeps its average") {
  const ClassLoad load = with_depth({}, 16, 4, 10);
  const ClassLoad gone = with_depth(load, 20, 0, 20 * kMillisecond);
  CHECK(gone.average == load.average);
  CHECK(gone.updated == load.updated);
}

TEST_CASE("gaps longer than 32 bits of nanoseconds count as such a gap") {
  const ClassLoad load = with_depth({}, 16, 4, 0);
  constexpr Nanos kGap = (Nanos{1} << 32) - 1;
  const ClassLoad at = with_depth(load, 40, 4, kGap);
  const ClassLoad beyond = with_depth(load, 40, 4, std::numeric_limits<Nanos>::max());
  CHECK(at.average == beyond.average);
  // From the far past to the far future the difference itself does not fit a signed number.
  ClassLoad old = load;
  old.updated = std::numeric_limits<Nanos>::min();
  CHECK(with_depth(old, 40, 4, std::numeric_limits<Nanos>::max()).average == at.average);
}

TEST_CASE("the longest queues, slices and gaps do not wrap around") {
  constexpr std::uint32_t kMost = std::numeric_limits<std::uint32_t>::max();
  constexpr Nanos kGap = (Nanos{1} << 32) - 1;
  ClassLoad load = with_depth({}, kMost, 1, 0);
  const std::uint32_t top = load.average;
  CHECK(rounded(top) == (1u << 23) - 1);
  load = with_depth(load, kMost, 1, kGap);
  CHECK(load.average == top);
  const ClassLoad lower = with_depth(load, 1, 1, 2 * kGap);
  CHECK(lower.average < top / 100);

  load = with_slice(load, std::numeric_limits<std::uint64_t>::max(), kGap);
  load = with_slice(load, std::numeric_limits<std::uint64_t>::max(), 2 * kGap);
  CHECK(load.exec_us > 2'000'000'000);
  CHECK(latency_us(load) == kInfiniteLoad - 1);
}

TEST_CASE("a latency is the rounded depth times the slice, and at least the depth") {
  CHECK(latency_us({}) == 0);
  CHECK(latency_us({0, 0, 0, 127, 100}) == 0);
  CHECK(latency_us({0, 0, 0, 128, 100}) == 100);
  CHECK(latency_us({0, 0, 0, 3 * 256, 50}) == 150);
  CHECK(latency_us({0, 0, 0, 3 * 256, 0}) == 3);
}

TEST_CASE("depths count a class together with all that is more important") {
  const auto depths = depths_of({1, 2, 0, 4, 0, 1});
  CHECK(depths == std::array<std::uint32_t, paceline::qos_count>{1, 3, 3, 7, 7, 8});
}

TEST_CASE("a cluster that takes no work waits for ever, and so does one that is not there") {
  Machine machine;
  machine.add(0, 4).add(0, 4).add(0, 4);
  Loads loads(machine);
  loads[1].recommended = false;
  loads[2].workers = 0;
  const LoadView view = loads.view();
  CHECK(view.latency(0, qos::standard) == 0);
  CHECK(view.shared(0, SharedUse::round_robin) == 0);
  for (const ClusterIndex c : {ClusterIndex{1}, ClusterIndex{2}, ClusterIndex{3}, kNoCluster}) {
    CHECK(view.latency(c, qos::standard) == kInfiniteLoad);
    CHECK(view.shared(c, SharedUse::round_robin) == kInfiniteLoad);
    CHECK(view.shared(c, SharedUse::native_first) == kInfiniteLoad);
    CHECK_FALSE(available(view, c));
  }
  CHECK(view.depth(9, qos::standard) == 0);
  CHECK(view.stealable(9) == kNoClass);
  CHECK(view.foreign_queued(9) == 0);
  CHECK(view.foreign_running(9) == 0);
}

TEST_CASE("the kinds of shared use have names and of both flags round robin decides") {
  CHECK(shared_use(false, false) == SharedUse::none);
  CHECK(shared_use(true, false) == SharedUse::round_robin);
  CHECK(shared_use(false, true) == SharedUse::native_first);
  CHECK(shared_use(true, true) == SharedUse::round_robin);
  CHECK(to_string(SharedUse::none) == "none");
  CHECK(to_string(SharedUse::round_robin) == "round_robin");
  CHECK(to_string(SharedUse::native_first) == "native_first");
  CHECK(to_string(static_cast<SharedUse>(9)) == "invalid");
}
