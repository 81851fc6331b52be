// SPDX-License-Identifier: BSL-1.0
// A stop request at every step of a whole tree of tasks (failure L1): one run for each poll of the
// tree, with the request made inside that poll, between it and the next, or from outside about
// then. However it comes, everything ends once, in time, and nothing stays alive.
#include "fixtures.hpp"

#include <optional>
#include <thread>

#include "support/alive.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

enum class Way { handle, token, runtime };
enum class Moment {
  inside,   // by the task whose poll it is
  between,  // by a task that takes turns with the tree on its worker
  outside,  // by the thread that started it
};

/// Counts the polls of a tree and makes the request when its time has come.
class Conductor {
 public:
  Conductor(runtime& rt, long stop_at, Way way, Moment moment)
      : rt_(rt), stop_at_(stop_at), way_(way), moment_(moment) {}

  std::stop_token token() const { return source_.get_token(); }
  std::atomic<int>& live() noexcept { return live_; }

  /// Every task of the tree says so at the begin of each of its polls.
  void poll_begins() {
    if (++polls_ == stop_at_ && moment_ == Moment::inside) request(nullptr);
  }
  bool due() const noexcept { return polls_ >= stop_at_; }
  void request(join_handle<long>* handle) {
    switch (way_) {
      case Way::handle: handle->request_stop(); break;
      case Way::token: source_.request_stop(); break;
      case Way::runtime: rt_.request_stop(); break;
    }
    // Only read now: a request that the last poll overtook need not have any effect.
    in_vain_ = in_last_poll_.load();
    requested_ = true;
  }

  void last_poll_begins() {
    in_last_poll_ = true;
    poll_begins();
  }
  void tree_ended() { ended_ = true; }
  bool ended() const noexcept { return ended_; }
  bool requested() const noexcept { return requested_; }
  /// Was the tree asked to stop before its last poll?
  bool told() const noexcept { return requested_ && !in_vain_; }

 private:
  runtime& rt_;
  const long stop_at_;
  const Way way_;
  const Moment moment_;
  std::stop_source source_;
  std::atomic<long> polls_{0};
  std::atomic<int> live_{0};
  std::atomic<bool> in_last_poll_{false};
  std::atomic<bool> in_vain_{false};
  std::atomic<bool> requested_{false};
  std::atomic<bool> ended_{false};
};

task<long> leaf(Conductor& at, Counted) {
  at.poll_begins();
  const Counted local(at.live());
  co_await yield();
  at.poll_begins();
  co_await sleep_for(std::chrono::microseconds(10));
  at.poll_begins();
  co_return 1;
}

task<long> pair(Conductor& at, Counted) {
  const Counted local(at.live());
  const Counted& argument = local;
  auto [left, right] = co_await when_all(leaf(at, argument), leaf(at, argument));
  at.poll_begins();
  co_await sleep_for(std::chrono::seconds(0));
  at.poll_begins();
  co_return left + right;
}

task<long> traveller(Conductor& at, scheduler there, scheduler back, Counted) {
  at.poll_begins();
  const Counted local(at.live());
  co_await resume_on(there);
  at.poll_begins();
  co_await yield();
  at.poll_begins();
  co_await resume_on(back);
  at.poll_begins();
  co_return 10;
}

/// Sleeps, yields, both forms of when_all, spawn and join, a nested task, a change of class, and a
/// way to another runtime and back.
task<long> tree(Conductor& at, scheduler there, scheduler back, Counted) {
  at.poll_begins();
  const Counted local(at.live());
  co_await yield();
  at.poll_begins();
  join_handle<long> child = spawn(pair(at, local), {.name = "a child"});
  long sum = co_await pair(at, local);
  std::vector<task<long>> group;
  group.push_back(traveller(at, there, back, local));
  group.push_back(leaf(at, local));
  const std::vector<long> results = co_await when_all(group);
  at.poll_begins();
  for (const long each : results) sum += each;
  this_task::set_qos(qos::utility);
  co_await sleep_until(std::chrono::steady_clock::now() + std::chrono::microseconds(10));
  at.poll_begins();
  sum += co_await std::move(child);
  co_await yield();
  at.last_poll_begins();
  co_return sum;
}
constexpr long kSum = 15;

