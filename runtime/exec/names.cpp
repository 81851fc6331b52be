// SPDX-License-Identifier: BSL-1.0
#include "exec/names.hpp"

#include "base/mutex.hpp"
#include "machine/machine.hpp"

namespace paceline::core {

namespace {

constinit Atomic<unsigned> dumps_under_way{0};
constinit Mutex retired_lock{LockRank::memory};
constinit TaskName* retired = nullptr;

}  // namespace

TaskName* make_name(std::string_view text) { return new TaskName{std::string(text)}; }

void retire_name(TaskName* name) noexcept {
  if (dumps_under_way.load(std::memory_order_seq_cst) == 0) {  // M23
    delete name;
    return;
  }
  LockGuard lock(retired_lock);
  name->next_retired = retired;
  retired = name;
}

DumpGuard::DumpGuard() noexcept { dumps_under_way.fetch_add(1, std::memory_order_seq_cst); }  // M23

DumpGuard::~DumpGuard() {
  TaskName* gone = nullptr;
  {
    LockGuard lock(retired_lock);
    // Under the lock, so that a dump that starts now either is counted here or starts after us and
    // cannot reach a retired name any more.
    if (dumps_under_way.fetch_sub(1, std::memory_order_seq_cst) == 1) {  // M23
      gone = retired;
      retired = nullptr;
    }
  }
  while (gone != nullptr) {
    TaskName* next = gone->next_retired;
    delete gone;
    gone = next;
  }
}

void keep_names_across_fork() noexcept { machine::keep_across_fork(retired_lock); }

}  // namespace paceline::core
