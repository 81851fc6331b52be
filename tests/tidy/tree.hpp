// SPDX-License-Identifier: BSL-1.0
// The source tree as text, for the checks of this folder. Each check is a function from a file to
// complaints, so that it can be shown to complain about a planted file as well.
#pragma once

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>
#include <string>
#include <string_view>
#include <vector>

#include "support/catch.hpp"

namespace paceline_tidy {

/// One source file: its path from the top of the tree, and its text.
struct File {
  std::string path;
  std::string text;

  bool under(std::string_view folder) const { return path.rfind(folder, 0) == 0; }
  bool has_extension(const std::set<std::string>& wanted) const {
    return wanted.count(std::filesystem::path(path).extension().string()) != 0;
  }
  std::vector<std::string> lines() const {
    std::vector<std::string> all;
    std::istringstream in(text);
    for (std::string line; std::getline(in, line);) all.push_back(line);
    return all;
  }
};

using Complaints = std::vector<std::string>;

inline const std::set<std::string> kCpp{".hpp", ".cpp", ".h", ".c"};

/// Every source file in the folders that the style rules are about.
inline const std::vector<File>& tree() {
  static const std::vector<File> files = [] {
    static const std::set<std::string> source{".hpp", ".cpp", ".h",  ".c",
                                              ".py",  ".sh",  ".rs", ".go"};
    const std::filesystem::path top = PACELINE_SOURCE_ROOT;
    std::vector<File> found;
    for (const char* folder : {"runtime", "include", "tests", "benchmarks", "samples"}) {
      for (const auto& entry : std::filesystem::recursive_directory_iterator(top / folder)) {
        if (!entry.is_regular_file()) continue;
        File file{std::filesystem::relative(entry.path(), top).string(), {}};
        if (!file.has_extension(source) || file.path.find("/target/") != std::string::npos)
          continue;
        std::ifstream in(entry.path(), std::ios::binary);
        file.text.assign(std::istreambuf_iterator<char>(in), {});
        found.push_back(std::move(file));
      }
    }
    std::sort(found.begin(), found.end(),
              [](const File& a, const File& b) { return a.path < b.path; });
    return found;
  }();
  return files;
}

/// The files under a folder, C++ only.
inline std::vector<File> cpp_files(std::string_view folder) {
  std::vector<File> chosen;
  for (const File& file : tree()) {
    if (file.under(folder) && file.has_extension(kCpp)) chosen.push_back(file);
  }
  return chosen;
}

/// The text with comments and the insides of literals blanked out; lines and columns stay.
inline std::string code_only(const std::string& text) {
  std::string code = text;
  const auto blank = [&](std::size_t from, std::size_t to) {
    for (std::size_t i = from; i < to && i < code.size(); ++i) {
      if (code[i] != '\n') code[i] = ' ';
    }
  };
  const auto end_of = [&](std::size_t from, std::string_view mark) {
    const std::size_t at = text.find(mark, from);
    return at == std::string::npos ? text.size() : at;
  };
  for (std::size_t i = 0; i < text.size();) {
    if (text.compare(i, 2, "//") == 0) {
      const std::size_t end = end_of(i, "\n");
      blank(i, end);
      i = end;
    } else if (text.compare(i, 2, "/*") == 0) {
      const std::size_t end = std::min(text.size(), end_of(i + 2, "*/") + 2);
      blank(i, end);
      i = end;
    } else if (text.compare(i, 2, "R\"") == 0) {
      const std::size_t open = end_of(i, "(");
      const std::string close = ")" + text.substr(i + 2, open - i - 2) + "\"";
      const std::size_t end = end_of(open, close);
      blank(open + 1, end);
      i = std::min(text.size(), end + close.size());
    } else if (text[i] == '"' ||
               (text[i] == '\'' &&
                (i == 0 || !std::isalnum(static_cast<unsigned char>(text[i - 1]))))) {
      const char quote = text[i];
      std::size_t end = i + 1;
      while (end < text.size() && text[end] != quote && text[end] != '\n') {
        end += text[end] == '\\' ? 2 : 1;
      }
      blank(i + 1, end);
      i = end + 1;
    } else {
      ++i;
    }
  }
  return code;
}

inline std::size_t line_of(const std::string& text, std::size_t at) {
  return 1 + static_cast<std::size_t>(
                 std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(at), '\n'));
}

/// Runs a check over files and puts all complaints into one message.
template <class Check>
void require_clean(const std::vector<File>& files, Check&& check) {
  Complaints all;
  for (const File& file : files) {
    const Complaints some = check(file);
    all.insert(all.end(), some.begin(), some.end());
  }
  std::string message;
  for (const std::string& complaint : all) message += "\n  " + complaint;
  INFO(all.size() << " complaints:" << message);
  REQUIRE(all.empty());
}

}  // namespace paceline_tidy
