// SPDX-License-Identifier: BSL-1.0
// What holds of the domains of every machine (statement 51): spans nest, groups partition them, the
// local group is the one a core comes from, and no level repeats the one below.
#pragma once

#include <algorithm>
#include <cstdint>
#include <set>
#include <span>

#include "policy/domains.hpp"
#include "support/catch.hpp"

namespace paceline_test {

using namespace paceline::core::policy;

inline std::set<std::uint32_t> as_set(std::span<const std::uint32_t> cores) {
  return {cores.begin(), cores.end()};
}

inline void check_groups(const Domains& domains, const Domain& domain) {
  std::set<std::uint32_t> covered;
  for (const DomainGroup& group : domains.groups(domain)) {
    std::uint64_t capacity = 0;
    for (const std::uint32_t core : domains.members(group.first, group.count)) {
      CHECK(covered.insert(core).second);  // in one group only
      capacity += domains.place(core).capacity;
    }
    CHECK(group.capacity == capacity);
  }
  CHECK(covered == as_set(domains.span_of(domain)));
}

inline void check_chain(const Domains& domains, std::uint32_t core) {
  std::set<std::uint32_t> inner{core};
  int level = -1;
  for (std::uint32_t d = domains.place(core).innermost; d != kNoDomain; d = domains.at(d).parent) {
    const Domain& domain = domains.at(d);
    const std::set<std::uint32_t> span = as_set(domains.span_of(domain));
    CHECK(std::includes(span.begin(), span.end(), inner.begin(), inner.end()));
    CHECK(span.size() > inner.size());  // or it would have been folded
    CHECK(static_cast<int>(domain.level) > level);
    const DomainGroup& local = domains.groups(domain)[domains.local_group(domain, core)];
    CHECK(as_set(domains.members(local.first, local.count)) == inner);
    for (const std::uint32_t other : span) {
      if (other != core) CHECK(domains.level_between(core, other) <= domain.level);
    }
    inner = span;
    level = static_cast<int>(domain.level);
  }
  CHECK(inner.size() == domains.cores());
}

/// All of it, for every domain and core.
inline void check_domains(const Domains& domains) {
  for (const Domain& domain : domains.all()) {
    CHECK(domain.group_count >= 2);
    check_groups(domains, domain);
  }
  for (std::uint32_t core = 0; core < domains.cores(); ++core) check_chain(domains, core);
}

}  // namespace paceline_test
