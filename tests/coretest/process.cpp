// SPDX-License-Identifier: BSL-1.0
#include "process.hpp"

#include <algorithm>
#include <array>
#include <cstring>

#include <fcntl.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>
#include <csignal>

#include <spdlog/fmt/fmt.h>

#include "clock.hpp"
#include "wire.hpp"

namespace coretest {

namespace {

// A dump that takes longer is hung itself.
constexpr std::int64_t kDumpLimit = 5 * kSecond * kSlowness;
constexpr std::size_t kComplaintsKept = 60;
constexpr int kPollMs = 50;

/// A pipe whose ends close themselves.
class Pipe {
 public:
  Pipe() {
    if (::pipe2(ends_.data(), O_CLOEXEC) != 0) {
      throw Unsuitable(fmt::format("cannot make a pipe: {}", std::strerror(errno)));
    }
  }
  ~Pipe() {
    close_end(0);
    close_end(1);
  }
  Pipe(const Pipe&) = delete;
  Pipe& operator=(const Pipe&) = delete;
  int read_end() const noexcept { return ends_[0]; }
  int write_end() const noexcept { return ends_[1]; }
  void close_end(std::size_t which) noexcept {
    if (ends_[which] >= 0) ::close(ends_[which]);
    ends_[which] = -1;
  }

 private:
  std::array<int, 2> ends_{-1, -1};
};

/// Splits what arrives on a descriptor into lines.
class Lines {
 public:
  explicit Lines(int descriptor) noexcept : descriptor_(descriptor) {}
  bool open() const noexcept { return open_; }
  int descriptor() const noexcept { return open_ ? descriptor_ : -1; }

  /// Reads once; calls take(line) for each complete line, and for the rest at the end.
  template <class Take>
  void read_some(Take&& take) {
    char buffer[8192];
    const ssize_t got = ::read(descriptor_, buffer, sizeof buffer);
    if (got < 0 && errno == EINTR) return;
    if (got <= 0) {
      open_ = false;
      if (!partial_.empty()) take(std::exchange(partial_, {}));
      return;
    }
    std::string_view text(buffer, static_cast<std::size_t>(got));
    for (std::size_t end; (end = text.find('\n')) != std::string_view::npos;) {
      partial_ += text.substr(0, end);
      take(std::exchange(partial_, {}));
      text.remove_prefix(end + 1);
    }
    partial_ += text;
  }

 private:
  const int descriptor_;
  bool open_ = true;
  std::string partial_;
};

/// Cuts a line at the first tab: what precedes it is returned, the line keeps the rest.
std::string_view cut(std::string_view& line) {
  const std::size_t tab = line.find('\t');
  const std::string_view head = line.substr(0, tab);
  line = tab == std::string_view::npos ? std::string_view() : line.substr(tab + 1);
  return head;
}

/// One child and what it has said so far.
class Run {
 public:
  Run(const Settings& settings, double timeout_s, bool quiet)
      : timeout_ns_(static_cast<std::int64_t>(timeout_s * kSecond)), quiet_(quiet) {
    result_.settings = settings;
    if (settings.duration_s > 0) {
      // For a run that gets on but never ends.
      total_limit_ = start_ + static_cast<std::int64_t>(settings.duration_s * kSecond) +
                     std::max<std::int64_t>(5 * timeout_ns_, 60 * kSecond * kSlowness);
    }
  }

  RunResult go(const std::string& program) {
    start_child(program);
    listen();
    reap();
    result_.wall_s = static_cast<double>(now_ns() - start_) / kSecond;
    judge();
    if (result_.settings.parks == Parks::simulated) {
      result_.wall_s = result_.number("virtual_ns") / kSecond;
    }
    return std::move(result_);
  }

 private:
  void start_child(const std::string& program) {
    const std::string replay = to_replay(result_.settings);
    const std::string wire = std::to_string(wire_.write_end());
    const std::string control = std::to_string(control_.read_end());
    const std::array<const char*, 8> argv = {program.c_str(), "--child",    replay.c_str(),
                                             "--wire",        wire.c_str(), "--control",
                                             control.c_str(), nullptr};
    child_ = ::fork();
    if (child_ < 0) throw Unsuitable(fmt::format("cannot fork: {}", std::strerror(errno)));
    if (child_ == 0) {
      // Only calls that are safe between fork and exec.
      ::dup2(errors_.write_end(), STDERR_FILENO);
      ::fcntl(wire_.write_end(), F_SETFD, 0);
      ::fcntl(control_.read_end(), F_SETFD, 0);
      ::execv(program.c_str(), const_cast<char* const*>(argv.data()));
      ::_exit(127);
    }
    wire_.close_end(1);
    errors_.close_end(1);
    control_.close_end(0);
  }

