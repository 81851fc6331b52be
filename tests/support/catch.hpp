// SPDX-License-Identifier: BSL-1.0
// Catch2, version 2 or 3: the one place that knows the difference.
#pragma once

#if __has_include(<catch2/catch_all.hpp>)
#include <catch2/catch_all.hpp>
namespace paceline_test {
struct ListenerBase : Catch::EventListenerBase {
  using Catch::EventListenerBase::EventListenerBase;
};
}  // namespace paceline_test
#else
#ifndef CATCH_CONFIG_EXTERNAL_INTERFACES
#define CATCH_CONFIG_EXTERNAL_INTERFACES  // the listener's base class
#endif
#include <catch2/catch.hpp>
namespace paceline_test {
struct ListenerBase : Catch::TestEventListenerBase {
  using Catch::TestEventListenerBase::TestEventListenerBase;
};
}  // namespace paceline_test
#endif
