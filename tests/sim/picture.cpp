// SPDX-License-Identifier: BSL-1.0
#include "sim/picture.hpp"

#include <algorithm>
#include <set>
#include <vector>

#include <paceline/qos.hpp>

#include <spdlog/fmt/fmt.h>

namespace paceline_sim {

using paceline::core::Nanos;

namespace {

// All in pixels.
constexpr double kLeft = 210;  // the names of the rows
constexpr double kPlot = 970;
constexpr double kRight = 34;  // half of the last time
constexpr double kWidth = kLeft + kPlot + kRight;
constexpr double kTop = 62;
constexpr double kRow = 22;
constexpr double kBar = 18;
constexpr double kNameWidth = 24;  // of a segment in which its task's number has room
constexpr std::size_t kMostTips = 1500;

/// Apart from each other for eyes that see few colours, too; dark text can be read on each.
constexpr const char* kClassColours[] = {"#b794f4", "#fc8181", "#f6ad55",
                                         "#63b3ed", "#68d391", "#a0aec0"};
constexpr const char* kOtherColours[] = {"#63b3ed", "#f6ad55", "#68d391", "#fc8181",
                                         "#b794f4", "#f6e05e", "#4fd1c5", "#f687b3",
                                         "#a0aec0", "#c6a37c", "#9ae6b4", "#90cdf4"};

class Drawing {
 public:
  Drawing(const Timeline& timeline, std::string_view what, const Report& report)
      : timeline_(timeline), look_(timeline.look()), what_(what), report_(report) {
    if (look_.legend.empty()) {
      for (std::size_t q = 0; q < paceline::qos_count; ++q) {
        legend_.emplace_back(to_string(static_cast<paceline::qos>(q)));
      }
    } else {
      legend_ = look_.legend;
    }
    for (const Segment& s : timeline_.segments()) {
      used_.insert(colour_of(s));
      one_speed_ = one_speed_ && s.speed == timeline_.segments().front().speed;
    }
  }

  std::string draw() {
    text(10, 24, 16, fmt::format("{}: {}", report_.scenario(), what_));
    text(10, 44, 12, fmt::format("seed {}, {}", report_.seed(), report_.command()));
    const double bottom = kTop + kRow * static_cast<double>(look_.lanes.size());
    rows(bottom);
    axis(bottom);
    segments();
    const double height = legend(bottom + 44) + 10;
    return fmt::format(
               "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0:.0f}\" height=\"{1:.0f}\" "
               "viewBox=\"0 0 {0:.0f} {1:.0f}\" font-family=\"sans-serif\" role=\"img\">\n"
               "<title>{2}, seed {3}: {4}</title>\n"
               "<rect width=\"100%\" height=\"100%\" fill=\"white\"/>\n",
               kWidth, height, escaped(report_.scenario()), report_.seed(),
               escaped(report_.command())) +
           style() + body_ + "</svg>\n";
  }

 private:
  std::size_t colour_of(const Segment& segment) const {
    const std::size_t colour = look_.paint ? look_.paint(segment) : segment.q;
    return std::min(colour, legend_.size() - 1);
  }
  const char* fill(std::size_t colour) const {
    return look_.legend.empty() ? kClassColours[colour % std::size(kClassColours)]
                                : kOtherColours[colour % std::size(kOtherColours)];
  }
  double x_of(Nanos at) const {
    const auto span = static_cast<double>(std::max<Nanos>(1, timeline_.end() - look_.from));
    return kLeft + kPlot * static_cast<double>(at - look_.from) / span;
  }

  void text(double x, double y, int size, std::string_view words, const char* anchor = "start") {
    body_ += fmt::format(
        "<text x=\"{:.1f}\" y=\"{:.1f}\" font-size=\"{}\" text-anchor=\"{}\">{}"
        "</text>\n",
        x, y, size, anchor, escaped(words));
  }
  void line(double x1, double y1, double x2, double y2, const char* colour) {
    body_ += fmt::format("<path d=\"M{:.1f} {:.1f}L{:.1f} {:.1f}\" stroke=\"{}\"/>\n", x1, y1, x2,
                         y2, colour);
  }

  std::string style() const {
    std::string rules = "<style>";
    for (const std::size_t colour : used_) {
      rules += fmt::format(".c{}{{fill:{}}}", colour, fill(colour));
    }
    return rules + ".n{font-size:11px;text-anchor:middle}</style>\n";
  }

  void rows(double bottom) {
    for (std::size_t i = 0; i < look_.lanes.size(); ++i) {
      const double y = kTop + kRow * static_cast<double>(i);
      text(kLeft - 8, y + 15, 12, look_.lanes[i].label, "end");
      const bool parts = i > 0 && look_.lanes[i].group != look_.lanes[i - 1].group;
      line(10, y, kWidth - kRight, y, parts || i == 0 ? "#718096" : "#edf2f7");
    }
    line(10, bottom, kWidth - kRight, bottom, "#718096");
  }

