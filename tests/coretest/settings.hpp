// SPDX-License-Identifier: BSL-1.0
// Settings: everything one run of one scenario depends on, and its one-line form.
// The line is what a failure prints, what `--replay` takes and what the child process is given, so
// the three cannot drift apart. Proof: tests/coretest/command_line_test.py.
#pragma once

#include <cstdint>
#include <stdexcept>
#include <string>
#include <string_view>

#include "base/rng.hpp"
#include "base/sites.hpp"

namespace coretest {

using paceline::core::Mutant;
using paceline::core::Rng;

/// The command line is wrong: exit code 2.
class UsageError : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

/// How much the runtime is disturbed while it runs (reliability.md section 4).
enum class Chaos : std::uint8_t { off, light, heavy };

/// Which build of the runtime runs: the installed library, one of its two probed twins, or the one
/// on a simulated machine.
enum class Parks : std::uint8_t {
  product,    // the installed library
  timed,      // probed, parks as in the product
  infinite,   // probed, no park has a time-out, so that a lost wake hangs instead of being late
  simulated,  // as in the product, in virtual time; the seed decides who runs next
};

/// A planted mistake: about one in `rate` of the places where it can happen.
struct Sabotage {
  Mutant mutant = Mutant::none;
  std::uint64_t rate = 1;
};

struct Settings {
  std::string scenario;
  std::uint64_t seed = 1;
  unsigned workers = 0;          // 0: one per core
  std::string topology;          // of virtual cores, a file or a text; empty: this machine
  double duration_s = 0;         // 0: not bounded by time
  std::uint64_t iterations = 0;  // rounds; 0: not bounded by number
  std::uint64_t tasks = 0;       // size of a round; 0: the scenario's own
  Chaos chaos = Chaos::off;
  Parks parks = Parks::product;
  Sabotage sabotage;
  bool classic = false;  // the original coretest: real seconds, a line after each sleep
};

std::string_view to_string(Chaos chaos) noexcept;
std::string_view to_string(Parks parks) noexcept;
std::string_view to_string(Mutant mutant) noexcept;

/// Each throws UsageError naming `what` and the text.
std::uint64_t parse_number(std::string_view what, std::string_view text, std::uint64_t least,
                           std::uint64_t most);
double parse_seconds(std::string_view what, std::string_view text);
std::uint64_t parse_seed(std::string_view what, std::string_view text);
Chaos parse_chaos(std::string_view text);

/// `ring,seed=0x2a,workers=2,duration=6`: only what differs from the default.
std::string to_replay(const Settings& settings);
Settings from_replay(std::string_view text);

/// An independent seed for each purpose or thread: `stream` is its number.
constexpr std::uint64_t split(std::uint64_t seed, std::uint64_t stream) noexcept {
  return Rng(seed ^ Rng(stream + 0x5851f42d4c957f2dull).next()).next();
}

}  // namespace coretest
