// SPDX-License-Identifier: BSL-1.0
// Proves the ready bits of a page: what notify, absorb, take and steal do to the three words, that
// a bit set during a pass waits for the next one (statement 14), and that threads lose none.
#include "task/waker_page.hpp"

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "base/rng.hpp"
#include "support/catch.hpp"

using namespace paceline::core;

namespace {

std::vector<unsigned> take_all(WakerPage& page) {
  std::vector<unsigned> taken;
  for (unsigned index = 0; page.take(index);) taken.push_back(index);
  return taken;
}

}  // namespace

TEST_CASE("notify sets a bit once and says whether it was set before") {
  WakerPage page;
  REQUIRE_FALSE(page.notify(0));
  REQUIRE_FALSE(page.notify(63));
  REQUIRE(page.notify(0));
  REQUIRE(page.notified == (bit(0) | bit(63)));
  REQUIRE(page.ready() == (bit(0) | bit(63)));
}

TEST_CASE("a pass takes every ready bit, lowest first, whoever set it") {
  WakerPage page;
  page.notify(40);
  page.notify_home(3);
  page.notify(63);
  page.notify_home(0);
  unsigned arrived = 0;
  REQUIRE(page.absorb(arrived));
  REQUIRE(take_all(page) == std::vector<unsigned>{0, 3, 40, 63});
  REQUIRE(page.ready() == 0);
  REQUIRE_FALSE(page.absorb(arrived));
}

TEST_CASE("arrivals count what others set and not what the home worker set") {
  WakerPage page;
  unsigned arrived = 0;
  page.notify_home(1);
  page.notify_home(2);
  REQUIRE(page.absorb(arrived));
  REQUIRE(arrived == 0);
  page.notify(1);  // ready already, but a wake from elsewhere all the same
  page.notify(5);
  page.notify(5);  // coalesced with the one before
  REQUIRE(page.absorb(arrived));
  REQUIRE(arrived == 2);
  REQUIRE(page.absorb(arrived));
  REQUIRE(arrived == 2);
}

TEST_CASE("a bit set while its page is served waits for the next pass") {
  WakerPage page;
  unsigned arrived = 0;
  unsigned index = 0;
  for (unsigned i : {1u, 2u, 3u}) page.notify_home(i);
  REQUIRE(page.absorb(arrived));
  REQUIRE(page.take(index));
  REQUIRE(index == 1);
  page.notify_home(1);  // it yielded
  page.notify_home(0);  // behind the cursor
  page.notify(2);       // still in this pass: the same bit twice is one poll in each pass
  page.notify(62);      // ahead of the cursor
  REQUIRE(take_all(page) == std::vector<unsigned>{2, 3});
  REQUIRE(page.absorb(arrived));
  REQUIRE(take_all(page) == std::vector<unsigned>{0, 1, 2, 62});
}

TEST_CASE("absorb keeps what is left of the pass it interrupts") {
  WakerPage page;
  unsigned arrived = 0;
  unsigned index = 0;
  for (unsigned i : {7u, 8u, 9u}) page.notify_home(i);
  REQUIRE(page.absorb(arrived));
  REQUIRE(page.take(index));
  page.notify_home(1);
  REQUIRE(page.absorb(arrived));
  REQUIRE(take_all(page) == std::vector<unsigned>{1, 8, 9});
}

TEST_CASE("steal takes the wanted bits out of all three words and no others") {
  WakerPage page;
  unsigned arrived = 0;
  page.notify_home(10);
  page.notify_home(11);
  REQUIRE(page.absorb(arrived));  // 10 and 11: pass
  page.notify_home(20);
  page.notify_home(21);  // next
  page.notify(30);
  page.notify(31);  // notified
  const Word wanted = bit(10) | bit(20) | bit(30) | bit(50);
  REQUIRE(page.steal(wanted) == (bit(10) | bit(20) | bit(30)));
  REQUIRE(page.steal(wanted) == 0);
  REQUIRE(page.ready() == (bit(11) | bit(21) | bit(31)));
  REQUIRE(page.steal(~Word{0}) == (bit(11) | bit(21) | bit(31)));
  REQUIRE(page.ready() == 0);
}

TEST_CASE("a bit that stands in two words is stolen as one task") {
  WakerPage page;
  unsigned arrived = 0;
  page.notify_home(4);
  REQUIRE(page.absorb(arrived));
  page.notify(4);
  page.notify_home(4);
  REQUIRE(page.steal(bit(4)) == bit(4));
  REQUIRE(page.ready() == 0);
}

TEST_CASE("take says so when thieves emptied the pass") {
  WakerPage page;
  unsigned arrived = 0;
  unsigned index = 99;
  page.notify_home(4);
  REQUIRE(page.absorb(arrived));
  REQUIRE(page.steal(~Word{0}) == bit(4));
  REQUIRE_FALSE(page.take(index));
  REQUIRE(index == 99);
}

TEST_CASE("the words of different writers do not share a cache line") {
  STATIC_REQUIRE(alignof(WakerPage) == kCacheLine);
  const WakerPage page;
  const auto line = [](const void* address) {
    return reinterpret_cast<std::uintptr_t>(address) / kCacheLine;
  };
  REQUIRE(line(&page.notified) != line(&page.pass));
  REQUIRE(line(&page.pass) == line(&page.next));
}

TEST_CASE("no wake is lost between wakers, the home worker and thieves") {
  // Each wake raises its slot's number first. Whoever gets a bit looks at that number; at the end
  // every slot's last number must have been seen, or a wake was lost. Getting a bit twice is legal.
  constexpr int kWakes = 30'000;
  WakerPage page;
  std::array<std::atomic<std::uint32_t>, 64> number{};
  std::array<std::atomic<std::uint32_t>, 64> seen{};
  std::atomic<int> working{3};  // the wakers, then the thieves follow
  const auto look = [&](unsigned index) {
    const std::uint32_t now = number[index].load(std::memory_order_relaxed);
    std::uint32_t before = seen[index].load();
    while (before < now && !seen[index].compare_exchange_weak(before, now)) {
    }
  };
  std::vector<std::thread> threads;
  for (unsigned w = 0; w < 3; ++w) {
    threads.emplace_back([&, w] {
      Rng rng(w);
      for (int i = 0; i < kWakes; ++i) {
        const auto index = static_cast<unsigned>(rng.below(64));
        number[index].fetch_add(1, std::memory_order_relaxed);
        page.notify(index);
      }
      working.fetch_sub(1);
    });
  }
  for (unsigned t = 0; t < 2; ++t) {
    threads.emplace_back([&, t] {
      Rng rng(100 + t);
      while (working.load() > 0) each_bit(page.steal(page.ready() & rng.next()), look);
    });
  }
  Rng rng(200);
  unsigned arrived = 0;
  unsigned index = 0;
  const auto home = [&] {
    if (!page.absorb(arrived)) return;
    while (page.take(index)) {
      look(index);
      if (rng.below(4) == 0) {
        // A local wake: the plain stores that race with the thieves' RMWs.
        const auto other = static_cast<unsigned>(rng.below(64));
        number[other].fetch_add(1, std::memory_order_relaxed);
        page.notify_home(other);
      }
    }
  };
  while (working.load() > 0) home();
  for (auto& thread : threads) thread.join();
  while (page.ready() != 0) home();
  for (unsigned i = 0; i < 64; ++i) REQUIRE(seen[i].load() == number[i].load());
}
