// SPDX-License-Identifier: BSL-1.0
// Compares the choice among classes with an oracle that follows the written steps word by word, on
// random sequences of arrivals, departures, questions and clocks.
#include <algorithm>
#include <optional>
#include <string>
#include <vector>

#include "base/rng.hpp"
#include "policy/class_turns.hpp"
#include "support/catch.hpp"
#include "support/sanitized.hpp"

using namespace paceline::core;
using namespace paceline::core::policy;

namespace {

/// The rules, written for reading: buckets are records in a list, all is recomputed at each step.
/// Nothing is shared with the policy but the numbers of buckets and the answers.
class Oracle {
 public:
  struct Record {
    int q = 0;
    bool bound = false;
    bool queued = false;
    Nanos deadline = 0;
    Nanos left = 0;
    std::optional<Nanos> end;
    bool starving = false;
    Nanos start = 0;
  };

  static Nanos quantum(int q) { return ms(std::vector<double>{10, 10, 8, 6, 4, 2}[size(q)]); }

  Oracle() {
    for (const bool bound : {false, true}) {
      for (int q = 0; q < 6; ++q) {
        Record r;
        r.q = q;
        r.bound = bound;
        r.left = budget(q);
        records_.push_back(r);
      }
    }
  }

  Record& at(unsigned bucket) { return records_[(bucket >= 8 ? 6 : 0) + bucket % 8]; }

  void arrive(unsigned bucket, Nanos now) {
    now = tell(now);
    Record& r = at(bucket);
    if (r.queued) return;
    r.queued = true;
    if (!r.starving && r.q != 0) r.deadline = now + distance(r.q);
  }
  void leave(unsigned bucket, Nanos now) {
    now = tell(now);
    Record& r = at(bucket);
    if (!r.queued) return;
    r.queued = false;
    if (r.end) r.left = *r.end > now ? *r.end - now : 0;
  }

  unsigned select(Nanos now, std::optional<unsigned> running, PickMode mode, const Heads& heads) {
    now = tell(now);
    Record* const cur = running ? &at(*running) : nullptr;
    bool any = false;
    for (const Record& r : records_) any = any || r.queued;
    if (!any) return cur != nullptr ? number(*cur) : kNoBucket;
    if (const Record* const fixed = fixed_winner(cur, heads)) return number(*fixed);
    for (;;) {
      Record& e = earliest(cur);
      if (e.starving && now >= e.start + quantum(e.q)) {
        e.starving = false;
        e.deadline = now + distance(e.q);
        continue;
      }
      Record* w = nullptr;
      for (Record& r : records_) {
        if (r.q == 0 || r.bound != e.bound || r.left <= 0) continue;
        if (!r.queued && &r != cur) continue;
        if (w == nullptr || r.q < w->q) w = &r;
      }
      if (w == nullptr || w->q >= e.q) {
        const bool commits = &e == cur || mode != PickMode::peek;
        if (commits && !e.starving) {
          bool waits = false;
          for (const Record& r : records_) {
            waits = waits || (r.q != 0 && r.q < e.q && (r.queued || &r == cur));
          }
          if (waits) {
            e.starving = true;
            e.start = now;
          } else {
            e.deadline = now + distance(e.q);
            e.left = budget(e.q);
            e.end.reset();
          }
        }
        return number(e);
      }
      const bool commits = w == cur || mode != PickMode::peek;
      if (!w->end || *w->end > now) {
        if (commits) {
          if (!w->end) w->end = now + w->left;
          w->deadline = now + distance(w->q);
        }
        return number(*w);
      }
      w->left = 0;
    }
  }

 private:
  static Nanos ms(double t) { return static_cast<Nanos>(t * 1e6); }
  static Nanos distance(int q) {
    return ms(std::vector<double>{0, 0, 37.5, 75, 150, 250}[size(q)]);
  }
  static Nanos budget(int q) { return ms(std::vector<double>{0, 8, 4, 2, 1, 0}[size(q)]); }
  static std::size_t size(int q) { return static_cast<std::size_t>(q); }
  static unsigned number(const Record& r) { return static_cast<unsigned>(r.q + (r.bound ? 8 : 0)); }

