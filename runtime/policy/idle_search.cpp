// SPDX-License-Identifier: BSL-1.0
// The idle search over plain snapshots, and the names of its verdicts.
// Flow room: idle. Each worker for itself. It must never allocate.
// Proof: tests/unit/policy/idle_search_test.cpp.
#include "policy/idle_search.hpp"

namespace paceline::core::policy {

std::string_view to_string(IdleWhat what) noexcept {
  switch (what) {
    case IdleWhat::own: return "own";
    case IdleWhat::take_foreign: return "take_foreign";
    case IdleWhat::steal: return "steal";
    case IdleWhat::rebalance: return "rebalance";
    case IdleWhat::park: return "park";
  }
  return "invalid";
}

std::string_view to_string(IdleReason reason) noexcept {
  switch (reason) {
    case IdleReason::own_work: return "own_work";
    case IdleReason::wants_this_kind: return "wants_this_kind";
    case IdleReason::native: return "native";
    case IdleReason::overloaded: return "overloaded";
    case IdleReason::nothing: return "nothing";
    case IdleReason::not_recommended: return "not_recommended";
  }
  return "invalid";
}

template IdleVerdict idle_search(const EdgeTable&, ClusterIndex, bool, const LoadView&) noexcept;

}  // namespace paceline::core::policy
