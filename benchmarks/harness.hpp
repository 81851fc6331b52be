// SPDX-License-Identifier: BSL-1.0
// pacebench: a case is a function that does a fixed amount of work and says how long it took and
// what it computed. The harness repeats it and reports median, MAD, min and max.
//
// What it answers: how much one operation costs on this machine now, and, from one run, the ratio
// of two cases. What it does not: absolute speed on another machine or day.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <ctime>
#include <functional>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

namespace pacebench {

struct Settings {
  std::size_t workers = 2;
  std::uint64_t n = 0;  // size of the case; 0: its default
};

/// One repeat. `work_hash` depends on the work alone, so equal settings give equal hashes.
struct Sample {
  double value;  // in the case's unit
  std::uint64_t work_hash;
  std::map<std::string, double> also = {};  // further figures in that unit, by name
};

/// A prepared case: `once` is repeated, the rest is set-up that is not measured.
struct Prepared {
  std::function<Sample()> once;
  std::map<std::string, std::string> params;
};

struct Case {
  std::string name;  // area/case
  std::string unit;
  std::string what;  // one line: which question it answers
  std::function<Prepared(const Settings&)> prepare;
};

/// The registry. A case registers itself from its file.
std::vector<Case>& cases();

struct Register {
  explicit Register(Case c) { cases().push_back(std::move(c)); }
};

/// A failed check is a failed run.
inline void require(bool holds, const std::string& what) {
  if (!holds) throw std::runtime_error(what);
}

class Stopwatch {
 public:
  double ns() const {
    return std::chrono::duration<double, std::nano>(std::chrono::steady_clock::now() - start_)
        .count();
  }

 private:
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
};

/// The middle of several figures, or the mean of the two in the middle. Not of none.
inline double median_of(std::vector<double> values) {
  std::sort(values.begin(), values.end());
  const std::size_t half = values.size() / 2;
  return values.size() % 2 == 1 ? values[half] : (values[half - 1] + values[half]) / 2;
}

/// A moment in ticks that mean nothing but their ratios: the cycle counter where there is one, as a
/// look at it costs less than what is measured by it.
inline std::uint64_t stamp() noexcept {
#if defined(__x86_64__)
  return __builtin_ia32_rdtsc();
#else
  return static_cast<std::uint64_t>(std::chrono::steady_clock::now().time_since_epoch().count());
#endif
}

/// CPU time of all threads of the process so far.
inline double cpu_ns() noexcept {
  timespec time{};
  ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
  return 1e9 * static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec);
}

/// Mixes a number into a work hash (FNV-1a, 64 bits).
inline std::uint64_t mix(std::uint64_t hash, std::uint64_t value) {
  for (int i = 0; i < 8; ++i) {
    hash = (hash ^ (value & 0xff)) * 0x100000001b3ull;
    value >>= 8;
  }
  return hash;
}
inline constexpr std::uint64_t kHashStart = 0xcbf29ce484222325ull;

}  // namespace pacebench
