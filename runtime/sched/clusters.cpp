// SPDX-License-Identifier: BSL-1.0
#include "sched/clusters.hpp"

#include <algorithm>

#include "base/rng.hpp"
#include "exec/hold.hpp"
#include "machine/machine.hpp"
#include "policy/preference.hpp"
#include "policy/worker_choice.hpp"
#include "sched/worker.hpp"

namespace paceline::core {

using policy::ClusterIndex;

namespace {

// What stands on a board is good for so long: about how often a worker publishes its load.
constexpr Nanos kBoardLasts = 50 * kMicrosecond;

// So many workers that are awake are asked whether they are free; beyond, the board must do.
constexpr std::size_t kAskAtMost = 8;

// Of so many workers of a cluster one is chosen that makes room; in a larger one they begin at
// chance.
constexpr std::size_t kChooseAmong = 64;

/// Does its worker run a task just now?
bool is_running(const Seat& seat) noexcept {
  const Worker* worker = seat.worker.load(std::memory_order_acquire);  // M29
  return worker != nullptr && worker->runtime().look_at_current() != nullptr;
}

bool is_free(const Seat& seat) noexcept {
  return seat.idle.load(std::memory_order_relaxed) != 0 &&
         (seat.classes.load(std::memory_order_relaxed) & Port::kClasses) == 0 && seat.mail.empty();
}

}  // namespace

void Clusters::arrange(const policy::MachineView& machine, policy::Profile profile,
                       double time_scale, Hub& hub, std::span<Seat* const> seats) {
  if (machine.clusters.size() < 2) return;
  policy::EdgeTable table(machine, profile, policy::Distance::added);
  std::vector<Home> homes(machine.clusters.size());
  std::vector<ClusterIndex> of_worker(seats.size());
  std::size_t used = 0;
  for (unsigned i = 0; i < seats.size(); ++i) {
    of_worker[i] = machine.cores[i % machine.cores.size()].cluster;
    Home& home = homes[of_worker[i]];
    if (home.workers.empty()) {
      ++used;
      home.first_word = i / 64;
    }
    home.workers.push_back(i);
    home.members.resize(i / 64 - home.first_word + 1);
    home.members.back() |= bit(i % 64);
  }
  if (used < 2) return;
  boards_ = std::make_unique<Board[]>(homes.size());
  seats_.assign(seats.begin(), seats.end());
  homes_ = std::move(homes);
  of_worker_ = std::move(of_worker);
  hub_ = &hub;
  memory_ = policy::latency_memory(time_scale);
  table_ = std::move(table);
  for (auto& cluster : preferred_) cluster.store(table_->home(), std::memory_order_relaxed);
  for (auto& last : stirred_) last.store(policy::kNoCluster, std::memory_order_relaxed);
  publish();
}

void Clusters::forget() noexcept {
  table_.reset();
  homes_.clear();
  for (Seat* seat : seats_) {
    seat->rank.store(0, std::memory_order_relaxed);
    seat->native.store(Seat::kEverything, std::memory_order_relaxed);
    seat->takes.store(Seat::kEverything, std::memory_order_relaxed);
  }
}

std::uint8_t Clusters::rank_preferred_by(qos q) const noexcept {
  return table_->rank(policy::preference_of(*table_, q, preferred(q), *this).cluster);
}

void Clusters::publish() noexcept {
  std::array<Word, policy::kMostRanks> native{};
  for (unsigned q = 0; q < qos_count; ++q) {
    native[rank_preferred_by(static_cast<qos>(q))] |= bit(q);
  }
  for (std::size_t i = 0; i < homes_.size(); ++i) {
    Home& home = homes_[i];
    const auto cluster = static_cast<ClusterIndex>(i);
    const std::uint8_t rank = table_->rank(cluster);
    const Word own = recommended(cluster) ? native[rank] : 0;
    home.native.store(own, std::memory_order_relaxed);
    // What a worker here may take from one of each kind: all from its own, what prefers its own
    // from any, and along the edges.
    std::uint64_t takes = std::uint64_t{policy::kAllClasses} << (8 * rank);
    for (const policy::Candidate& other : table_->candidates(cluster)) {
      const Word from_there = other.native ? policy::kAllClasses : other.steal_from | native[rank];
      takes |= from_there << (8 * other.rank);
    }
    if (!recommended(cluster)) takes = 0;
    for (const std::size_t worker : home.workers) {
      seats_[worker]->rank.store(rank, std::memory_order_relaxed);
      seats_[worker]->native.store(own, std::memory_order_relaxed);
      seats_[worker]->takes.store(takes, std::memory_order_relaxed);
    }
  }
}

/// Calls visit(seat) for each worker that sleeps until it returns true. True if it did.
template <class Visit>
bool Clusters::each_asleep(const Home& home, Visit&& visit) const noexcept {
  for (std::size_t i = 0; i < home.members.size(); ++i) {
    const Word asleep = hub_->asleep[home.first_word + i].load(std::memory_order_relaxed);
    for (Word left = asleep & home.members[i]; left != 0; left = without_lowest(left)) {
      if (visit(*seats_[(home.first_word + i) * 64 + lowest(left)])) return true;
    }
  }
  return false;
}

bool Clusters::somebody_is_free(const Home& home) const noexcept {
  // The words lag behind: whoever was just sent a task is no longer free.
  if (each_asleep(home, [](const Seat& seat) { return is_free(seat); })) return true;
  const std::size_t most = std::min(home.workers.size(), kAskAtMost);
  return std::any_of(home.workers.begin(), home.workers.begin() + static_cast<std::ptrdiff_t>(most),
                     [&](std::size_t worker) { return is_free(*seats_[worker]); });
}

policy::Load Clusters::latency(ClusterIndex c, qos q) const noexcept {
  if (!recommended(c) || homes_[c].workers.empty()) return policy::kInfiniteLoad;
  if (somebody_is_free(homes_[c])) return 0;
  refresh(c);
  return boards_[c].latency[policy::index_of(q)].load(std::memory_order_relaxed);
}

std::array<std::uint32_t, qos_count> Clusters::runnable(const Home& home,
                                                        unsigned limit) const noexcept {
  std::array<std::uint32_t, qos_count> counts{};
  for (const std::size_t worker : home.workers) {
    Seat& seat = *seats_[worker];
    if (is_running(seat)) {
      const std::uint32_t running = seat.run_class.load(std::memory_order_relaxed);
      // What runs beyond its time is not known by class, and keeps everybody waiting.
      ++counts[running < qos_count ? running : 0];
    }
    for (Word left = seat.classes.load(std::memory_order_relaxed) & Port::kClasses; left != 0;
         left = without_lowest(left)) {
      counts[lowest(left)] += count_stealable(seat, lowest(left), limit);
    }
  }
  return counts;
}

/// Brings a cluster's board up to date, unless it is or somebody else is at it.
void Clusters::refresh(ClusterIndex c) const noexcept {
  Board& board = boards_[c];
  const Nanos now = machine::now();
  if (now - board.looked_at.load(std::memory_order_relaxed) < kBoardLasts) return;
  // Acquire. Pairs: the release below. Publishes: `classes` of the refresh before.
  if (board.refreshing.exchange(1, std::memory_order_acquire) != 0) return;  // M90
  const Home& home = homes_[c];
  std::uint64_t slices = 0;
  for (const std::size_t worker : home.workers) {
    const Seat& seat = *seats_[worker];
    const auto polls = Nanos{seat.poll_ns.load(std::memory_order_relaxed)};
    // A long poll shows in the mean only when it is over.
    const Nanos silent =
        !is_running(seat) ? 0 : now - seat.looked_at.load(std::memory_order_relaxed);
    slices += static_cast<std::uint64_t>(std::clamp<Nanos>(silent, polls, kSecond));
  }
  const auto present = static_cast<std::uint32_t>(home.workers.size());
  const auto depths = policy::depths_of(runnable(home, kCountAtMost));
  for (std::size_t q = 0; q < qos_count; ++q) {
    policy::ClassLoad& load = board.classes[q];
    load = policy::with_slice(load, slices / present / kMicrosecond, now, memory_);
    load = policy::with_depth(load, depths[q], present, now, memory_);
    board.latency[q].store(policy::latency_us(load), std::memory_order_relaxed);
  }
  board.looked_at.store(now, std::memory_order_relaxed);
  board.refreshing.store(0, std::memory_order_release);  // M90
}

std::uint32_t Clusters::depth(ClusterIndex c, qos q) const noexcept {
  const Home& home = homes_[c];
  return policy::depths_of(runnable(home, workers(c) + 1))[policy::index_of(q)];
}

bool Clusters::is_overloaded(ClusterIndex c) const noexcept {
  const Home& home = homes_[c];
  std::uint32_t total = 0;
  for (const std::uint32_t count : runnable(home, workers(c) + 1)) total += count;
  for (const std::size_t worker : home.workers) {
    const Worker* its = seats_[worker]->worker.load(std::memory_order_acquire);  // M29
    if (its != nullptr) total += its->runtime().loot().size_hint();
    if (!seats_[worker]->mail.empty()) ++total;
  }
  return total > workers(c);
}

policy::ClassMask Clusters::stealable(ClusterIndex c) const noexcept {
  Word classes = 0;
  for (const std::size_t worker : homes_[c].workers) {
    // Seq_cst, as a worker that is about to sleep asks: see park().
    classes |= seats_[worker]->classes.load(std::memory_order_seq_cst);  // M9
  }
  return static_cast<policy::ClassMask>(classes & Port::kClasses);
}

/// Other kinds than `but_of`'s that some of `classes` prefer.
policy::RankMask Clusters::kinds_preferred_by(Word classes, ClusterIndex but_of) const noexcept {
  policy::RankMask kinds = 0;
  for (Word left = classes; left != 0; left = without_lowest(left)) {
    kinds |= policy::rank_bit(rank_preferred_by(static_cast<qos>(lowest(left))));
  }
  return kinds & static_cast<policy::RankMask>(~policy::rank_bit(table_->rank(but_of)));
}

policy::RankMask Clusters::foreign_queued(ClusterIndex c) const noexcept {
  return kinds_preferred_by(stealable(c) & ~native_classes(c), c);
}

policy::RankMask Clusters::foreign_running(ClusterIndex c) const noexcept {
  policy::RankMask kinds = 0;
  for (const std::size_t worker : homes_[c].workers) {
    const auto foreign = running_foreign(static_cast<unsigned>(worker));
    if (foreign) kinds |= policy::rank_bit(foreign->prefers);
  }
  return kinds;
}

std::optional<policy::RunningForeign> Clusters::running_foreign(unsigned worker) const noexcept {
  const Seat& seat = *seats_[worker];
  const std::uint32_t runs = seat.run_class.load(std::memory_order_relaxed);
  if (runs >= qos_count || runs == policy::index_of(qos::urgent)) return std::nullopt;
  const Word native = seat.native.load(std::memory_order_relaxed);
  if ((native & bit(runs)) != 0 || !is_running(seat)) return std::nullopt;
  const std::uint8_t prefers = rank_preferred_by(static_cast<qos>(runs));
  if (prefers == table_->rank(of(worker))) return std::nullopt;
  const Word classes = seat.classes.load(std::memory_order_relaxed);
  return policy::RunningForeign{
      .worker = worker,
      .priority = static_cast<std::uint16_t>(policy::kClassRows[runs].base),
      .prefers = prefers,
      .shared = policy::SharedUse::none,
      .asked = (classes & bit(Port::kNote)) != 0};
}

std::uint32_t Clusters::free_workers(ClusterIndex c) const noexcept {
  const auto& workers = homes_[c].workers;
  return static_cast<std::uint32_t>(
      std::count_if(workers.begin(), workers.end(),
                    [&](std::size_t worker) { return is_free(*seats_[worker]); }));
}

bool Clusters::one_sleeps(const Home& home) const noexcept {
  return each_asleep(home, [](const Seat&) { return true; });
}

bool Clusters::one_sleeps_for(Word classes) const noexcept {
  if (hub_->sleepers.load(std::memory_order_relaxed) == 0) return false;
  for (std::size_t c = 0; c < homes_.size(); ++c) {
    const Word native = homes_[c].native.load(std::memory_order_relaxed);
    if ((native & classes) != 0 && one_sleeps(homes_[c])) return true;
  }
  return false;
}

Seat* Clusters::free_worker(ClusterIndex c) const noexcept {
  const Home& home = homes_[c];
  Seat* found = nullptr;
  const auto take_if_free = [&](Seat& seat) {
    if (is_free(seat)) found = &seat;
    return found != nullptr;
  };
  if (each_asleep(home, take_if_free)) return found;
  const std::size_t most = std::min(home.workers.size(), kAskAtMost);
  for (std::size_t i = 0; i < most && found == nullptr; ++i) take_if_free(*seats_[home.workers[i]]);
  return found;
}

Seat* Clusters::where_to_take_turn(ClusterIndex c, qos q, Nanos now,
                                   Nanos patience) const noexcept {
  const Home& home = homes_[c];
  const std::size_t size = home.workers.size();
  const std::size_t count = std::min(size, kChooseAmong);
  const std::size_t first = size == count ? 0 : static_cast<std::size_t>(now) % size;
  std::array<policy::WorkerView, kChooseAmong> views;
  for (std::size_t i = 0; i < count; ++i) {
    const Seat& seat = *seats_[home.workers[(first + i) % size]];
    const std::uint32_t runs = seat.run_class.load(std::memory_order_relaxed);
    const Nanos silent = now - seat.looked_at.load(std::memory_order_relaxed);
    const bool idle = is_free(seat);
    // It would keep what it is sent waiting, and the sender without work.
    const bool away = !idle && (runs >= qos_count || silent > patience ||
                                Nanos{seat.poll_ns.load(std::memory_order_relaxed)} > patience ||
                                !Hold::is_held(seat.hold.load(std::memory_order_relaxed)));
    const bool noted = (seat.classes.load(std::memory_order_relaxed) & bit(Port::kNote)) != 0;
    views[i] = {.since = seat.turn_since.load(std::memory_order_relaxed),
                .priority = static_cast<std::uint16_t>(
                    policy::kClassRows[std::min(runs, policy::kBackground)].base),
                .idle = idle,
                .asked_preempt = away || noted || !seat.mail.empty()};
  }
  Rng unused(1);  // of those who queue
  const policy::WorkerAsk ask{
      .priority = static_cast<std::uint16_t>(policy::kClassRows[policy::class_index(q)].base),
      .force = true};
  const policy::WorkerVerdict who = policy::choose_worker({views.data(), count}, ask, unused);
  if (who.what == policy::WorkerWhat::queue) return nullptr;
  return seats_[home.workers[(first + who.where) % size]];
}

}  // namespace paceline::core
