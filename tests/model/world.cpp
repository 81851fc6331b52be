// SPDX-License-Identifier: BSL-1.0
#include "world.hpp"

#include <cstring>

#include "exec/async.hpp"
#include "exec/names.hpp"
#include "machine/frame_memory.hpp"
#include "machine/stack_pool.hpp"
#include "sched/monitor.hpp"
#include "sched/runtime_core.hpp"
#include "trace/log.hpp"

namespace model {

namespace {

VirtualMachine* present = nullptr;

void* map_group() noexcept { return arena().allocate(sizeof(core::Group), core::kGroupAlign); }

void discard(void* memory, std::size_t bytes) noexcept {
  before_free(memory, bytes);  // for the others, the pages change at once
  std::memset(memory, 0, bytes);
}

constexpr core::GroupSource kGroups{&map_group, &discard};

template <class Visit>
void each_group_of(core::TaskCollection& tasks, Visit&& visit) {
  for (unsigned s = 0; s < tasks.segment_count(); ++s) {
    core::Segment& segment = *tasks.segment_at(s);
    for (unsigned g = 0; g < core::kSegmentGroups; ++g) {
      if (core::Group* group = segment.groups[g].load()) visit(segment, *group, g);
    }
  }
}

template <class Visit>
void each_group(core::Port& port, Visit&& visit) {
  each_group_of(tasks_of(port), visit);
  if (port.lanes[1].load() != nullptr) each_group_of(grouped_tasks_of(port), visit);
}

}  // namespace

VirtualMachine& begin_machine() { return *(present = &arena().make<VirtualMachine>()); }
VirtualMachine& machine() { return *present; }

std::string member_name(unsigned tasks, unsigned wakers, unsigned workers, const char* what) {
  std::string name =
      std::to_string(tasks) + 't' + std::to_string(wakers) + 'w' + std::to_string(workers) + 'k';
  return *what == 0 ? name : name + '-' + what;
}

void prepare_port(core::Port& port, unsigned index,
                  void (*work_added)(core::Port&, unsigned, bool) noexcept, unsigned classes) {
  port.index.store(index);
  port.work_added = work_added;
  for (unsigned c = 0; c < classes; ++c) port.collections[c].attach(port, c, kGroups);
  port.weak().attach(port, core::Port::kWeak, kGroups);
  arena().leave_out(&port.collections[classes],
                    sizeof(core::TaskCollection) * (paceline::qos_count - classes));
  for (auto* counter : {&port.remote_wakes, &port.remote_coalesced, &port.remote_stale}) {
    arena().ignore(counter, sizeof *counter);
  }
  name_memory(&port.classes, sizeof port.classes, "port" + std::to_string(index) + ".classes");
}

core::Port& make_port() {
  core::Port& port = arena().make<core::Port>();
  prepare_port(port, 0, [](core::Port&, unsigned, bool) noexcept {});
  return port;
}

void add_lane(core::Port& port) {
  core::Lane& lane = arena().make<core::Lane>(port, 1u);
  arena().leave_out(&lane.collections[kClass + 1],
                    sizeof(core::TaskCollection) * (paceline::qos_count - kClass - 1));
  port.lanes[1].store(&lane);
  name_memory(&port.task_groups[kClass], sizeof(core::Word), "port.task_groups");
}

void leave_out_unused(core::Loot& loot) {
  // The entries are the last member.
  constexpr std::size_t kUsed = 16;
  constexpr std::size_t kRest = (core::Loot::kCapacity - kUsed) * sizeof(void*);
  arena().leave_out(reinterpret_cast<char*>(&loot) + sizeof(core::Loot) - kRest, kRest);
}

void name_groups(core::Port& port, const std::string& prefix) {
  unsigned number = 0;
  each_group(port, [&](core::Segment& segment, core::Group& group, unsigned g) {
    const std::string name = prefix + "g" + std::to_string(number++);
    if (g == 0) {
      name_memory(&segment.ready, sizeof segment.ready, prefix + "segment.ready");
      name_memory(&segment.freed, sizeof segment.freed, prefix + "segment.freed");
    }
    name_memory(&group.ready, sizeof group.ready, name + ".ready");
    name_memory(&group.freed, sizeof group.freed, name + ".freed");
    name_memory(&group.cold, sizeof group.cold, name + ".cold");
    name_memory(&group.segment, sizeof group.segment, name + ".segment");
    for (unsigned p = 0; p < core::kGroupPages; ++p) {
      core::WakerPage& page = group.pages[p];
      const std::string leaf = name + ".p" + std::to_string(p);
      name_memory(&page.notified, sizeof page.notified, leaf + ".notified");
      name_memory(&page.free_shared, sizeof page.free_shared, leaf + ".free_shared");
      name_memory(&page.pass, sizeof page.pass, leaf + ".pass");
      name_memory(&page.next, sizeof page.next, leaf + ".next");
      for (unsigned i = 0; i < core::kPageSlots; ++i) {
        core::Slot& slot = group.page_slots(p)[i];
        const std::string own = leaf + ".s" + std::to_string(i);
        name_memory(&slot.state, sizeof slot.state, own + ".state");
        name_memory(&slot.frame, sizeof slot.frame, own + ".frame");
      }
    }
  });
}

bool any_leaf(core::Port& port) {
  bool any = false;
  each_group(port, [&](core::Segment&, core::Group& group, unsigned) {
    for (auto& page : group.pages) any = any || page.ready() != 0;
  });
  return any;
}

bool any_summary(core::Port& port) {
  bool any = port.classes.load() != 0 || port.task_groups[kClass].load() != 0;
  each_group(port, [&](core::Segment& segment, core::Group& group, unsigned) {
    any = any || segment.ready.load() != 0 || group.ready.load() != 0;
  });
  return any;
}

bool leaves_reachable(core::Port& port) {
  bool all = true;
  each_group(port, [&](core::Segment& segment, core::Group& group, unsigned g) {
    for (unsigned p = 0; p < core::kGroupPages; ++p) {
      if (group.pages[p].ready() == 0) continue;
      all = all && (group.ready.load() & core::bit(p)) != 0 &&
            (segment.ready.load() & core::bit(g)) != 0 &&
            (port.classes.load() & core::bit(kClass)) != 0;
    }
  });
  return all;
}

}  // namespace model

