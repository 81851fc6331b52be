// SPDX-License-Identifier: BSL-1.0
// Exceptions (failure L4): from bodies, from destructors of locals and arguments, of tasks nobody
// joins, from the hook itself. Each is reported once and the worker survives.
#include "fixtures.hpp"

#include <algorithm>
#include <optional>
#include <sstream>
#include <thread>

using namespace paceline;
using namespace paceline_test;

// g++ does not free the frame of a coroutine whose argument throws from its destructor: destroy()
// is left before that, and nobody else knows the frame's size. AddressSanitizer sees these frames.
extern "C" const char* __lsan_default_suppressions() { return "leak:throws_from_argument\n"; }

namespace {

/// Throws from its destructor, once, wherever it has been moved to.
class Thrower {
 public:
  Thrower() = default;
  Thrower(Thrower&& other) noexcept : armed_(std::exchange(other.armed_, false)) {}
  Thrower& operator=(Thrower&&) = delete;
  ~Thrower() noexcept(false) {
    if (armed_) throw std::runtime_error("from a destructor");
  }

 private:
  bool armed_ = true;
};

task<> throws_standard() {
  co_await yield();
  throw std::runtime_error("from a body");
}
task<> throws_int() {
  co_await yield();
  throw 42;
}
task<> throws_from_local() {
  const Thrower local;
  co_await yield();
}
task<int> throws_from_argument(Thrower) {
  co_await yield();
  co_return 5;
}
task<> cancelled() {
  co_await yield();
  throw operation_cancelled();
}

/// What a hook was called with.
struct Report {
  std::mutex mutex;
  std::vector<std::string> names;
  std::vector<std::string> messages;

  void note(std::exception_ptr error, std::string_view name) {
    const std::lock_guard lock(mutex);
    names.emplace_back(name);
    try {
      std::rethrow_exception(error);
    } catch (const std::exception& known) {
      messages.emplace_back(known.what());
    } catch (...) {
      messages.emplace_back("unknown");
    }
  }
};

runtime_options reporting_to(Report& report, std::size_t count = 1) {
  runtime_options options = workers(count);
  options.on_unhandled = [&report](std::exception_ptr error, std::string_view name) {
    report.note(error, name);
  };
  return options;
}

}  // namespace

