// SPDX-License-Identifier: BSL-1.0
// Turns by the clock, where things have a price: each thread has come as far as what it did took,
// and who is furthest behind goes on. Before each access to an atomic, so that accesses of all
// threads to one line follow each other in time.
#include <stdexcept>

#include "base/assert.hpp"
#include "sim/machine/world.hpp"

namespace paceline::core::simulation {

namespace {

// Whoever uses what it holds may be ahead of others by so much: less than a miss takes, and many
// turns fewer.
constexpr Nanos kLead = 100;

}  // namespace

void price(const Prices& prices) {
  if (!takes_part || world->threads.size() != 1 || world->pricing) {
    throw std::logic_error("things get prices once, while there is one simulated thread");
  }
  world->pricing.emplace(prices);
  lines_are_priced = true;
}

Tally take_tally() { return world->pricing->lines.take_tally(); }

void pay_for(const void* address, Access access) noexcept {
  if (!takes_part) return;
  Lines& lines = world->pricing->lines;
  const std::size_t core = world->running->number - 1;
  check(core < Lines::kMostCores, "a simulated thread has a number that the lines know");
  Lines::Line& line = lines.line_of(address);  // references stay good
  const Nanos ahead = world->time - world->pricing->agenda.earliest();
  if (ahead > kLead || !Lines::is_hit(line, core, access)) point(Point::line);
  world->time = lines.access(line, core, access, world->time,
                             __builtin_extract_return_addr(__builtin_return_address(0)));
}

Thread& earliest() noexcept {
  Agenda& agenda = world->pricing->agenda;
  const Nanos at = agenda.earliest();
  if (at == kForever) give_up("deadlock: every thread waits, and nothing will wake one");
  Thread& next = *world->threads[agenda.first() - 1];
  if (next.waits_for != nullptr) make_ready(next, at);  // until its deadline
  agenda.strike(next.number);
  world->time = at;
  return next;
}

bool falls_behind(Thread& self) noexcept {
  Agenda& agenda = world->pricing->agenda;
  if (agenda.earliest() >= world->time) return false;
  agenda.put(self.number, world->time, world->rng.next());
  return true;
}

void spend(Nanos duration) noexcept {
  if (!takes_part) return;
  world->time += duration;
  point(Point::sleep);
}

}  // namespace paceline::core::simulation
