// SPDX-License-Identifier: BSL-1.0
// paceline-topology: shows what the runtime understands of a machine, as a table and as a picture.
#include <cstdio>
#include <exception>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

#include <paceline/topology.hpp>

namespace {

constexpr std::string_view kHelp =
    R"(paceline-topology                   this machine, as far as this process may use it
paceline-topology --topology T      the machine of an hwloc file (.xml) or of a text: 4P+4E, 2x20x2
  --svg FILE                        also draw it

Exit code: 0 shown, 1 the machine cannot be understood or the picture not written, 2 usage.
)";

struct Options {
  std::string topology;  // empty: this machine
  std::string svg;       // empty: no picture
  bool help = false;
};

Options parse(int argc, char** argv) {
  Options options;
  for (int i = 1; i < argc; ++i) {
    const std::string_view argument = argv[i];
    const auto value = [&]() -> std::string {
      if (i + 1 >= argc || *argv[i + 1] == '\0') {
        throw std::logic_error(std::string(argument) + " needs a value");
      }
      return argv[++i];
    };
    if (argument == "--help" || argument == "-h") {
      options.help = true;
    } else if (argument == "--topology") {
      options.topology = value();
    } else if (argument == "--svg") {
      options.svg = value();
    } else {
      throw std::logic_error("unknown option " + std::string(argument) + "; see --help");
    }
  }
  return options;
}

void show(const Options& options) {
  using paceline::topology;
  const topology machine =
      options.topology.empty() ? topology::detect() : topology::from_file_or_text(options.topology);
  std::fputs(machine.to_table().c_str(), stdout);
  if (options.svg.empty()) return;
  std::ofstream file(options.svg, std::ios::binary);
  file << machine.to_svg() << std::flush;
  if (!file) throw std::runtime_error("cannot write '" + options.svg + "'");
}

}  // namespace

int main(int argc, char** argv) {
  Options options;
  try {
    options = parse(argc, argv);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "paceline-topology: %s\n", error.what());
    return 2;
  }
  if (options.help) {
    std::fwrite(kHelp.data(), 1, kHelp.size(), stdout);
    return 0;
  }
  try {
    show(options);
  } catch (const std::exception& error) {
    std::fprintf(stderr, "paceline-topology: %s\n", error.what());
    return 1;
  }
  return 0;
}
