// SPDX-License-Identifier: BSL-1.0
// The system maps no more memory (failures L7, L9): there is no room for more slots, or for more
// frames. What asked for it throws bad_alloc and changed nothing; what was accepted runs to its
// end; and as soon as there is memory again, or tasks have ended, everything works again.
//
// Slots are mapped by groups and never unmapped, one set for each class of each worker's seat, so
// each test here uses a class that no other test of this program uses.
#include "scenario.hpp"

#include <optional>

using namespace paceline;
using namespace paceline_test;
using fault::Call;

namespace {

// More than one group of slots holds.
constexpr int kMore = 3 * 64 * 64;

task<> through(Gate& gate, std::atomic<int>& ended, Counted) {
  co_await gate.pass();
  ++ended;
}

/// Tasks that have their frames already: spawning them takes a slot each and nothing else.
class Reserve {
 public:
  explicit Reserve(int count = kMore) {
    tasks_.reserve(static_cast<std::size_t>(count));
    for (int i = 0; i < count; ++i) tasks_.push_back(through(gate, ended, Counted(live)));
  }
  /// Spawns them with `spawn_one` until one is refused. Gives how many were accepted.
  template <class Spawn>
  int spawn_until_refused(Spawn&& spawn_one) {
    int accepted = 0;
    for (task<>& each : tasks_) {
      try {
        spawn_one(std::move(each)).detach();
        ++accepted;
      } catch (const std::bad_alloc&) {
        break;
      }
    }
    tasks_.clear();
    return accepted;
  }

  Gate gate;
  std::atomic<int> ended{0};
  std::atomic<int> live{0};

 private:
  std::vector<task<>> tasks_;
};

/// Fills the slots of one role and class of a runtime that get no more memory.
template <class Spawn>
void fill(runtime& rt, Spawn&& spawn_one) {
  Reserve reserve;
  int accepted = 0;
  {
    const fault::Armed no_maps(Call::map, 1, ENOMEM, true);
    accepted = reserve.spawn_until_refused(spawn_one);
    CHECK(accepted < kMore);
    CHECK(reserve.live.load() == accepted);
    CHECK(rt.stats().live == static_cast<std::uint64_t>(accepted));
    reserve.gate.open();
    rt.wait_idle();
    CHECK(reserve.ended.load() == accepted);
    CHECK(reserve.live.load() == 0);
  }
  Reserve again;
  again.gate.open();
  CHECK(again.spawn_until_refused(spawn_one) == kMore);
  rt.wait_idle();
  CHECK(again.ended.load() == kMore);
  CHECK(rt.stats().live == 0);
}

}  // namespace

TEST_CASE("the first slot of a class cannot be had once: that spawn fails and the next works") {
  runtime rt(workers(1));
  const std::uint64_t before = rt.stats().total.spawned;
  // `urgent` is not used elsewhere in this program; each role has slots of its own.
  const auto once = [&rt](auto&& spawn_one) {
    std::atomic<int> live{0};
    auto body = [](Counted) -> task<int> { co_return 42; };
    task<int> refused = body(Counted(live));
    task<int> accepted = forty_two();
    const fault::Armed one(Call::map, 1);  // frames are there: it is the slot that is refused
    CHECK_THROWS_AS(spawn_one(std::move(refused)), std::bad_alloc);
    CHECK(live.load() == 0);
    CHECK(rt.stats().live == 0);
    CHECK(spawn_one(std::move(accepted)).join() == 42);
  };
  once([&rt](task<int> t) { return rt.spawn(std::move(t), {.qos = qos::urgent}); });
  once([&rt](task<int> t) { return rt.spawn(std::move(t), {.qos = qos::urgent, .core = 0}); });
  CHECK(rt.stats().total.spawned == before + 2);
}

TEST_CASE("outside spawns fill all slots there are, and no accepted task is lost") {
  runtime rt(workers(1));
  fill(rt, [&rt](task<> t) { return rt.spawn(std::move(t), {.qos = qos::utility}); });
}

TEST_CASE("spawns onto one core fill all slots there are, and no accepted task is lost") {
  runtime rt(workers(1));
  fill(rt, [&rt](task<> t) {
    return rt.spawn(std::move(t), {.qos = qos::utility, .core = std::size_t{0}});
  });
}

