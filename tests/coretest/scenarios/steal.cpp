// SPDX-License-Identifier: BSL-1.0
// C09 steal. All the work is on one worker: the others must come and help, and a task that waits
// behind a poll that does not end must be run by somebody else. Pinned tasks must stay.
//
// Invariants: every task runs once; with time enough every worker takes part; a lone task behind a
// long poll runs within the bound; a pinned task runs on its worker only.
#include <algorithm>
#include <atomic>
#include <memory>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "../interference.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

constexpr std::uint64_t kPile = 2'000;
// A pile of so much work per worker gives everybody a chance to take part.
constexpr std::int64_t kEnoughPerWorker = 100 * kMilli;

class Pile {
 public:
  Pile(Context& context, paceline::runtime& rt, Rng rng)
      : context_(context),
        rt_(rt),
        rng_(rng),
        ran_(1 + rng_.below(context.size(kPile))),
        by_worker_(rt.workers()) {
    for (auto& count : ran_) count.store(0, std::memory_order_relaxed);
  }

  void clear_away() {
    const std::size_t home = rng_.below(rt_.workers());
    work_ns_ = static_cast<std::int64_t>(rng_.below(100)) * kMicro;
    suspends_ = rng_.below(3);
    rt_.spawn(heap_up(), {.core = home}).join();
    rt_.wait_idle();
    std::uint64_t all = 0;
    for (std::size_t i = 0; i < ran_.size(); ++i) {
      const unsigned times = ran_[i].load();
      context_.check(times == 1, times == 0 ? "lost" : "double", "task {} of the pile ran {} times",
                     i, times);
      all += times;
    }
    context_.op(all);
    const auto idle = std::count_if(by_worker_.begin(), by_worker_.end(),
                                    [](const auto& count) { return count.load() == 0; });
    everybody_.reach_if(idle == 0);
    const std::int64_t total = work_ns_ * static_cast<std::int64_t>(ran_.size());
    const bool enough = total >= kEnoughPerWorker * static_cast<std::int64_t>(rt_.workers());
    if (enough) (idle == 0 ? took_part_ : stood_by_) += 1;
  }

  std::uint64_t took_part() const noexcept { return took_part_; }
  std::uint64_t stood_by() const noexcept { return stood_by_; }

 private:
  paceline::task<void> heap_up() {
    for (std::size_t i = 0; i < ran_.size(); ++i) paceline::spawn(one(i)).detach();
    co_return;
  }
  paceline::task<void> one(std::size_t i) {
    ran_[i].fetch_add(1, std::memory_order_relaxed);
    by_worker_[paceline::this_task::worker()].fetch_add(1, std::memory_order_relaxed);
    busy_for(work_ns_);
    for (std::uint64_t n = 0; n < suspends_; ++n) co_await paceline::yield();
  }

  Context& context_;
  paceline::runtime& rt_;
  Rng rng_;
  std::vector<std::atomic<unsigned>> ran_;
  std::vector<std::atomic<std::uint64_t>> by_worker_;
  std::int64_t work_ns_ = 0;
  std::uint64_t suspends_ = 0;
  std::uint64_t took_part_ = 0;
  std::uint64_t stood_by_ = 0;
  Goal& everybody_ = context_.goal("every worker took part");
};

/// One task spawns a second and then keeps its worker busy until the second has run.
class Hog {
 public:
  Hog(Context& context, paceline::runtime& rt, Rng rng) : context_(context), rt_(rt), rng_(rng) {}

  void wait_for_help() {
    // From well below to well above the time after which idle workers stop looking around.
    prelude_ns_ = static_cast<std::int64_t>(rng_.below(20'000)) * kMicro;
    rt_.spawn(block(), {.core = rng_.below(rt_.workers())}).join();
    context_.op();
  }

 private:
  paceline::task<void> block() {
    busy_for(prelude_ns_);
    const std::int64_t start = now_ns();
    paceline::join_handle<void> second = paceline::spawn(relieve());
    // Without any time-out a park may rightly last until this poll ends: then it is enough to try.
    const bool must = interference::linked() != Parks::infinite;
    while (!relieved_.load(std::memory_order_acquire)) {
      const std::int64_t waited = now_ns() - start;
      if (!must && waited > 5 * kMilli) break;
      context_.check(waited <= context_.late_bound_ns(), "late",
                     "a task waits behind a long poll for {} ns while other workers idle", waited);
    }
    if (relieved_.load()) {
      context_.delays().add(now_ns() - start);
      context_.goal("a task behind a long poll was taken").reach();
    }
    co_await std::move(second);
  }
  paceline::task<void> relieve() {
    relieved_.store(true, std::memory_order_release);
    co_return;
  }

  Context& context_;
  paceline::runtime& rt_;
  Rng rng_;
  std::int64_t prelude_ns_ = 0;
  std::atomic<bool> relieved_{false};
};

paceline::task<void> stay(Context& context, std::size_t home, std::uint64_t polls) {
  for (std::uint64_t i = 0; i < polls; ++i) {
    const std::size_t here = paceline::this_task::worker();
    context.check(here == home, "pinned", "a task bound to worker {} runs on worker {}", home,
                  here);
    busy_for(5 * kMicro);
    co_await paceline::yield();
  }
}

/// Bound tasks beside a pile that is being stolen.
void stay_at_home(Context& context, paceline::runtime& rt, Rng& rng) {
  std::vector<paceline::join_handle<void>> bound;
  for (int i = 0; i < 32; ++i) {
    const std::size_t home = rng.below(rt.workers());
    bound.push_back(rt.spawn(stay(context, home, rng.below(20)), {.core = home}));
  }
  Pile pile(context, rt, Rng(rng.next()));
  pile.clear_away();
  for (auto& task : bound) task.join();
}

}  // namespace

void run_steal(Context& context) {
  context.goal("a task behind a long poll was taken");
  LiveRuntime rt(context);
  if (rt->workers() < 2) throw Skip{"needs at least 2 workers"};
  std::uint64_t took_part = 0;
  std::uint64_t stood_by = 0;
  for (Rng rng = context.rng(1); context.more();) {
    const std::uint64_t kind = rng.below(4);
    if (kind == 0) {
      stay_at_home(context, *rt, rng);
    } else if (kind == 1) {
      Pile pile(context, *rt, Rng(rng.next()));
      pile.clear_away();
      took_part += pile.took_part();
      stood_by += pile.stood_by();
    } else {
      Hog(context, *rt, Rng(rng.next())).wait_for_help();
    }
  }
  // The system may keep a worker from running in one round; in most it must not.
  context.check(stood_by <= took_part + 2, "idle",
                "in {} of {} rounds with work enough for all some worker did nothing", stood_by,
                stood_by + took_part);
  rt.settle();
}

}  // namespace coretest
