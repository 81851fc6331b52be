// SPDX-License-Identifier: BSL-1.0
// Proves what the machine promises about signals: ours reach their thread with the place where it
// was, others with the same number are ignored, and a number that somebody handles is left alone.
#include "machine/signals.hpp"

#include <algorithm>
#include <csignal>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string>
#include <thread>

#include <link.h>
#include <pthread.h>

#include "machine/machine.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

using namespace paceline::core;

namespace {

std::atomic<int> seen{0};
std::atomic<std::uintptr_t> seen_at{0};
void note(machine::Interrupted at) noexcept {
  seen_at = at.pc;
  ++seen;
}
void theirs(int) {}

int depth = 0;
int deepest = 0;
/// Sends the calling thread the signal that it handles.
void send_another(machine::Interrupted) noexcept {
  deepest = std::max(deepest, ++depth);
  if (++seen < 3) machine::send_signal(machine::this_thread_number(), SIGRTMIN + 7);
  --depth;
}

}  // namespace

TEST_CASE("a signal reaches the thread it was sent to, and says where that was") {
  const int number = SIGRTMIN + 6;
  REQUIRE(machine::claim_signal(number, &note) == nullptr);
  REQUIRE(machine::claim_signal(number, &note) == nullptr);
  REQUIRE(machine::still_claimed(number));
  std::atomic<int> thread{0};
  std::atomic<bool> done{false};
  std::thread other([&] {
    machine::accept_signal(number);
    thread = machine::this_thread_number();
    while (!done) {
    }
  });
  paceline_test::eventually("the thread runs", [&] { return thread != 0; });
  const int before = seen;
  REQUIRE(machine::send_signal(thread, number));
  paceline_test::eventually("the signal comes", [&] { return seen == before + 1; });
  CHECK(seen_at != 0);
  done = true;
  other.join();
  CHECK(!machine::send_signal(-1, number));
}

TEST_CASE("signals of the number that others sent are ignored") {
  const int number = SIGRTMIN + 6;
  REQUIRE(machine::claim_signal(number, &note) == nullptr);
  const int before = seen;
  REQUIRE(::raise(number) == 0);
  union sigval value{};
  REQUIRE(::sigqueue(::getpid(), number, value) == 0);
  CHECK(seen == before);
}

TEST_CASE("a signal that comes while one is handled waits until that has returned") {
  const int number = SIGRTMIN + 7;
  seen = 0;
  // The machine calls one function for all numbers, the last one claimed with.
  REQUIRE(machine::claim_signal(number, &send_another) == nullptr);
  machine::accept_signal(number);
  REQUIRE(machine::send_signal(machine::this_thread_number(), number));
  paceline_test::eventually("all three are handled", [] { return seen == 3; });
  CHECK(deepest == 1);
  // Others' signals do not pile up on the stack either.
  for (int i = 0; i < 1000; ++i) ::raise(number);
  CHECK(seen == 3);
  REQUIRE(machine::claim_signal(SIGRTMIN + 8, &note) == nullptr);
}

TEST_CASE("a signal that its thread blocks can be absorbed, one of others cannot") {
  const int number = SIGRTMIN + 6;
  REQUIRE(machine::claim_signal(number, &note) == nullptr);
  sigset_t one;
  sigemptyset(&one);
  sigaddset(&one, number);
  pthread_sigmask(SIG_BLOCK, &one, nullptr);
  const int before = seen;
  CHECK(!machine::absorb_signal(number));
  ::raise(number);
  CHECK(!machine::absorb_signal(number));
  REQUIRE(machine::send_signal(machine::this_thread_number(), number));
  CHECK(machine::absorb_signal(number));
  CHECK(!machine::absorb_signal(number));
  pthread_sigmask(SIG_UNBLOCK, &one, nullptr);
  CHECK(seen == before);
}

TEST_CASE("numbers that are handled, report faults or do not exist cannot be claimed") {
  struct sigaction handled = {};
  handled.sa_handler = &theirs;
  struct sigaction before = {};
  ::sigaction(SIGUSR2, &handled, &before);
  CHECK(machine::claim_signal(SIGUSR2, &note) != nullptr);
  CHECK(!machine::still_claimed(SIGUSR2));
  ::sigaction(SIGUSR2, &before, nullptr);
  for (const int number : {SIGSEGV, SIGKILL, 0, -5, 65, 10'000}) {
    INFO(number);
    CHECK(machine::claim_signal(number, &note) != nullptr);
  }
  CHECK(machine::usual_signal() == SIGURG);
  CHECK(machine::signal_frame_bytes() >= 512);
}

#if defined(__x86_64__)

namespace {

/// The features that the program's note says all of it is fit for (GNU_PROPERTY_X86_FEATURE_1_AND).
std::uint32_t features_of_the_program() {
  constexpr std::uint32_t kProgramHeader = 0x6474e553;  // PT_GNU_PROPERTY
  constexpr std::uint32_t kFeatures = 0xc0000002;
  std::uint32_t features = 0;
  const auto look = [](dl_phdr_info* module, std::size_t, void* found) {
    for (int i = 0; i < module->dlpi_phnum; ++i) {
      const auto& header = module->dlpi_phdr[i];
      if (header.p_type != kProgramHeader) continue;
      const auto* note = reinterpret_cast<const char*>(module->dlpi_addr + header.p_vaddr);
      // Sizes of name and contents, type, "GNU", then properties: type, size, contents in words
      // of 8.
      for (std::size_t at = 16; at + 12 <= header.p_memsz;) {
        std::uint32_t property[3];
        std::memcpy(property, note + at, sizeof property);
        if (property[0] == kFeatures) *static_cast<std::uint32_t*>(found) = property[2];
        at += 8 + ((property[1] + 7) & ~std::size_t{7});
      }
    }
    return 1;  // the program comes first
  };
  ::dl_iterate_phdr(look, &features);
  return features;
}

}  // namespace

TEST_CASE("no program with the runtime in it asks for a shadow stack") {
  constexpr std::uint32_t kShadowStack = 2;
  CHECK((features_of_the_program() & kShadowStack) == 0);
}

#endif
