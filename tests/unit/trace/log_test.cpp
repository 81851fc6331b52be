// SPDX-License-Identifier: BSL-1.0
// Proves when the runtime's log speaks: never by default, from the level PACELINE_LOG names, and
// always for reports. The level is read once per process, so each case has a process of its own.
#include "trace/log.hpp"

#include <cstdlib>
#include <string>

#include "support/catch.hpp"
#include "unit/base/child.hpp"

using namespace paceline::core;
using paceline_test::in_child;

namespace {

/// What a process with this PACELINE_LOG writes for one message of each level; null: unset.
std::string written_with(const char* value) {
  const auto end = in_child([&] {
    if (value == nullptr) {
      ::unsetenv("PACELINE_LOG");
    } else {
      ::setenv("PACELINE_LOG", value, 1);
    }
    log::write(log::Level::debug, "message-debug");
    log::write(log::Level::info, "message-info");
    log::write(log::Level::warn, "message-warn");
    log::write(log::Level::error, "message-error");
  });
  REQUIRE(end.exit_code == 0);
  REQUIRE(end.signal == 0);
  return end.text;
}

bool has(const std::string& text, const char* part) { return text.find(part) != std::string::npos; }

}  // namespace

TEST_CASE("without PACELINE_LOG the log is silent") { REQUIRE(written_with(nullptr).empty()); }

TEST_CASE("a value that is no level is silence as well") {
  for (const char* value : {"", "off", "DEBUG", "verbose", "1", "debug ", "warning"}) {
    INFO("'" << value << "'");
    REQUIRE(written_with(value).empty());
  }
}

TEST_CASE("each level writes itself and what is more important") {
  const char* levels[] = {"debug", "info", "warn", "error"};
  for (std::size_t chosen = 0; chosen < 4; ++chosen) {
    const std::string text = written_with(levels[chosen]);
    for (std::size_t level = 0; level < 4; ++level) {
      const std::string message = std::string("message-") + levels[level];
      INFO(levels[chosen] << ": " << message);
      REQUIRE(has(text, message.c_str()) == (level >= chosen));
    }
  }
}

TEST_CASE("enabled says beforehand what write would do") {
  const auto end = in_child([] {
    ::setenv("PACELINE_LOG", "warn", 1);
    const bool right = !log::enabled(log::Level::debug) && !log::enabled(log::Level::info) &&
                       log::enabled(log::Level::warn) && log::enabled(log::Level::error);
    ::_exit(right ? 0 : 1);
  });
  REQUIRE(end.exit_code == 0);
}

TEST_CASE("the level is read once and does not change afterwards") {
  const auto end = in_child([] {
    ::setenv("PACELINE_LOG", "error", 1);
    const bool before = log::enabled(log::Level::debug);
    ::setenv("PACELINE_LOG", "debug", 1);
    ::_exit(!before && !log::enabled(log::Level::debug) ? 0 : 1);
  });
  REQUIRE(end.exit_code == 0);
}

TEST_CASE("a report is written whatever the level") {
  for (const char* value : {"", "off", "debug"}) {
    const auto end = in_child([&] {
      ::setenv("PACELINE_LOG", value, 1);
      log::report("the user must see this");
      log::report("and this");
    });
    REQUIRE(has(end.text, "the user must see this"));
    REQUIRE(has(end.text, "and this"));
    REQUIRE(has(end.text, "paceline"));
  }
}

TEST_CASE("a message is written as it is, not as a format") {
  const auto end = in_child([] {
    ::setenv("PACELINE_LOG", "info", 1);
    log::write(log::Level::info, "{} {0} %s %n {:x}");
    log::report("{} again %d");
  });
  REQUIRE(end.exit_code == 0);
  REQUIRE(has(end.text, "{} {0} %s %n {:x}"));
  REQUIRE(has(end.text, "{} again %d"));
}

TEST_CASE("a message with zero bytes and of any length is written whole") {
  const auto end = in_child([] {
    ::setenv("PACELINE_LOG", "info", 1);
    log::write(log::Level::info, std::string_view("begin\0end", 9));
    log::write(log::Level::info, std::string(100'000, 'x'));
  });
  REQUIRE(has(end.text, "end"));
  REQUIRE(has(end.text, std::string(100'000, 'x').c_str()));
}
