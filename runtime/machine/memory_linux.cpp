// SPDX-License-Identifier: BSL-1.0
// Memory from Linux. Apart from the rest, because a simulated machine has the same.
#include <cstdint>

#include <sys/mman.h>
#include <unistd.h>

#include "machine/machine.hpp"

namespace paceline::core::machine {

std::size_t page_size() noexcept {
  static const auto size = static_cast<std::size_t>(::sysconf(_SC_PAGESIZE));
  return size;
}

void* map(std::size_t bytes, std::size_t alignment) noexcept {
  const std::size_t slack = alignment > page_size() ? alignment : 0;
  void* raw = ::mmap(nullptr, bytes + slack, PROT_READ | PROT_WRITE,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (raw == MAP_FAILED) return nullptr;
  if (slack == 0) return raw;
  const auto start = reinterpret_cast<std::uintptr_t>(raw);
  const std::uintptr_t aligned = (start + alignment - 1) & ~(alignment - 1);
  if (aligned != start) ::munmap(raw, aligned - start);
  const std::uintptr_t end = start + bytes + slack;
  if (aligned + bytes != end) {
    ::munmap(reinterpret_cast<void*>(aligned + bytes), end - (aligned + bytes));
  }
  return reinterpret_cast<void*>(aligned);
}

void unmap(void* memory, std::size_t bytes) noexcept { ::munmap(memory, bytes); }
void discard(void* memory, std::size_t bytes) noexcept { ::madvise(memory, bytes, MADV_DONTNEED); }
void prefer_huge_pages(void* memory, std::size_t bytes) noexcept {
  ::madvise(memory, bytes, MADV_HUGEPAGE);
}
bool guard(void* memory, std::size_t bytes) noexcept {
  // MADV_GUARD_INSTALL: markers in the page table instead of a mapping with other rights, of which
  // a process may have 65,530. Refused by older systems, and for locked memory.
  constexpr int kGuardInstall = 102;
  if (::madvise(memory, bytes, kGuardInstall) == 0) return true;
  return ::mprotect(memory, bytes, PROT_NONE) == 0;
}

}  // namespace paceline::core::machine
