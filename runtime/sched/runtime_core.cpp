// SPDX-License-Identifier: BSL-1.0
#include "sched/runtime_core.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <system_error>

#include <spdlog/fmt/fmt.h>

#include <paceline/detail/promise.hpp>
#include <paceline/error.hpp>

#include "exec/async.hpp"
#include "exec/completion.hpp"
#include "exec/names.hpp"
#include "machine/frame_memory.hpp"
#include "machine/sanitizer.hpp"
#include "machine/stack_pool.hpp"
#include "machine/stack_sample.hpp"
#include "sched/plan.hpp"
#include "sched/seats.hpp"
#include "trace/log.hpp"

namespace paceline::core {

namespace {

constexpr std::size_t kStackMin = 16 * 1024;
constexpr std::size_t kStackMax = std::size_t{1} << 30;
constexpr std::size_t kNameMax = 255;
constexpr std::size_t kWeakMax = 65536;

constinit Mutex registry_lock{LockRank::registry};
constinit RuntimeCore* registry = nullptr;
constinit std::uint32_t last_id = 0;

std::uint64_t prepare_for_forks() noexcept {
  // Of one rank in the order in which they nest; the heaps take chunks while they are locked.
  [[maybe_unused]] static const bool registered = [] {
    machine::keep_across_fork(registry_lock);
    keep_seats_across_fork();
    machine::keep_samples_across_fork();
    machine::keep_overflow_reports_across_fork();
    machine::keep_stacks_across_fork();
    keep_names_across_fork();
    keep_regions_across_fork();
    keep_frames_across_fork();
    return true;
  }();
  return machine::watch_forks();
}

runtime_options checked(runtime_options options) {
  if (options.workers > kMaxWorkers) {
    throw std::invalid_argument(
        fmt::format("runtime_options.workers is {}, the most is {}; use 0 for one per usable core",
                    options.workers, kMaxWorkers));
  }
  if (options.stack_size < kStackMin || options.stack_size > kStackMax) {
    throw std::invalid_argument(
        fmt::format("runtime_options.stack_size is {} bytes; use {} (16 KiB) to {} (1 GiB)",
                    options.stack_size, kStackMin, kStackMax));
  }
  if (options.name.size() > kNameMax) {
    throw std::invalid_argument(fmt::format("runtime_options.name has {} bytes, the most is {}",
                                            options.name.size(), kNameMax));
  }
  if (options.preemption != preemption_mode::off &&
      options.preemption != preemption_mode::safepoint &&
      options.preemption != preemption_mode::automatic) {
    throw std::invalid_argument(
        "runtime_options.preemption is neither off nor safepoint nor automatic");
  }
  if (options.slice <= std::chrono::nanoseconds(0) || options.slice > std::chrono::hours(1)) {
    throw std::invalid_argument(
        fmt::format("runtime_options.slice is {} ns; use more than 0 and at most an hour",
                    options.slice.count()));
  }
  if (options.handoff_after <= std::chrono::nanoseconds(0) ||
      options.handoff_after > std::chrono::hours(1)) {
    throw std::invalid_argument(
        fmt::format("runtime_options.handoff_after is {} ns; use more than 0 and at most an hour",
                    options.handoff_after.count()));
  }
  if (options.stall_after <= std::chrono::nanoseconds(0) ||
      options.stall_after > std::chrono::hours(1)) {
    throw std::invalid_argument(
        fmt::format("runtime_options.stall_after is {} ns; use more than 0 and at most an hour",
                    options.stall_after.count()));
  }
  if (options.max_weak == 0 || options.max_weak > kWeakMax) {
    throw std::invalid_argument(
        fmt::format("runtime_options.max_weak is {}; use 1 to {}, or preemption_mode::off",
                    options.max_weak, kWeakMax));
  }
  const bool wait = options.on_shutdown == shutdown_policy::wait;
  if (!wait && options.on_shutdown != shutdown_policy::abandon &&
      options.on_shutdown != shutdown_policy::terminate) {
    throw std::invalid_argument(
        "runtime_options.on_shutdown is neither wait nor abandon nor terminate");
  }
  if (!wait && !options.shutdown_deadline) {
    throw std::invalid_argument(
        fmt::format("runtime_options: shutdown_policy::{} needs a shutdown_deadline",
                    options.on_shutdown == shutdown_policy::abandon ? "abandon" : "terminate"));
  }
  if (wait && options.shutdown_deadline) {
    throw std::invalid_argument(
        "runtime_options: shutdown_deadline contradicts shutdown_policy::wait; remove it or use "
        "shutdown_policy::abandon or terminate");
  }
  if (options.shutdown_deadline && options.shutdown_deadline->count() <= 0) {
    throw std::invalid_argument("runtime_options.shutdown_deadline must be greater than zero");
  }
  check_profile(options);
  return options;
}

}  // namespace

RuntimeCore::RuntimeCore(runtime_options options)
    : options_(checked(std::move(options))),
      machine_(machine_for(options_)),
      plan_(plan_for(options_, machine_)),
      fork_generation_(prepare_for_forks()),
      id_([] {
        LockGuard lock(registry_lock);
        return ++last_id;
      }()),
      async_signal_(choose_async_signal(options_)) {}

RuntimeCore::~RuntimeCore() = default;

RuntimeCore* RuntimeCore::start(runtime_options options) {
  std::unique_ptr<RuntimeCore, void (*)(RuntimeCore*)> core(
      new RuntimeCore(std::move(options)), [](RuntimeCore* failed) { failed->release(); });
  core->start_workers();
  LockGuard lock(registry_lock);
  core->next_registered_ = registry;
  registry = core.get();
  return core.release();
}

void RuntimeCore::start_workers() {
  const auto count = static_cast<unsigned>(plan_.workers);
  workers_.reserve(count);
  threads_.reserve(count);
  seats_.reserve(count);
  hub_ = acquire_hub(count);
  std::size_t started = 0;
  if (options_.report_stack_overflow) overflow_reports_.emplace(&describe_this_task);
  try {
    surroundings_.stopping = &stopping_;
    surroundings_.sleepers = &hub_->sleepers;
    surroundings_.group_wishes = groups_.wishes();
    surroundings_.help_wanted = &core::help_wanted;
    surroundings_.unhandled = [](ExecutorRuntime& runtime, detail::PromiseBase& promise) noexcept {
      runtime.worker().core().unhandled(promise);
    };
    surroundings_.ask_again = [](Port& port) noexcept {
      if (Hub* hub = static_cast<Seat&>(port).hub.load(std::memory_order_acquire)) {  // M10
        Monitor::hurry(*hub);
      }
    };
    surroundings_.switch_out = options_.on_switch_out;
    surroundings_.switch_in = options_.on_switch_in;
    surroundings_.foreign_waits = [](Worker& worker) noexcept {
      return !worker.inbox().empty() || !worker.seat().mail.empty();
    };
    if (options_.preemption == preemption_mode::off)
      surroundings_.max_weak = 0;
    else
      surroundings_.max_weak = static_cast<unsigned>(options_.max_weak);
    surroundings_.classes = policy::class_table(options_.time_scale);
    surroundings_.slice = std::max<Nanos>(options_.slice.count(), Monitor::kSliceMin);
    for (unsigned i = 0; i < count; ++i) seats_.push_back(acquire_seat(*hub_, i, id_));
    settle_clusters();
    surroundings_.alike = !clusters_.several();
    if (clusters_.several()) {
      surroundings_.instead = [](Worker& worker, Slot* next) noexcept {
        return worker.look_at_note(next);
      };
    }
    for (unsigned i = 0; i < count; ++i) {
      workers_.push_back(
          std::make_unique<Worker>(*this, *seats_[i], *hub_, surroundings_, plan_worker(i)));
    }
    if (options_.preemption != preemption_mode::off) {
      machine::prepare_barriers();
      monitor_ = std::make_unique<Monitor>(*this, options_.slice.count(),
                                           hands_off() ? options_.handoff_after.count() : kForever,
                                           options_.stall_after.count());
    }
    for (; started < count; ++started) {
      retain();
      try {
        threads_.push_back(
            machine::start_thread(&RuntimeCore::thread_body, workers_[started].get()));
      } catch (...) {
        release();
        throw;
      }
    }
    if (monitor_) monitor_->start();
  } catch (const std::system_error& error) {
    stop_workers(started);
    throw std::system_error(
        error.code(),
        started == count
            ? std::string("paceline::runtime: its monitor could not be started; raise the limit on "
                          "threads (ulimit -u) or use preemption_mode::off")
            : fmt::format("paceline::runtime: worker {} of {} could not be started; use fewer "
                          "workers or raise the limit on threads (ulimit -u)",
                          started + 1, count));
  } catch (...) {
    stop_workers(started);
    throw;
  }
  if (log::enabled(log::Level::info)) {
    log::write(log::Level::info,
               fmt::format("runtime {} '{}' started: {} workers, {}", id_, options_.name, count,
                           plan_.pin                    ? "one per core"
                           : machine_.is_this_machine() ? "not bound to cores"
                                                        : "virtual cores"));
  }
}

void RuntimeCore::thread_body(void* raw) noexcept {
  auto& worker = *static_cast<Worker*>(raw);
  RuntimeCore& core = worker.core();
  try {
    machine::name_this_thread(fmt::format("{}/{}", core.options_.name, worker.index()));
  } catch (...) {
    // A thread without a name works as well.
  }
  if (worker.run()) core.crew().serve();
  machine::this_thread().heap = nullptr;
  core.release();
}

/// Ends the first `started` threads and takes the seats back. Start-up failed, or no task lives.
void RuntimeCore::stop_workers(std::size_t started) noexcept {
  if (monitor_) monitor_->stop();
  for (std::size_t i = 0; i < started; ++i) workers_[i]->let_go();
  crew_.dismiss();  // among them threads that once drove a worker
  for (std::size_t i = 0; i < started; ++i) machine::join_thread(threads_[i]);
  crew_.end(true);
  threads_.clear();
  workers_.clear();
  monitor_.reset();
  groups_.clear();
  for (Seat* seat : seats_) recycle_seat(seat);
  seats_.clear();
  if (hub_ != nullptr) recycle_hub(hub_);
  hub_ = nullptr;
}

void RuntimeCore::release() noexcept {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;  // M28
  unregister();
  // Only a runtime that ended on one of its own workers still has any: its threads are detached.
  if (abandoned_) {
    for (Seat* seat : seats_) keep_seat(seat);
  } else if (!workers_.empty()) {
    stop_workers(0);
  }
  delete this;
}

void RuntimeCore::throw_other_process(const char* caller) {
  throw std::logic_error(fmt::format(
      "{}: this runtime belongs to the parent process; its workers do not exist after fork(). "
      "Create a new runtime in the child, or call exec",
      caller));
}

// --- ends ---

void RuntimeCore::request_stop() noexcept {
  // Seq_cst, before the states are looked at: see StateWord::try_start.
  if (stopping_.exchange(true, std::memory_order_seq_cst)) return;  // M17
  stop_records();
  each_live_slot([](Slot& slot, TaskCollection&, unsigned) { notify(slot); });
}

void RuntimeCore::shut_down() noexcept {
  if (machine::fork_generation() != fork_generation_) return;  // the parent's; nothing to end here
  request_stop();
  const bool on_own_worker = std::any_of(threads_.begin(), threads_.end(),
                                         [](auto t) { return machine::is_this_thread(t); }) ||
                             crew_.owns_this_thread();
  if (on_own_worker) {
    // We cannot wait for ourselves. The workers end by themselves once no task lives, and the last
    // reference cleans up.
    for (auto thread : threads_) machine::detach_thread(thread);
    crew_.end(false);
    orphaned_.store(true, std::memory_order_seq_cst);   // M24
    for (auto& worker : workers_) worker->want_trim();  // makes each look once more
    release();
    return;
  }
  const Nanos deadline = options_.shutdown_deadline
                             ? saturating_add(machine::now(), options_.shutdown_deadline->count())
                             : kForever;
  if (wait_idle(deadline)) {
    stop_workers(threads_.size());
  } else if (options_.on_shutdown == shutdown_policy::terminate) {
    report_holders();
    std::terminate();
  } else {
    if (monitor_) monitor_->stop();  // kept: workers still look at it
    give_up_on_tasks();
    abandoned_ = true;
    for (auto& worker : workers_) worker->let_go();
    for (auto thread : threads_) machine::detach_thread(thread);
    crew_.end(false);
    crew_.give_up();
  }
  if (log::enabled(log::Level::info)) {
    log::write(log::Level::info, fmt::format("runtime {} '{}' ended", id_, options_.name));
  }
  release();
}

bool RuntimeCore::quiescent() const noexcept {
  // Ends are read before spawns. Both only grow, and a task's end is published after its spawn was
  // counted, so if the sums agree there was a moment between the two readings at which no task
  // lived; and with no task left only outside threads could start one.
  std::uint64_t ended = outside_forgotten_.load(std::memory_order_seq_cst);  // M21
  for (const auto& worker : workers_) {
    ended += worker->runtime().counters().completed.load(std::memory_order_acquire);  // M21
  }
  crew_.each([&](Refuge& refuge) {
    ended += refuge.runtime.counters().completed.load(std::memory_order_acquire);  // M21
  });
  std::uint64_t begun = outside_spawned_.load(std::memory_order_seq_cst);  // M21
  for (const auto& worker : workers_) {
    begun += worker->runtime().counters().spawned.load(std::memory_order_acquire);  // M21
  }
  return ended == begun;
}

bool RuntimeCore::wait_idle(Nanos deadline) noexcept {
  // Handshake with worker_rests: we count ourselves and then look; a worker publishes that it
  // sleeps and then looks for waiters. Seq_cst on both sides: one of them sees the other.
  idle_waiters_.fetch_add(1, std::memory_order_seq_cst);  // M24
  bool idle = false;
  for (;;) {
    const std::uint32_t epoch = idle_epoch_.load(std::memory_order_seq_cst);                // M24
    idle = quiescent() && hub_->sleepers.load(std::memory_order_seq_cst) == plan_.workers;  // M24
    if (idle || (deadline != kForever && machine::now() >= deadline)) break;
    machine::park(idle_epoch_, epoch, deadline);
  }
  idle_waiters_.fetch_sub(1, std::memory_order_seq_cst);  // M24
  return idle;
}

void RuntimeCore::worker_rests() noexcept {
  if (orphaned_.load(std::memory_order_seq_cst) && quiescent()) {  // M24
    for (auto& worker : workers_) worker->let_go();
    return;
  }
  if (idle_waiters_.load(std::memory_order_seq_cst) == 0) return;  // M24
  idle_epoch_.fetch_add(1, std::memory_order_seq_cst);             // M24
  machine::unpark_all(idle_epoch_);
}

void RuntimeCore::trim() noexcept {
  for (auto& worker : workers_) worker->want_trim();
  machine::trim_stacks();
  trim_shared_frames();
}

// --- spawn ---

void RuntimeCore::refuse_from_outside(const char* caller) {
  forget_from_outside();
  throw runtime_stopped(fmt::format("{}: the runtime '{}' was asked to stop and takes no new tasks",
                                    caller, options_.name));
}

void RuntimeCore::forget_from_outside() noexcept {
  outside_forgotten_.fetch_add(1, std::memory_order_seq_cst);  // M21
  worker_rests();
}

RuntimeCore* RuntimeCore::find(std::uint32_t id) noexcept {
  LockGuard lock(registry_lock);
  for (RuntimeCore* core = registry; core != nullptr; core = core->next_registered_) {
    if (core->id_ == id) return core->retain_if_alive() ? core : nullptr;
  }
  return nullptr;
}

/// A runtime stays registered until its last reference is gone, because tasks that end during its
/// shutdown look for it. The one that is about to unregister it may not be revived.
bool RuntimeCore::retain_if_alive() noexcept {
  std::uint32_t now = references_.load(std::memory_order_relaxed);
  while (now != 0) {
    if (references_.compare_exchange_weak(now, now + 1, std::memory_order_relaxed)) return true;
  }
  return false;
}

void RuntimeCore::unregister() noexcept {
  LockGuard lock(registry_lock);
  for (RuntimeCore** at = &registry; *at != nullptr; at = &(*at)->next_registered_) {
    if (*at != this) continue;
    *at = next_registered_;
    return;
  }
}

// --- stop tokens that left their task ---

void RuntimeCore::list(detail::StopRecord& record) {
  LockGuard lock(stop_list_lock_);
  record.runtime_id = id_;
  push_front(stop_list_, record);
}

void RuntimeCore::unlist(detail::StopRecord& record) noexcept {
  LockGuard lock(stop_list_lock_);
  detach(record);
}

void RuntimeCore::push_front(detail::StopRecord*& list, detail::StopRecord& record) noexcept {
  record.previous = nullptr;
  record.next = list;
  if (list != nullptr) list->previous = &record;
  list = &record;
}

void RuntimeCore::detach(detail::StopRecord& record) noexcept {
  if (record.previous != nullptr) {
    record.previous->next = record.next;
  } else {
    (stop_list_ == &record ? stop_list_ : stopped_list_) = record.next;
  }
  if (record.next != nullptr) record.next->previous = record.previous;
}

std::stop_source RuntimeCore::next_unstopped() {
  LockGuard lock(stop_list_lock_);
  if (stop_list_ == nullptr) return std::stop_source(std::nostopstate);
  detail::StopRecord& record = *stop_list_;
  detach(record);
  push_front(stopped_list_, record);
  return record.source;
}

void RuntimeCore::stop_records() noexcept {
  // Callbacks are user code and must not run under our lock (failure L24), so one source at a time
  // is copied out; a record is done when its source is stopped.
  for (;;) {
    std::stop_source source = next_unstopped();
    if (!source.stop_possible()) return;
    source.request_stop();
  }
}

}  // namespace paceline::core
