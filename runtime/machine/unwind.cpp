// SPDX-License-Identifier: BSL-1.0
// The unwind tables are those of the C++ runtime (.eh_frame and its sorted index .eh_frame_hdr, LSB
// core specification; DWARF 4, section 6.4). Only what compilers emit for ordinary functions is
// understood; at anything else the walk goes on by frame pointers.
#include "machine/unwind.hpp"

#include <cstring>
#include <utility>

#include <link.h>

#if defined(__x86_64__)
#include <ucontext.h>
#endif

namespace paceline::core::machine {

namespace {

/// A word at any address, of any type.
struct [[gnu::packed, gnu::may_alias]] AnyWord {
  std::uintptr_t value;
};

}  // namespace

// Not instrumented: what a stack holds between its variables is no error here.
__attribute__((no_sanitize_address)) bool StackImage::read(std::uintptr_t address,
                                                           std::uintptr_t& value) const noexcept {
  if (address < low || address - low > size || size - (address - low) < sizeof value) return false;
  value = reinterpret_cast<const AnyWord*>(bytes + (address - low))->value;
  return true;
}

namespace {

/// Reads the tables, which are mapped as part of their module.
class Cursor {
 public:
  explicit Cursor(std::uintptr_t at) noexcept : at_(at) {}
  std::uintptr_t at() const noexcept { return at_; }
  void skip(std::size_t bytes) noexcept { at_ += bytes; }

  template <class T>
  T take() noexcept {
    T value;
    std::memcpy(&value, reinterpret_cast<const void*>(at_), sizeof value);
    at_ += sizeof value;
    return value;
  }
  std::uint64_t uleb() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = take<std::uint8_t>();
      if (shift < 64) value |= std::uint64_t{byte & 0x7fu} << shift;
      if ((byte & 0x80) == 0) return value;
    }
  }
  std::int64_t sleb() noexcept {
    std::uint64_t value = 0;
    for (unsigned shift = 0;;) {
      const auto byte = take<std::uint8_t>();
      if (shift < 64) value |= std::uint64_t{byte & 0x7fu} << shift;
      shift += 7;
      if ((byte & 0x80) != 0) continue;
      if ((byte & 0x40) != 0 && shift < 64) value |= ~std::uint64_t{0} << shift;
      return static_cast<std::int64_t>(value);
    }
  }
  /// A pointer as DW_EH_PE_* says: absolute or relative to its own place; false: anything else.
  bool pointer(std::uint8_t encoding, std::uintptr_t& value) noexcept {
    const std::uintptr_t base = (encoding & 0x70) == 0x10 ? at_ : 0;
    if ((encoding & 0x80) != 0 || ((encoding & 0x70) != 0 && base == 0)) return false;
    switch (encoding & 0x0f) {
      case 0x00:
      case 0x04:
      case 0x0c: value = base + take<std::uint64_t>(); return true;
      case 0x03: value = base + take<std::uint32_t>(); return true;
      case 0x0b: value = base + static_cast<std::uintptr_t>(take<std::int32_t>()); return true;
      default: return false;
    }
  }

 private:
  std::uintptr_t at_;
};

struct Module {
  std::uintptr_t pc;
  std::uintptr_t index = 0;  // .eh_frame_hdr
};

int find_module(dl_phdr_info* info, std::size_t, void* raw) {
  auto& wanted = *static_cast<Module*>(raw);
  bool covers = false;
  std::uintptr_t index = 0;
  for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    const std::uintptr_t start = info->dlpi_addr + header.p_vaddr;
    if (header.p_type == PT_LOAD && wanted.pc - start < header.p_memsz) covers = true;
    if (header.p_type == PT_GNU_EH_FRAME) index = start;
  }
  if (covers) wanted.index = index;
  return covers ? 1 : 0;
}

/// The frame description entry for `pc`, or 0.
std::uintptr_t find_entry(std::uintptr_t pc) noexcept {
  Module module{pc};
  ::dl_iterate_phdr(&find_module, &module);
  if (module.index == 0) return 0;
  Cursor head(module.index);
  const auto version = head.take<std::uint8_t>();
  const auto frame_encoding = head.take<std::uint8_t>();
  const auto count_encoding = head.take<std::uint8_t>();
  const auto table_encoding = head.take<std::uint8_t>();
  std::uintptr_t unused = 0;
  std::uintptr_t count = 0;
  // The table: pairs of signed 32-bit offsets from the index, sorted.
  if (version != 1 || table_encoding != 0x3b || !head.pointer(frame_encoding, unused) ||
      !head.pointer(count_encoding, count)) {
    return 0;
  }
  const auto row = [&](std::uintptr_t i, unsigned column) {
    std::int32_t offset;
    std::memcpy(&offset, reinterpret_cast<const void*>(head.at() + i * 8 + column * 4), 4);
    return module.index + static_cast<std::uintptr_t>(offset);
  };
  std::uintptr_t low = 0;
  std::uintptr_t high = count;
  while (low < high) {
    const std::uintptr_t middle = low + (high - low) / 2;
    if (row(middle, 0) <= pc) {
      low = middle + 1;
    } else {
      high = middle;
    }
  }
  return low == 0 ? 0 : row(low - 1, 1);
}

