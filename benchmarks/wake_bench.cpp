// SPDX-License-Identifier: BSL-1.0
// What does it cost to wake a task? wake/ping_pong is defined like tokio's ping_pong.
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

#include <paceline/paceline.hpp>

#include "harness.hpp"
#include "oneshot.hpp"

namespace {

using namespace pacebench;
using paceline::task;

// --- wake/ping_pong: per pair two tasks and two one-shot hand-overs ---

struct Pairs {
  explicit Pairs(std::uint64_t n) : left(n) {}
  std::atomic<std::uint64_t> left;
  Oneshot done;
};

task<void> pong(std::shared_ptr<Oneshot> ping, std::shared_ptr<Oneshot> reply) {
  co_await ping->receive();
  reply->send();
}

task<void> pair(Pairs& pairs) {
  auto ping = std::make_shared<Oneshot>();
  auto reply = std::make_shared<Oneshot>();
  paceline::spawn(pong(ping, reply));
  ping->send();
  co_await reply->receive();
  if (pairs.left.fetch_sub(1, std::memory_order_acq_rel) == 1) pairs.done.send();
}

task<void> all_pairs(Pairs& pairs, std::uint64_t n) {
  for (std::uint64_t i = 0; i < n; ++i) paceline::spawn(pair(pairs));
  co_await pairs.done.receive();
}

const Register ping_pong({"wake/ping_pong", "ns/pair",
                          "n pairs (1000) of tasks with two one-shot hand-overs each",
                          [](const Settings& s) {
                            const std::uint64_t n = s.n != 0 ? s.n : 1'000;
                            auto rt = std::make_shared<paceline::runtime>(
                                paceline::runtime_options{.workers = s.workers});
                            return Prepared{
                                [rt, n] {
                                  Pairs pairs(n);
                                  const Stopwatch watch;
                                  rt->block_on(all_pairs(pairs, n));
                                  const double ns = watch.ns();
                                  require(pairs.left == 0, "every pair met");
                                  return Sample{ns / static_cast<double>(n), mix(kHashStart, n)};
                                },
                                {{"workers", std::to_string(s.workers)}, {"n", std::to_string(n)}}};
                          }});

// --- wake/storm: outside threads wake sleeping tasks as fast as they can ---

struct Mailbox {
  std::atomic<std::uint64_t> posted{0};
  std::atomic<bool> closed{false};
  paceline::waker waker;
  std::atomic<bool> armed{false};
};

task<std::uint64_t> drain(Mailbox& box) {
  std::uint64_t seen = 0;
  for (;;) {
    co_await paceline::suspend_until(
        [&]() noexcept {
          return box.posted.load(std::memory_order_acquire) != seen ||
                 box.closed.load(std::memory_order_acquire);
        },
        [&](paceline::waker w) {
          if (box.armed.load(std::memory_order_relaxed)) return;
          box.waker = w;
          box.armed.store(true, std::memory_order_release);
        });
    seen = box.posted.load(std::memory_order_acquire);
    if (box.closed.load(std::memory_order_acquire) && seen == box.posted.load()) co_return seen;
  }
}

const Register storm({"wake/storm", "ns/wake",
                      "one outside thread wakes 64 tasks n times (1000000) in all",
                      [](const Settings& s) {
                        const std::uint64_t n = s.n != 0 ? s.n : 1'000'000;
                        constexpr std::size_t kTasks = 64;
                        auto rt = std::make_shared<paceline::runtime>(
                            paceline::runtime_options{.workers = s.workers});
                        return Prepared{
                            [rt, n] {
                              std::vector<Mailbox> boxes(kTasks);
                              std::vector<paceline::join_handle<std::uint64_t>> handles;
                              for (Mailbox& box : boxes) handles.push_back(rt->spawn(drain(box)));
                              for (Mailbox& box : boxes) {
                                while (!box.armed.load(std::memory_order_acquire)) {
                                  std::this_thread::yield();
                                }
                              }
                              const Stopwatch watch;
                              for (std::uint64_t i = 0; i < n; ++i) {
                                Mailbox& box = boxes[i % kTasks];
                                box.posted.fetch_add(1, std::memory_order_acq_rel);
                                box.waker.wake();
                              }
                              for (Mailbox& box : boxes) {
                                box.closed.store(true, std::memory_order_release);
                                box.waker.wake();
                              }
                              std::uint64_t seen = 0;
                              for (auto& handle : handles) seen += handle.join();
                              const double ns = watch.ns();
                              require(seen == n, "every wake was seen");
                              return Sample{ns / static_cast<double>(n), mix(kHashStart, seen)};
                            },
                            {{"workers", std::to_string(s.workers)}, {"n", std::to_string(n)}}};
                      }});

}  // namespace
