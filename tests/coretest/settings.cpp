// SPDX-License-Identifier: BSL-1.0
#include "settings.hpp"

#include <array>
#include <charconv>
#include <cmath>
#include <limits>
#include <utility>

#include <spdlog/fmt/fmt.h>

namespace coretest {

namespace {

constexpr std::array<std::pair<Mutant, std::string_view>, 11> kMutants = {{
    {Mutant::none, "none"},
    {Mutant::no_rearm_on_release, "no_rearm_on_release"},
    {Mutant::clear_after_run, "clear_after_run"},
    {Mutant::no_summary_recheck, "no_summary_recheck"},
    {Mutant::summary_only_if_word_zero, "summary_only_if_word_zero"},
    {Mutant::no_park_recheck, "no_park_recheck"},
    {Mutant::trust_late_wake, "trust_late_wake"},
    {Mutant::drop_wake, "drop_wake"},
    {Mutant::double_run, "double_run"},
    {Mutant::leak_descriptor, "leak_descriptor"},
    {Mutant::skip_rearm_sometimes, "skip_rearm_sometimes"},
}};

template <class Enum, std::size_t N>
Enum parse_word(std::string_view what, std::string_view text,
                const std::array<std::pair<Enum, std::string_view>, N>& words) {
  std::string known;
  for (const auto& [value, name] : words) {
    if (name == text) return value;
    known += known.empty() ? "" : ", ";
    known += name;
  }
  throw UsageError(fmt::format("{} takes one of {}, not '{}'", what, known, text));
}

constexpr std::array<std::pair<Chaos, std::string_view>, 3> kChaos = {
    {{Chaos::off, "off"}, {Chaos::light, "light"}, {Chaos::heavy, "heavy"}}};
constexpr std::array<std::pair<Parks, std::string_view>, 4> kParks = {
    {{Parks::product, "product"},
     {Parks::timed, "timed"},
     {Parks::infinite, "infinite"},
     {Parks::simulated, "simulated"}}};

template <class Enum, std::size_t N>
std::string_view name_in(const std::array<std::pair<Enum, std::string_view>, N>& words,
                         Enum value) noexcept {
  for (const auto& [known, name] : words) {
    if (known == value) return name;
  }
  return "?";
}

Sabotage parse_sabotage(std::string_view text) {
  const std::size_t slash = text.find('/');
  Sabotage sabotage;
  sabotage.mutant = parse_word("planted", text.substr(0, slash), kMutants);
  if (slash != std::string_view::npos) {
    sabotage.rate = parse_number("planted", text.substr(slash + 1), 1,
                                 std::numeric_limits<std::uint64_t>::max());
  }
  return sabotage;
}

/// The parts of a replay string are separated by commas: they are written as %2c inside.
std::string without_commas(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    if (c == ',' || c == '%') {
      safe += c == ',' ? "%2c" : "%25";
    } else {
      safe += c;
    }
  }
  return safe;
}

std::string with_commas(std::string_view text) {
  std::string plain;
  for (std::size_t i = 0; i < text.size(); ++i) {
    const std::string_view code = text.substr(i, 3);
    const bool coded = code == "%2c" || code == "%25";
    plain += code == "%2c" ? ',' : text[i];
    if (coded) i += 2;
  }
  return plain;
}

}  // namespace

std::string_view to_string(Chaos chaos) noexcept { return name_in(kChaos, chaos); }
std::string_view to_string(Parks parks) noexcept { return name_in(kParks, parks); }
std::string_view to_string(Mutant mutant) noexcept { return name_in(kMutants, mutant); }

std::uint64_t parse_number(std::string_view what, std::string_view text, std::uint64_t least,
                           std::uint64_t most) {
  std::uint64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || at != end || value < least || value > most) {
    throw UsageError(
        fmt::format("{} takes a whole number from {} to {}, not '{}'", what, least, most, text));
  }
  return value;
}

