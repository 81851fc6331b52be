// SPDX-License-Identifier: BSL-1.0
// Twin of runtime/machine/machine.hpp: the same promises, but a thread is a virtual one.
#pragma once

#include "../../../../runtime/machine/machine.hpp"

// The record of the virtual thread that runs, wherever the shipped code names its thread's own.
#define this_thread_record this_thread()
