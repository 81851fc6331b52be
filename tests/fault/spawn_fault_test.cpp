// SPDX-License-Identifier: BSL-1.0
// Every operation of a running runtime while allocations fail, one after the other (failure L7): it
// throws or works, leaks nothing, loses nothing, and the runtime goes on.
#include "faults.hpp"

#include <array>
#include <functional>
#include <new>
#include <sstream>

#include "unit/api/fixtures.hpp"
#include "unit/api/foreign.hpp"

using namespace paceline;
using namespace paceline_test;
using fault::Call;

namespace {

/// What the scenarios use. `armed()` begins the part in which a call may fail.
struct Stage {
  runtime& rt;
  runtime& other;
  unsigned fails_at = 0;
  bool delivered = false;  // the failure
  void armed() const { fault::arm(Call::allocation, fails_at); }
  void disarmed() { delivered |= fault::disarm(); }
};

/// One operation; gives 42 or throws.
struct Scenario {
  const char* name;
  std::function<int(Stage&)> run;
};

constexpr const char* kLongName = "a task with a name that does not fit into a small string";

/// A frame too large for the slabs: it comes from operator new.
task<int> large() {
  std::array<char, 8192> room{};
  room[17] = 42;
  co_await yield();
  co_return room[17];
}

int from_outside(Stage& stage) {
  stage.armed();
  return stage.rt.spawn(forty_two()).join();
}
int with_name(Stage& stage) {
  stage.armed();
  return stage.rt.spawn(forty_two(), {.name = kLongName}).join();
}
int with_token(Stage& stage) {
  std::stop_source source;
  stage.armed();
  return stage.rt.spawn(forty_two(), {.name = kLongName, .stop_token = source.get_token()}).join();
}
int with_function(Stage& stage) {
  const std::string text(42, 'x');
  auto length = [](const std::string& owned) { return static_cast<int>(owned.size()); };
  stage.armed();
  return stage.rt.spawn({.core = 0}, length, text).join();
}
int large_frame(Stage& stage) {
  stage.armed();
  return stage.rt.spawn(large()).join();
}
int blocking(Stage& stage) {
  stage.armed();
  return stage.rt.block_on(large());
}

/// The same from a task: runs `body` there and gives its value.
template <class Body>
int inside(Stage& stage, Body body) {
  auto outer = [&stage, body]() -> task<int> {
    stage.armed();
    co_return co_await body(stage);
  };
  return stage.rt.spawn({}, outer).join();
}

int from_inside(Stage& stage) {
  return inside(stage, [](Stage&) -> task<int> {
    std::stop_source source;
    spawn_options options{.qos = qos::utility, .name = kLongName, .stop_token = source.get_token()};
    join_handle<int> child = spawn(large(), options);
    co_return co_await std::move(child);
  });
}
int group_of_two(Stage& stage) {
  return inside(stage, [](Stage&) -> task<int> {
    auto [a, b] = co_await when_all(large(), large());
    co_return (a + b) / 2;
  });
}
int group_of_many(Stage& stage) {
  return inside(stage, [](Stage&) -> task<int> {
    std::vector<task<int>> children;
    for (int i = 0; i < 20; ++i) children.push_back(large());
    const std::vector<int> results = co_await when_all(children);
    int sum = 0;
    for (const int each : results) sum += each;
    co_return sum / 20;
  });
}
int change_class(Stage& stage) {
  return inside(stage, [](Stage&) -> task<int> {
    for (std::size_t i = 0; i < qos_count; ++i) {
      this_task::set_qos(static_cast<qos>(i));
      co_await yield();
    }
    co_return 42;
  });
}
int move_away(Stage& stage) {
  return inside(stage, [](Stage& at) -> task<int> {
    co_await resume_on(at.other.get_scheduler());
    co_await yield();
    co_await resume_on(at.rt.get_scheduler());
    co_return 42;
  });
}
int into_the_inbox(Stage& stage) {
  std::atomic<int> arrived{0};
  const auto visit = [](scheduler where, std::atomic<int>& count) -> Eager {
    co_await where.schedule();
    ++count;
  };
  int expected = 0;
  stage.armed();
  std::vector<Eager> visitors;
  try {
    visitors.reserve(100);
    for (int i = 0; i < 100; ++i) {
      visitors.push_back(visit(stage.rt.get_scheduler(), arrived));
      ++expected;
    }
  } catch (const std::bad_alloc&) {
  }
  stage.disarmed();
  stage.rt.wait_idle();
  int refused = 0;
  for (const Eager& visitor : visitors) {
    try {
      visitor.rethrow();
    } catch (const std::bad_alloc&) {
      ++refused;
    }
  }
  CHECK(arrived.load() == expected - refused);
  return 42;
}
int own_token(Stage& stage) {
  return inside(stage, [](Stage&) -> task<int> {
    const std::stop_token token = this_task::stop_token();
    co_await yield();
    co_return token.stop_possible() && token == this_task::stop_token() ? 42 : 0;
  });
}
int dumped(Stage& stage) {
  Gate gate;
  auto body = [&gate]() -> task<int> {
    co_await gate.pass();
    co_return 42;
  };
  join_handle<int> waiting = stage.rt.spawn({.name = kLongName}, body);
  eventually("it waits", [&] { return gate.arrived() == 1; });
  std::exception_ptr failure;
  std::ostringstream out;
  stage.armed();
  try {
    stage.rt.dump_tasks(out);
    (void)stage.rt.stats();
  } catch (...) {
    failure = std::current_exception();
  }
  stage.disarmed();
  gate.open();
  const int value = waiting.join();
  if (failure) std::rethrow_exception(failure);
  return value;
}
int unhandled(Stage& stage) {
  auto fails = []() -> task<> {
    co_await yield();
    throw std::runtime_error("a message that is too long for the small buffer of a string");
  };
  StderrCapture quiet;
  stage.armed();
  stage.rt.spawn({.name = kLongName}, fails).detach();
  stage.rt.wait_idle();
  return 42;
}
int foreign_waits(Stage& stage) {
  return inside(stage, [](Stage&) -> task<int> {
    const auto middle = []() -> Lazy { co_return co_await large(); };
    co_return co_await middle();
  });
}

const Scenario scenarios[] = {
    {"spawn from outside", from_outside},
    {"spawn with a name", with_name},
    {"spawn with a name and a token", with_token},
    {"spawn a function on a core", with_function},
    {"spawn a large frame", large_frame},
    {"block_on", blocking},
    {"spawn from inside", from_inside},
    {"when_all of two", group_of_two},
    {"when_all of many", group_of_many},
    {"set_qos", change_class},
    {"resume_on", move_away},
    {"schedule into an inbox", into_the_inbox},
    {"this_task::stop_token", own_token},
    {"dump_tasks and stats", dumped},
    {"an unhandled exception", unhandled},
    {"a foreign coroutine in between", foreign_waits},
};

}  // namespace

