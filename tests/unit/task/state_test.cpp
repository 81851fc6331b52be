// SPDX-License-Identifier: BSL-1.0
// Proves every transition of the task's state word, its verdicts, and the end of its generations
// (failure W5). What threads may do to each other with it is the explorer's business
// (tests/model/wake_model.cpp); here one race shows that there is one poller.
#include "task/state.hpp"

#include <atomic>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "task/slot.hpp"

using namespace paceline::core;

namespace {

Phase phase(const StateWord& word) { return StateWord::phase_of(word.peek()); }
std::uint64_t generation(const StateWord& word) { return StateWord::generation_of(word.peek()); }

/// A word in the given phase, generation 5, reached by the transitions alone.
void bring_to(StateWord& word, Phase wanted) {
  word.reset(5);
  if (wanted == Phase::vacant) return;
  word.admit();
  if (wanted == Phase::idle) return;
  REQUIRE(word.try_start() == Start::started);
  if (wanted == Phase::running) return;
  REQUIRE(word.try_start() == Start::busy);
}

constexpr Phase kPhases[] = {Phase::vacant, Phase::idle, Phase::running, Phase::renotified};

}  // namespace

TEST_CASE("a new word is vacant and belongs to no generation but the one it is reset to") {
  StateWord word;
  REQUIRE(word.peek() == 0);
  REQUIRE(phase(word) == Phase::vacant);
  word.reset(77);
  REQUIRE(phase(word) == Phase::vacant);
  REQUIRE(generation(word) == 77);
}

TEST_CASE("admit makes a vacant slot idle and says whose it is") {
  StateWord word;
  word.reset(9);
  REQUIRE(word.admit() == 9);
  REQUIRE(phase(word) == Phase::idle);
  REQUIRE(generation(word) == 9);
}

TEST_CASE("try_start gives its verdict by the phase it meets") {
  StateWord word;
  bring_to(word, Phase::vacant);
  REQUIRE(word.try_start() == Start::vacant);
  REQUIRE(phase(word) == Phase::vacant);

  bring_to(word, Phase::idle);
  REQUIRE(word.try_start() == Start::started);
  REQUIRE(phase(word) == Phase::running);

  bring_to(word, Phase::running);
  REQUIRE(word.try_start() == Start::busy);
  REQUIRE(phase(word) == Phase::renotified);

  bring_to(word, Phase::renotified);
  REQUIRE(word.try_start() == Start::busy);
  REQUIRE(phase(word) == Phase::renotified);
  REQUIRE(generation(word) == 5);
}

TEST_CASE("pause asks for the bit again exactly if a claim came during the run") {
  StateWord word;
  bring_to(word, Phase::running);
  REQUIRE_FALSE(word.pause());
  REQUIRE(phase(word) == Phase::idle);

  bring_to(word, Phase::renotified);
  REQUIRE(word.pause());
  REQUIRE(phase(word) == Phase::idle);
  REQUIRE(generation(word) == 5);

  // Asked once: the next run starts with a clean word.
  REQUIRE(word.try_start() == Start::started);
  REQUIRE_FALSE(word.pause());
}

TEST_CASE("pause_yielding leaves an idle task whatever came during the run") {
  for (const Phase from : {Phase::running, Phase::renotified}) {
    StateWord word;
    bring_to(word, from);
    word.pause_yielding();
    REQUIRE(phase(word) == Phase::idle);
    REQUIRE(generation(word) == 5);
  }
}

TEST_CASE("vacate ends the generation also if a claim is pending") {
  for (const Phase from : {Phase::running, Phase::renotified}) {
    StateWord word;
    bring_to(word, from);
    REQUIRE(word.vacate());
    REQUIRE(phase(word) == Phase::vacant);
    REQUIRE(generation(word) == 6);
    REQUIRE(word.try_start() == Start::vacant);
    REQUIRE(word.admit() == 6);
  }
}

TEST_CASE("adopt makes a vacant slot the home of a task that runs already") {
  StateWord word;
  bring_to(word, Phase::vacant);
  word.adopt();
  REQUIRE(phase(word) == Phase::running);
  REQUIRE(generation(word) == 5);
  REQUIRE(word.try_start() == Start::busy);
  REQUIRE(word.pause());
}

TEST_CASE("a waker's generation holds from admission to the end and never again") {
  StateWord word;
  word.reset(5);
  REQUIRE_FALSE(word.holds(5));  // vacant: nobody there yet
  for (const Phase at : kPhases) {
    bring_to(word, at);
    REQUIRE(word.holds(5) == (at != Phase::vacant));
    REQUIRE_FALSE(word.holds(4));
    REQUIRE_FALSE(word.holds(6));
  }
  REQUIRE(word.vacate());
  REQUIRE_FALSE(word.holds(5));
  word.admit();
  REQUIRE_FALSE(word.holds(5));
  REQUIRE(word.holds(6));
}

TEST_CASE("a slot whose generation is used up is never handed out again") {
  StateWord word;
  word.reset(StateWord::kGenerationMax - 1);
  word.admit();
  REQUIRE(word.try_start() == Start::started);
  REQUIRE(word.vacate());
  REQUIRE(word.admit() == StateWord::kGenerationMax);
  REQUIRE(word.try_start() == Start::started);
  REQUIRE_FALSE(word.vacate());
  REQUIRE(phase(word) == Phase::vacant);
  // The number stays: it neither wraps to 0 nor grows into the phase.
  REQUIRE(generation(word) == StateWord::kGenerationMax);
  REQUIRE_FALSE(word.holds(StateWord::kGenerationMax));
}

TEST_CASE("pack and unpack agree at the extremes of both fields") {
  const std::uint64_t generations[] = {
      0, 1, 255, 256, StateWord::kGenerationMax - 1, StateWord::kGenerationMax};
  for (const std::uint64_t g : generations) {
    for (const Phase p : kPhases) {
      const std::uint64_t word = StateWord::pack(g, p);
      REQUIRE(StateWord::generation_of(word) == g);
      REQUIRE(StateWord::phase_of(word) == p);
    }
  }
  STATIC_REQUIRE(StateWord::kGenerationMax == (std::uint64_t{1} << 56) - 1);
}

TEST_CASE("a slot fills one cache line and its reference leads back to it") {
  STATIC_REQUIRE(sizeof(Slot) == kCacheLine);
  Slot slot;
  REQUIRE(&Slot::of(slot.ref()) == &slot);
}

TEST_CASE("of many threads that start an idle task one becomes its poller") {
  constexpr int kThreads = 4;
  constexpr int kRounds = 2'000;
  StateWord word;
  word.reset(1);
  word.admit();
  std::atomic<int> arrived{0};
  std::atomic<int> round{0};
  std::atomic<int> started{0};
  std::atomic<int> pollers_wrong{0};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      for (int r = 0; r < kRounds; ++r) {
        while (round.load() != r) std::this_thread::yield();
        if (word.try_start() == Start::started) started.fetch_add(1);
        if (arrived.fetch_add(1) + 1 == kThreads) {
          // The last one here: everybody has tried.
          if (started.exchange(0) != 1) pollers_wrong.fetch_add(1);
          if (!word.pause()) pollers_wrong.fetch_add(1);  // the other three left their mark
          arrived.store(0);
          round.store(r + 1);
        }
      }
    });
  }
  for (auto& thread : threads) thread.join();
  REQUIRE(pollers_wrong == 0);
}
