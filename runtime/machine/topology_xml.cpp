// SPDX-License-Identifier: BSL-1.0
// A look at XML from a stranger before hwloc sees it. hwloc trusts its files: it recurses as deep
// as they nest and allocates what their numbers ask for.
#include <algorithm>
#include <charconv>
#include <set>
#include <stdexcept>

#include <spdlog/fmt/fmt.h>

#include "machine/topology_data.hpp"

namespace paceline::core::machine {

namespace {

// hwloc's own trees are about 20 deep; a big machine with its devices has some 50,000 objects.
constexpr unsigned kMaxDepth = 100;
constexpr std::size_t kMaxTags = 1'000'000;
// Of a set or a list in one attribute or element: 16 bits of number for each of 65,536 CPUs.
constexpr std::size_t kMaxValue = std::size_t{1} << 20;
constexpr std::uint64_t kMaxIndex = 65'535;

class Check {
 public:
  Check(const std::string& path, std::string_view text) : path_(path), text_(text) {}

  void run() {
    const std::size_t start = text_.find_first_not_of(" \t\r\n");
    if (start == std::string_view::npos) refuse("is empty");
    if (text_.find('\0') != std::string_view::npos || text_[start] != '<') refuse("is not XML");
    for (std::size_t at = start; at < text_.size();) {
      const std::size_t open = text_.find('<', at);
      if (open == std::string_view::npos) break;
      if (open - at > kMaxValue) refuse("has a value longer than any machine needs");
      at = tag(open);
    }
    if (!topology_seen_) refuse("holds no <topology>");
    if (depth_ != 0) refuse("ends in the middle");
  }

 private:
  [[noreturn]] void refuse(std::string_view why) const {
    throw std::invalid_argument(fmt::format(
        "topology::from_xml: '{}' {}; write it again with `lstopo --of xml FILE.xml`", path_, why));
  }

  std::size_t after(std::string_view end, std::size_t from) const {
    const std::size_t at = text_.find(end, from);
    if (at == std::string_view::npos) refuse("ends in the middle");
    return at + end.size();
  }

  /// From '<' to behind the tag.
  std::size_t tag(std::size_t open) {
    if (++tags_ > kMaxTags) refuse("has more elements than any machine needs");
    const std::string_view rest = text_.substr(open);
    if (rest.starts_with("<!--")) return after("-->", open);
    if (rest.starts_with("<?")) return after("?>", open);
    if (rest.starts_with("<!")) {
      const std::size_t end = after(">", open);
      // hwloc writes a bare document type. Entities are never ours, cyclic or not.
      if (!rest.starts_with("<!DOCTYPE") ||
          text_.substr(open, end - open).find('[') != std::string_view::npos) {
        refuse("declares entities or the like, which no hwloc file does");
      }
      return end;
    }
    if (rest.starts_with("</")) {
      if (depth_ == 0) refuse("closes an element that is not open");
      --depth_;
      return after(">", open);
    }
    return element(open);
  }

  std::size_t element(std::size_t open) {
    std::size_t at = text_.find_first_of(" \t\r\n/>", open);
    if (at == std::string_view::npos) refuse("ends in the middle");
    const std::string_view name = text_.substr(open + 1, at - open - 1);
    if (name == "topology" || name == "root") topology_seen_ = true;
    attributes_.clear();
    type_ = number_ = {};
    for (;;) {
      at = text_.find_first_not_of(" \t\r\n", at);
      if (at == std::string_view::npos) refuse("ends in the middle");
      const bool opens = text_[at] == '>';
      if (opens || text_.substr(at).starts_with("/>")) {
        if (name == "object") check_object();
        if (opens && ++depth_ > kMaxDepth) refuse("nests deeper than any machine does");
        return at + (opens ? 1 : 2);
      }
      at = attribute(at);
    }
  }

  std::size_t attribute(std::size_t at) {
    const std::size_t equals = text_.find_first_of("=<>", at);
    if (equals == std::string_view::npos || text_[equals] != '=') refuse("is not XML");
    std::string_view name = text_.substr(at, equals - at);
    name = name.substr(0, name.find_last_not_of(" \t\r\n") + 1);
    const std::size_t quote = text_.find_first_not_of(" \t\r\n", equals + 1);
    if (quote == std::string_view::npos) refuse("ends in the middle");
    if (text_[quote] != '"' && text_[quote] != '\'') refuse("is not XML");
    const std::size_t end = text_.find(text_[quote], quote + 1);
    if (end == std::string_view::npos) refuse("ends in the middle");
    const std::string_view text = text_.substr(quote + 1, end - quote - 1);
    value(name, text);
    attributes_.push_back(name);
    if (name == "type") type_ = text;
    if (name == "os_index") number_ = text;
    return end + 1;
  }

  bool has(std::string_view attribute) const {
    return std::find(attributes_.begin(), attributes_.end(), attribute) != attributes_.end();
  }

  /// What holds processors or memory says which; hwloc takes that for granted.
  void check_object() {
    if ((type_ == "Machine") != (depth_ == 1)) {
      refuse("does not hold one Machine with everything in it");
    }
    const bool device =
        type_ == "Misc" || type_ == "Bridge" || type_ == "PCIDev" || type_ == "OSDev";
    if (device) return;
    for (const std::string_view set :
         {"type", "cpuset", "complete_cpuset", "nodeset", "complete_nodeset"}) {
      if (!has(set))
        refuse(fmt::format("has an object of type '{}' without {}", type_.substr(0, 40), set));
    }
    if (type_ != "PU" && type_ != "NUMANode") return;
    if (!has("os_index")) refuse(fmt::format("has a {} without os_index", type_));
    if (!(type_ == "PU" ? pus_ : nodes_).insert(number_).second) {
      refuse(fmt::format("has {} {} twice", type_, number_));
    }
  }

  void value(std::string_view name, std::string_view text) const {
    if (text.size() > kMaxValue) refuse("has a value longer than any machine needs");
    if (name == "os_index" || name == "nbobjs") {
      std::uint64_t number = 0;
      const auto [at, error] = std::from_chars(text.data(), text.data() + text.size(), number);
      // "-1" is hwloc's way to say that there is none.
      if (text == "-1" || text == "4294967295") return;
      if (error != std::errc() || at != text.data() + text.size() || number > kMaxIndex) {
        refuse(fmt::format("has the {} '{}', which is no number up to {}", name, text.substr(0, 40),
                           kMaxIndex));
      }
    }
    if (name.ends_with("cpuset") || name.ends_with("nodeset")) check_set(name, text);
  }

  /// 32 bits for each comma: a set of more than 65,536 is none of ours. "0xf...f" is "all".
  void check_set(std::string_view name, std::string_view text) const {
    const auto commas = static_cast<std::uint64_t>(std::count(text.begin(), text.end(), ','));
    if (commas > (kMaxIndex + 1) / 32) {
      refuse(fmt::format("has a {} with more than {} processors", name, kMaxIndex + 1));
    }
    if (text.find_first_not_of("0123456789abcdefABCDEFxX,.") != std::string_view::npos) {
      refuse(fmt::format("has the {} '{}', which is no set", name, text.substr(0, 40)));
    }
  }

  const std::string& path_;
  const std::string_view text_;
  unsigned depth_ = 0;
  std::size_t tags_ = 0;
  bool topology_seen_ = false;
  std::vector<std::string_view> attributes_;  // of the element at hand
  std::string_view type_, number_;            // of the object at hand
  std::set<std::string_view> pus_, nodes_;    // by number
};

}  // namespace

void check_xml(const std::string& path, std::string_view text) { Check(path, text).run(); }

}  // namespace paceline::core::machine