  Nanos tell(Nanos now) { return latest_ = std::max(latest_, now); }

  Record& earliest(Record* cur) {
    Record* best = nullptr;
    for (const bool bound : {true, false}) {
      for (Record& r : records_) {
        if (r.bound != bound || !r.queued || r.q == 0) continue;
        if (best == nullptr || r.deadline < best->deadline) best = &r;
      }
    }
    if (cur != nullptr && cur->q != 0 && (best == nullptr || cur->deadline < best->deadline)) {
      best = cur;
    }
    return *best;
  }

  /// The fixed bucket that wins the arbitration, or nobody.
  const Record* fixed_winner(const Record* cur, const Heads& heads) {
    struct Candidate {
      const Record* record;
      int priority;
    };
    std::vector<Candidate> all;
    const Record& unbound_fixed = records_[0];
    const Record& unbound_fg = records_[1];
    if (records_[6].queued) all.push_back({&records_[6], heads.bound_fixed});
    if (records_[7].queued) all.push_back({&records_[7], heads.bound_foreground});
    if (unbound_fixed.queued && unbound_fg.queued) {
      // By groups' priority; the user interface needs more.
      if (heads.foreground.group > heads.fixed.group) {
        all.push_back({&unbound_fg, heads.foreground.task});
      } else {
        all.push_back({&unbound_fixed, heads.fixed.task});
      }
    } else if (unbound_fixed.queued) {
      all.push_back({&unbound_fixed, heads.fixed.task});
    } else if (unbound_fg.queued) {
      all.push_back({&unbound_fg, heads.foreground.task});
    }
    if (cur != nullptr && cur->q <= 1) all.push_back({cur, heads.current});
    const Candidate* best = nullptr;
    for (const Candidate& c : all) {
      const auto rank = [](const Candidate& x) {
        return x.priority * 4 + (x.record->q == 0 ? 2 : 0) + (x.record->bound ? 1 : 0);
      };
      if (best == nullptr || rank(c) > rank(*best)) best = &c;
    }
    return best != nullptr && best->record->q == 0 ? best->record : nullptr;
  }

  std::vector<Record> records_;
  Nanos latest_ = -kForever;
};

/// What the level holds of a bucket, compared with the record; empty if they agree.
std::string difference(const ClassLevel& level, Oracle& oracle) {
  for (unsigned b = 0; b < kBuckets; ++b) {
    if ((bucket_bit(b) & kEveryBucket & ~kFixedBuckets) == 0) continue;
    const Oracle::Record& r = oracle.at(b);
    const Nanos end = r.end ? *r.end : ClassLevel::kUnused;
    const std::string where = " of bucket " + std::to_string(b);
    if (level.deadline(b) != r.deadline) return "deadline" + where;
    if (level.warp_left(b) != r.left) return "warp" + where;
    if (level.warp_end(b) != end) return "warp's end" + where;
    if (level.starving(b) != r.starving) return "starvation" + where;
    if (((level.queued() >> b) & 1) != (r.queued ? 1u : 0u)) return "queued" + where;
  }
  return "";
}

unsigned random_bucket(Rng& rng) {
  return bucket_of(static_cast<unsigned>(rng.below(kClasses)), rng.below(3) == 0);
}

/// Steps of all sizes that matter, sometimes none and sometimes back.
Nanos random_step(Rng& rng) {
  const auto upto = [&](Nanos n) { return static_cast<Nanos>(rng.below(std::uint64_t(n))); };
  switch (rng.below(6)) {
    case 0: return 0;
    case 1: return -upto(20 * kMillisecond);
    case 2: return upto(300 * kMillisecond);
    case 3: return kMillisecond * upto(12);
    default: return upto(10 * kMillisecond);
  }
}

Heads random_heads(Rng& rng) {
  const auto priority = [&] { return 44 + static_cast<int>(rng.below(6)); };
  Heads heads;
  heads.fixed = {priority(), priority()};
  heads.foreground = {priority(), priority()};
  heads.bound_fixed = priority();
  heads.bound_foreground = priority();
  heads.current = priority();
  return heads;
}

const int kSequences = paceline_test::kSanitized ? 5'000 : 100'000;

}  // namespace

