// SPDX-License-Identifier: BSL-1.0
// C03 ring. Tokens travel through rings of 2 to 4096 tasks; after lmbench's lat_ctx.
//
// Invariants: there is one token in each ring; it visits the tasks in their order; nobody runs
// twice at once. Also measured: what a hop costs over the size of the ring and of each task's
// working set, median of 11, the cost of touching the working set measured alone and subtracted.
#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <memory>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

constexpr std::uint64_t kLargest = 4096;
constexpr std::uint64_t kHopsPerRound = kSanitized ? 4'000 : 40'000;
// One hop in so many is timed and counted.
constexpr std::uint64_t kSample = 32;

struct Goals {
  Goal* crossed = nullptr;  // null with one worker
  Goal& stayed;
};

class Ring {
 public:
  Ring(Context& context, Goals goals, std::uint64_t size, std::size_t working_set)
      : context_(context), goals_(goals), nodes_(size) {
    for (Node& node : nodes_) node.memory.resize(working_set / sizeof(std::uint64_t));
  }

  /// Starts the tasks: from this thread, which spreads them over the workers, or all from one task,
  /// which leaves them with its worker.
  void start(paceline::runtime& rt, bool spread) {
    if (spread) {
      for (std::uint64_t i = 0; i < nodes_.size(); ++i) tasks_.push_back(rt.spawn(pass_on(i)));
    } else {
      rt.block_on(start_here());
    }
    wait_until([this] { return ready_.load() == nodes_.size(); });
  }

  /// Lets the token make `hops` more hops. Not while it is on its way.
  void send(std::uint64_t hops) {
    const std::uint64_t from = hop_;
    target_ = hop_ + hops;
    arrived_.store(false);
    give(from % nodes_.size());
  }
  void await() {
    wait_until([this] { return arrived_.load(std::memory_order_acquire); });
  }
  std::uint64_t hops() const noexcept { return hop_; }

  void end() {
    over_.store(true, std::memory_order_release);
    for (Node& node : nodes_) node.owner.wake();
    for (auto& task : tasks_) task.join();
  }

  /// The work of `hops` hops without the hops.
  std::int64_t touch_alone(std::uint64_t hops) {
    const std::int64_t start = now_ns();
    for (std::uint64_t i = 0; i < hops; ++i) touch(nodes_[i % nodes_.size()]);
    return now_ns() - start;
  }

 private:
  struct Node {
    paceline::waker owner;  // written before ready_ counts the node, read after
    std::atomic<bool> token{false};
    std::atomic<bool> inside{false};
    std::vector<std::uint64_t> memory;
  };

  static void touch(Node& node) noexcept {
    for (std::uint64_t& word : node.memory) word += 1;
  }

  void give(std::uint64_t to) noexcept {
    nodes_[to].token.store(true, std::memory_order_release);
    nodes_[to].owner.wake();
  }

  paceline::task<void> start_here() {
    for (std::uint64_t i = 0; i < nodes_.size(); ++i) tasks_.push_back(paceline::spawn(pass_on(i)));
    co_return;
  }

  paceline::task<void> pass_on(std::uint64_t self) {
    Node& me = nodes_[self];
    me.owner = paceline::this_task::waker();
    ready_.fetch_add(1, std::memory_order_acq_rel);
    for (;;) {
      auto token = paceline::suspend_until(
          [this, &me]() noexcept {
            return me.token.load(std::memory_order_acquire) ||
                   over_.load(std::memory_order_acquire);
          },
          [](paceline::waker) noexcept {});
      co_await std::move(token);
      context_.check(!me.inside.exchange(true), "double", "task {} of the ring runs twice at once",
                     self);
      if (!me.token.load(std::memory_order_acquire)) {
        me.inside.store(false);
        break;
      }
      me.token.store(false, std::memory_order_relaxed);
      carry(self, me);
      // Before the token goes: it may be back at once.
      me.inside.store(false);
      hold_.store(0, std::memory_order_relaxed);
      if (hop_ == target_) {
        arrived_.store(true, std::memory_order_release);
      } else {
        give((self + 1) % nodes_.size());
      }
    }
  }

