// SPDX-License-Identifier: BSL-1.0
// Proves the switch hooks: what an application keeps in thread-local variables follows the task
// that is parked in the middle of its run, and nobody else sees it.
#include "fixtures.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <utility>
#include <vector>

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

namespace {

// The application's "current scope", as of a logging context.
thread_local std::uintptr_t scope = 0;
std::atomic<std::uint64_t> went_out{0};
std::atomic<std::uint64_t> came_in{0};

// Never inlined, so that no compiler keeps the address of the variable.
[[gnu::noinline]] std::uintptr_t& current_scope() {
  asm volatile("" ::: "memory");
  return scope;
}

void* save_scope() noexcept {
  ++went_out;
  return reinterpret_cast<void*>(std::exchange(current_scope(), 0));
}
void restore_scope(void* saved) noexcept {
  ++came_in;
  current_scope() = reinterpret_cast<std::uintptr_t>(saved);
}

runtime_options hooked(std::size_t count) {
  runtime_options options = workers(count);
  options.slice = 100us;
  options.on_switch_out = &save_scope;
  options.on_switch_in = &restore_scope;
  return options;
}

}  // namespace

TEST_CASE("each of several preempted tasks finds its own scope, and new tasks find none") {
  went_out = came_in = 0;
  runtime rt(hooked(2));
  std::atomic<int> wrong{0};
  std::atomic<int> dirty{0};
  std::vector<join_handle<>> hogs;
  for (std::uintptr_t own = 1; own <= 6; ++own) {
    hogs.push_back(rt.spawn({}, [&, own] {
      if (current_scope() != 0) ++dirty;
      current_scope() = own;
      while (rt.stats().total.demotions_safepoint < 50) {
        preempt_point();
        if (current_scope() != own) ++wrong;
      }
      current_scope() = 0;
    }));
  }
  for (auto& hog : hogs) hog.join();
  CHECK(wrong.load() == 0);
  CHECK(dirty.load() == 0);
  CHECK(went_out.load() >= 50);
  CHECK(went_out.load() == came_in.load());
}

TEST_CASE("a scope survives waiting on the stack, and is nobody else's meanwhile") {
  went_out = came_in = 0;
  runtime rt(hooked(1));
  Gate gate;
  auto waits = rt.spawn({}, [&gate] {
    current_scope() = 7;
    auto pass = [](Gate& at) -> task<> { co_await at.pass(); };
    await_here(pass(gate));
    return std::exchange(current_scope(), 0);
  });
  eventually("it waits", [&] { return gate.arrived() == 1; });
  CHECK(rt.spawn({}, [] { return current_scope(); }).join() == 0);
  gate.open();
  CHECK(waits.join() == 7);
  CHECK(went_out.load() == 1);
  CHECK(came_in.load() == 1);
}

TEST_CASE("one hook without the other is called as well") {
  went_out = came_in = 0;
  runtime_options options = hooked(1);
  options.on_switch_in = nullptr;
  runtime rt(options);
  CHECK(rt.spawn({}, [] { return await_here(forty_two()); }).join() == 42);
  CHECK(went_out.load() == 1);
  CHECK(came_in.load() == 0);
}

TEST_CASE("nothing is called where nothing is parked") {
  went_out = came_in = 0;
  runtime rt(hooked(1));
  CHECK(rt.block_on(forty_two()) == 42);
  rt.spawn({}, [] { preempt_point(); }).join();
  CHECK(went_out.load() == 0);
}
