// SPDX-License-Identifier: BSL-1.0
#include "explorer/trace.hpp"

#include <cstdint>
#include <cstdio>
#include <vector>

#include "explorer/arena.hpp"
#include "explorer/crew.hpp"
#include "explorer/model.hpp"
#include "explorer/point.hpp"

namespace model {

namespace {

struct Named {
  std::uintptr_t begin;
  std::size_t bytes;
  std::string name;
};

std::vector<Named>& names() {
  static std::vector<Named> all;
  return all;
}

bool enabled = false;

const char* verb(Access access) {
  switch (access) {
    case Access::load: return "load ";
    case Access::store: return "store";
    case Access::rmw: return "rmw  ";
    case Access::other: return "     ";
  }
  return "";
}

}  // namespace

void name_memory(const void* begin, std::size_t bytes, const std::string& name) {
  const FromArena own(false);
  names().push_back({reinterpret_cast<std::uintptr_t>(begin), bytes, std::string(name.c_str())});
}

bool tracing() noexcept { return enabled && crew().inside(); }

void trace_access(const void* address, Access access, std::uint64_t from,
                  std::uint64_t to) noexcept {
  char raw[32];
  std::snprintf(raw, sizeof raw, "heap+%#zx", Arena::heap_offset(address));
  // On a fiber: no allocation here, it would come from the arena.
  const char* name = raw;
  std::size_t narrowest = ~std::size_t{0};
  const auto at = reinterpret_cast<std::uintptr_t>(address);
  for (const Named& known : names()) {
    if (at - known.begin < known.bytes && known.bytes < narrowest) {
      name = known.name.c_str();
      narrowest = known.bytes;
    }
  }
  const char* const who = crew().member(crew().current()).name;
  if (access == Access::load) {
    std::printf("  %-10s %s %-22s %#llx\n", who, verb(access), name,
                static_cast<unsigned long long>(from));
  } else {
    std::printf("  %-10s %s %-22s %#llx -> %#llx\n", who, verb(access), name,
                static_cast<unsigned long long>(from), static_cast<unsigned long long>(to));
  }
}

namespace trace {

void forget_names() { names().clear(); }
void enable(bool on) noexcept { enabled = on; }

void line(unsigned thread) {
  const Crew::Member& member = crew().member(thread);
  if (*member.what != 0) std::printf("  %-10s %s\n", member.name, member.what);
}

}  // namespace trace
}  // namespace model
