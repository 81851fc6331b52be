// SPDX-License-Identifier: BSL-1.0
// Proves how clues become kinds: what is merged, what is ranked, what a capacity rests on; and that
// the system's files are read as they are, present or not.
#include <filesystem>
#include <fstream>
#include <stdexcept>

#include <unistd.h>

#include "machine/topology_data.hpp"
#include "support/catch.hpp"

using namespace paceline;
using namespace paceline::core::machine;

namespace {

KindClue clue(std::vector<unsigned> cpus) {
  KindClue made;
  made.cpus = std::move(cpus);
  return made;
}

KindClue clocked(std::vector<unsigned> cpus, unsigned most, std::optional<unsigned> base = {}) {
  KindClue made = clue(std::move(cpus));
  made.clock_max = most;
  made.clock_base = base;
  return made;
}

/// A folder that stands for the root of a system, and goes with the object.
class Root {
 public:
  Root() {
    char name[] = "/tmp/paceline-sysfs-XXXXXX";
    REQUIRE(::mkdtemp(name) != nullptr);
    path_ = name;
  }
  Root(const Root&) = delete;
  Root& operator=(const Root&) = delete;
  ~Root() {
    std::error_code ignored;
    std::filesystem::remove_all(path_, ignored);
  }
  void write(const std::string& file, const std::string& text) const {
    const std::filesystem::path path = path_ + "/sys/devices/" + file;
    std::filesystem::create_directories(path.parent_path());
    std::ofstream(path) << text << '\n';
  }
  void write_cpu(unsigned cpu, const std::string& file, const std::string& text) const {
    write("system/cpu/cpu" + std::to_string(cpu) + "/" + file, text);
  }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

using Cpus = std::vector<unsigned>;

}  // namespace

TEST_CASE("clocks that differ by a tenth are two kinds, by less one") {
  CHECK(settle_kinds({clocked({0}, 5000, 1900), clocked({1}, 4501, 1900)}).kinds.size() == 1);
  CHECK(settle_kinds({clocked({0}, 5000, 1900), clocked({1}, 4500, 1900)}).kinds.size() == 2);
  CHECK(settle_kinds({clocked({0}, 5000, 1900), clocked({1}, 4900, 1400)}).kinds.size() == 2);
  CHECK(settle_kinds({clocked({0}, 5000), clocked({1}, 4900)}).kinds.size() == 1);
}

TEST_CASE("jitter does not add up along a row of clocks") {
  std::vector<KindClue> row;
  for (unsigned i = 0; i < 20; ++i) row.push_back(clocked({i}, 5000 - 100 * i, 2000));
  const SettledKinds settled = settle_kinds(row);
  CHECK(settled.kinds.size() == 5);
  CHECK(settled.cpus[0] == Cpus{0, 1, 2, 3, 4});
}

TEST_CASE("the capacity of a group is the least in it and is not rounded up") {
  std::vector<KindClue> clues;
  for (const unsigned capacity : {718u, 731u, 997u, 1017u, 1024u}) {
    KindClue made = clue({capacity});
    made.capacity = capacity;
    made.model = capacity < 800 ? "mid" : "big";
    clues.push_back(made);
  }
  const SettledKinds settled = settle_kinds(clues);
  REQUIRE(settled.kinds.size() == 2);
  CHECK(settled.kinds[0].capacity == 997);
  CHECK(settled.kinds[1].capacity == 718);
  CHECK(settled.cpus[0] == Cpus{997, 1017, 1024});
}

TEST_CASE("one model at two speeds is two kinds") {
  KindClue fast = clue({0}), slow = clue({1});
  fast.model = slow.model = "same";
  fast.capacity = 760;
  slow.capacity = 420;
  CHECK(settle_kinds({fast, slow}).kinds.size() == 2);
}

TEST_CASE("different models or types are never merged, however equal their figures") {
  KindClue a = clocked({0}, 3000), b = clocked({1}, 3000);
  a.model = "one";
  b.model = "other";
  CHECK(settle_kinds({a, b}).kinds.size() == 2);
  a.model = b.model = "";
  a.type = "IntelAtom";
  b.type = "IntelCore";
  const SettledKinds settled = settle_kinds({a, b});
  REQUIRE(settled.kinds.size() == 2);
  CHECK(settled.cpus[0] == Cpus{1});
  // Equal clocks say nothing of what is done in a cycle: half is assumed, and said to be.
  CHECK(settled.kinds[1].capacity == 512);
  CHECK(settled.kinds[1].capacity_from == topology::origin::assumed);
}

TEST_CASE("efficiencies rank if all differ, and nobody is ranked by equal ones") {
  KindClue a = clue({0}), b = clue({1}), c = clue({2});
  a.efficiency = 0;
  b.efficiency = 2;
  c.efficiency = 1;
  const SettledKinds ranked = settle_kinds({a, b, c});
  REQUIRE(ranked.kinds.size() == 3);
  CHECK(ranked.cpus[0] == Cpus{1});
  CHECK(ranked.cpus[2] == Cpus{0});
  CHECK(ranked.kinds[2].capacity == 256);
  CHECK(ranked.kinds[0].name == "P");
  CHECK(ranked.kinds[1].name == "M");
  CHECK(ranked.kinds[2].name == "E");
  c.efficiency = 2;
  const SettledKinds unranked = settle_kinds({a, b, c});
  REQUIRE(unranked.kinds.size() == 3);
  for (const auto& kind : unranked.kinds) CHECK(kind.rank == 0);
}

TEST_CASE("no clues are no kinds, and clues without CPUs are none") {
  CHECK(settle_kinds({}).kinds.empty());
  CHECK(settle_kinds({clue({})}).kinds.empty());
}

TEST_CASE("a list of kinds gives CPUs and capacities, and every mistake is named") {
  const auto clues = parse_kind_list("0-2,8=1024;4=400");
  REQUIRE(clues.size() == 2);
  CHECK(clues[0].cpus == Cpus{0, 1, 2, 8});
  CHECK(clues[1].capacity == 400);
  for (const char* wrong :
       {"", ";", "0", "0=", "=5", "0=0", "0=1025", "3-1=5", "0-=5", "-1=5", "0=1;0=2", "0,0=5",
        "0 = 5", "0-99999999999=5", "0=5;", "x=5", "0-1048577=5"}) {
    INFO(wrong);
    if (std::string(wrong) == "0=5;") {
      CHECK(parse_kind_list(wrong).size() == 1);
    } else {
      CHECK_THROWS_AS(parse_kind_list(wrong), std::invalid_argument);
    }
  }
}

TEST_CASE("the system's lists of Intel's core types are read") {
  const Root root;
  root.write("cpu_core/cpus", "0-3");
  root.write("cpu_atom/cpus", "4,5-6");
  root.write("cpu_lowpower/cpus", "7");
  const auto clues = system_clues(root.path(), {0, 1, 2, 3, 4, 5, 6, 7});
  REQUIRE(clues.size() == 3);
  CHECK(clues[0].type == "IntelCore");
  CHECK(clues[1].cpus == Cpus{4, 5, 6});
  CHECK(clues[2].type == "IntelLowPower");
  const SettledKinds settled = settle_kinds(clues);
  REQUIRE(settled.kinds.size() == 3);
  CHECK(settled.kinds[0].cores == 4);
}

TEST_CASE("the system's Arm files give model and capacity, whatever the revision") {
  const Root root;
  for (unsigned cpu = 0; cpu < 4; ++cpu) {
    root.write_cpu(cpu, "cpu_capacity", cpu < 2 ? "718" : "731");
    root.write_cpu(cpu, "regs/identification/midr_el1",
                   cpu < 2 ? "0x00000000410fd871" : "0x00000000411fd870");
  }
  root.write_cpu(4, "cpu_capacity", "1024");
  root.write_cpu(4, "regs/identification/midr_el1", "0x00000000410fd850");
  const SettledKinds settled = settle_kinds(system_clues(root.path(), {0, 1, 2, 3, 4}));
  REQUIRE(settled.kinds.size() == 2);
  CHECK(settled.kinds[1].cores == 4);
  CHECK(settled.kinds[1].capacity == 718);
}

TEST_CASE("favoured cores by the system's clocks are one kind, with either base clock") {
  for (const char* base : {"cpufreq/base_frequency", "acpi_cppc/nominal_freq"}) {
    const Root root;
    for (unsigned cpu = 0; cpu < 4; ++cpu) {
      root.write_cpu(cpu, "cpufreq/cpuinfo_max_freq", cpu == 0 ? "5200000" : "5000000");
      root.write_cpu(cpu, base, base[0] == 'c' ? "1900000" : "1900");
    }
    CHECK(settle_kinds(system_clues(root.path(), {0, 1, 2, 3})).kinds.size() == 1);
  }
}

TEST_CASE("a system without such files, or with rubbish in them, tells nothing apart") {
  const Root root;
  CHECK(system_clues(root.path(), {0, 1}).size() == 1);
  root.write("cpu_core/cpus", "0-4294967295,x,3");
  root.write_cpu(0, "cpu_capacity", "-5");
  root.write_cpu(1, "cpu_capacity", "99999999999999999999");
  root.write_cpu(0, "regs/identification/midr_el1", "nothing");
  root.write_cpu(1, "cpufreq/cpuinfo_max_freq", "0");
  CHECK(system_clues(root.path(), {0, 1}).size() == 1);
}

TEST_CASE("a model that only the system knows parts or joins what the library says") {
  KindClue all = clue({0, 1, 2, 3});
  all.capacity = 1000;
  KindClue big = clue({0, 1}), mid = clue({2});
  big.model = "big";
  mid.model = "mid";
  const auto parted = complete_clues({all}, {big, mid});
  REQUIRE(parted.size() == 3);
  CHECK(parted[0].cpus == Cpus{0, 1});
  CHECK(parted[0].model == "big");
  CHECK(parted[1].model == "mid");
  CHECK(parted[2].cpus == Cpus{3});
  CHECK(parted[2].capacity == 1000);
}
