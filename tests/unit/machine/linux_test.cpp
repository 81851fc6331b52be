// SPDX-License-Identifier: BSL-1.0
// Proves the rest of the machine: clock, parking, threads, memory, and the mark a fork leaves.
#include <algorithm>
#include <atomic>
#include <cerrno>
#include <csignal>
#include <cstring>
#include <string>
#include <vector>

#include <pthread.h>
#include <sys/mman.h>

#include "machine/machine.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "unit/base/child.hpp"

using namespace paceline::core;
using paceline_test::eventually;
using paceline_test::in_child;

TEST_CASE("the clock is the steady one and never runs backwards") {
  Nanos last = machine::now();
  for (int i = 0; i < 10'000; ++i) {
    const Nanos now = machine::now();
    REQUIRE(now >= last);
    last = now;
  }
  const auto steady = std::chrono::steady_clock::now().time_since_epoch();
  REQUIRE(std::chrono::duration_cast<std::chrono::nanoseconds>(steady).count() >= last);
}

TEST_CASE("a park on a word that holds something else returns at once") {
  Atomic<std::uint32_t> word{7};
  machine::park(word, 8, kForever);
  REQUIRE(word == 7);
}

TEST_CASE("a park returns at its deadline, however far in the past that is") {
  Atomic<std::uint32_t> word{7};
  for (const Nanos deadline :
       {Nanos{0}, Nanos{1}, machine::now() - kSecond, machine::now() + kMillisecond}) {
    while (machine::now() < deadline) machine::park(word, 7, deadline);
    machine::park(word, 7, deadline);
    REQUIRE(machine::now() >= deadline);
  }
}

TEST_CASE("unpark wakes a sleeper and keeps errno") {
  Atomic<std::uint32_t> word{0};
  Atomic<std::uint32_t> woke{0};
  struct Shared {
    Atomic<std::uint32_t>& word;
    Atomic<std::uint32_t>& woke;
  } shared{word, woke};
  const auto sleeper = [](void* raw) noexcept {
    auto& mine = *static_cast<Shared*>(raw);
    while (mine.word.load() == 0) machine::park(mine.word, 0, kForever);
    mine.woke.fetch_add(1);
  };
  std::vector<machine::ThreadHandle> threads;
  for (int i = 0; i < 3; ++i) threads.push_back(machine::start_thread(sleeper, &shared));
  errno = ENOTTY;
  machine::unpark(word);  // the word says that there is nothing to wake for: they sleep on
  word.store(1);
  machine::unpark(word);
  machine::unpark_all(word);
  REQUIRE(errno == ENOTTY);
  for (auto thread : threads) machine::join_thread(thread);
  REQUIRE(woke == 3);
}

TEST_CASE("unparking a word that nobody sleeps on does nothing") {
  Atomic<std::uint32_t> word{3};
  machine::unpark(word);
  machine::unpark_all(word);
  REQUIRE(word == 3);
}

TEST_CASE("worker threads leave the process's signals alone and keep faults deliverable") {
  struct Seen {
    sigset_t mask;
    bool same_thread = true;
    machine::ThreadHandle creator;
  } seen{};
  seen.creator = static_cast<machine::ThreadHandle>(pthread_self());
  sigset_t before;
  pthread_sigmask(SIG_SETMASK, nullptr, &before);
  machine::join_thread(machine::start_thread(
      [](void* raw) noexcept {
        auto& mine = *static_cast<Seen*>(raw);
        pthread_sigmask(SIG_SETMASK, nullptr, &mine.mask);
        mine.same_thread = machine::is_this_thread(mine.creator);
      },
      &seen));
  for (int blocked : {SIGTERM, SIGINT, SIGHUP, SIGCHLD, SIGUSR1, SIGUSR2, SIGALRM, SIGPIPE}) {
    REQUIRE(sigismember(&seen.mask, blocked) == 1);
  }
  for (int open : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPROF}) {
    REQUIRE(sigismember(&seen.mask, open) == 0);
  }
  REQUIRE_FALSE(seen.same_thread);
  REQUIRE(machine::is_this_thread(seen.creator));
  // The starter's own mask is as it was.
  sigset_t after;
  pthread_sigmask(SIG_SETMASK, nullptr, &after);
  for (int s = 1; s < 32; ++s) REQUIRE(sigismember(&before, s) == sigismember(&after, s));
}

TEST_CASE("each thread has a record of its own and an empty one at its start") {
  machine::ThisThread& mine = machine::this_thread();
  REQUIRE(&mine == &machine::this_thread());
  mine.held_ranks = 0;
  struct Seen {
    machine::ThisThread* record = nullptr;
    bool empty = false;
  } seen;
  machine::join_thread(machine::start_thread(
      [](void* raw) noexcept {
        auto& out = *static_cast<Seen*>(raw);
        out.record = &machine::this_thread();
        out.empty = out.record->runtime == nullptr && out.record->heap == nullptr &&
                    out.record->held_ranks == 0;
      },
      &seen));
  REQUIRE(seen.record != &mine);
  REQUIRE(seen.empty);
}