TEST_CASE("every operation survives the failure of any allocation and leaks nothing") {
  runtime rt(workers(2));
  runtime other(one_worker());
  Stage stage{.rt = rt, .other = other};
  const auto settled = [&] {
    rt.wait_idle();
    other.wait_idle();
    return fault::live_allocations();
  };
  for (const Scenario& scenario : scenarios) {
    // What is allocated once and kept, by the runtime or by the test's own tools, is there then.
    stage.fails_at = 0;
    int clean = 0;
    for (int i = 0; i < 5; ++i) clean += scenario.run(stage);
    fault::disarm();
    INFO(scenario.name);
    CHECK(clean == 5 * 42);

    unsigned refused = 0;
    const unsigned points = fault::for_every_failure([&](unsigned k) {
      stage.fails_at = k;
      const long before = settled();
      int value = 42;
      bool threw = false;
      try {
        value = scenario.run(stage);
      } catch (const std::bad_alloc&) {
        threw = true;
      }
      const bool delivered = stage.delivered | fault::disarm();
      stage.delivered = false;
      const long leaked = settled() - before;
      CHECK(value == 42);
      CHECK(leaked == 0);
      CHECK((delivered || !threw));
      CHECK(rt.stats().live == 0);
      CHECK(other.stats().live == 0);
      CHECK(rt.block_on(forty_two()) == 42);
      refused += threw ? 1 : 0;
      return delivered;
    });
    CHECK(refused <= points);
  }
  CHECK(other.block_on(forty_two()) == 42);
}
