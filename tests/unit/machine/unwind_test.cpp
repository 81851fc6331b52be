// SPDX-License-Identifier: BSL-1.0
// Proves that a stack which does not run can be walked and named: a parked fiber's, one torn off in
// the middle, one of nonsense; and the stack of a thread that computes or is blocked.
#include "machine/unwind.hpp"

#include <atomic>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <thread>
#include <vector>

#include <unistd.h>

#include "machine/machine.hpp"
#include "machine/stack_sample.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"
#include "support/sanitized.hpp"
#include "unit/base/child.hpp"
#include "unit/machine/routine.hpp"

using namespace paceline::core::machine;
using paceline::core::kSecond;
using paceline_test::eventually;
using paceline_test::in_child;
using paceline_test::Routine;

std::atomic<int> sink{0};

// Extern functions with frames of different kinds, none of them a tail call.
[[gnu::noinline]] int innermost_of_unwind_test(Routine& self) {
  self.leave();
  return sink += 1;
}
[[gnu::noinline]] int with_alloca_of_unwind_test(Routine& self, std::size_t bytes) {
  auto* room = static_cast<volatile char*>(__builtin_alloca(bytes));
  room[0] = 1;
  const int result = innermost_of_unwind_test(self);
  return result + room[0];
}
[[gnu::noinline]] int recursing_of_unwind_test(Routine& self, int depth) {
  const int result = depth == 0 ? with_alloca_of_unwind_test(self, 100)
                                : recursing_of_unwind_test(self, depth - 1);
  return result + sink;
}
[[gnu::noinline]] void spinning_of_unwind_test(std::atomic<bool>& go_on) {
  while (go_on.load(std::memory_order_relaxed)) sink += 1;
  sink += 1;
}
[[gnu::noinline]] int reading_of_unwind_test(int file) {
  char byte = 0;
  const auto got = ::read(file, &byte, 1);
  return sink += static_cast<int>(got);
}

namespace {

std::string text_of(const Trace& trace) { return Symbols().lines(trace, "  "); }

bool in_order(const std::string& text, const std::vector<std::string>& names) {
  std::size_t at = 0;
  for (const std::string& name : names) {
    at = text.find(name, at);
    if (at == std::string::npos) return false;
    at += name.size();
  }
  return true;
}

std::size_t times(const std::string& text, const std::string& word) {
  std::size_t found = 0;
  for (std::size_t at = 0; (at = text.find(word, at)) != std::string::npos; ++at) ++found;
  return found;
}

/// A thread that runs `body(number)`, with its number known.
template <class Body>
class Numbered {
 public:
  explicit Numbered(Body body)
      : thread_([this, body] {
          number_ = this_thread_number();
          body();
        }) {
    eventually("it runs", [this] { return number_ != 0; });
  }
  int number() const { return number_; }
  void join() { thread_.join(); }

 private:
  std::atomic<int> number_{0};
  std::thread thread_;
};

}  // namespace

TEST_CASE("the stack of a parked fiber is walked from its innermost frame to its entry") {
  Routine routine([](Routine& self) { sink += recursing_of_unwind_test(self, 3); });
  routine.enter();
  const std::string text = text_of(routine.trace());
  INFO(text);
  CHECK(in_order(text, {"innermost_of_unwind_test", "with_alloca_of_unwind_test",
                        "recursing_of_unwind_test", "recursing_of_unwind_test"}));
  CHECK(times(text, "recursing_of_unwind_test") == 4);
  CHECK(times(text, " ?\n") == 0);
  // It goes on unharmed.
  routine.enter();
  CHECK(routine.finished());
}

TEST_CASE("a deep stack is cut, and the trace says so") {
  Routine routine([](Routine& self) { sink += recursing_of_unwind_test(self, 100); });
  routine.enter();
  const Trace trace = routine.trace();
  CHECK(trace.count == Trace::kMost);
  CHECK(trace.cut);
  CHECK(text_of(trace).find("...") != std::string::npos);
  routine.enter();
}

namespace {

/// Of a stack that does not run, with what AddressSanitizer keeps between its variables.
[[gnu::no_sanitize_address]] std::vector<std::byte> copy_of(const std::byte* from,
                                                            std::size_t bytes) {
  std::vector<std::byte> copy(bytes);
  std::byte* to = copy.data();
  for (std::size_t i = 0; i < bytes; ++i) {
    to[i] = *static_cast<const volatile std::byte*>(from + i);  // no call that it watches
  }
  return copy;
}

}  // namespace

TEST_CASE("a walk never leaves the memory it was given") {
  Routine routine([](Routine& self) { sink += recursing_of_unwind_test(self, 10); });
  routine.enter();
  const Registers registers = routine.registers();
  const std::uintptr_t low = registers.value[Registers::kStackPointer];
  const auto size = reinterpret_cast<std::uintptr_t>(routine.top()) - low;
  const auto* bytes = reinterpret_cast<const std::byte*>(low);
  unsigned most = 0;
  for (std::size_t part = 0; part <= size; part += 8) {
    // A copy of just so much: a read beyond it is one that a sanitizer sees.
    const std::vector<std::byte> image = copy_of(bytes, part);
    const Trace trace = walk(registers, {low, image.data(), image.size()});
    REQUIRE(trace.count >= 1);
    REQUIRE(trace.count <= Trace::kMost);
    most = std::max(most, trace.count);
  }
  CHECK(most > 10);
  routine.enter();
}

