// SPDX-License-Identifier: BSL-1.0
#include "exec/names.hpp"

#include "base/mutex.hpp"
#include "machine/machine.hpp"
#include "task/slot.hpp"

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

std::size_t describe_this_task(char* text, std::size_t size) noexcept {
  std::size_t used = 0;
  const auto add = [&](std::string_view part) {
    for (const char c : part) {
      if (used < size) text[used++] = c;
    }
  };
  const Slot* task = machine::own_record().task;
  if (task == nullptr) {
    add("work of a runtime's thread outside a task");
    return used;
  }
  char digits[20];
  std::size_t first = sizeof digits;
  std::uint64_t id = task->id.load(std::memory_order_relaxed);
  do {
    digits[--first] = static_cast<char>('0' + id % 10);
    id /= 10;
  } while (id != 0);
  add("task ");
  add({digits + first, sizeof digits - first});
  // Its own thread is here, so nobody takes the name away.
  const TaskName* name = task->name.load(std::memory_order_relaxed);
  add(" '");
  if (name != nullptr) add(name->text);
  add("'");
  return used;
}

void keep_names_across_fork() noexcept { machine::keep_across_fork(retired_lock); }

}  // namespace paceline::core