  /// What the holder of the token does. `hop_` and the rest are plain: the token orders them.
  void carry(std::uint64_t self, Node& me) {
    context_.check(hold_.exchange(1, std::memory_order_relaxed) == 0, "double",
                   "two tokens in a ring of {}", nodes_.size());
    context_.check(hop_ % nodes_.size() == self, "order", "hop {} arrived at task {} of {}", hop_,
                   self, nodes_.size());
    touch(me);
    const std::size_t worker = paceline::this_task::worker();
    (worker == last_worker_ || goals_.crossed == nullptr ? goals_.stayed : *goals_.crossed).reach();
    last_worker_ = worker;
    ++hop_;
    if (hop_ % kSample != 1) return;
    const std::int64_t now = now_ns();
    if (hop_ > 1) {
      context_.delays().add((now - sampled_at_) / static_cast<std::int64_t>(kSample));
    }
    sampled_at_ = now;
    context_.op(kSample);
  }

  Context& context_;
  const Goals goals_;
  std::vector<Node> nodes_;
  std::vector<paceline::join_handle<void>> tasks_;
  std::atomic<std::uint64_t> ready_{0};
  std::atomic<bool> over_{false};
  std::atomic<bool> arrived_{false};
  std::atomic<int> hold_{0};
  std::uint64_t hop_ = 0;
  std::uint64_t target_ = 0;
  std::int64_t sampled_at_ = 0;
  std::size_t last_worker_ = ~std::size_t{0};
};

/// The cost of one hop: median of 11, without the touching of the working set.
void measure(Context& context, paceline::runtime& rt, Goals goals, std::uint64_t size,
             std::size_t working_set) {
  constexpr std::size_t kRepeats = 11;
  const std::uint64_t hops = std::max<std::uint64_t>(size, kSanitized ? 200 : 2000);
  Ring ring(context, goals, size, working_set);
  ring.start(rt, true);
  std::array<double, kRepeats> costs{};
  for (double& cost : costs) {
    const std::int64_t alone = ring.touch_alone(hops);
    const std::int64_t start = now_ns();
    ring.send(hops);
    ring.await();
    const auto took = static_cast<double>(now_ns() - start - alone);
    cost = std::max(0.0, took / static_cast<double>(hops));
  }
  ring.end();
  std::nth_element(costs.begin(), costs.begin() + kRepeats / 2, costs.end());
  context.metric(fmt::format("hop_ns_n{}_ws{}", size, working_set), costs[kRepeats / 2]);
}

/// Several rings at once, each with one token.
void race(Context& context, paceline::runtime& rt, Goals goals, Rng& rng) {
  std::vector<std::unique_ptr<Ring>> rings;
  const std::uint64_t count = 1 + rng.below(4);
  const std::uint64_t largest = std::clamp<std::uint64_t>(context.size(kLargest), 2, kLargest);
  for (std::uint64_t i = 0; i < count; ++i) {
    // Log-uniform from 2 to the largest.
    const std::uint64_t base = std::uint64_t{2} << rng.below(std::bit_width(largest) - 1);
    const std::uint64_t size = std::min(largest, base + rng.below(base));
    rings.push_back(std::make_unique<Ring>(context, goals, size, 0));
    rings.back()->start(rt, rng.below(2) == 0);
  }
  std::vector<std::uint64_t> hops;
  for (auto& ring : rings) {
    hops.push_back(1 + rng.below(kHopsPerRound));
    ring->send(hops.back());
  }
  for (std::uint64_t i = 0; i < count; ++i) {
    rings[i]->await();
    context.check(rings[i]->hops() == hops[i], "lost", "the token made {} of {} hops",
                  rings[i]->hops(), hops[i]);
  }
  for (auto& ring : rings) ring->end();
}

}  // namespace

void run_ring(Context& context) {
  Rng rng = context.rng(1);
  LiveRuntime rt(context);
  Goals goals{nullptr, context.goal("a hop on one worker")};
  if (rt->workers() > 1) goals.crossed = &context.goal("a hop between workers");
  while (context.more()) {
    if (context.round() == 1 && context.settings().chaos == Chaos::off) {
      for (const std::uint64_t size : {2, 64, 4096}) {
        if (size > context.size(kLargest)) continue;
        for (const std::size_t working_set : {0, 4096, 65536}) {
          if (size * working_set <= (16u << 20)) measure(context, *rt, goals, size, working_set);
        }
      }
    }
    race(context, *rt, goals, rng);
  }
  rt.settle();
}

}  // namespace coretest
