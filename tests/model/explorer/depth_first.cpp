// SPDX-License-Identifier: BSL-1.0
// Depth-first search over states. Each state is saved and put back, so a branch costs one step, not
// an execution from the start.
//
// Unbounded, it also finds livelocks: a strongly connected component of the state graph (Tarjan, on
// the fly) in which every thread that could always go on does go on is an execution that is fair to
// everybody and never ends.
#include <algorithm>
#include <bit>
#include <chrono>

#include "explorer/image.hpp"
#include "explorer/search.hpp"
#include "explorer/seen.hpp"
#include "explorer/sharing.hpp"

namespace model {

namespace {

using Clock = std::chrono::steady_clock;

constexpr unsigned kNoThread = 0xFF;
constexpr std::uint32_t kClosed = Seen::kNew - 1;

unsigned bit_of(unsigned thread) { return 1u << thread; }

struct Node {
  Key key;
  std::size_t saved_at = 0;
  bool saved = false;
  std::uint8_t todo = 0;  // threads still to be tried from here
  std::uint8_t enabled = 0;
  std::uint8_t last = kNoThread;  // who ran last, if it could go on
  std::uint8_t edge = kNoThread;  // how the search came here
  std::uint32_t edge_points = 0;
  std::uint32_t used = 0;    // preemptions so far
  std::uint32_t number = 0;  // order of discovery
  std::uint32_t low = 0;     // the earliest state of the stack that can be reached
  std::uint8_t moved = 0;    // threads with a step inside the component
  std::uint8_t rested = 0;   // threads that cannot go on in some state of it
};

class DepthFirst {
 public:
  DepthFirst(const Model& model, const Variant& variant, const Limits& limits)
      : model_(model), variant_(variant), limits_(limits) {}

  Result run() {
    const auto start = Clock::now();
    sharing().forget();
    learn_sharing(model_, variant_);
    do {
      sharing().adopt();
      verdict().begin();
      forget();
      explore();
    } while (sharing().surprised() && !finished_);
    result_.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    result_.states = seen_.size();
    result_.outcomes = verdict().outcomes();
    if (result_.status != Result::Status::failed) result_.unreached = verdict().unreached();
    return result_;
  }

 private:
  bool unbounded() const { return limits_.bound == kUnbounded; }

  void forget() {
    seen_ = Seen();
    nodes_.clear();
    open_.clear();
    saved_.clear();
    prologue_ = Schedule();
    result_ = Result();
    numbers_ = 0;
  }

  void explore() {
    deadline_ = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                   std::chrono::duration<double>(limits_.seconds));
    set_up(model_, variant_);
    // Up to its first shared access a thread is alone.
    for (unsigned i = 0; i < crew().size() && !verdict().failed(); ++i) {
      if (crew().member(i).work == nullptr) prologue_.add(i, crew().step(i));
    }
    if (stop()) return;
    arrive(kNoThread, 0, 0);
    while (!nodes_.empty() && !stop()) {
      Node& top = nodes_.back();
      if (top.todo == 0) {
        leave();
        continue;
      }
      const unsigned next = choose(top);
      top.todo &= static_cast<std::uint8_t>(~bit_of(next));
      const bool preempts = top.last != kNoThread && top.last != next;
      const unsigned used = top.used + (preempts ? 1 : 0);
      if (used > limits_.bound) continue;
      if (present_ != nodes_.size()) image::restore(saved_.data() + top.saved_at);
      present_ = 0;
      const unsigned points = crew().step(next);
      ++result_.steps;
      if (!verdict().failed()) arrive(next, points, used);
      if (verdict().failed()) report(next, points);
    }
  }

  /// Who ran last goes first: a path without preemptions is the shortest to read.
  static unsigned choose(const Node& node) {
    if (node.last != kNoThread && (node.todo & bit_of(node.last)) != 0) return node.last;
    return static_cast<unsigned>(std::countr_zero(static_cast<unsigned>(node.todo)));
  }

