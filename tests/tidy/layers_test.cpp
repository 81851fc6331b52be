// SPDX-License-Identifier: BSL-1.0
// Proves the layering: each room of runtime/ includes only the rooms below it, public headers never
// include runtime/, and nothing includes itself around a corner.
#include <map>
#include <regex>

#include "tidy/tree.hpp"

using namespace paceline_tidy;

namespace {

/// The table: room -> rooms it may include besides itself.
const std::map<std::string, std::set<std::string>> kMayInclude{
    {"base", {}},
    {"policy", {"base"}},
    {"trace", {"base"}},
    {"machine", {"base", "trace"}},
    {"task", {"base", "trace"}},
    {"exec", {"base", "policy", "trace", "machine", "task"}},
    {"sched", {"base", "policy", "trace", "machine", "task", "exec"}},
    {"api", {"base", "policy", "trace", "machine", "task", "exec", "sched"}},
};

/// Public headers with data and vocabulary only; all others are for api. topology.hpp is data that
/// options hold; its functions are the machine's own. task_group.hpp is a handle that options hold.
const std::set<std::string> kDataHeaders{"error.hpp", "options.hpp",  "qos.hpp",
                                         "stall.hpp", "stats.hpp",    "task_group.hpp",
                                         "time.hpp",  "topology.hpp", "version.hpp"};

struct Include {
  std::string name;
  bool quoted;
  std::size_t line;
};

std::vector<Include> includes_of(const File& file) {
  static const std::regex form(R"(^\s*#\s*include\s*([<"])([^>"]+)[>"])");
  std::vector<Include> found;
  std::size_t number = 0;
  for (const std::string& line : file.lines()) {
    ++number;
    std::smatch match;
    if (std::regex_search(line, match, form)) found.push_back({match[2], match[1] == "\"", number});
  }
  return found;
}

std::string room_of(const std::string& path) {  // runtime/<room>/file
  const std::size_t from = std::string_view("runtime/").size();
  return path.substr(from, path.find('/', from) - from);
}

Complaints check_room(const File& file) {
  Complaints found;
  const std::string room = room_of(file.path);
  const auto allowed = kMayInclude.find(room);
  if (allowed == kMayInclude.end())
    return {file.path + ": room '" + room + "' is not in the table"};
  for (const Include& include : includes_of(file)) {
    const std::string where = file.path + ":" + std::to_string(include.line) + ": ";
    if (include.quoted) {
      const std::string other = include.name.substr(0, include.name.find('/'));
      if (kMayInclude.count(other) == 0) {
        found.push_back(where + "\"" + include.name + "\" names no room");
      } else if (other != room && allowed->second.count(other) == 0) {
        found.push_back(where + room + " must not include " + include.name);
      }
    } else if (include.name.rfind("paceline/", 0) == 0 && room != "api") {
      const std::string header = include.name.substr(std::string_view("paceline/").size());
      if (header.rfind("detail/", 0) != 0 && kDataHeaders.count(header) == 0) {
        found.push_back(where + room + " must not include the function-bearing <" + include.name +
                        ">");
      }
    }
  }
  return found;
}

Complaints check_public(const File& file) {
  Complaints found;
  for (const Include& include : includes_of(file)) {
    const bool runtime = kMayInclude.count(include.name.substr(0, include.name.find('/'))) != 0;
    if (!include.quoted && !runtime) continue;
    found.push_back(file.path + ":" + std::to_string(include.line) + ": public headers include <" +
                    "paceline/...> and the standard library only, not " + include.name);
  }
  return found;
}

/// Files of runtime/ and include/ by the name they are included with, and what they include.
std::map<std::string, std::vector<std::string>> include_graph() {
  std::map<std::string, std::vector<std::string>> graph;
  for (const char* folder : {"runtime/", "include/"}) {
    for (const File& file : cpp_files(folder)) {
      auto& out = graph[file.path.substr(std::string_view(folder).size())];
      for (const Include& include : includes_of(file)) out.push_back(include.name);
    }
  }
  return graph;
}

/// A cycle as text, or nothing.
std::string cycle_in(const std::map<std::string, std::vector<std::string>>& graph) {
  std::map<std::string, int> state;  // 1: on the way, 2: done
  std::string found;
  const auto visit = [&](const auto& self, const std::string& node,
                         const std::string& path) -> void {
    const auto entry = graph.find(node);
    if (entry == graph.end() || state[node] == 2 || !found.empty()) return;
    if (state[node] == 1) {
      found = path + " -> " + node;
      return;
    }
    state[node] = 1;
    for (const std::string& next : entry->second) self(self, next, path + " -> " + node);
    state[node] = 2;
  };
  for (const auto& node : graph) visit(visit, node.first, "");
  return found;
}

}  // namespace

TEST_CASE("every room includes only the rooms below it") {
  const auto files = cpp_files("runtime/");
  REQUIRE(files.size() > 40);
  require_clean(files, check_room);
}

TEST_CASE("public headers never include the inside of the runtime") {
  const auto files = cpp_files("include/");
  REQUIRE(files.size() > 15);
  require_clean(files, check_public);
}

TEST_CASE("no file includes itself around a corner") { REQUIRE(cycle_in(include_graph()) == ""); }

TEST_CASE("every included file of the tree exists") {
  std::set<std::string> names;
  const auto graph = include_graph();
  for (const auto& entry : graph) names.insert(entry.first);
  for (const auto& entry : graph) {
    for (const std::string& name : entry.second) {
      const std::string room = name.substr(0, name.find('/'));
      const bool ours = name.rfind("paceline/", 0) == 0 ||
                        (kMayInclude.count(room) != 0 && name.find('/') != std::string::npos);
      INFO(entry.first << " includes " << name);
      if (ours) REQUIRE(names.count(name) == 1);
    }
  }
}

TEST_CASE("the layer check sees an upward include, a stranger and a function-bearing header") {
  REQUIRE(check_room({"runtime/task/x.hpp", "#include \"base/bits.hpp\"\n#include <vector>\n"})
              .empty());
  REQUIRE(check_room({"runtime/task/x.hpp", "#include \"exec/loot.hpp\"\n"}).size() == 1);
  REQUIRE(check_room({"runtime/base/x.hpp", "#include \"trace/log.hpp\"\n"}).size() == 1);
  REQUIRE(check_room({"runtime/exec/x.hpp", "#include \"loot.hpp\"\n"}).size() == 1);
  REQUIRE(check_room({"runtime/nowhere/x.hpp", ""}).size() == 1);
  REQUIRE(check_room({"runtime/sched/x.hpp", "#include <paceline/spawn.hpp>\n"}).size() == 1);
  REQUIRE(check_room({"runtime/api/x.hpp", "#include <paceline/spawn.hpp>\n"}).empty());
  REQUIRE(check_public({"include/paceline/x.hpp", "#include \"base/bits.hpp\"\n"}).size() == 1);
  REQUIRE(check_public({"include/paceline/x.hpp", "#include <task/slot.hpp>\n"}).size() == 1);
  REQUIRE(check_public({"include/paceline/x.hpp", "#include <paceline/qos.hpp>\n"}).empty());
  REQUIRE(cycle_in({{"a", {"b"}}, {"b", {"c", "vector"}}, {"c", {"a"}}}) != "");
  REQUIRE(cycle_in({{"a", {"b", "c"}}, {"b", {"c"}}, {"c", {}}}) == "");
}