TEST_CASE("a thread shows the first fifteen bytes of its name") {
  for (const std::string name :
       {"", "short", "paceline/1023", "a name of more than fifteen bytes"}) {
    struct Shared {
      const std::string& name;
      char shown[64] = {};
    } shared{name};
    machine::join_thread(machine::start_thread(
        [](void* raw) noexcept {
          auto& mine = *static_cast<Shared*>(raw);
          machine::name_this_thread(mine.name);
          pthread_getname_np(pthread_self(), mine.shown, sizeof mine.shown);
        },
        &shared));
    REQUIRE(std::string(shared.shown) == name.substr(0, 15));
  }
}

TEST_CASE("mapped memory is zero, aligned as asked and can be given back in part") {
  const std::size_t page = machine::page_size();
  REQUIRE(page >= 4096);
  REQUIRE((page & (page - 1)) == 0);
  for (const std::size_t alignment :
       {page, 2 * page, std::size_t{64 * 1024}, std::size_t{2} << 20}) {
    const std::size_t bytes = 8 * page;
    auto* memory = static_cast<unsigned char*>(machine::map(bytes, alignment));
    REQUIRE(memory != nullptr);
    REQUIRE(reinterpret_cast<std::uintptr_t>(memory) % alignment == 0);
    REQUIRE(std::count(memory, memory + bytes, 0) == static_cast<std::ptrdiff_t>(bytes));
    std::memset(memory, 0xff, bytes);
    machine::discard(memory + page, 2 * page);
    REQUIRE(memory[page - 1] == 0xff);
    REQUIRE(std::count(memory + page, memory + 3 * page, 0) ==
            static_cast<std::ptrdiff_t>(2 * page));
    REQUIRE(memory[3 * page] == 0xff);
    machine::unmap(memory, bytes);
  }
}

TEST_CASE("memory that the system does not have is refused without harm") {
  REQUIRE(machine::map(std::size_t{1} << 60, machine::page_size()) == nullptr);
  REQUIRE_FALSE(machine::guard(nullptr, machine::page_size()));
}

TEST_CASE("guarded memory traps and its neighbours do not") {
  const std::size_t page = machine::page_size();
  auto* memory = static_cast<volatile char*>(machine::map(3 * page, page));
  REQUIRE(machine::guard(const_cast<char*>(memory) + page, page));
  REQUIRE(in_child([&] { memory[page - 1] = 1; }).signal == 0);
  REQUIRE(in_child([&] { memory[2 * page] = 1; }).signal == 0);
  REQUIRE(in_child([&] { memory[page] = 1; }).signal == SIGSEGV);
  REQUIRE(in_child([&] { memory[2 * page - 1] = 1; }).signal == SIGSEGV);
  machine::unmap(const_cast<char*>(memory), 3 * page);
}

TEST_CASE("a fork changes the generation in the child and not in the parent") {
  const std::uint64_t before = machine::watch_forks();
  const auto end = in_child([&] {
    if (machine::fork_generation() == before) ::_exit(1);
    const std::uint64_t mine = machine::fork_generation();
    const pid_t grandchild = ::fork();
    if (grandchild == 0) ::_exit(machine::fork_generation() == mine ? 2 : 0);
    int status = 0;
    ::waitpid(grandchild, &status, 0);
    if (machine::fork_generation() != mine) ::_exit(3);
    ::_exit(WEXITSTATUS(status));
  });
  REQUIRE(end.exit_code == 0);
  REQUIRE(machine::fork_generation() == before);
}

TEST_CASE("what another thread does, and how long it has run, is known to the moment") {
  struct Shared {
    std::atomic<int> number{0};
    std::atomic<std::int64_t> own_time{0};
    std::atomic<bool> go_on{true};
    Atomic<std::uint32_t> word{0};
  } shared;
  const auto body = [](void* raw) noexcept {
    auto& to = *static_cast<Shared*>(raw);
    to.number = machine::this_thread_number();
    while (to.go_on) {
      timespec time{};
      ::clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
      to.own_time = std::int64_t{time.tv_sec} * kSecond + time.tv_nsec;
    }
    while (to.word == 0) machine::park(to.word, 0, kForever);
  };
  const machine::ThreadHandle thread = machine::start_thread(body, &shared);
  eventually("it computes", [&] { return shared.own_time > 0; });
  for (int i = 0; i < 100; ++i) {
    const std::int64_t said = shared.own_time;
    const auto state = machine::look_at_thread(shared.number);
    REQUIRE(state.has_value());
    REQUIRE(state->runnable);
    REQUIRE(state->cpu_time >= said);
  }
  shared.go_on = false;
  eventually("it is blocked",
             [&] { return !machine::look_at_thread(shared.number).value().runnable; });
  const Nanos then = machine::look_at_thread(shared.number).value().cpu_time;
  REQUIRE(machine::look_at_thread(shared.number).value().cpu_time == then);
  shared.word = 1;
  machine::unpark(shared.word);
  machine::join_thread(thread);
  REQUIRE_FALSE(machine::look_at_thread(1 << 29).has_value());  // no such thread
}
