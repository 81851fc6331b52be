// SPDX-License-Identifier: BSL-1.0
// C05 wake-late. Tasks leave their wakers behind; foreign threads go on firing them while the slots
// have new tenants, and after the whole runtime is gone.
//
// Invariants: a late wake is counted as stale and resumes nobody; a tenant is resumed only by its
// own event and finds its own tag; wakers of a dead runtime are harmless.
#include <array>
#include <atomic>
#include <bit>
#include <memory>
#include <mutex>
#include <unordered_set>
#include <vector>

#include <paceline/paceline.hpp>

#include "../context.hpp"
#include "../helper.hpp"
#include "scenarios.hpp"

namespace coretest {

namespace {

// Wakers that are kept; older ones are forgotten.
constexpr std::size_t kGraves = 4096;
constexpr int kGenerations = kSanitized ? 4 : 16;

using Graves = std::vector<paceline::waker>;

/// The address in a waker: two wakers with the same one are of two tenants of one slot.
std::uint64_t slot_of(const paceline::waker& waker) noexcept {
  return std::bit_cast<std::array<std::uint64_t, 2>>(waker)[0];
}

/// Wakers of tasks that have ended. Readers take a snapshot.
class Graveyard {
 public:
  std::shared_ptr<const Graves> look() const {
    const std::lock_guard lock(lock_);
    return graves_;
  }
  void bury(const Graves& dead) {
    auto grown = std::make_shared<Graves>(*look());
    grown->insert(grown->end(), dead.begin(), dead.end());
    if (grown->size() > kGraves) {
      grown->erase(grown->begin(), grown->end() - static_cast<std::ptrdiff_t>(kGraves));
    }
    const std::lock_guard lock(lock_);
    graves_ = std::move(grown);
  }

 private:
  mutable std::mutex lock_;
  std::shared_ptr<const Graves> graves_ = std::make_shared<Graves>();
};

struct Tenant {
  paceline::waker owner;
  std::atomic<std::uint64_t> event{0};  // the tag that may resume the tenant
  std::atomic<std::uint64_t> looks{0};  // how often it was asked whether it is ready
  std::atomic<bool> moved_in{false};
};

paceline::task<std::uint64_t> live_in(Context& context, Tenant& room, std::uint64_t tag,
                                      std::uint64_t detours) {
  for (std::uint64_t i = 0; i < detours; ++i) co_await paceline::yield();
  room.owner = paceline::this_task::waker();
  room.moved_in.store(true, std::memory_order_release);
  auto event = paceline::suspend_until(
      [&room, tag]() noexcept {
        room.looks.fetch_add(1, std::memory_order_relaxed);
        return room.event.load(std::memory_order_acquire) == tag;
      },
      [](paceline::waker) noexcept {});
  co_await std::move(event);
  const std::uint64_t got = room.event.load(std::memory_order_acquire);
  context.check(got == tag, "stale", "the tenant with tag {} was resumed by event {}", tag, got);
  context.op();
  co_return tag;
}

class Town {
 public:
  Town(Context& context, Graveyard& graveyard, Rng rng)
      : context_(context), graveyard_(graveyard), rng_(rng) {}

  /// Generations of tenants in one runtime, with haunting threads all the while.
  void live() {
    LiveRuntime rt(context_);
    const std::uint64_t rooms = 1 + rng_.below(context_.size(300));
    std::vector<Tenant> tenants(rooms);
    Graves dead_here;
    std::atomic<bool> stop{false};
    std::vector<Helper> ghosts;
    for (int i = 0; i < 2; ++i) {
      ghosts.emplace_back([this, &stop, seed = rng_.next()] { haunt(stop, Rng(seed)); });
    }
    for (int generation = 0; generation < kGenerations; ++generation) {
      for (const paceline::waker& waker : one_generation(*rt, tenants)) dead_here.push_back(waker);
    }
    stop.store(true);
    for (Helper& ghost : ghosts) ghost.join();
    stale_wakes_are_counted(*rt, dead_here);
    stale_wakes_disturb_nobody(*rt, dead_here);
    rt.settle();
  }

 private:
  void haunt(const std::atomic<bool>& stop, Rng rng) {
    while (!stop.load(std::memory_order_relaxed)) {
      const std::shared_ptr<const Graves> graves = graveyard_.look();
      for (int i = 0; i < 64 && !graves->empty(); ++i) (*graves)[rng.below(graves->size())].wake();
      busy_for(static_cast<std::int64_t>(rng.below(30)) * kMicro);
      give_way();
    }
  }