/// Where a frame keeps its caller's registers.
struct Rules {
  enum class Kind : std::uint8_t { same, at_offset, is_offset, undefined };
  struct Rule {
    Kind kind = Kind::same;
    std::int64_t offset = 0;
  };
  std::array<Rule, Registers::kCount> of{};
  std::uint64_t base = 0;        // the canonical frame address: this register,
  std::int64_t base_offset = 0;  // and so much
  bool usable = true;
};

struct Entry {
  std::uintptr_t begin = 0;  // of the function
  std::uintptr_t end = 0;
  std::uint64_t code_step = 0;
  std::int64_t data_step = 0;
  bool signal = false;  // the system's way back from a signal handler
  std::uintptr_t first_program = 0, first_end = 0;
  std::uintptr_t program = 0, program_end = 0;
};

bool parse(std::uintptr_t at, Entry& entry) noexcept {
  Cursor fde(at);
  const auto length = fde.take<std::uint32_t>();
  if (length == 0 || length == 0xffffffff) return false;
  entry.program_end = fde.at() + length;
  const std::uintptr_t here = fde.at();
  Cursor cie(here - fde.take<std::uint32_t>());
  const auto cie_length = cie.take<std::uint32_t>();
  if (cie_length == 0 || cie_length == 0xffffffff) return false;
  entry.first_end = cie.at() + cie_length;
  cie.skip(4);
  const auto version = cie.take<std::uint8_t>();
  const char* augmentation = reinterpret_cast<const char*>(cie.at());
  cie.skip(std::strlen(augmentation) + 1);
  entry.code_step = cie.uleb();
  entry.data_step = cie.sleb();
  const std::uint64_t returns_in = version == 1 ? cie.take<std::uint8_t>() : cie.uleb();
  if (returns_in != Registers::kReturn) return false;
  std::uint8_t encoding = 0;
  if (augmentation[0] == 'z') {
    const std::uint64_t bytes = cie.uleb();
    entry.first_program = cie.at() + bytes;
    for (const char* letter = augmentation + 1; *letter != '\0'; ++letter) {
      std::uintptr_t unused = 0;
      if (*letter == 'R') {
        encoding = cie.take<std::uint8_t>();
      } else if (*letter == 'P') {
        const auto how = cie.take<std::uint8_t>();
        if (!cie.pointer(how & 0x7f, unused)) return false;  // indirect or not: only its size
      } else if (*letter == 'L') {
        cie.skip(1);
      } else if (*letter == 'S') {
        entry.signal = true;
      } else {
        return false;
      }
    }
  } else {
    if (augmentation[0] != '\0') return false;
    entry.first_program = cie.at();
  }
  if (!fde.pointer(encoding, entry.begin) || !fde.pointer(encoding & 0x0f, entry.end)) return false;
  entry.end += entry.begin;
  if (augmentation[0] == 'z') {
    const std::uint64_t bytes = fde.uleb();
    fde.skip(bytes);
  }
  entry.program = fde.at();
  return true;
}

