// SPDX-License-Identifier: BSL-1.0
// The article's timeline (policies.md 5.2): seven tasks on two big and two little cores, ordered by
// the production's virtual time, moved by its rules; and what the article prints, cell by cell.
// As a policy it is none: littles idle while bigs have queues.
#pragma once

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "policy/fair.hpp"
#include "sim/recorder.hpp"

namespace paceline_sim {

class CfsWorld {
 public:
  using Rescale = paceline::core::policy::Rescale;
  /// Of each core, its tasks with their virtual time: "T1:5 T2:0".
  using Row = std::array<std::string, 4>;
  struct Result {
    std::vector<Row> rows;  ///< at 0, 5, .. 25
    unsigned moved_early;   ///< moves at 10, where nobody is far enough behind
    unsigned moved;         ///< at 15
    std::int64_t little;    ///< what the first little core's queue gives to a new task at 20
  };
  static constexpr const char* kCores[] = {"B0", "B1", "L0", "L1"};
  static constexpr paceline::core::Nanos kUnit = paceline::core::kMillisecond;
  static constexpr paceline::core::Nanos kSlice = 5 * kUnit;

  static Result run(Rescale mode, Recorder* recorder = nullptr, std::uint32_t first_lane = 0) {
    return CfsWorld(mode, recorder, first_lane).play();
  }

  static std::vector<Row> published(Rescale mode) {
    std::vector<Row> rows{{"T1:0 T2:0", "T3:0 T4:0", "T5:0", "T6:0"},
                          {"T1:5 T2:0", "T3:5 T4:0", "T5:10", "T6:10"},
                          {"T1:5 T2:5", "T4:5", "T5:20", "T6:20"}};
    const auto add = [&](Row at_15, Row at_20, Row at_25) {
      rows.insert(rows.end(), {at_15, at_20, at_25});
    };
    switch (mode) {
      case Rescale::none:
        add({"T1:10 T2:5 T5:30", "T4:10 T6:30", "", ""},
            {"T1:10 T2:10 T5:30", "T3:5 T4:15 T6:30", "T7:0", ""},
            {"T1:15 T2:10 T5:30", "T3:10 T4:15 T6:30", "T7:10", ""});
        break;
      case Rescale::approximate:
        add({"T1:10 T2:5 T5:15", "T4:10 T6:15", "", ""},
            {"T1:10 T2:10 T5:15", "T3:5 T4:15 T6:15", "T7:0", ""},
            {"T1:15 T2:10 T5:15", "T3:10 T4:15 T6:15", "T7:10", ""});
        break;
      case Rescale::exact:
        add({"T1:10 T2:5 T5:5", "T4:10 T6:10", "", ""},
            {"T1:10 T2:10 T5:5", "T3:5 T4:15 T6:10", "T7:0", ""},
            {"T1:10 T2:10 T5:10", "T3:10 T4:15 T6:10", "T7:10", ""});
        break;
    }
    return rows;
  }

 private:
  using Nanos = paceline::core::Nanos;
  static constexpr unsigned kTasks = 8;  // numbered from 1
  static constexpr Nanos kCredit = 3 * kSlice;

  struct Core {
    std::vector<paceline::core::policy::FairEntry> memory;
    paceline::core::policy::FairQueue queue;
    std::uint32_t capacity;

    explicit Core(std::uint32_t c) : memory(kTasks), queue(memory, c, kCredit), capacity(c) {}
  };

  CfsWorld(Rescale mode, Recorder* recorder, std::uint32_t first_lane)
      : mode_(mode), recorder_(recorder), first_lane_(first_lane) {
    for (const unsigned task : {1u, 2u}) b0_.queue.add_new(task, kNice);
    for (const unsigned task : {3u, 4u}) b1_.queue.add_new(task, kNice);
    l0_.queue.add_new(5, kNice);
    l1_.queue.add_new(6, kNice);
  }

  Result play() {
    Result result{};
    const auto note = [&] { result.rows.push_back({cell(b0_), cell(b1_), cell(l0_), cell(l1_)}); };
    note();
    slice();
    note();
    slice();
    b1_.queue.remove(3);  // sleeps
    note();
    result.moved_early = balance(l0_, b0_) + balance(l1_, b1_);
    slice();
    result.moved = balance(l0_, b0_) + balance(l1_, b1_);
    note();
    slice();
    b1_.queue.add_woken(3);
    // The figures let a new task begin at 0. Ours begins at the least time its core has seen: alone
    // as it is there, that changes nothing but the number.
    l0_.queue.add_new(7, kNice);
    result.little = l0_.queue.v(7) / kUnit;
    l0_.queue.remove(7);
    l0_.queue.add_moved(7, kNice, 0);
    note();
    slice();
    note();
    return result;
  }

  void slice() {
    std::uint32_t lane = first_lane_;
    for (Core* core : {&b0_, &b1_, &l0_, &l1_}) {
      const unsigned task = core->queue.pick();
      if (task != paceline::core::policy::kNoEntry) {
        core->queue.charge(task, kSlice);
        if (recorder_ != nullptr) {
          recorder_->ran(
              {lane, now_, now_ + kSlice, task, 3, static_cast<std::uint16_t>(core->capacity)});
        }
      }
      ++lane;
    }
    now_ += kSlice;
  }

  /// Moves what is furthest behind on `little`, if it is far enough behind `big`; how many moved.
  unsigned balance(Core& little, Core& big) {
    using namespace paceline::core::policy;
    const unsigned entry = little.queue.last();
    const Nanos v = little.queue.v(entry);
    if (!falls_behind(v, big.queue.min_v(), kSlice)) return 0;
    const Nanos there = moved_v(mode_, v, little.queue.side(), big.queue.side(), kCredit);
    little.queue.remove(entry);
    return big.queue.add_moved(entry, kNice, there) ? 1 : 0;
  }

  static std::string cell(const Core& core) {
    std::string text;
    for (unsigned task = 1; task < kTasks; ++task) {
      if (!core.queue.queued(task)) continue;
      text += (text.empty() ? "T" : " T") + std::to_string(task) + ":" +
              std::to_string(core.queue.v(task) / kUnit);
    }
    return text;
  }

  static constexpr std::uint32_t kNice = paceline::core::policy::kNiceZero;
  Core b0_{1024}, b1_{1024}, l0_{512}, l1_{512};
  Rescale mode_;
  Recorder* recorder_;
  std::uint32_t first_lane_;
  Nanos now_ = 0;
};

}  // namespace paceline_sim
