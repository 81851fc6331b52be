// SPDX-License-Identifier: BSL-1.0
// Proves what can be proved about words: names in memory-order comments exist, and tests are named
// as sentences.
#include <iterator>
#include <regex>

#include "tidy/tree.hpp"

using namespace paceline_tidy;

namespace {

/// The text of all comment lines, joined where a sentence goes on.
std::string comments_of(const File& file) {
  std::string joined;
  for (const std::string& line : file.lines()) {
    const std::size_t at = line.find("//");
    if (at == std::string::npos) {
      joined += "\n";
      continue;
    }
    const std::size_t text = line.find_first_not_of("/ ", at);
    joined += text == std::string::npos ? "\n" : line.substr(text) + " ";
  }
  return joined;
}

/// What stands between "Pairs:" and the end of its sentence, once for each.
std::vector<std::string> pairs_in(const File& file) {
  static const std::regex form(R"(Pairs: ([^.:\n]*(::[^.:\n]*)*))");
  const std::string text = comments_of(file);
  std::vector<std::string> found;
  for (std::sregex_iterator at(text.begin(), text.end(), form), end; at != end; ++at) {
    found.push_back((*at)[1]);
  }
  return found;
}

/// The functions that a "Pairs:" clause names. An item of one word is a name, also with "()" or in
/// the genitive ("wake_seat's CAS"); other items are prose.
std::vector<std::string> names_in(const std::string& clause) {
  std::vector<std::string> names;
  std::istringstream items(clause);
  for (std::string item; std::getline(items, item, ',');) {
    std::istringstream words(item);
    std::vector<std::string> all;
    for (std::string word; words >> word;) all.push_back(word);
    if (all.empty()) continue;
    std::string name = all.size() > 1 && all[0] == "and" ? all[1] : all[0];
    const bool one_word = all.size() == (all[0] == "and" ? 2u : 1u);
    const bool marked = name.find('_') != std::string::npos ||
                        name.find("::") != std::string::npos ||
                        name.find("()") != std::string::npos;
    if (!one_word && !marked) continue;
    for (const char* tail : {"()", "'s"}) {
      const std::size_t at = name.find(tail);
      if (at != std::string::npos) name.erase(at);
    }
    const std::size_t scope = name.rfind("::");
    names.push_back(scope == std::string::npos ? name : name.substr(scope + 2));
  }
  return names;
}

bool is_function(const std::string& name, const std::string& code) {
  return std::regex_search(code, std::regex("\\b" + name + "\\s*\\("));
}

/// Names of the test cases in a file, literal by literal.
std::vector<std::string> test_names(const File& file) {
  static const std::regex form(
      R"re(\b(?:TEST_CASE|SCENARIO|TEMPLATE_TEST_CASE)\s*\(\s*((?:"[^"]*"\s*)+))re");
  std::vector<std::string> names;
  for (std::sregex_iterator at(file.text.begin(), file.text.end(), form), end; at != end; ++at) {
    std::string name = (*at)[1];
    name = std::regex_replace(name, std::regex("\"\\s*\""), "");
    names.push_back(std::regex_replace(name, std::regex("^\"|\"\\s*$"), ""));
  }
  return names;
}

Complaints check_test_names(const File& file) {
  Complaints found;
  for (const std::string& name : test_names(file)) {
    std::istringstream words(name);
    const auto count = std::distance(std::istream_iterator<std::string>(words), {});
    if (count < 4) found.push_back(file.path + ": \"" + name + "\" is not a sentence");
  }
  return found;
}

}  // namespace

TEST_CASE("every function that a memory-order comment pairs with exists") {
  std::string code;
  for (const char* folder : {"runtime/", "include/"}) {
    for (const File& file : cpp_files(folder)) code += code_only(file.text) + "\n";
  }
  std::size_t names = 0;
  Complaints missing;
  for (const char* folder : {"runtime/", "include/"}) {
    for (const File& file : cpp_files(folder)) {
      for (const std::string& clause : pairs_in(file)) {
        for (const std::string& name : names_in(clause)) {
          ++names;
          if (!is_function(name, code)) missing.push_back(file.path + ": Pairs: " + name);
        }
      }
    }
  }
  REQUIRE(names > 20);
  std::string message;
  for (const std::string& complaint : missing) message += "\n  " + complaint;
  INFO("no such function:" << message);
  REQUIRE(missing.empty());
}

TEST_CASE("every test case is named as a sentence of four words or more") {
  std::size_t cases = 0;
  for (const File& file : cpp_files("tests/")) cases += test_names(file).size();
  REQUIRE(cases > 200);
  std::vector<File> files;
  for (const File& file : cpp_files("tests/")) {
    // This file's own planted names are no test cases.
    if (file.path.find("tidy/words_test.cpp") == std::string::npos) files.push_back(file);
  }
  require_clean(files, check_test_names);
}

TEST_CASE("no two test cases of one folder have the same name") {
  std::set<std::string> seen;
  for (const File& file : cpp_files("tests/")) {
    if (file.path.find("tidy/words_test.cpp") != std::string::npos) continue;
    const std::string folder = std::filesystem::path(file.path).parent_path().string();
    for (const std::string& name : test_names(file)) {
      INFO(file.path << ": " << name);
      REQUIRE(seen.insert(folder + ": " + name).second);
    }
  }
}

TEST_CASE("the word checks read clauses and names as they are meant") {
  using Names = std::vector<std::string>;
  const auto names = [](const char* comment) {
    const auto clauses = pairs_in({"a.hpp", comment});
    REQUIRE(clauses.size() == 1);
    return names_in(clauses[0]);
  };
  REQUIRE(names("// Acquire. Pairs: admit, pause, pause_yielding. Without: x.\n") ==
          Names{"admit", "pause", "pause_yielding"});
  REQUIRE(names("// Pairs: try_start, as in pause.\n") == Names{"try_start"});
  REQUIRE(names("// Pairs: wake_seat's CAS. A token\n") == Names{"wake_seat"});
  REQUIRE(names("// Pairs: complete(). Publishes\n") == Names{"complete"});
  REQUIRE(names("// Pairs: RuntimeCore::quiescent, which must\n// not see. \n") ==
          Names{"quiescent"});
  REQUIRE(names("// Pairs: a waker's or a dump's load. P\n").empty());
  REQUIRE(names("// Pairs: notify,\n// absorb, and steal.\n") ==
          Names{"notify", "absorb", "steal"});
  REQUIRE(is_function("notify", "Word notify(unsigned index)"));
  REQUIRE_FALSE(is_function("notify", "Word notify_home(unsigned index)"));
  const File two{"t.cpp", "TEST_CASE(\"one two three\") {}\nTEST_CASE(\"a \"\n   \"b c d\") {}\n"};
  REQUIRE(test_names(two) == Names{"one two three", "a b c d"});
  REQUIRE(check_test_names(two).size() == 1);
}