  /// Tenants move in, get their event in random order, and leave. Returns their wakers.
  Graves one_generation(paceline::runtime& rt, std::vector<Tenant>& rooms) {
    std::vector<paceline::join_handle<std::uint64_t>> tenants;
    std::vector<std::uint64_t> tags;
    for (Tenant& room : rooms) {
      tags.push_back(++last_tag_);
      room.moved_in.store(false);
      tenants.push_back(rt.spawn(live_in(context_, room, tags.back(), rng_.below(3))));
    }
    const std::shared_ptr<const Graves> old = graveyard_.look();
    std::unordered_set<std::uint64_t> known;
    for (const paceline::waker& waker : *old) known.insert(slot_of(waker));
    const std::size_t first = rng_.below(rooms.size());
    for (std::size_t i = 0; i < rooms.size(); ++i) {
      const std::size_t at = (first + i) % rooms.size();
      wait_until([&] { return rooms[at].moved_in.load(std::memory_order_acquire); });
      reused_.reach_if(known.contains(slot_of(rooms[at].owner)));
      rooms[at].event.store(tags[at], std::memory_order_release);
      rooms[at].owner.wake();
      if (rng_.below(4) == 0) rooms[at].owner.wake();  // twice: the second may be late already
    }
    Graves dead;
    for (std::size_t i = 0; i < tenants.size(); ++i) {
      const std::uint64_t tag = tenants[i].join();
      context_.check(tag == tags[i], "stale", "room {} gave back tag {} for {}", i, tag, tags[i]);
      dead.push_back(rooms[i].owner);
    }
    graveyard_.bury(dead);
    return dead;
  }

  /// Every waker in `dead` is of this runtime and its task has ended: each wake counts.
  void stale_wakes_are_counted(paceline::runtime& rt, const Graves& dead) {
    const std::uint64_t before = rt.stats().total.stale_wakes;
    for (const paceline::waker& waker : dead) waker.wake();
    const std::uint64_t counted = rt.stats().total.stale_wakes - before;
    context_.check(counted >= dead.size(), "stale",
                   "{} late wakes were fired, {} were counted as stale", dead.size(), counted);
    counted_.reach();
  }

  /// New tenants in these very slots are not even asked: the generation stops a late wake.
  void stale_wakes_disturb_nobody(paceline::runtime& rt, const Graves& dead) {
    std::vector<Tenant> rooms(64);
    std::vector<paceline::join_handle<std::uint64_t>> tenants;
    for (Tenant& room : rooms) tenants.push_back(rt.spawn(live_in(context_, room, ++last_tag_, 0)));
    const std::uint64_t first_tag = last_tag_ - rooms.size() + 1;
    const auto looks = [&] {
      std::uint64_t sum = 0;
      for (const Tenant& room : rooms) sum += room.looks.load(std::memory_order_relaxed);
      return sum;
    };
    for (Tenant& room : rooms)
      wait_until([&] { return room.moved_in.load(std::memory_order_acquire); });
    const std::uint64_t before = looks();
    constexpr std::uint64_t kVolleys = 8;
    for (std::uint64_t i = 0; i < kVolleys; ++i) {
      for (const paceline::waker& waker : dead) waker.wake();
    }
    const std::uint64_t fired = kVolleys * dead.size();
    // A tenant that has just moved in may be asked a few times for reasons of its own.
    const std::uint64_t allowed = 8 * rooms.size();
    context_.check(looks() - before <= allowed, "stale",
                   "{} late wakes made tenants look {} times, more than {}", fired,
                   looks() - before, allowed);
    for (std::size_t i = 0; i < rooms.size(); ++i) {
      rooms[i].event.store(first_tag + i, std::memory_order_release);
      rooms[i].owner.wake();
    }
    for (auto& tenant : tenants) tenant.join();
  }

  Context& context_;
  Graveyard& graveyard_;
  Rng rng_;
  std::uint64_t last_tag_ = 0;
  Goal& reused_ = context_.goal("a slot was reused under a late waker");
  Goal& counted_ = context_.goal("late wakes were counted as stale");
};

}  // namespace

void run_wake_late(Context& context) {
  Graveyard graveyard;
  Goal& after_end = context.goal("wakes after the runtime was gone");
  for (Rng rng = context.rng(1); context.more();) {
    Town(context, graveyard, Rng(rng.next())).live();
    // The runtime is gone; its wakers are not. Some of their slots will serve the next one.
    std::vector<Helper> ghosts;
    for (int i = 0; i < 2; ++i) {
      ghosts.emplace_back([&graveyard, &after_end] {
        const std::shared_ptr<const Graves> graves = graveyard.look();
        for (const paceline::waker& waker : *graves) waker.wake();
        after_end.reach_if(!graves->empty());
      });
    }
    for (Helper& ghost : ghosts) ghost.join();
  }
}

}  // namespace coretest
