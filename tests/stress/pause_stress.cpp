// SPDX-License-Identifier: BSL-1.0
// A process that was stopped for long, as a virtual machine or a cgroup is: what its tasks did not
// do meanwhile is no overrun, so no worker changes its thread when it goes on.
//
//   pause_stress [ROUNDS]     stops a child for 300 ms in each
#include <csignal>
#include <cstdint>
#include <cstdio>
#include <cstdlib>

#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <paceline/paceline.hpp>

namespace {

using namespace std::chrono_literals;
using Count = unsigned long long;

std::atomic<std::uint64_t> rounds{0};

/// Answers every few microseconds.
void hog(const std::atomic<bool>& over) {
  volatile unsigned x = 0;
  while (!over) {
    for (int i = 0; i < 10'000; ++i) x = x * 3 + 1;
    rounds.fetch_add(1, std::memory_order_relaxed);
    paceline::preempt_point();
  }
}

/// Runs until somebody closes the other end of the pipe; then says what happened.
int child(int told, int ready) {
  paceline::runtime_options options;
  options.workers = 2;  // their hand-off and slice as they come
  paceline::runtime rt(options);
  std::atomic<bool> over{false};
  std::vector<paceline::join_handle<>> tasks;
  for (int i = 0; i < 6; ++i) tasks.push_back(rt.spawn({}, [&over] { hog(over); }));
  while (rt.stats().total.demotions_safepoint < 10) std::this_thread::yield();
  char byte = 1;
  if (::write(ready, &byte, 1) != 1) return 2;
  while (::read(told, &byte, 1) > 0) {
  }
  const auto stats = rt.stats();
  over = true;
  for (auto& task : tasks) task.join();
  std::printf("demotions %llu, hand-offs %llu (refused %llu), found starved %llu, rounds %llu\n",
              Count{stats.total.demotions_safepoint}, Count{stats.handoffs},
              Count{stats.handoffs_refused}, Count{stats.starved}, Count{rounds.load()});
  std::fflush(stdout);
  if (stats.handoffs != 0 || rounds == 0) {
    std::printf("FAILED: %s\n", "a pause is taken for an overrun");
    return 1;
  }
  return 0;
}

}  // namespace

int main(int argc, char** argv) {
  const long pauses = argc > 1 ? std::strtol(argv[1], nullptr, 10) : 3;
  int tell[2];
  int hear[2];
  if (::pipe(tell) != 0 || ::pipe(hear) != 0) return 2;
  const pid_t process = ::fork();
  if (process < 0) return 2;
  if (process == 0) {
    ::close(tell[1]);
    ::close(hear[0]);
    return child(tell[0], hear[1]);
  }
  ::close(tell[0]);
  ::close(hear[1]);
  char byte = 0;
  if (::read(hear[0], &byte, 1) != 1) return 2;
  for (long i = 0; i < pauses; ++i) {
    ::kill(process, SIGSTOP);
    std::this_thread::sleep_for(300ms);
    ::kill(process, SIGCONT);
    std::this_thread::sleep_for(100ms);  // in which a burst would come
  }
  ::close(tell[1]);
  int status = 0;
  if (::waitpid(process, &status, 0) != process) return 2;
  std::printf("%ld pauses\n", pauses);
  return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}
