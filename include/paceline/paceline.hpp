// SPDX-License-Identifier: BSL-1.0
// Paceline: a work-stealing coroutine runtime. This header includes every non-optional part.
#pragma once

#include <paceline/async_region.hpp>
#include <paceline/category.hpp>
#include <paceline/error.hpp>
#include <paceline/mutex.hpp>
#include <paceline/options.hpp>
#include <paceline/preempt.hpp>
#include <paceline/qos.hpp>
#include <paceline/runtime.hpp>
#include <paceline/scheduler.hpp>
#include <paceline/spawn.hpp>
#include <paceline/stall.hpp>
#include <paceline/stats.hpp>
#include <paceline/task.hpp>
#include <paceline/task_group.hpp>
#include <paceline/this_task.hpp>
#include <paceline/time.hpp>
#include <paceline/topology.hpp>
#include <paceline/version.hpp>
#include <paceline/waker.hpp>
#include <paceline/when_all.hpp>
