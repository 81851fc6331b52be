// SPDX-License-Identifier: BSL-1.0
// The main function of every Catch program, and the check that a test leaves nothing alive.
#if !__has_include(<catch2/catch_all.hpp>)
#define CATCH_CONFIG_RUNNER
#endif
#include "support/catch.hpp"

#include <cstdint>
#include <cstdio>
#include <thread>

#include "support/alive.hpp"

// Where the runtime is linked: signals for async regions that came outside of one.
namespace paceline::detail {
[[gnu::weak]] std::uint64_t async_signals_outside() noexcept;
}

namespace {

/// After each test case there are as many threads as before: a runtime or thread that outlives its
/// test would disturb the next one.
class NothingStaysAlive : public paceline_test::ListenerBase {
 public:
  using paceline_test::ListenerBase::ListenerBase;

  void testCaseStarting(const Catch::TestCaseInfo& info) override {
    name_ = info.name;
    threads_ = paceline_test::thread_count();
  }
  void testCaseEnded(const Catch::TestCaseStats&) override {
    if (!paceline_test::threads_fall_to(threads_)) {
      std::fprintf(stderr, "test left threads alive: %s\n", name_.c_str());
      std::abort();
    }
  }

 private:
  std::string name_;
  std::size_t threads_ = 0;
};
CATCH_REGISTER_LISTENER(NothingStaysAlive)

}  // namespace

int main(int argc, char** argv) {
  // ThreadSanitizer starts a thread of its own beside a program's first one: not a test's doing.
  std::thread([] {}).join();
  const int result = Catch::Session().run(argc, argv);
  // Over the whole run, whatever was tested.
  if (&paceline::detail::async_signals_outside != nullptr &&
      paceline::detail::async_signals_outside() != 0) {
    std::fprintf(stderr, "%s\n", "signals came outside of async regions");
    return 1;
  }
  return result;
}