TEST_CASE("a task that spawns fills all slots there are, and no accepted task is lost") {
  runtime rt(workers(1));
  Reserve reserve;
  const int accepted = rt.block_on([](Reserve& from) -> task<int> {
    // The class this task is in already has its slots; those of its children have not.
    const fault::Armed no_maps(Call::map, 1, ENOMEM, true);
    const int count = from.spawn_until_refused(
        [](task<> t) { return spawn(std::move(t), {.qos = qos::user_initiated}); });
    from.gate.open();
    co_await yield();
    co_return count;
  }(reserve));
  rt.wait_idle();
  CHECK(accepted < kMore);
  CHECK(reserve.ended.load() == accepted);
  CHECK(reserve.live.load() == 0);
  CHECK(rt.stats().live == 0);
}

TEST_CASE("a group of tasks without slots for all of them starts none of them") {
  runtime rt(workers(1));
  std::atomic<int> live{0};
  std::atomic<int> ran{0};
  auto child = [&ran](Counted) -> task<int> {
    ++ran;
    co_return 1;
  };
  auto parent = [&]() -> task<int> {
    std::vector<task<int>> children;
    for (int i = 0; i < kMore; ++i) children.push_back(child(Counted(live)));
    bool refused = false;
    try {
      const fault::Armed no_maps(Call::map, 1, ENOMEM, true);
      co_await when_all(std::move(children));
    } catch (const std::bad_alloc&) {
      refused = true;
    }
    // A group that fits into what is there works also now.
    auto [left, right] = co_await when_all(child(Counted(live)), child(Counted(live)));
    co_return refused ? 40 + left + right : 0;
  };
  CHECK(rt.spawn({.qos = qos::background}, parent).join() == 42);
  CHECK(ran.load() == 2);
  CHECK(live.load() == 0);
  CHECK(rt.stats().live == 0);
  CHECK(rt.stats().total.spawned == 3);
}

TEST_CASE("a task that cannot get a slot in another class or runtime stays where it is") {
  runtime rt(workers(1));
  // Its seat is new, so not even its slots for guests of this class exist.
  runtime other(workers(3));
  const std::uint64_t others = other.stats().total.spawned;
  auto body = [](scheduler there) -> task<int> {
    int refused = 0;
    {
      const fault::Armed no_maps(Call::map, 1, ENOMEM, true);
      try {
        this_task::set_qos(qos::user_interactive);
      } catch (const std::bad_alloc&) {
        ++refused;
      }
      if (this_task::qos() != qos::standard) co_return -1;
      co_await yield();
    }
    this_task::set_qos(qos::user_interactive);
    {
      const fault::Armed no_maps(Call::map, 1, ENOMEM, true);
      const task_id before = this_task::id();
      try {
        co_await resume_on(there);
      } catch (const std::bad_alloc&) {
        ++refused;
      }
      co_await yield();
      if (this_task::id() != before) co_return -2;
    }
    co_await resume_on(there);
    co_return refused;
  };
  join_handle<int> handle = rt.spawn({.name = kLongName}, body, other.get_scheduler());
  CHECK(handle.join() == 2);
  rt.wait_idle();
  other.wait_idle();
  CHECK(rt.stats().live + other.stats().live == 0);
  CHECK(other.stats().total.spawned == others + 1);
}

TEST_CASE("coroutines that find no memory for their frames throw, and the others go on") {
  runtime rt(one_worker());
  Gate gate;
  std::atomic<int> ended{0};
  std::atomic<int> live{0};
  int accepted = 0;
  int refused = 0;
  {
    // Frames of more than the slabs' largest size do not come from mapped memory.
    const fault::Armed no_maps(Call::map, 1, ENOMEM, true);
    for (int i = 0; i < 100'000 && refused < 10; ++i) {
      try {
        rt.spawn(through(gate, ended, Counted(live))).detach();
        ++accepted;
      } catch (const std::bad_alloc&) {
        ++refused;
      }
    }
    CHECK(refused == 10);
    CHECK(live.load() == accepted);
    gate.open();
    rt.wait_idle();
    CHECK(ended.load() == accepted);
    CHECK(live.load() == 0);
    // Their memory is there for frames of the same size.
    rt.spawn(through(gate, ended, Counted(live))).join();
    CHECK(ended.load() == accepted + 1);
  }
  CHECK(rt.block_on(forty_two()) == 42);
}
