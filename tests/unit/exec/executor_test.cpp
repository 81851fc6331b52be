// SPDX-License-Identifier: BSL-1.0
// Proves that tasks run on the executor's own stack, batch after batch on the same one, and that an
// executor ends when it is told to, used or not.
#include "exec/executor.hpp"

#include <cstdint>
#include <vector>

#include <paceline/this_task.hpp>

#include "machine/stack_pool.hpp"
#include "support/catch.hpp"
#include "unit/exec/desk.hpp"

using namespace paceline::core;
using paceline_test::Desk;

namespace {

[[gnu::noinline]] std::uintptr_t here_on_the_stack() {
  return reinterpret_cast<std::uintptr_t>(__builtin_frame_address(0));
}

paceline::task<> note_stack(std::vector<std::uintptr_t>& seen, int times) {
  for (int i = 0; i < times; ++i) {
    seen.push_back(here_on_the_stack());
    co_await paceline::yield();
  }
}

std::uintptr_t distance(std::uintptr_t a, std::uintptr_t b) { return a > b ? a - b : b - a; }

}  // namespace

TEST_CASE("tasks run on a stack of their own and every batch on the same one") {
  Desk desk;
  std::vector<std::uintptr_t> seen;
  desk.spawn(note_stack(seen, 10));
  desk.spawn(note_stack(seen, 10));
  const std::uintptr_t outside = here_on_the_stack();
  for (int batch = 0; batch < 30; ++batch) desk.step(1);
  REQUIRE(seen.size() == 20);
  for (const std::uintptr_t inside : seen) {
    REQUIRE(distance(inside, outside) > Desk::kStack);
    REQUIRE(distance(inside, seen.front()) < Desk::kStack);
  }
}

TEST_CASE("an executor that never ran can be retired") {
  machine::trim_stacks();
  {
    Desk desk;
  }
  REQUIRE(machine::trim_stacks() == 1);  // its stack came back
}

TEST_CASE("an executor that ran gives its stack back when it retires") {
  machine::trim_stacks();
  {
    Desk desk;
    std::vector<std::uintptr_t> seen;
    desk.spawn(note_stack(seen, 3));
    desk.run_dry();
    REQUIRE(seen.size() == 3);
  }
  REQUIRE(machine::trim_stacks() == 1);
}