/// Runs a program of call frame instructions up to `pc`. `initial`: what "restore" goes back to.
void run(const Entry& entry, std::uintptr_t from, std::uintptr_t to, std::uintptr_t pc,
         Rules& rules, const Rules& initial) noexcept {
  constexpr unsigned kDeep = 8;
  Rules remembered[kDeep];
  unsigned depth = 0;
  std::uintptr_t place = entry.begin;
  Cursor code(from);
  const auto rule = [&](std::uint64_t index, Rules::Kind kind, std::int64_t offset) {
    if (index < Registers::kCount) rules.of[index] = {kind, offset};
  };
  const auto restore = [&](std::uint64_t index) {
    if (index < Registers::kCount) rules.of[index] = initial.of[index];
  };
  const auto scaled = [&](std::uint64_t factor) {
    return static_cast<std::int64_t>(factor) * entry.data_step;
  };
  while (code.at() < to && place <= pc && rules.usable) {
    const auto op = code.take<std::uint8_t>();
    const unsigned low = op & 0x3f;
    switch (op & 0xc0) {
      case 0x40: place += low * entry.code_step; continue;
      case 0x80: rule(low, Rules::Kind::at_offset, scaled(code.uleb())); continue;
      case 0xc0: restore(low); continue;
      default: break;
    }
    switch (low) {
      case 0x00: break;                                                         // nop
      case 0x02: place += code.take<std::uint8_t>() * entry.code_step; break;   // advance_loc1
      case 0x03: place += code.take<std::uint16_t>() * entry.code_step; break;  // advance_loc2
      case 0x04: place += code.take<std::uint32_t>() * entry.code_step; break;  // advance_loc4
      case 0x05: {                                                              // offset_extended
        const std::uint64_t index = code.uleb();
        rule(index, Rules::Kind::at_offset, scaled(code.uleb()));
        break;
      }
      case 0x06: restore(code.uleb()); break;                          // restore_extended
      case 0x07: rule(code.uleb(), Rules::Kind::undefined, 0); break;  // undefined
      case 0x08: rule(code.uleb(), Rules::Kind::same, 0); break;       // same_value
      case 0x0a:                                                       // remember_state
        if (depth == kDeep) {
          rules.usable = false;
        } else {
          remembered[depth++] = rules;
        }
        break;
      case 0x0b:  // restore_state
        if (depth == 0) {
          rules.usable = false;
        } else {
          rules = remembered[--depth];
        }
        break;
      case 0x0c:  // def_cfa
        rules.base = code.uleb();
        rules.base_offset = static_cast<std::int64_t>(code.uleb());
        break;
      case 0x0d: rules.base = code.uleb(); break;                                    // ..._register
      case 0x0e: rules.base_offset = static_cast<std::int64_t>(code.uleb()); break;  // ..._offset
      case 0x11: {  // offset_extended_sf
        const std::uint64_t index = code.uleb();
        rule(index, Rules::Kind::at_offset, code.sleb() * entry.data_step);
        break;
      }
      case 0x12:  // def_cfa_sf
        rules.base = code.uleb();
        rules.base_offset = code.sleb() * entry.data_step;
        break;
      case 0x13: rules.base_offset = code.sleb() * entry.data_step; break;  // def_cfa_offset_sf
      case 0x14: {                                                          // val_offset
        const std::uint64_t index = code.uleb();
        rule(index, Rules::Kind::is_offset, scaled(code.uleb()));
        break;
      }
      case 0x2e: code.uleb(); break;         // GNU_args_size
      default: rules.usable = false; break;  // expressions among them
    }
  }
}

/// The caller's registers. False: the tables do not say.
bool step_by_tables(Registers& registers, const StackImage& stack, bool exact,
                    bool& signal) noexcept {
  const std::uintptr_t pc = registers.value[Registers::kReturn] - (exact ? 0 : 1);
  const std::uintptr_t at = find_entry(pc);
  Entry entry;
  if (at == 0 || !parse(at, entry) || pc < entry.begin || pc >= entry.end) return false;
  signal = entry.signal;
#if defined(__x86_64__)
  if (signal) {
    // The handler has returned to its trampoline: the interrupted registers are next on the stack.
    static constexpr std::pair<unsigned, int> kOrder[] = {
        {0, REG_RAX},  {1, REG_RDX},  {2, REG_RCX},  {3, REG_RBX},  {4, REG_RSI},  {5, REG_RDI},
        {6, REG_RBP},  {7, REG_RSP},  {8, REG_R8},   {9, REG_R9},   {10, REG_R10}, {11, REG_R11},
        {12, REG_R12}, {13, REG_R13}, {14, REG_R14}, {15, REG_R15}, {16, REG_RIP}};
    const std::uintptr_t saved =
        registers.value[Registers::kStackPointer] + offsetof(ucontext_t, uc_mcontext.gregs);
    for (const auto& [index, in_context] : kOrder) {
      std::uintptr_t value = 0;
      if (!stack.read(saved + static_cast<unsigned>(in_context) * sizeof value, value))
        return false;
      registers.set(index, value);
    }
    return true;
  }
#endif
  Rules rules;
  const Rules none;
  run(entry, entry.first_program, entry.first_end, ~std::uintptr_t{0}, rules, none);
  const Rules initial = rules;
  run(entry, entry.program, entry.program_end, pc, rules, initial);
  if (!rules.usable || rules.base >= Registers::kCount ||
      !registers.has(static_cast<unsigned>(rules.base))) {
    return false;
  }
  const std::uintptr_t frame =
      registers.value[rules.base] + static_cast<std::uintptr_t>(rules.base_offset);
  Registers caller = registers;
  caller.known &= ~(std::uint64_t{1} << Registers::kReturn);
  for (unsigned i = 0; i < Registers::kCount; ++i) {
    const Rules::Rule& rule = rules.of[i];
    const std::uintptr_t place = frame + static_cast<std::uintptr_t>(rule.offset);
    std::uintptr_t value = 0;
    if (rule.kind == Rules::Kind::undefined) caller.known &= ~(std::uint64_t{1} << i);
    if (rule.kind == Rules::Kind::is_offset) caller.set(i, place);
    if (rule.kind == Rules::Kind::at_offset) {
      if (!stack.read(place, value)) return false;
      caller.set(i, value);
    }
  }
  if (!caller.has(Registers::kReturn)) caller.set(Registers::kReturn, 0);  // the outermost frame
  caller.set(Registers::kStackPointer, frame);
  registers = caller;
  return true;
}

