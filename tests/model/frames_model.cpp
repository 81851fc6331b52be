// SPDX-License-Identifier: BSL-1.0
// Model of coroutine frames that end on other workers than they began on: whoever frees them sends
// them home in parcels, while the owner collects and hands out. No frame is handed out twice, none
// is lost, and each chunk comes back empty in the end.
//
// Runs: FrameHeap with all but the regions its chunks lie in. A chunk has two frames of the size
// used here.
#include <array>
#include <cstring>

#include "machine/frame_heap.hpp"
#include "models.hpp"
#include "world.hpp"

namespace model {

namespace {

using core::Chunk;
using core::FrameHeap;

enum Flag : unsigned {
  kFlushesEach = 1,  // sends every frame home alone
  kCrosswise = 2,    // freers begin at different ends, so that chunks meet in both orders
};

constexpr std::size_t kBytes = 128;
constexpr unsigned kMostFrames = 6;
constexpr unsigned kMostFreers = 2;
constexpr unsigned kMostChunks = 6;

struct World;

struct Freer {
  World* world = nullptr;
  unsigned index = 0;
  FrameHeap heap;
};

struct World {
  FrameHeap heap;
  Freer freer[kMostFreers];
  unsigned freers = 0;
  unsigned flags = 0;
  unsigned frames = 0;  // that others end
  unsigned allocates = 0;
  void* frame[kMostFrames] = {};
  // Only to check with.
  Chunk* chunk[kMostChunks] = {};
  unsigned chunks = 0;
  unsigned given_back = 0;
  bool in_hands[kMostChunks][2] = {};

  Goal came_back, made_new;
};
World* world = nullptr;

/// Where it is noted whether somebody has that frame.
bool& held(World& w, void* frame) {
  Chunk& chunk = Chunk::of(frame);
  for (unsigned c = 0; c < w.chunks; ++c) {
    if (w.chunk[c] != &chunk) continue;
    const bool last = static_cast<char*>(frame) + kBytes == chunk.end;
    return w.in_hands[c][last ? 1 : 0];
  }
  fail("a frame lies in a chunk");
}

void* begin_frame(World& w) {
  const unsigned before = w.chunks;
  void* const frame = w.heap.allocate(kBytes);
  require(frame != nullptr, "there is memory");
  bool& taken = held(w, frame);
  require(!taken, "a frame is handed out once");
  taken = true;
  std::memset(frame, 0x11, kBytes);  // a frame's content is anything
  if (w.chunks != before) {
    w.made_new.reach();
  } else if (crew().inside()) {
    w.came_back.reach();
  }
  return frame;
}

void end_frame(World& w, FrameHeap& on, void* frame) {
  held(w, frame) = false;
  on.free(frame);
}

void free_some(Freer& self) {
  World& w = *self.world;
  for (unsigned i = 0; i < w.frames; ++i) {
    // Frames of one chunk lie next to each other and end on different workers.
    const bool backwards = (w.flags & kCrosswise) != 0 && self.index == 1;
    const unsigned f = backwards ? w.frames - 1 - i : i;
    if (f % w.freers != self.index) continue;
    pause_here("ends a frame");
    end_frame(w, self.heap, w.frame[f]);
    if ((w.flags & kFlushesEach) != 0) self.heap.flush();
  }
  self.heap.flush();
}

void allocate_some(World& w) {
  std::array<void*, kMostFrames> mine{};
  for (unsigned i = 0; i < w.allocates; ++i) {
    pause_here("begins a frame");
    mine[i] = begin_frame(w);
  }
  for (unsigned i = 0; i < w.allocates; ++i) end_frame(w, w.heap, mine[i]);
}

/// `tasks`: frames that others end. `wakers`: frames the owner begins meanwhile. `workers`: freers.
void set_up(const Variant& variant) {
  begin_machine();
  world = &arena().make<World>();
  World& w = *world;
  w.flags = variant.flags;
  w.frames = variant.tasks;
  w.allocates = variant.wakers;
  w.freers = variant.workers;
  for (unsigned i = 0; i < w.frames; ++i) w.frame[i] = begin_frame(w);
  thread<World>("owner", w, &allocate_some);
  for (unsigned i = 0; i < w.freers; ++i) {
    w.freer[i].world = &w;
    w.freer[i].index = i;
    thread<Freer>(("freer" + std::to_string(i)).c_str(), w.freer[i], &free_some);
  }
  for (unsigned c = 0; c < w.chunks; ++c) {
    name_memory(&w.chunk[c]->returned, sizeof w.chunk[c]->returned,
                "chunk" + std::to_string(c) + ".returned");
  }
  w.came_back = Goal("a frame that ended elsewhere is handed out again");
  w.made_new = Goal("none has come back, and a new chunk serves");
}

void at_end() {
  World& w = *world;
  const unsigned before = w.given_back;
  w.heap.trim(0);
  require(w.given_back - before == w.chunks, "every chunk comes back empty");
  for (unsigned i = 0; i < w.freers; ++i) {
    require(w.freer[i].heap.trim(0) == 0, "who frees keeps no chunk of others");
  }
}

}  // namespace

Model frames_model() {
  Model model{"frames", "coroutine frames that end on other workers and come home in parcels",
              &set_up,  &at_end,
              nullptr,  {}};
  constexpr const char* kNames[] = {"", "-each", "-cross", "-each-cross"};
  for (unsigned flags = 0; flags < 4; ++flags) {
    for (unsigned frames = 2; frames <= kMostFrames; ++frames) {
      for (unsigned freers = 1; freers <= kMostFreers; ++freers) {
        // Less than two chunks meet in one order only.
        if ((flags & kCrosswise) != 0 && (freers == 1 || frames < 4)) continue;
        Variant variant{std::to_string(frames) + "f" + std::to_string(freers) + "w" + kNames[flags],
                        frames, 3, freers, flags};
        if (frames == kMostFrames && freers == 2) variant.quick = 3;
        model.variants.push_back(variant);
      }
    }
  }
  return model;
}

}  // namespace model

// The regions of chunks, for virtual threads.
namespace paceline::core {

Chunk* take_chunk() noexcept {
  model::World& w = *model::world;
  if (w.chunks == model::kMostChunks) return nullptr;
  void* const memory = model::arena().allocate(Chunk::kBytes, Chunk::kBytes);
  Chunk* const chunk = ::new (memory) Chunk;
  w.chunk[w.chunks++] = chunk;
  return chunk;
}

void give_chunk_back(Chunk*) noexcept { ++model::world->given_back; }

}  // namespace paceline::core
