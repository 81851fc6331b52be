// SPDX-License-Identifier: BSL-1.0
// Profiles as data, and what is asked of and changed in a table that stands.
// Proof: tests/unit/policy/edge_table_test.cpp.
#include "policy/edge_table.hpp"

#include <array>
#include <string_view>

namespace paceline::core::policy {

namespace {

constexpr Edge kClosed{0, kNoClass, kNoClass};
constexpr Edge kFree{0, kAllClasses, kAllClasses};

// Reference 3.2, from XNU's sched_clutch.c: leaving P for E must win 64 us.
constexpr std::uint16_t kKindWeight = 64;
constexpr Edge kDown{kKindWeight, kAllClasses, kAllClasses};

// Reference 8.1, row 6: utility and above may use fast cores when the slow ones are overloaded, at
// the price of the way down. Overloaded needs no word here: placement looks at other clusters, and
// a thief of another kind takes something, only where more is runnable than there are workers.
constexpr Edge kUpWhenOverloaded{kKindWeight, classes_up_from(qos::utility),
                                 classes_up_from(qos::utility)};

struct ProfileRow {
  Profile profile;
  std::string_view name;
  ProfileRules rules;
};
constexpr std::array<ProfileRow, 4> kProfiles{{
    {Profile::xnu, "xnu", {kFree, kDown, kClosed, false}},
    {Profile::efficiency, "efficiency", {kFree, kDown, kClosed, true}},
    {Profile::balanced, "balanced", {kFree, kDown, kUpWhenOverloaded, true}},
    {Profile::performance, "performance", {kFree, kDown, kUpWhenOverloaded, true}},
}};

const ProfileRow& row_of(Profile profile) noexcept {
  const auto index = static_cast<std::size_t>(profile);
  return kProfiles[index < kProfiles.size() ? index : static_cast<std::size_t>(Profile::balanced)];
}

}  // namespace

std::string_view to_string(Profile profile) noexcept {
  const auto index = static_cast<std::size_t>(profile);
  return index < kProfiles.size() ? kProfiles[index].name : "invalid";
}

std::string_view to_string(Distance distance) noexcept {
  switch (distance) {
    case Distance::ignored: return "ignored";
    case Distance::added: return "added";
  }
  return "invalid";
}

ProfileRules rules_of(Profile profile) noexcept { return row_of(profile).rules; }

std::size_t EdgeTable::entry(ClusterIndex of, ClusterIndex other) const noexcept {
  std::size_t at = std::size_t{of} * (clusters_.size() - 1);
  while (rows_[at].cluster != other) ++at;
  return at;
}

Edge EdgeTable::edge(ClusterIndex from, ClusterIndex to) const noexcept {
  if (!contains(from) || !contains(to) || from == to) return kClosed;
  const Candidate& out = rows_[entry(from, to)];
  return {out.weight, out.migrate, rows_[entry(to, from)].steal_from};
}

bool EdgeTable::set_edge(ClusterIndex from, ClusterIndex to, Edge edge) noexcept {
  if (!contains(from) || !contains(to) || from == to) return false;
  Candidate& out = rows_[entry(from, to)];
  out.weight = edge.weight;
  out.migrate = edge.migrate & kAllClasses;
  rows_[entry(to, from)].steal_from = edge.steal & kAllClasses;
  return true;
}

}  // namespace paceline::core::policy
