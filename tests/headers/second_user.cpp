// SPDX-License-Identifier: BSL-1.0
// A second translation unit with the umbrella header: linking it to names_test.cpp shows that the
// headers define nothing twice.
#include <paceline/paceline.hpp>

namespace paceline_test {

paceline::task<int> from_the_second_user() {
  co_await paceline::yield();
  paceline::join_handle<int> child =
      paceline::spawn([]() -> paceline::task<int> { co_return 3; }());
  co_return co_await std::move(child);
}

}  // namespace paceline_test
