// SPDX-License-Identifier: BSL-1.0
// Placement over plain snapshots, and the names of its reasons.
// Flow room: spawn, wake. Any thread. It must never allocate.
// Proof: tests/unit/policy/place_test.cpp.
#include "policy/place.hpp"

namespace paceline::core::policy {

std::string_view to_string(PlaceReason reason) noexcept {
  switch (reason) {
    case PlaceReason::bound: return "bound";
    case PlaceReason::bound_native: return "bound_native";
    case PlaceReason::urgent: return "urgent";
    case PlaceReason::preferred_idle: return "preferred_idle";
    case PlaceReason::stirred: return "stirred";
    case PlaceReason::idle: return "idle";
    case PlaceReason::less_loaded: return "less_loaded";
    case PlaceReason::preferred: return "preferred";
    case PlaceReason::native_room: return "native_room";
    case PlaceReason::instead_native: return "instead_native";
    case PlaceReason::instead_any: return "instead_any";
    case PlaceReason::nowhere: return "nowhere";
  }
  return "invalid";
}

template PlaceVerdict place(const EdgeTable&, const PlaceAsk&, const LoadView&) noexcept;

}  // namespace paceline::core::policy
