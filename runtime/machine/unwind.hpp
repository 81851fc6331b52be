// SPDX-License-Identifier: BSL-1.0
// Walking a stack that does not run: from saved registers and memory to return addresses.
// Flow rooms: dump, stall. Any thread; nothing of the stack that is walked is executed.
// It must never read outside the image it was given: the stack may be torn or overwritten.
// Proof: tests/unit/machine/unwind_test.cpp.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace paceline::core::machine {

/// General registers by their DWARF numbers, the instruction pointer last.
struct Registers {
#if defined(__x86_64__)
  static constexpr unsigned kCount = 17;
  static constexpr unsigned kFramePointer = 6;
  static constexpr unsigned kStackPointer = 7;
  static constexpr unsigned kReturn = 16;
#else
  static constexpr unsigned kCount = 33;
  static constexpr unsigned kFramePointer = 29;
  static constexpr unsigned kStackPointer = 31;
  static constexpr unsigned kReturn = 32;
#endif
  std::array<std::uintptr_t, kCount> value{};
  std::uint64_t known = 0;  // one bit for each

  void set(unsigned index, std::uintptr_t to) noexcept {
    value[index] = to;
    known |= std::uint64_t{1} << index;
  }
  bool has(unsigned index) const noexcept { return (known >> index & 1) != 0; }
};

/// Stack memory: what was at `low` and above stands at `bytes`. A copy, or the stack itself.
struct StackImage {
  std::uintptr_t low = 0;
  const std::byte* bytes = nullptr;
  std::size_t size = 0;

  /// False: not within.
  bool read(std::uintptr_t address, std::uintptr_t& value) const noexcept;
};

/// Return addresses, innermost first.
struct Trace {
  static constexpr unsigned kMost = 48;
  std::array<std::uintptr_t, kMost> at{};
  unsigned count = 0;
  // From this one on found by the chain of frame pointers, because code without unwind tables was
  // met: likely, not certain.
  unsigned guessed_from = kMost;
  bool cut = false;  // there are more

  bool empty() const noexcept { return count == 0; }
};

/// By the unwind tables of the loaded modules (.eh_frame), else by frame pointers. x86-64; on
/// other machines by frame pointers only.
Trace walk(Registers registers, const StackImage& stack) noexcept;

/// The registers that boost::context has saved in `context`, the place where a fiber stands.
Registers registers_of(const void* context) noexcept;

/// "name+0x12 (module)", or "0x1234 (module+0x1234)" where no symbol is known. Reads the modules'
/// symbol tables from their files: slow, allocates. A cache for one report.
class Symbols {
 public:
  Symbols();
  Symbols(const Symbols&) = delete;
  Symbols& operator=(const Symbols&) = delete;
  ~Symbols();

  /// `exact`: of an instruction, not of a return address, which may lie behind its function.
  const std::string& describe(std::uintptr_t address, bool exact = false);
  /// One line for each frame, each with `indent` before it. Throws std::bad_alloc.
  std::string lines(const Trace& trace, const char* indent);

 private:
  struct Table;
  Table* table_of(const char* path);
  std::string look_up(std::uintptr_t address, bool exact);
  std::vector<Table*> tables_;
  std::map<std::pair<std::uintptr_t, bool>, std::string> known_;
};

}  // namespace paceline::core::machine
