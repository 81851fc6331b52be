// SPDX-License-Identifier: BSL-1.0
// Proves the outward shape of the source: licence line, length, tabs, marks of unfinished work,
// macros in public headers, and a construct that g++ 12 miscompiles.
#include <regex>

#include "tidy/tree.hpp"

using namespace paceline_tidy;

namespace {

constexpr std::size_t kMostLines = 500;

Complaints check_licence(const File& file) {
  const std::string id = "SPDX-License-Identifier: BSL-1.0";
  const auto lines = file.lines();
  const bool script = file.has_extension({".py", ".sh"});
  const std::string wanted = (script ? "# " : "// ") + id;
  if (!lines.empty() && lines[0] == wanted) return {};
  if (script && lines.size() > 1 && lines[0].rfind("#!", 0) == 0 && lines[1] == wanted) return {};
  return {file.path + ": does not open with '" + wanted + "'"};
}

Complaints check_length(const File& file) {
  const std::size_t lines = file.lines().size();
  if (lines <= kMostLines) return {};
  return {file.path + ": has " + std::to_string(lines) + " lines, the most is " +
          std::to_string(kMostLines) + "; split it by noun"};
}

Complaints check_characters(const File& file) {
  Complaints found;
  std::size_t number = 0;
  for (const std::string& line : file.lines()) {
    ++number;
    const std::string where = file.path + ":" + std::to_string(number) + ": ";
    // Go is indented with tabs by its own formatter.
    if (line.find('\t') != std::string::npos && !file.has_extension({".go"})) {
      found.push_back(where + "has a tab");
    }
    if (line.find('\r') != std::string::npos)
      found.push_back(where + "ends with a carriage return");
    if (!line.empty() && line.back() == ' ') found.push_back(where + "ends with a space");
  }
  if (!file.text.empty() && file.text.back() != '\n') {
    found.push_back(file.path + ": does not end with a new line");
  }
  return found;
}

Complaints check_unfinished(const File& file) {
  // Written in two parts, or this file would complain about itself.
  static const std::regex marks(std::string("\\b(TO") + "DO|FIX" + "ME|X" + "XX|HA" + "CK)\\b");
  Complaints found;
  std::size_t number = 0;
  for (const std::string& line : file.lines()) {
    ++number;
    if (std::regex_search(line, marks)) {
      found.push_back(file.path + ":" + std::to_string(number) + ": marks unfinished work");
    }
  }
  return found;
}

Complaints check_macros(const File& file) {
  static const std::regex define(R"(^\s*#\s*define\s+(\w+))");
  Complaints found;
  std::size_t number = 0;
  for (const std::string& line : file.lines()) {
    ++number;
    std::smatch match;
    if (!std::regex_search(line, match, define)) continue;
    found.push_back(file.path + ":" + std::to_string(number) + ": defines the macro " +
                    match[1].str() + " in a public header");
  }
  return found;
}

/// The text between the parenthesis at `open` and its match.
std::string inside_parentheses(const std::string& code, std::size_t open) {
  int depth = 0;
  for (std::size_t at = open; at < code.size(); ++at) {
    if (code[at] == '(') ++depth;
    if (code[at] == ')' && --depth == 0) return code.substr(open + 1, at - open - 1);
  }
  return {};
}

/// The condition within the parentheses of a statement; empty for a range-based for.
std::string condition_of(const std::string& keyword, const std::string& inside) {
  std::vector<std::string> parts(1);
  int depth = 0;
  for (const char c : inside) {
    depth += c == '(' || c == '{' || c == '[' ? 1 : 0;
    depth -= c == ')' || c == '}' || c == ']' ? 1 : 0;
    if (c == ';' && depth == 0) {
      parts.emplace_back();
    } else {
      parts.back() += c;
    }
  }
  if (keyword == "for") return parts.size() == 3 ? parts[1] : "";
  return parts.back();
}

/// g++ 12 numbers the suspension points of a coroutine wrongly if it awaits in the condition of a
/// statement: the first resumption repeats the initial suspension. A declared result is fine.
Complaints check_awaits_in_conditions(const File& file) {
  static const std::regex statement(R"(\b(if|while|switch|for)\s*(constexpr\s*)?\()");
  static const std::regex declaration(R"(^[\s\w:<>,&*\[\]]+[\s&*\]]\w*\]?\s*=[^=])");
  Complaints found;
  const std::string code = code_only(file.text);
  for (std::sregex_iterator at(code.begin(), code.end(), statement), end; at != end; ++at) {
    const auto open = static_cast<std::size_t>(at->position() + at->length() - 1);
    const std::string condition = condition_of((*at)[1], inside_parentheses(code, open));
    // Naming the operator awaits nothing.
    static const std::regex operator_name(R"(operator\s+co_await)");
    const std::string awaits = std::regex_replace(condition, operator_name, "");
    if (awaits.find("co_await") == std::string::npos) continue;
    if (std::regex_search(condition, declaration)) continue;
    found.push_back(file.path + ":" + std::to_string(line_of(code, open)) +
                    ": awaits in a condition, which g++ 12 miscompiles: name the result first");
  }
  return found;
}

std::vector<File> all() { return tree(); }

}  // namespace