  /// The present state was reached by a step of `edge`.
  void arrive(unsigned edge, unsigned points, unsigned used) {
    const unsigned enabled = crew().enabled();
    const unsigned spurious = crew().may_wake_falsely();
    check_rest(model_, enabled);
    if (verdict().failed()) return;
    unsigned last = kNoThread;
    if (edge != kNoThread && (enabled & bit_of(edge)) != 0 && !crew().member(edge).gives_way) {
      last = edge;
    }
    // With a bound, the future depends on who could be preempted.
    const Key key = image::key(unbounded() ? 0 : last + 1);
    std::uint32_t& number = limits_.merge ? seen_[key] : (fresh_ = Seen::kNew);
    const std::uint32_t known = number;
    result_.depth = std::max(result_.depth, static_cast<unsigned>(nodes_.size()));
    const bool again = known != Seen::kNew && (unbounded() || known <= used);
    if (unbounded() && known != Seen::kNew && known != kClosed) {
      // A state of the present path, or of a component it leads into.
      Node& from = nodes_.back();
      from.low = std::min(from.low, known);
      from.moved |= static_cast<std::uint8_t>(bit_of(edge));
    }
    if (again || (enabled | spurious) == 0) {
      if (!again) number = unbounded() ? kClosed : used;
      ++result_.executions;
      return;
    }
    if (nodes_.size() >= limits_.depth) {
      verdict().break_with("every execution comes to its end");
      return;
    }
    Node node;
    node.key = key;
    node.enabled = static_cast<std::uint8_t>(enabled);
    node.todo = static_cast<std::uint8_t>(enabled | spurious);
    node.last = static_cast<std::uint8_t>(last);
    node.edge = static_cast<std::uint8_t>(edge);
    node.edge_points = points;
    node.used = used;
    node.number = node.low = numbers_++;
    node.rested = static_cast<std::uint8_t>(crew().unfinished() & ~enabled);
    number = unbounded() ? node.number : used;
    if (unbounded() && limits_.merge) open_.push_back(key);
    if (std::popcount(static_cast<unsigned>(node.todo)) > 1) {
      node.saved = true;
      node.saved_at = image::save(saved_);
    }
    nodes_.push_back(node);
    present_ = nodes_.size();
  }

  /// Everything from the last node is explored.
  void leave() {
    const Node node = nodes_.back();
    nodes_.pop_back();
    if (node.saved) saved_.resize(node.saved_at);
    present_ = 0;
    if (!unbounded() || !limits_.merge) return;
    if (node.low == node.number) {
      close(node);
    } else {
      Node& parent = nodes_.back();
      parent.low = std::min(parent.low, node.low);
      parent.moved |= static_cast<std::uint8_t>(node.moved | bit_of(node.edge));
      parent.rested |= node.rested;
    }
  }

  /// `root` and what is open above it is one component.
  void close(const Node& root) {
    Key key;
    do {
      key = open_.back();
      open_.pop_back();
      seen_[key] = kClosed;
    } while (!(key == root.key));
    if (root.moved == 0) return;
    // Nobody finishes inside a component, so the threads that count are those of its root.
    const unsigned counts = (root.enabled | root.rested) & ~crew().stallable();
    if ((counts & ~(root.moved | root.rested)) != 0) return;
    verdict().break_with("nobody is busy for ever while everybody runs");
    report(root.edge, root.edge_points);
  }

  void report(unsigned edge, unsigned points) {
    result_.status = Result::Status::failed;
    result_.broken = verdict().broken();
    Schedule schedule = prologue_;
    for (const Node& node : nodes_) {
      if (node.edge != kNoThread) schedule.add(node.edge, node.edge_points);
    }
    if (edge != kNoThread) schedule.add(edge, points);
    result_.schedule = schedule;
    ++result_.executions;
    finished_ = true;
  }

  bool stop() {
    if (finished_ || sharing().surprised()) return true;
    if (verdict().failed()) {
      report(kNoThread, 0);
      return true;
    }
    if (seen_.size() > limits_.states || (++looks_ % 4096 == 0 && Clock::now() > deadline_)) {
      result_.status = Result::Status::capped;
      finished_ = true;
    }
    return finished_;
  }

  const Model& model_;
  const Variant& variant_;
  const Limits limits_;

  Result result_;
  Schedule prologue_;
  Seen seen_;
  std::uint32_t fresh_ = 0;
  std::vector<Node> nodes_;
  std::vector<Key> open_;    // states whose component is not complete
  std::vector<char> saved_;  // images of the nodes, one after the other
  std::size_t present_ = 0;  // how many nodes there were when the present state was reached
  std::uint32_t numbers_ = 0;
  std::uint64_t looks_ = 0;
  Clock::time_point deadline_;
  bool finished_ = false;
};

}  // namespace

Result search_depth_first(const Model& model, const Variant& variant, const Limits& limits) {
  return DepthFirst(model, variant, limits).run();
}

}  // namespace model
