// SPDX-License-Identifier: BSL-1.0
// Proves that a name lives as long as a dump may read it, and not longer.
#include "exec/names.hpp"

#include <atomic>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"
#include "task/slot.hpp"

using namespace paceline::core;

TEST_CASE("a name keeps its text, whatever the text is") {
  for (const std::string& text : {std::string("reader"), std::string(), std::string(255, 'x'),
                                  std::string("zero\0inside", 11), std::string("\xc3\xa4\n\t")}) {
    TaskName* name = make_name(text);
    REQUIRE(name->text == text);
    REQUIRE(name->next_retired == nullptr);
    retire_name(name);
  }
}

TEST_CASE("a name that is retired during a dump stays readable until the dump ends") {
  TaskName* name = make_name("a name that is longer than what a string keeps inside itself");
  auto dump = std::make_unique<DumpGuard>();
  retire_name(name);
  // Under the address sanitizer this line is the proof; without it the text still is.
  REQUIRE(name->text == "a name that is longer than what a string keeps inside itself");
  dump.reset();
}

TEST_CASE("names retired during overlapping dumps wait for the last of them") {
  auto first = std::make_unique<DumpGuard>();
  TaskName* early = make_name("retired while the first dump ran alone, a long text");
  retire_name(early);
  auto second = std::make_unique<DumpGuard>();
  TaskName* late = make_name("retired while two dumps ran, another long text");
  retire_name(late);
  first.reset();
  REQUIRE(early->text == "retired while the first dump ran alone, a long text");
  REQUIRE(late->text == "retired while two dumps ran, another long text");
  second.reset();
}

TEST_CASE("dumps read whole names while tasks take and drop them") {
  // Slots whose owners name and unname them; readers look as a dump does.
  constexpr std::size_t kSlots = 8;
  std::vector<Slot> slots(kSlots);
  std::atomic<int> writers{2};
  std::atomic<std::size_t> torn{0};
  std::atomic<std::size_t> read{0};
  std::vector<std::thread> threads;
  for (std::size_t w = 0; w < 2; ++w) {
    threads.emplace_back([&, w] {
      for (std::size_t i = 0; i < 20'000; ++i) {
        Slot& slot = slots[w + 2 * (i % (kSlots / 2))];
        const std::size_t length = 20 + i % 30;
        TaskName* name = make_name(std::string(length, static_cast<char>('A' + length)));
        slot.name.store(name, std::memory_order_release);
        slot.name.store(nullptr, std::memory_order_seq_cst);
        retire_name(name);
      }
      writers.fetch_sub(1);
    });
  }
  threads.emplace_back([&] {
    while (writers.load() > 0) {
      const DumpGuard guard;
      for (const Slot& slot : slots) {
        const TaskName* name = slot.name.load(std::memory_order_seq_cst);
        if (name == nullptr) continue;
        const std::string copy = name->text;
        if (copy != std::string(copy.size(), static_cast<char>('A' + copy.size()))) {
          torn.fetch_add(1);
        }
        read.fetch_add(1);
      }
    }
  });
  for (auto& thread : threads) thread.join();
  REQUIRE(torn == 0);
}