  /// About ten marks at round times.
  void axis(double bottom) {
    const Nanos span = timeline_.end() - look_.from;
    Nanos step = 1;
    for (Nanos ten = 1; span / step > 12; ten *= 10) {
      for (const Nanos factor : {1, 2, 5}) {
        step = factor * ten;
        if (span / step <= 12) break;
      }
    }
    for (Nanos at = (look_.from + step - 1) / step * step; at <= timeline_.end(); at += step) {
      line(x_of(at), kTop, x_of(at), bottom + 4, "#e2e8f0");
      text(x_of(at), bottom + 18, 11, fmt::format("{} ms", number(static_cast<double>(at) / 1e6)),
           "middle");
    }
  }

  void segments() {
    const bool tips = timeline_.segments().size() <= kMostTips;
    for (const Segment& s : timeline_.segments()) {
      if (s.to <= s.from) continue;
      const double x = x_of(s.from);
      const double width = std::max(0.3, x_of(s.to) - x);
      const double height = kBar * std::clamp(s.speed / 1024.0, 0.1, 1.0);
      const double floor = kTop + kRow * (s.lane + 1) - 1;
      body_ += fmt::format(
          "<rect class=\"c{}\" x=\"{:.1f}\" y=\"{:.1f}\" width=\"{:.1f}\" "
          "height=\"{:.1f}\"",
          colour_of(s), x, floor - height, std::max(0.3, width - 0.4), height);
      body_ += tips ? fmt::format("><title>{}</title></rect>\n", escaped(tip_of(s))) : "/>\n";
      if (look_.names_tasks && width >= kNameWidth) {
        body_ += fmt::format("<text class=\"n\" x=\"{:.1f}\" y=\"{:.1f}\">{}</text>\n",
                             x + width / 2, floor - 4, s.task);
      }
    }
  }

  std::string tip_of(const Segment& s) const {
    std::string tip = fmt::format("task {}, {}, {}-{} ms", s.task, legend_[colour_of(s)],
                                  number(static_cast<double>(s.from) / 1e6),
                                  number(static_cast<double>(s.to) / 1e6));
    if (!one_speed_) tip += fmt::format(", speed {} of 1024", s.speed);
    return tip;
  }

  /// Returns where it ends.
  double legend(double y) {
    double x = kLeft;
    for (const std::size_t colour : used_) {
      if (legend_[colour].empty()) continue;
      const double width = 45 + 7.0 * static_cast<double>(legend_[colour].size());
      if (x + width > kWidth) {
        x = kLeft;
        y += 20;
      }
      body_ += fmt::format(
          "<rect class=\"c{}\" x=\"{:.0f}\" y=\"{:.0f}\" width=\"14\" "
          "height=\"14\"/>\n",
          colour, x, y - 11);
      text(x + 20, y, 12, legend_[colour]);
      x += width;
    }
    if (!one_speed_) {
      y += 20;
      text(kLeft, y, 12, "A bar is as high as its core is fast at that time.");
    }
    if (timeline_.end() < look_.until) {
      y += 20;
      text(kLeft, y, 12, fmt::format("Cut after {} segments.", Timeline::kMostSegments));
    }
    return y;
  }

  const Timeline& timeline_;
  const Look& look_;
  std::string what_;
  const Report& report_;
  std::vector<std::string> legend_;
  std::set<std::size_t> used_;
  bool one_speed_ = true;
  std::string body_;
};

}  // namespace

std::string escaped(std::string_view text) {
  std::string safe;
  for (const char c : text) {
    switch (c) {
      case '<': safe += "&lt;"; break;
      case '>': safe += "&gt;"; break;
      case '&': safe += "&amp;"; break;
      case '"': safe += "&quot;"; break;
      default: safe += static_cast<unsigned char>(c) < ' ' ? ' ' : c;
    }
  }
  return safe;
}

std::string svg_of(const Timeline& timeline, std::string_view what, const Report& report) {
  return Drawing(timeline, what, report).draw();
}

std::string html_of(const Timeline& timeline, std::string_view what, const Report& report) {
  std::string page = fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><title>{}, seed {}</title>"
      "\n<style>body{{font-family:sans-serif;margin:1em}}table{{border-collapse:collapse}}"
      "td{{padding:2px 12px 2px 0}}.bad{{color:#c53030;font-weight:bold}}</style></head><body>\n",
      escaped(report.scenario()), report.seed());
  page += svg_of(timeline, what, report);
  page += "<table>\n";
  for (const Check& check : report.checks()) {
    page += fmt::format("<tr><td{}>{}</td><td>{}</td><td>{}</td></tr>\n",
                        check.ok() ? "" : " class=\"bad\"", check.ok() ? "ok" : "fails",
                        escaped(check.name), escaped(check.text()));
  }
  for (const auto& [name, value] : report.figures()) {
    page += fmt::format("<tr><td></td><td>{}</td><td>{}</td></tr>\n", escaped(name), number(value));
  }
  return page + "</table>\n</body></html>\n";
}

}  // namespace paceline_sim
