// SPDX-License-Identifier: BSL-1.0
// For tight loops without safepoints: code that a signal may preempt, at any instruction.
#pragma once

namespace paceline {

namespace detail {

// The bounds of the async text section of the program or shared library that this is compiled into,
// made by its linker; null where it has none. Each object has its own.
[[gnu::weak, gnu::visibility("hidden")]] extern const char async_text_begin[] __asm__(
    "__start_paceline_async");
[[gnu::weak,
  gnu::visibility("hidden")]] extern const char async_text_end[] __asm__("__stop_paceline_async");

void add_async_text(const char* begin, const char* end) noexcept;
/// Gives what leave_async_region wants; null: nothing to leave.
void* enter_async_region(const char* begin, const char* end) noexcept;
void leave_async_region(void* region) noexcept;

}  // namespace detail

/// While one lives, its task may be preempted at any instruction of a function that lies in the
/// async text section, without a safepoint: such functions are marked
///
///   [[gnu::section("paceline_async")]] double sum(const float* from, const float* to) { ... }
///
/// Code that is called from there and lies elsewhere (the C library, other functions) is never
/// interrupted; a request that comes meanwhile is tried again shortly. So only code of the section
/// has to be safe to be stopped anywhere: it may use its locals, its caller's data and atomics. A
/// function of the section that a library calls back (a comparator, an allocator's hook, anything
/// under a lock) must hold a nopreempt guard.
///
/// Registers, vector state included, errno, floating-point control and exceptions in flight are
/// kept. A region begins and ends with a safepoint, nests, and costs some 15 ns. It must not live
/// across a co_await. Outside a task, inside blocking(), with preemption_mode::off or safepoint,
/// where the system has no such signals, under ThreadSanitizer, or with less stack left than the
/// two frames of the system's for signals and 12 KiB, it does nothing.
///
/// Mark plain functions only: g++ refuses inline functions, templates and class members defined in
/// their class in a section that others share. A shared library that has opened a region must stay
/// loaded. See docs/preemption.md.
class [[nodiscard("the region lasts while the guard lives")]] async_region {
 public:
  // Inlined always: the section meant is the caller's.
  [[gnu::always_inline]] async_region() noexcept
      : region_(detail::enter_async_region(detail::async_text_begin, detail::async_text_end)) {}
  ~async_region() {
    if (region_ != nullptr) detail::leave_async_region(region_);
  }
  async_region(const async_region&) = delete;
  async_region& operator=(const async_region&) = delete;

 private:
  void* region_;
};

/// Makes the async text section of the calling program or shared library known. Opening a region
/// does the same: needed only for a library that opens none and whose marked functions run in
/// others' regions. Any thread; the object must stay loaded. At most 64 objects, more are ignored.
[[gnu::always_inline]] inline void add_async_text() noexcept {
  detail::add_async_text(detail::async_text_begin, detail::async_text_end);
}

/// Switches preemption by signal off, or on again, for the whole process: a switch for the field.
/// The environment variable PACELINE_ASYNC=off does the same for runtimes that start later. Any
/// thread; holds from now on. Safepoints and hand-off go on.
void allow_async_preemption(bool allowed) noexcept;

}  // namespace paceline
