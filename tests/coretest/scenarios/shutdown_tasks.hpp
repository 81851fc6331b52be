// SPDX-License-Identifier: BSL-1.0
// The tasks of C16 shutdown: every kind of waiting that an end must put an end to, with the books
// that show whether it did.
#pragma once

#include <atomic>
#include <chrono>
#include <coroutine>
#include <exception>
#include <mutex>
#include <utility>
#include <vector>

#include <paceline/paceline.hpp>

#include "../clock.hpp"

namespace coretest::shutdown {

/// What one life of a runtime must balance.
struct Ledger {
  std::atomic<std::int64_t> frames{0};     // begun and not yet destroyed
  std::atomic<std::uint64_t> accepted{0};  // spawns and posts that were not refused
  std::atomic<std::uint64_t> refused{0};
  std::atomic<std::uint64_t> ended{0};  // tasks whose body ended, by value or by exception

  std::mutex lock;
  std::vector<paceline::waker> wakers;  // of tasks that wait to be woken

  std::vector<paceline::waker> copy_wakers() {
    const std::lock_guard guard(lock);
    return wakers;
  }
};

/// An argument of every task: it dies with the frame, whether the body ran or not.
class Ticket {
 public:
  explicit Ticket(Ledger& ledger) : ledger_(&ledger) { ledger_->frames.fetch_add(1); }
  Ticket(Ticket&& other) noexcept : ledger_(std::exchange(other.ledger_, nullptr)) {}
  Ticket& operator=(Ticket&&) = delete;
  ~Ticket() {
    if (ledger_ != nullptr) ledger_->frames.fetch_sub(1);
  }
  Ledger& ledger() const noexcept { return *ledger_; }

 private:
  Ledger* ledger_;
};

/// A local of every body: counts its end.
class Ending {
 public:
  explicit Ending(Ledger& ledger) : ledger_(ledger) {}
  ~Ending() { ledger_.ended.fetch_add(1); }
  Ending(const Ending&) = delete;
  Ending& operator=(const Ending&) = delete;

 private:
  Ledger& ledger_;
};

enum class Kind : std::uint8_t {
  ends,        // at once
  computes,    // and ends
  sleeps,      // an hour
  waits,       // for a waker that never comes
  yields,      // for ever
  naps,        // for ever
  joins,       // a task that sleeps an hour
  joins_many,  // when_all of such
  spawns,      // children until it is refused
  count,
};

inline paceline::task<void> body(Ticket ticket, Kind kind);

inline paceline::task<void> wait_for_nobody(Ledger& ledger) {
  auto never = paceline::suspend_until([]() noexcept { return false; },
                                       [&ledger](paceline::waker waker) {
                                         const std::lock_guard guard(ledger.lock);
                                         ledger.wakers.push_back(waker);
                                       });
  co_await std::move(never);
}

inline paceline::task<void> join_one(Ledger& ledger) {
  paceline::join_handle<void> child = paceline::spawn(body(Ticket(ledger), Kind::sleeps));
  ledger.accepted.fetch_add(1);
  co_await std::move(child);
}

inline paceline::task<void> join_many(Ledger& ledger) {
  std::vector<paceline::task<void>> children;
  for (int i = 0; i < 5; ++i) {
    children.push_back(body(Ticket(ledger), i % 2 == 0 ? Kind::sleeps : Kind::waits));
  }
  auto all = paceline::when_all(std::move(children));
  // From here on they are started together or not at all; when_all itself says which.
  co_await std::move(all);
}

inline paceline::task<void> spawn_on(Ledger& ledger) {
  for (;;) {
    paceline::spawn(body(Ticket(ledger), Kind::ends)).detach();
    ledger.accepted.fetch_add(1);
    co_await paceline::sleep_for(std::chrono::microseconds(20));
  }
}

inline paceline::task<void> body(Ticket ticket, Kind kind) {
  Ledger& ledger = ticket.ledger();
  const Ending ending(ledger);
  switch (kind) {
    case Kind::computes: busy_for(20 * kMicro); break;
    case Kind::sleeps: co_await paceline::sleep_for(std::chrono::hours(1)); break;
    case Kind::waits: co_await wait_for_nobody(ledger); break;
    case Kind::yields:
      for (;;) co_await paceline::yield();
    case Kind::naps:
      for (;;) co_await paceline::sleep_for(std::chrono::microseconds(50));
    case Kind::joins: co_await join_one(ledger); break;
    case Kind::joins_many: co_await join_many(ledger); break;
    case Kind::spawns: co_await spawn_on(ledger); break;
    case Kind::ends:
    case Kind::count: break;
  }
}

/// A coroutine of nobody's, posted through a scheduler: it runs on the runtime or is refused.
struct Stray {
  struct promise_type {
    Stray get_return_object() noexcept { return {}; }
    std::suspend_never initial_suspend() noexcept { return {}; }
    std::suspend_never final_suspend() noexcept { return {}; }
    void return_void() noexcept {}
    void unhandled_exception() noexcept { std::terminate(); }
  };
};

inline Stray post(Ticket ticket, paceline::scheduler scheduler) {
  Ledger& ledger = ticket.ledger();
  try {
    co_await scheduler.schedule();
  } catch (const paceline::runtime_stopped&) {
    ledger.refused.fetch_add(1);
    co_return;
  }
  ledger.accepted.fetch_add(1);
  ledger.ended.fetch_add(1);
}

}  // namespace coretest::shutdown
