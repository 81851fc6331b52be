// SPDX-License-Identifier: BSL-1.0
// Duels: the part of C04 wake-storm in which every single wake counts.
#pragma once

#include "../context.hpp"

namespace coretest {

/// Many pairs of tasks, all spawned on one worker so that the others steal them. Each half wakes
/// the other and then runs on for a while, so that the answer often meets a running task, at home
/// or on a thief. There is one event at a time: a wake that is lost is covered up by no other.
void fight_duels(Context& context, paceline::runtime& rt, Rng rng);

}  // namespace coretest
