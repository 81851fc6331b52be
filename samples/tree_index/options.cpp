// SPDX-License-Identifier: BSL-1.0
// Reading the command line.
#include "options.hpp"

#include <charconv>
#include <filesystem>
#include <stdexcept>
#include <system_error>

namespace tree_index {

const char* const kHelp = R"(Usage: tree_index [OPTION]... [PATH]...

Indexes the files under each PATH (default: /usr/include and /usr/share/doc): the most frequent
words, the largest files, and how fast that went. One task per file, on every core.

  --top N      words to print (1 to 1000000, default 20)
  --workers N  worker threads (1 to 1024, default: one per usable core)
  --serial     do the same with plain loops on one thread, without the runtime
  --compare    do it again and again beside tasks that hog every core, with preemption off and on,
               and print one table: how late a tick of 5 ms was, how fast the indexing went
  --json       print the result alone, as JSON; it is the same for any number of workers
  --help       print this
  --           what follows is a PATH, whatever it looks like

A word is a run of ASCII letters, digits and underscores that starts with a letter and has 3 to 255
characters, counted in lower case. Files with a NUL byte in their first 8 KiB are counted by bytes
only. Symbolic links are not followed. What cannot be read is counted and named.
Ctrl-C stops and prints what was done so far.

Exit code: 0 done, 1 nothing could be read or written, 2 bad usage, 130 interrupted.
)";

namespace {

std::size_t parse_number(const std::string& option, const std::string& text, std::size_t most) {
  std::size_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size() || number < 1 || number > most) {
    throw std::invalid_argument(option + " takes a number from 1 to " + std::to_string(most) +
                                ", not '" + text + "'");
  }
  return number;
}

}  // namespace

Options parse_options(const std::vector<std::string>& arguments) {
  Options options;
  bool only_paths = false;
  for (std::size_t i = 0; i < arguments.size(); ++i) {
    const std::string& argument = arguments[i];
    if (only_paths || argument == "-" || !argument.starts_with("-")) {
      options.paths.push_back(argument);
      continue;
    }
    // An option's value is its second half, as in --top=5, or the next argument.
    const std::size_t equals = argument.find('=');
    const std::string name = argument.substr(0, equals);
    const auto value = [&] {
      if (equals != std::string::npos) return argument.substr(equals + 1);
      if (++i == arguments.size()) throw std::invalid_argument(name + " needs a number");
      return arguments[i];
    };
    if (name == "--top") {
      options.top = parse_number(name, value(), 1'000'000);
    } else if (name == "--workers") {
      options.workers = parse_number(name, value(), 1024);
    } else if (argument == "--serial") {
      options.serial = true;
    } else if (argument == "--json") {
      options.json = true;
    } else if (argument == "--compare") {
      options.compare = true;
    } else if (argument == "--help" || argument == "-h") {
      options.help = true;
    } else if (argument == "--") {
      only_paths = true;
    } else {
      throw std::invalid_argument("unknown option '" + argument + "'");
    }
  }
  if (options.serial && options.workers) {
    throw std::invalid_argument("--serial has no workers: leave out one of --serial and --workers");
  }
  if (options.compare && (options.serial || options.json)) {
    throw std::invalid_argument("--compare prints a table: leave out --serial and --json");
  }
  return options;
}

std::vector<std::string> default_paths() {
  std::vector<std::string> paths;
  for (const char* path : {"/usr/include", "/usr/share/doc"}) {
    std::error_code error;
    if (std::filesystem::is_directory(path, error)) paths.emplace_back(path);
  }
  return paths;
}

}  // namespace tree_index
