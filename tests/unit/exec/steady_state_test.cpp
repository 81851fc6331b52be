// SPDX-License-Identifier: BSL-1.0
// Proves that polling allocates nothing in steady state (statement 13): tasks that yield, sleep,
// wake each other, await nested tasks, spawn and join. Counted are every operator new and delete of
// the process and every mapping the runtime makes (its slabs and slots come from there).
//
// A program of its own, because it replaces the global operators and wraps mmap when linked.
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <new>
#include <vector>

#include <sys/mman.h>

#include <paceline/paceline.hpp>

#include "machine/sanitizer.hpp"
#include "support/catch.hpp"

namespace {

std::atomic<std::size_t> allocations{0};
std::atomic<std::size_t> mappings{0};

void* counted(std::size_t bytes, std::size_t alignment) noexcept {
  allocations.fetch_add(1, std::memory_order_relaxed);
  if (alignment <= alignof(std::max_align_t)) return std::malloc(bytes == 0 ? 1 : bytes);
  return std::aligned_alloc(alignment, (bytes + alignment - 1) / alignment * alignment);
}
void* counted_or_throw(std::size_t bytes, std::size_t alignment) {
  if (void* memory = counted(bytes, alignment)) return memory;
  throw std::bad_alloc();
}

}  // namespace

// With 64-bit file offsets the name is mmap64; both are wrapped.
extern "C" {
void* __real_mmap(void*, std::size_t, int, int, int, off_t);
void* __real_mmap64(void*, std::size_t, int, int, int, off_t);
void* __wrap_mmap(void* where, std::size_t bytes, int protection, int flags, int file,
                  off_t offset) {
  mappings.fetch_add(1, std::memory_order_relaxed);
  return __real_mmap(where, bytes, protection, flags, file, offset);
}
void* __wrap_mmap64(void* where, std::size_t bytes, int protection, int flags, int file,
                    off_t offset) {
  mappings.fetch_add(1, std::memory_order_relaxed);
  return __real_mmap64(where, bytes, protection, flags, file, offset);
}
}

void* operator new(std::size_t bytes) { return counted_or_throw(bytes, 1); }
void* operator new[](std::size_t bytes) { return counted_or_throw(bytes, 1); }
void* operator new(std::size_t bytes, std::align_val_t a) {
  return counted_or_throw(bytes, static_cast<std::size_t>(a));
}
void* operator new[](std::size_t bytes, std::align_val_t a) {
  return counted_or_throw(bytes, static_cast<std::size_t>(a));
}
void* operator new(std::size_t bytes, const std::nothrow_t&) noexcept { return counted(bytes, 1); }
void* operator new[](std::size_t bytes, const std::nothrow_t&) noexcept {
  return counted(bytes, 1);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete[](void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::align_val_t) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }
void operator delete[](void* memory, std::size_t, std::align_val_t) noexcept { std::free(memory); }

namespace {

using namespace std::chrono_literals;
using paceline::task;

/// The address sanitizer gets every frame from operator new, by design (frame_heap.cpp).
constexpr bool kFramesAreAllocations = paceline::core::machine::sanitizer::kAddress;

struct Counted {
  std::size_t allocations;
  std::size_t mappings;
};
Counted count() { return {allocations.load(), mappings.load()}; }

/// What the best of some goes allocated. A worker that helps for the first time, or gets another
/// thread, warms up later than the others; what polls themselves allocate shows in every go.
class Best {
 public:
  bool wants_another_go() const { return left_ > 0 && (best_.allocations | best_.mappings) != 0; }
  void begin() {
    --left_;
    before_ = count();
  }
  void end() {
    const Counted after = count();
    best_ = {after.allocations - before_.allocations, after.mappings - before_.mappings};
  }
  Counted spent() const { return best_; }

  static constexpr int kGoes = 10;

 private:
  int left_ = kGoes;
  Counted before_{};
  Counted best_{1, 1};
};

/// Runs `round` until the memory is warm, then `times` more, on `workers` workers; what the later
/// ones allocated. Everything happens inside one task: the test's own thread only waits.
template <class Round>
Counted steady(std::size_t workers, int times, Round round) {
  paceline::runtime_options options;
  options.workers = workers;
  paceline::runtime rt(options);
  Best best;
  const auto drive = [&]() -> task<> {
    while (best.wants_another_go()) {
      for (int i = 0; i < 20; ++i) co_await round();
      best.begin();
      for (int i = 0; i < times; ++i) co_await round();
      best.end();
    }
  };
  rt.block_on(drive());
  return best.spent();
}

/// Tasks that live as long as the driver and do one thing again and again when told to.
constexpr std::size_t kTasks = 100;

}  // namespace

