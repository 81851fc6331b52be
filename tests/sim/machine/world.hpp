// SPDX-License-Identifier: BSL-1.0
// What the simulated machine consists of: shared by simulation.cpp, which decides whose turn it is,
// and threads.cpp.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <new>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "machine/machine.hpp"
#include "sim/machine/agenda.hpp"
#include "sim/machine/lines.hpp"
#include "sim/machine/simulation.hpp"
#include "sim/machine/strand.hpp"

namespace paceline::core::simulation {

// A multiple of the timer wheel's tick, and late enough for differences to stay positive.
inline constexpr Nanos kStart = Nanos{1} << 40;

// The runtime spreads its threads over a few heaps by the addresses of their records. Where a
// record lies depends on its thread's number alone, so that the choice is the same in every run.
inline constexpr std::size_t kPage = 4096;
inline constexpr std::size_t kPages = 4;
struct alignas(kPage* kPages) RecordRoom {
  std::byte pages[kPages][kPage];
};

struct Thread {
  explicit Thread(std::uintptr_t its_number) : number(its_number) {}

  const std::uintptr_t number;
  std::string name;
  const std::unique_ptr<RecordRoom> room = std::make_unique<RecordRoom>();
  machine::ThisThread& record = *new (room->pages[number % kPages]) machine::ThisThread;
  Strand strand;
  void (*body)(void*) noexcept = nullptr;
  void* argument = nullptr;
  const void* waits_for = nullptr;  // null: it can run
  Nanos deadline = kForever;
  Point stands_at = Point::start;
  Nanos start = 0;
  Nanos blocked_since = 0;
  Nanos blocked_for = 0;      // without the last time
  std::uint64_t spun_in = 0;  // the round in which it made a step of a busy wait last
  int cpu = -1;
  void* own_word = nullptr;
  void (*interruption)() = nullptr;  // to be run at its next turn
  bool interrupted = false;          // it runs one
  bool ended = false;
  bool detached = false;
};

/// What there is more where things have a price.
struct Pricing {
  explicit Pricing(const Prices& given) : prices(given), lines(given) {}

  const Prices prices;
  Lines lines;
  Agenda agenda;  // everybody by number but who runs and who waits without a deadline
};

struct World {
  explicit World(const Setup& given) : setup(given), rng(given.seed) {}

  const Setup setup;
  Rng rng;
  Rng strike_rng{~setup.seed};
  std::vector<std::unique_ptr<Thread>> threads;  // by number - 1; null: gone
  std::vector<Thread*> ready;
  std::vector<Thread*> blocked;  // in the order of their waiting
  Thread* running = nullptr;
  Nanos time = kStart;       // with prices: how far who runs has come
  std::uint64_t round = 1;   // of busy waiting
  std::size_t spinners = 0;  // of `ready`, in this round
  std::uint64_t spins = 0;   // since somebody did anything else than spin
  unsigned idle_rounds = 0;  // since then
  unsigned looks = 0;
  bool struck = false;
  std::uint64_t moment_began = 0;  // decision
  std::optional<Pricing> pricing;  // none: nothing has a price
  Facts facts;
};

/// Null before begin(); leaked, as detached threads may stand in it at the end.
extern World* world;
/// Set on the one thread of the system that runs the simulated ones, until stop().
extern constinit thread_local bool takes_part;

/// `thread`, which waits, does so until `at`, which is now unless things have a price.
void make_ready(Thread& thread, Nanos at) noexcept;
/// Runs what has interrupted the thread whose turn it is.
void take_interruption(Thread& self) noexcept;
/// The last turn of the thread whose turn it is ends.
[[noreturn]] void leave() noexcept;
/// Nobody can go on, or nobody gets anywhere.
[[noreturn]] void give_up(const std::string& reason) noexcept;

// With prices (priced.cpp).

/// Whose turn it is by the clock; time is there.
Thread& earliest() noexcept;
/// Whose turn it is has work for so long.
void spend(Nanos duration) noexcept;
/// Is anybody behind whose turn it is? Then that one goes on later.
bool falls_behind(Thread& self) noexcept;

}  // namespace paceline::core::simulation
