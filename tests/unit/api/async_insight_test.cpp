// SPDX-License-Identifier: BSL-1.0
// Proves what is to be seen of a task that was preempted by signal, and what follows it: its call
// stack goes on through the signal's frame, and the switch hooks keep its thread-local state.
#include "unit/api/async_storm.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

using namespace paceline;
using namespace paceline_test;
using namespace std::chrono_literals;

namespace {

#if defined(__x86_64__)
constexpr bool kFramesAreKnown = true;
#else
constexpr bool kFramesAreKnown = false;  // as the system's tables say, if they do
#endif

thread_local std::uintptr_t scope = 0;
std::atomic<std::uint64_t> went_out{0};
std::atomic<std::uint64_t> came_in{0};

[[gnu::noinline]] std::uintptr_t& current_scope() {
  asm volatile("" ::: "memory");
  return scope;
}
void* save_scope() noexcept {
  went_out.fetch_add(1);
  return reinterpret_cast<void*>(std::exchange(current_scope(), 0));
}
void restore_scope(void* saved) noexcept {
  came_in.fetch_add(1);
  current_scope() = reinterpret_cast<std::uintptr_t>(saved);
}

[[gnu::section("paceline_async")]] [[gnu::noinline]] void computes_in_section(const bool* done) {
  asm volatile("# or link-time optimization takes another such loop for this one");
  while (!__atomic_load_n(done, __ATOMIC_RELAXED)) {
  }
}

struct Flag {
  bool value = false;
  void raise() { __atomic_store_n(&value, true, __ATOMIC_RELAXED); }
};

runtime_options short_slices() {
  runtime_options options = workers(1);
  options.slice = 200us;
  return options;
}

}  // namespace

TEST_CASE("a dump shows where a task was preempted by signal") {
  if (!kSignals || !kFramesAreKnown) return;
  runtime rt(short_slices());
  Flag done;
  const auto body = [&done] {
    const async_region region;
    computes_in_section(&done.value);
  };
  auto one = rt.spawn({.name = "first hog"}, body);
  auto two = rt.spawn({.name = "second hog"}, body);
  eventually("one is preempted and seen", [&] {
    std::ostringstream out;
    rt.dump_tasks(out);
    const std::string text = out.str();
    return text.find("preempted") != std::string::npos &&
           text.find("computes_in_section") != std::string::npos;
  });
  CHECK(rt.stats().total.demotions_async >= 1);
  // A request that arrives before its task is inside the region is met at the way in, once a task:
  // from there on only a signal can take the core away.
  CHECK(rt.stats().total.demotions_safepoint <= 2);
  done.raise();
  one.join();
  two.join();
  check_books(rt);
}

TEST_CASE("the switch hooks follow tasks that are preempted by signal") {
  went_out = came_in = 0;
  runtime_options options = short_slices();
  options.on_switch_out = &save_scope;
  options.on_switch_in = &restore_scope;
  runtime rt(options);
  Flag done;
  if (!kSignals) done.raise();
  std::atomic<int> wrong{0};
  std::vector<join_handle<>> hogs;
  for (std::uintptr_t own = 1; own <= 4; ++own) {
    hogs.push_back(rt.spawn({}, [&, own] {
      if (current_scope() != 0) ++wrong;
      current_scope() = own;
      {
        const async_region region;
        computes_in_section(&done.value);
      }
      if (std::exchange(current_scope(), 0) != own) ++wrong;
    }));
  }
  if (kSignals) {
    eventually("each was preempted", [&] { return rt.stats().total.demotions_async >= 20; });
    done.raise();
  }
  for (auto& hog : hogs) hog.join();
  CHECK(wrong.load() == 0);
  CHECK(went_out.load() == came_in.load());
  CHECK((went_out.load() >= 20) == kSignals);
  check_books(rt);
}
