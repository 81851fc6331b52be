// SPDX-License-Identifier: BSL-1.0
// Scheduling domains: which cores are near which, as a chain of ever wider spans for every core.
// Flow room: policy. Made once at start-up from the machine view, read by balance.hpp and by whoever
// balances; any thread may read it afterwards. It must never grow after construction.
// Proof: tests/unit/policy/domains_test.cpp (statement 51).
//
// The chains are one tree: a permutation of the cores makes every span a range of positions, and
// the groups of a domain are its children. So n cores need memory for n places and fewer than n
// domains, however deep and irregular the machine is. Source of levels, folding and groups:
// policies.md 4.2; of the costs: 4.4.
#pragma once

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "base/time.hpp"
#include "policy/core_mask.hpp"
#include "policy/machine_view.hpp"

namespace paceline::core::policy {

/// How far the members of a domain are apart, nearest first.
enum class DomainLevel : std::uint8_t {
  smt,   ///< one physical core
  mc,    ///< one cluster: a last-level cache and one kind of core
  numa,  ///< one memory node
  sys,   ///< everything
};
inline constexpr std::size_t kDomainLevels = 4;

std::string_view to_string(DomainLevel level) noexcept;

/// Least time between two passes over a domain of each level (policies.md 4.2, Paceline intervals).
inline constexpr Nanos kDomainInterval[kDomainLevels] = {4 * kMillisecond, 16 * kMillisecond,
                                                         64 * kMillisecond, 256 * kMillisecond};

/// Price of moving a task between two cores whose nearest common level is this, in units of load
/// (policies.md 4.4).
inline constexpr std::uint64_t kMoveCost[kDomainLevels] = {1, 10, 100, 1000};

constexpr std::uint64_t move_cost(DomainLevel level) noexcept {
  return kMoveCost[static_cast<std::size_t>(level)];
}

inline constexpr std::uint32_t kNoDomain = ~std::uint32_t{0};

/// What a domain is for; the values are those of policies.md 4.2.
enum DomainFlag : std::uint32_t {
  kDomainBalances = 0x1,         ///< periodic passes
  kDomainPullsWhenIdle = 0x2,    ///< searched by a core that goes idle
  kDomainAsymmetric = 0x40,      ///< has cores of different kinds
  kDomainSharesCapacity = 0x80,  ///< its members slow each other down
  kDomainSharesCache = 0x200,
};

/// One part of a domain; balancing happens between the groups. Positions first..first+count-1.
struct DomainGroup {
  std::uint32_t first;
  std::uint32_t count;
  std::uint32_t domain;    ///< the group's own domain; kNoDomain for a single core
  std::uint64_t capacity;  ///< of its cores together, kFullCapacity for each of the fastest
};

struct Domain {
  DomainLevel level;
  std::uint32_t flags;
  std::uint32_t first;  ///< its span: positions first..first+count-1
  std::uint32_t count;
  std::uint32_t parent;       ///< kNoDomain for the outermost
  std::uint32_t group_first;  ///< its groups: group_first..group_first+group_count-1
  std::uint32_t group_count;
};

/// Where a core stands.
struct CorePlace {
  std::uint32_t position;
  std::uint32_t innermost;  ///< its nearest domain; kNoDomain on a machine of one core
  std::uint16_t sibling;
  std::uint16_t cluster;
  std::uint16_t node;
  std::uint16_t rank;
  std::uint16_t capacity;
};

/// Why a machine view cannot be used.
enum class MachineFault : std::uint8_t {
  none,
  no_cores,
  too_many_cores,     ///< more than the 16-bit numbers of the view can name
  empty_cluster,      ///< a cluster without cores
  scattered_cluster,  ///< clusters overlap, leave holes, or disagree with their cores
  bad_capacity,       ///< 0, or above kFullCapacity
  bad_sibling,        ///< of another cluster, out of range, or not the first of its core
};

struct MachineVerdict {
  MachineFault fault;
  std::uint32_t index;  ///< of the core or cluster that is wrong
};

std::string_view to_string(MachineFault fault) noexcept;

/// Whether domains can be built from `machine`.
MachineVerdict judge_machine(const MachineView& machine) noexcept;

class Domains {
 public:
  /// Copies what it needs. Throws std::invalid_argument with the fault of judge_machine in words,
  /// std::bad_alloc.
  explicit Domains(const MachineView& machine);

  std::uint32_t cores() const noexcept { return static_cast<std::uint32_t>(places_.size()); }
  const CorePlace& place(std::uint32_t core) const noexcept { return places_[core]; }
  std::span<const Domain> all() const noexcept { return domains_; }
  const Domain& at(std::uint32_t domain) const noexcept { return domains_[domain]; }
  std::span<const DomainGroup> groups(const Domain& domain) const noexcept {
    return std::span(groups_).subspan(domain.group_first, domain.group_count);
  }
  /// The cores of a range of positions.
  std::span<const std::uint32_t> members(std::uint32_t first, std::uint32_t count) const noexcept {
    return std::span(order_).subspan(first, count);
  }
  std::span<const std::uint32_t> span_of(const Domain& domain) const noexcept {
    return members(domain.first, domain.count);
  }
  /// Index in groups(domain) of the group that has `core`, which must be in the span. The order in
  /// which `core` visits groups starts there and wraps, so that not all look at the same one first.
  std::uint32_t local_group(const Domain& domain, std::uint32_t core) const noexcept;

  /// The nearest level that two different cores share.
  DomainLevel level_between(std::uint32_t a, std::uint32_t b) const noexcept;

  /// All that the tree needs, for checks of growth.
  std::size_t bytes() const noexcept;

 private:
  std::vector<CorePlace> places_;     // by core
  std::vector<std::uint32_t> order_;  // core by position
  std::vector<Domain> domains_;       // children before parents
  std::vector<DomainGroup> groups_;
};

}  // namespace paceline::core::policy
