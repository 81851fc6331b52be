// SPDX-License-Identifier: BSL-1.0
// Waiting for a condition, with a loud limit and without sleeping.
#pragma once

#include <chrono>
#include <string>
#include <thread>

#include "support/catch.hpp"

namespace paceline_test {

/// Returns when `holds()` is true. Fails the test, naming `what`, if it is not within 60 seconds:
/// far beyond anything a working runtime needs, also under a sanitizer on a busy machine.
template <class Condition>
void eventually(const std::string& what, Condition&& holds) {
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds(60);
  while (!holds()) {
    if (std::chrono::steady_clock::now() > limit) FAIL("never happened: " << what);
    std::this_thread::yield();
  }
}

}  // namespace paceline_test
