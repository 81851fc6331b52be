// SPDX-License-Identifier: BSL-1.0
// Starting tasks and groups of tasks.
// Flow room: spawn. Any thread. It must never publish a task before its slot is complete, nor lose
// a frame on an error: until the slot is admitted everything can be undone.
// Proof: tests/unit/api/spawn_test.cpp, tests/fault/spawn_fault_test.cpp.
#include <memory>
#include <new>
#include <stdexcept>

#include <spdlog/fmt/fmt.h>

#include <paceline/detail/bridge.hpp>
#include <paceline/error.hpp>

#include "api/belonging.hpp"
#include "base/assert.hpp"
#include "exec/completion.hpp"
#include "exec/entry.hpp"
#include "exec/loan.hpp"
#include "exec/names.hpp"
#include "sched/runtime_core.hpp"

namespace paceline::core {

namespace {

using detail::PromiseBase;

constexpr std::size_t kNameMax = 255;

/// The group of a task: the one that was asked for, else that of the task that spawns it.
unsigned group_for(const spawn_options* options, const ExecutorRuntime* runtime,
                   RuntimeCore& core) {
  if (options != nullptr && options->group.get() != nullptr) {
    return core.index_of(*options->group.get());
  }
  const bool child =
      runtime != nullptr && runtime->current() != nullptr && &runtime->worker().core() == &core;
  return child ? task_group_of(*runtime->current()) : 0;
}

/// The nice value of a task that asks for none: that of the task that spawns it.
int nice_of_spawner(const ExecutorRuntime* runtime) noexcept {
  if (runtime == nullptr || runtime->current() == nullptr) return 0;
  const detail::TaskExtras* extras = runtime->current()->root->extras;
  return extras == nullptr ? 0 : extras->nice;
}

void attach_nice(PromiseBase& promise, int nice) {
  if (nice == 0) return;
  if (promise.extras == nullptr) promise.extras = new detail::TaskExtras;
  promise.extras->nice = nice;
}

void attach_extras(PromiseBase& promise, const spawn_options& options) {
  const std::stop_token& token = options.stop_token.get();
  if (options.name.empty() && !token.stop_possible()) return;
  auto extras = std::make_unique<detail::TaskExtras>();
  if (!options.name.empty()) extras->name = make_name(options.name);
  // Owned by the promise before the callback exists: it may run at once, and refers to the promise.
  promise.extras = extras.release();
  if (token.stop_possible()) {
    promise.extras->external_stop.emplace(token, StopForwarder{&promise});
  }
}

/// Fills a slot that only we know of.
void move_in(Slot& slot, PromiseBase& promise, std::coroutine_handle<> frame, std::uint64_t id) {
  slot.resume = frame.address();
  slot.waiting = nullptr;
  slot.stay = nullptr;
  slot.root = &promise;
  slot.frame.store(frame.address(), std::memory_order_relaxed);
  slot.id.store(id, std::memory_order_relaxed);
  if (promise.extras != nullptr && promise.extras->name != nullptr) {
    slot.name.store(promise.extras->name, std::memory_order_release);  // M23
  }
  promise.root = true;
  // Relaxed: nobody can ask this task to stop before its handle exists.
  promise.self.store(slot.ref().bits, std::memory_order_relaxed);
}

// A worker keeps what it spawns unless it has a backlog of polls that are long enough to be worth
// the cache misses of filling a slot elsewhere. Tiny tasks stay: idle workers come and steal as far
// as that pays.
constexpr unsigned kSpillFrom = 512;
constexpr std::uint32_t kSpillPollNs = 1000;

/// May a spawn of this worker be better off elsewhere? The common answer, no, costs three looks.
bool may_spill(const ExecutorRuntime& runtime, unsigned qos_class) noexcept {
  const auto& own = static_cast<const Seat&>(runtime.port());
  if ((own.native.load(std::memory_order_relaxed) & bit(qos_class)) == 0) [[unlikely]]
    return true;
  return runtime.ready_estimate() > kSpillFrom &&
         own.poll_ns.load(std::memory_order_relaxed) >= kSpillPollNs;
}

/// The seat that should take a spawn of this worker; null: its own.
Seat* spill_to(ExecutorRuntime& runtime, RuntimeCore& core, unsigned qos_class) noexcept {
  if (!may_spill(runtime, qos_class)) return nullptr;
  const auto& own = static_cast<const Seat&>(runtime.port());
  if ((own.native.load(std::memory_order_relaxed) & bit(qos_class)) == 0) [[unlikely]] {
    Seat& abroad = core.emptiest_for(qos_class);
    if (&abroad == &own) return nullptr;
    abroad.inflow.fetch_add(1, std::memory_order_relaxed);
    bump(runtime.counters().sent_abroad);
    return &abroad;
  }
  if (core.worker_count() == 1) return nullptr;
  Seat& candidate = core.clusters().several() ? core.emptiest_for(qos_class) : core.emptiest();
  const std::uint64_t there = std::uint64_t{candidate.load.load(std::memory_order_relaxed)} +
                              candidate.inflow.load(std::memory_order_relaxed);
  // Ours may be the figure of the very poll that spawns; theirs counts the misses of stolen tasks.
  if (candidate.poll_ns.load(std::memory_order_relaxed) < 4 * kSpillPollNs) return nullptr;
  // The hysteresis: far emptier, or not at all.
  return &candidate != &own && runtime.ready_estimate() / 8 > there ? &candidate : nullptr;
}

}  // namespace

/// What a root that this worker spawns is given before it is admitted. Returns its id.
[[gnu::always_inline]] inline std::uint64_t count_and_move_in(ExecutorRuntime& runtime,
                                                              const RuntimeCore& core, Slot& slot,
                                                              TaskCollection& collection,
                                                              PromiseBase& promise,
                                                              std::coroutine_handle<> frame) {
  count_in(collection);
  Counters& counters = runtime.counters();
  const std::uint64_t sequence = counters.spawned.load(std::memory_order_relaxed) + 1;
  const std::uint64_t id = core.task_id(sequence, runtime.worker().index() + 1);
  move_in(slot, promise, frame, id);
  // Counted before it is admitted: it may end, and be counted as ended, at once.
  counters.spawned.store(sequence, std::memory_order_relaxed);
  probe(Site::spawn_before_admit);
  return id;
}

/// Starts a root on the worker that spawns it, in a collection of that worker.
[[gnu::always_inline]] inline std::uint64_t spawn_at_home(ExecutorRuntime& runtime,
                                                          const RuntimeCore& core,
                                                          PromiseBase& promise,
                                                          std::coroutine_handle<> frame,
                                                          TaskCollection& collection) {
  Slot* slot = collection.allocate_home();
  if (slot == nullptr) throw std::bad_alloc();
  const std::uint64_t id = count_and_move_in(runtime, core, *slot, collection, promise, frame);
  runtime.admit_home(*slot, collection.allocated_in(), collection);
  return id;
}

/// The same on a worker of the same runtime that has been chosen, or at home if it is null.
std::uint64_t spawn_here(ExecutorRuntime& runtime, RuntimeCore& core, PromiseBase& promise,
                         std::coroutine_handle<> frame, Belonging where, Seat* elsewhere,
                         Role role) {
  if (elsewhere == nullptr) {
    TaskCollection& own = collection_for(static_cast<Seat&>(runtime.port()), where);
    return spawn_at_home(runtime, core, promise, frame, own);
  }
  TaskCollection& collection = collection_for(*elsewhere, where);
  Slot* slot = collection.allocate_shared(role);
  if (slot == nullptr) throw std::bad_alloc();
  const std::uint64_t id = count_and_move_in(runtime, core, *slot, collection, promise, frame);
  slot->state.admit();
  notify(*slot);
  return id;
}

[[gnu::always_inline]] inline std::uint64_t spawn_from_outside(
    RuntimeCore& core, PromiseBase& promise, std::coroutine_handle<> frame, Belonging where,
    const std::optional<std::size_t>& asked) {
  const std::uint64_t id = core.task_id(core.admit_from_outside("spawn"), 0);
  Slot* slot = nullptr;
  try {
    Seat& seat = !asked && core.goes_on_with_run(where.qos_class)
                     ? core.place_in_run()
                     : core.place(asked, where.qos_class);
    TaskCollection& collection = collection_for(seat, where);
    slot = collection.allocate_shared(asked ? Role::pinned : Role::shared);
    if (slot == nullptr) throw std::bad_alloc();
    count_in(collection);
  } catch (...) {
    core.forget_from_outside();
    throw;
  }
  move_in(*slot, promise, frame, id);
  probe(Site::spawn_before_admit);
  slot->state.admit();
  notify_and(*slot, !asked && RuntimeCore::is_midway() ? &stream_added : &work_added);
  return id;
}

}  // namespace paceline::core

