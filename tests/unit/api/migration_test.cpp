// SPDX-License-Identifier: BSL-1.0
// Tasks that change their thread find the right worker and runtime every time (failure L6), and
// user code that runs inside the runtime may call back into it (failure L24). Built with -O2, where
// compilers like to keep thread-local addresses.
#include "fixtures.hpp"

#include <cerrno>
#include <optional>
#include <sstream>
#include <thread>

#include "foreign.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

/// The thread this code runs on, read anew on every call.
[[gnu::noinline]] std::thread::id thread_now() {
  asm volatile("" ::: "memory");
  return std::this_thread::get_id();
}

std::vector<std::thread::id> threads_of(runtime& rt) {
  std::vector<std::thread::id> threads;
  for (std::size_t i = 0; i < rt.workers(); ++i) {
    threads.push_back(rt.spawn({.core = i}, thread_now).join());
  }
  return threads;
}

}  // namespace

TEST_CASE("a stolen task asks the worker it is on, not the one it came from") {
  runtime rt(workers(4));
  const std::vector<std::thread::id> threads = threads_of(rt);
  constexpr int kPolls = kSanitized ? 200 : 2'000;
  std::atomic<long> moved{0};
  auto body = [&](int seed) -> task<int> {
    int wrong = 0;
    std::size_t last = this_task::worker();
    for (int i = 0; i < kPolls; ++i) {
      // Two looks within one poll, one before and one after a spawn and an awaited child.
      wrong += threads[this_task::worker()] == thread_now() ? 0 : 1;
      auto child = []() -> task<std::size_t> { co_return this_task::worker(); };
      wrong += co_await child() == this_task::worker() ? 0 : 1;
      if ((i + seed) % 50 == 0) spawn(forty_two()).detach();
      if ((i + seed) % 20 == 0) {
        co_await sleep_for(std::chrono::microseconds(1));
      } else {
        co_await yield();
      }
      if (this_task::worker() != last) ++moved;
      last = this_task::worker();
      if ((i + seed) % 97 == 0) std::this_thread::yield();
    }
    co_return wrong;
  };
  eventually("a hundred polls were on another worker than the one before", [&] {
    int wrong = 0;
    std::vector<join_handle<int>> handles;
    for (int i = 0; i < 32; ++i) handles.push_back(rt.spawn({}, body, i));
    for (auto& handle : handles) wrong += handle.join();
    CHECK(wrong == 0);
    return moved >= 100;
  });
}

TEST_CASE("a task that is moved at every step spawns where it is, not where it was") {
  runtime a(one_worker());
  runtime b(one_worker());
  const std::thread::id thread_a = threads_of(a)[0];
  const std::thread::id thread_b = threads_of(b)[0];
  const std::uint64_t a_before = a.stats().total.spawned;
  const std::uint64_t b_before = b.stats().total.spawned;
  constexpr int kTrips = kSanitized ? 200 : 2'000;
  auto body = [&](scheduler to_a, scheduler to_b) -> task<int> {
    int wrong = 0;
    for (int i = 0; i < kTrips; ++i) {
      wrong += thread_now() == thread_a ? 0 : 1;
      co_await resume_on(to_b);
      wrong += thread_now() == thread_b ? 0 : 1;
      spawn({}, [] {}).detach();
      co_await resume_on(to_a);
      wrong += thread_now() == thread_a ? 0 : 1;
    }
    co_return wrong;
  };
  CHECK(a.spawn({}, body, a.get_scheduler(), b.get_scheduler()).join() == 0);
  a.wait_idle();
  b.wait_idle();
  // Every spawn went to b; each trip counts once in either direction.
  CHECK(b.stats().total.spawned - b_before == 2u * kTrips);
  CHECK(a.stats().total.spawned - a_before == 1u + kTrips);
}

TEST_CASE("errno of a worker is its thread's own: runtime calls keep it") {
  runtime rt(one_worker());
  const int kept = rt.spawn({}, [] {
                       errno = 4711;
                       spawn(forty_two()).detach();
                       this_task::waker().wake();
                       return errno;
                     }).join();
  CHECK(kept == 4711);
}

TEST_CASE("an exception handled on one worker leaves no trace in the next") {
  runtime rt(workers(2));
  auto body = []() -> task<int> {
    int caught = 0;
    for (int i = 0; i < 100; ++i) {
      try {
        co_await yield();
        throw i;
      } catch (int value) {
        caught += value == i ? 1 : 0;
      }
      if (std::uncaught_exceptions() != 0 || std::current_exception() != nullptr) co_return -1;
      co_await sleep_for(std::chrono::microseconds(1));
    }
    co_return caught;
  };
  std::vector<join_handle<int>> handles;
  for (int i = 0; i < 20; ++i) handles.push_back(rt.spawn(body()));
  for (auto& handle : handles) CHECK(handle.join() == 100);
}

