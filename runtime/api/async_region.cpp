// SPDX-License-Identifier: BSL-1.0
// Regions that signals may preempt, as application code opens them.
// Flow room: preempt. The thread that runs the task.
// It must never let a region end while a signal is on its way to it.
// Proof: tests/unit/api/async_region_test.cpp.
#include <paceline/async_region.hpp>

#include <paceline/detail/safepoint.hpp>

#include "base/assert.hpp"
#include "exec/async.hpp"
#include "exec/entry.hpp"

namespace paceline {

namespace detail {

namespace {

// Whoever asks looks at the region after it has asked, so we look after we have entered it.
void answer_requests() noexcept {
  const Safepoint& here = this_safepoint;
  if (here.request->load(std::memory_order_seq_cst) != 0) at_safepoint();  // M40
}

}  // namespace

void add_async_text(const char* begin, const char* end) noexcept {
  core::add_async_text(begin, end);
}

void* enter_async_region(const char* begin, const char* end) noexcept {
  core::add_async_text(begin, end);
  core::Region* region = core::machine::this_thread().region;
  {
    const core::Entry runtime;
    if (!runtime || runtime->current() == nullptr || region == nullptr) return nullptr;
    if (region->depth != 0) {
      ++region->depth;
      return region;
    }
    if (!core::ready_for_signals(*region, *runtime)) return nullptr;
    region->depth = 1;
    region->go_in();
  }
  answer_requests();
  return region;
}

void leave_async_region(void* entered) noexcept {
  auto& region = *static_cast<core::Region*>(entered);
  core::check(&region == core::machine::this_thread().region && region.depth != 0,
              "an async_region ends on the thread on which it began");
  if (region.depth > 1) {
    --region.depth;
    return;
  }
  core::leave_region(region);
  region.depth = 0;
  answer_requests();
}

}  // namespace detail

void allow_async_preemption(bool allowed) noexcept {
  core::Region::allowed.store(allowed, std::memory_order_relaxed);
}

}  // namespace paceline
