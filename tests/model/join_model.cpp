// SPDX-License-Identifier: BSL-1.0
// Model of the join word: a task's end against its handle. The joiner gets the result, nobody
// waits for ever, and the frame is freed once, by the side that comes second.
//
// Runs: publish_end, complete, join_suspend, join_withdraw. The finisher's first look stands as in
// core::finish; the blocking join and the release of a handle as in api/bridge.cpp, which cannot be
// linked without the whole runtime.
#include <paceline/detail/bridge.hpp>
#include <paceline/detail/promise.hpp>

#include "exec/completion.hpp"
#include "models.hpp"
#include "world.hpp"

namespace model {

namespace {

namespace join_word = detail::join_word;

/// What the holder of the handle does.
enum Holder : unsigned { kBlocks, kAwaits, kWithdraws, kDetaches };

struct World {
  Holder holder = kBlocks;
  detail::PromiseBase* promise = nullptr;  // stands for the frame
  core::BlockingWaiter* thread = nullptr;
  detail::Suspension* where = nullptr;
  // Only to check with.
  bool result = false;
  unsigned freed = 0;

  Goal waited, withdrawn, finisher_frees;
};
World* world = nullptr;

constexpr detail::SuspensionOps kJoinOps{"join", nullptr, nullptr};

void free_frame(World& w) {
  ++w.freed;
  ::operator delete(w.promise);
}

void finish(World& w) {
  w.result = true;
  detail::PromiseBase& promise = *w.promise;
  const bool detached = promise.link.load(std::memory_order_acquire) == join_word::detached;
  if (detached || core::publish_end(promise)) {
    w.finisher_frees.reach();
    free_frame(w);
  }
}

void release_handle(World& w) {
  std::uintptr_t word = w.promise->link.load(std::memory_order_acquire);
  if (word != join_word::done) {
    word = w.promise->link.exchange(join_word::detached, std::memory_order_acq_rel);
  }
  if (word == join_word::done) free_frame(w);
}

void block(World& w) {
  std::uintptr_t none = join_word::none;
  if (w.promise->link.compare_exchange_strong(
          none, reinterpret_cast<std::uintptr_t>(w.thread) | join_word::tag_thread,
          std::memory_order_acq_rel, std::memory_order_acquire)) {
    while (w.thread->done.load(std::memory_order_acquire) == 0) {
      core::machine::park(w.thread->done, 0, core::kForever);
      w.waited.reach();
    }
  }
  // The finisher may still be about to wake this thread: it must not look at the word again.
  ::operator delete(w.thread);
}

bool has_ended(detail::Suspension& where) {
  return where.ready.load(std::memory_order_acquire) != 0;
}

/// False if the wait was withdrawn: the task goes on, without the result.
bool await(World& w) {
  bool ended = true;
  if (detail::join_suspend(*w.promise, *w.where)) {
    if (w.holder == kWithdraws && detail::join_withdraw(*w.promise, *w.where)) {
      w.withdrawn.reach();
      ended = false;
    } else {
      w.waited.reach();
      wait_for<detail::Suspension, &has_ended>(*w.where, "waits for the end");
    }
  }
  ::operator delete(w.where);
  return ended;
}

void hold(World& w) {
  bool ended = false;
  switch (w.holder) {
    case kBlocks:
      block(w);
      ended = true;
      break;
    case kAwaits:
    case kWithdraws: ended = await(w); break;
    case kDetaches: break;
  }
  if (!ended) {
    release_handle(w);
    return;
  }
  require(w.result, "who has joined finds the result");
  free_frame(w);
}

void set_up(const Variant& variant) {
  begin_machine();
  core::Port& port = make_port();
  world = &arena().make<World>();
  World& w = *world;
  w.holder = static_cast<Holder>(variant.flags);
  core::Slot* slot = tasks_of(port).allocate_home();  // of the joining task
  slot->state.admit();
  w.promise = ::new (::operator new(sizeof(detail::PromiseBase))) detail::PromiseBase;
  w.thread = ::new (::operator new(sizeof(core::BlockingWaiter))) core::BlockingWaiter;
  w.where = ::new (::operator new(sizeof(detail::Suspension))) detail::Suspension(kJoinOps);
  w.where->task = slot->ref();
  name_memory(&w.promise->link, sizeof w.promise->link, "link");
  name_memory(&w.thread->done, sizeof w.thread->done, "waiter.done");
  name_memory(&w.where->ready, sizeof w.where->ready, "join.ready");
  name_groups(port, "joiner.");

  thread<World>("finisher", w, &finish);
  const unsigned holder = thread<World>("holder", w, &hold);
  crew().allow_false_wakes(holder, 1);

  if (w.holder != kDetaches) w.waited = Goal("the joiner waits");
  if (w.holder == kWithdraws) w.withdrawn = Goal("a wait is withdrawn");
  if (w.holder >= kWithdraws) w.finisher_frees = Goal("the finisher frees the frame");
}

void at_end() {
  require(crew().unfinished() == 0, "nobody waits for ever for a task that has ended");
  require(world->freed == 1, "a frame is freed once");
}

}  // namespace

Model join_model() {
  Model model{"join",  "the end of a task against its join handle; who frees the frame",
              &set_up, &at_end,
              nullptr, {}};
  constexpr const char* kNames[] = {"block", "await", "withdraw", "detach"};
  for (unsigned holder = kBlocks; holder <= kDetaches; ++holder) {
    model.variants.push_back({kNames[holder], 1, 1, 1, holder});
  }
  return model;
}

}  // namespace model
