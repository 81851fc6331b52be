// SPDX-License-Identifier: BSL-1.0
// A worker's collections without the worker: a port whose groups come from the machine, with a
// switch that makes the memory run out. For tests of everything that stands on slots and bits.
#pragma once

#include <atomic>
#include <cstddef>
#include <limits>
#include <vector>

#include "base/assert.hpp"
#include "machine/machine.hpp"
#include "task/collection.hpp"
#include "task/lane.hpp"

namespace paceline_test {

namespace core = paceline::core;

/// The memory behind every Home, and how much of it there is.
struct GroupMemory {
  static constexpr std::size_t kPlenty = std::numeric_limits<std::size_t>::max();

  static inline std::atomic<std::size_t> left{kPlenty};  // maps until there is no memory any more
  static inline std::atomic<std::size_t> maps{0};
  static inline std::atomic<std::size_t> discarded_bytes{0};

  static void* map() noexcept {
    if (left.load() == 0) return nullptr;
    if (left.load() != kPlenty) left.fetch_sub(1);
    void* memory = core::machine::map(sizeof(core::Group), core::kGroupAlign);
    if (memory != nullptr) maps.fetch_add(1);
    return memory;
  }
  static void discard(void* memory, std::size_t bytes) noexcept {
    core::machine::discard(memory, bytes);
    discarded_bytes.fetch_add(bytes);
  }
  static constexpr core::GroupSource kSource{&map, &discard};
};

/// A port with attached collections. Everything it mapped is unmapped at its end, which a product's
/// port never does: nothing of a test may reach a slot after that.
class Home {
 public:
  static constexpr unsigned kClass = 3;  // the one most tests use

  Home() {
    GroupMemory::left = GroupMemory::kPlenty;
    port.work_added = [](core::Port&, unsigned, bool) noexcept { work_added_calls.fetch_add(1); };
    for (unsigned c = 0; c <= paceline::qos_count; ++c) {
      port.collections[c].attach(port, c, GroupMemory::kSource);
    }
  }
  Home(const Home&) = delete;
  Home& operator=(const Home&) = delete;
  ~Home() {
    core::each_collection(port, [](core::TaskCollection& each) {
      each_group(each,
                 [](core::Group& group) { core::machine::unmap(&group, sizeof(core::Group)); });
      for (unsigned s = 0; s < each.segment_count(); ++s) delete each.segment_at(s);
    });
    core::each_lane(port, [](core::Lane& lane) { delete &lane; });
    GroupMemory::left = GroupMemory::kPlenty;
  }

  core::TaskCollection& collection(unsigned class_index = kClass) {
    return port.collections[class_index];
  }
  /// Of a task group, which has its lane from now on.
  core::TaskCollection& collection(unsigned class_index, unsigned task_group) {
    core::check(task_group == 0 || core::lane_at(port, task_group) != nullptr,
                "the test has memory for its lanes");
    return core::collection_of(port, class_index, task_group);
  }

  /// A home slot with a task in it, suspended and not ready.
  core::Slot& task(unsigned class_index = kClass) {
    core::Slot* slot = collection(class_index).allocate_home();
    core::check(slot != nullptr, "the test has memory for its tasks");
    slot->state.admit();
    return *slot;
  }
  core::Slot& task(core::Role role, unsigned class_index = kClass) {
    if (role == core::Role::home) return task(class_index);
    core::Slot* slot = collection(class_index).allocate_shared(role);
    core::check(slot != nullptr, "the test has memory for its tasks");
    slot->state.admit();
    return *slot;
  }

  template <class Visit>
  static void each_group(core::TaskCollection& collection, Visit&& visit) {
    for (unsigned s = 0; s < collection.segment_count(); ++s) {
      for (auto& entry : collection.segment_at(s)->groups) {
        if (core::Group* group = entry.load()) visit(*group);
      }
    }
  }

  core::Port port;
  static inline std::atomic<std::size_t> work_added_calls{0};
};

inline std::vector<core::Slot*> allocate_home(core::TaskCollection& collection, std::size_t count) {
  std::vector<core::Slot*> slots;
  slots.reserve(count);
  while (slots.size() < count) {
    core::Slot* slot = collection.allocate_home();
    if (slot == nullptr) break;
    slots.push_back(slot);
  }
  return slots;
}

/// Ends the task in a slot, as its poller does.
inline void end_task(core::Slot& slot, bool at_home) {
  core::check(slot.state.try_start() == core::Start::started, "the test ends a suspended task");
  if (slot.state.vacate()) core::TaskCollection::release(slot, at_home);
}

}  // namespace paceline_test
