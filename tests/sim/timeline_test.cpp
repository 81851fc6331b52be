// SPDX-License-Identifier: BSL-1.0
// Proves what a timeline keeps of what it is told, and what a report and a picture say of it.
#include "sim/timeline.hpp"

#include <algorithm>
#include <string>

#include "sim/picture.hpp"
#include "sim/report.hpp"
#include "support/catch.hpp"

using namespace paceline_sim;

namespace {

Timeline window(paceline::core::Nanos from, paceline::core::Nanos until) {
  Timeline timeline;
  timeline.open({.lanes = {{"core 0"}, {"core 1"}}, .from = from, .until = until});
  return timeline;
}

Report report_with(std::map<std::string, double> bounds) {
  return Report("demo", 42, "2P", "./dev sim --scenario demo --seed 42", std::move(bounds));
}

std::size_t count_of(const std::string& text, const std::string& part) {
  std::size_t count = 0;
  for (std::size_t at = text.find(part); at != std::string::npos; at = text.find(part, at + 1)) {
    ++count;
  }
  return count;
}

}  // namespace

TEST_CASE("equal neighbours are one segment and different ones are not") {
  Timeline timeline = window(0, 100);
  timeline.ran({0, 0, 10, 7});
  timeline.ran({1, 0, 10, 7});
  timeline.ran({0, 10, 20, 7});
  CHECK(timeline.segments().size() == 2);
  CHECK(timeline.segments()[0].to == 20);
  timeline.ran({0, 20, 30, 8});          // another task
  timeline.ran({0, 31, 40, 8});          // after a gap
  timeline.ran({0, 40, 50, 8, 3, 512});  // another speed
  timeline.ran({0, 50, 60, 8, 1, 512});  // another class
  CHECK(timeline.segments().size() == 6);
}

TEST_CASE("only what lies in the window and on a known lane is kept") {
  Timeline timeline = window(10, 20);
  timeline.ran({0, 0, 10, 1});
  timeline.ran({0, 20, 30, 1});
  timeline.ran({2, 12, 14, 1});
  CHECK(timeline.segments().empty());
  timeline.ran({0, 5, 25, 1});
  REQUIRE(timeline.segments().size() == 1);
  CHECK(timeline.segments()[0].from == 10);
  CHECK(timeline.segments()[0].to == 20);
}

TEST_CASE("a timeline that has too much ends where all lanes are whole") {
  const auto most = static_cast<paceline::core::Nanos>(Timeline::kMostSegments);
  Timeline timeline = window(0, 10 * most);
  for (paceline::core::Nanos at = 0; at < 2 * most; ++at) {
    timeline.ran({0, at, at + 1, static_cast<std::uint32_t>(at)});
    timeline.ran({1, at, at + 1, static_cast<std::uint32_t>(at)});
  }
  CHECK(timeline.segments().size() == Timeline::kMostSegments);
  CHECK(timeline.end() == most / 2);
  for (const Segment& s : timeline.segments()) CHECK(s.to <= timeline.end());
}

TEST_CASE("a failure names the check, the seed and the command, and a replaced bound decides") {
  Report good = report_with({});
  good.at_most("spread", 5, 8);
  good.at_least("share", 0.9, 0.5);
  good.equal("first", 270, 270);
  CHECK(good.ok());
  CHECK(good.failures().empty());
  Report bad = report_with({{"spread", 4}, {"sprad", 1}});
  bad.at_most("spread", 5, 8);
  CHECK_FALSE(bad.ok());
  const std::string message = bad.failures();
  for (const char* part : {"demo", "seed 42", "spread", "5 <= 4", "./dev sim --scenario demo"}) {
    INFO(part);
    CHECK(message.find(part) != std::string::npos);
  }
  CHECK(bad.unknown_bounds() == std::vector<std::string>{"sprad"});
  CHECK(bad.json().find("\"ok\": false") != std::string::npos);
}

TEST_CASE("a picture has a bar for each segment and says seed and command") {
  Timeline timeline = window(0, 1'000'000);
  for (std::uint32_t i = 0; i < 10; ++i) {
    timeline.ran({i % 2, i * 100'000, i * 100'000 + 50'000, i, static_cast<std::uint8_t>(i % 6)});
  }
  const std::string svg = svg_of(timeline, "a < b", report_with({}));
  CHECK(count_of(svg, "<rect class=") == 10 + 6);  // and the legend
  CHECK(count_of(svg, ">seed 42, ./dev sim --scenario demo --seed 42<") == 1);
  CHECK(svg.find("a &lt; b") != std::string::npos);
  CHECK(svg.find("core 1") != std::string::npos);
  const std::string html = html_of(timeline, "a < b", report_with({}));
  CHECK(html.find(svg) != std::string::npos);
}