  void listen() {
    Lines facts(wire_.read_end());
    Lines errors(errors_.read_end());
    while (facts.open() || errors.open()) {
      std::array<pollfd, 2> wait = {
          {{facts.descriptor(), POLLIN, 0}, {errors.descriptor(), POLLIN, 0}}};
      ::poll(wait.data(), wait.size(), kPollMs);
      if (wait[0].revents != 0) facts.read_some([&](std::string line) { take_fact(line); });
      if (wait[1].revents != 0)
        errors.read_some([&](std::string line) { take_error(std::move(line)); });
      watch(now_ns());
    }
  }

  void take_fact(std::string_view line) {
    const std::string_view key = cut(line);
    if (key == fact::beat) {
      if (line != last_beat_) {
        last_beat_ = std::string(line);
        last_progress_ = now_ns();
      }
    } else if (key == fact::broken || key == fact::limit) {
      broken_ = key == fact::broken;
      over_limit_ = key == fact::limit;
      result_.code = std::string(cut(line));
      result_.reason = std::string(line);
    } else if (key == fact::skip) {
      skipped_ = true;
      result_.reason = std::string(line);
    } else if (key == fact::value) {
      const std::string_view name = cut(line);
      result_.set(name, line);
      last_progress_ = now_ns();
    } else if (key == fact::goal) {
      const std::string_view name = cut(line);
      result_.goals.push_back({std::string(name), line == "1"});
    } else if (key == fact::planted) {
      result_.struck = true;
    } else if (key == fact::dump) {
      result_.dump.emplace_back(line);
    } else if (key == fact::dumped) {
      if (asked_at_ != 0) kill_child();
    } else if (key == fact::done) {
      done_ = true;
    }
  }

  void take_error(std::string line) {
    if (!quiet_) std::fprintf(stderr, "[%s] %s\n", result_.settings.scenario.c_str(), line.c_str());
    if (result_.complaints.size() == kComplaintsKept) {
      // Keep the head, where a sanitizer says what happened, and the tail.
      result_.complaints.erase(result_.complaints.begin() + kComplaintsKept / 2);
    }
    result_.complaints.push_back(std::move(line));
  }

  void watch(std::int64_t now) {
    if (killed_) return;
    if (asked_at_ != 0) {
      if (now - asked_at_ > kDumpLimit) kill_child();
      return;
    }
    const bool stuck = now - last_progress_ > timeout_ns_;
    const bool endless = total_limit_ != 0 && now > total_limit_;
    if (!stuck && !endless) return;
    hung_ = true;
    hang_reason_ =
        stuck
            ? fmt::format("no progress for {:.1f} s at {} operations",
                          static_cast<double>(now - last_progress_) / kSecond, last_beat_)
            : fmt::format("did not end within {:.0f} s although it was to run for {:g} s",
                          static_cast<double>(now - start_) / kSecond, result_.settings.duration_s);
    asked_at_ = now;
    [[maybe_unused]] const auto sent = ::write(control_.write_end(), "d", 1);
  }

  void kill_child() noexcept {
    killed_ = true;
    ::kill(child_, SIGKILL);
  }

  void reap() {
    rusage used{};
    while (::wait4(child_, &status_, 0, &used) < 0 && errno == EINTR) {
    }
    const auto seconds = [](const timeval& t) {
      return static_cast<double>(t.tv_sec) + static_cast<double>(t.tv_usec) / 1e6;
    };
    result_.cpu_s = seconds(used.ru_utime) + seconds(used.ru_stime);
  }

  /// The line in which a sanitizer or the runtime itself says what is wrong.
  std::string complaint() const {
    for (const std::string& line : result_.complaints) {
      for (const char* mark :
           {"invariant broken", "Sanitizer:", "runtime error:", "terminate called"}) {
        if (line.find(mark) != std::string::npos) return line;
      }
    }
    return {};
  }

