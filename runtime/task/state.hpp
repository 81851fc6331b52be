// SPDX-License-Identifier: BSL-1.0
// The task's state word: who may run it, and whose it is.
// Flow rooms: spawn (admit), run (try_start), suspend (pause), end (vacate). Any worker.
// It must never change except through the named transitions below (decision D1).
// Proof: tests/model/wake_model.cpp, tests/unit/task/state_test.cpp.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/bits.hpp"
#include "base/probe.hpp"
#include "base/sizes.hpp"

namespace paceline::core {

/// The low bits of the word. `vacant` doubles as DONE: a task is done when its slot is vacant and
/// the generation has moved on.
enum class Phase : std::uint8_t {
  vacant = 0,      // no task; the generation is that of the next tenant
  idle = 1,        // suspended or not yet started
  running = 2,     // one worker polls it
  renotified = 3,  // one worker polls it, and a bit was claimed for it meanwhile
  loan = 4,        // stands in for a task in another slot: see exec/loan.hpp
};

enum class Start : std::uint8_t { started, busy, vacant, loan };

/// One word per slot: generation (56 bits) and phase (8 bits).
///
///   vacant --admit--> idle --try_start--> running --pause--> idle
///                                            |  \--pause_yielding--> idle
///                     running --try_start--> renotified --pause--> idle, "set the bit again"
///                     running, renotified --vacate--> vacant, generation + 1
///   vacant --adopt--> running  (a running task that moves to this slot)
///   vacant --lend--> loan --vacate--> vacant, generation + 1
///
/// Writers: the spawner (admit), whoever claimed the bit (try_start), the poller (the rest).
/// Readers: wakers (generation only), dumps.
/// I1: from try_start's `started` to pause/vacate exactly one thread is the task's poller; only it
///     touches the slot's plain fields.
/// I2: a claim that meets a running task is not lost: it leaves `renotified`, and pause tells the
///     poller to set the bit again.
/// I3: the generation only grows while the slot's memory lives; a slot whose generation is used up
///     is never handed out again (failure W5).
/// Progress: try_start is lock-free (it retries only when the word changed), all else wait-free.
/// Lifetime: the memory is never unmapped, so late readers see some valid word.
class StateWord {
 public:
  static constexpr unsigned kPhaseBits = 8;
  static constexpr std::uint64_t kPhaseMask = (std::uint64_t{1} << kPhaseBits) - 1;
  static constexpr std::uint64_t kGenerationMax = (std::uint64_t{1} << kGenerationBits) - 1;

  static constexpr std::uint64_t pack(std::uint64_t generation, Phase phase) noexcept {
    return generation << kPhaseBits | static_cast<std::uint64_t>(phase);
  }
  static constexpr std::uint64_t generation_of(std::uint64_t word) noexcept {
    return word >> kPhaseBits;
  }
  static constexpr Phase phase_of(std::uint64_t word) noexcept {
    return static_cast<Phase>(word & kPhaseMask);
  }

  /// A word in phase `from`, in phase `to`.
  static constexpr std::uint64_t changed(std::uint64_t word, Phase from, Phase to) noexcept {
    return word ^ static_cast<std::uint64_t>(from) ^ static_cast<std::uint64_t>(to);
  }

  /// Before the slot is first used, by its only owner.
  void reset(std::uint64_t generation) noexcept {
    word_.store(pack(generation, Phase::vacant), std::memory_order_relaxed);
  }

  /// vacant -> idle, by the spawner that owns the slot. Returns the generation.
  std::uint64_t admit() noexcept {
    const std::uint64_t generation = generation_of(word_.load(std::memory_order_relaxed));
    // Release. Pairs: try_start. Publishes: the slot's plain fields and the frame. Without: a
    // worker that holds a spurious bit for this slot runs a half-written task.
    word_.store(pack(generation, Phase::idle), std::memory_order_release);  // M1
    return generation;
  }

  /// vacant -> running, by the poller of a task that moves here.
  void adopt() noexcept {
    const std::uint64_t generation = generation_of(word_.load(std::memory_order_relaxed));
    // Relaxed: nobody may run the task before the mover's own pause publishes it.
    word_.store(pack(generation, Phase::running), std::memory_order_relaxed);
  }

  /// vacant -> loan, by whoever lends.
  void lend() noexcept {
    const std::uint64_t generation = generation_of(word_.load(std::memory_order_relaxed));
    // Release. Pairs: peek. Publishes: for whom it stands in. Without: a claim is passed on to the
    // task of an earlier tenant, which costs a spurious look and the turn.
    word_.store(pack(generation, Phase::loan), std::memory_order_release);  // M1
  }

