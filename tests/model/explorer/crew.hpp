// SPDX-License-Identifier: BSL-1.0
// Crew: the virtual threads of a model, fibers on one OS thread.
//
// A thread runs from one scheduling point to the next; then the search decides who goes on. All
// that a thread is - its stack and its entry in the table - lies in the arena and is part of the
// state. Called by: searches (step, enabled), and through point.hpp by whatever runs on a fiber.
#pragma once

#include <cstdint>
#include <utility>

#include "explorer/arena.hpp"
#include "explorer/point.hpp"

namespace model {

class Crew {
 public:
  static constexpr unsigned kMost = Arena::kStacks;
  static constexpr unsigned kNobody = ~0u;
  enum class Status : std::uint8_t { ready, waiting, parked, finished };

  /// Where a thread stands.
  struct Member {
    void* context = nullptr;
    void* away = nullptr;  // where its own stack was left, if the context is on another one
    Status status = Status::ready;
    std::uint8_t false_wakes = 0;  // parks that may still return for no reason
    bool may_stall = false;        // the scheduler may freeze it for ever
    bool gives_way = false;        // it is in a busy wait: leaving it is no preemption
    Access access = Access::other;
    const char* what = "";          // what it does next,
    const void* address = nullptr;  // and to which word
    bool (*condition)(void*) = nullptr;
    void* argument = nullptr;
    void (*body)(void*) = nullptr;
    void* data = nullptr;
    bool (*work)(void*) = nullptr;  // of a loop: run the body again when this holds
    char name[16] = {};
  };

  // --- set-up ---

  void begin() noexcept;
  /// Adds a thread; returns its index. With `work` its body runs again and again, each time when
  /// that holds, on a clean stack: so a thread that rests looks the same whatever it did before.
  unsigned add(const char* name, void (*body)(void*), void* data,
               bool (*work)(void*) = nullptr) noexcept;
  void allow_stall(unsigned index) noexcept { member(index).may_stall = true; }
  void allow_false_wakes(unsigned index, unsigned n) noexcept {
    member(index).false_wakes = static_cast<std::uint8_t>(n);
  }

  // --- searches ---

  unsigned size() const noexcept { return size_; }
  Member& member(unsigned index) const noexcept { return *members_[index]; }
  /// A bit per thread whose stack may have changed since the last call.
  unsigned take_touched() noexcept { return std::exchange(touched_, 0); }
  /// A bit per thread that can go on.
  unsigned enabled() noexcept;
  /// A bit per thread whose park may return for no reason.
  unsigned may_wake_falsely() const noexcept;
  unsigned stallable() const noexcept;
  unsigned unfinished() const noexcept;
  /// Runs a thread to its next point. Returns how many points it came by, the last one included.
  unsigned step(unsigned index) noexcept;
  /// Every access is a point, shared or not: for replays.
  void stop_everywhere(bool on) noexcept { everywhere_ = on; }
  /// The part of a thread's own stack that is in use.
  Range live_stack(unsigned index) const noexcept;

  // --- on a fiber ---

  bool inside() const noexcept { return current_ != kNobody; }
  unsigned current() const noexcept { return current_; }
  /// Somebody whose accesses count: the running thread, or the one whose condition is evaluated.
  bool live() const noexcept { return current_ != kNobody || observed_ != kNobody; }
  void access(const void* address, std::size_t bytes, Access access) noexcept;
  void point(Status status, const char* what, const void* address, Access access) noexcept;
  void wait(bool (*condition)(void*), void* argument, const char* what) noexcept;
  void* switch_stack(void* context, void* argument) noexcept;
  void stack_left(void* context) noexcept;
  unsigned wake(const void* word, bool all) noexcept;
  /// Leaves the fiber for good; only a new state brings it back.
  [[noreturn]] void abandon() noexcept;

 private:
  struct Entry;

  void leave() noexcept;
  void begin_anew(Member& self, unsigned index) noexcept;

  Member* members_[kMost] = {};  // in the arena
  unsigned size_ = 0;
  unsigned touched_ = ~0u;
  unsigned current_ = kNobody;
  unsigned observed_ = kNobody;
  unsigned points_ = 0;
  bool everywhere_ = false;
};

Crew& crew() noexcept;

}  // namespace model
