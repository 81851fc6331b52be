// SPDX-License-Identifier: BSL-1.0
// Proves that <paceline/paceline.hpp> alone gives every name of the foundation's public API
// (design/api.md, as far as this version has it), each with the shape that is promised. Most of it
// is proved by compiling.
#include <paceline/paceline.hpp>

#include <concepts>
#include <sstream>
#include <type_traits>

#include "support/catch.hpp"

namespace paceline_test {
paceline::task<int> from_the_second_user();
}

namespace {

using namespace paceline;
using namespace std::chrono_literals;

// Tasks and handles own one thing each: they move and do not copy.
template <class T>
constexpr bool kMoveOnly =
    std::movable<T> && !std::is_copy_constructible_v<T> &&
    std::is_nothrow_move_constructible_v<T> && std::is_nothrow_default_constructible_v<T>;
static_assert(kMoveOnly<task<>> && kMoveOnly<task<int&>> && kMoveOnly<task<std::string>>);
static_assert(kMoveOnly<join_handle<>> && kMoveOnly<join_handle<int&>>);
static_assert(!std::is_move_constructible_v<runtime> && !std::is_copy_constructible_v<runtime>);
static_assert(std::is_same_v<task<>, task<void>> &&
              std::is_same_v<join_handle<>, join_handle<void>>);

// Options are aggregates for designated initialisers, in this order.
static_assert(std::is_aggregate_v<runtime_options> && std::is_aggregate_v<spawn_options>);
runtime_options all_runtime_options() {
  return {.workers = 1,
          .pin = false,
          .topology = topology::synthetic("1"),
          .name = "names",
          .stack_size = 64 * 1024,
          .on_unhandled = [](std::exception_ptr, std::string_view) {},
          .on_shutdown = shutdown_policy::abandon,
          .shutdown_deadline = 60s};
}
spawn_options all_spawn_options(std::stop_token token) {
  return {.qos = qos::utility,
          .name = "named",
          .group = task_group("names", {.shares = 1, .fair = true}),
          .affinity = affinity{0},
          .core = 0,
          .stop_token = token};
}

// Errors are caught as what they are, or as standard exceptions.
static_assert(std::derived_from<operation_cancelled, std::exception>);
static_assert(!std::derived_from<operation_cancelled, std::runtime_error>);
static_assert(std::derived_from<runtime_stopped, std::runtime_error>);
static_assert(std::derived_from<task_abandoned, std::runtime_error>);

// Schedulers, groups and wakers are values.
static_assert(std::copyable<task_group> && std::equality_comparable<task_group> &&
              std::is_aggregate_v<task_group_options>);
static_assert(std::copyable<scheduler> && std::equality_comparable<scheduler>);
static_assert(std::is_trivially_copyable_v<waker> && sizeof(waker) == 16);
static_assert(noexcept(std::declval<const waker&>().wake()));

// The classes, most important first.
static_assert(qos_count == 6 && qos::urgent < qos::user_interactive &&
              qos::user_interactive < qos::user_initiated && qos::user_initiated < qos::standard &&
              qos::standard < qos::utility && qos::utility < qos::background);

// A mutex stays where it is; its guard moves.
static_assert(!std::is_move_constructible_v<mutex> && kMoveOnly<mutex::guard>);

// What gives what.
template <class A>
using Awaited = decltype(std::declval<A>().await_resume());
static_assert(std::same_as<decltype(std::declval<runtime&>().spawn(std::declval<task<int>>())),
                           join_handle<int>>);
static_assert(std::same_as<decltype(spawn(std::declval<task<int>>())), join_handle<int>>);
static_assert(
    std::same_as<decltype(spawn(spawn_options{}, [](int i) { return i; }, 1)), join_handle<int>>);
static_assert(
    std::same_as<decltype(std::declval<runtime&>().block_on(std::declval<task<int&>>())), int&>);
static_assert(std::same_as<decltype(std::declval<join_handle<int>&>().join()), int>);
static_assert(std::same_as<decltype(std::declval<join_handle<>&>().request_stop()), bool>);
static_assert(std::same_as<decltype(std::declval<const join_handle<>&>().done()), bool>);
static_assert(std::same_as<decltype(std::declval<const join_handle<>&>().id()), task_id>);
static_assert(std::same_as<decltype(std::declval<join_handle<>&>().detach()), void>);
static_assert(
    std::same_as<Awaited<decltype(when_all(std::declval<task<int>>(), std::declval<task<>>())
                                      .operator co_await())>,
                 std::tuple<int, std::monostate>>);
static_assert(
    std::same_as<
        Awaited<decltype(when_all(std::declval<std::vector<task<int>>&>()).operator co_await())>,
        std::vector<int>>);
static_assert(std::same_as<decltype(this_task::id()), task_id>);
static_assert(std::same_as<decltype(this_task::name()), std::string_view>);
static_assert(std::same_as<decltype(this_task::qos()), qos>);
static_assert(std::same_as<decltype(this_task::group()), std::string_view>);
static_assert(std::same_as<decltype(this_task::worker()), std::size_t>);
static_assert(std::same_as<decltype(this_task::stop_token()), std::stop_token>);
static_assert(std::same_as<decltype(this_task::waker()), waker>);
static_assert(std::same_as<decltype(std::declval<const runtime&>().stats()), runtime_stats>);
static_assert(std::same_as<decltype(std::declval<const runtime&>().get_scheduler()), scheduler>);
static_assert(
    std::is_same_v<decltype(&runtime::dump_tasks), void (runtime::*)(std::ostream&) const>);

/// Every suspension once, on the way to a number.
task<int> tour(scheduler home) {
  co_await yield();
  co_await sleep_for(1ns);
  co_await sleep_until(std::chrono::steady_clock::now());
  co_await resume_on(home);
  co_await home.schedule();
  bool ready = false;
  co_await suspend_until([&ready]() noexcept { return ready; },
                         [&ready](waker self) {
                           ready = true;
                           self.wake();
                         });
  mutex alone;
  const mutex::guard guard = co_await alone.lock();
  const bool taken = static_cast<bool>(alone.try_lock());
  if (taken) co_return 0;
  this_task::set_qos(qos::background);
  co_await with_category(task_category::batch_processing);
  const big_little_scheduler categories(category_policy{});
  co_return categories.schedule_task(task_category::background_cleanup, [] {
    return static_cast<int>(to_string(this_task::qos()).size());
  });
}

}  // namespace

