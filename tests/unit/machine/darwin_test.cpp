// SPDX-License-Identifier: BSL-1.0
// Proves the code for macOS as far as another system can: it compiles against the declarations of
// tests/macos_stubs, asks for each class by its number there, and hands the error on.
#include <cerrno>
#include <utility>

#include <pthread/qos.h>

#include "machine/machine.hpp"
#include "support/catch.hpp"

using namespace paceline::core::machine;

namespace {

qos_class_t asked = 0;
int asked_priority = -1;
int answer = 0;

}  // namespace

extern "C" int pthread_set_qos_class_self_np(qos_class_t wanted, int relative_priority) {
  asked = wanted;
  asked_priority = relative_priority;
  return answer;
}

TEST_CASE("each class is asked of macOS under the name its headers give it") {
  for (const auto& [ours, theirs] :
       {std::pair(AppleClass::user_interactive, QOS_CLASS_USER_INTERACTIVE),
        std::pair(AppleClass::user_initiated, QOS_CLASS_USER_INITIATED),
        std::pair(AppleClass::standard, QOS_CLASS_DEFAULT),
        std::pair(AppleClass::utility, QOS_CLASS_UTILITY),
        std::pair(AppleClass::background, QOS_CLASS_BACKGROUND),
        std::pair(AppleClass::unspecified, QOS_CLASS_UNSPECIFIED)}) {
    CHECK(set_thread_class({.apple = ours}) == 0);
    CHECK(asked == static_cast<qos_class_t>(theirs));
    CHECK(asked_priority == 0);
  }
}

TEST_CASE("the error of macOS is its returned value, and errno is left alone") {
  answer = EPERM;
  errno = 0;
  CHECK(set_thread_class({}) == EPERM);
  CHECK(errno == 0);
  answer = 0;
}

TEST_CASE("macOS binds no thread to a core and says so") { CHECK(pin_this_thread(0) == ENOTSUP); }
