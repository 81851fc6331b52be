// SPDX-License-Identifier: BSL-1.0
// Simulated threads: their beginning and end, what interrupts them, and what is known of them.
#include <cerrno>
#include <system_error>

#include "sim/machine/world.hpp"

namespace paceline::core::simulation {

namespace {

Thread* thread_of(std::uintptr_t number) noexcept { return world->threads[number - 1].get(); }

/// Ended threads that nobody will join; not while one of them still stands on its stack.
void bury_the_detached() noexcept {
  for (auto& thread : world->threads) {
    if (thread != nullptr && thread->ended && thread->detached) thread.reset();
  }
}

void run_thread(void* raw) noexcept {
  auto& self = *static_cast<Thread*>(raw);
  machine::take_requests_from(nullptr);
  take_interruption(self);
  self.body(self.argument);
  leave();
}

}  // namespace

void interrupt(std::uintptr_t number, void (*handler)()) noexcept {
  if (!takes_part) return;
  Thread& thread = *thread_of(number);
  if (thread.ended) return;
  thread.interruption = handler;
  if (thread.waits_for != nullptr) make_ready(thread, world->time);
  if (&thread == world->running) take_interruption(thread);
}

void*& own_word() noexcept { return world->running->own_word; }

std::uintptr_t start(void (*body)(void*) noexcept, void* argument) {
  if (!takes_part) throw std::system_error(EAGAIN, std::generic_category(), "no simulation");
  bury_the_detached();
  auto thread = std::make_unique<Thread>(world->threads.size() + 1);
  thread->body = body;
  thread->argument = argument;
  thread->start = world->time;
  thread->strand.prepare(&run_thread, thread.get());
  const std::uintptr_t number = thread->number;
  world->ready.push_back(thread.get());
  if (world->pricing) world->pricing->agenda.put(number, world->time, world->rng.next());
  world->threads.push_back(std::move(thread));
  ++world->facts.threads;
  point(Point::start);
  return number;
}

void join(std::uintptr_t number) noexcept {
  if (!takes_part) return;
  Thread* thread = thread_of(number);
  while (!thread->ended) block(thread, kForever, Point::end);
  world->threads[number - 1].reset();
}

void detach(std::uintptr_t number) noexcept {
  if (takes_part) thread_of(number)->detached = true;
}

std::uintptr_t self() noexcept { return takes_part ? world->running->number : 0; }

void name_self(std::string_view name) noexcept {
  if (takes_part) world->running->name = name;
}
void bind_self(int cpu) noexcept {
  if (takes_part) world->running->cpu = cpu;
}
int own_cpu() noexcept { return takes_part ? world->running->cpu : -1; }

std::optional<Activity> activity_of(std::uintptr_t number) noexcept {
  if (!takes_part || number == 0 || number > world->threads.size()) return std::nullopt;
  const Thread* thread = thread_of(number);
  if (thread == nullptr || thread->ended) return std::nullopt;
  // One that is kept busy is blocked, too.
  const bool waits = thread->waits_for != nullptr && thread->stands_at != Point::sleep;
  const Nanos waiting = waits ? world->time - thread->blocked_since : 0;
  return Activity{world->time - thread->start - thread->blocked_for - waiting, waits};
}

}  // namespace paceline::core::simulation
