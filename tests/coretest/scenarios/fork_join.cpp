// SPDX-License-Identifier: BSL-1.0
// C08 fork-join. Trees of when_all, in both forms, whose leaves compute, yield, sleep or throw, as
// a hash of their place decides.
//
// Invariants: a tree in which nobody throws gives the exact sum; any other gives exactly one
// exception, and it is one that a leaf threw; every frame that was begun is gone afterwards.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <tuple>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

constexpr std::uint64_t kDepthMost = kSanitized ? 9 : 14;

/// What a leaf throws; says which.
struct Thrown {
  std::uint64_t place;
};

/// The shape of one tree and what its places do, as pure functions of its seed.
struct Tree {
  Context& context;
  std::uint64_t seed;
  std::uint64_t depth;
  std::uint64_t throw_one_in;  // leaves; 0: none
  std::atomic<std::int64_t> alive{0};

  std::uint64_t chance(std::uint64_t place) const noexcept { return split(seed, place); }
  bool throws(std::uint64_t place) const noexcept {
    return throw_one_in != 0 && chance(place) % throw_one_in == 0;
  }
  std::uint64_t value(std::uint64_t place) const noexcept { return (chance(place) >> 20) % 1000; }
  unsigned fan(std::uint64_t place) const noexcept {
    // Mostly pairs, sometimes a wide range.
    return (chance(place) >> 40) % 8 == 0 ? static_cast<unsigned>((chance(place) >> 48) % 7) : 2;
  }
  std::uint64_t levels_below(std::uint64_t level, unsigned fan) const noexcept {
    return level - (fan > 2 ? std::min<std::uint64_t>(level, 2) : 1);
  }
};

/// Counts the frames that live.
class Alive {
 public:
  explicit Alive(Tree& tree) : tree_(tree) { tree_.alive.fetch_add(1, std::memory_order_relaxed); }
  ~Alive() { tree_.alive.fetch_sub(1, std::memory_order_relaxed); }
  Alive(const Alive&) = delete;
  Alive& operator=(const Alive&) = delete;

 private:
  Tree& tree_;
};

std::uint64_t child_place(std::uint64_t place, unsigned i) noexcept { return split(place, i); }

paceline::task<std::uint64_t> leaf(Tree& tree, std::uint64_t place) {
  const Alive alive(tree);
  switch ((tree.chance(place) >> 10) % 64) {
    case 0: co_await paceline::yield(); break;
    case 1:
      co_await paceline::sleep_for(std::chrono::microseconds(tree.chance(place) % 100));
      break;
    case 2: busy_for(static_cast<std::int64_t>(tree.chance(place) % 20) * kMicro); break;
    default: break;
  }
  if (tree.throws(place)) throw Thrown{place};
  co_return tree.value(place);
}

paceline::task<std::uint64_t> node(Tree& tree, std::uint64_t place, std::uint64_t level) {
  const Alive alive(tree);
  if (level == 0) {
    auto end = leaf(tree, place);
    co_return co_await std::move(end);
  }
  const unsigned fan = tree.fan(place);
  const std::uint64_t below = tree.levels_below(level, fan);
  if (fan == 2) {
    auto both = paceline::when_all(node(tree, child_place(place, 0), below),
                                   node(tree, child_place(place, 1), below));
    const auto [left, right] = co_await std::move(both);
    co_return left + right;
  }
  std::vector<paceline::task<std::uint64_t>> children;
  for (unsigned i = 0; i < fan; ++i) children.push_back(node(tree, child_place(place, i), below));
  auto all = paceline::when_all(std::move(children));
  const std::vector<std::uint64_t> values = co_await std::move(all);
  std::uint64_t sum = 0;
  for (const std::uint64_t value : values) sum += value;
  co_return sum;
}

/// What the tree must give: computed without any task.
struct Expected {
  std::uint64_t sum = 0;
  std::uint64_t leaves = 0;
  bool throws = false;
};

void expect(const Tree& tree, std::uint64_t place, std::uint64_t level, Expected& expected) {
  if (level == 0) {
    ++expected.leaves;
    expected.throws = expected.throws || tree.throws(place);
    expected.sum += tree.value(place);
    return;
  }
  const unsigned fan = tree.fan(place);
  for (unsigned i = 0; i < fan; ++i) {
    expect(tree, child_place(place, i), tree.levels_below(level, fan), expected);
  }
}

struct Goals {
  Goal& exact;
  Goal& failed;
};

void grow(Context& context, paceline::runtime& rt, Rng& rng, Goals goals) {
  Tree tree{context, rng.next(), 1 + rng.below(kDepthMost), 0, {}};
  // Half of the trees throw: often or, in large ones, about once.
  if (rng.below(2) == 0) tree.throw_one_in = std::uint64_t{1} << rng.below(tree.depth + 1);
  Expected expected;
  const std::uint64_t root = rng.next();
  expect(tree, root, tree.depth, expected);
  try {
    const std::uint64_t sum = rt.block_on(node(tree, root, tree.depth));
    context.check(!expected.throws, "exception", "a tree with a throwing leaf gave {}", sum);
    context.check(sum == expected.sum, "sum", "a tree of {} leaves gave {} instead of {}",
                  expected.leaves, sum, expected.sum);
    goals.exact.reach();
  } catch (const Thrown& thrown) {
    context.check(expected.throws, "exception", "a tree without throwing leaves threw");
    context.check(tree.throws(thrown.place), "exception",
                  "the exception says place {}, which does not throw", thrown.place);
    goals.failed.reach();
  }
  // Any other exception, operation_cancelled of a sibling for one, ends the run as "exception".
  context.check(tree.alive.load() == 0, "leak", "{} frames of a joined tree still live",
                tree.alive.load());
  context.op(expected.leaves);
}

}  // namespace

void run_fork_join(Context& context) {
  LiveRuntime rt(context);
  const Goals goals{context.goal("an exact sum"), context.goal("one exception")};
  Goal& stolen = context.goal("a branch ran on another worker");
  if (rt->workers() == 1) stolen.reach();  // there is no other
  for (Rng rng = context.rng(1); context.more();) {
    grow(context, *rt, rng, goals);
    stolen.reach_if(rt->stats().total.tasks_stolen != 0);
  }
  const paceline::runtime_stats stats = rt->stats();
  context.check(stats.total.unhandled == 0, "exception", "{} exceptions went to the unhandled hook",
                stats.total.unhandled);
  rt.settle();
}

}  // namespace coretest
