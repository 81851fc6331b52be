// SPDX-License-Identifier: BSL-1.0
#include "environment.hpp"

#include <cstring>
#include <fstream>

#include <elf.h>
#include <link.h>
#include <linux/perf_event.h>
#include <sched.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include <paceline/version.hpp>

#include "clock.hpp"

namespace coretest {

namespace {

std::string first_line(const char* path) {
  std::ifstream file(path);
  std::string line;
  std::getline(file, line);
  return line;
}

/// The linker's build id of this program, in hex.
std::string build_id() {
  std::string id;
  ::dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          if (segment.p_type != PT_NOTE) continue;
          const char* at = reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr);
          const char* const end = at + segment.p_memsz;
          while (at + sizeof(ElfW(Nhdr)) <= end) {
            const auto* note = reinterpret_cast<const ElfW(Nhdr)*>(at);
            const char* name = at + sizeof *note;
            const char* content = name + (note->n_namesz + 3) / 4 * 4;
            if (note->n_type == NT_GNU_BUILD_ID && std::strncmp(name, "GNU", 4) == 0) {
              for (unsigned b = 0; b < note->n_descsz; ++b) {
                *static_cast<std::string*>(out) +=
                    fmt::format("{:02x}", static_cast<unsigned char>(content[b]));
              }
              return 1;
            }
            at = content + (note->n_descsz + 3) / 4 * 4;
          }
        }
        return 1;  // the first object is the program itself
      },
      &id);
  return id;
}

std::string_view sanitizer() {
#if defined(__SANITIZE_THREAD__)
  return "thread";
#elif defined(__SANITIZE_ADDRESS__)
  return "address";
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
  return "thread";
#elif __has_feature(address_sanitizer)
  return "address";
#else
  return "none";
#endif
#else
  return "none";
#endif
}

std::string allowed_cpus() {
  cpu_set_t set;
  CPU_ZERO(&set);
  if (::sched_getaffinity(0, sizeof set, &set) != 0) return "unknown";
  std::string text;
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (CPU_ISSET(cpu, &set)) text += fmt::format("{}{}", text.empty() ? "" : ",", cpu);
  }
  return text;
}

/// Does this machine count cycles in hardware? Without it rr cannot record here.
bool has_pmu() {
  perf_event_attr wanted{};
  wanted.size = sizeof wanted;
  wanted.type = PERF_TYPE_HARDWARE;
  wanted.config = PERF_COUNT_HW_CPU_CYCLES;
  wanted.exclude_kernel = 1;
  const long descriptor = ::syscall(SYS_perf_event_open, &wanted, 0, -1, -1, 0);
  if (descriptor < 0) return false;
  ::close(static_cast<int>(descriptor));
  return true;
}

void number_or_null(JsonObject& header, std::string_view key, const std::string& text) {
  const bool digits = !text.empty() && text.find_first_not_of("0123456789") == std::string::npos;
  header.raw(key, digits ? text : "null");
}

}  // namespace

void describe_environment(JsonObject& header) {
  utsname system{};
  ::uname(&system);
  header.text("version", paceline::library_version());
  header.text("build_id", build_id());
#if defined(__clang__)
  header.text("compiler", "clang " __clang_version__);
#else
  header.text("compiler", "gcc " __VERSION__);
#endif
  header.text("flags", CORETEST_FLAGS);
  header.text("sanitizer", sanitizer());
  header.text("kernel", fmt::format("{} {} {}", system.sysname, system.release, system.machine));
  header.text("allowed_cpus", allowed_cpus());
  header.text("cgroup_cpu_max", first_line("/sys/fs/cgroup/cpu.max"));
  header.text("cgroup_memory_max", first_line("/sys/fs/cgroup/memory.max"));
  header.number("page_size", ::sysconf(_SC_PAGESIZE));
  number_or_null(header, "max_map_count", first_line("/proc/sys/vm/max_map_count"));
  number_or_null(header, "threads_max", first_line("/proc/sys/kernel/threads-max"));
  header.yes("pmu", has_pmu());
}

}  // namespace coretest
