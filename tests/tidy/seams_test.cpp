// SPDX-License-Identifier: BSL-1.0
// Proves that atomics, locks, threads, clocks and thread-locals are named in the seams only
// (decisions D11 and D12): runtime/base, runtime/machine and the public atomics header.
#include <regex>

#include "tidy/tree.hpp"

using namespace paceline_tidy;

namespace {

struct Ban {
  const char* what;
  const char* pattern;
};

// Built at run time from pieces is not needed: the checks look at runtime/ and include/ only.
constexpr Ban kBans[] = {
    {"an atomic", R"(\bstd::atomic\w*|\b_Atomic\b|__atomic_\w+|__sync_\w+)"},
    {"a lock", R"(\bstd::(recursive_|shared_|timed_|recursive_timed_|shared_timed_)?mutex\b)"},
    {"a lock", R"(\bstd::(lock_guard|unique_lock|scoped_lock|shared_lock|once_flag|call_once)\b)"},
    {"a lock",
     R"(\bstd::(condition_variable\w*|latch|barrier|counting_semaphore|binary_semaphore)\b)"},
    {"a thread", R"(\bstd::(j?thread|this_thread|async|future|promise)\b|\bpthread_\w+)"},
    {"a thread-local", R"(\bthread_local\b|\b__thread\b)"},
    {"a clock", R"(\b(steady_clock|system_clock|high_resolution_clock|utc_clock)\b)"},
    {"a clock", R"(\b(clock_gettime|gettimeofday|clock_nanosleep|nanosleep|usleep|timerfd_\w+)\b)"},
    {"a seam's header",
     R"(#\s*include\s*<(atomic|mutex|shared_mutex|condition_variable|thread|semaphore|latch|barrier|future|stdatomic\.h|pthread\.h|time\.h|ctime)>)"},
};

bool is_seam(const File& file) {
  return file.under("runtime/base/") || file.under("runtime/machine/") ||
         file.path == "include/paceline/detail/atomic.hpp" ||
         file.path == "include/paceline/detail/safepoint.hpp";  // a safepoint is inline
}

Complaints check_seams(const File& file) {
  Complaints found;
  if (is_seam(file)) return found;
  const std::string code = code_only(file.text);
  for (const Ban& ban : kBans) {
    const std::regex pattern(ban.pattern);
    for (std::sregex_iterator at(code.begin(), code.end(), pattern), end; at != end; ++at) {
      // The public time header takes deadlines as time points of the steady clock: a type, no call.
      if (file.path == "include/paceline/time.hpp" && at->str() == "steady_clock") continue;
      found.push_back(file.path + ":" +
                      std::to_string(line_of(code, static_cast<std::size_t>(at->position()))) +
                      ": names " + ban.what + " (" + at->str() + ") outside the seams");
    }
  }
  return found;
}

}  // namespace

TEST_CASE("nobody passes by the seams of atomics, locks, threads and clocks") {
  auto files = cpp_files("runtime/");
  const auto headers = cpp_files("include/");
  files.insert(files.end(), headers.begin(), headers.end());
  REQUIRE(files.size() > 60);
  require_clean(files, check_seams);
}

TEST_CASE("thread-local records are the runtime's, that of safepoints and the lock detector's") {
  std::size_t found = 0;
  for (const File& file : cpp_files("runtime/")) {
    const std::string code = code_only(file.text);
    for (std::size_t at = 0; (at = code.find("thread_local", at)) != std::string::npos; ++at) {
      const std::size_t statement = code.find_last_of(";}", at);
      // A declaration for other files is no second record.
      if (code.find("extern", statement == std::string::npos ? 0 : statement) > at) ++found;
      REQUIRE(file.under("runtime/machine/"));
    }
  }
  REQUIRE(found == 3);
}

TEST_CASE("no public header calls a clock") {
  for (const File& file : cpp_files("include/")) {
    INFO(file.path);
    REQUIRE(code_only(file.text).find("::now(") == std::string::npos);
  }
}

TEST_CASE("the seam check sees what is banned and nothing in comments or literals") {
  const auto complaints = [](const char* text) {
    return check_seams({"runtime/exec/x.cpp", text}).size();
  };
  REQUIRE(complaints("std::atomic<int> a;") == 1);
  REQUIRE(complaints("std::atomic_flag f;") == 1);
  REQUIRE(complaints("std::atomic_thread_fence(x);") == 1);
  REQUIRE(complaints("std::mutex m; std::lock_guard<M> g(m);") == 2);
  REQUIRE(complaints("std::thread t; std::jthread u;") == 2);
  REQUIRE(complaints("static thread_local int x;") == 1);
  REQUIRE(complaints("auto t = std::chrono::steady_clock::now();") == 1);
  REQUIRE(complaints("#include <atomic>\n") == 1);
  REQUIRE(complaints("a.load(std::memory_order_acquire);") == 0);
  REQUIRE(complaints("// std::atomic in a comment\n/* std::mutex */ f(\"std::thread\");") == 0);
  REQUIRE(complaints("int n = 1'000; // it's\nstd::atomic<int> a;") == 1);
  REQUIRE(complaints("auto s = R\"x(std::mutex)x\"; std::mutex m;") == 1);
  REQUIRE(check_seams({"runtime/base/x.hpp", "std::atomic<int> a;"}).empty());
  REQUIRE(check_seams({"runtime/machine/x.cpp", "thread_local int a;"}).empty());
  REQUIRE(check_seams({"include/paceline/time.hpp", "std::chrono::steady_clock c;"}).empty());
  REQUIRE(check_seams({"include/paceline/task.hpp", "std::chrono::steady_clock c;"}).size() == 1);
}
