// SPDX-License-Identifier: BSL-1.0
#include "exec/executor.hpp"

#include "exec/executor_runtime.hpp"
#include "machine/sanitizer.hpp"

namespace paceline::core {

namespace {

// Sanitizers put red zones around every local: give them room.
constexpr std::size_t kStackFactor = machine::sanitizer::kAddress ? 8 : 1;

constexpr detail::SuspensionOps kGateOps{"its task", nullptr, nullptr};

}  // namespace

Executor::Executor(ExecutorRuntime& runtime, std::size_t stack_bytes)
    : gate(kGateOps),
      runtime_(&runtime),
      fiber_(machine::lease_stack(stack_bytes * kStackFactor), &Executor::loop, this) {}

void Executor::loop(void* self) noexcept {
  auto& executor = *static_cast<Executor*>(self);
  while (!executor.retiring_) {
    ExecutorRuntime::run_polls(executor);
    executor.fiber_.leave();
  }
}

void Executor::retire() noexcept {
  retiring_ = true;
  fiber_.enter();
}

}  // namespace paceline::core