TEST_CASE("a detached task that fails goes to the hook exactly once, with its name") {
  Report report;
  runtime rt(reporting_to(report));
  rt.spawn(throws_standard(), {.name = "the culprit"}).detach();
  rt.wait_idle();
  CHECK(report.names == std::vector<std::string>{"the culprit"});
  CHECK(report.messages == std::vector<std::string>{"from a body"});
  rt.spawn(throws_int()).detach();
  rt.wait_idle();
  CHECK(report.names == std::vector<std::string>{"the culprit", ""});
  CHECK(report.messages.back() == "unknown");
  CHECK(rt.stats().total.unhandled == 2);
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("a handle dropped before or after the failure reports it; a joined one does not") {
  Report report;
  runtime rt(reporting_to(report));
  {
    const join_handle<> before = rt.spawn(throws_standard(), {.name = "before"});
  }
  rt.wait_idle();
  CHECK(report.names == std::vector<std::string>{"before"});
  {
    const join_handle<> after = rt.spawn(throws_standard(), {.name = "after"});
    rt.wait_idle();
    CHECK(report.names.size() == 1);
  }
  CHECK(report.names == std::vector<std::string>{"before", "after"});
  CHECK_THROWS_AS(rt.spawn(throws_standard(), {.name = "joined"}).join(), std::runtime_error);
  rt.wait_idle();
  CHECK(report.names.size() == 2);
  CHECK(rt.stats().total.unhandled == 2);
}

TEST_CASE("a cancelled task nobody joins is no failure") {
  Report report;
  {
    runtime rt(reporting_to(report));
    rt.spawn(cancelled(), {.name = "by itself"}).detach();
    rt.spawn([]() -> task<> { co_await sleep_for(std::chrono::hours(1)); }()).detach();
  }
  CHECK(report.names.empty());
}

TEST_CASE("an exception from a local's destructor is the task's exception") {
  Report report;
  runtime rt(reporting_to(report));
  CHECK(message_of<std::runtime_error>([&] { rt.block_on(throws_from_local()); }) ==
        "from a destructor");
  rt.spawn(throws_from_local(), {.name = "local"}).detach();
  rt.wait_idle();
  CHECK(report.names == std::vector<std::string>{"local"});
  CHECK(rt.block_on(forty_two()) == 42);
}

TEST_CASE("an exception from an argument's destructor is reported and the result still arrives") {
  StderrCapture capture;
  runtime rt(one_worker());
  // Joined, detached, awaited by a task, in a group, never started.
  CHECK(rt.block_on(throws_from_argument(Thrower())) == 5);
  rt.spawn(throws_from_argument(Thrower())).detach();
  rt.wait_idle();
  CHECK(rt.block_on([]() -> task<int> { co_return co_await throws_from_argument(Thrower()); }()) ==
        5);
  CHECK(rt.block_on([]() -> task<int> {
    auto [a, b] =
        co_await when_all(throws_from_argument(Thrower()), throws_from_argument(Thrower()));
    co_return a + b;
  }()) == 10);
  {
    const task<int> never = throws_from_argument(Thrower());
  }
  CHECK(rt.block_on(forty_two()) == 42);
  const std::string text = capture.text();
  CHECK(times(text, "from a destructor") == 6);
}

TEST_CASE("a hook that throws is reported, and the worker goes on") {
  StderrCapture capture;
  {
    runtime_options options = one_worker();
    options.on_unhandled = [](std::exception_ptr, std::string_view) { throw 5; };
    runtime rt(options);
    rt.spawn(throws_standard()).detach();
    rt.wait_idle();
    CHECK(rt.block_on(forty_two()) == 42);
    CHECK(rt.stats().total.unhandled == 1);
  }
  const std::string text = capture.text();
  CHECK(times(text, "\n") == 1);
  CHECK(says(text, "hook"));
}

TEST_CASE("without a hook one line on stderr names the task and the exception") {
  StderrCapture capture;
  {
    runtime rt(one_worker());
    rt.spawn(throws_standard(), {.name = "unlucky"}).detach();
    rt.wait_idle();
    rt.spawn(throws_int(), {.name = "odd"}).detach();
    rt.wait_idle();
    CHECK(rt.stats().total.unhandled == 2);
  }
  const std::string text = capture.text();
  CHECK(times(text, "\n") == 2);
  CHECK(says(text, "'unlucky'"));
  CHECK(says(text, "from a body"));
  CHECK(says(text, "'odd'"));
}

TEST_CASE("many failures from many workers each reach the hook once") {
  Report report;
  runtime rt(reporting_to(report, 2));
  constexpr std::size_t kTasks = 500;
  for (std::size_t i = 0; i < kTasks; ++i) {
    rt.spawn(throws_standard(), {.name = std::to_string(i)}).detach();
  }
  rt.wait_idle();
  std::vector<bool> seen(kTasks, false);
  for (const std::string& name : report.names) seen[std::stoul(name)] = true;
  CHECK(report.names.size() == kTasks);
  CHECK(std::count(seen.begin(), seen.end(), true) == static_cast<std::ptrdiff_t>(kTasks));
  CHECK(rt.stats().total.unhandled == kTasks);
}

TEST_CASE("a child's failure dropped by its cancelled parent reaches the hook during shutdown") {
  Report report;
  std::atomic<bool> child_done{false};
  auto parent = [&]() -> task<> {
    const join_handle<> child = spawn(throws_standard(), {.name = "child"});
    while (!child.done()) co_await yield();
    child_done = true;
    co_await sleep_for(std::chrono::hours(1));
  };
  {
    runtime rt(reporting_to(report));
    rt.spawn({}, parent).detach();
    eventually("the child has failed", [&] { return child_done.load(); });
  }
  CHECK(report.names == std::vector<std::string>{"child"});
}

TEST_CASE("a failure whose handle outlives the runtime is joined, or reported on stderr") {
  Report report;
  join_handle<> joined;
  std::optional<join_handle<>> dropped;
  {
    runtime rt(reporting_to(report));
    joined = rt.spawn(throws_standard());
    dropped = rt.spawn(throws_standard(), {.name = "survivor"});
    rt.wait_idle();
  }
  CHECK_THROWS_AS(joined.join(), std::runtime_error);
  StderrCapture capture;
  dropped.reset();
  CHECK(says(capture.text(), "'survivor'"));
  CHECK(report.names.empty());
}

TEST_CASE("a hook may use the runtime: no lock is held while it runs") {
  std::optional<runtime> rt;
  std::atomic<int> restarted{0};
  std::string dumped;
  runtime_options options = one_worker();
  options.on_unhandled = [&](std::exception_ptr, std::string_view) {
    std::ostringstream out;
    rt->dump_tasks(out);
    dumped = out.str();
    auto again = [&restarted] { ++restarted; };
    rt->spawn({}, again).detach();
    (void)rt->stats();
    rt->trim();
    rt->get_scheduler();
  };
  rt.emplace(options);
  rt->spawn(throws_standard()).detach();
  rt->wait_idle();
  CHECK(restarted.load() == 1);
  CHECK(says(dumped, "live task"));
}
