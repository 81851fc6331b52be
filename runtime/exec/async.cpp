// SPDX-License-Identifier: BSL-1.0
#include "exec/async.hpp"

#include <cerrno>
#include <cstddef>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>

#include <paceline/options.hpp>

#include "base/mutex.hpp"
#include "base/time.hpp"
#include "exec/entry.hpp"
#include "exec/executor_runtime.hpp"
#include "machine/machine.hpp"
#include "machine/sanitizer.hpp"
#include "machine/signals.hpp"
#include "trace/log.hpp"

namespace paceline::core {

namespace {

// What parking the stack takes: a few calls, at the deepest the mapping of a fresh stack. Measured:
// under 3 KiB; the rest is for the C library.
constexpr std::size_t kSwitchRoom = std::size_t{12} * 1024 * (machine::sanitizer::kAddress ? 8 : 1);
// A signal that was sent comes within microseconds. After so long the reason is looked for.
constexpr Nanos kComesWithin = kMillisecond;
// A sender that lost its processor between the claim and the call gets so long, if the signal can
// only have gone to a handler that is not ours.
constexpr Nanos kGivenUpAfter = 100 * kMillisecond;

struct Text {
  Atomic<std::uintptr_t> begin{0};
  Atomic<std::uintptr_t> end{0};
};
constinit Text texts[kAsyncTexts];
constinit Atomic<unsigned> text_count{0};
constinit Mutex texts_lock{LockRank::memory};

constinit Atomic<std::uint64_t> outside{0};
constinit Atomic<bool> said_taken{false};

/// Below the frame of the signal that asks. While the number is let in, one that is not ours may
/// come on top.
std::size_t room_to_switch() noexcept { return machine::signal_frame_bytes() + kSwitchRoom; }

bool is_known(std::uintptr_t begin) noexcept {
  // Acquire. Pairs: add_async_text. Publishes: the range.
  const unsigned count = text_count.load(std::memory_order_acquire);  // M42
  for (unsigned i = 0; i < count; ++i) {
    if (texts[i].begin.load(std::memory_order_relaxed) == begin) return true;
  }
  return false;
}

/// May the poll that was interrupted here give way, and does it? Returns when it goes on.
Answer try_to_give_way(const machine::ThisThread& self, std::uintptr_t pc, int signal) noexcept {
  if (self.runtime == nullptr || self.inside.load(std::memory_order_relaxed) != 0) {
    return Answer::runtime;
  }
  if (detail::this_safepoint.guards != 0) return Answer::nopreempt;
  if (!in_async_text(pc)) return Answer::text;
  // From here on it is as if the code of the region had called preempt_point.
  const Entry runtime;
  const char here = 0;
  if (runtime->running().room_below(&here) < room_to_switch()) return Answer::stack;
  // The signal is blocked until the handler returns. What runs while this stack is parked must be
  // preemptible nonetheless.
  machine::accept_signal(signal);
  const Answer answer = runtime->at_safepoint(true);
  // The next one may be sent as soon as the word is up again, and each that came on top of us would
  // take 12 KiB of the stack.
  machine::defer_signal(signal);
  return answer;
}

void ask_again_if_asked() noexcept {
  // Seq_cst: after the word has become `in`, as askers look at the word after they have asked.
  if (detail::this_safepoint.own->load(std::memory_order_seq_cst) == 0) return;  // M40
  if (ExecutorRuntime* runtime = machine::own_record().runtime) runtime->ask_again();
}

/// The handler.
void on_signal(machine::Interrupted at) noexcept {
  machine::ThisThread& self = machine::this_thread();
  Region* region = self.region;
  if (region == nullptr || !region->take()) {
    outside.fetch_add(1, std::memory_order_relaxed);
    return;
  }
  // No signal comes while the word is `out`, so the polls that run while this stack is parked have
  // regions of their own.
  const unsigned depth = std::exchange(region->depth, 0);
  const int signal = region->signal.load(std::memory_order_relaxed);
  const Answer answer = try_to_give_way(self, at.pc, signal);
  if (answer != Answer::gave_way) bump(region->refused[static_cast<std::size_t>(answer)]);
  take_regions_up(depth);
}

/// Lets a signal arrive that is on its way to the calling thread.
class Arrival {
 public:
  void operator()(Region& region) noexcept {
    if (++looks_ < 100) {
      machine::relax();
      return;
    }
    machine::yield_thread();  // any system call lets it in
    if (looks_ % 64 != 0) return;
    if (machine::fork_generation() != region.process) {
      region.withdraw();  // it went to the parent's thread
      return;
    }
    const Nanos now = machine::now();
    if (since_ == 0) since_ = now;
    if (now - since_ < kComesWithin) return;
    const int number = region.signal.load(std::memory_order_relaxed);
    const bool lost = now - since_ >= kGivenUpAfter && !machine::still_claimed(number);
    if (!machine::absorb_signal(number) && !lost) return;
    bump(region.refused[static_cast<std::size_t>(Answer::masked)]);
    region.withdraw();
  }

