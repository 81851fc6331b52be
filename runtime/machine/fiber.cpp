// SPDX-License-Identifier: BSL-1.0
#include "machine/fiber.hpp"

#include <cxxabi.h>
#include <cerrno>
#include <cfenv>
#include <cstring>

#include <boost/context/detail/fcontext.hpp>

#include "base/assert.hpp"
#include "machine/machine.hpp"
#include "machine/sanitizer.hpp"

#ifdef _LIBCPPABI_VERSION
// LLVM's library has it, as the ABI says; its header leaves it out.
namespace __cxxabiv1 {
struct __cxa_eh_globals;
extern "C" __cxa_eh_globals* __cxa_get_globals();
}  // namespace __cxxabiv1
#endif

namespace paceline::core::machine {

namespace context = boost::context::detail;

namespace {

/// The head of the C++ runtime's per-thread exception state, which libstdc++ and libc++abi lay out
/// alike (Itanium C++ ABI, 2.2.2): the caught exceptions and the number of uncaught ones.
struct ExceptionState {
  void* caught;
  unsigned uncaught;
};

/// Asked of the C++ runtime once per thread. Not inlined, and behind a barrier, so that no compiler
/// keeps the address of one thread for another.
[[gnu::noinline]] ExceptionState& exception_state() noexcept {
  asm volatile("" ::: "memory");
  void*& known = own_record().exceptions;
  if (known == nullptr) known = abi::__cxa_get_globals();
  return *static_cast<ExceptionState*>(known);
}

/// The same for errno: an executor at rest may be taken over by another thread.
[[gnu::noinline]] int& this_errno() noexcept {
  asm volatile("" ::: "memory");
  return errno;
}

/// What one side of a switch keeps on its own stack while the other side runs.
class Kept {
 public:
  Kept() noexcept : errno_(this_errno()), exceptions_(exception_state()) {}
  ~Kept() {
    exception_state() = exceptions_;
    this_errno() = errno_;
  }
  Kept(const Kept&) = delete;
  Kept& operator=(const Kept&) = delete;

 private:
  int errno_;
  ExceptionState exceptions_;
};

/// Says which stack the thread is on, for the report of an overflow.
class OnStack {
 public:
  explicit OnStack(void* bottom) noexcept : before_(own_record().stack_bottom) {
    own_record().stack_bottom = bottom;
  }
  ~OnStack() { own_record().stack_bottom = before_; }
  OnStack(const OnStack&) = delete;
  OnStack& operator=(const OnStack&) = delete;

 private:
  void* before_;
};

}  // namespace

struct FiberEntry {
  static void run(context::transfer_t from) noexcept {
    auto* fiber = static_cast<Fiber*>(from.data);
    Fiber::trampoline(from.fctx, fiber);
  }
};

Fiber::Fiber(StackLease stack, void (*entry)(void*) noexcept, void* argument) noexcept
    : stack_(std::move(stack)), entry_(entry), argument_(argument) {
  inside_ = context::make_fcontext(stack_.top(), stack_.bytes(), &FiberEntry::run);
#ifdef PACELINE_INTERNAL_TSAN
  tsan_inside_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#ifdef PACELINE_INTERNAL_TSAN
  __tsan_destroy_fiber(tsan_inside_);
#endif
}

// Inlined, or TSan would see a function entered on one stack and left on the other.
[[gnu::always_inline]] inline void Fiber::announce_leaving(
    [[maybe_unused]] bool for_good) noexcept {
#ifdef PACELINE_INTERNAL_TSAN
  __tsan_switch_to_fiber(tsan_outside_, 0);
#endif
#ifdef PACELINE_INTERNAL_ASAN
  __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_inside_, outside_bottom_,
                                 outside_bytes_);
#endif
}

void Fiber::trampoline(void* from, void* self) noexcept {
  auto& fiber = *static_cast<Fiber*>(self);
#ifdef PACELINE_INTERNAL_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &fiber.outside_bottom_, &fiber.outside_bytes_);
#endif
  fiber.outside_ = from;
  exception_state() = {nullptr, 0};  // a fresh stack handles no exceptions
  std::fesetenv(FE_DFL_ENV);         // nor does it inherit how its maker rounds
  fiber.entry_(fiber.argument_);
  fiber.finished_ = true;
  fiber.announce_leaving(true);
  context::jump_fcontext(fiber.outside_, nullptr);
  invariant_broken("a finished fiber is not entered again", std::source_location::current());
}

void Fiber::enter() noexcept {
  const Kept kept;
  const OnStack here(stack_.bottom());
#ifdef PACELINE_INTERNAL_TSAN
  tsan_outside_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(tsan_inside_, 0);
#endif
#ifdef PACELINE_INTERNAL_ASAN
  __sanitizer_start_switch_fiber(&fake_outside_, stack_.bottom(), stack_.bytes());
#endif
  inside_ = context::jump_fcontext(inside_, this).fctx;
#ifdef PACELINE_INTERNAL_ASAN
  __sanitizer_finish_switch_fiber(fake_outside_, nullptr, nullptr);
#endif
}

void Fiber::leave() noexcept {
  const Kept kept;
  announce_leaving(false);
  outside_ = context::jump_fcontext(outside_, nullptr).fctx;
#ifdef PACELINE_INTERNAL_ASAN
  __sanitizer_finish_switch_fiber(fake_inside_, &outside_bottom_, &outside_bytes_);
#endif
}

Trace Fiber::trace() const noexcept {
  const Registers saved = registers();
  const std::uintptr_t low = saved.value[Registers::kStackPointer];
  const auto bottom = reinterpret_cast<std::uintptr_t>(stack_.bottom());
  const auto top = reinterpret_cast<std::uintptr_t>(stack_.top());
  if (low < bottom || low > top) return {};  // this machine's layout is not known
  return walk(saved, {low, reinterpret_cast<const std::byte*>(low), top - low});
}

}  // namespace paceline::core::machine
