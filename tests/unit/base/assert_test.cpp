// SPDX-License-Identifier: BSL-1.0
// Proves that a broken invariant ends the process and says which one, in every build.
#include "base/assert.hpp"

#include "support/catch.hpp"
#include "unit/base/child.hpp"

using namespace paceline::core;
using paceline_test::in_child;

TEST_CASE("a check that holds does nothing at all") {
  const auto end = in_child([] { check(true, "this holds"); });
  REQUIRE(end.signal == 0);
  REQUIRE(end.exit_code == 0);
  REQUIRE(end.text.empty());
}

TEST_CASE("a check that fails aborts and names the invariant and the place") {
  const auto end = in_child([] { check(false, "a vacant slot has no root"); });
  REQUIRE(end.signal == SIGABRT);
  REQUIRE_THAT(end.text, Catch::Contains("a vacant slot has no root"));
  REQUIRE_THAT(end.text, Catch::Contains("assert_test.cpp:"));
  REQUIRE_THAT(end.text, Catch::Contains("bug in paceline"));
}
