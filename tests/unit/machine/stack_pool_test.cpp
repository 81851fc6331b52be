// SPDX-License-Identifier: BSL-1.0
// Proves stacks: sizes, the guard below them, and the pool that gives them out again.
#include "machine/stack_pool.hpp"

#include <algorithm>
#include <cstdint>
#include <cstring>
#include <fstream>
#include <iterator>
#include <limits>
#include <new>
#include <set>
#include <vector>

#include <sys/mman.h>

#include "machine/machine.hpp"
#include "support/catch.hpp"
#include "support/sanitized.hpp"
#include "unit/base/child.hpp"
#include "unit/machine/routine.hpp"

using namespace paceline::core::machine;
using paceline_test::in_child;
using paceline_test::Routine;

namespace {

[[gnu::noinline]] int recurse(int depth) {
  volatile char frame[512];
  frame[0] = static_cast<char>(depth);
  return depth == 0 ? 0 : recurse(depth - 1) + frame[0];
}

}  // namespace

TEST_CASE("a stack has at least the size asked for, in whole pages") {
  const std::size_t page = page_size();
  for (const std::size_t bytes :
       {std::size_t{1}, std::size_t{100}, page - 1, page, page + 1, 3 * page + 7,
        std::size_t{16 * 1024}, std::size_t{256 * 1024}, std::size_t{1} << 30}) {
    const StackLease stack = lease_stack(bytes);
    REQUIRE(stack.bytes() >= bytes);
    REQUIRE(stack.bytes() < bytes + page);
    REQUIRE(stack.bytes() % page == 0);
    REQUIRE(reinterpret_cast<std::uintptr_t>(stack.bottom()) % page == 0);
    REQUIRE(static_cast<char*>(stack.top()) - static_cast<char*>(stack.bottom()) ==
            static_cast<std::ptrdiff_t>(stack.bytes()));
    // All of it can be written.
    static_cast<volatile char*>(stack.bottom())[0] = 1;
    static_cast<volatile char*>(stack.top())[-1] = 1;
  }
}

TEST_CASE("the page below a stack traps") {
  const StackLease stack = lease_stack(16 * 1024);
  for (const std::ptrdiff_t below : {std::ptrdiff_t{1}, static_cast<std::ptrdiff_t>(page_size())}) {
    const auto end = in_child([&] { static_cast<volatile char*>(stack.bottom())[-below] = 1; });
    REQUIRE(end.signal == SIGSEGV);
  }
}

TEST_CASE("a stack that comes out of the pool still traps below") {
  trim_stacks();
  {
    const StackLease first = lease_stack(48 * 1024);
  }
  const StackLease again = lease_stack(48 * 1024);
  const auto end = in_child([&] { static_cast<volatile char*>(again.bottom())[-1] = 1; });
  REQUIRE(end.signal == SIGSEGV);
}

TEST_CASE("a recursion without end in a fiber dies by a fault and not by corruption") {
  const auto end = in_child([] {
    Routine routine([](Routine&) { recurse(1'000'000); }, 64 * 1024);
    routine.enter();
  });
  REQUIRE(end.signal == SIGSEGV);
}

TEST_CASE("a recursion that fits does not trap") {
  int result = -1;
  Routine routine([&](Routine&) { result = recurse(20); }, 64 * 1024);
  routine.enter();
  REQUIRE(result != -1);
}

TEST_CASE("stacks are given out again by their size") {
  trim_stacks();
  void* small = nullptr;
  void* large = nullptr;
  {
    const StackLease a = lease_stack(16 * 1024);
    const StackLease b = lease_stack(64 * 1024);
    small = a.bottom();
    large = b.bottom();
  }
  // Rounded to pages first: these are the same sizes.
  const StackLease b = lease_stack(64 * 1024 - 3);
  const StackLease a = lease_stack(16 * 1024 - 4000);
  REQUIRE(a.bottom() == small);
  REQUIRE(b.bottom() == large);
  const StackLease c = lease_stack(16 * 1024);
  REQUIRE(c.bottom() != small);
  REQUIRE(trim_stacks() == 0);
}