double parse_seconds(std::string_view what, std::string_view text) {
  constexpr double kMost = 7 * 24 * 3600;
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [at, error] = std::from_chars(text.data(), end, value);
  if (text.empty() || error != std::errc() || at != end || !(value > 0) || value > kMost) {
    throw UsageError(
        fmt::format("{} takes seconds, above 0 and up to {}, not '{}'", what, kMost, text));
  }
  return value;
}

std::uint64_t parse_seed(std::string_view what, std::string_view text) {
  const bool hex = text.starts_with("0x") || text.starts_with("0X");
  const std::string_view digits = hex ? text.substr(2) : text;
  std::uint64_t value = 0;
  const char* end = digits.data() + digits.size();
  const auto [at, error] = std::from_chars(digits.data(), end, value, hex ? 16 : 10);
  if (digits.empty() || error != std::errc() || at != end) {
    throw UsageError(
        fmt::format("{} takes a 64-bit number, 0x... or decimal, not '{}'", what, text));
  }
  return value;
}

Chaos parse_chaos(std::string_view text) { return parse_word("--chaos", text, kChaos); }

std::string to_replay(const Settings& s) {
  std::string text = fmt::format("{},seed={:#x}", s.scenario, s.seed);
  if (s.workers != 0) text += fmt::format(",workers={}", s.workers);
  if (!s.topology.empty()) text += fmt::format(",topology={}", without_commas(s.topology));
  if (s.duration_s != 0) text += fmt::format(",duration={}", s.duration_s);
  if (s.iterations != 0) text += fmt::format(",iterations={}", s.iterations);
  if (s.tasks != 0) text += fmt::format(",tasks={}", s.tasks);
  if (s.chaos != Chaos::off) text += fmt::format(",chaos={}", to_string(s.chaos));
  if (s.parks != Parks::product) text += fmt::format(",parks={}", to_string(s.parks));
  if (s.sabotage.mutant != Mutant::none) {
    text += fmt::format(",planted={}/{}", to_string(s.sabotage.mutant), s.sabotage.rate);
  }
  if (s.classic) text += ",classic=1";
  return text;
}

Settings from_replay(std::string_view text) {
  Settings s;
  bool first = true;
  while (first || !text.empty()) {
    const std::size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
    if (first) {
      s.scenario = std::string(part);
      first = false;
      continue;
    }
    const std::size_t equals = part.find('=');
    const std::string_view key = part.substr(0, equals);
    const std::string_view value =
        equals == std::string_view::npos ? std::string_view() : part.substr(equals + 1);
    constexpr auto kAny = std::numeric_limits<std::uint64_t>::max();
    if (key == "seed") {
      s.seed = parse_seed("seed", value);
    } else if (key == "workers") {
      s.workers = static_cast<unsigned>(parse_number("workers", value, 1, 1024));
    } else if (key == "topology") {
      s.topology = with_commas(value);
    } else if (key == "duration") {
      s.duration_s = parse_seconds("duration", value);
    } else if (key == "iterations") {
      s.iterations = parse_number("iterations", value, 1, kAny);
    } else if (key == "tasks") {
      s.tasks = parse_number("tasks", value, 1, 100'000'000);
    } else if (key == "chaos") {
      s.chaos = parse_word("chaos", value, kChaos);
    } else if (key == "parks") {
      s.parks = parse_word("parks", value, kParks);
    } else if (key == "planted") {
      s.sabotage = parse_sabotage(value);
    } else if (key == "classic") {
      s.classic = parse_number("classic", value, 0, 1) != 0;
    } else {
      throw UsageError(fmt::format("a replay string has no '{}'; it looks like {}", key,
                                   "ring,seed=0x2a,workers=2,duration=6"));
    }
  }
  if (s.parks == Parks::simulated && s.chaos != Chaos::off) {
    throw UsageError("a replay string has parks=simulated or chaos, not both");
  }
  // A disturbed or planted run needs a probed twin; by hand the choice may be left out.
  if (s.parks == Parks::product && (s.chaos != Chaos::off || s.sabotage.mutant != Mutant::none)) {
    s.parks = Parks::infinite;
  }
  return s;
}

}  // namespace coretest
