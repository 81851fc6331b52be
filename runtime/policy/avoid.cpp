// SPDX-License-Identifier: BSL-1.0
// The avoid test over plain snapshots, and the names of its reasons.
// Flow room: preempt. On the worker itself. It must never allocate.
// Proof: tests/unit/policy/avoid_test.cpp.
#include "policy/avoid.hpp"

namespace paceline::core::policy {

std::string_view to_string(AvoidReason reason) noexcept {
  switch (reason) {
    case AvoidReason::settled: return "settled";
    case AvoidReason::pinned: return "pinned";
    case AvoidReason::rotation: return "rotation";
    case AvoidReason::bound_elsewhere: return "bound_elsewhere";
    case AvoidReason::not_recommended: return "not_recommended";
    case AvoidReason::shared_better: return "shared_better";
    case AvoidReason::shared_off_kind: return "shared_off_kind";
    case AvoidReason::off_kind: return "off_kind";
    case AvoidReason::preferred_idle: return "preferred_idle";
  }
  return "invalid";
}

template AvoidVerdict avoid(const EdgeTable&, const AvoidAsk&, const LoadView&) noexcept;

}  // namespace paceline::core::policy
