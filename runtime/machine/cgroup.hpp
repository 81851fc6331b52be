// SPDX-License-Identifier: BSL-1.0
// How much CPU time the cgroup grants: version 2 (cpu.max) and version 1 (cpu.cfs_quota_us).
// Called at start-up only. Proof: tests/unit/machine/cgroup_test.cpp, on synthetic trees.
#pragma once

#include <optional>
#include <string>

namespace paceline::core::machine::cgroup {

/// The tightest limit on the way from this process's group to the root, in CPUs; none if unlimited
/// or unreadable. `membership` is a file like /proc/self/cgroup, `mount` like /sys/fs/cgroup.
std::optional<double> cpu_quota(const std::string& membership, const std::string& mount);

/// Parses the text of cpu.max ("max 100000", "150000 100000"). None: unlimited or malformed.
std::optional<double> parse_cpu_max(const std::string& text);

}  // namespace paceline::core::machine::cgroup
