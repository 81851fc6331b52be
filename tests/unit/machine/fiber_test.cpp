// SPDX-License-Identifier: BSL-1.0
// Proves the stack switch: where control goes, and that each side keeps what is its own - errno and
// the floating-point modes. Exceptions across a switch: fiber_exceptions_test.cpp.
#include "machine/fiber.hpp"

#include <cerrno>
#include <cfenv>
#include <cstdint>
#include <memory>
#include <vector>

#if defined(__x86_64__)
#include <immintrin.h>
#endif

#include "base/rng.hpp"
#include "support/catch.hpp"
#include "unit/machine/routine.hpp"

using namespace paceline::core;
using paceline_test::Routine;

namespace {

[[gnu::noinline]] std::uint64_t descend(Routine& self, int depth, std::uint64_t sum) {
  volatile std::uint64_t mine = sum * 31 + static_cast<unsigned>(depth);
  if (depth == 0) {
    self.leave();
    return mine;
  }
  const std::uint64_t below = descend(self, depth - 1, mine);
  return below ^ mine;
}

std::uint64_t expected_descent(int depth, std::uint64_t sum) {
  const std::uint64_t mine = sum * 31 + static_cast<unsigned>(depth);
  return depth == 0 ? mine : expected_descent(depth - 1, mine) ^ mine;
}

}  // namespace

TEST_CASE("a fiber runs when it is entered and goes on where it left") {
  std::string log;
  Routine routine([&](Routine& self) {
    log += "1";
    self.leave();
    log += "2";
    self.leave();
    log += "3";
  });
  REQUIRE(log.empty());
  REQUIRE_FALSE(routine.finished());
  routine.enter();
  log += "a";
  routine.enter();
  log += "b";
  REQUIRE_FALSE(routine.finished());
  routine.enter();
  REQUIRE(log == "1a2b3");
  REQUIRE(routine.finished());
}

TEST_CASE("locals of both sides survive ten thousand switches") {
  std::uint64_t inside = 0;
  Routine routine([&](Routine& self) {
    std::uint64_t mine = 1;
    for (int i = 0; i < 10'000; ++i) {
      mine = mine * 6364136223846793005ull + 1;
      self.leave();
    }
    inside = mine;
  });
  std::uint64_t outside = 1;
  for (int i = 0; i < 10'000; ++i) {
    routine.enter();
    outside = outside * 6364136223846793005ull + 1;
  }
  routine.enter();
  REQUIRE(routine.finished());
  REQUIRE(inside == outside);
}

TEST_CASE("a fiber may leave from deep inside its calls and come back there") {
  std::uint64_t result = 0;
  Routine routine([&](Routine& self) { result = descend(self, 200, 7); });
  routine.enter();
  REQUIRE(result == 0);
  routine.enter();
  REQUIRE(result == expected_descent(200, 7));
  REQUIRE(routine.finished());
}

TEST_CASE("the stack is the leased one and it is aligned for calls") {
  std::uintptr_t inside = 0;
  std::uintptr_t aligned = 1;
  Routine routine([&](Routine&) {
    alignas(16) volatile char local[16] = {};
    local[0] = 1;
    inside = reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
    aligned = reinterpret_cast<std::uintptr_t>(&local[0]) % 16;
  });
  routine.enter();
  REQUIRE(inside > reinterpret_cast<std::uintptr_t>(routine.bottom()));
  REQUIRE(inside < reinterpret_cast<std::uintptr_t>(routine.top()));
  REQUIRE(aligned == 0);
}

TEST_CASE("many fibers entered in random order do not mix") {
  constexpr std::size_t kFibers = 100;
  std::vector<std::unique_ptr<Routine>> routines;
  std::vector<int> counted(kFibers, 0);
  for (std::size_t i = 0; i < kFibers; ++i) {
    routines.push_back(std::make_unique<Routine>([&counted, i](Routine& self) {
      for (int n = 1; n <= 50; ++n) {
        counted[i] = n;
        self.leave();
      }
    }));
  }
  Rng rng(3);
  std::vector<int> entered(kFibers, 0);
  for (int step = 0; step < 3'000; ++step) {
    const std::size_t i = rng.below(kFibers);
    if (entered[i] == 50) continue;
    routines[i]->enter();
    REQUIRE(counted[i] == ++entered[i]);
  }
  for (std::size_t i = 0; i < kFibers; ++i) {
    while (!routines[i]->finished()) routines[i]->enter();
    REQUIRE(counted[i] == 50);
  }
}

TEST_CASE("a fiber that was never entered can be destroyed") {
  bool ran = false;
  {
    Routine routine([&](Routine&) { ran = true; });
  }
  REQUIRE_FALSE(ran);
}

TEST_CASE("errno belongs to the side that set it") {
  int inside_first = -1;
  int inside_later = -1;
  Routine routine([&](Routine& self) {
    inside_first = errno;
    errno = ENOENT;
    self.leave();
    inside_later = errno;
    errno = EINTR;
  });
  errno = EAGAIN;
  routine.enter();
  REQUIRE(errno == EAGAIN);
  errno = EPERM;
  routine.enter();
  REQUIRE(errno == EPERM);
  REQUIRE(inside_first == EAGAIN);  // a fresh fiber starts with what its enterer had
  REQUIRE(inside_later == ENOENT);
}

#if defined(__x86_64__)

TEST_CASE("the rounding mode belongs to the side that set it") {
  const auto third = [] {
    volatile double one = 1;
    volatile double three = 3;
    return one / three;
  };
  const double nearest = third();
  double upward = 0;
  int inside_mode = -1;
  unsigned inside_csr = 0;
  Routine routine([&](Routine& self) {
    std::fesetround(FE_UPWARD);
    const unsigned csr = _mm_getcsr();
    self.leave();
    inside_mode = std::fegetround();
    inside_csr = _mm_getcsr() ^ csr;
    upward = third();
    std::fesetround(FE_TONEAREST);
  });
  routine.enter();
  REQUIRE(std::fegetround() == FE_TONEAREST);
  REQUIRE(third() == nearest);
  std::fesetround(FE_DOWNWARD);
  routine.enter();
  const int outside_mode = std::fegetround();
  std::fesetround(FE_TONEAREST);
  REQUIRE(outside_mode == FE_DOWNWARD);
  REQUIRE(inside_mode == FE_UPWARD);
  REQUIRE((inside_csr & _MM_ROUND_MASK) == 0);  // SSE's mode as well as the x87's
  REQUIRE(upward > nearest);
}

TEST_CASE("a mode that flushes denormals stays on its side") {
  Routine routine([&](Routine& self) {
    _mm_setcsr(_mm_getcsr() | _MM_FLUSH_ZERO_ON);
    self.leave();
    _mm_setcsr(_mm_getcsr() & ~static_cast<unsigned>(_MM_FLUSH_ZERO_MASK));
  });
  const auto flushes = [] { return (_mm_getcsr() & _MM_FLUSH_ZERO_MASK) != 0; };
  REQUIRE_FALSE(flushes());
  routine.enter();
  REQUIRE_FALSE(flushes());
  routine.enter();
  REQUIRE_FALSE(flushes());
}

#endif
