// SPDX-License-Identifier: BSL-1.0
// Proves that docs/memory-model.md and the code point at each other: every memory order stronger
// than relaxed has a tag of the table, and every file that a row names uses the row's tag.
#include <fstream>
#include <map>
#include <regex>

#include "tidy/tree.hpp"

using namespace paceline_tidy;

namespace {

using Tags = std::set<std::string>;

const std::regex kStrong(R"(\bmemory_order_(acquire|release|acq_rel|seq_cst)\b)");
const std::regex kTag(R"(\bM[1-9]\d?\b)");

/// The atomics seam names every order and uses none.
bool is_shared_memory_code(const File& file) {
  return !file.under("runtime/base/") && file.path != "include/paceline/detail/atomic.hpp";
}

Tags tags_in(const std::string& text) {
  return Tags(std::sregex_token_iterator(text.begin(), text.end(), kTag), {});
}

std::string comment_of(const std::string& line) {
  const std::size_t at = line.find("//");
  return at == std::string::npos ? "" : line.substr(at);
}

/// A tag stands in a comment on the line of the order or right above its statement.
constexpr std::size_t kNear = 3;

Complaints check_tagged(const File& file, const Tags& known) {
  Complaints found;
  const auto lines = file.lines();
  const auto code = File{file.path, code_only(file.text)}.lines();
  for (std::size_t n = 0; n < lines.size(); ++n) {
    if (!std::regex_search(code[n], kStrong)) continue;
    Tags tags = tags_in(comment_of(lines[n]));
    for (std::size_t up = 1; tags.empty() && up <= kNear && up <= n; ++up) {
      tags = tags_in(comment_of(lines[n - up]));
    }
    const std::string where = file.path + ":" + std::to_string(n + 1) + ": ";
    if (tags.empty()) found.push_back(where + "a memory order without a tag of the memory model");
    for (const std::string& tag : tags) {
      if (known.count(tag) == 0) {
        found.push_back(where + tag + " is not in docs/memory-model.md");
      }
    }
  }
  return found;
}

/// The rows of the tables: tag to text.
std::map<std::string, std::string> rows_of(const std::string& page) {
  std::map<std::string, std::string> rows;
  static const std::regex row(R"(^\| (M\d+) \|(.*)$)");
  for (const std::string& line : File{"", page}.lines()) {
    std::smatch match;
    if (std::regex_match(line, match, row)) rows[match[1]] += match[2];
  }
  return rows;
}

Complaints check_row(const std::string& tag, const std::string& text,
                     const std::vector<File>& files) {
  static const std::regex path(R"(`((?:runtime|include)/[\w/]+\.[ch]pp)`)");
  Complaints found;
  Tags named;
  for (std::sregex_iterator at(text.begin(), text.end(), path), end; at != end; ++at) {
    named.insert((*at)[1]);
  }
  if (named.empty()) found.push_back(tag + ": names no file");
  for (const std::string& name : named) {
    const auto file = std::find_if(files.begin(), files.end(),
                                   [&](const File& candidate) { return candidate.path == name; });
    if (file == files.end()) {
      found.push_back(tag + ": there is no " + name);
    } else if (tags_in(file->text).count(tag) == 0) {
      found.push_back(tag + ": " + name + " does not use the tag");
    }
  }
  return found;
}

std::vector<File> shared_memory_files() {
  std::vector<File> chosen;
  for (const char* folder : {"runtime/", "include/"}) {
    for (File& file : cpp_files(folder)) {
      if (is_shared_memory_code(file)) chosen.push_back(std::move(file));
    }
  }
  return chosen;
}

std::map<std::string, std::string> memory_model() {
  std::ifstream in(std::string(PACELINE_SOURCE_ROOT) + "/docs/memory-model.md");
  return rows_of({std::istreambuf_iterator<char>(in), {}});
}

}  // namespace

TEST_CASE("every memory order has a tag of the memory model") {
  Tags known;
  for (const auto& [tag, text] : memory_model()) known.insert(tag);
  REQUIRE(known.size() > 20);
  require_clean(shared_memory_files(), [&](const File& file) { return check_tagged(file, known); });
}

TEST_CASE("every row of the memory model names files that use its tag") {
  const auto files = shared_memory_files();
  Complaints all;
  for (const auto& [tag, text] : memory_model()) {
    const Complaints some = check_row(tag, text, files);
    all.insert(all.end(), some.begin(), some.end());
  }
  std::string message;
  for (const std::string& complaint : all) message += "\n  " + complaint;
  INFO(message);
  REQUIRE(all.empty());
}

TEST_CASE("the order checks complain about what they should") {
  const auto bad = [](const char* text) {
    return check_tagged({"runtime/exec/x.cpp", text}, {"M1", "M2"}).size();
  };
  REQUIRE(bad("a.load(std::memory_order_acquire);\n") == 1);
  REQUIRE(bad("a.load(std::memory_order_acquire);  // M1\n") == 0);
  REQUIRE(bad("// Release. M2\na.store(\n    1, std::memory_order_release);\n") == 0);
  REQUIRE(bad("// M1\n\n\n\n\na.store(1, std::memory_order_release);\n") == 1);
  REQUIRE(bad("a.load(std::memory_order_acquire);  // M77\n") == 1);
  REQUIRE(bad("a.load(std::memory_order_relaxed);\n// std::memory_order_acquire\n") == 0);

  const std::vector<File> files{{"runtime/a/b.cpp", "x;  // M1\n"}};
  REQUIRE(check_row("M1", "`runtime/a/b.cpp`", files).empty());
  REQUIRE(check_row("M2", "`runtime/a/b.cpp`", files).size() == 1);
  REQUIRE(check_row("M1", "`runtime/a/gone.cpp`", files).size() == 1);
  REQUIRE(check_row("M1", "nothing", files).size() == 1);
  REQUIRE(rows_of("| M1 | a | b |\n| | head |\n| M12 | c |\n").size() == 2);
}
