// SPDX-License-Identifier: BSL-1.0
// Affinity calls that fail or answer strangely (failure L13): the runtime starts unbound, says so
// once, and works; masks of any shape give one dense worker per CPU (conformance statement 8).
#include "faults.hpp"

#include "unit/api/fixtures.hpp"

using namespace paceline;
using namespace paceline_test;
using fault::Call;

namespace {

/// Pretends a set of CPUs while it lives.
class Cpus {
 public:
  explicit Cpus(std::vector<int> cpus) { fault::pretend_cpus(std::move(cpus)); }
  Cpus(const Cpus&) = delete;
  Cpus& operator=(const Cpus&) = delete;
  ~Cpus() { fault::pretend_cpus({}); }
};

/// Every worker runs tasks and knows its index.
void expect_workers(runtime& rt, std::size_t count) {
  REQUIRE(rt.workers() == count);
  for (std::size_t i = 0; i < count; ++i) {
    CHECK(rt.spawn({.core = i}, [] { return this_task::worker(); }).join() == i);
  }
  CHECK(rt.block_on(forty_two()) == 42);
}

std::vector<int> count_from(int first, int count, int step = 1) {
  std::vector<int> cpus;
  for (int i = 0; i < count; ++i) cpus.push_back(first + i * step);
  return cpus;
}

}  // namespace

TEST_CASE("a runtime that may bind its workers does so, one per core") {
  runtime rt;
  expect_workers(rt, rt.workers());
  CHECK(rt.stats().pinned_workers == rt.workers());
  runtime_options options;
  options.pin = false;
  runtime unbound(options);
  expect_workers(unbound, rt.workers());
  CHECK(unbound.stats().pinned_workers == 0);
}

TEST_CASE("where binding is refused the runtime runs unbound and says so in one line") {
  for (const int error : {EPERM, EINVAL, ENOSYS}) {
    StderrCapture capture;
    std::size_t count = 0;
    {
      const fault::Armed armed(Call::set_affinity, 1, error, true);
      runtime rt;
      count = rt.workers();
      expect_workers(rt, count);
      CHECK(rt.stats().pinned_workers == 0);
      CHECK(fault::calls(Call::set_affinity) == count);
    }
    // The test runs with PACELINE_LOG=warn; without it the runtime is silent.
    const std::string text = capture.text();
    CHECK(times(text, "cannot bind workers") == 1);
    CHECK(times(text, "\n") == 1);
    CHECK(says(text, std::generic_category().message(error)));
  }
}

TEST_CASE("a worker that alone cannot be bound does not keep the others from it") {
  runtime_options options;
  std::size_t bound = 0;
  std::size_t count = 0;
  StderrCapture capture;
  {
    const fault::Armed armed(Call::set_affinity, 1, EINVAL);
    runtime rt(options);
    count = rt.workers();
    expect_workers(rt, count);
    bound = rt.stats().pinned_workers;
  }
  CHECK(bound == count - 1);
  CHECK(times(capture.text(), "cannot bind workers") == 1);
}

TEST_CASE("where the mask cannot be read there is one worker, and any number on request") {
  for (const int error : {EPERM, EINVAL, ENOSYS, EFAULT}) {
    const fault::Armed armed(Call::get_affinity, 1, error, true);
    {
      runtime rt;
      expect_workers(rt, 1);
    }
    runtime rt(workers(3));
    expect_workers(rt, 3);
  }
}

TEST_CASE("one worker per usable CPU, whatever the mask looks like") {
  StderrCapture capture;  // CPUs that are not there cannot be bound to: one line each
  const std::vector<std::vector<int>> masks = {
      {0},                   // one CPU
      {5},                   // one that is not the first
      {0, 1, 2},             // an odd number
      {1, 3, 64, 65, 700},   // holes, more than one word
      {1023, 1024, 5000},    // beyond the usual set
      count_from(0, 24),     // a big machine
      count_from(1, 70, 2),  // every second CPU: hyper-threads off
  };
  for (const std::vector<int>& mask : masks) {
    const Cpus cpus(mask);
    runtime rt;
    expect_workers(rt, mask.size());
  }
  CHECK(times(capture.text(), "cannot bind workers") <= masks.size());
}

TEST_CASE("the biggest machines are served: 384 CPUs") {
  StderrCapture capture;
  const Cpus cpus(count_from(0, 384));
  runtime rt;
  REQUIRE(rt.workers() == 384);
  CHECK(rt.block_on(forty_two()) == 42);
  CHECK(rt.spawn({.core = 383}, [] { return this_task::worker(); }).join() == 383);
}