TEST_CASE("stacks in use at the same time do not overlap") {
  std::vector<StackLease> stacks;
  for (int i = 0; i < 50; ++i) stacks.push_back(lease_stack(20'000));
  std::set<std::uintptr_t> bottoms;
  for (const StackLease& stack : stacks) {
    bottoms.insert(reinterpret_cast<std::uintptr_t>(stack.bottom()));
    std::memset(stack.bottom(), static_cast<int>(bottoms.size()), stack.bytes());
  }
  REQUIRE(bottoms.size() == stacks.size());
  for (auto at = bottoms.begin(); std::next(at) != bottoms.end(); ++at) {
    REQUIRE(*std::next(at) - *at >= stacks.front().bytes() + page_size());
  }
}

TEST_CASE("the pool keeps a bounded number of stacks and trim unmaps them all") {
  trim_stacks();
  {
    std::vector<StackLease> many;
    for (int i = 0; i < 200; ++i) many.push_back(lease_stack(16 * 1024));
  }
  const std::size_t kept = trim_stacks();
  REQUIRE(kept > 0);
  REQUIRE(kept <= 64);
  REQUIRE(trim_stacks() == 0);
}

TEST_CASE("a moved lease gives its stack back once") {
  trim_stacks();
  {
    StackLease a = lease_stack(16 * 1024);
    void* bottom = a.bottom();
    StackLease b(std::move(a));
    REQUIRE(b.bottom() == bottom);
    StackLease c;
    c = std::move(b);
    REQUIRE(c.bottom() == bottom);
    REQUIRE(trim_stacks() == 0);
  }
  REQUIRE(trim_stacks() == 1);
}

TEST_CASE("ten thousand stacks cost next to no mappings where guards are markers") {
  trim_stacks();
  const auto mappings = [] {
    std::ifstream maps("/proc/self/maps");
    return std::count(std::istreambuf_iterator<char>(maps), std::istreambuf_iterator<char>(), '\n');
  };
  constexpr std::ptrdiff_t kStacks = 10'000;
  const std::size_t page = page_size();
  void* one = map(page, page);
  constexpr int kGuardInstall = 102;
  const bool markers = ::madvise(one, page, kGuardInstall) == 0;
  unmap(one, page);
  const std::ptrdiff_t before = mappings();
  std::vector<StackLease> stacks;
  for (std::ptrdiff_t i = 0; i < kStacks; ++i) stacks.push_back(lease_stack(16 * 1024));
  const std::ptrdiff_t grown = mappings() - before;
  INFO(grown << " mappings for " << kStacks << " stacks; markers: " << markers);
  if (paceline_test::kThreadSanitizer) {
    SUCCEED("its own mappings grow with ours");
  } else if (markers) {
    CHECK(grown <= 100);
  } else {
    CHECK(grown <= 2 * kStacks + 100);
  }
  // The last one's guard is as good as the first one's.
  for (const StackLease* stack : {&stacks.front(), &stacks.back()}) {
    CHECK(in_child([&] { static_cast<volatile char*>(stack->bottom())[-1] = 1; }).signal ==
          SIGSEGV);
  }
  stacks.clear();
  trim_stacks();
  if (!paceline_test::kThreadSanitizer) CHECK(mappings() - before <= 100);
}

TEST_CASE("a frame of many pages does not step over the guard") {
  const StackLease stack = lease_stack(16 * 1024);
  const auto most = static_cast<std::ptrdiff_t>(stack_guard_bytes());
  CHECK(most >= 64 * 1024);
  CHECK(in_child([&] { static_cast<volatile char*>(stack.bottom())[-most] = 1; }).signal ==
        SIGSEGV);
}

TEST_CASE("a stack that the address space cannot hold is refused") {
  const std::size_t most = std::numeric_limits<std::size_t>::max();
  for (const std::size_t bytes : {most / 2, most - 2 * page_size(), most - page_size(), most}) {
    const auto end = in_child([&] {
      try {
        const StackLease stack = lease_stack(bytes);
        ::_exit(1);
      } catch (const std::bad_alloc&) {
        ::_exit(2);
      }
    });
    INFO(bytes << " bytes");
    REQUIRE(end.exit_code == 2);
  }
}

TEST_CASE("a stack of no bytes is harmless") {
  const auto end = in_child([] { const StackLease stack = lease_stack(0); });
  REQUIRE(end.signal == 0);
  REQUIRE(end.exit_code == 0);
}