namespace paceline::detail {

using core::ExecutorRuntime;
using core::Role;
using core::Seat;
using core::Slot;

namespace {

/// Throws what is wrong with the options of a spawn on `target`.
void check_options(const spawn_options& options, const RuntimeCore& target) {
  if (options.name.size() > core::kNameMax) {
    throw std::invalid_argument(fmt::format("spawn_options.name has {} bytes, the most is {}",
                                            options.name.size(), core::kNameMax));
  }
  if (options.nice &&
      (*options.nice < core::policy::kLeastNice || *options.nice > core::policy::kMostNice)) {
    throw std::invalid_argument(fmt::format("spawn_options.nice is {}, but the range is {} to {}",
                                            *options.nice, core::policy::kLeastNice,
                                            core::policy::kMostNice));
  }
  if (options.core && *options.core >= target.worker_count()) {
    throw std::invalid_argument(
        fmt::format("spawn_options.core is {}, but the runtime has {} workers, 0 to {}",
                    *options.core, target.worker_count(), target.worker_count() - 1));
  }
  if (!options.affinity) return;
  if (options.affinity->cores().front() >= target.worker_count()) {
    throw std::invalid_argument(fmt::format(
        "spawn_options.affinity begins with core {}, but the runtime has {} workers, 0 "
        "to {}",
        options.affinity->cores().front(), target.worker_count(), target.worker_count() - 1));
  }
  if (options.core && !options.affinity->contains(*options.core)) {
    throw std::invalid_argument(fmt::format(
        "spawn_options.core is {}, which spawn_options.affinity leaves out", *options.core));
  }
}

[[noreturn]] void throw_stopped() {
  throw runtime_stopped("spawn: the runtime was asked to stop and takes no new tasks");
}

}  // namespace

std::uint64_t spawn_child(PromiseBase& promise, std::coroutine_handle<> frame) {
  if (core::machine::own_record().task == nullptr) [[unlikely]]
    return spawn_root(nullptr, promise, frame, nullptr);
  const core::Entry runtime;
  if (runtime->apart()) [[unlikely]]
    return spawn_root(nullptr, promise, frame, nullptr);
  RuntimeCore& target = runtime->worker().core();
  target.require_same_process("spawn");
  if (target.stopping()) throw_stopped();
  promise.runtime_id.store(target.id(), std::memory_order_relaxed);
  const Slot& spawner = *runtime->current();
  if (spawner.root->extras != nullptr) [[unlikely]]
    core::attach_nice(promise, spawner.root->extras->nice);
  core::TaskCollection& kin = *core::Group::of(spawner).home().collection;
  if (&kin.port() == &runtime->port() && !core::may_spill(*runtime, kin.class_index())) [[likely]]
    return core::spawn_at_home(*runtime, target, promise, frame, kin);
  const core::Belonging where{kin.class_index(), kin.task_group()};
  return core::spawn_here(*runtime, target, promise, frame, where,
                          core::spill_to(*runtime, target, where.qos_class), Role::shared);
}

namespace {

/// The common case of a thread that is no worker.
std::uint64_t spawn_plain_from_outside(RuntimeCore& target, PromiseBase& promise,
                                       std::coroutine_handle<> frame) {
  target.require_same_process("spawn");
  promise.runtime_id.store(target.id(), std::memory_order_relaxed);
  constexpr core::Belonging where{static_cast<unsigned>(qos::standard), 0};
  return core::spawn_from_outside(target, promise, frame, where, std::nullopt);
}

}  // namespace

std::uint64_t spawn_root(RuntimeCore* target, PromiseBase& promise, std::coroutine_handle<> frame,
                         const spawn_options* options) {
  if (options == nullptr && target != nullptr && core::machine::own_record().runtime == nullptr)
    return spawn_plain_from_outside(*target, promise, frame);
  const core::Entry runtime;
  if (target == nullptr) {
    if (!runtime) {
      throw std::logic_error(
          "paceline::spawn outside a worker: there is no current runtime; use runtime::spawn");
    }
    target = &runtime->worker().core();
  }
  target->require_same_process("spawn");
  std::optional<std::size_t> asked = options != nullptr ? options->core : std::nullopt;
  const unsigned qos_class =
      core::class_for(options != nullptr ? options->qos : std::nullopt, runtime.get());
  if (options != nullptr) check_options(*options, *target);
  if (options != nullptr && options->affinity && !asked) {
    asked = target->emptiest_of(options->affinity->cores());
  }
  // A thread that has lost its worker spawns like one from outside.
  const bool inside = runtime && !runtime->apart() && &runtime->worker().core() == target;
  if (inside && target->stopping()) throw_stopped();
  const core::Belonging where{qos_class, core::group_for(options, runtime.get(), *target)};
  promise.runtime_id.store(target->id(), std::memory_order_relaxed);
  if (options != nullptr) core::attach_extras(promise, *options);
  core::attach_nice(promise, options != nullptr && options->nice
                                 ? *options->nice
                                 : core::nice_of_spawner(runtime.get()));
  if (!inside) return core::spawn_from_outside(*target, promise, frame, where, asked);
  if (!asked) {
    Seat* elsewhere = core::spill_to(*runtime, *target, qos_class);
    return core::spawn_here(*runtime, *target, promise, frame, where, elsewhere, Role::shared);
  }
  return core::spawn_here(*runtime, *target, promise, frame, where,
                          &target->place(asked, qos_class), Role::pinned);
}

const SuspensionOps join_group_ops{"when_all", nullptr,
                                   [](Suspension& where) noexcept {
                                     auto& group = static_cast<JoinGroup&>(where);
                                     if (!group.stop_forwarded) {
                                       group.stop_forwarded = true;
                                       for (std::size_t i = 0; i < group.count; ++i)
                                         request_stop(*group.children[i]);
                                     }
                                     return false;  // the children are awaited in any case
                                   },
                                   [](Suspension& where, TaskRef waiting) noexcept {
                                     auto& group = static_cast<JoinGroup&>(where);
                                     for (std::size_t i = 0; i < group.count; ++i) {
                                       core::lend_to(Slot::of(waiting), *group.children[i]);
                                     }
                                   }};

bool spawn_group(JoinGroup& group, const std::coroutine_handle<>* frames,
                 std::coroutine_handle<> parent) {
  const core::Entry entry("when_all");
  ExecutorRuntime& runtime = *entry;
  core::RuntimeCore& target = runtime.worker().core();
  if (runtime.stop_requested(*runtime.current()->root)) return false;
  const bool apart = runtime.apart();
  // Everything that can fail first: then none of the children has started.
  for (std::size_t i = 0; i < group.count; ++i) {
    core::attach_nice(*group.children[i], core::nice_of_spawner(&runtime));
  }
  const unsigned own_rank = core::rank_of(*runtime.current());
  const core::Belonging own = core::belonging_of(*runtime.current());
  core::TaskCollection& collection = core::collection_for(runtime.worker().seat(), own);
  for (std::size_t i = 0; i < group.count; ++i) {
    Slot* slot = apart ? collection.allocate_shared(Role::shared) : collection.allocate_home();
    if (slot == nullptr) {
      while (i-- > 0) {
        core::count_out(collection);
        core::TaskCollection::release(Slot::of({group.children[i]->self.load()}), !apart);
        group.children[i]->self.store(0);
      }
      throw std::bad_alloc();
    }
    core::count_in(collection);
    group.children[i]->self.store(slot->ref().bits, std::memory_order_relaxed);
  }
  suspend_regardless(group, parent);
  group.remaining.store(group.count, std::memory_order_relaxed);
  auto& spawned = runtime.counters().spawned;
  for (std::size_t i = 0; i < group.count; ++i) {
    PromiseBase& child = *group.children[i];
    Slot& slot = Slot::of({child.self.load(std::memory_order_relaxed)});
    std::uint64_t sequence = 0;
    if (apart) {
      sequence = target.count_from_outside();
    } else {
      sequence = spawned.load(std::memory_order_relaxed) + 1;
      spawned.store(sequence, std::memory_order_relaxed);
    }
    child.runtime_id.store(target.id(), std::memory_order_relaxed);
    child.link.store(reinterpret_cast<std::uintptr_t>(&group) | join_word::tag_group,
                     std::memory_order_relaxed);
    core::move_in(slot, child, frames[i],
                  target.task_id(sequence, apart ? 0 : runtime.worker().index() + 1));
    if (own_rank < own.qos_class) core::lend(child, own_rank, core::Lender::joiner);
  }
  // Published in a second round: the first child may run and fail on another worker at once, and
  // then asks its siblings, whose promises must be complete, to stop.
  const std::size_t count = group.count;
  for (std::size_t i = 0; i < count; ++i) {
    // Not read from the group: with the last child admitted it may be gone.
    Slot& slot = Slot::of({group.children[i]->self.load(std::memory_order_relaxed)});
    Slot& address = core::address_of(slot);
    if (apart) {
      slot.state.admit();
      core::notify(slot);
    } else {
      runtime.admit_home(slot, core::page_of(slot), collection);
    }
    if (&address != &slot) core::notify(address);
  }
  return true;
}

}  // namespace paceline::detail
