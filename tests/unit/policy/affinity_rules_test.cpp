// SPDX-License-Identifier: BSL-1.0
// Proves what a change of affinity means, and which core a mask, a node or an energy chooses.
#include "policy/affinity_rules.hpp"

#include <cerrno>
#include <limits>
#include <vector>

#include "support/catch.hpp"
#include "support/policy_machine.hpp"

using namespace paceline::core::policy;
using paceline_test::alike;
using paceline_test::PolicyMachine;

namespace {

using Mask = std::vector<std::uint64_t>;

struct Case {
  Mask wanted{0b1100};
  Mask current{0b1111};
  Mask active{0b1111};
  std::uint32_t core = 0;
  bool memory = true;
  bool known = true;
  bool permitted = true;
  bool running = false;

  AffinityVerdict judge() const {
    return judge_affinity({memory, known, permitted, running, wanted, current, active, core});
  }
};

void check_refused(const Case& request, AffinityReason reason, int error) {
  const AffinityVerdict verdict = request.judge();
  CHECK(verdict.reason == reason);
  CHECK(error_of(verdict.reason) == error);
  CHECK_FALSE(verdict.store);
  CHECK(verdict.target == kNoCore);
  CHECK_FALSE(verdict.preempt);
}

}  // namespace

TEST_CASE("statement 55: empty, disjoint, unknown and forbidden are refused without any change") {
  check_refused({.wanted = {}}, AffinityReason::empty_mask, EINVAL);
  check_refused({.wanted = {0, 0, 0}}, AffinityReason::empty_mask, EINVAL);
  check_refused({.wanted = {0b110000}}, AffinityReason::nobody_active, EINVAL);
  check_refused({.known = false}, AffinityReason::no_task, ESRCH);
  check_refused({.permitted = false}, AffinityReason::not_permitted, EPERM);
  check_refused({.memory = false}, AffinityReason::no_memory, ENOMEM);
}

TEST_CASE("affinity is checked in the order memory, task, permission, mask") {
  Case all{.wanted = {}, .memory = false, .known = false, .permitted = false};
  check_refused(all, AffinityReason::no_memory, ENOMEM);
  all.memory = true;
  check_refused(all, AffinityReason::no_task, ESRCH);
  all.known = true;
  check_refused(all, AffinityReason::not_permitted, EPERM);
  all.permitted = true;
  check_refused(all, AffinityReason::empty_mask, EINVAL);
}

TEST_CASE("statement 56: a mask without the current core moves the task before its next resume") {
  const AffinityVerdict idle = Case{}.judge();
  CHECK(idle.reason == AffinityReason::moved);
  CHECK(idle.store);
  CHECK(idle.count == 2);
  CHECK(idle.target == 2);
  CHECK_FALSE(idle.preempt);
  // A running task finishes its stretch: it is asked, not taken.
  const AffinityVerdict running = Case{.running = true}.judge();
  CHECK(running.reason == AffinityReason::moved);
  CHECK(running.preempt);
  // However masks, active sets and places fall: the target is legal, and so is every later resume.
  for (std::uint64_t wanted = 0; wanted < 32; ++wanted) {
    for (std::uint64_t active = 0; active < 32; ++active) {
      for (std::uint32_t core = 0; core < 5; ++core) {
        const Case request{.wanted = {wanted}, .active = {active}, .core = core};
        const AffinityVerdict verdict = request.judge();
        CHECK(verdict.store == (error_of(verdict.reason) == 0 && wanted != 0b1111));
        if ((wanted & active) == 0) CHECK(error_of(verdict.reason) == EINVAL);
        if (!verdict.store) continue;
        const std::uint32_t next = verdict.target == kNoCore ? core : verdict.target;
        CHECK(may_resume(request.wanted, next));
        if (verdict.target != kNoCore) CHECK(has_core(request.active, next));
      }
    }
  }
}

TEST_CASE("an equal mask changes nothing, and a mask with the current core moves nothing") {
  const AffinityVerdict same = Case{.wanted = {0b1111, 0, 0}}.judge();  // as long as it likes
  CHECK(same.reason == AffinityReason::unchanged);
  CHECK(error_of(same.reason) == 0);
  CHECK_FALSE(same.store);
  const AffinityVerdict kept = Case{.wanted = {0b0011}}.judge();
  CHECK(kept.reason == AffinityReason::stored);
  CHECK(kept.store);
  CHECK(kept.target == kNoCore);
}

TEST_CASE("masks of many words wrap around and end where they end") {
  const Mask a{0, 0b1000, 1};
  const Mask b{~std::uint64_t{0}, 0b1000};
  CHECK(first_common(a, b) == 67);
  CHECK(first_common(a, b, 68) == 67);
  CHECK(first_common(a, b, 100000) == 67);
  CHECK(first_common(a, Mask{1}) == kNoCore);
  CHECK(first_common({}, b) == kNoCore);
  CHECK_FALSE(has_core(a, 5000));
  CHECK(count_cores(a) == 2);
  CHECK_FALSE(same_cores(a, b));
  CHECK(same_cores(Mask{1, 2}, Mask{1, 2, 0}));
  CHECK(is_idle_mask(a, 67) == false);
  CHECK(is_idle_mask(Mask{0, 0b1000}, 67));
}

TEST_CASE("a home node is chosen before any other, the first allowed core of it") {
  const PolicyMachine fixture(alike(2, 4, 1, 1));
  const Domains domains(fixture.view());
  const Mask all{0xff};
  CHECK(choose_by_node(domains, 1, all, all).core == 4);
  CHECK(choose_by_node(domains, 1, all, all).reason == CoreReason::home);
  CHECK(choose_by_node(domains, 1, Mask{0xc3}, all).core == 6);
  CHECK(choose_by_node(domains, 1, Mask{0x0e}, all).core == 1);
  CHECK(choose_by_node(domains, 1, Mask{0x0e}, all).reason == CoreReason::allowed);
  CHECK(choose_by_node(domains, 1, all, Mask{0x08}).core == 3);  // node 1 is offline
  CHECK(choose_by_node(domains, 0, Mask{}, all).reason == CoreReason::nobody);
  CHECK(choose_by_node(domains, 0, Mask{0, 1}, Mask{0, 1}).core == kNoCore);  // beyond the machine
}

TEST_CASE("with loads the least loaded core of the home node is chosen") {
  const PolicyMachine fixture(alike(2, 4, 1, 1));
  const Domains domains(fixture.view());
  const Mask all{0xff};
  const std::vector<std::uint64_t> load{0, 0, 0, 0, 9, 5, 5, 7};
  CHECK(choose_by_node_and_load(domains, 1, all, all, load).core == 5);
  CHECK(choose_by_node_and_load(domains, 0, all, all, load).core == 0);
  CHECK(choose_by_node_and_load(domains, 1, Mask{0x1f}, all, load).core == 4);
  CHECK(choose_by_node_and_load(domains, 7, all, all, load).reason == CoreReason::allowed);
  CHECK(choose_by_node_and_load(domains, 1, Mask{}, all, load).core == kNoCore);
}

TEST_CASE("the allowed core with the least energy is chosen, the first of equals") {
  const Mask all{0xff};
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const std::vector<double> energy{5, nan, 3, 3, 1};
  CHECK(choose_by_energy(energy, all, Mask{0x0f}).core == 2);
  CHECK(choose_by_energy(energy, all, all).core == 4);
  CHECK(choose_by_energy(energy, Mask{0b10}, all).reason == CoreReason::nobody);
}
