// SPDX-License-Identifier: BSL-1.0
// Proves that files which are no machines end in an exception that names the file and says what to
// do: empty, truncated, cyclic, huge, deep, not XML, or a real one with bytes changed.
#include <filesystem>
#include <fstream>
#include <sstream>
#include <stdexcept>
#include <system_error>

#include <sys/stat.h>
#include <unistd.h>

#include "base/rng.hpp"
#include "support/sanitized.hpp"
#include "unit/topology/whole.hpp"

using namespace paceline;
using namespace paceline_test;

namespace {

/// A file with that text, gone with the object.
class File {
 public:
  explicit File(const std::string& text) {
    char name[] = "/tmp/paceline-topology-XXXXXX";
    const int descriptor = ::mkstemp(name);
    REQUIRE(descriptor >= 0);
    ::close(descriptor);
    path_ = name;
    std::ofstream(path_, std::ios::binary) << text;
  }
  File(const File&) = delete;
  File& operator=(const File&) = delete;
  ~File() { ::unlink(path_.c_str()); }
  const std::string& path() const { return path_; }

 private:
  std::string path_;
};

std::string text_of(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

void expect_refused(const std::string& text) {
  const File file(text);
  try {
    topology::from_xml(file.path());
    FAIL("accepted");
  } catch (const std::invalid_argument& error) {
    const std::string what = error.what();
    INFO(what);
    CHECK(what.find(file.path()) != std::string::npos);
    CHECK(
        (what.find("lstopo") != std::string::npos || what.find("processor") != std::string::npos));
    CHECK(what.size() < 500 + file.path().size());
  }
}

std::string machine_with(const std::string& inside) {
  return "<?xml version=\"1.0\"?>\n<!DOCTYPE topology SYSTEM \"hwloc2.dtd\">\n"
         "<topology version=\"2.0\">" +
         inside + "</topology>\n";
}

std::string repeated(const std::string& text, std::size_t times) {
  std::string all;
  all.reserve(text.size() * times);
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

}  // namespace

TEST_CASE("a file that cannot be read is a system error that names it") {
  for (const char* path : {"/no/such/machine.xml", "/", ""}) {
    try {
      topology::from_xml(path);
      FAIL("accepted");
    } catch (const std::system_error& error) {
      CHECK(std::string(error.what()).find(std::string("'") + path + "'") != std::string::npos);
      CHECK(error.code().value() != 0);
    }
  }
}

TEST_CASE("a pipe and a device are refused, and nobody waits for what they might write") {
  const File file("");
  const std::string pipe = file.path() + ".xml";
  REQUIRE(::mkfifo(pipe.c_str(), 0600) == 0);
  for (const std::string& path : {pipe, std::string("/dev/zero")}) {
    try {
      topology::from_xml(path);
      FAIL_CHECK("accepted");
    } catch (const std::invalid_argument& error) {
      const std::string what = error.what();
      CHECK(what.find("'" + path + "' is no regular file") != std::string::npos);
      CHECK(what.find("lstopo") != std::string::npos);
    }
  }
  CHECK_THROWS_AS(topology::from_file_or_text(pipe), std::invalid_argument);
  ::unlink(pipe.c_str());
}

TEST_CASE("empty files and files of another sort are refused") {
  expect_refused("");
  expect_refused(" \n\t ");
  expect_refused("4P+4E");
  expect_refused(
      "\x7f"
      "ELF and so on");
  expect_refused(std::string(1000, '\0'));
  expect_refused("{\"machine\": 1}");
  expect_refused("<html><body>no</body></html>");
  expect_refused("<?xml version=\"1.0\"?>");
  expect_refused(machine_with(""));
  expect_refused("<topology version=\"9.9\"><object type=\"Machine\"/></topology>");
}

TEST_CASE("entities are refused, whether they are cyclic, explode or only stand there") {
  const std::string object = "<object type=\"Machine\" cpuset=\"&a;\"/>";
  const auto with = [&](const std::string& entities) {
    return "<?xml version=\"1.0\"?>\n<!DOCTYPE topology [" + entities +
           "]>\n<topology version=\"2.0\">" + object + "</topology>\n";
  };
  expect_refused(with("<!ENTITY a \"&b;\"><!ENTITY b \"&a;\">"));
  expect_refused(with("<!ENTITY a SYSTEM \"file:///etc/passwd\">"));
  std::string bomb = "<!ENTITY z \"ha\">";
  for (char c = 'y'; c >= 'a'; --c) {
    bomb += std::string("<!ENTITY ") + c + " \"" +
            repeated(std::string("&") + static_cast<char>(c + 1) + ";", 10) + "\">";
  }
  expect_refused(with(bomb));
  expect_refused(machine_with("<![CDATA[ x ]]>"));
}

TEST_CASE("what is larger or deeper than any machine is refused before it is built") {
  expect_refused(machine_with(repeated("<object type=\"Group\">", 100'000)));
  expect_refused(
      machine_with(repeated("<object type=\"Group\">", 5'000) + repeated("</object>", 5'000)));
  expect_refused(machine_with(repeated("<a/>", 1'100'000)));
  expect_refused(machine_with("<object type=\"PU\" os_index=\"4000000000\"/>"));
  expect_refused(machine_with("<object type=\"PU\" os_index=\"1e9\"/>"));
  expect_refused(machine_with("<object type=\"Machine\" cpuset=\"" +
                              repeated("0xffffffff,", 60'000) + "\"/>"));
  expect_refused(
      machine_with("<object type=\"Machine\" cpuset=\"" + std::string(2'000'000, 'f') + "\"/>"));
  expect_refused(machine_with(std::string(std::size_t{66} << 20, ' ')));
}

TEST_CASE("a machine without processors that may be used is refused") {
  std::string text = text_of(fixture("cgroup"));
  const std::string allowed = "allowed_cpuset=\"0x0000003c\"";
  REQUIRE(text.find(allowed) != std::string::npos);
  text.replace(text.find(allowed), allowed.size(), "allowed_cpuset=\"0x00000000\"");
  expect_refused(text);
}

TEST_CASE("a real file that ends anywhere before its end is refused") {
  const std::string text = text_of(fixture("m4-pro-12p-4e"));
  const std::size_t end = text.rfind("</topology>");
  for (std::size_t length = 0; length < end; length += 97) {
    INFO("cut to " << length << " bytes");
    expect_refused(text.substr(0, length));
  }
}

TEST_CASE("real files with bytes changed are refused or give a whole machine, never worse") {
  core::Rng rng(0x70b0);
  const int rounds = kSanitized ? 100 : 400;
  int refused = 0, accepted = 0;
  for (const char* name : {"m4-pro-12p-4e", "6p-8e-smt", "ring-of-4-nodes", "cgroup", "offline"}) {
    const std::string original = text_of(fixture(name));
    for (int round = 0; round < rounds; ++round) {
      std::string text = original;
      const auto changes = 1 + rng.below(4);
      for (std::uint64_t i = 0; i < changes; ++i) {
        const auto at = static_cast<std::size_t>(rng.below(text.size()));
        switch (rng.below(4)) {
          case 0: text[at] = static_cast<char>(rng.below(256)); break;
          case 1: text[at] = "0123456789abcdef\"<>/= "[rng.below(22)]; break;
          case 2: text.erase(at, 1 + rng.below(40)); break;
          default: text.insert(at, text.substr(rng.below(text.size()), rng.below(60)));
        }
      }
      const File file(text);
      try {
        expect_whole(topology::from_xml(file.path()));
        ++accepted;
      } catch (const std::invalid_argument&) {
        ++refused;
      }
    }
  }
  CHECK(refused > rounds);
  CHECK(accepted > rounds / 10);
}
