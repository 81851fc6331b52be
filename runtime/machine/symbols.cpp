// SPDX-License-Identifier: BSL-1.0
// Names of addresses: from the symbol table in the module's file if it has one, which knows static
// functions as well, else from what the dynamic linker knows.
#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <memory>

#include <cxxabi.h>
#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <spdlog/fmt/fmt.h>

#include "machine/unwind.hpp"

namespace paceline::core::machine {

namespace {

using Header = ElfW(Ehdr);
using Section = ElfW(Shdr);
using Symbol = ElfW(Sym);

struct Loaded {
  std::uintptr_t address;
  std::uintptr_t base = 0;
  char path[512] = "";
};

int find_loaded(dl_phdr_info* info, std::size_t, void* raw) {
  auto& wanted = *static_cast<Loaded*>(raw);
  for (unsigned i = 0; i < info->dlpi_phnum; ++i) {
    const auto& header = info->dlpi_phdr[i];
    if (header.p_type != PT_LOAD) continue;
    if (wanted.address - (info->dlpi_addr + header.p_vaddr) >= header.p_memsz) continue;
    wanted.base = info->dlpi_addr;
    const bool program = info->dlpi_name == nullptr || info->dlpi_name[0] == '\0';
    std::strncpy(wanted.path, program ? "/proc/self/exe" : info->dlpi_name, sizeof wanted.path - 1);
    return 1;
  }
  return 0;
}

std::string demangled(const char* symbol) {
  int status = 0;
  const std::unique_ptr<char, void (*)(void*)> text(
      abi::__cxa_demangle(symbol, nullptr, nullptr, &status), &std::free);
  return status == 0 ? std::string(text.get()) : std::string(symbol);
}

std::string short_name(const char* path) {
  char target[512];
  if (std::strcmp(path, "/proc/self/exe") == 0) {
    const ::ssize_t got = ::readlink(path, target, sizeof target - 1);
    if (got <= 0) return "program";
    target[got] = '\0';
    path = target;
  }
  const char* slash = std::strrchr(path, '/');
  return slash == nullptr ? path : slash + 1;
}

}  // namespace

/// The functions of one module's file.
struct Symbols::Table {
  std::string path;
  const char* file = nullptr;  // mapped; null: not to be had
  std::size_t bytes = 0;
  const Symbol* symbols = nullptr;
  std::size_t count = 0;
  const char* names = nullptr;
  std::size_t name_bytes = 0;

  explicit Table(const char* its_path) : path(its_path) { load(); }
  Table(const Table&) = delete;
  Table& operator=(const Table&) = delete;
  ~Table() {
    if (file != nullptr) ::munmap(const_cast<char*>(file), bytes);
  }

  bool within(std::uint64_t offset, std::uint64_t size) const noexcept {
    return offset <= bytes && size <= bytes - offset;
  }

  void load() noexcept {
    const int handle = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
    if (handle < 0) return;
    struct stat status{};
    if (::fstat(handle, &status) == 0 && status.st_size > 0) {
      bytes = static_cast<std::size_t>(status.st_size);
      void* mapped = ::mmap(nullptr, bytes, PROT_READ, MAP_PRIVATE, handle, 0);
      if (mapped != MAP_FAILED) file = static_cast<const char*>(mapped);
    }
    ::close(handle);
    if (file != nullptr) find_tables();
  }

  void find_tables() noexcept {
    Header header;
    if (!within(0, sizeof header)) return;
    std::memcpy(&header, file, sizeof header);
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 ||
        header.e_shentsize != sizeof(Section) ||
        !within(header.e_shoff, std::uint64_t{header.e_shnum} * sizeof(Section))) {
      return;
    }
    const auto section = [&](std::size_t i) {
      Section found;
      std::memcpy(&found, file + header.e_shoff + i * sizeof found, sizeof found);
      return found;
    };
    for (std::size_t i = 0; i < header.e_shnum; ++i) {
      const Section table = section(i);
      if (table.sh_type != SHT_SYMTAB || table.sh_link >= header.e_shnum ||
          table.sh_offset % alignof(Symbol) != 0 || !within(table.sh_offset, table.sh_size)) {
        continue;
      }
      const Section strings = section(table.sh_link);
      if (!within(strings.sh_offset, strings.sh_size)) continue;
      symbols = reinterpret_cast<const Symbol*>(file + table.sh_offset);
      count = table.sh_size / sizeof(Symbol);
      names = file + strings.sh_offset;
      name_bytes = strings.sh_size;
    }
  }

  /// The function that covers this address of the file, or null; `into`: how far into it.
  const char* find(std::uintptr_t address, std::uintptr_t& into) const noexcept {
    for (std::size_t i = 0; i < count; ++i) {
      const Symbol& symbol = symbols[i];
      if ((symbol.st_info & 0xf) != STT_FUNC || symbol.st_name >= name_bytes) continue;
      if (address - symbol.st_value >= symbol.st_size) continue;
      const char* name = names + symbol.st_name;
      if (std::memchr(name, '\0', name_bytes - symbol.st_name) == nullptr) continue;
      into = address - symbol.st_value;
      return name;
    }
    return nullptr;
  }
};

Symbols::Symbols() = default;
Symbols::~Symbols() {
  for (Table* table : tables_) delete table;
}

Symbols::Table* Symbols::table_of(const char* path) {
  for (Table* table : tables_) {
    if (table->path == path) return table;
  }
  auto made = std::make_unique<Table>(path);
  tables_.push_back(made.get());
  return made.release();
}

const std::string& Symbols::describe(std::uintptr_t address, bool exact) {
  const auto [known, is_new] = known_.try_emplace({address, exact});
  if (is_new) known->second = look_up(address, exact);
  return known->second;
}

std::string Symbols::look_up(std::uintptr_t address, bool exact) {
  // A call may be the last instruction of a function that never returns.
  const std::uintptr_t place = exact || address == 0 ? address : address - 1;
  Loaded module{place};
  if (::dl_iterate_phdr(&find_loaded, &module) == 0) return fmt::format("{:#x}", address);
  std::uintptr_t into = 0;
  const char* name = table_of(module.path)->find(place - module.base, into);
  if (name == nullptr) {
    Dl_info info{};
    if (::dladdr(reinterpret_cast<void*>(place), &info) != 0 && info.dli_sname != nullptr) {
      name = info.dli_sname;
      into = place - reinterpret_cast<std::uintptr_t>(info.dli_saddr);
    }
  }
  const std::string where = short_name(module.path);
  if (name == nullptr)
    return fmt::format("{:#x} ({}+{:#x})", address, where, address - module.base);
  return fmt::format("{}+{:#x} ({})", demangled(name), into + (address - place), where);
}

std::string Symbols::lines(const Trace& trace, const char* indent) {
  std::string text;
  for (unsigned i = 0; i < trace.count; ++i) {
    const char* doubt = i >= trace.guessed_from ? " ?" : "";
    text += fmt::format("{}#{:<2} {}{}\n", indent, i, describe(trace.at[i], i == 0), doubt);
  }
  if (trace.cut) text += fmt::format("{}...\n", indent);
  return text;
}

}  // namespace paceline::core::machine
