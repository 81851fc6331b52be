// SPDX-License-Identifier: BSL-1.0
#include "explorer/crew.hpp"

#include <cstring>

#include <boost/context/detail/fcontext.hpp>

#include "explorer/sharing.hpp"
#include "explorer/verdict.hpp"

namespace model {

namespace fibers = boost::context::detail;

namespace {

// Where the explorer's own stack stands while a fiber runs.
void* explorer_context = nullptr;

// So many accesses between two points that the thread must be in a loop of its own.
constexpr unsigned kEndless = 100'000;

/// Registers that a call may clobber hold values of the other side after a switch. Compilers push
/// them to align the stack; cleared, such a push is the same in equal states.
[[gnu::always_inline]] inline void scrub_registers() noexcept {
#if defined(__x86_64__)
  __asm__ __volatile__(
      "xorl %%ecx, %%ecx\n\txorl %%esi, %%esi\n\txorl %%edi, %%edi\n\t"
      "xorl %%r8d, %%r8d\n\txorl %%r9d, %%r9d\n\txorl %%r10d, %%r10d\n\txorl %%r11d, %%r11d"
      :
      :
      : "rcx", "rsi", "rdi", "r8", "r9", "r10", "r11", "cc");
#endif
}

/// As far down as calls between two points reach. Should one reach further, equal states may look
/// different, which costs time but hides nothing.
void clear_below(char* top) noexcept {
  if (arena().in_heap(top)) {  // a stack that the code under the model has made
    auto* const bottom = reinterpret_cast<char*>(reinterpret_cast<std::uintptr_t>(top) &
                                                 ~std::uintptr_t{kExecutorStack - 1});
    require(*reinterpret_cast<std::uint64_t*>(bottom) == 0, "a stack is large enough");
    std::memset(bottom, 0, static_cast<std::size_t>(top - bottom));
    return;
  }
  constexpr std::size_t kReach = 2048;
  std::memset(top - kReach, 0, kReach);
}

bool is_own_stack(const void* at, unsigned index) noexcept {
  const auto* const stack = Arena::stack(index);
  return at >= stack && at < stack + Arena::kStackBytes;
}

}  // namespace

Crew& crew() noexcept {
  static Crew one;
  return one;
}

struct Crew::Entry {
  static void run(fibers::transfer_t from) {
    explorer_context = from.fctx;
    Member& self = crew().member(crew().current_);
    self.body(self.data);
    if (self.work != nullptr) crew().wait(self.work, self.data, "rests");
    crew().point(Status::finished, "end", nullptr, Access::other);
  }
};

void Crew::begin() noexcept {
  current_ = observed_ = kNobody;
  size_ = 0;
  touched_ = ~0u;
}

unsigned Crew::add(const char* name, void (*body)(void*), void* data,
                   bool (*work)(void*)) noexcept {
  require(size_ < kMost, "a model has at most eight threads");
  const unsigned index = size_++;
  Member& self = *(members_[index] = &arena().make<Member>());
  std::strncpy(self.name, name, sizeof self.name - 1);
  self.body = body;
  self.data = data;
  self.work = work;
  self.what = "start";
  begin_anew(self, index);
  if (work != nullptr) {
    self.status = Status::waiting;
    self.condition = work;
    self.argument = data;
  }
  return index;
}

void Crew::begin_anew(Member& self, unsigned index) noexcept {
  if (self.context != nullptr) {
    const Range live = live_stack(index);
    clear_below(live.begin);
    std::memset(live.begin, 0, live.bytes);
  }
  self.context = fibers::make_fcontext(Arena::stack(index) + Arena::kStackBytes, Arena::kStackBytes,
                                       &Entry::run);
}

unsigned Crew::enabled() noexcept {
  unsigned mask = 0;
  for (unsigned i = 0; i < size_; ++i) {
    Member& self = member(i);
    bool can = self.status == Status::ready;
    if (self.status == Status::waiting) {
      observed_ = i;
      can = self.condition(self.argument);
      observed_ = kNobody;
    }
    if (can) mask |= 1u << i;
  }
  return mask;
}

unsigned Crew::may_wake_falsely() const noexcept {
  unsigned mask = 0;
  for (unsigned i = 0; i < size_; ++i) {
    if (member(i).status == Status::parked && member(i).false_wakes != 0) mask |= 1u << i;
  }
  return mask;
}

unsigned Crew::stallable() const noexcept {
  unsigned mask = 0;
  for (unsigned i = 0; i < size_; ++i) mask |= member(i).may_stall ? 1u << i : 0;
  return mask;
}

unsigned Crew::unfinished() const noexcept {
  unsigned mask = 0;
  for (unsigned i = 0; i < size_; ++i) {
    if (member(i).status != Status::finished) mask |= 1u << i;
  }
  return mask;
}

unsigned Crew::step(unsigned index) noexcept {
  Member& self = member(index);
  if (self.status == Status::parked) --self.false_wakes;
  self.status = Status::ready;
  current_ = index;
  points_ = 0;
  touched_ |= 1u << index;
  const fibers::transfer_t back = fibers::jump_fcontext(self.context, nullptr);
  current_ = kNobody;
  self.context = back.fctx;
  if (verdict().failed()) return points_;  // it may have left from a signal's stack
  // Who has come to an end, or rests, has nothing on its stack that matters.
  if (self.status == Status::finished ||
      (self.work != nullptr && self.condition == self.work && self.status == Status::waiting)) {
    begin_anew(self, index);
    return points_;
  }
  // What lies below belongs to calls that have returned. Cleared, it does not tell equal states
  // apart when new calls leave parts of their frames unwritten.
  clear_below(static_cast<char*>(self.context));
  return points_;
}

Range Crew::live_stack(unsigned index) const noexcept {
  const Member& self = member(index);
  auto* const lowest =
      static_cast<char*>(is_own_stack(self.context, index) ? self.context : self.away);
  return {lowest, static_cast<std::size_t>(Arena::stack(index) + Arena::kStackBytes - lowest)};
}

void Crew::leave() noexcept {
  const fibers::transfer_t back = fibers::jump_fcontext(explorer_context, nullptr);
  explorer_context = back.fctx;
  scrub_registers();
}

void Crew::abandon() noexcept {
  for (;;) leave();
}

void Crew::point(Status status, const char* what, const void* address, Access access) noexcept {
  Member& self = member(current_);
  ++points_;
  self.status = status;
  self.what = what;
  self.address = address;
  self.access = access;
  leave();
}

void Crew::access(const void* address, std::size_t bytes, Access access) noexcept {
  if (observed_ != kNobody) {
    sharing().note(address, Access::load, observed_);
    return;
  }
  if (sharing().note(address, access, current_) || everywhere_) {
    point(Status::ready, "", address, access);
  } else {
    require(++points_ < kEndless, "a thread comes to a scheduling point in the end");
  }
  // After the point: somebody else may have freed it there.
  bool freed = true;
  for (std::size_t i = 0; i < bytes; ++i) {
    freed = freed && static_cast<const unsigned char*>(address)[i] == kFreed;
  }
  require(!freed, "nobody touches memory that was freed");
}

void Crew::wait(bool (*condition)(void*), void* argument, const char* what) noexcept {
  Member& self = member(current_);
  self.condition = condition;
  self.argument = argument;
  point(Status::waiting, what, nullptr, Access::other);
}

void Crew::stack_left(void* context) noexcept {
  if (!inside()) return;  // nothing runs yet
  if (is_own_stack(context, current_)) member(current_).away = context;
  clear_below(static_cast<char*>(context));
}

void* Crew::switch_stack(void* context, void* argument) noexcept {
  void* const left = fibers::jump_fcontext(context, argument).fctx;
  scrub_registers();
  stack_left(left);
  return left;
}

unsigned Crew::wake(const void* word, bool all) noexcept {
  unsigned woken = 0;
  for (unsigned i = 0; i < size_; ++i) {
    Member& other = member(i);
    if (other.status != Status::parked || other.address != word) continue;
    other.status = Status::ready;
    ++woken;
    if (!all) break;
  }
  return woken;
}

// --- point.hpp ---

bool live() noexcept { return crew().live(); }

void before_access(const void* address, std::size_t bytes, Access access) noexcept {
  crew().access(address, bytes, access);
}

void pause_here(const char* what) noexcept {
  if (crew().inside()) crew().point(Crew::Status::ready, what, nullptr, Access::other);
}

void block_until(bool (*condition)(void*), void* argument, const char* what) noexcept {
  crew().wait(condition, argument, what);
}

void park(const void* word, std::uint32_t expected) noexcept {
  sharing().note(word, Access::load, crew().current());
  crew().point(Crew::Status::ready, "park", word, Access::other);
  // The kernel's own look; nobody comes between it and the sleep.
  std::uint32_t now = 0;
  std::memcpy(&now, word, sizeof now);
  if (now == expected) crew().point(Crew::Status::parked, "parked", word, Access::other);
}

void* switch_stack(void* context, void* argument) noexcept {
  return crew().switch_stack(context, argument);
}

void stack_left(void* context) noexcept { crew().stack_left(context); }

void before_free(const void* begin, std::size_t bytes) noexcept {
  if (!crew().inside()) return;
  // To free is to write every word.
  for (std::size_t at = 0; at < bytes; at += 4) {
    sharing().note(static_cast<const char*>(begin) + at, Access::store, crew().current());
  }
  pause_here("free");
}

unsigned unpark(const void* word, bool all) noexcept {
  pause_here("unpark");
  return crew().wake(word, all);
}

void lock(bool& held) noexcept {
  if (crew().inside()) {
    crew().wait([](void* flag) { return !*static_cast<bool*>(flag); }, &held, "lock");
  }
  held = true;
}

void unlock(bool& held) noexcept {
  pause_here("unlock");
  held = false;
}

}  // namespace model