  /// idle -> running: the caller is now the poller. running -> renotified: the poller will set the
  /// bit again. vacant: the bit was stale.
  [[nodiscard]] Start try_start() noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    for (;;) {
      if (phase_of(word) == Phase::idle) [[likely]] {
        // Acquire. Pairs: admit, pause, pause_yielding. Without: the poll reads old fields.
        // Seq_cst is stronger than that: it orders the start before the task's later look at the
        // runtime's stop flag, which the stopper raises before it scans the state words.
        if (word_.compare_exchange_weak(word, changed(word, Phase::idle, Phase::running),
                                        // M1, M2, M3, M17
                                        std::memory_order_seq_cst, std::memory_order_relaxed)) {
          return Start::started;
        }
      } else if (phase_of(word) == Phase::vacant) {
        return Start::vacant;
      } else if (phase_of(word) == Phase::loan) {
        return Start::loan;
      } else {
        if (planted(Mutant::no_rearm_on_release)) return Start::busy;
        if (planted(Mutant::double_run)) return Start::started;
        // Release, also when the word does not change. Pairs: pause. Publishes: what the waker
        // whose bit we took wrote before its wake. Without: the next poll misses that event.
        if (word_.compare_exchange_weak(word, pack(generation_of(word), Phase::renotified),
                                        // M3
                                        std::memory_order_acq_rel, std::memory_order_relaxed)) {
          return Start::busy;
        }
      }
    }
  }

  /// running -> idle. True if a bit was claimed meanwhile: the caller sets it again (I2).
  [[nodiscard]] bool pause() noexcept {
    const std::uint64_t generation = generation_of(word_.load(std::memory_order_relaxed));
    // Acq_rel. Acquire pairs with try_start's renotified. Release pairs with its started and
    // publishes the slot's plain fields, i.e. where the task goes on.
    const std::uint64_t old =
        word_.exchange(pack(generation, Phase::idle), std::memory_order_acq_rel);  // M3
    return phase_of(old) == Phase::renotified;
  }

  /// running -> idle for a task that sets its bit in any case, so that `renotified` has no
  /// consequence. But whoever left it also published what its waker wrote, for the next poll. An
  /// exchange hands that on; where all stores are ordered a plain one does not lose it either.
  void pause_yielding() noexcept {
    if constexpr (!kTotalStoreOrder) {
      static_cast<void>(pause());
      return;
    }
    const std::uint64_t generation = generation_of(word_.load(std::memory_order_relaxed));
    // Release. Pairs: try_start, as in pause.
    word_.store(pack(generation, Phase::idle), std::memory_order_release);  // M2
  }

  /// running -> vacant with the next generation: every waker of this task is stale from now on.
  /// False if the generation is used up; the slot must then never be handed out again (I3).
  [[nodiscard]] bool vacate() noexcept {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    const bool reusable = generation_of(word) < kGenerationMax;
    const std::uint64_t last = word | kPhaseMask;  // of this generation
    // Release. Pairs: a waker's or a dump's load. Publishes: nothing they would read; it keeps the
    // task's effects from sinking below its end for those who watch the word.
    word_.store(reusable ? last + 1 : last ^ kPhaseMask, std::memory_order_release);  // M1
    return reusable;
  }

  /// A look that claims nothing.
  std::uint64_t peek(std::memory_order order = std::memory_order_acquire) const noexcept {  // M1
    return word_.load(order);
  }

  /// Is `generation` the live tenant? A filter for wakers: the answer may be old when it arrives,
  /// which is harmless, since a spurious bit resumes nobody.
  bool holds(std::uint64_t generation) const noexcept {
    const std::uint64_t word = word_.load(std::memory_order_relaxed);
    return generation_of(word) == generation && phase_of(word) != Phase::vacant;
  }

 private:
  Atomic<std::uint64_t> word_{0};
};

static_assert(
    StateWord::generation_of(StateWord::pack(StateWord::kGenerationMax, Phase::renotified)) ==
        StateWord::kGenerationMax &&
    StateWord::phase_of(StateWord::pack(StateWord::kGenerationMax, Phase::renotified)) ==
        Phase::renotified &&
    StateWord::generation_of(StateWord::pack(0, Phase::renotified)) == 0 &&
    StateWord::phase_of(StateWord::pack(StateWord::kGenerationMax, Phase::vacant)) ==
        Phase::vacant &&
    StateWord::phase_of(StateWord::pack(StateWord::kGenerationMax, Phase::loan)) == Phase::loan);

}  // namespace paceline::core
