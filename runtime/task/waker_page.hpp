// SPDX-License-Identifier: BSL-1.0
// The ready bits of 64 slots: notify, absorb, take, steal.
// Flow rooms: wake (any thread), run (home worker), steal (thief).
// It must never decide who may run a task: a bit says "look here", the state word says "you may".
// Proof: tests/model/wake_model.cpp, tests/model/steal_model.cpp, tests/unit/task/page_test.cpp.
#pragma once

#include "base/atomic.hpp"
#include "base/bits.hpp"
#include "base/probe.hpp"
#include "base/sizes.hpp"

namespace paceline::core {

/// Three words of ready bits and two of free ones.
///
/// Writers: `notified` and `free_shared`: any thread, by RMW only. `pass`, `next`: the home worker
/// by plain load and store, thieves by fetch_and. `free_home`, `generation_floor`: the home worker.
/// Readers: the home worker, thieves, dumps.
/// I1: a bit leaves a word only in the hands of somebody who then tries to start its task.
/// I2: the home worker's plain store to `pass` or `next` can bring back bits that a thief cleared
///     after the load. Such a duplicate is one more spurious bit: the state word lets only one of
///     the two start the task, and the other one's claim leaves `renotified` or finds nothing
///     ready. It can never remove a bit that was not taken, because only the home worker adds bits
///     to these two words. That is what makes local spawns, yields and wakes free of RMWs.
/// I3: `next` is what became ready while the page was being served; it is served in the next pass.
///     So every bit is served once before any is served twice.
/// Progress: every operation is wait-free. Lifetime: never unmapped.
struct alignas(kCacheLine) WakerPage {
  // --- any thread ---
  Atomic<Word> notified{0};
  Atomic<Word> free_shared{0};

  // --- home worker, on a line of its own ---
  alignas(kCacheLine) Atomic<Word> pass{0};
  Atomic<Word> next{0};
  Word free_home = 0;
  std::uint64_t generation_floor = 1;  // of a page whose slots were given back to the system

  /// Marks a slot ready. Any thread, also in a signal handler. Was it marked already?
  bool notify(unsigned index) noexcept {
    // Release, and always an RMW even if the bit is set. Pairs: absorb, steal. Publishes: what the
    // waker wrote first. Without: a poll that coalesces two wakes misses the second one's data.
    // Seq_cst is needed by the summary: see raise() in collection.hpp. No more than the bit is
    // asked for: for the whole word a compiler would look first and then exchange, which fetches
    // the line twice.
    return (notified.fetch_or(bit(index), std::memory_order_seq_cst) & bit(index)) != 0;  // M4
  }

  /// Marks a slot ready. Home worker only, and never in a signal handler. Returns `next` before.
  Word notify_home(unsigned index) noexcept {
    const Word before = next.load(std::memory_order_relaxed);
    // Release. Pairs: steal. Publishes: what this worker wrote before the wake, for a thief.
    next.store(before | bit(index), std::memory_order_release);  // M5
    return before;
  }

  /// Starts a pass: everything ready now goes to `pass`. Home worker. False if there is nothing.
  /// Adds to `arrived` how many bits others have set since the last pass.
  bool absorb(unsigned& arrived) noexcept {
    Word ready = pass.load(std::memory_order_relaxed);
    const Word local = next.load(std::memory_order_relaxed);
    // Relaxed look first: an RMW on a quiet page would cost more than the whole visit. A bit that
    // is set right after is found by the next pass, as its summary bit stays raised.
    if (notified.load(std::memory_order_relaxed) != 0) {
      // Acquire. Pairs: notify. The bits are cleared before their tasks run, so that a wake during
      // the run sets them again.
      const Word remote = planted(Mutant::clear_after_run)
                              ? notified.load(std::memory_order_acquire)          // M4
                              : notified.exchange(0, std::memory_order_acq_rel);  // M4
      arrived += count(remote);
      ready |= remote;
    }
    ready |= local;
    // Release. Pairs: steal, which must see what made these bits ready.
    pass.store(ready, std::memory_order_release);              // M5
    if (local != 0) next.store(0, std::memory_order_release);  // M5
    return ready != 0;
  }

  /// Takes the lowest bit of the pass. Home worker. False if there is none, as after thieves took
  /// the rest.
  bool take(unsigned& index) noexcept {
    const Word ready = pass.load(std::memory_order_relaxed);
    if (ready == 0) return false;
    index = lowest(ready);
    // Release: a thief may read this value instead of absorb's, and a plain store of the same
    // thread does not continue a release sequence.
    pass.store(without_lowest(ready), std::memory_order_release);  // M5
    return true;
  }

  /// Takes this bit, if it is set. Home worker.
  bool take_this(unsigned index) noexcept {
    bool had = false;
    for (Atomic<Word>* word : {&pass, &next}) {
      const Word ready = word->load(std::memory_order_relaxed);
      if ((ready & bit(index)) == 0) continue;
      had = true;
      word->store(ready & ~bit(index), std::memory_order_release);  // M5
    }
    if ((notified.load(std::memory_order_relaxed) & bit(index)) != 0) {
      had = true;
      // Acquire, as in absorb.
      notified.fetch_and(~bit(index), std::memory_order_acq_rel);  // M4
    }
    return had;
  }

  /// All ready bits, for a look that takes nothing.
  Word ready(std::memory_order order = std::memory_order_acquire) const noexcept {  // M5
    return notified.load(order) | next.load(order) | pass.load(order);
  }

  /// Takes the upper `wanted` of the ready bits, or fewer if others are faster. Any worker.
  Word steal(Word wanted) noexcept {
    Word got = 0;
    for (Atomic<Word>* word : {&notified, &next, &pass}) {
      const Word here = wanted & word->load(std::memory_order_relaxed);
      // Acquire. Pairs: notify, notify_home, absorb, take. Without: the stolen poll misses what
      // its waker wrote. Release keeps the RMW in notify's release sequence on `notified`.
      if (here != 0) got |= word->fetch_and(~here, std::memory_order_acq_rel) & here;  // M5
    }
    probe(Site::steal_after_claim);
    return got;
  }
};

}  // namespace paceline::core
