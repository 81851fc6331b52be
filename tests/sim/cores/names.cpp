// SPDX-License-Identifier: BSL-1.0
#include "sim/cores/names.hpp"

#include <spdlog/fmt/fmt.h>

#include "base/atomic.hpp"
#include "exec/live_loans.hpp"
#include "sched/runtime_core.hpp"
#include "task/lane.hpp"

namespace paceline_cores {

using namespace paceline::core;

namespace {

class Search {
 public:
  explicit Search(std::uintptr_t line) : line_(line) {}

  /// Is any of the object there?
  template <class T>
  bool has(const T& object) const noexcept {
    return overlaps(&object, sizeof(T));
  }
  bool overlaps(const void* object, std::size_t bytes) const noexcept {
    const auto from = reinterpret_cast<std::uintptr_t>(object);
    return from < line_ + kCacheLine && line_ < from + bytes;
  }
  template <class T>
  void look(const T& member, const char* name) {
    if (has(member)) found_ += (found_.empty() ? "" : ", ") + std::string(name);
  }
  std::string names_in(const void* object) const {
    if (!found_.empty()) return found_;
    return fmt::format("+{:#x}", line_ - reinterpret_cast<std::uintptr_t>(object));
  }

 private:
  const std::uintptr_t line_;
  std::string found_;
};

std::string hub_part(Search& search, const Hub& hub) {
  search.look(hub.sleepers, "sleepers");
  search.look(hub.searching, "searching");
  search.look(hub.napping, "napping");
  search.look(hub.watcher, "watcher");
  search.look(hub.monitor, "monitor");
  search.look(hub.hurried, "hurried");
  search.look(hub.asleep, "asleep");
  search.look(hub.seats, "seats");
  return search.names_in(&hub);
}

std::string seat_part(Search& search, const Seat& seat) {
  search.look(seat.classes, "classes");
  search.look(seat.request, "request");
  search.look(seat.polls, "polls");
  search.look(seat.hold, "hold");
  search.look(seat.run_class, "run_class");
  search.look(seat.park, "park");
  search.look(seat.inflow, "inflow");
  search.look(seat.taken, "taken");
  search.look(seat.load, "load");
  search.look(seat.poll_ns, "poll_ns");
  return search.names_in(&seat);
}

/// Empty: in no page of the seat's tasks.
std::string page_part(Search& search, Seat& seat) {
  std::string found;
  each_collection(seat, [&](TaskCollection& collection) {
    collection.each_page([&](Group& group, unsigned page) {
      if (!found.empty() || !search.has(group)) return;
      if (search.has(group.pages[page])) {
        found = fmt::format("page {} of ready bits", page);
      } else if (search.overlaps(group.page_slots(page), kPageSlots * sizeof(Slot))) {
        found = fmt::format("slots of page {}", page);
      } else if (search.has(group.ready)) {
        found = "summary of a group";
      }
    });
  });
  return found;
}

}  // namespace

std::string name_of_line(RuntimeCore& core, std::uintptr_t line) {
  Search search(line);
  if (search.has(core.hub())) return "hub: " + hub_part(search, core.hub());
  for (unsigned i = 0; i < core.worker_count(); ++i) {
    Worker& worker = core.worker(i);
    Seat& seat = worker.seat();
    if (search.has(seat)) return fmt::format("seat {}: {}", i, seat_part(search, seat));
    if (search.has(worker)) {
      search.look(worker.runtime().counters(), "counters");
      search.look(worker.runtime().loot(), "loot");
      return fmt::format("worker {}: {}", i, search.names_in(&worker));
    }
    if (const std::string part = page_part(search, seat); !part.empty()) {
      return fmt::format("tasks of worker {}: {}", i, part);
    }
  }
  if (search.has(core)) return "runtime: " + search.names_in(&core);
  if (search.has(live_loans)) return "live_loans";
  return "a frame, a thread's record, or else";
}

}  // namespace paceline_cores