TEST_CASE("arrivals, departures and questions agree with the oracle on random sequences") {
  for (int seed = 0; seed < kSequences; ++seed) {
    Rng rng(static_cast<std::uint64_t>(seed));
    ClassLevel level(class_table());
    Oracle oracle;
    Nanos now = static_cast<Nanos>(rng.below(1000)) - 500;
    for (int step = 0; step < 40; ++step) {
      now += random_step(rng);
      const unsigned bucket = random_bucket(rng);
      const std::uint64_t what = rng.below(8);
      if (what < 3) {
        level.fill(bucket, now);
        oracle.arrive(bucket, now);
      } else if (what == 3) {
        level.drain(bucket, now);
        oracle.leave(bucket, now);
      } else {
        const auto mode = static_cast<PickMode>(rng.below(3));
        const bool runs = mode != PickMode::take && rng.below(4) != 0;
        const Heads heads = random_heads(rng);
        const ClassVerdict got = level.select(now, runs ? bucket : kNoBucket, mode, heads);
        const unsigned want =
            oracle.select(now, runs ? std::optional(bucket) : std::nullopt, mode, heads);
        if (got.bucket != want) FAIL("seed " << seed << " step " << step << ": bucket");
      }
      const std::string differs = difference(level, oracle);
      if (!differs.empty()) FAIL("seed " << seed << " step " << step << ": " << differs);
    }
  }
  SUCCEED();
}

TEST_CASE("turns agree with the oracle at random polls, also when one class is alone for long") {
  for (int seed = 0; seed < kSequences; ++seed) {
    Rng rng(static_cast<std::uint64_t>(seed) + 1'000'000);
    ClassTurns turns(class_table());
    Oracle oracle;
    unsigned running = kNoBucket;
    Nanos now = 0;
    Nanos quantum_ends = 0;
    bool alone = false;
    BucketMask ready = 0;
    const auto give_turn = [&](unsigned bucket) {
      running = bucket;
      oracle.leave(bucket, now);
      quantum_ends = now + Oracle::quantum(static_cast<int>(bucket % 8));
    };
    for (int step = 0; step < 40; ++step) {
      now = std::max(now, now + random_step(rng));
      // Mostly nothing changes, and then mostly one bucket is left.
      if (rng.below(3) == 0) ready ^= bucket_bit(random_bucket(rng));
      if (rng.below(8) == 0) ready = bucket_bit(random_bucket(rng));
      if (running != kNoBucket && ((ready >> running) & 1) == 0) running = kNoBucket;
      bool rises = false;
      for (unsigned b = 0; b < kBuckets; ++b) {
        if ((bucket_bit(b) & kEveryBucket) == 0 || running == b) continue;
        const bool is = ((ready >> b) & 1) != 0;
        const bool more = running != kNoBucket && b % 8 < running % 8;
        rises = rises || (is && !oracle.at(b).queued && more);
        if (is) oracle.arrive(b, now);
        if (!is) oracle.leave(b, now);
      }
      if (running == kNoBucket) {
        const unsigned next = oracle.select(now, {}, PickMode::take, {});
        if (next != kNoBucket) give_turn(next);
      } else {
        const Nanos length = Oracle::quantum(static_cast<int>(running % 8));
        const bool ends = !alone && now >= quantum_ends;
        // An end that comes late moves no later one: each wait has one lateness, not their sum.
        while (now >= quantum_ends) quantum_ends += length;
        if ((ends || rises) && oracle.select(now, running, PickMode::peek, {}) != running) {
          const unsigned before = running;
          give_turn(oracle.select(now, running, PickMode::take_or_keep, {}));
          oracle.arrive(before, now);
        }
      }
      alone = running != kNoBucket && ready == bucket_bit(running);
      const unsigned got = turns.pick(ready, now).bucket;
      if (got != running) FAIL("seed " << seed << " step " << step << ": turn");
      if (turns.only(ready) != alone) FAIL("seed " << seed << " step " << step << ": alone");
      const std::string differs = difference(turns.level(), oracle);
      if (!differs.empty()) FAIL("seed " << seed << " step " << step << ": " << differs);
    }
  }
  SUCCEED();
}
