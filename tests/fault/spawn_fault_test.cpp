// SPDX-License-Identifier: BSL-1.0
// Every operation of a running runtime while allocations fail, one after the other (failure L7): it
// throws or works, leaks nothing, loses nothing, and the runtime goes on.
#include <array>
#include <iterator>
#include <sstream>
#include <thread>

#include "scenario.hpp"
#include "unit/api/foreign.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

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
  // An inbox keeps the memory it once needed. The runs without a failure make both need more than
  // any other run does: more posts, while the workers are held up.
  const bool warm_up = stage.fails_at == 0;
  const int posts = warm_up ? 1'000 : 100;
  std::atomic<bool> held_up{warm_up};
  std::atomic<int> holding{0};
  const auto hold = [&] {
    ++holding;
    while (held_up) std::this_thread::yield();
  };
  for (std::size_t i = 0; warm_up && i < 2; ++i) stage.rt.spawn({.core = i}, hold).detach();
  if (warm_up) eventually("both workers are held up", [&] { return holding == 2; });
  int expected = 0;
  stage.armed();
  std::vector<Eager> visitors;
  try {
    visitors.reserve(static_cast<std::size_t>(posts));
    for (int i = 0; i < posts; ++i) {
      visitors.push_back(visit(stage.rt.get_scheduler(), arrived));
      ++expected;
    }
  } catch (const std::bad_alloc&) {
  }
  stage.disarmed();
  held_up = false;
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
  CHECK(expect_survival(scenarios) > std::size(scenarios));
}
