// SPDX-License-Identifier: BSL-1.0
// Proves that docs/testing.md tells the truth: every entry it must have has a proof, and every
// proof it names, a file and a test case in it, exists.
#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <regex>
#include <sstream>
#include <string>
#include <vector>

#include "support/catch.hpp"

namespace {

namespace fs = std::filesystem;

struct Proof {
  std::string file;
  std::string name;
};
/// By the entry it stands under, e.g. "W1".
using Matrix = std::map<std::string, std::vector<Proof>>;

std::string text_of(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

Matrix read_matrix(const std::string& text) {
  static const std::regex entry(R"(\*\*([A-Z]\d+)\*\*)");
  static const std::regex proof(R"re(^- `([^`:]+): "([^`]+)"`$)re");
  Matrix matrix;
  std::string current;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) {
    std::smatch found;
    if (std::regex_match(line, found, proof)) {
      matrix[current].push_back({found[1], found[2]});
    } else if (std::regex_search(line, found, entry)) {
      current = found[1];
      matrix[current];
    } else if (line.rfind("#", 0) == 0) {
      current = "a heading";
    }
  }
  return matrix;
}

/// All string literals of a C++ or Meson file, neighbours joined.
std::vector<std::string> literals(const std::string& text, char quote) {
  std::vector<std::string> all;
  bool joins = false;  // only blanks since the last literal
  for (std::size_t at = 0; at < text.size(); ++at) {
    if (text[at] != quote) {
      joins = joins && (text[at] == ' ' || text[at] == '\n');
      continue;
    }
    std::string literal;
    for (++at; at < text.size() && text[at] != quote && text[at] != '\n'; ++at) {
      if (text[at] == '\\') ++at;
      literal += text[at];
    }
    if (joins) {
      all.back() += literal;
    } else {
      all.push_back(literal);
    }
    joins = true;
  }
  return all;
}

/// The names of the file's test cases; of another file than a test program, its literals.
std::vector<std::string> names_in(const std::string& file, const std::string& text) {
  if (file.size() > 4 && file.compare(file.size() - 4, 4, ".cpp") != 0) return literals(text, '\'');
  if (file.find("_test.cpp") == std::string::npos) return literals(text, '"');
  std::vector<std::string> names;
  static const std::string opening = std::string("TEST_") + "CASE(";  // or we would find ourselves
  for (auto at = text.find(opening); at != std::string::npos; at = text.find(opening, at + 1)) {
    const std::vector<std::string> first = literals(text.substr(at, 300), '"');
    if (!first.empty()) names.push_back(first.front());
  }
  return names;
}

bool exists(const fs::path& root, const Proof& proof) {
  const std::string text = text_of(root / proof.file);
  const std::vector<std::string> names = names_in(proof.file, text);
  return std::find(names.begin(), names.end(), proof.name) != names.end();
}

/// What the runtime promises, and no less.
std::vector<std::string> required() {
  std::vector<std::string> ids;
  for (int i = 1; i <= 17; ++i) ids.push_back("W" + std::to_string(i));
  for (const int i : {1, 2, 3, 4, 6, 7, 10, 13, 16, 24, 25}) ids.push_back("L" + std::to_string(i));
  for (int i = 1; i <= 70; ++i) ids.push_back("S" + std::to_string(i));
  for (int i = 1; i <= 14; ++i) ids.push_back("B" + std::to_string(i));
  for (int i = 1; i <= 4; ++i) ids.push_back("P" + std::to_string(i));
  for (int i = 1; i <= 40; ++i) {
    if (i != 9) ids.push_back("H" + std::to_string(i));  // that one needs another processor
  }
  return ids;
}

const fs::path kRoot = PACELINE_SOURCE_ROOT;

}  // namespace

TEST_CASE("every failure mode, hazard, statement and bad input has a proof") {
  const Matrix matrix = read_matrix(text_of(kRoot / "docs" / "testing.md"));
  for (const std::string& id : required()) {
    INFO("docs/testing.md has no proof under **" << id << "**");
    CHECK((matrix.count(id) == 1 && !matrix.at(id).empty()));
  }
  CHECK(matrix.count("a heading") == 0);
}

TEST_CASE("every proof that docs/testing.md names is a test that exists") {
  const Matrix matrix = read_matrix(text_of(kRoot / "docs" / "testing.md"));
  std::size_t proofs = 0;
  for (const auto& [id, named] : matrix) {
    for (const Proof& proof : named) {
      ++proofs;
      INFO("docs/testing.md, " << id << ": there is no \"" << proof.name << "\" in " << proof.file);
      CHECK(exists(kRoot, proof));
    }
  }
  CHECK(proofs >= required().size());
}

TEST_CASE("no line of docs/testing.md looks like a proof and is not read as one") {
  const std::string text = text_of(kRoot / "docs" / "testing.md");
  const Matrix matrix = read_matrix(text);
  std::size_t proofs = 0;
  for (const auto& [id, named] : matrix) proofs += named.size();
  std::size_t bullets = 0;
  std::istringstream lines(text);
  for (std::string line; std::getline(lines, line);) bullets += line.rfind("- `", 0) == 0 ? 1 : 0;
  CHECK(bullets == proofs);
}

TEST_CASE("the matrix check finds what is missing and reads what is there") {
  const Matrix matrix =
      read_matrix("**W1** words\n- `a_test.cpp: \"one two\"`\n- `b.cpp: \"x\"`\n\n**W2** words\n");
  REQUIRE(matrix.at("W1").size() == 2);
  CHECK(matrix.at("W1")[0].file == "a_test.cpp");
  CHECK(matrix.at("W1")[0].name == "one two");
  CHECK(matrix.at("W2").empty());
  using Names = std::vector<std::string>;
  CHECK(names_in("a_test.cpp", "x(\"no\");\nTEST_CASE(\"a \"\n  \"b\") { f(\"c\"); }") ==
        Names{"a b"});
  CHECK(names_in("a.cpp", "f(\"c\", \"d \\\"e\\\"\");") == Names{"c", "d \"e\""});
  CHECK(names_in("meson.build", "test('x', y)") == Names{"x"});
  CHECK_FALSE(exists(kRoot, {"no/such/file_test.cpp", "one two"}));
  CHECK_FALSE(exists(kRoot, {"tests/unit/docs/matrix_test.cpp", "this test case is not here"}));
  CHECK(exists(kRoot, {"tests/unit/docs/matrix_test.cpp",
                       "the matrix check finds what is missing and reads what is there"}));
}
