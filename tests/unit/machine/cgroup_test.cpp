// SPDX-License-Identifier: BSL-1.0
// Proves how much CPU time the cgroup grants, on synthetic trees: both versions, nested groups,
// unlimited, malformed and missing files.
#include "machine/cgroup.hpp"

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <string>

#include "support/catch.hpp"

using namespace paceline::core::machine::cgroup;
namespace fs = std::filesystem;

namespace {

/// A directory that looks like /sys/fs/cgroup, and a file that looks like /proc/self/cgroup.
class Tree {
 public:
  Tree() {
    std::string name = (fs::temp_directory_path() / "paceline-cgroup-XXXXXX").string();
    REQUIRE(::mkdtemp(name.data()) != nullptr);
    root_ = name;
  }
  ~Tree() { fs::remove_all(root_); }
  Tree(const Tree&) = delete;
  Tree& operator=(const Tree&) = delete;

  Tree& file(const std::string& path, const std::string& text) {
    const fs::path full = root_ / "mount" / path;
    fs::create_directories(full.parent_path());
    std::ofstream(full) << text;
    return *this;
  }
  Tree& v2(const std::string& group, const std::string& cpu_max) {
    return file(group + "/cpu.max", cpu_max);
  }
  Tree& v1(const std::string& group, const std::string& quota, const std::string& period) {
    file("cpu/" + group + "/cpu.cfs_quota_us", quota);
    return file("cpu/" + group + "/cpu.cfs_period_us", period);
  }
  std::optional<double> quota(const std::string& membership) {
    const fs::path self = root_ / "self";
    std::ofstream(self) << membership;
    return cpu_quota(self.string(), (root_ / "mount").string());
  }

 private:
  fs::path root_;
};

}  // namespace

TEST_CASE("cpu.max is a quota and a period in one line") {
  REQUIRE(parse_cpu_max("150000 100000") == 1.5);
  REQUIRE(parse_cpu_max("50000 100000\n") == 0.5);
  REQUIRE(parse_cpu_max("400000 100000") == 4.0);
  REQUIRE(parse_cpu_max("1000 1000000") == 0.001);
}

TEST_CASE("cpu.max without a limit or without sense is no limit") {
  for (const char* text :
       {"max 100000", "max", "", " ", "\n", "100000", "abc 100000", "100000 abc", "0 100000",
        "-1 100000", "100000 0", "100000 -5", "nan 100000", "100000 nan", "maximum 100000",
        "99999999999999999999e999999 1", "12x 100000", "100000 100000x"}) {
    INFO("'" << text << "'");
    REQUIRE_FALSE(parse_cpu_max(text).has_value());
  }
}

TEST_CASE("the limit of the own group counts in version 2") {
  Tree tree;
  tree.v2("user/session", "200000 100000");
  REQUIRE(tree.quota("0::/user/session\n") == 2.0);
}

TEST_CASE("the tightest limit on the way to the root counts") {
  Tree tree;
  tree.v2("a/b/c", "300000 100000")
      .v2("a/b", "max 100000")
      .v2("a", "150000 100000")
      .v2(".", "800000 100000");
  REQUIRE(tree.quota("0::/a/b/c\n") == 1.5);
  REQUIRE(tree.quota("0::/a\n") == 1.5);
  REQUIRE(tree.quota("0::/other\n") == 8.0);
  REQUIRE(tree.quota("0::/\n") == 8.0);
}

TEST_CASE("a group that the mount does not show leaves the limits above it") {
  // In a container the path is that of the host, and only the root is visible.
  Tree tree;
  tree.v2(".", "250000 100000");
  REQUIRE(tree.quota("0::/docker/0123456789abcdef/init\n") == 2.5);
  REQUIRE(tree.quota("0::/../../above\n") == 2.5);
}

TEST_CASE("no limit anywhere is no limit") {
  Tree tree;
  tree.v2("a", "max 100000").v2(".", "max 100000");
  REQUIRE_FALSE(tree.quota("0::/a\n").has_value());
  REQUIRE_FALSE(Tree().quota("0::/a\n").has_value());
  REQUIRE_FALSE(Tree().quota("").has_value());
  REQUIRE_FALSE(cpu_quota("/does/not/exist", "/neither/does/this").has_value());
}

TEST_CASE("version 1 has quota and period in two files") {
  Tree tree;
  tree.v1("job", "50000", "100000").v1(".", "-1", "100000");
  REQUIRE(tree.quota("4:cpu:/job\n") == 0.5);
  REQUIRE_FALSE(tree.quota("4:cpu:/\n").has_value());
}

TEST_CASE("version 1 nests like version 2") {
  Tree tree;
  tree.v1("a/b", "400000", "100000").v1("a", "100000", "50000").v1(".", "-1", "100000");
  REQUIRE(tree.quota("4:cpu:/a/b\n") == 2.0);
}

TEST_CASE("the cpu controller of version 1 is found among others and not mistaken") {
  Tree tree;
  tree.v1("job", "300000", "100000");
  for (const char* line : {"4:cpu:/job\n", "4:cpu,cpuacct:/job\n", "4:cpuacct,cpu:/job\n",
                           "4:blkio,cpu,memory:/job\n"}) {
    REQUIRE(tree.quota(line) == 3.0);
  }
  for (const char* line : {"4:cpuset:/job\n", "4:cpuacct:/job\n", "4:memory:/job\n",
                           "1:name=cpu:/job\n", "4:notcpu,cpux:/job\n"}) {
    REQUIRE_FALSE(tree.quota(line).has_value());
  }
}

TEST_CASE("version 1 with half of its files or with nonsense in them is no limit") {
  for (const char* bad : {"", "abc", "-1", "0", "nan"}) {
    REQUIRE_FALSE(Tree().v1("j", bad, "100000").quota("4:cpu:/j\n").has_value());
    REQUIRE_FALSE(Tree().v1("j", "100000", bad).quota("4:cpu:/j\n").has_value());
  }
  Tree only_quota;
  only_quota.file("cpu/j/cpu.cfs_quota_us", "50000");
  REQUIRE_FALSE(only_quota.quota("4:cpu:/j\n").has_value());
}

TEST_CASE("where both versions are mounted the tighter one counts") {
  Tree tree;
  tree.v1("one", "300000", "100000").v2("two", "200000 100000");
  REQUIRE(tree.quota("5:memory:/x\n4:cpu,cpuacct:/one\n0::/two\n") == 2.0);
  REQUIRE(tree.quota("0::/two\n4:cpu:/one\n") == 2.0);
  tree.v1("one", "100000", "100000");
  REQUIRE(tree.quota("4:cpu:/one\n0::/two\n") == 1.0);
}

TEST_CASE("lines that are no membership are passed over") {
  Tree tree;
  tree.v2("a", "200000 100000");
  REQUIRE(tree.quota("\nnonsense\n:\n::\n7\n4:cpu\n0::/a") == 2.0);
}

TEST_CASE("a group whose name has colons is found") {
  Tree tree;
  tree.v2("a:b:c", "700000 100000");
  REQUIRE(tree.quota("0::/a:b:c\n") == 7.0);
}
