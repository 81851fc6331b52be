// SPDX-License-Identifier: BSL-1.0
// Proves where a task from elsewhere goes: to the worker it would wait least for, never to one that
// cannot run now while another can. The workers are kept busy by tasks that spin until the test is
// done, so that nothing but the test writes the load board.
#include <algorithm>
#include <atomic>
#include <optional>
#include <set>
#include <vector>

#include <paceline/paceline.hpp>

#include "machine/machine.hpp"
#include "sched/runtime_core.hpp"
#include "support/catch.hpp"
#include "support/eventually.hpp"

using namespace paceline::core;
using paceline_test::eventually;

namespace {

constexpr auto kClass = static_cast<unsigned>(paceline::qos::standard);

/// A runtime whose workers are all inside a poll that ends with this object.
class Busy {
 public:
  explicit Busy(std::size_t workers) : runtime_(options(workers)) {
    for (std::size_t w = 0; w < workers; ++w) {
      paceline::spawn_options where;
      where.core = w;
      tasks_.push_back(runtime_.spawn(spin(*this), where));
    }
    eventually("every worker spins", [&] { return spinning_.load() == workers; });
    core_ = RuntimeCore::find(newest_id());
    REQUIRE(core_ != nullptr);
    for (std::size_t w = 0; w < workers; ++w) idle_board(w);
  }
  Busy(const Busy&) = delete;
  Busy& operator=(const Busy&) = delete;
  ~Busy() {
    core_->release();
    done_ = true;
  }

  RuntimeCore& core() { return *core_; }
  Seat& seat(std::size_t worker) { return core_->worker(worker).seat(); }

  /// As if the worker had just looked at the clock with nothing to do.
  void idle_board(std::size_t worker) {
    Seat& board = seat(worker);
    board.load = 0;
    board.inflow = 0;
    board.poll_ns = 1'000;
    board.looked_at = machine::now() + 3600 * kSecond;  // never silent, unless a case says so
  }

  std::size_t index_of(const Seat& found) { return found.index.load(); }

 private:
  static paceline::runtime_options options(std::size_t workers) {
    paceline::runtime_options wanted;
    wanted.workers = workers;
    wanted.pin = false;
    return wanted;
  }
  static paceline::task<> spin(Busy& busy) {
    busy.spinning_.fetch_add(1);
    while (!busy.done_.load()) std::this_thread::yield();
    co_return;
  }
  /// Ids grow by one with each runtime of the process.
  static std::uint32_t newest_id() {
    std::uint32_t newest = 0;
    for (std::uint32_t id = 1; id < 10'000; ++id) {
      RuntimeCore* found = RuntimeCore::find(id);
      if (found == nullptr) continue;
      newest = id;
      found->release();
    }
    return newest;
  }

  std::atomic<std::size_t> spinning_{0};
  std::atomic<bool> done_{false};
  paceline::runtime runtime_;
  std::vector<paceline::join_handle<>> tasks_;
  RuntimeCore* core_ = nullptr;
};

}  // namespace

TEST_CASE("the only worker takes everything") {
  Busy busy(1);
  busy.seat(0).load = 1'000'000;
  for (int i = 0; i < 5; ++i) REQUIRE(&busy.core().emptiest() == &busy.seat(0));
}

TEST_CASE("the least loaded worker is chosen wherever it is") {
  Busy busy(4);
  for (std::size_t emptiest = 0; emptiest < 4; ++emptiest) {
    for (std::size_t w = 0; w < 4; ++w) busy.seat(w).load = w == emptiest ? 3 : 10;
    for (int i = 0; i < 10; ++i) REQUIRE(busy.index_of(busy.core().emptiest()) == emptiest);
  }
}

TEST_CASE("equal workers are chosen in turn") {
  Busy busy(3);
  std::vector<unsigned> chosen(3, 0);
  for (int i = 0; i < 300; ++i) ++chosen[busy.index_of(busy.core().emptiest())];
  for (const unsigned times : chosen) REQUIRE(times == 100);
}

TEST_CASE("load is weighed by how long the polls take") {
  Busy busy(2);
  busy.seat(0).load = 100;
  busy.seat(0).poll_ns = 100;
  busy.seat(1).load = 20;
  busy.seat(1).poll_ns = 1'000;
  for (int i = 0; i < 4; ++i) REQUIRE(busy.index_of(busy.core().emptiest()) == 0);
}

