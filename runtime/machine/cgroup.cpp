// SPDX-License-Identifier: BSL-1.0
#include "machine/cgroup.hpp"

#include <algorithm>
#include <charconv>
#include <cstdint>
#include <fstream>
#include <sstream>

namespace paceline::core::machine::cgroup {

namespace {

std::optional<std::string> read_line(const std::string& path) {
  std::ifstream file(path);
  std::string line;
  if (!file || !std::getline(file, line)) return std::nullopt;
  return line;
}

/// A whole token as a number, whatever the locale. The system writes whole microseconds.
std::optional<double> number(const std::string& text) {
  std::int64_t value = 0;
  const char* end = text.data() + text.size();
  const auto [stopped, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || stopped != end) return std::nullopt;
  return static_cast<double>(value);
}

std::optional<double> ratio(const std::string& quota, const std::string& period) {
  const auto granted = number(quota);
  const auto per = number(period);
  if (!granted || !per || !(*granted > 0) || !(*per > 0)) return std::nullopt;
  return *granted / *per;
}

std::optional<double> limit_v1(const std::string& directory) {
  const auto quota = read_line(directory + "/cpu.cfs_quota_us");
  const auto period = read_line(directory + "/cpu.cfs_period_us");
  return quota && period ? ratio(*quota, *period) : std::nullopt;
}

std::optional<double> limit_v2(const std::string& directory) {
  const auto text = read_line(directory + "/cpu.max");
  return text ? parse_cpu_max(*text) : std::nullopt;
}

std::optional<double> tighter(std::optional<double> a, std::optional<double> b) {
  if (!a) return b;
  if (!b) return a;
  return std::min(*a, *b);
}

/// Asks `limit` for every directory from mount + path up to mount.
template <class Limit>
std::optional<double> tightest_above(const std::string& mount, std::string path, Limit limit) {
  std::optional<double> found;
  for (;;) {
    found = tighter(found, limit(mount + path));
    const auto slash = path.find_last_of('/');
    if (path.empty() || slash == std::string::npos) return found;
    path.erase(slash);
  }
}

}  // namespace

std::optional<double> parse_cpu_max(const std::string& text) {
  std::istringstream in(text);
  std::string quota, period;
  if (!(in >> quota >> period)) return std::nullopt;
  return ratio(quota, period);  // "max" is no number: unlimited
}

std::optional<double> cpu_quota(const std::string& membership, const std::string& mount) {
  std::ifstream file(membership);
  std::optional<double> found;
  // Lines are "id:controllers:path"; version 2 has id 0 and no controllers.
  for (std::string line; std::getline(file, line);) {
    const auto first = line.find(':');
    const auto second = first == std::string::npos ? first : line.find(':', first + 1);
    if (second == std::string::npos) continue;
    const std::string controllers =
        std::string(",").append(line, first + 1, second - first - 1).append(",");
    const std::string path = line.substr(second + 1);
    if (controllers == ",,") {
      found = tighter(found, tightest_above(mount, path, limit_v2));
    } else if (controllers.find(",cpu,") != std::string::npos) {
      found = tighter(found, tightest_above(mount + "/cpu", path, limit_v1));
    }
  }
  return found;
}

}  // namespace paceline::core::machine::cgroup
