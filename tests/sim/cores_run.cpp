// SPDX-License-Identifier: BSL-1.0
#include "sim/cores_run.hpp"

#include <sstream>
#include <stdexcept>
#include <utility>

#include <spdlog/fmt/fmt.h>

namespace paceline_sim {

CoresRun::CoresRun(const std::string& arguments)
    : command_(fmt::format("'{}' {}", PACELINE_SIM_CORES, arguments)) {
  pipe_ = ::popen(command_.c_str(), "r");
  if (pipe_ == nullptr) throw std::runtime_error("cannot start " + command_);
}

CoresRun::~CoresRun() {
  if (pipe_ != nullptr) ::pclose(pipe_);
}

std::map<std::string, double> CoresRun::finish(Recorder* recorder) {
  std::map<std::string, double> figures;
  char line[256];
  while (std::fgets(line, sizeof line, pipe_) != nullptr) {
    std::istringstream words(line);
    std::string name;
    words >> name;
    if (name == "ran") {
      Segment body{};
      words >> body.lane >> body.from >> body.to >> body.task;
      if (recorder != nullptr) recorder->ran(body);
    } else {
      words >> figures[name];
    }
  }
  if (const int code = ::pclose(std::exchange(pipe_, nullptr)); code != 0) {
    throw std::runtime_error(fmt::format("{} ended with {}", command_, code));
  }
  return figures;
}

}  // namespace paceline_sim
