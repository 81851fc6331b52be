// SPDX-License-Identifier: BSL-1.0
// The program model_explorer: runs the shipped protocols in every order that its bounds allow, and
// shows that it finds the mistakes that are planted in them. `./dev model` runs all of it.
#include <charconv>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <string_view>

#include "explorer/verdict.hpp"
#include "job.hpp"

namespace {

constexpr const char* kHelp =
    R"(model_explorer: explores the lock-free protocols and kills the planted mutants

  --list               the models, their members, and the mutants
  --model NAME         only this model
  --member NAME        only this member of it, such as 1t2w1k-poll
  --mutant NAME        plant this mistake; succeeds if a model finds it
  --bound N            schedules with at most N preemptions, instead of each member's own bound
  --states N           cut each search off after N states
  --random N           only N random schedules of each member
  --seed S             of the first random schedule (default 1); each gets the next seed
  --replay SCHEDULE    run one schedule with a line per access; needs --model and --member
  --quick              the job of every day: smaller bounds, under a minute
  --help               this text

Every atomic access is a step. Steps are interleaved sequentially consistently; memory orders are
checked elsewhere (docs/memory-model.md, ThreadSanitizer). "exhausted": every schedule within the
bound was explored; "capped": the search was cut off at its number of states.
Exit code: 0 all is well, 1 a violation or a surviving mutant, 2 usage.
)";

std::uint64_t number(std::string_view option, std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw std::invalid_argument(std::string(option) + " needs a number, not '" + std::string(text) +
                                "'");
  }
  return value;
}

/// False: help or list was asked for, and printed.
bool parse(int argc, char** argv, model::Options& options) {
  for (int i = 1; i < argc; ++i) {
    const std::string_view option = argv[i];
    const auto value = [&]() -> std::string_view {
      if (i + 1 == argc) throw std::invalid_argument(std::string(option) + " needs a value");
      return argv[++i];
    };
    if (option == "--help") {
      std::fputs(kHelp, stdout);
      return false;
    }
    if (option == "--list") {
      model::list();
      return false;
    }
    if (option == "--quick") {
      options.quick = true;
    } else if (option == "--model") {
      options.model = value();
    } else if (option == "--member") {
      options.member = value();
    } else if (option == "--mutant") {
      const std::string_view name = value();
      const model::NamedMutant* mutant = model::find_mutant(name);
      if (mutant == nullptr) {
        throw std::invalid_argument("no mutant '" + std::string(name) + "'; see --list");
      }
      options.mutant = mutant->mutant;
    } else if (option == "--bound") {
      options.bound = static_cast<unsigned>(number(option, value()));
    } else if (option == "--states") {
      options.states = number(option, value());
    } else if (option == "--seed") {
      options.seed = number(option, value());
    } else if (option == "--random") {
      options.random = number(option, value());
    } else if (option == "--replay") {
      options.schedule = value();
    } else {
      throw std::invalid_argument("unknown option '" + std::string(option) + "'; see --help");
    }
  }
  if (options.schedule && (options.model.empty() || options.member.empty())) {
    throw std::invalid_argument("--replay needs --model and --member");
  }
  return true;
}

}  // namespace

int main(int argc, char** argv) {
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  try {
    model::Options options;
    if (!parse(argc, argv, options)) return 0;
    model::Verdict::catch_crashes();
    return options.schedule ? model::run_replay(options) : model::run_job(options);
  } catch (const std::invalid_argument& error) {
    std::fprintf(stderr, "model_explorer: %s\n", error.what());
    return 2;
  }
}
