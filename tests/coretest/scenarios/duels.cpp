// SPDX-License-Identifier: BSL-1.0
#include "duels.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <vector>

#include <paceline/paceline.hpp>

namespace coretest {

namespace {

constexpr std::uint64_t kPairsMost = 64;
constexpr std::uint64_t kTurns = kSanitized ? 60 : 400;

struct Pair {
  std::array<paceline::waker, 2> halves;  // each written by its task before it counts itself
  std::atomic<int> here{0};
  std::atomic<std::uint64_t> turn{0};
  std::atomic<int> running{0};  // bit per half
};

class Duels {
 public:
  Duels(Context& context, Rng rng, std::size_t workers)
      : context_(context),
        rng_(rng),
        pairs_(1 + rng_.below(std::uint64_t{1}
                              << rng_.below(std::bit_width(context.size(kPairsMost))))),
        answered_early_(workers > 1 ? &context.goal("an answer came while its asker ran")
                                    : nullptr) {}

  paceline::task<void> fight() {
    std::vector<paceline::join_handle<void>> tasks;
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      for (std::uint64_t half : {0, 1})
        tasks.push_back(paceline::spawn(duel(pairs_[i], i, half, rng_.next())));
    }
    for (auto& task : tasks) co_await std::move(task);
    for (std::size_t i = 0; i < pairs_.size(); ++i) {
      context_.check(pairs_[i].turn.load() == kTurns, "lost", "pair {} made {} of {} turns", i,
                     pairs_[i].turn.load(), kTurns);
    }
  }

 private:
  paceline::task<void> duel(Pair& pair, std::size_t number, std::uint64_t half,
                            std::uint64_t seed) {
    Rng rng(seed);
    pair.halves[half] = paceline::this_task::waker();
    pair.here.fetch_add(1, std::memory_order_acq_rel);
    while (pair.here.load(std::memory_order_acquire) != 2) co_await paceline::yield();
    const int mine = 1 << half;
    for (std::uint64_t turn = half; turn < kTurns; turn += 2) {
      auto answer = paceline::suspend_until(
          [&pair, turn]() noexcept { return pair.turn.load(std::memory_order_acquire) == turn; },
          [](paceline::waker) noexcept {});
      co_await std::move(answer);
      context_.check((pair.running.fetch_or(mine) & mine) == 0, "double",
                     "half {} of pair {} runs twice at once", half, number);
      const std::uint64_t now = pair.turn.load(std::memory_order_acquire);
      context_.check(now == turn, "order", "pair {} is at turn {}, half {} expects {}", number, now,
                     half, turn);
      pair.turn.store(turn + 1, std::memory_order_release);
      pair.halves[1 - half].wake();
      // The answer may come while we still run: one half stays, the other answers at once.
      if (half == 0) busy_for(static_cast<std::int64_t>(rng.below(tail_ns_)));
      if (answered_early_ != nullptr) {
        answered_early_->reach_if(pair.turn.load(std::memory_order_relaxed) != turn + 1);
      }
      pair.running.fetch_and(~mine);
      if (turn % 16 < 2) context_.op(8);
    }
  }

  Context& context_;
  Rng rng_;
  std::vector<Pair> pairs_;
  // From a few tasks with long tails to many with short ones.
  const std::uint64_t tail_ns_ = 1'000 + rng_.below(60'000);
  Goal* const answered_early_;  // null with one worker, where it cannot happen
};

}  // namespace

void fight_duels(Context& context, paceline::runtime& rt, Rng rng) {
  Duels duels(context, rng, rt.workers());
  rt.block_on(duels.fight());
}

}  // namespace coretest
