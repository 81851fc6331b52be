// SPDX-License-Identifier: BSL-1.0
// The machine seam on the simulated machine, linked in place of linux.cpp, signals_linux.cpp and
// topology_linux.cpp. It has kCpus CPUs, no cgroup, no fork and no signals.
#include "machine/machine.hpp"

#include "machine/signals.hpp"
#include "sim/machine/world.hpp"

namespace paceline::core::machine {

namespace {

constexpr int kCpus = 8;
// A park may return for no reason: one in so many does.
constexpr std::uint64_t kSpuriousReturns = 64;

constinit Atomic<std::uint32_t> no_worker{0};
constinit thread_local ThisThread not_simulated;

}  // namespace

Nanos now() noexcept { return simulation::now(); }

// --- parking ---

void park(Atomic<std::uint32_t>& word, std::uint32_t expected, Nanos deadline) noexcept {
  simulation::point(simulation::Point::park);
  if (word.load() != expected || simulation::chance(kSpuriousReturns)) return;
  simulation::block(&word, deadline, simulation::Point::park);
}
void unpark(Atomic<std::uint32_t>& word) noexcept {
  simulation::wake(&word, false);
  simulation::point(simulation::Point::wake);
}
void unpark_all(Atomic<std::uint32_t>& word) noexcept {
  simulation::wake(&word, true);
  simulation::point(simulation::Point::wake);
}
void relax() noexcept { simulation::spin(); }
void yield_thread() noexcept { simulation::spin(); }

// --- threads ---

ThisThread& this_thread() noexcept {
  return simulation::takes_part ? simulation::world->running->record : not_simulated;
}

void take_requests_from(const Atomic<std::uint32_t>* word) noexcept {
  detail::Safepoint& here = detail::this_safepoint;
  here.own = here.request = word != nullptr ? word : &no_worker;
  here.guards = 0;
}
void change_requests_to(const Atomic<std::uint32_t>* word) noexcept {
  detail::Safepoint& here = detail::this_safepoint;
  here.own = word != nullptr ? word : &no_worker;
  if (here.guards == 0) here.request = here.own;
}

// One thread of the system runs everybody: what one has written the next one sees.
bool barrier_everywhere() noexcept { return true; }
void prepare_barriers() noexcept {}

int this_thread_number() noexcept { return static_cast<int>(simulation::self()); }
std::optional<ThreadState> look_at_thread(int number) noexcept {
  const auto activity = simulation::activity_of(static_cast<std::uintptr_t>(number));
  if (!activity) return std::nullopt;
  return ThreadState{.cpu_time = activity->busy, .runnable = !activity->waits};
}

ThreadHandle start_thread(void (*body)(void*) noexcept, void* argument) {
  return simulation::start(body, argument);
}
void join_thread(ThreadHandle thread) noexcept { simulation::join(thread); }
void detach_thread(ThreadHandle thread) noexcept { simulation::detach(thread); }
bool is_this_thread(ThreadHandle thread) noexcept { return thread == simulation::self(); }
void name_this_thread(std::string_view name) noexcept { simulation::name_self(name); }
void want_precise_timers() noexcept {}
void want_prompt_wakeups() noexcept {}
int pin_this_thread(int cpu) noexcept {
  simulation::bind_self(cpu);
  return 0;
}

int set_thread_class(const ThreadClass&) noexcept { return 0; }

// --- what there is ---

std::vector<int> usable_cpus() {
  std::vector<int> all;
  for (int cpu = 0; cpu < kCpus; ++cpu) all.push_back(cpu);
  return all;
}
std::optional<double> cpu_quota() { return std::nullopt; }
int current_cpu() noexcept { return simulation::own_cpu(); }

// --- signals ---

bool signals_usable() noexcept { return false; }
int usual_signal() noexcept { return 0; }
const char* claim_signal(int, OnSignal) noexcept { return "a simulated machine sends none"; }
bool still_claimed(int) noexcept { return false; }
void keep_signals_across_fork() noexcept {}
void accept_signal(int) noexcept {}
void defer_signal(int) noexcept {}
bool send_signal(int, int) noexcept { return false; }
bool absorb_signal(int) noexcept { return false; }
std::size_t signal_frame_bytes() noexcept { return 0; }

// --- fork ---

constinit Atomic<std::uint64_t> forks{1};
void keep_across_fork(Mutex&) noexcept {}
std::uint64_t watch_forks() noexcept { return fork_generation(); }

}  // namespace paceline::core::machine

namespace paceline::detail {
constinit thread_local Safepoint this_safepoint{&core::machine::no_worker,
                                                &core::machine::no_worker, 0};
}  // namespace paceline::detail
