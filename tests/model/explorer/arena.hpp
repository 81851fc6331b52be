// SPDX-License-Identifier: BSL-1.0
// Arena: all memory that a model and the code under it may change, at a fixed address.
// One state of an execution is the bytes in here, stacks included; so a state can be saved, put
// back and compared by its bytes. It must never hold anything of the explorer's own.
#pragma once

#include <cstddef>
#include <cstdint>
#include <new>
#include <utility>
#include <vector>

namespace model {

/// A piece of memory that belongs to the state.
struct Range {
  char* begin = nullptr;
  std::size_t bytes = 0;
};

class Arena {
 public:
  static constexpr std::uintptr_t kBase = 0x2000'0000'0000;
  static constexpr unsigned kStacks = 8;
  static constexpr std::size_t kStackBytes = 64 * 1024;
  static constexpr std::size_t kHeapBytes = 16 * 1024 * 1024;
  static constexpr std::size_t kHeapOffset = kStacks * kStackBytes;

  Arena();
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;

  /// Forgets everything; a new model is set up.
  void begin() noexcept;
  /// Zeroed memory; never used again after release. Fails the execution if there is no more.
  void* allocate(std::size_t bytes, std::size_t alignment) noexcept;
  /// Fills the block with a pattern that every later access to an atomic in it reports.
  void release(void* block) noexcept;
  template <class T, class... Args>
  T& make(Args&&... args) {
    return *::new (allocate(sizeof(T), alignof(T))) T(std::forward<Args>(args)...);
  }

  /// Large memory that the execution does not change: it is no part of the state. Verified.
  void leave_out(const void* begin, std::size_t bytes);
  /// Statistics: counters that are raised and never read. No part of the state, nor points.
  void ignore(const void* begin, std::size_t bytes);
  /// The model is set up: what is allocated from now on belongs to one execution.
  void seal();
  /// False if memory that was left out has changed.
  bool left_out_intact() const noexcept;

  bool contains(const void* address) const noexcept {
    return reinterpret_cast<std::uintptr_t>(address) - kBase < kHeapOffset + kHeapBytes;
  }
  bool in_heap(const void* address) const noexcept {
    return reinterpret_cast<std::uintptr_t>(address) - (kBase + kHeapOffset) < kHeapBytes;
  }
  static std::size_t heap_offset(const void* address) noexcept {
    return reinterpret_cast<std::uintptr_t>(address) - (kBase + kHeapOffset);
  }
  static char* stack(unsigned index) noexcept {
    return reinterpret_cast<char*>(kBase) + index * kStackBytes;
  }
  /// What the set-up made, without what was left out.
  const std::vector<Range>& fixed() const noexcept { return fixed_; }
  /// What the execution has allocated since.
  Range grown() const noexcept;

 private:
  // Inside the arena: the fill level is part of the state.
  struct Head {
    std::size_t used = 0;
  };
  Head& head() const noexcept { return *reinterpret_cast<Head*>(kBase + kHeapOffset); }
  static char* heap() noexcept { return reinterpret_cast<char*>(kBase + kHeapOffset); }

  std::size_t sealed_at_ = 0;
  struct LeftOut {
    Range range;
    bool verified;
    std::vector<char> copy;
  };
  std::vector<LeftOut> left_out_;
  std::vector<Range> fixed_;
};

Arena& arena() noexcept;

/// The byte that freed memory is filled with.
inline constexpr unsigned char kFreed = 0xDD;

/// While one exists, operator new takes memory from the arena.
class FromArena {
 public:
  explicit FromArena(bool on) noexcept;
  ~FromArena();
  FromArena(const FromArena&) = delete;
  FromArena& operator=(const FromArena&) = delete;

 private:
  bool before_;
};

}  // namespace model
