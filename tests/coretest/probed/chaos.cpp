// SPDX-License-Identifier: BSL-1.0
#include "chaos.hpp"

#include <array>
#include <atomic>
#include <cerrno>
#include <ctime>
#include <optional>
#include <thread>
#include <vector>

#include <sched.h>

#include "../clock.hpp"
#include "base/probe.hpp"

namespace coretest::chaos {

namespace {

using paceline::core::Site;

constexpr auto kSites = static_cast<std::size_t>(Site::count);

// rr's recipe: bursts from 1 ms, doubling up to 2 s, and at most a fifth of the time.
constexpr std::int64_t kFirstBurst = kMilli;
constexpr std::int64_t kLongestBurst = 2 * kSecond;
constexpr std::int64_t kPausePerBurst = 4;
// Threads share this many numbers; a staller's victim is one of them.
constexpr std::uint64_t kVictims = 8;

// What begin() decides; written before the first probe is armed.
std::uint64_t seed_of_run = 0;
unsigned longest_nap_log2 = 0;  // in microseconds
std::array<std::atomic<unsigned>, kSites> permille{};

std::atomic<std::uint64_t> threads_seen{0};
std::atomic<std::uint64_t> run_number{0};
std::atomic<std::uint64_t> happened{0};
std::atomic<unsigned> whim_permille{0};
std::atomic<std::uint64_t> demotions{0};

// The staller's word to its victim.
std::atomic<std::int64_t> stall_until{0};
std::atomic<std::uint64_t> stall_victim{0};
std::atomic<std::int64_t> longest_stall{0};

std::atomic<bool> stopping{false};
std::vector<std::thread> helpers;

struct Mine {
  std::uint64_t run = 0;
  std::uint64_t ordinal = 0;
  Rng rng{0};
};

/// The calling thread's number and generator; fresh for each run.
Mine& mine() noexcept {
  static thread_local constinit Mine record;
  const std::uint64_t run = run_number.load(std::memory_order_relaxed);
  if (record.run != run) {
    record.run = run;
    record.ordinal = threads_seen.fetch_add(1, std::memory_order_relaxed);
    record.rng = Rng(split(seed_of_run, 1000 + record.ordinal));
  }
  return record;
}

void sleep_ns(std::int64_t ns) noexcept {
  const timespec time{static_cast<time_t>(ns / kSecond), static_cast<long>(ns % kSecond)};
  ::nanosleep(&time, nullptr);
}

/// Sleeps in steps, so that end() need not wait long.
void pause(std::int64_t ns) noexcept {
  const std::int64_t until = now_ns() + ns;
  while (!stopping.load(std::memory_order_relaxed) && now_ns() < until) {
    sleep_ns(std::min(20 * kMilli, ns));
  }
}

void stall(Rng rng) noexcept {
  std::int64_t burst = kFirstBurst;
  while (!stopping.load(std::memory_order_relaxed)) {
    stall_victim.store(rng.below(kVictims), std::memory_order_relaxed);
    if (burst > longest_stall.load(std::memory_order_relaxed)) {
      longest_stall.store(burst, std::memory_order_relaxed);
    }
    stall_until.store(now_ns() + burst, std::memory_order_relaxed);
    pause(burst * (1 + kPausePerBurst));
    burst = burst >= kLongestBurst ? kFirstBurst : burst * 2;
  }
}

void hog(Rng rng) noexcept {
  while (!stopping.load(std::memory_order_relaxed)) {
    busy_for(kMilli + static_cast<std::int64_t>(rng.below(60)) * kMilli);
    sleep_ns(static_cast<std::int64_t>(rng.below(30)) * kMilli);
  }
}

}  // namespace

void begin(Chaos level, std::uint64_t seed) {
  if (level == Chaos::off) return;
  seed_of_run = split(seed, 1);
  Rng rng(split(seed, 2));
  const bool heavy = level == Chaos::heavy;
  longest_nap_log2 = heavy ? 11 : 8;  // 2 ms, 256 us
  for (auto& site : permille) {
    // Activation and rate are chosen apart (FoundationDB), so that a seed may leave one window open
    // and another shut; at least one is always active.
    const bool active = rng.below(4) != 0;
    site.store(active ? 10 + static_cast<unsigned>(rng.below(heavy ? 91 : 21)) : 0,
               std::memory_order_relaxed);
  }
  permille[rng.below(kSites)].store(heavy ? 100 : 30, std::memory_order_relaxed);
  stopping.store(false, std::memory_order_relaxed);
  longest_stall.store(0, std::memory_order_relaxed);
  run_number.fetch_add(1, std::memory_order_relaxed);
  // Of the polls that are asked, and of the safepoints that give way then.
  whim_permille.store(heavy ? 100 + static_cast<unsigned>(Rng(split(seed, 7)).below(401)) : 0,
                      std::memory_order_relaxed);
  if (heavy) {
    helpers.emplace_back(stall, Rng(split(seed, 3)));
    const std::uint64_t hogs = rng.below(3);
    for (std::uint64_t i = 0; i < hogs; ++i) helpers.emplace_back(hog, Rng(split(seed, 4 + i)));
  }
  paceline::core::probed::chaos_on.store(true, std::memory_order_release);
}

void end() noexcept {
  paceline::core::probed::chaos_on.store(false, std::memory_order_release);
  stopping.store(true, std::memory_order_relaxed);
  stall_until.store(0, std::memory_order_relaxed);
  for (std::thread& helper : helpers) helper.join();
  helpers.clear();
}

std::int64_t allowance_ns() noexcept {
  if (run_number.load(std::memory_order_relaxed) == 0) return 0;
  // Some ten naps on the way of one item, and two stalls: of who hands over and of who takes.
  const std::int64_t nap = kMicro << longest_nap_log2;
  return 50 * nap + 2 * longest_stall.load(std::memory_order_relaxed) + 100 * kMilli;
}

std::uint64_t disturbances() noexcept { return happened.load(std::memory_order_relaxed); }
std::uint64_t forced_demotions() noexcept { return demotions.load(std::memory_order_relaxed); }

}  // namespace coretest::chaos

