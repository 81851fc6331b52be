// SPDX-License-Identifier: BSL-1.0
#include "trace/log.hpp"

#include <cstdlib>
#include <memory>

#include <spdlog/sinks/stdout_sinks.h>
#include <spdlog/spdlog.h>

namespace paceline::core::log {

namespace {

spdlog::level::level_enum level_from_environment() noexcept {
  // secure_getenv: a set-user-id program does not take instructions from its caller's environment.
  const char* text = ::secure_getenv("PACELINE_LOG");
  const std::string_view wanted = text == nullptr ? "" : text;
  if (wanted == "debug") return spdlog::level::debug;
  if (wanted == "info") return spdlog::level::info;
  if (wanted == "warn") return spdlog::level::warn;
  if (wanted == "error") return spdlog::level::err;
  return spdlog::level::off;
}

spdlog::level::level_enum to_spdlog(Level level) noexcept {
  switch (level) {
    case Level::debug: return spdlog::level::debug;
    case Level::info: return spdlog::level::info;
    case Level::warn: return spdlog::level::warn;
    case Level::error: return spdlog::level::err;
  }
  return spdlog::level::err;
}

/// Not registered with spdlog: the application's registry is the application's. Leaked: workers of
/// a detached runtime may still write while the process exits.
spdlog::logger& logger() {
  static spdlog::logger& instance = [&]() -> spdlog::logger& {
    auto* made = new spdlog::logger("paceline", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    made->set_level(level_from_environment());
    made->set_pattern("[%Y-%m-%d %H:%M:%S.%f] [%n] [%l] [thread %t] %v");
    return *made;
  }();
  return instance;
}

spdlog::level::level_enum threshold() noexcept {
  static const auto level = level_from_environment();
  return level;
}

}  // namespace

bool enabled(Level level) noexcept { return to_spdlog(level) >= threshold(); }

void write(Level level, std::string_view message) noexcept {
  if (!enabled(level)) return;
  try {
    logger().log(to_spdlog(level), "{}", message);
  } catch (...) {
    // Out of memory while logging: the message is lost, the runtime is not.
  }
}

void report(std::string_view message) noexcept {
  try {
    static auto* always =
        new spdlog::logger("paceline", std::make_shared<spdlog::sinks::stderr_sink_mt>());
    [[maybe_unused]] static const bool set = [] {
      always->set_pattern("[%n] [%l] %v");
      always->set_level(spdlog::level::err);
      return true;
    }();
    always->error("{}", message);
  } catch (...) {
  }
}

}  // namespace paceline::core::log
