// SPDX-License-Identifier: BSL-1.0
// Verdict: what an execution has shown, and which goals the executions of a search have reached.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <vector>

namespace model {

class Verdict {
 public:
  /// A new search: no goal is reached.
  void begin();
  /// A new execution of it.
  void clear() noexcept { broken_ = nullptr; }

  bool failed() const noexcept { return broken_ != nullptr; }
  const char* broken() const noexcept { return broken_; }
  void break_with(const char* sentence) noexcept {
    if (broken_ == nullptr) broken_ = sentence;
  }
  /// Runs a check on the explorer's own stack; a sentence that fails there ends the check.
  void check(void (*what)()) noexcept;
  /// A crash of the code under the model ends the execution like a broken sentence. Once.
  static void catch_crashes() noexcept;

  /// Declares what at least one execution must reach. Set-up only; the same sentence is one goal.
  unsigned goal(const char* sentence);
  void reach(unsigned goal) noexcept { reached_[goal] = true; }
  std::vector<std::string> unreached() const;

  /// For litmus tests: the set of results seen.
  void outcome(int result);
  const std::set<int>& outcomes() const noexcept { return outcomes_; }

 private:
  const char* broken_ = nullptr;
  std::vector<std::string> goals_;
  std::vector<bool> reached_;
  std::set<int> outcomes_;
};

Verdict& verdict() noexcept;

}  // namespace model
