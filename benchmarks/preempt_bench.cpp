// SPDX-License-Identifier: BSL-1.0
// What does preemption cost? Ratios are of two loops that take turns in one run.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <paceline/paceline.hpp>

#include "harness.hpp"
#include "hogs.hpp"

namespace {

using namespace pacebench;
using paceline::task;

std::shared_ptr<paceline::runtime> start(const Settings& s, std::size_t workers) {
  return std::make_shared<paceline::runtime>(
      paceline::runtime_options{.workers = s.workers < workers ? s.workers : workers});
}

// --- preempt/untaken ---

/// About 100 ns of work that the compiler cannot remove.
inline std::uint64_t body(std::uint64_t x) {
  for (int i = 0; i < 40; ++i) {
    x = x * 6364136223846793005ull + 1442695040888963407ull;
    asm("" : "+r"(x));  // or forty of them would become one
  }
  return x;
}

template <bool kSafepoint>
[[gnu::noinline]] double loop_ns(std::uint64_t n, std::uint64_t& sink) {
  const Stopwatch watch;
  std::uint64_t x = sink;
  for (std::uint64_t i = 0; i < n; ++i) {
    x = body(x);
    if constexpr (kSafepoint) paceline::preempt_point();
  }
  sink = x;
  return watch.ns();
}

const Register untaken({"preempt/untaken", "x",
                        "a loop of 100 ns bodies with a safepoint in each, over one without",
                        [](const Settings& s) {
                          const std::uint64_t n = s.n != 0 ? s.n : 20'000;
                          auto rt = start(s, 1);
                          return Prepared{[rt, n] {
                                            std::uint64_t sink = 1;
                                            const double ratio =
                                                rt->spawn({}, [&] {
                                                    std::vector<double> ratios;
                                                    for (int i = 0; i < 31; ++i) {
                                                      const double without =
                                                          loop_ns<false>(n, sink);
                                                      const double with = loop_ns<true>(n, sink);
                                                      ratios.push_back(with / without);
                                                    }
                                                    std::sort(ratios.begin(), ratios.end());
                                                    return ratios[ratios.size() / 2];
                                                  }).join();
                                            require(sink != 0, "the work was done");
                                            return Sample{ratio, mix(kHashStart, n)};
                                          },
                                          {{"n", std::to_string(n)}}};
                        }});

// --- preempt/demotion ---

/// From one task to the next: the first stamps as it leaves, the second as it begins.
class Crossing {
 public:
  void leave() noexcept { left_ = stamp(); }
  void arrive() { took_.push_back(static_cast<double>(stamp() - left_)); }
  std::size_t count() const noexcept { return took_.size(); }
  double median() {
    const double middle = median_of(took_);
    took_.clear();
    return middle;
  }

 private:
  std::uint64_t left_ = 0;
  std::vector<double> took_;
};

/// Woken again and again, it interrupts whoever wakes it.
struct Bell {
  std::atomic<std::uint64_t> rung{0};
  std::uint64_t heard = 0;
  paceline::waker listener;
  bool over = false;

