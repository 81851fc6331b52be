// SPDX-License-Identifier: BSL-1.0
// Threads of the simulated machine, which interrupts them between two turns.
#include "helper.hpp"

#include "sim/machine/simulation.hpp"

namespace coretest {

namespace simulation = paceline::core::simulation;

namespace {

void (*on_interruption)() = nullptr;

}  // namespace

struct Helper::Thread {
  std::function<void()> body;
  std::uintptr_t number = 0;

  static void run(void* raw) noexcept {
    simulation::name_self("helper");
    static_cast<Thread*>(raw)->body();
  }
};

Helper::Helper(std::function<void()> body)
    : thread_(std::make_unique<Thread>(Thread{std::move(body)})) {
  thread_->number = simulation::start(&Thread::run, thread_.get());
}
Helper::~Helper() = default;
Helper::Helper(Helper&&) noexcept = default;
Helper& Helper::operator=(Helper&&) noexcept = default;
void Helper::join() { simulation::join(thread_->number); }
void Helper::interrupt() { simulation::interrupt(thread_->number, on_interruption); }

void handle_interruptions(void (*handler)()) { on_interruption = handler; }
void interrupt_self() { simulation::interrupt(simulation::self(), on_interruption); }
void*& own_word() noexcept { return simulation::own_word(); }

}  // namespace coretest
