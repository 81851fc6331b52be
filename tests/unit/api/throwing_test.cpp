// SPDX-License-Identifier: BSL-1.0
// The table of failure L4: every place an exception can come from, times what is thrown. Joined, it
// arrives at the join; detached, it reaches the hook once; in both cases the worker goes on.
#include "fixtures.hpp"

#include <optional>

using namespace paceline;
using namespace paceline_test;

namespace {

enum class Thrown { standard, number, own };
constexpr Thrown kThrown[] = {Thrown::standard, Thrown::number, Thrown::own};

/// Derived from nothing; its copies are counted, so a lost or doubled one shows.
struct Own {
  Counted counted;
};

[[noreturn]] void raise(Thrown what, std::atomic<int>& live) {
  switch (what) {
    case Thrown::standard: throw std::runtime_error("planted");
    case Thrown::number: throw 42;
    case Thrown::own: throw Own{Counted(live)};
  }
  std::abort();
}

/// What `run` throws; nothing if it does not.
template <class F>
std::optional<Thrown> thrown_by(F&& run) {
  try {
    std::forward<F>(run)();
  } catch (const std::runtime_error& error) {
    if (std::string_view(error.what()) == "planted") return Thrown::standard;
  } catch (int number) {
    if (number == 42) return Thrown::number;
  } catch (const Own&) {
    return Thrown::own;
  }
  return std::nullopt;
}

/// Where it is thrown.
enum class Place {
  first_poll,
  later_poll,
  nested,
  child_of_group,
  joined_child,
  local_destructor,
  arm,
  plain_function,
  handler,
};
constexpr Place kPlaces[] = {
    Place::first_poll,   Place::later_poll,       Place::nested, Place::child_of_group,
    Place::joined_child, Place::local_destructor, Place::arm,    Place::plain_function,
    Place::handler,
};

class ThrowsAtEnd {
 public:
  ThrowsAtEnd(Thrown what, std::atomic<int>& live) : what_(what), live_(live) {}
  ThrowsAtEnd(const ThrowsAtEnd&) = delete;
  ThrowsAtEnd& operator=(const ThrowsAtEnd&) = delete;
  ~ThrowsAtEnd() noexcept(false) { raise(what_, live_); }

 private:
  Thrown what_;
  std::atomic<int>& live_;
};

task<> fails(Place place, Thrown what, std::atomic<int>& live, Counted) {
  const Counted local(live);
  switch (place) {
    case Place::first_poll: raise(what, live);
    case Place::later_poll:
      co_await yield();
      co_await sleep_for(std::chrono::microseconds(1));
      raise(what, live);
    case Place::nested: co_await fails(Place::later_poll, what, live, local); break;
    case Place::child_of_group:
      co_await when_all(fails(Place::later_poll, what, live, local),
                        fails(Place::first_poll, what, live, local));
      break;
    case Place::joined_child: {
      join_handle<> child = spawn(fails(Place::later_poll, what, live, local));
      co_await std::move(child);
      break;
    }
    case Place::local_destructor: {
      const ThrowsAtEnd last(what, live);
      co_await yield();
      break;
    }
    case Place::arm:
      co_await suspend_until([]() noexcept { return false; },
                             [what, &live](waker) { raise(what, live); });
      break;
    case Place::plain_function: {
      auto plain = [what, &live] { raise(what, live); };
      join_handle<> child = spawn({}, plain);
      co_await std::move(child);
      break;
    }
    case Place::handler: {
      bool caught = false;
      try {
        co_await fails(Place::first_poll, what, live, local);
      } catch (...) {
        caught = true;  // no await in here: the second one is thrown after the first has ended
      }
      if (caught) raise(what, live);
      break;
    }
  }
}

/// Throws when it is moved for the n-th time.
class Shy {
 public:
  explicit Shy(int moves) : moves_(moves) {}
  Shy(Shy&& other) : moves_(other.moves_ - 1) {
    if (moves_ < 0) throw std::runtime_error("planted");
  }
  Shy& operator=(Shy&&) = delete;

 private:
  int moves_;
};

}  // namespace

TEST_CASE("whatever is thrown from wherever arrives at the join, and the worker goes on") {
  std::atomic<int> live{0};
  for (const std::size_t count : {1u, 3u}) {
    runtime rt(workers(count));
    for (const Place place : kPlaces) {
      for (const Thrown what : kThrown) {
        INFO("place " << static_cast<int>(place) << ", thrown " << static_cast<int>(what));
        join_handle<> handle = rt.spawn(fails(place, what, live, Counted(live)));
        const std::optional<Thrown> joined = thrown_by([&] { handle.join(); });
        CHECK(joined == what);
        const std::optional<Thrown> blocked =
            thrown_by([&] { rt.block_on(fails(place, what, live, Counted(live))); });
        CHECK(blocked == what);
        CHECK(rt.block_on(forty_two()) == 42);
      }
    }
    rt.wait_idle();
    CHECK(live.load() == 0);
    CHECK(rt.stats().live == 0);
    CHECK(rt.stats().total.unhandled == 0);
  }
}

TEST_CASE("whatever a detached task throws from wherever reaches the hook once") {
  std::atomic<int> live{0};
  std::atomic<int> calls{0};
  std::atomic<int> right{0};
  std::atomic<int> expected{0};
  runtime_options options = workers(2);
  options.on_unhandled = [&](std::exception_ptr error, std::string_view name) {
    ++calls;
    const std::optional<Thrown> what = thrown_by([&] { std::rethrow_exception(error); });
    right += what && static_cast<int>(*what) == expected && name == "detached" ? 1 : 0;
  };
  runtime rt(options);
  int planted = 0;
  for (const Place place : kPlaces) {
    for (const Thrown what : kThrown) {
      expected = static_cast<int>(what);
      rt.spawn(fails(place, what, live, Counted(live)), {.name = "detached"}).detach();
      rt.wait_idle();
      ++planted;
      CHECK(calls.load() == planted);
    }
  }
  CHECK(right.load() == planted);
  CHECK(live.load() == 0);
  CHECK(rt.stats().total.unhandled == static_cast<std::uint64_t>(planted));
}

TEST_CASE("a result that throws while it is moved fails its join and nothing else") {
  runtime rt(one_worker());
  int failed = 0;
  int passed = 0;
  for (int moves = 0; moves < 6; ++moves) {
    auto body = [moves]() -> task<Shy> {
      co_await yield();
      co_return Shy(moves);
    };
    try {
      [[maybe_unused]] const Shy result = rt.spawn({}, body).join();
      ++passed;
    } catch (const std::runtime_error&) {
      ++failed;
    }
    CHECK(rt.block_on(forty_two()) == 42);
  }
  CHECK(failed > 0);
  CHECK(passed > 0);
  rt.wait_idle();
  CHECK(rt.stats().live == 0);
}
