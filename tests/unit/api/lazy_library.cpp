// SPDX-License-Identifier: BSL-1.0
// A library that is loaded, called for the first time and unloaded again, by
// async_library_test.cpp. Linked with lazy binding, so that each first call goes through the
// dynamic linker.
#include <cstdint>

#define PACELINE_EACH(step) step(0) step(1) step(2) step(3) step(4) step(5) step(6) step(7)

// Visible and not inlined: called through the linkage table, also from within.
#define PACELINE_STEP(n)                                                                           \
  extern "C"                                                                                       \
      [[gnu::visibility("default"), gnu::noinline]] std::uint64_t lazy_step_##n(std::uint64_t x) { \
    asm volatile("" : "+r"(x));                                                                    \
    return x + n;                                                                                  \
  }
PACELINE_EACH(PACELINE_STEP)

namespace {
// Its memory is allocated when a thread first touches it.
thread_local std::uint64_t touched[64];
}  // namespace

extern "C" [[gnu::visibility("default")]] std::uint64_t lazy_walk(std::uint64_t x) {
#define PACELINE_CALL(n) x = lazy_step_##n(x);
  PACELINE_EACH(PACELINE_CALL)
  touched[x % 64] += 1;
  return x;
}
