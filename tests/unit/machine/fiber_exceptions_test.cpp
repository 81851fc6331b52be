// SPDX-License-Identifier: BSL-1.0
// Proves that exceptions in flight belong to the stack they fly on (failure L5): a switch inside a
// handler or during unwinding, in any order of several fibers, mixes up nothing. With both C++
// runtimes: see docs/testing.md for how to build with LLVM's.
#include <dlfcn.h>

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <vector>

#include "support/catch.hpp"
#include "unit/machine/routine.hpp"

using paceline_test::Routine;

namespace {

/// Leaves the fiber from a destructor, i.e. in the middle of unwinding if an exception flies.
struct LeavesWhenDestroyed {
  Routine& routine;
  int& uncaught_before;
  int& uncaught_after;
  ~LeavesWhenDestroyed() {
    uncaught_before = std::uncaught_exceptions();
    routine.leave();
    uncaught_after = std::uncaught_exceptions();
  }
};

std::string current_text() {
  if (!std::current_exception()) return "none";
  try {
    throw;
  } catch (const std::exception& error) {
    return error.what();
  }
}

}  // namespace

TEST_CASE("exceptions are kept where the C++ library of this build keeps them") {
  // Both may be loaded at once: Boost's and other libraries bring GNU's along.
  void* asked = ::dlsym(RTLD_DEFAULT, "__cxa_get_globals");
  Dl_info found{};
  REQUIRE(asked != nullptr);
  REQUIRE(::dladdr(asked, &found) != 0);
  const std::string library = found.dli_fname;
  INFO(library);
#ifdef _LIBCPP_VERSION
  CHECK(library.find("libc++abi") != std::string::npos);
#else
  CHECK(library.find("libc++abi") == std::string::npos);
#endif
}

TEST_CASE("a handler that is left and entered again rethrows its own exception") {
  std::string rethrown;
  Routine routine([&](Routine& self) {
    try {
      try {
        throw std::runtime_error("inside");
      } catch (const std::exception&) {
        self.leave();
        throw;
      }
    } catch (const std::exception& error) {
      rethrown = error.what();
    }
  });
  routine.enter();
  // Outside nothing is being handled, and our own exceptions come and go.
  REQUIRE(current_text() == "none");
  REQUIRE(std::uncaught_exceptions() == 0);
  try {
    throw std::runtime_error("outside");
  } catch (const std::exception& error) {
    REQUIRE(std::string(error.what()) == "outside");
  }
  routine.enter();
  REQUIRE(rethrown == "inside");
}

TEST_CASE("a fiber entered inside a handler sees no exception and disturbs none") {
  std::string inside = "?";
  int uncaught = -1;
  Routine routine([&](Routine& self) {
    inside = current_text();
    uncaught = std::uncaught_exceptions();
    try {
      throw std::logic_error("other");
    } catch (const std::exception&) {
      self.leave();
    }
  });
  std::string rethrown;
  try {
    try {
      throw std::runtime_error("outside");
    } catch (const std::exception&) {
      routine.enter();
      REQUIRE(current_text() == "outside");
      routine.enter();
      throw;
    }
  } catch (const std::exception& error) {
    rethrown = error.what();
  }
  REQUIRE(inside == "none");
  REQUIRE(uncaught == 0);
  REQUIRE(rethrown == "outside");
}

TEST_CASE("handlers of several fibers end in any order") {
  // First in, first out: the thread's one stack of caught exceptions would free the wrong ones.
  constexpr int kFibers = 5;
  std::vector<std::string> seen(kFibers);
  std::vector<std::unique_ptr<Routine>> routines;
  for (int i = 0; i < kFibers; ++i) {
    routines.push_back(std::make_unique<Routine>([&seen, i](Routine& self) {
      try {
        throw std::runtime_error("number " + std::to_string(i) + ", long enough for the heap");
      } catch (const std::exception&) {
        self.leave();
        seen[static_cast<std::size_t>(i)] = current_text();
      }
    }));
  }
  for (auto& routine : routines) routine->enter();
  for (int i : {2, 0, 4, 1, 3}) routines[static_cast<std::size_t>(i)]->enter();
  for (int i = 0; i < kFibers; ++i) {
    REQUIRE(seen[static_cast<std::size_t>(i)] ==
            "number " + std::to_string(i) + ", long enough for the heap");
  }
}

TEST_CASE("nested handlers inside a fiber are restored with their depth") {
  std::string log;
  Routine routine([&](Routine& self) {
    try {
      throw std::runtime_error("a");
    } catch (const std::exception&) {
      try {
        throw std::runtime_error("b");
      } catch (const std::exception&) {
        self.leave();
        log += current_text();
      }
      self.leave();
      log += current_text();
    }
    log += current_text();
  });
  for (int i = 0; i < 3; ++i) {
    try {
      throw i;
    } catch (int) {
      routine.enter();
      REQUIRE(std::current_exception() != nullptr);
    }
  }
  REQUIRE(log == "banone");
}

TEST_CASE("a switch during unwinding keeps each side's count of flying exceptions") {
  int before = -1;
  int after = -1;
  std::string caught;
  Routine routine([&](Routine& self) {
    try {
      const LeavesWhenDestroyed guard{self, before, after};
      throw std::runtime_error("unwinding");
    } catch (const std::exception& error) {
      caught = error.what();
    }
  });
  routine.enter();  // it left in the middle of unwinding
  REQUIRE(std::uncaught_exceptions() == 0);
  try {
    throw std::logic_error("ours");
  } catch (const std::exception& error) {
    REQUIRE(std::string(error.what()) == "ours");
  }
  routine.enter();
  REQUIRE(before == 1);
  REQUIRE(after == 1);
  REQUIRE(caught == "unwinding");
  REQUIRE(std::uncaught_exceptions() == 0);
}

TEST_CASE("a fiber first entered during unwinding starts without flying exceptions") {
  int uncaught = -1;
  std::string caught;
  Routine routine([&](Routine&) {
    uncaught = std::uncaught_exceptions();
    try {
      throw std::runtime_error("fresh");
    } catch (const std::exception& error) {
      caught = error.what();
    }
  });
  struct EntersWhenDestroyed {
    Routine& routine;
    int& uncaught_here;
    ~EntersWhenDestroyed() {
      routine.enter();
      uncaught_here = std::uncaught_exceptions();
    }
  };
  int outside = -1;
  try {
    const EntersWhenDestroyed guard{routine, outside};
    throw std::runtime_error("outer");
  } catch (const std::exception& error) {
    REQUIRE(std::string(error.what()) == "outer");
  }
  REQUIRE(uncaught == 0);
  REQUIRE(outside == 1);
  REQUIRE(caught == "fresh");
}

TEST_CASE("an exception carried over a switch outlives the handler it came from") {
  std::exception_ptr carried;
  Routine routine([&](Routine& self) {
    try {
      throw std::runtime_error("carried across, long enough for the heap");
    } catch (const std::exception&) {
      carried = std::current_exception();
      self.leave();
    }
    self.leave();  // its handler has ended
  });
  routine.enter();
  REQUIRE_THROWS_WITH(std::rethrow_exception(carried), "carried across, long enough for the heap");
  routine.enter();
  REQUIRE_THROWS_WITH(std::rethrow_exception(carried), "carried across, long enough for the heap");
  routine.enter();
  REQUIRE(routine.finished());
}
