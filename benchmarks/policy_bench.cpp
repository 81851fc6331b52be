// SPDX-License-Identifier: BSL-1.0
// What does a scheduling decision cost? The policies alone, with time as a number: no clock is read
// and no task runs. What a poll pays on top of them is not answered here.
#include <array>
#include <memory>
#include <vector>

#include "harness.hpp"
#include "policy/class_turns.hpp"
#include "policy/fair.hpp"
#include "policy/group_level.hpp"

namespace {

using namespace pacebench;
using namespace paceline::core::policy;
using paceline::core::kMicrosecond;
using paceline::core::Nanos;

/// Keeps the compiler from knowing a value before the loop.
template <class T>
T unknown(T value) {
  asm volatile("" : "+r"(value));
  return value;
}

/// ns for each of n decisions; `decide(i)` gives a number that belongs to the work.
template <class Decide>
Sample each_of(std::uint64_t n, Decide decide) {
  std::uint64_t sum = 0;
  const Stopwatch watch;
  for (std::uint64_t i = 0; i < n; ++i) sum += decide(i);
  return {watch.ns() / static_cast<double>(n), mix(mix(kHashStart, n), sum)};
}

std::uint64_t size_or(const Settings& s, std::uint64_t usual) { return s.n != 0 ? s.n : usual; }

/// Polls of `length` while the classes of `mask` have work.
Prepared prepare_classes(std::uint64_t n, BucketMask mask, Nanos length) {
  return Prepared{[=] {
                    ClassTurns turns(class_table());
                    Nanos now = 0;
                    return each_of(n, [&](std::uint64_t) {
                      now += length;
                      return std::uint64_t{turns.pick(unknown(mask), now).bucket};
                    });
                  },
                  {{"n", std::to_string(n)}}};
}

constexpr BucketMask kFive = 0x3e;  // all classes but the fixed one

const Register one_class({"policy/pick_one_class", "ns", "the class to serve, where one has work",
                          [](const Settings& s) {
                            return prepare_classes(size_or(s, 20'000'000), bucket_bit(3),
                                                   50 * kMicrosecond);
                          }});

const Register all_classes({"policy/pick_all_classes", "ns",
                            "the class to serve, where five have work and each poll lasts 50 us",
                            [](const Settings& s) {
                              return prepare_classes(size_or(s, 20'000'000), kFive,
                                                     50 * kMicrosecond);
                            }});

const Register decide_class({"policy/decide_class", "ns",
                             "the same at the end of a turn: each poll lasts a quantum",
                             [](const Settings& s) {
                               return prepare_classes(size_or(s, 2'000'000), kFive,
                                                      10'000 * kMicrosecond);
                             }});

/// Groups that run 50 us each in turn: pick, take, charge, put.
Sample pick_groups(std::uint64_t n, unsigned groups) {
  std::vector<GroupEntry> memory(groups * kClasses);
  GroupTable table(class_table(), memory, 1);
  const unsigned q = 3;
  for (unsigned g = 0; g < groups; ++g) {
    table.wake(g, q, 0);
    table.put(g, q, 31, Place::tail, 0);
  }
  return each_of(n, [&](std::uint64_t i) {
    const Nanos now = static_cast<Nanos>(i) * 50 * kMicrosecond;
    const unsigned group = table.pick(q);
    table.charge(group, q, 50 * kMicrosecond);
    table.take(group, q, 31, now);
    return std::uint64_t{group};
  });
}

const Register group_pick({"policy/group_pick", "ns",
                           "the group to serve among 16, its bill and its new place",
                           [](const Settings& s) {
                             const std::uint64_t n = size_or(s, 2'000'000);
                             return Prepared{[n] { return pick_groups(n, 16); },
                                             {{"n", std::to_string(n)}}};
                           }});

/// Executors that share a core: the next one, and its bill.
Sample pick_fairly(std::uint64_t n, unsigned entries) {
  std::vector<FairEntry> memory(entries);
  FairQueue queue(memory, kFullCapacity, 0);
  for (unsigned e = 0; e < entries; ++e) queue.add_new(e, weight_of(static_cast<int>(e % 5) - 2));
  return each_of(n, [&](std::uint64_t) {
    const unsigned entry = queue.pick();
    queue.charge(entry, 2'000 * kMicrosecond);
    return std::uint64_t{entry};
  });
}

const Register fair_pick({"policy/fair_pick", "ns", "the executor to run among 8, and its bill",
                          [](const Settings& s) {
                            const std::uint64_t n = size_or(s, 5'000'000);
                            return Prepared{[n] { return pick_fairly(n, 8); },
                                            {{"n", std::to_string(n)}}};
                          }});

}  // namespace
