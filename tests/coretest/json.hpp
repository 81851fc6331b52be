// SPDX-License-Identifier: BSL-1.0
// JSON objects, written in order, one per line. Numbers come as text that is a JSON number already.
#pragma once

#include <string>
#include <string_view>

#include <spdlog/fmt/fmt.h>

namespace coretest {

inline std::string json_string(std::string_view text) {
  std::string out = "\"";
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += c;
    } else if (byte < 0x20 || byte >= 0x7f) {
      // What a child wrote before it crashed need not be UTF-8.
      out += fmt::format("\\u{:04x}", static_cast<unsigned>(byte));
    } else {
      out += c;
    }
  }
  return out += '"';
}

class JsonObject {
 public:
  JsonObject& raw(std::string_view key, std::string_view json) {
    text_ += text_.empty() ? "{" : ", ";
    text_ += json_string(key);
    text_ += ": ";
    text_ += json;
    return *this;
  }
  JsonObject& text(std::string_view key, std::string_view value) {
    return raw(key, json_string(value));
  }
  template <class Number>
  JsonObject& number(std::string_view key, Number value) {
    return raw(key, fmt::format("{}", value));
  }
  JsonObject& yes(std::string_view key, bool value) { return raw(key, value ? "true" : "false"); }
  template <class Range>
  JsonObject& texts(std::string_view key, const Range& values) {
    std::string list;
    for (const auto& value : values) {
      list += list.empty() ? "" : ", ";
      list += json_string(value);
    }
    return raw(key, "[" + list + "]");
  }
  std::string str() const { return text_.empty() ? "{}" : text_ + "}"; }

 private:
  std::string text_;
};

}  // namespace coretest
