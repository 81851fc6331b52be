// SPDX-License-Identifier: BSL-1.0
// C07 spawn-flood. Millions of tiny tasks: from inside and from outside, bounded by back-pressure
// and unbounded, side by side and in chains.
//
// Invariants: every spawned task runs exactly once and is counted; memory stays within what the
// number of live tasks explains.
#include <array>
#include <atomic>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "../helper.hpp"
#include "../memory.hpp"
#include "scenarios.hpp"
#include "support/alive.hpp"

namespace coretest {

namespace {

constexpr std::uint64_t kFlood = kSanitized ? 10'000 : 200'000;
// What a live task may cost: its slot, its frame, and their share of pages and pools.
constexpr std::uint64_t kBytesPerTask = 512;
constexpr std::uint64_t kBaseBytes = std::uint64_t{64} << 20;

class Flood {
 public:
  Flood(Context& context, paceline::runtime& rt, Rng rng)
      : context_(context), rt_(rt), rng_(rng), total_(1 + rng_.below(context.size(kFlood))) {}

  /// As fast as some tasks can spawn, with nobody to stop them.
  void unbounded_inside() {
    const std::uint64_t sources = 1 + rng_.below(4);
    run_sources(sources, [this](std::uint64_t share) { return pour(share); });
  }

  /// Sources that stop while too many of their tasks live.
  void bounded_inside() {
    const std::uint64_t sources = 1 + rng_.below(4);
    most_live_ = 1 + rng_.below(1000);
    run_sources(sources, [this](std::uint64_t share) { return pour_bounded(share); });
  }

  /// From threads outside.
  void outside() {
    const std::uint64_t threads = 1 + rng_.below(3);
    total_ = 1 + total_ / 8;
    const std::uint64_t base = memory_base();
    std::vector<Helper> outer;
    for (std::uint64_t i = 0; i < threads; ++i) {
      outer.emplace_back([this, share = share_of(i, threads)] {
        for (std::uint64_t n = 0; n < share; ++n) rt_.spawn(drop()).detach();
      });
    }
    for (Helper& thread : outer) thread.join();
    finish(base, total_);
  }

  /// Each task spawns the next.
  void chained() {
    total_ = 1 + total_ / 4;
    const std::uint64_t base = memory_base();
    rt_.spawn(link(total_)).detach();
    finish(base, total_);
  }

 private:
  std::uint64_t share_of(std::uint64_t source, std::uint64_t sources) const noexcept {
    return total_ / sources + (source < total_ % sources ? 1 : 0);
  }

  template <class Source>
  void run_sources(std::uint64_t sources, Source&& source) {
    const std::uint64_t base = memory_base();
    std::vector<paceline::join_handle<void>> pouring;
    for (std::uint64_t i = 0; i < sources; ++i)
      pouring.push_back(rt_.spawn(source(share_of(i, sources))));
    for (auto& one : pouring) one.join();
    finish(base, most_live_ == 0 ? total_ : most_live_ + sources);
  }

  /// A tiny task.
  paceline::task<void> drop() {
    ran_.fetch_add(1, std::memory_order_relaxed);
    co_return;
  }
  paceline::task<void> pour(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      paceline::spawn(drop()).detach();
      if (i % 1024 == 1023) context_.op(1024);
    }
    context_.op(count % 1024);
    co_return;
  }

  paceline::task<void> drop_counted() {
    ran_.fetch_add(1, std::memory_order_relaxed);
    live_.fetch_sub(1, std::memory_order_relaxed);
    co_return;
  }
  paceline::task<void> pour_bounded(std::uint64_t count) {
    for (std::uint64_t i = 0; i < count; ++i) {
      while (live_.fetch_add(1, std::memory_order_relaxed) >= most_live_) {
        live_.fetch_sub(1, std::memory_order_relaxed);
        held_back_.reach();
        co_await paceline::yield();
      }
      paceline::spawn(drop_counted()).detach();
      if (i % 1024 == 1023) context_.op(1024);
    }
    context_.op(count % 1024);
  }

  paceline::task<void> link(std::uint64_t rest) {
    ran_.fetch_add(1, std::memory_order_relaxed);
    if (rest > 1) paceline::spawn(link(rest - 1)).detach();
    if (rest % 1024 == 0) context_.op(1024);
    co_return;
  }

  std::uint64_t memory_base() {
    peak_is_ours_ = reset_peak();
    return paceline_test::resident_bytes();
  }

  void finish(std::uint64_t base, std::uint64_t most_live) {
    rt_.wait_idle();
    context_.op();
    context_.check(ran_.load() == total_, "conservation", "{} tasks were spawned, {} ran", total_,
                   ran_.load());
    // Sanitizers keep freed memory on purpose.
    if (kSanitized || !peak_is_ours_) return;
    const std::uint64_t allowed = base + most_live * kBytesPerTask + kBaseBytes;
    const std::uint64_t peak = peak_resident_bytes();
    context_.check_bound(peak <= allowed, "memory",
                         "{} bytes resident; {} before, and {} live tasks explain {} more", peak,
                         base, most_live, allowed - base);
  }

  Context& context_;
  paceline::runtime& rt_;
  Rng rng_;
  std::uint64_t total_;
  std::uint64_t most_live_ = 0;  // 0: not bounded
  bool peak_is_ours_ = false;
  std::atomic<std::uint64_t> ran_{0};
  std::atomic<std::uint64_t> live_{0};
  Goal& held_back_ = context_.goal("back-pressure held a source back");
};

}  // namespace

void run_spawn_flood(Context& context) {
  Goal& stolen = context.goal("part of a flood ran elsewhere");
  LiveRuntime rt(context);
  if (rt->workers() == 1) stolen.reach();  // nowhere else to run
  for (Rng rng = context.rng(1); context.more();) {
    const paceline::worker_stats before = rt->stats().total;
    Flood flood(context, *rt, Rng(rng.next()));
    switch (context.round() <= 4 ? context.round() - 1 : rng.below(4)) {
      case 0: flood.unbounded_inside(); break;
      case 1: flood.bounded_inside(); break;
      case 2: flood.outside(); break;
      default: flood.chained(); break;
    }
    const paceline::worker_stats after = rt->stats().total;
    context.check(after.spawned - before.spawned == after.completed - before.completed,
                  "conservation", "{} tasks were spawned and {} ended",
                  after.spawned - before.spawned, after.completed - before.completed);
    stolen.reach_if(after.tasks_stolen != 0);
  }
  rt.settle();
}

}  // namespace coretest
