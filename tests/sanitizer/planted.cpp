// SPDX-License-Identifier: BSL-1.0
// Mistakes planted inside tasks, each of which a sanitizer must report although tasks run on stacks
// and in frames of our own (failure L30); and a clean run, in which there is nothing to report.
//   planted MISTAKE
// Run by expect_report.py, which knows what the sanitizer has to say.
#include <atomic>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include <paceline/paceline.hpp>

using namespace paceline;

namespace {

runtime_options two_workers() {
  runtime_options options;
  options.workers = 2;
  options.preemption = preemption_mode::off;  // what spins here keeps its thread
  return options;
}

/// Written and read where a sanitizer can see it and the compiler must not think ahead.
long shared_number = 0;
[[gnu::noinline]] void add_to(long& number) {
  asm volatile("" ::: "memory");
  ++number;
}
[[gnu::noinline]] int read_from(const int* place) {
  asm volatile("" ::: "memory");
  return *place;
}

// --- mistakes ---

/// Two tasks on two workers write one number. They know of each other by relaxed words only, so
/// nothing orders the writes.
void data_race() {
  runtime rt(two_workers());
  std::atomic<int> there{0};
  auto writer = [&there]() -> task<> {
    co_await yield();
    there.fetch_add(1, std::memory_order_relaxed);
    while (there.load(std::memory_order_relaxed) < 2) std::this_thread::yield();
    for (int i = 0; i < 1'000; ++i) add_to(shared_number);
  };
  join_handle<> first = rt.spawn({.core = 0}, writer);
  join_handle<> second = rt.spawn({.core = 1}, writer);
  first.join();
  second.join();
}

/// A task waits for its sibling's flag with a relaxed load, then reads what the sibling wrote: on
/// this machine it reads the right value, and it is wrong.
void unordered_hand_over() {
  runtime rt(two_workers());
  std::atomic<bool> written{false};
  auto reader = [&written]() -> task<long> {
    while (!written.load(std::memory_order_relaxed)) std::this_thread::yield();
    add_to(shared_number);
    co_return shared_number;
  };
  auto writer = [&written]() -> task<> {
    add_to(shared_number);
    written.store(true, std::memory_order_relaxed);
    co_return;
  };
  join_handle<long> first = rt.spawn({.core = 0}, reader);
  join_handle<> second = rt.spawn({.core = 1}, writer);
  (void)first.join();
  second.join();
}

/// A heap block is freed in one poll and read in the next.
void use_after_free() {
  runtime rt(two_workers());
  (void)rt.block_on([]() -> task<int> {
    auto number = std::make_unique<int>(42);
    const int* freed = number.get();
    co_await yield();
    number.reset();
    co_await yield();
    co_return read_from(freed);
  }());
}

/// A large frame, which comes from the heap, is used after its task has ended.
void frame_after_end() {
  runtime rt(two_workers());
  (void)rt.block_on([]() -> task<int> {
    const int* inside = nullptr;
    auto child = [](const int** address) -> task<> {
      int room[4'096] = {42};
      *address = room;
      co_await yield();
      room[4'095] = room[0];
    };
    co_await child(&inside);
    co_return read_from(inside);
  }());
}

/// A write behind a local array on the executor's stack, in a poll after a suspension.
[[gnu::noinline]] int write_behind(std::size_t length) {
  char local[32] = {};
  std::memset(local, 1, length);
  asm volatile("" ::: "memory");
  return local[0];
}
void stack_buffer_overflow() {
  runtime rt(two_workers());
  (void)rt.block_on([]() -> task<int> {
    co_await sleep_for(std::chrono::microseconds(1));
    co_return write_behind(33);
  }());
}

/// A recursion without end runs into the guard page below the executor's stack.
[[gnu::noinline]] int recurse(int depth) {
  volatile char room[256];
  room[0] = static_cast<char>(depth);
  return depth < 0 ? 0 : recurse(depth + 1) + room[0];
}
void stack_overflow() {
  runtime rt(two_workers());
  (void)rt.block_on([]() -> task<int> {
    co_await yield();
    co_return recurse(0);
  }());
}

/// A block nobody frees or can find any more.
void leak() {
  runtime rt(two_workers());
  rt.block_on([]() -> task<> {
    co_await yield();
    auto lost = std::make_unique<std::string>(1'000, 'x');
    asm volatile("" : : "r"(lost.release()) : "memory");
  }());
}

// --- no mistake ---

task<long> tree(int depth) {
  if (depth == 0) {
    co_await yield();
    co_return 1;
  }
  auto [left, right] = co_await when_all(tree(depth - 1), tree(depth - 1));
  co_return left + right;
}

/// Plain numbers are handed on by spawn, join, wake, group, inbox and move, and every end of a
/// stack is reached: exceptions, deep calls, stops. Nothing of it is wrong.
void clean() {
  runtime rt(two_workers());
  runtime other(two_workers());
  long plain = 0;
  auto step = [&plain]() -> task<> {
    add_to(plain);
    co_await sleep_for(std::chrono::microseconds(5));
    add_to(plain);
  };
  for (int i = 0; i < 200; ++i) {
    rt.spawn({.core = static_cast<std::size_t>(i % 2)}, step).join();
    other.block_on(step());
  }
  std::atomic<bool> ready{false};
  auto waits = [&]() -> task<long> {
    co_await suspend_until([&]() noexcept { return ready.load(std::memory_order_acquire); },
                           [&](waker self) {
                             std::thread waking([&, self] {
                               add_to(plain);
                               ready.store(true, std::memory_order_release);
                               self.wake();
                             });
                             waking.join();
                           });
    co_return plain;
  };
  long seen = rt.spawn({}, waits).join();
  auto moves = [&](scheduler there, scheduler back) -> task<long> {
    for (int i = 0; i < 50; ++i) {
      co_await resume_on(there);
      add_to(plain);
      co_await resume_on(back);
      add_to(plain);
      try {
        throw i;
      } catch (int) {
      }
    }
    co_return plain;
  };
  seen = rt.spawn({}, moves, other.get_scheduler(), rt.get_scheduler()).join();
  const long leaves = rt.block_on(tree(10));
  std::vector<join_handle<>> sleepers;
  for (int i = 0; i < 100; ++i) {
    sleepers.push_back(rt.spawn([]() -> task<> { co_await sleep_for(std::chrono::hours(1)); }()));
  }
  for (auto& sleeper : sleepers) {
    sleeper.request_stop();
    try {
      sleeper.join();
      std::abort();
    } catch (const operation_cancelled&) {
    }
  }
  if (seen != 901 || plain != seen || leaves != 1024) std::abort();
}

struct Case {
  const char* name;
  void (*run)();
};
constexpr Case kCases[] = {
    {"clean", clean},
    {"data_race", data_race},
    {"frame_after_end", frame_after_end},
    {"leak", leak},
    {"stack_buffer_overflow", stack_buffer_overflow},
    {"stack_overflow", stack_overflow},
    {"unordered_hand_over", unordered_hand_over},
    {"use_after_free", use_after_free},
};

}  // namespace

int main(int argc, char** argv) {
  for (const Case& each : kCases) {
    if (argc != 2 || std::strcmp(argv[1], each.name) != 0) continue;
    each.run();
    std::puts("reached the end");
    return 0;
  }
  std::fputs("usage: planted MISTAKE\n", stderr);
  return 2;
}