namespace {

/// A destructor that uses the whole API from wherever it runs.
class Meddler {
 public:
  Meddler(runtime& rt, std::atomic<int>& done) : rt_(&rt), done_(&done) {}
  Meddler(Meddler&& other) noexcept : rt_(std::exchange(other.rt_, nullptr)), done_(other.done_) {}
  Meddler& operator=(Meddler&&) = delete;
  ~Meddler() {
    if (rt_ == nullptr) return;
    std::ostringstream out;
    rt_->dump_tasks(out);
    (void)rt_->stats();
    rt_->trim();
    try {
      auto count = [done = done_] { ++*done; };
      join_handle<> child = rt_->spawn({.name = "spawned by a destructor"}, count);
      child.request_stop();
    } catch (const runtime_stopped&) {
      ++*done_;
    }
  }

 private:
  runtime* rt_;
  std::atomic<int>* done_;
};

}  // namespace

TEST_CASE("destructors of locals, arguments, results and functions may use the runtime") {
  std::atomic<int> done{0};
  runtime rt(workers(2));
  auto with_argument = [](Meddler) -> task<> { co_await yield(); };
  auto with_local = [&]() -> task<> {
    const Meddler local(rt, done);
    co_await yield();
  };
  auto with_result = [&]() -> task<Meddler> { co_return Meddler(rt, done); };
  rt.spawn(with_argument(Meddler(rt, done))).join();
  rt.spawn(with_argument(Meddler(rt, done))).detach();
  rt.spawn(with_local()).detach();
  rt.spawn(with_result()).detach();
  {
    const Meddler taken = rt.block_on(with_result());
  }
  auto owner = [meddler = Meddler(rt, done)] { (void)meddler; };
  rt.spawn({}, std::move(owner)).detach();
  {
    const task<> never = with_argument(Meddler(rt, done));
  }
  rt.wait_idle();
  CHECK(done.load() == 7);
}

TEST_CASE("destructors may use the runtime while it stops") {
  std::atomic<int> done{0};
  constexpr int kTasks = 50;
  {
    runtime rt(workers(2));
    std::atomic<int> waiting{0};
    auto body = [&](Meddler) -> task<> {
      const Meddler local(rt, done);
      ++waiting;
      co_await sleep_for(std::chrono::hours(1));
    };
    for (int i = 0; i < kTasks; ++i) rt.spawn({}, body, Meddler(rt, done)).detach();
    eventually("all wait", [&] { return waiting == kTasks; });
  }
  CHECK(done.load() == 2 * kTasks);
}

TEST_CASE("stop callbacks may use the runtime, whoever requests the stop") {
  std::atomic<int> called{0};
  std::optional<runtime> rt(std::in_place, workers(2));
  std::stop_source source;
  std::atomic<int> waiting{0};
  auto body = [&]() -> task<> {
    auto meddle = [&] {
      std::ostringstream out;
      rt->dump_tasks(out);
      (void)rt->stats();
      rt->request_stop();
      ++called;
    };
    const std::stop_callback callback(this_task::stop_token(), meddle);
    ++waiting;
    co_await sleep_for(std::chrono::hours(1));
  };
  rt->spawn({.stop_token = source.get_token()}, body).detach();
  rt->spawn({}, body).detach();
  rt->spawn({}, body).detach();
  eventually("all wait", [&] { return waiting == 3; });
  for (std::size_t worker = 0; worker < 2; ++worker) {  // the last poll of each is over
    rt->spawn({.core = worker}, [] {}).join();
  }
  source.request_stop();
  rt->wait_idle();
  CHECK(called.load() == 3);
}

TEST_CASE("a predicate and an arm function may wake and spawn") {
  runtime rt(workers(2));
  const int looked = rt.block_on([](runtime& self) -> task<int> {
    int looks = 0;
    waker mine;
    co_await suspend_until(
        [&]() noexcept {
          mine.wake();  // its own: the task looks again
          return ++looks > 5;
        },
        [&](waker given) {
          mine = given;
          self.spawn(forty_two()).detach();
          given.wake();
        });
    co_return looks;
  }(rt));
  CHECK(looked == 6);
}
