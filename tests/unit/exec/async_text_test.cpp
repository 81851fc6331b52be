// SPDX-License-Identifier: BSL-1.0
// Proves which code may be interrupted: what lies in a known range, and nothing before it does.
#include "exec/async.hpp"

#include "support/catch.hpp"

using namespace paceline::core;

TEST_CASE("code may be interrupted within the ranges that were added, up to their ends") {
  static const char text[4 * kAsyncTexts + 64] = {};
  const auto in = [](const char* pc) {
    return in_async_text(reinterpret_cast<std::uintptr_t>(pc));
  };
  CHECK(!in(text + 16));
  add_async_text(text + 16, text + 24);
  add_async_text(text + 16, text + 24);  // known
  add_async_text(text + 32, text + 32);  // empty
  add_async_text(nullptr, nullptr);      // an object without the section
  CHECK(!in(text + 15));
  CHECK(in(text + 16));
  CHECK(in(text + 23));
  CHECK(!in(text + 24));
  CHECK(!in(text + 32));
  CHECK(!in(nullptr));
  // More than there is room for are dropped.
  for (unsigned i = 0; i < kAsyncTexts + 8; ++i) {
    add_async_text(text + 64 + 2 * i, text + 65 + 2 * i);
  }
  CHECK(in(text + 64));
  CHECK(!in(text + 65));
  CHECK(in(text + 64 + 2 * (kAsyncTexts - 2)));
  CHECK(!in(text + 64 + 2 * (kAsyncTexts + 4)));
}

TEST_CASE("a thread without a region leaves nothing and takes nothing up") {
  CHECK(set_regions_aside() == 0);
  take_regions_up(0);
  CHECK(async_signals_outside() == 0);
}
