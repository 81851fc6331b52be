// SPDX-License-Identifier: BSL-1.0
// The functions behind the names; each lives in the file of its name.
#pragma once

namespace coretest {

class Context;

void run_sleepers(Context& context);
void run_hog(Context& context);
void run_ring(Context& context);
void run_wake_storm(Context& context);
void run_wake_late(Context& context);
void run_park_edge(Context& context);
void run_spawn_flood(Context& context);
void run_fork_join(Context& context);
void run_steal(Context& context);
void run_preempt_mix(Context& context);
void run_blocking(Context& context);
void run_timers(Context& context);
void run_shutdown(Context& context);
void run_stacks(Context& context);
void run_affinity_churn(Context& context);
void run_qos(Context& context);

}  // namespace coretest
