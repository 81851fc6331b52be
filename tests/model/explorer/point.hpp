// SPDX-License-Identifier: BSL-1.0
// What the seam's twins and the models call: scheduling points and verdicts.
// Bodies: crew.cpp (points), verdict.cpp. It must not name anything of the runtime: the twin of the
// atomic, which every runtime header includes, stands on it.
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <type_traits>

namespace model {

enum class Access : std::uint8_t { load, store, rmw, other };

/// Is a virtual thread running, or a condition being evaluated for one? False while a model is set
/// up and while its end is checked: then an access is a plain one.
bool live() noexcept;
/// Before each access to an atomic: the place where the explorer may switch.
void before_access(const void* address, std::size_t bytes, Access access) noexcept;

/// Before memory is freed, which every later access to it must see.
void before_free(const void* begin, std::size_t bytes) noexcept;

/// Is a schedule being replayed with a line per access?
bool tracing() noexcept;
void trace_access(const void* address, Access access, std::uint64_t from,
                  std::uint64_t to) noexcept;

/// A scheduling point without memory: here another thread may run.
void pause_here(const char* what) noexcept;

/// Blocks the calling thread until `condition(argument)`, which must only read.
void block_until(bool (*condition)(void*), void* argument, const char* what) noexcept;

/// A futex: blocks while `word` holds `expected`, until woken. May return for no reason, as often
/// as the model allows.
void park(const void* word, std::uint32_t expected) noexcept;
/// Wakes one thread parked on `word`, or all. Returns how many.
unsigned unpark(const void* word, bool all) noexcept;

/// Goes on at `context` on another stack of the calling thread, which lies in the arena and is
/// aligned to its size, kExecutorStack. Returns where that one was left.
void* switch_stack(void* context, void* argument) noexcept;
/// For the first function on a stack: where control came from.
void stack_left(void* context) noexcept;
inline constexpr std::size_t kExecutorStack = 8 * 1024;

void lock(bool& held) noexcept;
void unlock(bool& held) noexcept;

/// Ends this execution: the named sentence does not hold.
[[noreturn]] void fail(const char* sentence) noexcept;

/// An invariant, named by the sentence that says what must hold.
inline void require(bool holds, const char* sentence) noexcept {
  if (!holds) [[unlikely]]
    fail(sentence);
}

template <class T>
std::uint64_t as_word(T value) noexcept {
  if constexpr (std::is_pointer_v<T>) {
    return reinterpret_cast<std::uintptr_t>(value);
  } else {
    return static_cast<std::uint64_t>(value);
  }
}

}  // namespace model
