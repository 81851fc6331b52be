// SPDX-License-Identifier: BSL-1.0
// Formatting of numbers and file names.
#include "text.hpp"

#include <cstdio>

namespace tree_index {

namespace {

std::string format(const char* pattern, double value) {
  char buffer[64];
  const int length = std::snprintf(buffer, sizeof buffer, pattern, value);
  return {buffer, static_cast<std::size_t>(length)};
}

std::string hex(const char* pattern, unsigned value) {
  char buffer[16];
  const int length = std::snprintf(buffer, sizeof buffer, pattern, value);
  return {buffer, static_cast<std::size_t>(length)};
}

unsigned byte(char c) { return static_cast<unsigned char>(c); }
bool is_control(char c) { return byte(c) < 0x20 || c == 0x7f; }

/// Length of the well-formed UTF-8 sequence that `text` starts with; 0 if there is none. Rejects
/// overlong forms, surrogates and what lies above U+10FFFF.
std::size_t utf8_length(std::string_view text) {
  const unsigned first = byte(text[0]);
  if (first < 0x80) return 1;
  const std::size_t length = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
  if (first < 0xc2 || first > 0xf4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if (byte(text[i]) >> 6 != 2) return 0;
  }
  const unsigned second = byte(text[1]);
  if (first == 0xe0 && second < 0xa0) return 0;
  if (first == 0xed && second > 0x9f) return 0;
  if (first == 0xf0 && second < 0x90) return 0;
  if (first == 0xf4 && second > 0x8f) return 0;
  return length;
}

}  // namespace

std::string grouped(std::uint64_t number) {
  std::string digits = std::to_string(number);
  for (std::size_t at = digits.size(); at > 3; at -= 3) digits.insert(at - 3, 1, ',');
  return digits;
}

std::string megabytes(std::uint64_t bytes) {
  return format("%.1f MB", static_cast<double>(bytes) / 1e6);
}

std::string per_second(std::uint64_t amount, double seconds) {
  if (seconds <= 0) return "0";
  return grouped(static_cast<std::uint64_t>(static_cast<double>(amount) / seconds));
}

std::string brief(std::chrono::nanoseconds time) {
  const auto ns = static_cast<double>(time.count());
  if (ns < 1e3) return format("%.0f ns", ns);
  if (ns < 1e6) return format("%.1f us", ns / 1e3);
  if (ns < 1e9) return format("%.2f ms", ns / 1e6);
  return format("%.2f s", ns / 1e9);
}

std::string left(std::string_view text, std::size_t width) {
  std::string padded(text);
  if (padded.size() < width) padded.append(width - padded.size(), ' ');
  return padded;
}

std::string right(std::string_view text, std::size_t width) {
  return text.size() < width ? std::string(width - text.size(), ' ').append(text)
                             : std::string(text);
}

std::string printable(std::string_view name) {
  std::string result;
  for (const char c : name) {
    if (c == '\n') {
      result += "\\n";
    } else if (c == '\t') {
      result += "\\t";
    } else if (is_control(c)) {
      result += hex("\\x%02x", byte(c));
    } else {
      result += c;
    }
  }
  return result;
}

std::string quoted(std::string_view name) {
  std::string result = "\"";
  while (!name.empty()) {
    const char c = name[0];
    const std::size_t length = utf8_length(name);
    if (c == '"' || c == '\\') {
      result += '\\';
      result += c;
    } else if (length == 0) {
      result += hex("\\u%04x", 0xdc00 + byte(c));
    } else if (is_control(c)) {
      result += hex("\\u%04x", byte(c));
    } else {
      result += name.substr(0, length);
    }
    name.remove_prefix(length == 0 ? 1 : length);
  }
  return result + "\"";
}

}  // namespace tree_index