namespace paceline::core {

void Monitor::rouse(Atomic<std::uint32_t>&) noexcept { model::fail("no worker is lent here"); }

// Of tasks with names, stop sources and exceptions.
void retire_name(TaskName*) noexcept { model::fail("no task here has a name"); }
RuntimeCore* RuntimeCore::find(std::uint32_t) noexcept { return nullptr; }
void RuntimeCore::unlist(detail::StopRecord&) noexcept {}
void RuntimeCore::release() noexcept {}
void log::report(std::string_view) noexcept { model::fail("no destructor here throws"); }

}  // namespace paceline::core

// The machine seam, as far as the code under the models asks for it.
namespace paceline::core::machine {

Nanos now() noexcept { return model::machine().now; }

void park(Atomic<std::uint32_t>& word, std::uint32_t expected, Nanos) noexcept {
  model::park(&word, expected);
}

void unpark(Atomic<std::uint32_t>& word) noexcept {
  ++model::machine().unparks;
  model::unpark(&word, false);
}

void unpark_all(Atomic<std::uint32_t>& word) noexcept {
  ++model::machine().unparks;
  model::unpark(&word, true);
}

int current_cpu() noexcept { return -1; }
void relax() noexcept { model::pause_here("relax"); }
void yield_thread() noexcept { model::pause_here("yield"); }

ThisThread& this_thread() noexcept {
  const unsigned current = model::crew().inside() ? model::crew().current() : model::Crew::kMost;
  return model::machine().threads[current];
}

void change_requests_to(const Atomic<std::uint32_t>* word) noexcept {
  model::machine().requests[model::crew().current()] = word;
}

// Every access is a barrier here.
bool barrier_everywhere() noexcept { return true; }

StackLease lease_stack(std::size_t) {
  void* const lowest = model::arena().allocate(model::kExecutorStack, model::kExecutorStack);
  return {lowest, model::kExecutorStack};
}
StackLease::~StackLease() {
  if (lowest_ != nullptr) model::arena().release(lowest_);
}

}  // namespace paceline::core::machine

namespace paceline::core {

void* allocate_frame_memory(std::size_t bytes) { return ::operator new(bytes); }
void free_frame_memory(void* frame, std::size_t) noexcept { ::operator delete(frame); }

// No seat of the models has a region.
bool signal_region(Region&) noexcept { return true; }
unsigned set_regions_aside() noexcept { return 0; }
void take_regions_up(unsigned) noexcept {}

}  // namespace paceline::core

namespace paceline::detail {

namespace {
constinit Atomic<std::uint32_t> never{0};
}
constinit thread_local Safepoint this_safepoint{&never, &never, 0};

}  // namespace paceline::detail

// Nobody forks here.
void paceline::core::machine::keep_across_fork(Mutex&) noexcept {}
