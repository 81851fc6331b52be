// SPDX-License-Identifier: BSL-1.0
// C19 stacks. Thousands of stacks wait at once, some far down; then all come back. Where no more
// can be had the wait is refused and nothing breaks.
//
// Invariants: each stack keeps what is on it; each wait ends once or is refused with the error that
// says so; nothing is left parked and the memory comes back.
#include <atomic>
#include <system_error>
#include <utility>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

constexpr std::uint64_t kStacks = kSanitized ? 300 : 3'000;

class Cellar {
 public:
  explicit Cellar(Context& context) : context_(context) {}

  void go_down(unsigned depth) {
    volatile unsigned char room[256];
    room[depth % sizeof room] = static_cast<unsigned char>(depth);
    if (depth > 0) {
      go_down(depth - 1);
    } else {
      wait();
    }
    context_.check(room[depth % sizeof room] == static_cast<unsigned char>(depth), "stack",
                   "a stack that waited {} calls down has changed", depth);
  }
  void open() { open_.store(true, std::memory_order_release); }
  std::uint64_t waiting() const { return waiting_.load(); }
  std::uint64_t refused() const { return refused_.load(); }

 private:
  void wait() {
    waiting_.fetch_add(1);
    try {
      while (!open_.load(std::memory_order_acquire)) {
        paceline::await_here(paceline::sleep_for(std::chrono::milliseconds(1)));
      }
    } catch (const std::system_error& error) {
      context_.check(error.code() == std::errc::resource_unavailable_try_again, "error",
                     "a refused wait says {}", error.what());
      refused_.fetch_add(1);
    }
    context_.op();
  }

  Context& context_;
  std::atomic<bool> open_{false};
  std::atomic<std::uint64_t> waiting_{0};
  std::atomic<std::uint64_t> refused_{0};
};

}  // namespace

void run_stacks(Context& context) {
  Goal& many = context.goal("a thousand stacks waited at once");
  LiveRuntime rt(context, {.stack_size = 64 * 1024});
  bool first = true;
  for (Rng rng = context.rng(1); context.more();) {
    Cellar cellar(context);
    std::vector<paceline::join_handle<void>> all;
    // The first round has as many as there may be.
    const std::uint64_t most = context.size(kStacks);
    const std::uint64_t count = std::exchange(first, false) ? most : 1 + rng.below(most);
    for (std::uint64_t i = 0; i < count; ++i) {
      const auto depth = static_cast<unsigned>(rng.below(50));
      all.push_back(rt->spawn({}, [&cellar, depth] { cellar.go_down(depth); }));
    }
    wait_until([&] { return cellar.waiting() == count; });
    many.reach_if(rt->stats().total.weak_peak >= (kSanitized ? 100 : 1'000));
    cellar.open();
    for (auto& handle : all) handle.join();
    context.check(rt->stats().total.weak_live == 0, "parked",
                  "{} executors are parked and no task lives", rt->stats().total.weak_live);
  }
  rt.settle();
  context.expect_forced_demotions();
}

}  // namespace coretest