  auto next() {
    return paceline::suspend_until(
        [this]() noexcept { return rung.load(std::memory_order_relaxed) != heard; },
        [this](paceline::waker task) { listener = task; });
  }
  void ring() noexcept {
    rung.fetch_add(1, std::memory_order_relaxed);
    listener.wake();
  }
};

task<void> listen(Bell& bell, Crossing& crossing) {
  for (;;) {
    co_await bell.next();
    if (bell.over) co_return;
    crossing.arrive();
    bell.heard = bell.rung.load(std::memory_order_relaxed);
  }
}

task<void> yield_often(std::uint64_t n, Crossing& crossing) {
  for (std::uint64_t i = 0; i < n; ++i) {
    crossing.leave();
    co_await paceline::yield();
    crossing.arrive();
  }
}

constexpr std::uint64_t kBlocks = 31;

/// Both figures in turns; the ratio of each pair of blocks.
Sample measure_demotion(paceline::runtime& rt, std::uint64_t n) {
  Bell bell;
  Crossing demotions;
  auto listener = rt.spawn(listen(bell, demotions), {.qos = paceline::qos::urgent});
  while (rt.stats().total.parks == 0) std::this_thread::yield();
  std::vector<double> ratios;
  for (std::uint64_t block = 0; block < kBlocks; ++block) {
    rt.spawn({.qos = paceline::qos::utility}, [&] {
        for (std::uint64_t i = 0; i < n; ++i) {
          bell.ring();
          demotions.leave();
          paceline::preempt_point();
          require(demotions.count() == i + 1,
                  "something urgent was woken: it ran at the safepoint");
        }
      }).join();
    Crossing yields;
    auto other = rt.spawn(yield_often(n, yields));
    rt.spawn(yield_often(n, yields)).join();
    other.join();
    ratios.push_back(demotions.median() / yields.median());
  }
  rt.spawn({}, [&] {
      bell.over = true;
      bell.ring();
    }).join();
  listener.join();
  return {median_of(ratios), mix(kHashStart, n)};
}

const Register demotion(
    {"preempt/demotion", "x",
     "from a safepoint to a more urgent task, over from a yield to the next task",
     [](const Settings& s) {
       const std::uint64_t n = s.n != 0 ? s.n : 1'000;
       auto rt = start(s, 1);
       return Prepared{[rt, n] { return measure_demotion(*rt, n); }, {{"n", std::to_string(n)}}};
     }});

// --- preempt/throughput_lost ---

// 30 ms for each of two hogs: several slices, and longer than a hand-off takes to come.
constexpr int kStepsEach = 3'000;
constexpr std::size_t kHogsPerWorker = 2;

/// CPU time of the process while hogs do a fixed amount of work on each worker.
double hogs_take_ns(paceline::runtime& rt, bool safepoints) {
  std::vector<paceline::join_handle<>> hogs;
  const double before = cpu_ns();
  for (std::size_t i = 0; i < kHogsPerWorker * rt.workers(); ++i) {
    hogs.push_back(
        rt.spawn({.qos = paceline::qos::utility, .core = i % rt.workers()}, [safepoints] {
          std::uint64_t x = kHogStart;
          for (int step = 0; step < kStepsEach; ++step) {
            x = hog_step(x);
            if (safepoints) paceline::preempt_point();
          }
          require(x != 0, "the hog computed");
        }));
  }
  for (auto& hog : hogs) hog.join();
  return cpu_ns() - before;
}

Sample measure_loss(paceline::runtime& off, paceline::runtime& on, bool safepoints,
                    std::uint64_t pairs) {
  std::vector<double> lost;
  const auto before = on.stats();
  for (std::uint64_t i = 0; i < pairs; ++i) {
    // Who is first changes from pair to pair.
    const double one = hogs_take_ns(i % 2 == 0 ? off : on, safepoints);
    const double two = hogs_take_ns(i % 2 == 0 ? on : off, safepoints);
    lost.push_back(100 * (i % 2 == 0 ? two / one - 1 : one / two - 1));
  }
  const auto after = on.stats();
  const auto preempted = after.total.demotions_safepoint - before.total.demotions_safepoint +
                         after.handoffs - before.handoffs;
  require(preempted >= pairs, "the hogs took turns");
  return {
      median_of(lost), mix(kHashStart, pairs), {{"preemptions", static_cast<double>(preempted)}}};
}

Case loss(std::string name, std::string what, paceline::preemption_mode mode, bool safepoints) {
  return {"preempt/" + std::move(name), "%",
          "CPU time that 2 hogs per worker take more than with preemption off: " + std::move(what),
          [mode, safepoints](const Settings& s) {
            const std::uint64_t pairs = s.n != 0 ? s.n : 31;
            const auto with = [&](paceline::preemption_mode how) {
              return std::make_shared<paceline::runtime>(paceline::runtime_options{
                  .workers = s.workers, .preemption = how, .slice = std::chrono::milliseconds(1)});
            };
            auto off = with(paceline::preemption_mode::off);
            auto on = with(mode);
            return Prepared{
                [off, on, safepoints, pairs] { return measure_loss(*off, *on, safepoints, pairs); },
                {{"n", std::to_string(pairs)}}};
          }};
}

const Register lost_by_safepoints(loss("throughput_lost", "safepoints, slices of 1 ms",
                                       paceline::preemption_mode::safepoint, true));
const Register lost_by_handoff(loss("throughput_lost_rude", "no safepoints, hand-off after 10 ms",
                                    paceline::preemption_mode::automatic, false));

// --- preempt/alone ---

const Register alone({"preempt/alone", "count",
                      "preemptions of one hog per worker while nothing waits",
                      [](const Settings& s) {
                        auto rt = start(s, s.workers);
                        return Prepared{[rt] {
                                          const auto before = rt->stats();
                                          std::vector<paceline::join_handle<>> hogs;
                                          for (std::size_t i = 0; i < rt->workers(); ++i) {
                                            hogs.push_back(rt->spawn({.core = i}, [] {
                                              std::uint64_t x = kHogStart;
                                              for (int step = 0; step < 10 * kStepsEach; ++step) {
                                                x = hog_step(x);
                                                paceline::preempt_point();
                                              }
                                              require(x != 0, "the hog computed");
                                            }));
                                          }
                                          for (auto& hog : hogs) hog.join();
                                          const auto after = rt->stats();
                                          return Sample{
                                              static_cast<double>(after.total.demotions_safepoint -
                                                                  before.total.demotions_safepoint +
                                                                  after.handoffs - before.handoffs),
                                              mix(kHashStart, rt->workers())};
                                        },
                                        {}};
                      }});

// --- preempt/blocking ---

const Register short_blocking({"preempt/blocking", "ns/call",
                               "blocking() around a call that returns at once, nobody waiting",
                               [](const Settings& s) {
                                 const std::uint64_t n = s.n != 0 ? s.n : 100'000;
                                 auto rt = start(s, 1);
                                 return Prepared{[rt, n] {
                                                   std::uint64_t calls = 0;
                                                   const double ns =
                                                       rt->spawn({}, [&] {
                                                           const Stopwatch watch;
                                                           for (std::uint64_t i = 0; i < n; ++i) {
                                                             paceline::blocking([&] { ++calls; });
                                                           }
                                                           return watch.ns();
                                                         }).join();
                                                   require(calls == n, "every call was made");
                                                   return Sample{ns / static_cast<double>(n),
                                                                 mix(kHashStart, n)};
                                                 },
                                                 {{"n", std::to_string(n)}}};
                               }});

}  // namespace
