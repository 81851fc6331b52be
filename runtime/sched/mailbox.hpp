// SPDX-License-Identifier: BSL-1.0
// Mailbox: one ready task that another worker has handed to this one.
// Flow room: run. Any worker of the runtime puts; its owner takes, or a worker that finds it stuck.
// It must never hold a task that is not claimed, nor lose one: who is refused keeps the claim.
// Proof: tests/model/mail_model.cpp, tests/unit/sched/mailbox_test.cpp.
#pragma once

#include <cstdint>

#include "base/atomic.hpp"
#include "base/probe.hpp"
#include "task/slot.hpp"

namespace paceline::core {

/// What was in a mailbox.
struct Mail {
  static constexpr unsigned kNoAnswer = 0xffff;

  Slot* slot = nullptr;  // null: nothing
  // The worker that gave up its own core for it, and takes in return what has to make room here.
  unsigned answer_to = kNoAnswer;
};

/// The word of a mailbox: a slot's address, and above it who waits for an answer. 0: empty.
namespace mail_word {

inline constexpr unsigned kAnswerShift = 48;
inline constexpr std::uint64_t kAddress = (std::uint64_t{1} << kAnswerShift) - 1;

constexpr std::uint64_t packed(std::uint64_t address, unsigned answer_to) noexcept {
  return address | std::uint64_t{answer_to} << kAnswerShift;
}
constexpr std::uint64_t address_in(std::uint64_t word) noexcept { return word & kAddress; }
constexpr unsigned answer_in(std::uint64_t word) noexcept {
  return static_cast<unsigned>(word >> kAnswerShift);
}
static_assert(address_in(packed(kAddress, 0)) == kAddress && answer_in(packed(kAddress, 0)) == 0);
static_assert(address_in(packed(0, Mail::kNoAnswer)) == 0 &&
              answer_in(packed(0, Mail::kNoAnswer)) == Mail::kNoAnswer);

}  // namespace mail_word

/// Loot is pushed by its owner alone; this is how others add to it.
///
/// Writers: any worker by compare-and-exchange from empty; the owner by exchange, other workers by
/// compare-and-exchange to empty. I1: an entry leaves only in the hands of somebody who then tries
/// to start its task or sets its bit. I2: nothing is ever written over an entry. What is said of
/// spurious bits (waker_page.hpp, I2) holds of entries, too: their task may have ended meanwhile.
/// Progress: wait-free. Lifetime: that of the seat.
class Mailbox {
 public:
  bool empty() const noexcept { return word_.load(std::memory_order_relaxed) == 0; }
  /// Before a worker runs.
  void reset() noexcept { word_.store(0, std::memory_order_relaxed); }

  /// False: there is something in it, and the caller still holds the task.
  [[nodiscard]] bool put(const Mail& mail) noexcept {
    const auto address = reinterpret_cast<std::uintptr_t>(mail.slot);
    // Where addresses are longer nothing is handed over.
    if (address > mail_word::kAddress) return false;
    const std::uint64_t word = mail_word::packed(address, mail.answer_to);
    if (planted(Mutant::mail_by_store)) {
      word_.store(word, std::memory_order_seq_cst);  // M84, broken on purpose
      return true;
    }
    // Release. Pairs: take, take_if. Publishes: what our claim of the bit acquired. Seq_cst: before
    // the note, as its reader lowers that before it takes.
    std::uint64_t nothing = 0;
    return word_.compare_exchange_strong(nothing, word, std::memory_order_seq_cst,  // M84
                                         std::memory_order_relaxed);
  }
  /// The owner.
  Mail take() noexcept {
    // Acquire. Pairs: put. Seq_cst: after the note is lowered.
    return opened(word_.exchange(0, std::memory_order_seq_cst));  // M84
  }
  /// Another worker: takes it if it looked `wanted` a moment before. Null: it did not, or is gone.
  template <class Wanted>
  Slot* take_if(Wanted&& wanted) noexcept {
    std::uint64_t word = word_.load(std::memory_order_relaxed);
    const Mail mail = opened(word);
    if (mail.slot == nullptr || !wanted(*mail.slot)) return nullptr;
    // Acquire. Pairs: put. The same word may have come back meanwhile: then it stands for the same.
    const bool ours = word_.compare_exchange_strong(word, 0, std::memory_order_acq_rel,  // M84
                                                    std::memory_order_relaxed);
    return ours ? mail.slot : nullptr;
  }

 private:
  static Mail opened(std::uint64_t word) noexcept {
    if (word == 0) return {};
    return {reinterpret_cast<Slot*>(mail_word::address_in(word)), mail_word::answer_in(word)};
  }

  Atomic<std::uint64_t> word_{0};
};

}  // namespace paceline::core