 private:
  unsigned looks_ = 0;
  Nanos since_ = 0;
};

void say_taken(const char* reason) noexcept {
  if (said_taken.exchange(true, std::memory_order_relaxed)) return;
  try {
    log::write(log::Level::warn,
               std::string("async_region: the signal for it cannot be had (") + reason +
                   "); regions do nothing. Choose another one in runtime_options::async_signal");
  } catch (...) {
    // Without memory nobody reads it.
  }
}

}  // namespace

void add_async_text(const char* begin, const char* end) noexcept {
  const auto from = reinterpret_cast<std::uintptr_t>(begin);
  const auto to = reinterpret_cast<std::uintptr_t>(end);
  if (from >= to || is_known(from)) return;
  LockGuard lock(texts_lock);
  const unsigned count = text_count.load(std::memory_order_relaxed);
  if (count == kAsyncTexts || is_known(from)) return;
  texts[count].begin.store(from, std::memory_order_relaxed);
  texts[count].end.store(to, std::memory_order_relaxed);
  text_count.store(count + 1, std::memory_order_release);  // M42
}

bool in_async_text(std::uintptr_t pc) noexcept {
  const unsigned count = text_count.load(std::memory_order_acquire);  // M42
  for (unsigned i = 0; i < count; ++i) {
    if (pc >= texts[i].begin.load(std::memory_order_relaxed) &&
        pc < texts[i].end.load(std::memory_order_relaxed)) {
      return true;
    }
  }
  return false;
}

bool ready_for_signals(Region& region, ExecutorRuntime& runtime) noexcept {
  const int number = region.signal.load(std::memory_order_relaxed);
  if (number == 0 || !machine::signals_usable()) return false;
  const char here = 0;
  if (runtime.running().room_below(&here) < machine::signal_frame_bytes() + room_to_switch()) {
    return false;
  }
  if (region.ready) return true;
  const int kept = errno;  // what a thread's first region calls is not the task's business
  if (const char* reason = claim_async_signal(number)) {
    say_taken(reason);
    region.signal.store(0, std::memory_order_relaxed);
  } else {
    machine::accept_signal(number);
    region.ready = true;
  }
  errno = kept;
  return region.ready;
}

void leave_region(Region& region) noexcept {
  Arrival arrival;
  region.leave([&] { arrival(region); });
}

unsigned set_regions_aside() noexcept {
  Region* region = machine::own_record().region;
  if (region == nullptr || region->depth == 0) return 0;
  leave_region(*region);
  return std::exchange(region->depth, 0);
}

void take_regions_up(unsigned depth) noexcept {
  if (depth == 0) return;
  Region& region = *machine::own_record().region;
  region.depth = depth;
  region.go_in();
  ask_again_if_asked();
}

bool signal_region(Region& region) noexcept {
  if (!Region::allowed.load(std::memory_order_relaxed) || !region.claim()) return true;
  // Counted first: who sees an answer has seen the signal.
  region.sent.fetch_add(1, std::memory_order_relaxed);
  const int number = region.signal.load(std::memory_order_relaxed);
  const int thread = region.thread.load(std::memory_order_relaxed);
  if (machine::still_claimed(number) && machine::send_signal(thread, number)) return true;
  region.sent.fetch_sub(1, std::memory_order_relaxed);
  region.withdraw();
  return false;
}

void keep_regions_across_fork() noexcept {
  machine::keep_across_fork(texts_lock);
  machine::keep_signals_across_fork();
}

const char* claim_async_signal(int number) noexcept {
  return machine::claim_signal(number, &on_signal);
}

int choose_async_signal(const runtime_options& options) {
  if (options.async_signal < 0 || options.preemption != preemption_mode::automatic) return 0;
  const char* switched = std::getenv("PACELINE_ASYNC");
  if (switched != nullptr && std::string_view(switched) == "off") return 0;
  // The usual one is claimed by the first region: who has none is left alone.
  if (options.async_signal == 0) return machine::usual_signal();
  if (const char* reason = claim_async_signal(options.async_signal)) {
    throw std::invalid_argument("runtime_options.async_signal is " +
                                std::to_string(options.async_signal) +
                                ", which cannot be used: " + reason +
                                "; choose another one, 0 for the usual one, or -1 for none");
  }
  return options.async_signal;
}

void begin_regions(Region& region, int number) noexcept {
  region.begin(machine::this_thread_number(), number, machine::fork_generation());
  machine::this_thread().region = &region;
}

std::uint64_t async_signals_outside() noexcept { return outside.load(std::memory_order_relaxed); }

}  // namespace paceline::core

namespace paceline::detail {
// For the last look of every test program; here, where each that has a runtime links it.
std::uint64_t async_signals_outside() noexcept { return core::async_signals_outside(); }
}  // namespace paceline::detail
