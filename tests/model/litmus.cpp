// SPDX-License-Identifier: BSL-1.0
// The explorer's own tests: small programs whose sets of outcomes are known exactly.
// A search that finds too few outcomes skips interleavings; one that finds too many is not
// sequentially consistent; one that misses a planted mistake proves nothing.
#include "litmus.hpp"

#include <cstdio>

#include <paceline/detail/atomic.hpp>

#include "base/mutex.hpp"
#include "explorer/search.hpp"

namespace model {

namespace {

using paceline::core::LockRank;
using paceline::core::Mutex;
using paceline::detail::Atomic;

struct World {
  Atomic<int> x{0};
  Atomic<int> y{0};
  Atomic<std::uint32_t> word{0};
  Mutex first{LockRank::registry};
  Mutex second{LockRank::runtime};
  int a = 0;
  int b = 0;
  int c = 0;
  int d = 0;
  int* freed = nullptr;
};
World* world = nullptr;

World& fresh() { return *(world = &arena().make<World>()); }

void store_buffering(const Variant&) {
  World& w = fresh();
  thread<World>("left", w, [](World& s) {
    s.x.store(1);
    s.a = s.y.load();
  });
  thread<World>("right", w, [](World& s) {
    s.y.store(1);
    s.b = s.x.load();
  });
}

void message_passing(const Variant&) {
  World& w = fresh();
  thread<World>("sender", w, [](World& s) {
    s.x.store(1);
    s.y.store(1);
  });
  thread<World>("receiver", w, [](World& s) {
    s.a = s.y.load();
    s.b = s.x.load();
  });
}

void load_buffering(const Variant&) {
  World& w = fresh();
  thread<World>("left", w, [](World& s) {
    s.a = s.x.load();
    s.y.store(1);
  });
  thread<World>("right", w, [](World& s) {
    s.b = s.y.load();
    s.x.store(1);
  });
}

void two_writers(const Variant&) {  // "2+2W"
  World& w = fresh();
  thread<World>("left", w, [](World& s) {
    s.x.store(1);
    s.y.store(2);
  });
  thread<World>("right", w, [](World& s) {
    s.y.store(1);
    s.x.store(2);
  });
}

void independent_reads(const Variant&) {  // "IRIW"
  World& w = fresh();
  thread<World>("writer x", w, [](World& s) { s.x.store(1); });
  thread<World>("writer y", w, [](World& s) { s.y.store(1); });
  thread<World>("reader 1", w, [](World& s) {
    s.a = s.x.load();
    s.b = s.y.load();
  });
  thread<World>("reader 2", w, [](World& s) {
    s.c = s.y.load();
    s.d = s.x.load();
  });
}

void increment_plainly(World& s) { s.x.store(s.x.load() + 1); }
void lost_update(const Variant&) {
  World& w = fresh();
  thread<World>("left", w, &increment_plainly);
  thread<World>("right", w, &increment_plainly);
}

void increment(World& s) { s.x.fetch_add(1); }
void no_lost_update(const Variant&) {
  World& w = fresh();
  for (const char* name : {"one", "two", "three"}) thread<World>(name, w, &increment);
}

void deadlock(const Variant&) {
  World& w = fresh();
  thread<World>("left", w, [](World& s) {
    s.first.lock();
    s.second.lock();
    s.a = 1;
    s.second.unlock();
    s.first.unlock();
  });
  thread<World>("right", w, [](World& s) {
    s.second.lock();
    s.first.lock();
    s.b = 1;
    s.first.unlock();
    s.second.unlock();
  });
}

/// Checks, then sleeps; the waker comes in between.
void sleep_on(World& s) { park(&s.word, 0); }
void check_then_sleep(const Variant&) {
  World& w = fresh();
  thread<World>("sleeper", w, [](World& s) {
    if (s.x.load() == 0) sleep_on(s);
    s.a = 1;
  });
  thread<World>("waker", w, [](World& s) {
    s.x.store(1);
    unpark(&s.word, false);
  });
}
/// The word is checked by the sleep itself.
void futex(const Variant&) {
  World& w = fresh();
  thread<World>("sleeper", w, [](World& s) {
    while (s.word.load() == 0) sleep_on(s);
    s.a = 1;
  });
  thread<World>("waker", w, [](World& s) {
    s.word.store(1);
    unpark(&s.word, false);
  });
}
void false_wake(const Variant&) {
  World& w = fresh();
  const unsigned sleeper = thread<World>("sleeper", w, [](World& s) {
    sleep_on(s);
    s.a = 1;
  });
  crew().allow_false_wakes(sleeper, 1);
}

void spin(const Variant&) {
  World& w = fresh();
  thread<World>("spinner", w, [](World& s) {
    while (s.x.load() == 0) {
    }
  });
  thread<World>("setter", w, [](World& s) { s.x.store(1); });
}
/// Each steps back for the other, for ever, although both run.
void livelock(const Variant&) {
  World& w = fresh();
  thread<World>("left", w, [](World& s) {
    while (s.x.store(1), s.y.load() != 2) s.x.store(0);
  });
  thread<World>("right", w, [](World& s) {
    while (s.y.store(1), s.x.load() != 2) s.y.store(0);
  });
}

void stalled(const Variant&) {
  World& w = fresh();
  const unsigned staller = thread<World>("staller", w, [](World& s) {
    s.first.lock();
    s.x.store(1);
    s.first.unlock();
  });
  crew().allow_stall(staller);
  thread<World>("other", w, [](World& s) {
    s.first.lock();
    s.a = s.x.load();
    s.first.unlock();
    s.b = 1;
  });
}

void use_after_free(const Variant&) {
  World& w = fresh();
  auto* words = new Atomic<int>(0);
  w.freed = reinterpret_cast<int*>(words);
  thread<World>("user", w, [](World& s) {
    if (s.x.load() == 0) reinterpret_cast<Atomic<int>*>(s.freed)->store(1);
  });
  thread<World>("freer", w, [](World& s) {
    s.x.store(1);
    delete reinterpret_cast<Atomic<int>*>(s.freed);
  });
}

void crash(const Variant&) {
  World& w = fresh();
  thread<World>("user", w, [](World& s) {
    int* const at = s.x.load() == 0 ? &s.a : nullptr;
    *const_cast<int volatile*>(at) = 1;
  });
  thread<World>("other", w, [](World& s) { s.x.store(1); });
}

void three_steps(World& s) {
  for (int i = 0; i < 3; ++i) s.x.store(i);
}
void count_paths(const Variant&) {
  World& w = fresh();
  thread<World>("left", w, &three_steps);
  thread<World>("right", w, &three_steps);
}

void ab() { verdict().outcome(world->a * 10 + world->b); }
void abcd() { verdict().outcome(((world->a * 10 + world->b) * 10 + world->c) * 10 + world->d); }
void xy() { verdict().outcome(world->x.load() * 10 + world->y.load()); }
void x_only() { verdict().outcome(world->x.load()); }
void a_only() { verdict().outcome(world->a); }
void nothing() {}
void all_done() { require(crew().unfinished() == 0, "everybody comes to an end"); }
void other_done() { require(world->b == 1, "a stalled thread holds nobody up"); }

constexpr const char* kNever = "";

struct Expected {
  Model model;
  std::set<int> outcomes;  // of all executions
  const char* broken;      // the sentence that must be found broken; kNever: none
  std::set<int> bound_0;   // outcomes without preemption
};

std::vector<Expected> table() {
  const auto entry = [](const char* name, void (*set_up)(const Variant&), void (*at_end)(),
                        std::set<int> outcomes, const char* broken = kNever,
                        std::set<int> bound_0 = {}) {
    return Expected{
        {name, "", set_up, at_end, nullptr, {}}, std::move(outcomes), broken, std::move(bound_0)};
  };
  std::vector<Expected> all = {
      entry("store buffering", &store_buffering, &ab, {1, 10, 11}, kNever, {1, 10}),
      entry("message passing", &message_passing, &ab, {0, 1, 11}, kNever, {0, 11}),
      entry("load buffering", &load_buffering, &ab, {0, 1, 10}, kNever, {1, 10}),
      entry("two writers", &two_writers, &xy, {12, 21, 22}, kNever, {12, 21}),
      // Every mixture but the two readers seeing the two writes in opposite orders.
      entry("independent reads", &independent_reads, &abcd,
            {0, 1, 10, 11, 100, 101, 110, 111, 1000, 1001, 1011, 1100, 1101, 1110, 1111}),
      entry("lost update", &lost_update, &x_only, {1, 2}, kNever, {2}),
      entry("no lost update", &no_lost_update, &x_only, {3}, kNever, {3}),
      entry("deadlock", &deadlock, &all_done, {}, "everybody comes to an end"),
      entry("check, then sleep", &check_then_sleep, &all_done, {}, "everybody comes to an end"),
      entry("futex", &futex, &all_done, {}),
      entry("false wake", &false_wake, &a_only, {0, 1}, kNever, {0, 1}),
      entry("spin until set", &spin, &all_done, {}),
      entry("livelock", &livelock, &all_done, {}, "nobody is busy for ever while everybody runs"),
      entry("stalled holder", &stalled, &nothing, {}, "a stalled thread holds nobody up"),
      entry("use after free", &use_after_free, &nothing, {},
            "nobody touches memory that was freed"),
      entry("crash", &crash, &nothing, {}, "nobody touches memory that is not there"),
  };
  for (Expected& expected : all) {
    if (expected.model.set_up == &stalled) expected.model.at_stall = &other_done;
  }
  return all;
}

void report(const char* name, const char* mode, bool ok, const Result& result) {
  std::printf("  %-18s %-10s %-6s %8llu executions %8llu states%s%s\n", name, mode,
              ok ? "exact" : "WRONG", static_cast<unsigned long long>(result.executions),
              static_cast<unsigned long long>(result.states),
              result.broken.empty() ? "" : "  broken as planned: ", result.broken.c_str());
  if (ok) return;
  std::printf("    outcomes:");
  for (const int outcome : result.outcomes) std::printf(" %d", outcome);
  std::printf("  schedule: %s\n", result.schedule.text().c_str());
}

}  // namespace

unsigned run_litmus(bool print_all) {
  unsigned wrong = 0;
  const Variant variant{.name = "litmus"};
  for (const Expected& expected : table()) {
    const char* const name = expected.model.name;
    const auto judge = [&](const char* mode, const Result& result, const std::set<int>& outcomes) {
      bool ok = result.broken == expected.broken && result.status != Result::Status::capped;
      if (*expected.broken == 0) ok = ok && result.outcomes == outcomes;
      if (*expected.broken != 0 && ok && expected.model.set_up != &livelock) {
        // A schedule must show what it is said to show (a livelock's only leads to its circle).
        ok = replay(expected.model, variant, result.schedule, false).broken == expected.broken;
        const Schedule small = shrink(expected.model, variant, result.schedule, result.broken);
        ok = ok && replay(expected.model, variant, small, false).broken == expected.broken &&
             small.runs().size() <= result.schedule.runs().size();
      }
      if (!ok || print_all) report(name, mode, ok, result);
      wrong += ok ? 0 : 1;
    };
    judge("complete", search_depth_first(expected.model, variant, {}), expected.outcomes);
    if (expected.model.set_up == &livelock) continue;  // a bound cuts the circle
    judge("bound 3", search_depth_first(expected.model, variant, {.bound = 3, .depth = 500}),
          expected.outcomes);
    if (!expected.bound_0.empty()) {
      judge("bound 0", search_depth_first(expected.model, variant, {.bound = 0}), expected.bound_0);
    }
    judge("random", search_random(expected.model, variant, 1, 4000, {.depth = 500}),
          expected.outcomes);
  }
  // Without merging, every interleaving is one execution: three and three steps, 6 over 3. A start
  // is no step, as a thread is alone up to its first shared access.
  const Model paths{"count of paths", "", &count_paths, &nothing, nullptr, {}};
  const Result counted = search_depth_first(paths, variant, {.merge = false});
  const bool all_counted = counted.executions == 20;
  if (!all_counted || print_all) report("count of paths", "unmerged", all_counted, counted);
  wrong += all_counted ? 0 : 1;
  return wrong;
}

}  // namespace model
