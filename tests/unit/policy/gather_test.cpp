// SPDX-License-Identifier: BSL-1.0
// Proves how long a worker lets tasks from outside come together.
#include "policy/gather.hpp"

#include "support/catch.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

TEST_CASE("nothing is waited for where nothing comes") {
  unsigned lone = 0;
  CHECK(gather_for(0, 0, lone) == 0);
  CHECK(gather_for(0, kSecond, lone) == 0);
  CHECK(lone == 0);
}

TEST_CASE("a stream is waited for until enough have come, and no longer than a wake takes") {
  unsigned lone = 0;
  CHECK(gather_for(2'000, 20'000, lone) == 2'560);  // 10 ns each
  CHECK(gather_for(200, 20'000, lone) == kGatherFor);
  CHECK(gather_for(16, kGatherFor, lone) == kGatherFor);
  CHECK(gather_for(320, 20 * kGatherFor, lone) == kGatherFor);
}

TEST_CASE("nothing is waited for longer than what has come took to come") {
  unsigned lone = 0;
  CHECK(gather_for(2, 500, lone) == 500);  // two requests, and whoever sent them may wait for both
  CHECK(gather_for(10, 1'000, lone) == 1'000);
  CHECK(gather_for(2, 0, lone) == 0);
}

TEST_CASE("tasks that come slowly are not waited for") {
  unsigned lone = 0;
  CHECK(gather_for(15, kGatherFor, lone) == 0);
  CHECK(gather_for(1'000, kSecond, lone) == 0);
  CHECK(gather_for(~std::uint32_t{0}, Nanos{1} << 62, lone) == 0);
}

TEST_CASE("of lone tasks that come quickly one in sixteen is a reason to look for a stream") {
  unsigned lone = 0;
  for (unsigned i = 1; i <= 64; ++i) {
    CHECK(gather_for(1, 300, lone) == (i % kGatherTryEvery == 0 ? kGatherTry : 0));
    CHECK(gather_for(1, kGatherTry, lone) == 0);  // an answer to the one before, perhaps
  }
}
