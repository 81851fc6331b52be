// SPDX-License-Identifier: BSL-1.0
// Proves that a mailbox holds one task and loses none, and that whoever hands one over is heard: a
// sleeper wakes, a worker that is awake finds the note. With threads, that each task comes out
// once.
#include "sched/mailbox.hpp"

#include <array>
#include <atomic>
#include <thread>
#include <vector>

#include "support/catch.hpp"
#include "unit/sched/house.hpp"

using namespace paceline::core;
using paceline_test::House;

namespace {

bool has_note(const Seat& seat) { return (seat.classes.load() & bit(Port::kNote)) != 0; }

}  // namespace

TEST_CASE("a mailbox gives out what was put in, and who waits for an answer") {
  Mailbox mail;
  std::array<Slot, 2> slots{};
  REQUIRE(mail.empty());
  REQUIRE(mail.take().slot == nullptr);
  for (const unsigned answer_to : {0u, 1u, kMaxWorkers - 1, Mail::kNoAnswer}) {
    REQUIRE(mail.put({&slots[1], answer_to}));
    REQUIRE_FALSE(mail.empty());
    const Mail out = mail.take();
    REQUIRE(out.slot == &slots[1]);
    REQUIRE(out.answer_to == answer_to);
    REQUIRE(mail.empty());
  }
}

TEST_CASE("an empty mailbox asks nobody for an answer") {
  Mailbox mail;
  REQUIRE(mail.take().answer_to == Mail::kNoAnswer);
}

TEST_CASE("a full mailbox refuses, and what is in it stays") {
  Mailbox mail;
  std::array<Slot, 2> slots{};
  REQUIRE(mail.put({&slots[0]}));
  REQUIRE_FALSE(mail.put({&slots[1]}));
  REQUIRE(mail.take().slot == &slots[0]);
  REQUIRE(mail.put({&slots[1]}));
  REQUIRE(mail.take().slot == &slots[1]);
}

TEST_CASE("another worker takes what it wants and leaves the rest") {
  Mailbox mail;
  Slot slot;
  const auto any = [](const Slot&) { return true; };
  REQUIRE(mail.take_if(any) == nullptr);
  REQUIRE(mail.put({&slot, 7}));
  REQUIRE(mail.take_if([](const Slot&) { return false; }) == nullptr);
  REQUIRE_FALSE(mail.empty());
  REQUIRE(mail.take_if(any) == &slot);
  REQUIRE(mail.empty());
}

TEST_CASE("who hands over a task wakes its new worker, and leaves a note") {
  House house(1);
  Slot slot;
  Seat& seat = house.seat(0);
  house.sleep(0);
  REQUIRE(deliver(seat, {&slot}));
  REQUIRE(has_note(seat));
  REQUIRE(house.wake_up(0) == Seat::kWoken);
  REQUIRE(read_note(seat).slot == &slot);
  REQUIRE_FALSE(has_note(seat));
  REQUIRE(seat.mail.empty());
}

TEST_CASE("a second task does not get in beside the first, and does not wake anybody") {
  House house(1);
  std::array<Slot, 2> slots{};
  Seat& seat = house.seat(0);
  REQUIRE(deliver(seat, {&slots[0]}));
  house.sleep(0);
  REQUIRE_FALSE(deliver(seat, {&slots[1]}));
  REQUIRE(house.wake_up(0) == Seat::kAsleep);
  REQUIRE(read_note(seat).slot == &slots[0]);
}

TEST_CASE("a note alone is read and gone") {
  House house(1);
  Seat& seat = house.seat(0);
  leave_note(seat);
  REQUIRE(has_note(seat));
  REQUIRE(read_note(seat).slot == nullptr);
  REQUIRE_FALSE(has_note(seat));
}

TEST_CASE("a seat that is used again has neither note nor mail") {
  Slot slot;
  {
    House house(1);
    REQUIRE(deliver(house.seat(0), {&slot}));
  }
  House house(1);
  REQUIRE_FALSE(has_note(house.seat(0)));
  REQUIRE(house.seat(0).mail.empty());
}

TEST_CASE("whatever several workers hand to one comes out once, there or at a thief") {
  constexpr unsigned kGivers = 3;
  constexpr std::size_t kEach = 20'000;
  House house(1);
  Seat& seat = house.seat(0);
  struct Parcel {
    Slot slot;
    std::atomic<unsigned> out{0};
  };
  std::vector<Parcel> parcels(kGivers * kEach);
  const auto came_out = [&](Slot* slot) { ++reinterpret_cast<Parcel*>(slot)->out; };
  std::atomic<unsigned> giving{kGivers};
  std::vector<std::thread> threads;
  for (unsigned g = 0; g < kGivers; ++g) {
    threads.emplace_back([&, g] {
      for (std::size_t i = 0; i < kEach; ++i) {
        Parcel& parcel = parcels[g * kEach + i];
        while (!deliver(seat, {&parcel.slot, g})) std::this_thread::yield();
      }
      --giving;
    });
  }
  threads.emplace_back([&] {
    while (giving != 0) {
      if (Slot* slot = seat.mail.take_if([](const Slot&) { return true; })) came_out(slot);
      std::this_thread::yield();
    }
  });
  // The owner looks only where a note says so.
  while (giving != 0 || has_note(seat)) {
    if (!has_note(seat)) {
      std::this_thread::yield();
    } else if (const Mail mail = read_note(seat); mail.slot != nullptr) {
      came_out(mail.slot);
    }
  }
  for (std::thread& thread : threads) thread.join();
  REQUIRE(seat.mail.empty());
  std::size_t wrong = 0;
  for (const Parcel& parcel : parcels) wrong += parcel.out == 1 ? 0 : 1;
  REQUIRE(wrong == 0);
}
