// SPDX-License-Identifier: BSL-1.0
#include "sched/crew.hpp"

#include <exception>
#include <utility>

#include <spdlog/fmt/fmt.h>

#include "exec/async.hpp"
#include "machine/frame_heap.hpp"
#include "sched/runtime_core.hpp"
#include "sched/seats.hpp"
#include "sched/worker.hpp"

namespace paceline::core {

namespace {

constinit Atomic<std::uint32_t> nobody_sleeps{0};

Surroundings apart(Surroundings surroundings) noexcept {
  surroundings.sleepers = &nobody_sleeps;  // nobody could help
  surroundings.apart = true;
  return surroundings;
}

}  // namespace

Refuge::Refuge(RuntimeCore& its_core, Worker& any, const Surroundings& surroundings)
    : core(its_core),
      own_seat(acquire_seat_apart(), &recycle_seat),
      seat(*own_seat),
      heap(FrameHeap::acquire(), &FrameHeap::recycle),
      runtime(seat, any, apart(surroundings), its_core.options().stack_size) {}

Crew::~Crew() { end(true); }

// --- sending ---

bool Crew::send(Worker& worker, std::uint32_t hold, std::uint64_t poll,
                const Suspect& suspect) noexcept {
  Refuge* refuge = take_idle();
  if (refuge == nullptr) refuge = start_one();
  if (refuge == nullptr) {
    refused_.fetch_add(1, std::memory_order_relaxed);
    return false;
  }
  refuge->job = &worker;
  refuge->hold = hold;
  refuge->poll = poll;
  refuge->suspect = suspect;
  refuge->suspect_thread = worker.thread_number();
  refuge->suspect_worker.store(worker.index(), std::memory_order_relaxed);
  // Release. Pairs: serve. Publishes: the job.
  refuge->word.store(Refuge::kSent, std::memory_order_release);  // M32
  machine::unpark(refuge->word);
  return true;
}

Refuge* Crew::take_idle() noexcept {
  LockGuard lock(lock_);
  Refuge* refuge = idle_;
  if (refuge != nullptr) idle_ = refuge->next_idle;
  return refuge;
}

Refuge* Crew::start_one() noexcept {
  const std::size_t count = count_.load(std::memory_order_relaxed);
  if (count == kMax) return nullptr;
  try {
    refuges_[count] = std::make_unique<Refuge>(core_, core_.worker(0), core_.surroundings());
    core_.retain();
    try {
      threads_[count] = machine::start_thread(&Crew::thread_body, refuges_[count].get());
    } catch (...) {
      core_.release();
      throw;
    }
  } catch (const std::exception&) {
    refuges_[count].reset();
    return nullptr;
  }
  count_.store(count + 1, std::memory_order_release);  // M32
  return refuges_[count].get();
}

void Crew::thread_body(void* raw) noexcept {
  auto& refuge = *static_cast<Refuge*>(raw);
  RuntimeCore& core = refuge.core;
  try {
    machine::name_this_thread(fmt::format("{}/spare", core.options().name));
  } catch (...) {
    // A thread without a name works as well.
  }
  machine::want_precise_timers();
  machine::this_thread().heap = refuge.heap.get();
  begin_regions(refuge.seat.own_region, core.async_signal());
  core.crew().wait_for_jobs(refuge);
  machine::this_thread().heap = nullptr;
  core.release();
}

// --- serving ---

void Crew::serve() noexcept {
  Refuge& refuge = refuge_of(*machine::this_thread().runtime);
  finish_bound(refuge);
  if (await_job(refuge)) wait_for_jobs(refuge);
}

/// False: there will be none, the runtime ends.
bool Crew::await_job(Refuge& refuge) noexcept {
  LockGuard lock(lock_);
  if (!ending_) refuge.next_idle = std::exchange(idle_, &refuge);
  return !ending_;
}

/// The refuge this thread waits at changes when it loses the worker it took.
void Crew::wait_for_jobs(Refuge& first) noexcept {
  Refuge* refuge = &first;
  for (;;) {
    // Acquire. Pairs: send, end.
    while (refuge->word.load(std::memory_order_acquire) == Refuge::kIdle) {  // M32
      machine::park(refuge->word, Refuge::kIdle, kForever);
    }
    refuge->word.store(Refuge::kIdle, std::memory_order_relaxed);
    Worker* worker = std::exchange(refuge->job, nullptr);
    if (worker == nullptr) return;
    if (take_over(*refuge, *worker)) {
      if (!worker->drive()) return;  // the runtime ended
      refuge = &refuge_of(*machine::this_thread().runtime);
      finish_bound(*refuge);
    }
    if (!await_job(*refuge)) return;
  }
}

bool Crew::take_over(Refuge& refuge, Worker& worker) noexcept {
  using Takeover = ExecutorRuntime::Takeover;
  const Takeover result =
      worker.runtime().take_over(refuge.runtime, refuge.hold, refuge.poll, handoffs_);
  if (result == Takeover::refused) refused_.fetch_add(1, std::memory_order_relaxed);
  return result == Takeover::done;
}

Refuge& Crew::refuge_of(const ExecutorRuntime& runtime) const noexcept {
  Refuge* found = nullptr;
  each([&](Refuge& refuge) {
    if (&refuge.runtime == &runtime) found = &refuge;
  });
  return *found;
}

/// Runs what is bound to this thread until nothing is: executors that are parked in the middle of
/// a poll.
void Crew::finish_bound(Refuge& refuge) noexcept {
  Seat& seat = refuge.seat;
  for (;;) {
    while (refuge.runtime.step(64) != ExecutorRuntime::Step::drained) {
    }
    if (refuge.runtime.weak_count() == 0 || given_up_.load(std::memory_order_seq_cst)) break;  // M7
    // The park protocol of idle.hpp, with nobody to count us.
    seat.park.exchange(Seat::kAsleep, std::memory_order_seq_cst);         // M7
    while (seat.classes.load(std::memory_order_seq_cst) == 0 &&           // M7
           !given_up_.load(std::memory_order_seq_cst) &&                  // M7
           seat.park.load(std::memory_order_acquire) == Seat::kAsleep) {  // M8
      machine::park(seat.park, Seat::kAsleep, kForever);
    }
    seat.park.exchange(Seat::kAwake, std::memory_order_seq_cst);  // M8
  }
  Worker::settle_out();
  // An RMW between the end of the last task and the look for somebody who waits for it.
  seat.park.exchange(Seat::kAwake, std::memory_order_seq_cst);  // M24
  // The last task may have ended here.
  core_.worker_rests();
}

void Crew::give_up() noexcept {
  given_up_.store(true, std::memory_order_seq_cst);  // M7
  each([](Refuge& refuge) { wake_seat(refuge.seat, Seat::kWoken); });
}

bool Crew::owns_this_thread() const noexcept {
  const std::size_t count = count_.load(std::memory_order_acquire);  // M32
  for (std::size_t i = 0; i < count; ++i) {
    if (machine::is_this_thread(threads_[i])) return true;
  }
  return false;
}

void Crew::dismiss() noexcept {
  Refuge* idle = nullptr;
  {
    LockGuard lock(lock_);
    ending_ = true;
    idle = std::exchange(idle_, nullptr);
  }
  while (idle != nullptr) {
    Refuge& refuge = *std::exchange(idle, idle->next_idle);
    refuge.job = nullptr;
    refuge.word.store(Refuge::kSent, std::memory_order_release);  // M32
    machine::unpark(refuge.word);
  }
}

void Crew::end(bool join) noexcept {
  dismiss();
  const std::size_t count = count_.load(std::memory_order_acquire);  // M32
  for (std::size_t i = 0; i < count; ++i) {
    if (threads_[i] == 0) continue;
    if (join && !machine::is_this_thread(threads_[i])) {
      machine::join_thread(threads_[i]);
    } else {
      machine::detach_thread(threads_[i]);
    }
    threads_[i] = 0;
  }
}

}  // namespace paceline::core