/// Is this where a call returns to?
bool follows_call([[maybe_unused]] std::uintptr_t pc) noexcept {
#if defined(__x86_64__)
  const std::uintptr_t at = find_entry(pc - 1);
  Entry entry;
  if (at == 0 || !parse(at, entry) || pc - 1 < entry.begin || pc > entry.end) return false;
  const auto* code = reinterpret_cast<const unsigned char*>(pc);
  const auto room = pc - entry.begin;
  if (room >= 5 && code[-5] == 0xe8) return true;
  // Through a register or memory: ff /2, of two to seven bytes.
  for (std::uintptr_t length = 2; length <= 7 && length <= room; ++length) {
    const auto* call = code - length;
    if (call[0] == 0xff && (call[1] & 0x38) == 0x10) return true;
  }
#endif
  return false;
}

/// The frame pointer is not known: the nearest place that looks like the head of a frame.
bool guess_frame_pointer(Registers& registers, const StackImage& stack) noexcept {
  constexpr unsigned kWords = 512;
  std::uintptr_t at = registers.value[Registers::kStackPointer];
  for (unsigned i = 0; i < kWords; ++i, at += sizeof at) {
    std::uintptr_t next = 0;
    std::uintptr_t pc = 0;
    if (!stack.read(at, next) || !stack.read(at + sizeof at, pc)) return false;
    if (next <= at || next - stack.low >= stack.size || !follows_call(pc)) continue;
    registers.set(Registers::kFramePointer, at);
    return true;
  }
  return false;
}

bool step_by_frame_pointer(Registers& registers, const StackImage& stack) noexcept {
  if (!registers.has(Registers::kFramePointer) && !guess_frame_pointer(registers, stack)) {
    return false;
  }
  const std::uintptr_t frame = registers.value[Registers::kFramePointer];
  std::uintptr_t next = 0;
  std::uintptr_t pc = 0;
  if (frame % sizeof frame != 0 || frame < registers.value[Registers::kStackPointer] ||
      !stack.read(frame, next) || !stack.read(frame + sizeof frame, pc)) {
    return false;
  }
  registers.set(Registers::kFramePointer, next);
  registers.set(Registers::kStackPointer, frame + 2 * sizeof frame);
  registers.set(Registers::kReturn, pc);
  return true;
}

}  // namespace

Trace walk(Registers registers, const StackImage& stack) noexcept {
  Trace trace;
  bool exact = true;
  for (;;) {
    const std::uintptr_t pc = registers.value[Registers::kReturn];
    if (pc == 0) return trace;
    if (trace.count == Trace::kMost) {
      trace.cut = true;
      return trace;
    }
    trace.at[trace.count++] = pc;
    const std::uintptr_t before = registers.value[Registers::kStackPointer];
    bool signal = false;
    if (!step_by_tables(registers, stack, exact, signal)) {
      if (!step_by_frame_pointer(registers, stack)) return trace;
      if (trace.guessed_from == Trace::kMost) trace.guessed_from = trace.count;
    }
    // Callers stand above; a signal may have come on another stack.
    if (!signal && registers.value[Registers::kStackPointer] <= before && !exact) return trace;
    exact = signal;
  }
}

Registers registers_of([[maybe_unused]] const void* context) noexcept {
  Registers registers;
#if defined(__x86_64__)
  // Floating-point control words, r12 to r15, rbx, rbp, return address; builds of Boost.Context
  // with stack protection keep their canary before r12.
  std::uintptr_t words[9];
  std::memcpy(words, context, sizeof words);
  const auto base = reinterpret_cast<std::uintptr_t>(context);
  const unsigned shift = find_entry(words[7]) != 0 ? 0 : 1;
  constexpr unsigned kSaved[] = {12, 13, 14, 15, 3, 6, Registers::kReturn};
  for (unsigned i = 0; i < 7; ++i) registers.set(kSaved[i], words[1 + shift + i]);
  registers.set(Registers::kStackPointer, base + (8 + shift) * sizeof(std::uintptr_t));
#endif
  return registers;
}

}  // namespace paceline::core::machine