/// One run with the request at poll `k`. False if the tree ended before that.
bool stopped_at(long k, Way way, Moment moment) {
  INFO("the request is due at poll " << k);
  runtime rt(one_worker());
  runtime other(one_worker());
  Conductor at(rt, k, way, moment);
  if (moment == Moment::between) {
    // It takes its turns before the tree begins, or the tree might end without it.
    std::atomic<bool> taking_turns{false};
    auto turns = [&]() -> task<> {
      taking_turns = true;
      while (!at.due() && !at.ended()) co_await yield();
      if (!at.ended()) at.request(nullptr);
    };
    rt.spawn({}, turns).detach();
    eventually("turns are taken", [&] { return taking_turns.load(); });
  }
  join_handle<long> handle =
      rt.spawn(tree(at, other.get_scheduler(), rt.get_scheduler(), Counted(at.live())),
               {.name = "the tree", .stop_token = at.token()});
  if (moment == Moment::outside) {
    while (!at.due() && !handle.done()) std::this_thread::yield();
    if (at.due()) at.request(&handle);
  }
  long value = 0;
  try {
    value = handle.join();
  } catch (const operation_cancelled&) {
  } catch (const runtime_stopped&) {
    CHECK(way == Way::runtime);  // its spawn, or its way back, was refused
  }
  at.tree_ended();
  rt.wait_idle();
  other.wait_idle();
  if (moment == Moment::outside) {
    // Whether the request overtook the last poll, nobody can say: either, but no half of it.
    CHECK((value == kSum || (value == 0 && at.requested())));
  } else {
    CHECK(value == (at.told() ? 0 : kSum));
  }
  CHECK(at.live().load() == 0);
  CHECK(rt.stats().live == 0);
  CHECK(other.stats().live == 0);
  CHECK(other.block_on(forty_two()) == 42);
  return at.requested();
}

/// The request at poll 1, 2, ... until the tree has ended before it.
void sweep(Way way, Moment moment) {
  const std::size_t threads = thread_count();
  long k = 1;
  while (k < 1'000 && stopped_at(k, way, moment)) ++k;
  CHECK(k > 20);
  CHECK(k < 1'000);
  CHECK(threads_fall_to(threads));
}

}  // namespace

TEST_CASE("a tree of tasks is stopped inside each of its polls, by a token") {
  sweep(Way::token, Moment::inside);
}

TEST_CASE("a tree of tasks is stopped inside each of its polls, with its runtime") {
  sweep(Way::runtime, Moment::inside);
}

TEST_CASE("a tree of tasks is stopped between any two of its polls, by a token") {
  sweep(Way::token, Moment::between);
}

TEST_CASE("a tree of tasks is stopped between any two of its polls, with its runtime") {
  sweep(Way::runtime, Moment::between);
}

TEST_CASE("a tree of tasks is stopped from outside at any of its polls, in all three ways") {
  for (const Way way : {Way::handle, Way::token, Way::runtime}) sweep(way, Moment::outside);
}

TEST_CASE("trees on several workers are stopped at any moment and leave nothing alive") {
  constexpr int kRounds = kSanitized ? 20 : 100;
  for (int round = 0; round < kRounds; ++round) {
    runtime rt(workers(3));
    runtime other(workers(2));
    Conductor at(rt, 10 + round, round % 2 == 0 ? Way::token : Way::runtime, Moment::inside);
    std::vector<join_handle<long>> handles;
    for (int i = 0; i < 8; ++i) {
      try {
        handles.push_back(
            rt.spawn(tree(at, other.get_scheduler(), rt.get_scheduler(), Counted(at.live())),
                     {.stop_token = at.token()}));
      } catch (const runtime_stopped&) {
        CHECK(at.due());
      }
    }
    for (auto& handle : handles) {
      long value = kSum;
      try {
        value = handle.join();
      } catch (const operation_cancelled&) {
      } catch (const runtime_stopped&) {
      }
      CHECK(value == kSum);
    }
    rt.wait_idle();
    other.wait_idle();
    CHECK(at.requested());
    CHECK(at.live().load() == 0);
    CHECK(rt.stats().live + other.stats().live == 0);
  }
}