TEST_CASE("nonsense registers and nonsense memory end the walk") {
  std::vector<std::uintptr_t> words(512);
  std::uint64_t state = paceline_test::test_seed() * 0x9e3779b97f4a7c15u;
  const auto next = [&state] {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
  };
  const auto low = reinterpret_cast<std::uintptr_t>(words.data());
  for (int round = 0; round < 2000; ++round) {
    for (std::uintptr_t& word : words) {
      switch (next() % 4) {
        case 0:
          word = reinterpret_cast<std::uintptr_t>(&recursing_of_unwind_test) + next() % 64;
          break;
        case 1: word = low + next() % (words.size() * 8); break;
        case 2: word = next(); break;
        default: word = next() % 16;
      }
    }
    Registers registers;
    for (unsigned i = 0; i < Registers::kCount; ++i) {
      if (next() % 8 != 0) registers.set(i, words[next() % words.size()]);
    }
    const Trace trace = walk(registers, {low, reinterpret_cast<std::byte*>(words.data()),
                                         words.size() * sizeof(std::uintptr_t)});
    REQUIRE(trace.count <= Trace::kMost);
  }
}

TEST_CASE("an address outside every module is printed as a number") {
  Symbols symbols;
  CHECK(symbols.describe(0x10) == "0x10");
  CHECK(symbols.describe(0) == "0x0");
  const auto here = reinterpret_cast<std::uintptr_t>(&reading_of_unwind_test);
  CHECK(symbols.describe(here, true).find("reading_of_unwind_test(int)+0x0") == 0);
}

TEST_CASE("the stack of a thread that computes is taken by signal, and only when asked") {
  const std::uint64_t before = sample_signals_sent();
  std::atomic<bool> go_on{true};
  const int sunk = sink;
  Numbered spinner([&go_on] { spinning_of_unwind_test(go_on); });
  eventually("it spins", [&] { return sink != sunk; });
  CHECK_FALSE(trace_of_running(spinner.number(), kSecond));  // nothing is installed
  CHECK(sample_signals_sent() == before);
  {
    const StackSampling sampling;
    REQUIRE(StackSampling::installed());
    if constexpr (!paceline_test::kThreadSanitizer) {
      const auto trace = trace_of_running(spinner.number(), 10 * kSecond);
      REQUIRE(trace);
      CHECK(text_of(*trace).find("spinning_of_unwind_test") != std::string::npos);
      CHECK(sample_signals_sent() == before + 1);
    }
    CHECK_FALSE(trace_of_running(1 << 29, kSecond));  // no such thread
  }
  go_on = false;
  spinner.join();
}

TEST_CASE("the stack of a blocked thread is taken without a signal") {
  // AddressSanitizer's own read() stands between the system's and ours.
  if (paceline_test::kSanitized && !paceline_test::kThreadSanitizer) return;
  const std::uint64_t before = sample_signals_sent();
  int ends[2];
  REQUIRE(::pipe(ends) == 0);
  Numbered reader([&ends] { sink += reading_of_unwind_test(ends[0]); });
  std::string text;
  eventually("it is blocked", [&] {
    const auto trace = trace_of_blocked(reader.number());
    if (trace) text = text_of(*trace);
    return text.find("reading_of_unwind_test") != std::string::npos;
  });
  CHECK(text.find("read") != std::string::npos);
  CHECK(sample_signals_sent() == before);
  REQUIRE(::write(ends[1], "x", 1) == 1);
  reader.join();
  ::close(ends[0]);
  ::close(ends[1]);
}

TEST_CASE("an application that has the signal keeps it, and its threads are not sampled") {
  const auto end = in_child([] {
    static volatile std::sig_atomic_t seen = 0;
    ::signal(sample_signal(), [](int) { seen = 1; });
    {
      const StackSampling sampling;
      if (StackSampling::installed()) ::_exit(1);
      ::raise(sample_signal());
      if (seen != 1) ::_exit(2);
    }
    seen = 0;
    ::raise(sample_signal());
    if (seen != 1) ::_exit(3);
  });
  CHECK(end.signal == 0);
  CHECK(end.exit_code == 0);
}

TEST_CASE("an application that takes the signal while one is on its way keeps it, too") {
  const auto end = in_child([] {
    static volatile std::sig_atomic_t seen = 0;
    sigset_t one;
    sigemptyset(&one);
    sigaddset(&one, sample_signal());
    pthread_sigmask(SIG_BLOCK, &one, nullptr);
    {
      const StackSampling sampling;
      if (!StackSampling::installed()) ::_exit(1);
      // It stays on its way: the handler stays, too, or nobody would be there to receive it.
      if (trace_of_running(this_thread_number(), kSecond / 1000)) ::_exit(2);
      ::signal(sample_signal(), [](int) { seen = seen + 1; });
      if (StackSampling::installed()) ::_exit(3);
      const auto before = sample_signals_sent();
      if (trace_of_running(this_thread_number(), kSecond / 1000)) ::_exit(4);
      if (sample_signals_sent() != before) ::_exit(5);
    }
    const StackSampling again;
    if (StackSampling::installed()) ::_exit(6);
    pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
    if (seen != 1) ::_exit(7);
  });
  CHECK(end.signal == 0);
  CHECK(end.exit_code == 0);
}

TEST_CASE("the signal's former disposition returns with the last sampling") {
  const auto end = in_child([] {
    ::signal(sample_signal(), SIG_IGN);
    {
      const StackSampling one;
      const StackSampling two;
      ::raise(sample_signal());  // not ours: ignored as before
    }
    struct sigaction now{};
    ::sigaction(sample_signal(), nullptr, &now);
    if (now.sa_handler != SIG_IGN) ::_exit(1);
  });
  CHECK(end.signal == 0);
  CHECK(end.exit_code == 0);
}