TEST_CASE("what was sent and not yet looked at counts as load") {
  Busy busy(2);
  for (std::size_t w = 0; w < 2; ++w) busy.seat(w).poll_ns = kWakeCost;  // no runs
  std::vector<unsigned> chosen(2, 0);
  for (int i = 0; i < 10; ++i) ++chosen[busy.index_of(busy.core().place(std::nullopt, kClass))];
  // Each placing raises the chosen one's inflow, so they alternate.
  REQUIRE(chosen == std::vector<unsigned>{5, 5});
  REQUIRE(busy.seat(0).inflow == 5);
  REQUIRE(busy.seat(1).inflow == 5);
}

TEST_CASE("small tasks that are placed in a row stay together for sixteen or for a wake's worth") {
  for (const std::uint32_t poll_ns : {1u, 1'000u, 5'000u}) {
    Busy busy(2);
    for (std::size_t w = 0; w < 2; ++w) busy.seat(w).poll_ns = poll_ns;
    const std::uint32_t run = std::min(16u, static_cast<std::uint32_t>(kWakeCost) / poll_ns);
    for (std::uint32_t i = 0; i < 2 * run; ++i) busy.core().place(std::nullopt, kClass);
    // The second run went to the other worker, which had less.
    REQUIRE(busy.seat(0).inflow == run);
    REQUIRE(busy.seat(1).inflow == run);
  }
}

TEST_CASE("a worker bound to the CPU of the thread that spawns counts as a system slice away") {
  Busy busy(2);
  busy.seat(0).cpu = 5;
  busy.seat(1).load = 2'000;  // two milliseconds
  for (int i = 0; i < 4; ++i) REQUIRE(busy.index_of(busy.core().emptiest(5)) == 1);
  for (int i = 0; i < 4; ++i) REQUIRE(busy.index_of(busy.core().emptiest(4)) == 0);
  busy.seat(1).load = 4'000;
  for (int i = 0; i < 4; ++i) REQUIRE(busy.index_of(busy.core().emptiest(5)) == 0);
}

TEST_CASE("a worker that was sent work and stays silent is avoided") {
  Busy busy(2);
  busy.seat(0).inflow = 1;
  busy.seat(0).looked_at = machine::now() - kSecond;
  busy.seat(1).load = 500;  // half a millisecond of work, but it moves
  for (int i = 0; i < 4; ++i) REQUIRE(busy.index_of(busy.core().emptiest()) == 1);
  // Silence without anything sent means nothing.
  busy.seat(0).inflow = 0;
  for (int i = 0; i < 4; ++i) REQUIRE(busy.index_of(busy.core().emptiest()) == 0);
}

TEST_CASE("a sleeping worker costs a wake and is preferred to more work than that") {
  Busy busy(2);
  // The seat says that its worker sleeps; the worker itself is inside its poll and does not look.
  busy.seat(1).park = Seat::kAsleep;
  busy.seat(0).load = 10;  // 10 us: less than a wake
  for (int i = 0; i < 4; ++i) REQUIRE(busy.index_of(busy.core().emptiest()) == 0);
  busy.seat(0).load = 30;
  for (int i = 0; i < 4; ++i) REQUIRE(busy.index_of(busy.core().emptiest()) == 1);
  busy.seat(1).park = Seat::kAwake;
}

TEST_CASE("a core that was asked for is taken, however loaded it is") {
  Busy busy(3);
  busy.seat(2).load = 1'000'000;
  for (int i = 0; i < 5; ++i) REQUIRE(&busy.core().place(2, kClass) == &busy.seat(2));
  REQUIRE(busy.seat(2).inflow == 5);
}

TEST_CASE("among many workers two are looked at and the better one is taken") {
  Busy busy(12);
  for (std::size_t w = 0; w < 12; ++w) busy.seat(w).load = 1'000 * static_cast<unsigned>(w);
  std::vector<unsigned> chosen(12, 0);
  for (int i = 0; i < 2'000; ++i) ++chosen[busy.index_of(busy.core().emptiest())];
  // Two looks: the worst of all can only win against itself, the best wins often.
  REQUIRE(chosen[11] < 100);
  REQUIRE(chosen[0] > 200);
  unsigned reached = 0;
  for (const unsigned times : chosen) reached += times > 0 ? 1 : 0;
  REQUIRE(reached >= 10);
}

TEST_CASE("loads beyond all bounds do not overflow into small ones") {
  Busy busy(2);
  busy.seat(0).load = ~0u;
  busy.seat(0).inflow = ~0u;
  busy.seat(0).poll_ns = 1'000'000'000;
  busy.seat(0).looked_at = 0;
  for (int i = 0; i < 4; ++i) REQUIRE(busy.index_of(busy.core().emptiest()) == 1);
  busy.seat(0).inflow = 0;
}
