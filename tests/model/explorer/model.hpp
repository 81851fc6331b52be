// SPDX-License-Identifier: BSL-1.0
// Model: a small world of virtual threads that run shipped code, and what must hold in it.
#pragma once

#include <string>
#include <vector>

#include "explorer/arena.hpp"
#include "explorer/crew.hpp"
#include "explorer/point.hpp"
#include "explorer/verdict.hpp"

namespace model {

/// No limit on preemptions.
inline constexpr unsigned kUnbounded = ~0u;

/// One configuration of a model.
struct Variant {
  std::string name;
  unsigned tasks = 1;
  unsigned wakers = 1;
  unsigned workers = 1;
  unsigned flags = 0;  // each model has its own
  // How many preemptions a schedule may have: in the job of every day, and in the full one.
  unsigned quick = kUnbounded;
  unsigned full = kUnbounded;
};

struct Model {
  const char* name;
  const char* about;
  /// Builds the world in the arena and adds the threads.
  void (*set_up)(const Variant&);
  /// Nobody can go on: what must hold then. It only reads.
  void (*at_end)();
  /// Only threads that may stall for ever could go on: what must hold even if they never do.
  void (*at_stall)() = nullptr;
  std::vector<Variant> variants;
  /// Random runs without news after which a search begins: it begins anew whenever a word turns out
  /// to be shared.
  unsigned learning = 48;
};

/// Something an execution of the model must reach, or the model proves less than it says. A default
/// one is not declared: the configuration cannot reach it.
class Goal {
 public:
  Goal() = default;
  explicit Goal(const char* sentence) : index_(verdict().goal(sentence)) {}
  void reach() const noexcept {
    if (index_ != kNone) verdict().reach(index_);
  }

 private:
  static constexpr unsigned kNone = ~0u;
  unsigned index_ = kNone;
};

namespace detail_thread {
template <class World>
struct Start {
  World* world;
  void (*body)(World&);
  bool (*work)(World&);

  static void run(void* raw) {
    const auto& self = *static_cast<Start*>(raw);
    self.body(*self.world);
  }
  static bool has_work(void* raw) {
    const auto& self = *static_cast<Start*>(raw);
    return self.work(*self.world);
  }
};
}  // namespace detail_thread

/// Adds a thread that runs `body(world)` once.
template <class World>
unsigned thread(const char* name, World& world, void (*body)(World&)) {
  using Start = detail_thread::Start<World>;
  return crew().add(name, &Start::run, &arena().make<Start>(Start{&world, body, nullptr}));
}

/// Adds a thread that runs `body(world)` whenever `work(world)` holds; that only reads.
template <class World>
unsigned loop(const char* name, World& world, bool (*work)(World&), void (*body)(World&)) {
  using Start = detail_thread::Start<World>;
  return crew().add(name, &Start::run, &arena().make<Start>(Start{&world, body, work}),
                    &Start::has_work);
}

/// Blocks until `condition(world)`; it only reads.
template <class World, bool (*Condition)(World&)>
void wait_for(World& world, const char* what) noexcept {
  block_until([](void* raw) { return Condition(*static_cast<World*>(raw)); }, &world, what);
}

/// Names memory for traces.
void name_memory(const void* begin, std::size_t bytes, const std::string& name);

}  // namespace model