TEST_CASE("the umbrella header alone is enough for a program that uses every name") {
  std::stop_source source;
  runtime rt(all_runtime_options());
  CHECK(rt.workers() == 1);
  CHECK(rt.spawn(tour(rt.get_scheduler()), all_spawn_options(source.get_token())).join() == 10);
  CHECK(rt.block_on(paceline_test::from_the_second_user()) == 3);
  rt.wait_idle();
  std::ostringstream dump;
  rt.dump_tasks(dump);
  CHECK_FALSE(dump.str().empty());
  rt.trim();
  const runtime_stats stats = rt.stats();
  const worker_stats& total = stats.total;
  CHECK(total.spawned == total.completed);
  CHECK(total.polls >= total.completed);
  CHECK(total.coalesced_wakes + total.stale_wakes + total.steals + total.tasks_stolen +
            total.unhandled <=
        total.wakes + total.polls);
  CHECK(total.parks + 1 >= total.unparks);
  CHECK(stats.live == 0);
  CHECK(stats.pinned_workers == 0);
  CHECK(stats.workers.size() == 1);
  rt.request_stop();
  CHECK_THROWS_AS(rt.block_on(tour(rt.get_scheduler())), runtime_stopped);
}

TEST_CASE("the version of the headers is the version of the library") {
  std::ostringstream version;
  version << version_major << '.' << version_minor << '.' << version_patch;
  CHECK(library_version() == version.str());
}
