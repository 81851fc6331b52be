// SPDX-License-Identifier: BSL-1.0
#include "sim/machine/strand.hpp"

#include <cxxabi.h>
#include <cerrno>
#include <cstdlib>
#include <system_error>

#include <sys/mman.h>
#include <boost/context/detail/fcontext.hpp>

#include "machine/sanitizer.hpp"

namespace paceline::core::simulation {

namespace context = boost::context::detail;

namespace {

constexpr std::size_t kStackBytes = std::size_t{1} << (machine::sanitizer::kAddress ? 22 : 20);
constexpr std::size_t kGuardBytes = 4096 * 16;  // whole pages everywhere

/// Above the guard.
void* lowest(void* stack) noexcept { return static_cast<std::byte*>(stack) + kGuardBytes; }

/// The head of what __cxa_get_globals points to (Itanium C++ ABI, 2.2.2).
struct ExceptionState {
  void* caught;
  unsigned uncaught;
};
ExceptionState& exceptions() noexcept {
  return *reinterpret_cast<ExceptionState*>(abi::__cxa_get_globals());
}

}  // namespace

struct Strand::Entry {
  static void run(context::transfer_t from) noexcept {
    // The first switch hands over both: see switch_to.
    auto* const pair = static_cast<Strand**>(from.data);
    Strand& self = *pair[1];
    self.arrive(pair[0], from.fctx);
    self.body_(self.argument_);
    std::abort();  // it switched for good
  }
};

Strand::Strand() noexcept : safepoint_(detail::this_safepoint) {}

Strand::~Strand() {
#ifdef PACELINE_INTERNAL_TSAN
  if (stack_ != nullptr) __tsan_destroy_fiber(tsan_);
#endif
  if (stack_ == nullptr) return;
#ifdef PACELINE_INTERNAL_ASAN
  __lsan_unregister_root_region(lowest(stack_), kStackBytes - kGuardBytes);
#endif
  machine::sanitizer::unpoison_stack(lowest(stack_), kStackBytes - kGuardBytes);
  ::munmap(stack_, kStackBytes);
}

void Strand::prepare(void (*body)(void*) noexcept, void* argument) {
  void* memory = ::mmap(nullptr, kStackBytes, PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED || ::mprotect(memory, kGuardBytes, PROT_NONE) != 0) {
    throw std::system_error(errno, std::generic_category(), "the stack of a simulated thread");
  }
  stack_ = memory;
  body_ = body;
  argument_ = argument;
  bottom_ = lowest(memory);
  bytes_ = kStackBytes - kGuardBytes;
  stands_at_ =
      context::make_fcontext(static_cast<std::byte*>(memory) + kStackBytes, bytes_, &Entry::run);
  machine::sanitizer::root_region(lowest(memory), bytes_);
#ifdef PACELINE_INTERNAL_TSAN
  tsan_ = __tsan_create_fiber(0);
#endif
}

void Strand::arrive(void* from, void* context) noexcept {
  auto& other = *static_cast<Strand*>(from);
  other.stands_at_ = context;
#ifdef PACELINE_INTERNAL_ASAN
  __sanitizer_finish_switch_fiber(fake_, &other.bottom_, &other.bytes_);
#endif
  detail::this_safepoint = safepoint_;
  exceptions() = {caught_, uncaught_};
  errno = errno_;
}

void Strand::switch_to(Strand& next, [[maybe_unused]] bool for_good) noexcept {
  safepoint_ = detail::this_safepoint;
  caught_ = exceptions().caught;
  uncaught_ = exceptions().uncaught;
  errno_ = errno;
  Strand* pair[] = {this, &next};
#ifdef PACELINE_INTERNAL_TSAN
  tsan_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(next.tsan_, 0);
#endif
#ifdef PACELINE_INTERNAL_ASAN
  __sanitizer_start_switch_fiber(for_good ? nullptr : &fake_, next.bottom_, next.bytes_);
#endif
  const context::transfer_t back = context::jump_fcontext(next.stands_at_, pair);
  arrive(*static_cast<Strand**>(back.data), back.fctx);
}

}  // namespace paceline::core::simulation
