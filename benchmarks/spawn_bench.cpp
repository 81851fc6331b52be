// SPDX-License-Identifier: BSL-1.0
// What does it cost to start a task and see it end? Defined like the scheduler benchmarks of tokio
// (spawn_many_local, spawn_many_remote_idle, chained_spawn), with the sizes of their cases but for
// spawn/local, which starts a million from inside one task.
#include <atomic>
#include <memory>
#include <vector>

#include <paceline/paceline.hpp>

#include "harness.hpp"
#include "oneshot.hpp"

namespace {

using namespace pacebench;
using paceline::task;

std::uint64_t size_or(const Settings& s, std::uint64_t usual) { return s.n != 0 ? s.n : usual; }

std::map<std::string, std::string> params(const Settings& s, std::uint64_t n) {
  return {{"workers", std::to_string(s.workers)}, {"n", std::to_string(n)}};
}

// --- spawn/local ---

struct Countdown {
  explicit Countdown(std::uint64_t n) : left(n) {}
  std::atomic<std::uint64_t> left;
  Oneshot done;
  void arrive() {
    if (left.fetch_sub(1, std::memory_order_acq_rel) == 1) done.send();
  }
};

task<void> arrive_once(Countdown& countdown) {
  countdown.arrive();
  co_return;
}

task<void> spawn_many(Countdown& countdown, std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) paceline::spawn(arrive_once(countdown));
  co_await countdown.done.receive();
}

const Register local({"spawn/local", "ns/task", "a task that starts n others (default 1000000)",
                      [](const Settings& s) {
                        const std::uint64_t n = size_or(s, 1'000'000);
                        auto rt = std::make_shared<paceline::runtime>(
                            paceline::runtime_options{.workers = s.workers});
                        return Prepared{[rt, n] {
                                          Countdown countdown(n);
                                          const Stopwatch watch;
                                          rt->block_on(spawn_many(countdown, n));
                                          const double ns = watch.ns();
                                          require(countdown.left == 0, "every task ran");
                                          return Sample{ns / static_cast<double>(n),
                                                        mix(kHashStart, n)};
                                        },
                                        params(s, n)};
                      }});

// --- spawn/remote ---

task<void> nothing() { co_return; }

task<void> join_all(std::vector<paceline::join_handle<void>>& handles) {
  for (auto& handle : handles) co_await std::move(handle);
}

const Register remote(
    {"spawn/remote", "ns/task", "an outside thread starts n tasks (10000) and joins them",
     [](const Settings& s) {
       const std::uint64_t n = size_or(s, 10'000);
       auto rt =
           std::make_shared<paceline::runtime>(paceline::runtime_options{.workers = s.workers});
       auto handles = std::make_shared<std::vector<paceline::join_handle<void>>>();
       handles->reserve(n);
       return Prepared{[rt, n, handles] {
                         const Stopwatch watch;
                         for (std::uint64_t i = 0; i < n; ++i) {
                           handles->push_back(rt->spawn(nothing()));
                         }
                         rt->block_on(join_all(*handles));
                         const double ns = watch.ns();
                         handles->clear();
                         return Sample{ns / static_cast<double>(n), mix(kHashStart, n)};
                       },
                       params(s, n)};
     }});

// --- spawn/chained ---

task<void> chain_link(Oneshot& done, std::uint64_t left) {
  if (left == 0) {
    done.send();
  } else {
    paceline::spawn(chain_link(done, left - 1));
  }
  co_return;
}

task<void> start_chain(Oneshot& done, std::uint64_t n) {
  paceline::spawn(chain_link(done, n));
  co_await done.receive();
}

const Register chained({"spawn/chained", "ns/task",
                        "n tasks (10000), each started by the one before", [](const Settings& s) {
                          const std::uint64_t n = size_or(s, 10'000);
                          auto rt = std::make_shared<paceline::runtime>(
                              paceline::runtime_options{.workers = s.workers});
                          return Prepared{[rt, n] {
                                            Oneshot done;
                                            const Stopwatch watch;
                                            rt->block_on(start_chain(done, n));
                                            return Sample{watch.ns() / static_cast<double>(n),
                                                          mix(kHashStart, n)};
                                          },
                                          params(s, n)};
                        }});

// --- yield/many ---

task<void> yielder(std::atomic<std::uint64_t>& yields, int times) {
  for (int i = 0; i < times; ++i) co_await paceline::yield();
  yields.fetch_add(static_cast<std::uint64_t>(times), std::memory_order_relaxed);
}

const Register yields({"yield/many", "ns/yield", "n tasks (200) that give way 1000 times each",
                       [](const Settings& s) {
                         const std::uint64_t n = size_or(s, 200);
                         auto rt = std::make_shared<paceline::runtime>(
                             paceline::runtime_options{.workers = s.workers});
                         return Prepared{[rt, n] {
                                           constexpr int kTimes = 1000;
                                           std::atomic<std::uint64_t> count{0};
                                           std::vector<paceline::join_handle<void>> handles;
                                           handles.reserve(n);
                                           const Stopwatch watch;
                                           for (std::uint64_t i = 0; i < n; ++i) {
                                             handles.push_back(rt->spawn(yielder(count, kTimes)));
                                           }
                                           for (auto& handle : handles) handle.join();
                                           const double ns = watch.ns();
                                           require(count == n * kTimes, "every yield returned");
                                           return Sample{ns / static_cast<double>(n * kTimes),
                                                         mix(kHashStart, n * kTimes)};
                                         },
                                         params(s, n)};
                       }});

}  // namespace
