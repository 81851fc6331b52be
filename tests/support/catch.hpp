// SPDX-License-Identifier: BSL-1.0
// Catch2, version 2 or 3: the one place that knows the difference.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
#define PACELINE_CATCH_LISTENER_BASE Catch::EventListenerBase
#else
#include <catch2/catch.hpp>
#define PACELINE_CATCH_LISTENER_BASE Catch::TestEventListenerBase
#endif
