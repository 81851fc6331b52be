// SPDX-License-Identifier: BSL-1.0
// Starting a runtime while memory, mappings or threads run out (failures L7, L9, L10): a typed
// exception, nothing left behind, and the next start works.
#include "faults.hpp"

#include <new>
#include <system_error>

#include "machine/stack_pool.hpp"
#include "support/alive.hpp"
#include "unit/api/fixtures.hpp"

using namespace paceline;
using namespace paceline_test;
using fault::Call;

namespace {

constexpr std::size_t kWorkers = 3;

runtime_options options() {
  runtime_options made = workers(kWorkers);
  made.name = "a name that is too long for the small buffer of a string";
  return made;
}

void start_and_use() {
  runtime rt(options());
  REQUIRE(rt.block_on(forty_two()) == 42);
}

struct Attempt {
  bool delivered = false;  // the failure
  bool threw = false;
  long leaked = 0;  // allocations
};

/// Starts a runtime with call `k` failing. Only what a start may throw is caught.
Attempt start_with(Call call, unsigned k, const runtime_options& given) {
  Attempt attempt;
  const std::size_t threads = thread_count();
  const long before = fault::live_allocations();
  {
    const runtime_options made = given;
    fault::arm(call, k, call == Call::thread ? EAGAIN : ENOMEM);
    try {
      runtime rt(made);
    } catch (const std::bad_alloc&) {
      attempt.threw = true;
    } catch (const std::system_error&) {
      attempt.threw = true;
    }
    attempt.delivered = fault::disarm();
  }
  const bool all_gone = threads_fall_to(threads);
  attempt.leaked = fault::live_allocations() - before;
  CHECK(all_gone);
  return attempt;
}

}  // namespace

TEST_CASE("a start survives the failure of any allocation and leaks nothing") {
  for (int i = 0; i < 3; ++i) start_and_use();
  unsigned refused = 0;
  const unsigned points = fault::for_every_failure([&](unsigned k) {
    const Attempt attempt = start_with(Call::allocation, k, options());
    if (!attempt.delivered) CHECK_FALSE(attempt.threw);
    refused += attempt.threw ? 1 : 0;
    CHECK(attempt.leaked == 0);
    return attempt.delivered;
  });
  CHECK(points >= kWorkers);
  CHECK(refused >= kWorkers);
  start_and_use();
}

TEST_CASE("the very first allocations of a bigger runtime may fail too") {
  // More workers than any runtime before: seats, heaps and stacks are not in the pools yet.
  const std::size_t threads = thread_count();
  for (unsigned k = 1; k < 200; k += 3) {
    runtime_options made = options();
    made.workers = 8;
    fault::arm(Call::allocation, k, ENOMEM, true);
    bool refused = false;
    try {
      const runtime rt(made);
    } catch (const std::bad_alloc&) {
      refused = true;
    }
    const bool delivered = fault::disarm();
    INFO("from call " << k << " on");
    // The last ones fail in workers that do without, or while the runtime ends again.
    if (refused) CHECK(delivered);
    CHECK(threads_fall_to(threads));
    if (!delivered) break;
  }
  start_and_use();
}

TEST_CASE("a start without room for stacks throws bad_alloc and leaks nothing") {
  for (int i = 0; i < 3; ++i) start_and_use();
  for (const Call call : {Call::map, Call::protect}) {
    const unsigned points = fault::for_every_failure([&](unsigned k) {
      core::machine::trim_stacks();
      const Attempt attempt = start_with(call, k, options());
      CHECK(attempt.threw == attempt.delivered);
      CHECK(attempt.leaked == 0);
      return attempt.delivered;
    });
    CHECK(points == kWorkers);
  }
  start_and_use();
}

TEST_CASE("when the k-th thread cannot be had the message names the worker, and all others end") {
  start_and_use();
  const std::size_t threads = thread_count();
  for (const std::size_t count : {1u, 2u, 5u}) {
    for (std::size_t k = 1; k <= count; ++k) {
      const runtime_options made = workers(count);
      std::string message;
      {
        const fault::Armed armed(Call::thread, static_cast<unsigned>(k), EAGAIN);
        try {
          const runtime rt(made);
        } catch (const std::system_error& error) {
          message = error.what();
          CHECK(error.code() == std::errc::resource_unavailable_try_again);
        }
      }
      CHECK(says(message, "worker " + std::to_string(k) + " of " + std::to_string(count)));
      CHECK(says(message, "fewer workers"));
      CHECK(threads_fall_to(threads));
    }
    runtime rt(workers(count));
    CHECK(rt.block_on(forty_two()) == 42);
  }
}

TEST_CASE("starts without threads leak nothing, however often they are tried") {
  start_and_use();
  for (int i = 0; i < 3; ++i) {
    for (unsigned k = 1; k <= kWorkers; ++k) {
      const Attempt attempt = start_with(Call::thread, k, options());
      CHECK(attempt.delivered);
      CHECK(attempt.threw);
      CHECK(attempt.leaked == 0);
    }
  }
  start_and_use();
}

TEST_CASE("a failed start does not disturb a runtime that lives") {
  runtime rt(workers(2));
  Gate gate;
  auto body = [&gate]() -> task<int> {
    co_await gate.pass();
    co_return 1;
  };
  join_handle<int> handle = rt.spawn({}, body);
  for (unsigned k = 1; k <= kWorkers; ++k) {
    fault::arm(Call::thread, k, EAGAIN);
    CHECK_THROWS_AS(runtime(options()), std::system_error);
    fault::disarm();
  }
  gate.open();
  CHECK(handle.join() == 1);
  CHECK(rt.block_on(forty_two()) == 42);
}
