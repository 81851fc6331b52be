// SPDX-License-Identifier: BSL-1.0
// What a decision of "Edge" costs by itself: policies over plain snapshots, one thread, no runtime.
// They answer whether placement and search are cheap enough to be asked on each spawn, wake and
// idle turn; not what it costs to read the loads of busy clusters from other cores' caches.
#include <memory>
#include <vector>

#include "base/rng.hpp"
#include "harness.hpp"
#include "policy/idle_search.hpp"
#include "policy/place.hpp"

namespace {

using namespace pacebench;
using namespace paceline::core::policy;

constexpr std::uint16_t kClusters = 16;
constexpr std::uint16_t kCores = 8;

/// Eight fast and eight slow clusters on two dies, and many moments of their loads. In none of them
/// the preferred cluster is idle, so that every placement looks at all candidates it may use.
struct Scene {
  std::vector<CoreView> cores;
  std::vector<ClusterView> clusters;
  std::unique_ptr<EdgeTable> table;
  std::vector<std::vector<ClusterLoad>> moments;

  Scene() {
    for (std::uint16_t c = 0; c < kClusters; ++c) {
      const auto first = static_cast<std::uint16_t>(cores.size());
      clusters.push_back({static_cast<std::uint16_t>(c % 2), kFullCapacity, 0,
                          static_cast<std::uint16_t>(c / 8), first, kCores});
      for (std::uint16_t i = 0; i < kCores; ++i) {
        const auto core = static_cast<std::uint16_t>(first + i);
        cores.push_back({core, c, core});
      }
    }
    table = std::make_unique<EdgeTable>(MachineView{cores, clusters}, Profile::balanced,
                                        Distance::added);
    paceline::core::Rng rng(1);
    moments.resize(8, std::vector<ClusterLoad>(kClusters));
    for (auto& moment : moments) {
      for (ClusterLoad& load : moment) {
        load.workers = kCores;
        for (ClassLoad& one : load.classes) {
          one.average = static_cast<std::uint32_t>((1 + rng.below(6)) << 8);
          one.exec_us = static_cast<std::uint32_t>(10 + rng.below(200));
          one.depth = kCores;
        }
      }
    }
  }
};

const Register place_case(
    {"policy/place_16_clusters", "ns", "a placement that looks at all of 16 busy clusters",
     [](const Settings& s) {
       const std::uint64_t n = s.n != 0 ? s.n : 2'000'000;
       auto scene = std::make_shared<Scene>();
       return Prepared{[=] {
                         std::uint64_t sum = 0;
                         PlaceAsk ask;
                         const Stopwatch watch;
                         for (std::uint64_t i = 0; i < n; ++i) {
                           ask.preferred = static_cast<ClusterIndex>(i % kClusters);
                           const LoadView loads{scene->moments[i % scene->moments.size()]};
                           sum += place(*scene->table, ask, loads).where * (i % 7 + 1);
                         }
                         return Sample{watch.ns() / static_cast<double>(n), mix(kHashStart, sum)};
                       },
                       {{"n", std::to_string(n)}, {"clusters", std::to_string(kClusters)}}};
     }});

const Register search_case(
    {"policy/idle_search", "ns", "a whole idle search over 16 clusters that finds nothing",
     [](const Settings& s) {
       const std::uint64_t n = s.n != 0 ? s.n : 1'000'000;
       auto scene = std::make_shared<Scene>();
       return Prepared{[=] {
                         std::uint64_t parked = 0;
                         const Stopwatch watch;
                         for (std::uint64_t i = 0; i < n; ++i) {
                           const LoadView loads{scene->moments[i % scene->moments.size()]};
                           const IdleVerdict verdict =
                               idle_search(*scene->table, static_cast<ClusterIndex>(i % kClusters),
                                           false, loads);
                           parked += verdict.what == IdleWhat::park ? 1 : 0;
                         }
                         const double ns = watch.ns();
                         require(parked == n, "nothing to find");
                         return Sample{ns / static_cast<double>(n), mix(kHashStart, parked)};
                       },
                       {{"n", std::to_string(n)}, {"clusters", std::to_string(kClusters)}}};
     }});

}  // namespace