TEST_CASE("every source file opens with the licence line") {
  REQUIRE(tree().size() > 100);
  require_clean(all(), check_licence);
}

TEST_CASE("no source file has more than five hundred lines") { require_clean(all(), check_length); }

TEST_CASE("no source file has tabs or trailing blanks or foreign line ends") {
  require_clean(all(), check_characters);
}

TEST_CASE("no source file marks unfinished work") { require_clean(all(), check_unfinished); }

TEST_CASE("public headers define no macro at all") {
  require_clean(cpp_files("include/"), check_macros);
}

TEST_CASE("no coroutine awaits in the condition of a statement") {
  std::vector<File> files;
  for (const File& file : tree()) {
    if (file.has_extension(kCpp)) files.push_back(file);
  }
  require_clean(files, check_awaits_in_conditions);
}

TEST_CASE("the shape checks complain about what they should") {
  REQUIRE(check_licence({"a.cpp", "// SPDX-License-Identifier: BSL-1.0\nint x;\n"}).empty());
  REQUIRE(check_licence({"a.cpp", "int x;\n"}).size() == 1);
  REQUIRE(check_licence({"a.cpp", "// SPDX-License-Identifier: MIT\n"}).size() == 1);
  REQUIRE(check_licence({"a.cpp", ""}).size() == 1);
  REQUIRE(check_licence({"a.py", "#!/usr/bin/env python3\n# SPDX-License-Identifier: BSL-1.0\n"})
              .empty());
  REQUIRE(check_licence({"a.py", "print()\n# SPDX-License-Identifier: BSL-1.0\n"}).size() == 1);
  std::string long_text;
  for (std::size_t i = 0; i < kMostLines; ++i) long_text += "x\n";
  REQUIRE(check_length({"a.cpp", long_text}).empty());
  REQUIRE(check_length({"a.cpp", long_text + "x\n"}).size() == 1);
  REQUIRE(check_characters({"a.cpp", "int x;\n"}).empty());
  REQUIRE(check_characters({"a.cpp", "\tint x;\n"}).size() == 1);
  REQUIRE(check_characters({"a.cpp", "int x; \nint y;\r\nint z;"}).size() == 3);
  REQUIRE(check_unfinished({"a.cpp", std::string("// TO") + "DO: later\n"}).size() == 1);
  REQUIRE(check_unfinished({"a.cpp", "mkdtemp(\"name-XXXXXX\");\n"}).empty());
  REQUIRE(check_macros({"a.hpp", "#pragma once\n#if defined(__clang__)\n#endif\n"}).empty());
  REQUIRE(check_macros({"a.hpp", "  # define X 1\n"}).size() == 1);
}

TEST_CASE("the await check knows conditions from declarations and bodies") {
  const auto bad = [](const char* text) {
    return check_awaits_in_conditions({"a.cpp", text}).size();
  };
  REQUIRE(bad("if (co_await f() != 1) g();") == 1);
  REQUIRE(bad("while (!co_await f()) g();") == 1);
  REQUIRE(bad("do { g(); } while (co_await f());") == 1);
  REQUIRE(bad("switch (co_await f()) {}") == 1);
  REQUIRE(bad("for (; co_await f();) g();") == 1);
  REQUIRE(bad("if (int n = 1; n == co_await f()) g();") == 1);
  REQUIRE(bad("if (a == b && co_await f()) g();") == 1);
  REQUIRE(bad("if (auto v = co_await f()) g(v);") == 0);
  REQUIRE(bad("while (const auto v = co_await f()) g(v);") == 0);
  REQUIRE(bad("if (int v = co_await f(); v != 1) g();") == 0);
  REQUIRE(bad("for (auto v = co_await f(); v; v = co_await f()) g();") == 0);
  REQUIRE(bad("for (int x : co_await f()) g(x);") == 0);
  REQUIRE(bad("if (ready) co_await f();") == 0);
  REQUIRE(bad("if constexpr (requires { a.operator co_await(); }) g();") == 0);
  REQUIRE(bad("// if (co_await f()) in a comment\n") == 0);
}