TEST_CASE("the counters of this program see what they should") {
  const Counted before = count();
  const auto block = std::make_unique<int>(7);
  REQUIRE(count().allocations == before.allocations + 1);
  void* page = ::mmap(nullptr, 4096, PROT_READ, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  REQUIRE(count().mappings == before.mappings + 1);
  ::munmap(page, 4096);
  // The runtime's own mappings go through the same name.
  paceline::runtime_options options;
  options.workers = 1;
  paceline::runtime rt(options);
  REQUIRE(count().mappings > before.mappings + 1);
}

TEST_CASE("tasks that yield allocate nothing") {
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}}) {
    paceline::runtime_options options;
    options.workers = workers;
    paceline::runtime rt(options);
    Best best;
    std::atomic<bool> done{false};
    std::atomic<std::uint64_t> polls{0};
    const auto yielder = [&]() -> task<> {
      while (!done.load()) {
        polls.fetch_add(1, std::memory_order_relaxed);
        co_await paceline::yield();
      }
    };
    const auto drive = [&]() -> task<> {
      std::vector<paceline::join_handle<>> tasks;
      for (std::size_t i = 0; i < kTasks; ++i) tasks.push_back(paceline::spawn(yielder()));
      while (polls.load() < 10 * kTasks) co_await paceline::yield();
      while (best.wants_another_go()) {
        polls = 0;
        best.begin();
        while (polls.load() < 2'000 * kTasks) co_await paceline::yield();
        best.end();
      }
      done = true;
      for (auto& each : tasks) co_await std::move(each);
    };
    rt.block_on(drive());
    REQUIRE(best.spent().allocations == 0);
    REQUIRE(best.spent().mappings == 0);
  }
}

TEST_CASE("tasks that sleep allocate nothing") {
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}}) {
    const Counted spent = steady(workers, 50, [] { return paceline::sleep_for(20us); });
    REQUIRE(spent.allocations == 0);
    REQUIRE(spent.mappings == 0);
  }
}

TEST_CASE("tasks that wake each other through wakers allocate nothing") {
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}}) {
    paceline::runtime_options options;
    options.workers = workers;
    paceline::runtime rt(options);
    Best best;
    // Two tasks and a ball: each waits until the ball is on its side.
    std::atomic<int> side{0};
    struct Seat {
      paceline::waker waker;  // of a task that never moves: written once, before `known`
      std::atomic<bool> known{false};
    };
    std::array<Seat, 2> seats;
    constexpr int kWarm = 100;
    constexpr int kRounds = 2'000;
    const auto play = [&](int mine) -> task<> {
      for (int i = 0; i < kWarm + Best::kGoes * kRounds; ++i) {
        if (mine == 0 && i >= kWarm && (i - kWarm) % kRounds == 0) {
          if (i != kWarm && best.wants_another_go()) best.end();
          if (best.wants_another_go()) best.begin();
        }
        auto turn =
            paceline::suspend_until([&side, mine]() noexcept { return side.load() == mine; },
                                    [&seats, &side, mine](paceline::waker self) {
                                      Seat& seat = seats[static_cast<std::size_t>(mine)];
                                      if (!seat.known.load()) seat.waker = self;
                                      seat.known.store(true);
                                      if (side.load() == mine) self.wake();
                                    });
        co_await std::move(turn);
        side.store(1 - mine);
        Seat& other = seats[static_cast<std::size_t>(1 - mine)];
        if (other.known.load()) other.waker.wake();
      }
    };
    const auto drive = [&]() -> task<> {
      auto first = paceline::spawn(play(0));
      auto second = paceline::spawn(play(1));
      co_await std::move(first);
      co_await std::move(second);
    };
    rt.block_on(drive());
    REQUIRE(best.spent().allocations == 0);
    REQUIRE(best.spent().mappings == 0);
  }
}

TEST_CASE("nested tasks take their frames from the slab") {
  if (kFramesAreAllocations) return;
  struct Nest {
    static task<int> leaf(int n) {
      co_await paceline::yield();
      co_return n;
    }
    static task<int> branch(int depth) {
      if (depth == 0) co_return co_await leaf(1);
      const int left = co_await branch(depth - 1);
      const int right = co_await branch(depth - 1);
      co_return left + right;
    }
    static task<> round() {
      const int leaves = co_await branch(5);
      if (leaves != 32) std::abort();
    }
  };
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}}) {
    const Counted spent = steady(workers, 200, &Nest::round);
    REQUIRE(spent.allocations == 0);
    REQUIRE(spent.mappings == 0);
  }
}

TEST_CASE("spawning and joining tasks allocates nothing once the slabs are warm") {
  if (kFramesAreAllocations) return;
  struct Batch {
    static task<int> child(int n) {
      co_await paceline::yield();
      co_return n;
    }
    static task<> round() {
      std::array<paceline::join_handle<int>, 50> children;
      for (int i = 0; i < 50; ++i) {
        children[static_cast<std::size_t>(i)] = paceline::spawn(child(i));
      }
      int sum = 0;
      for (auto& each : children) sum += co_await std::move(each);
      if (sum != 49 * 50 / 2) std::abort();
    }
  };
  for (const std::size_t workers : {std::size_t{1}, std::size_t{2}}) {
    const Counted spent = steady(workers, 500, &Batch::round);
    REQUIRE(spent.allocations == 0);
    REQUIRE(spent.mappings == 0);
  }
}
