// SPDX-License-Identifier: BSL-1.0
// Proves that a type's name means one type. Two of one name in one namespace are not reported by
// compilers, as each file sees one of them; whatever is emitted for both (at -O0 even their
// constructors) is then that of the one which the linker sees first.
#include <map>
#include <regex>

#include "tidy/tree.hpp"

using namespace paceline_tidy;

namespace {

/// The types that a file defines in namespaces with names, in full.
std::set<std::string> types_in(const File& file) {
  static const std::regex opening(R"(^(?:inline )?namespace ?([\w:]*) \{$)");
  static const std::regex closing(R"(^\}  // (?:inline )?namespace.*$)");
  static const std::regex definition(
      R"(^(?:struct|class|union|enum class|enum) (?:\[\[[^\]]*\]\] |alignas\([^)]*\) )*(\w+)(?: final)?(?: :[^:;]*)? \{.*$)");
  std::set<std::string> types;
  std::vector<std::string> names;
  for (const std::string& line : file.lines()) {
    std::smatch found;
    if (std::regex_match(line, found, opening)) {
      names.push_back(found[1]);
    } else if (std::regex_match(line, closing)) {
      if (!names.empty()) names.pop_back();
    } else if (std::regex_match(line, found, definition) &&
               std::find(names.begin(), names.end(), "") == names.end()) {
      std::string full;
      for (const std::string& name : names) full += name + "::";
      types.insert(full + found.str(1));
    }
  }
  return types;
}

Complaints check_names(const std::vector<File>& files) {
  std::map<std::string, std::string> first;
  Complaints found;
  for (const File& file : files) {
    for (const std::string& type : types_in(file)) {
      const auto [at, fresh] = first.emplace(type, file.path);
      if (!fresh) found.push_back(type + ": in " + at->second + " and in " + file.path);
    }
  }
  return found;
}

}  // namespace

TEST_CASE("no two types of the runtime have one name") {
  std::vector<File> files = cpp_files("runtime");
  for (File& file : cpp_files("include")) files.push_back(std::move(file));
  std::size_t types = 0;
  for (const File& file : files) types += types_in(file).size();
  CHECK(types > 200);
  std::string message;
  for (const std::string& complaint : check_names(files)) message += "\n  " + complaint;
  INFO("types of one name:" << message);
  CHECK(message.empty());
}

TEST_CASE("the check of names sees two types of one name, and what is local to a file") {
  const File one{"runtime/a.hpp",
                 "namespace p::q {\nstruct alignas(8) A {\n};\n}  // namespace p::q\n"};
  const File two{"runtime/b.cpp",
                 "namespace p::q {\nclass A final : B {\n};\n}  // namespace p::q\n"};
  const File elsewhere{"runtime/c.cpp", "namespace p::r {\nstruct A {\n};\n}  // namespace p::r\n"};
  const File local{
      "runtime/d.cpp",
      "namespace p::q {\nnamespace {\nstruct A {\n};\n}  // namespace\n}  // namespace p::q\n"};
  const File promised{"runtime/e.cpp", "namespace p::q {\nstruct A;\n}  // namespace p::q\n"};
  CHECK(check_names({one, elsewhere, local, promised}).empty());
  CHECK(check_names({one, two}) == Complaints{"p::q::A: in runtime/a.hpp and in runtime/b.cpp"});
}