  void judge() {
    if (broken_) {
      result_.verdict = Verdict::fail;
    } else if (hung_) {
      result_.verdict = Verdict::hang;
      result_.code = "no-progress";
      result_.reason = hang_reason_;
    } else if (over_limit_) {
      result_.verdict = Verdict::limit;
    } else if (WIFSIGNALED(status_)) {
      result_.verdict = Verdict::crash;
      result_.code = fmt::format("signal-{}", WTERMSIG(status_));
      result_.reason =
          fmt::format("ended by signal {} ({})", WTERMSIG(status_), ::strsignal(WTERMSIG(status_)));
    } else if (WEXITSTATUS(status_) != 0 || !done_) {
      result_.verdict = Verdict::crash;
      result_.code = fmt::format("exit-{}", WEXITSTATUS(status_));
      result_.reason = fmt::format("ended with status {}{}", WEXITSTATUS(status_),
                                   done_ ? " after its run" : " in the middle of its run");
    } else {
      result_.verdict = skipped_ ? Verdict::skip : Verdict::pass;
      result_.code = skipped_ ? "skip" : "";
    }
    if (!done_ && !broken_ && !over_limit_) result_.set("ops", last_beat_);
    if (result_.verdict == Verdict::crash) {
      if (const std::string said = complaint(); !said.empty()) result_.reason += ": " + said;
    }
  }

  const std::int64_t start_ = now_ns();
  const std::int64_t timeout_ns_;
  const bool quiet_;
  std::int64_t total_limit_ = 0;
  Pipe wire_;
  Pipe control_;
  Pipe errors_;
  pid_t child_ = -1;
  int status_ = 0;
  RunResult result_;

  std::string last_beat_ = "0";
  std::int64_t last_progress_ = start_;
  std::int64_t asked_at_ = 0;
  std::string hang_reason_;
  bool broken_ = false;
  bool over_limit_ = false;
  bool skipped_ = false;
  bool done_ = false;
  bool hung_ = false;
  bool killed_ = false;
};

std::string own_path() {
  std::string path(4096, '\0');
  const ssize_t got = ::readlink("/proc/self/exe", path.data(), path.size());
  if (got <= 0) throw Unsuitable("cannot find this program: /proc/self/exe cannot be read");
  path.resize(static_cast<std::size_t>(got));
  return path;
}

}  // namespace

std::string_view to_string(Verdict verdict) noexcept {
  constexpr std::array<std::string_view, 6> kNames = {"pass",  "fail",  "hang",
                                                      "crash", "limit", "skip"};
  return kNames[static_cast<std::size_t>(verdict)];
}

void RunResult::set(std::string_view name, std::string_view value) {
  for (auto& [known, old] : values) {
    if (known != name) continue;
    old = std::string(value);
    return;
  }
  values.emplace_back(name, value);
}

double RunResult::number(std::string_view name, double otherwise) const {
  for (const auto& [known, value] : values) {
    if (known == name) return std::strtod(value.c_str(), nullptr);
  }
  return otherwise;
}

RunResult run_watched(const std::string& program, const Settings& settings, double timeout_s,
                      bool quiet) {
  return Run(settings, timeout_s, quiet).go(program);
}

std::string program_for(Parks parks) {
  const std::string self = own_path();
  if (parks == Parks::product) return self;
  const std::string name = parks == Parks::simulated  ? "coretest-virtual"
                           : parks == Parks::infinite ? "coretest-probed"
                                                      : "coretest-probed-timed";
  const std::string here = self.substr(0, self.rfind('/'));
  const std::array<std::string, 3> places = {here + "/" + name,
                                             here + "/" CORETEST_LIBEXEC_FROM_BIN "/" + name,
                                             std::string(CORETEST_LIBEXEC "/") + name};
  for (const std::string& place : places) {
    if (::access(place.c_str(), X_OK) == 0) return place;
  }
  throw Unsuitable(fmt::format(
      "this runs in {}, which is not there. Looked for {}, {} and {}. Build and install "
      "it together with coretest",
      name, places[0], places[1], places[2]));
}

}  // namespace coretest
