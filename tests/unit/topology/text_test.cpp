// SPDX-License-Identifier: BSL-1.0
// Proves the texts that describe machines, ours and hwloc's, from one processor to the most, and
// that every mistake is an exception that says what was expected.
#include <optional>
#include <stdexcept>

#include "unit/topology/whole.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

topology made(const std::string& text) {
  topology machine = topology::synthetic(text);
  expect_whole(machine);
  CHECK(machine.description() == text);
  CHECK_FALSE(machine.is_this_machine());
  return machine;
}

}  // namespace

TEST_CASE("4P+4E is two clusters of two kinds on one node") {
  const topology machine = made("4P+4E");
  REQUIRE(machine.clusters().size() == 2);
  CHECK(machine.kinds()[0].name == "P");
  CHECK(machine.kinds()[0].capacity == 1024);
  CHECK(machine.kinds()[1].name == "E");
  CHECK(machine.kinds()[1].capacity == 410);
  CHECK(machine.kinds_from() == topology::origin::configured);
  CHECK(machine.kinds()[1].capacity_from == topology::origin::configured);
  CHECK(machine.nodes().size() == 1);
  CHECK(machine.distance(0, 3) == 3);
  CHECK(machine.distance(0, 4) == 4);
}

TEST_CASE("stars make clusters, colons threads, and at signs capacities") {
  const topology machine = made("2*5P+1*4E@500+3L:4");
  REQUIRE(machine.clusters().size() == 4);
  CHECK(machine.clusters()[1].count == 5);
  CHECK(machine.clusters()[3].count == 12);
  CHECK(machine.kinds()[1].capacity == 500);
  CHECK(machine.kinds()[2].name == "L");
  CHECK(machine.cores()[14].sibling == 14);
  CHECK(machine.cores()[17].sibling == 14);
  CHECK(machine.cores()[18].sibling == 18);
}

TEST_CASE("one letter at two capacities is two kinds with two names") {
  const topology machine = made("2P+4M@760+2M@420+2E@230");
  REQUIRE(machine.kinds().size() == 4);
  CHECK(machine.kinds()[1].name == "M");
  CHECK(machine.kinds()[2].name == "M2");
}

TEST_CASE("2x20x2 is two packages with a node each, siblings beside each other") {
  const topology machine = made("2x20x2");
  CHECK(machine.cores().size() == 80);
  CHECK(machine.clusters().size() == 2);
  CHECK(machine.nodes().size() == 2);
  CHECK(machine.kinds().size() == 1);
  CHECK(machine.distance(0, 1) == 1);
  CHECK(machine.distance(0, 2) == 3);
  CHECK(machine.distance(0, 40) > 4);
}

TEST_CASE("packages repeat what stands in parentheses") {
  const topology machine = made("2x(2E+2*4P)");
  REQUIRE(machine.clusters().size() == 6);
  CHECK(machine.clusters()[3].die == 1);
  CHECK(machine.kinds()[1].cores == 4);
  CHECK(made("3x4P").clusters().size() == 3);
}

TEST_CASE("the smallest machine and very big ones are described alike") {
  CHECK(made("1").cores().size() == 1);
  CHECK(made("1P").cores().size() == 1);
  CHECK(made("pu:1").cores().size() == 1);
  CHECK(made("4096").cores().size() == 4096);
  CHECK(made("8x256x2").cores().size() == 4096);
  CHECK(made("2048P+2048E").cores().size() == 4096);
  CHECK(made("16384").cores().size() == 16384);
  const topology machine = made("package:8 l3:8 core:32 pu:2");
  CHECK(machine.cores().size() == 4096);
  CHECK(machine.clusters().size() == 64);
  CHECK(machine.to_svg().size() > 4096);
}

TEST_CASE("hwloc's own texts are understood, numbers and all") {
  const topology machine =
      made("numa:2 l3:2 core:2 pu:2(indexes=0,8,1,9,2,10,3,11,4,12,5,13,6,14,7,15)");
  CHECK(machine.clusters().size() == 4);
  CHECK(machine.cores()[1].cpu == 1);
  CHECK(machine.cores()[2].cpu == 8);
  CHECK(machine.cores()[2].sibling == 0);
  CHECK(machine.nodes().size() == 2);
  CHECK(machine.kinds().size() == 1);
}

TEST_CASE("a text that is no machine is refused with what was expected") {
  for (const char* wrong : {"",
                            "0",
                            "0P",
                            "P",
                            "4P+",
                            "+4P",
                            "4P4E",
                            "4p+4e",
                            "4Q",
                            "4P@",
                            "4P@0",
                            "4P@1025",
                            "4P:",
                            "4P:0",
                            "2x",
                            "x2",
                            "2x3x",
                            "2x3x4x5",
                            "2*P",
                            "2*",
                            "2x4P+4E",
                            "2x(4P+4E",
                            "2x4P)",
                            "(4P)",
                            "2x()",
                            "4P+4",
                            "16385",
                            "9999999999999999999999",
                            "1x1x16385",
                            "99x99x99",
                            "4P 4E",
                            " ",
                            "core:0",
                            "core",
                            "core:-1",
                            "package:2 core:x",
                            "package:16000 core:16000",
                            "pu:99999999999",
                            "a very long way of saying nothing"}) {
    INFO("'" << wrong << "'");
    CHECK_THROWS_AS(topology::synthetic(wrong), std::invalid_argument);
  }
  CHECK_THROWS_AS(topology::synthetic(std::string(1 << 20, '9')), std::invalid_argument);
  CHECK_THROWS_AS(topology::synthetic(std::string_view("4P\0+4E", 6)), std::invalid_argument);
  try {
    topology::synthetic("4P+4Q");
    FAIL("accepted");
  } catch (const std::invalid_argument& error) {
    INFO(error.what());
    CHECK(std::string(error.what()).find("'4P+4Q'") != std::string::npos);
  }
}

TEST_CASE("a file or a text is told by its name") {
  CHECK(topology::from_file_or_text(fixture("2x20x2")).cores().size() == 80);
  CHECK(topology::from_file_or_text("4P+4E").cores().size() == 8);
  CHECK_THROWS_AS(topology::from_file_or_text("no/such/file.xml"), std::system_error);
}

TEST_CASE("a topology is a value that outlives what it was copied from") {
  std::optional<topology> first(made("4P+4E"));
  const topology copy = *first;
  first.reset();
  CHECK(copy.cores().size() == 8);
  expect_whole(copy);
}