namespace paceline::core::probed {

constinit std::atomic<bool> chaos_on{false};

void disturb(Site site) noexcept {
  using namespace coretest;
  using namespace coretest::chaos;
  const int saved = errno;
  Mine& me = mine();
  const std::int64_t until = stall_until.load(std::memory_order_relaxed);
  if (until != 0 && stall_victim.load(std::memory_order_relaxed) == me.ordinal % kVictims) {
    for (std::int64_t rest = until - now_ns();
         rest > 0 && !stopping.load(std::memory_order_relaxed); rest = until - now_ns()) {
      sleep_ns(std::min(rest, 20 * kMilli));
    }
  }
  const unsigned chance = permille[static_cast<std::size_t>(site)].load(std::memory_order_relaxed);
  if (me.rng.below(1000) < chance) {
    happened.fetch_add(1, std::memory_order_relaxed);
    if (me.rng.below(2) == 0) {
      ::sched_yield();
    } else {
      // Log-uniform: each power of two from 1 us up is as likely as the next.
      const auto base = kMicro << me.rng.below(longest_nap_log2);
      sleep_ns(base + static_cast<std::int64_t>(me.rng.below(static_cast<std::uint64_t>(base))));
    }
  }
  errno = saved;
}

bool force(Whim whim) noexcept {
  using namespace coretest::chaos;
  const unsigned chance = whim_permille.load(std::memory_order_relaxed);
  if (chance == 0 || mine().rng.below(1000) >= chance) return false;
  if (whim == Whim::give_way) demotions.fetch_add(1, std::memory_order_relaxed);
  return true;
}

}  // namespace paceline::core::probed
