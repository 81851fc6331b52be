// SPDX-License-Identifier: BSL-1.0
// A run of paceline-sim-cores: the shipped runtime on many simulated cores. A process of its own,
// as a process has one simulated machine.
#pragma once

#include <cstdio>
#include <map>
#include <string>

#include "sim/recorder.hpp"

namespace paceline_sim {

class CoresRun {
 public:
  /// Starts it with these arguments. Throws std::runtime_error.
  explicit CoresRun(const std::string& arguments);
  CoresRun(const CoresRun&) = delete;
  CoresRun& operator=(const CoresRun&) = delete;
  ~CoresRun();

  /// Waits for its end, once. Its figures by name; who ran when goes to `recorder`, if the
  /// arguments ask for bodies. Throws std::runtime_error if it failed.
  std::map<std::string, double> finish(Recorder* recorder = nullptr);

 private:
  std::string command_;
  std::FILE* pipe_ = nullptr;
};

}  // namespace paceline_sim
