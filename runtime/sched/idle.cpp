// SPDX-License-Identifier: BSL-1.0
#include "sched/idle.hpp"

#include "exec/async.hpp"
#include "exec/hold.hpp"
#include "machine/machine.hpp"
#include "sched/monitor.hpp"
#include "task/lane.hpp"

namespace paceline::core {

bool wake_seat(Seat& seat, std::uint32_t token) noexcept {
  // Seq_cst look: step 2 of the waker. Cheap when the worker is awake.
  if (seat.park.load(std::memory_order_seq_cst) != Seat::kAsleep) return false;  // M7
  std::uint32_t asleep = Seat::kAsleep;
  // M8
  if (!seat.park.compare_exchange_strong(asleep, token, std::memory_order_seq_cst)) return false;
  machine::unpark(seat.park);
  return true;
}

namespace {

/// What is ready at the worker that help is wanted for, and what it takes to be of help.
struct Plight {
  Word ready = 0;  // classes; 0: not known, or nothing that is a task
  unsigned rank_shift = 0;

  explicit Plight(const Seat* seat) noexcept {
    if (seat == nullptr) return;
    ready = seat->classes.load(std::memory_order_relaxed) & Port::kClasses;
    rank_shift = seat->rank.load(std::memory_order_relaxed) * 8u;
  }
  bool is_native(const Seat& helper) const noexcept {
    return ready == 0 || (helper.native.load(std::memory_order_relaxed) & ready) != 0;
  }
  bool is_for(const Seat& helper) const noexcept {
    return ready == 0 || (helper.takes.load(std::memory_order_relaxed) >> rank_shift & ready) != 0;
  }
  bool is_of_its_kind(const Seat& helper) const noexcept { return ranks_to(helper) == 0; }
  unsigned ranks_to(const Seat& helper) const noexcept {
    const unsigned its = helper.rank.load(std::memory_order_relaxed);
    return its < rank_shift / 8 ? rank_shift / 8 - its : its - rank_shift / 8;
  }
};

/// The nearest sleeper from `origin` on that may help, those on the right kind of core first, then
/// those on the kind next to it, and before one that is bound to `own_cpu` any other. Null: there
/// is none.
Seat* nearest_sleeper(Hub& hub, unsigned origin, int own_cpu, Helpers whom) noexcept {
  // A late wake may find a hub without workers, or one that serves another runtime by now.
  const unsigned words = (hub.workers.load(std::memory_order_relaxed) + 63) / 64;
  const unsigned first = words == 0 ? 0 : origin / 64 % words;
  const Plight plight(words == 0 ? nullptr
                                 : hub.seats[origin].load(std::memory_order_acquire));  // M10
  Seat* abroad = nullptr;
  Seat* here = nullptr;
  // The origin's own word is visited twice: above the origin first, below it last.
  for (unsigned step = 0; words != 0 && step <= words; ++step) {
    const unsigned at = (first + step) % words;
    Word candidates = hub.asleep[at].load(std::memory_order_relaxed);
    if (step == 0) candidates = from(candidates, origin % 64);
    for (; candidates != 0; candidates = without_lowest(candidates)) {
      Seat* seat = hub.seats[at * 64 + lowest(candidates)].load(std::memory_order_acquire);  // M10
      if (seat == nullptr || seat->park.load(std::memory_order_seq_cst) != Seat::kAsleep) {  // M7
        continue;
      }
      if (!plight.is_for(*seat)) continue;
      if (whom == Helpers::of_its_kind && !plight.is_of_its_kind(*seat)) continue;
      if (own_cpu >= 0 && seat->cpu.load(std::memory_order_relaxed) == own_cpu) {
        here = seat;
      } else if (plight.is_native(*seat)) {
        return seat;
      } else if (abroad == nullptr || plight.ranks_to(*seat) < plight.ranks_to(*abroad)) {
        abroad = seat;
      }
    }
  }
  if (abroad != nullptr) return abroad;
  // One that watches looks soon in any case, and would only push us aside.
  return Hub::is_alert(hub.watcher.load(std::memory_order_seq_cst)) ? nullptr : here;  // M27
}

}  // namespace

bool call_helper(Hub& hub, unsigned origin, Helpers whom) noexcept {
  const int own_cpu = machine::current_cpu();
  // More than once only if the sleeper we chose woke up before us.
  for (int attempt = 0; attempt < 4; ++attempt) {
    Seat* seat = nearest_sleeper(hub, origin, own_cpu, whom);
    if (seat == nullptr) return false;
    // Counted before it wakes, so that the next event sees a searcher and calls nobody.
    std::uint32_t none = 0;
    if (!hub.searching.compare_exchange_strong(none, 1)) return true;  // M9
    if (wake_seat(*seat, Seat::kCalled)) return true;
    // Whoever went to sleep meanwhile may have relied on the search that does not take place.
    hub.searching.fetch_sub(1, std::memory_order_seq_cst);  // M9
  }
  return false;
}

// --- mail ---

bool deliver(Seat& seat, const Mail& mail) noexcept {
  // The steps of a waker: what there is, then what leads to it, then the look who sleeps.
  if (planted(Mutant::note_before_mail)) leave_note(seat);
  if (!seat.mail.put(mail)) return planted(Mutant::forget_refused_mail);
  probe(Site::mail_before_note);
  if (!planted(Mutant::note_before_mail)) leave_note(seat);
  if (wake_seat(seat, Seat::kWoken)) return true;
  Hub* hub = seat.hub.load(std::memory_order_acquire);                               // M10
  if (hub != nullptr && Hold::is_lent(seat.hold.load(std::memory_order_seq_cst))) {  // M31
    Monitor::hurry(*hub);
  }
  return true;
}

Mail read_note(Seat& seat) noexcept {
  Mail early;
  if (planted(Mutant::take_before_lowering)) early = seat.mail.take();
  // Seq_cst: before the look at the mail, as who puts one leaves a note afterwards.
  seat.classes.fetch_and(~bit(Port::kNote), std::memory_order_seq_cst);  // M6, M84
  return planted(Mutant::take_before_lowering) ? early : seat.mail.take();
}

namespace {

/// Does something wait there that prefers another kind of core, and may go there?
bool has_foreign(Seat& seat) noexcept {
  Word left = seat.classes.load(std::memory_order_relaxed) & Port::kClasses &
              ~seat.native.load(std::memory_order_relaxed);
  for (; left != 0; left = without_lowest(left)) {
    if (count_stealable(seat, lowest(left), 1) != 0) return true;
  }
  return false;
}

}  // namespace

void help_wanted(Port& port, std::uint64_t ready) noexcept {
  auto& seat = static_cast<Seat&>(port);
  Hub* hub = seat.hub.load(std::memory_order_acquire);  // M10
  if (hub == nullptr || hub->sleepers.load(std::memory_order_relaxed) == 0) return;
  if (hub->searching.load(std::memory_order_relaxed) != 0) return;
  if (hub->napping.load(std::memory_order_relaxed) != 0) return;
  // What waits here and prefers another kind of core goes there as soon as it may.
  const bool worth_it = ready > 1 && (seat.time_for(ready) >= kWakeCost || has_foreign(seat));
  if (!worth_it && Hub::is_alert(hub->watcher.load(std::memory_order_seq_cst))) return;  // M27
  call_helper(*hub, port.index.load(std::memory_order_relaxed));
}

namespace {

/// Something more important than what runs there waits, or what runs there is overdue.
void ask_to_give_way(Seat& seat, std::uint32_t runs) noexcept {
  Hub* hub = seat.hub.load(std::memory_order_acquire);  // M10
  // A sleeper takes it, if it may be taken; if not, the monitor notices.
  if (hub != nullptr && Hold::is_lent(seat.hold.load(std::memory_order_seq_cst))) {  // M31
    Monitor::hurry(*hub);
    return;
  }
  // Among several kinds of cores a sleeper need not be one that may come.
  const bool alike = seat.native.load(std::memory_order_relaxed) == Seat::kEverything;
  if (alike && hub != nullptr && hub->sleepers.load(std::memory_order_relaxed) != 0) return;
  const bool asked = seat.is_pressed();
  seat.ask(runs == Port::kOverdue ? Ask::slice : Ask::urgent, asked ? 0 : machine::now());
  if (!asked) signal_seat(seat);  // else whoever asked first has, and the monitor goes on
}

}  // namespace

void signal_seat(Seat& seat) noexcept {
  Region* region = seat.region.load(std::memory_order_acquire);  // M41
  if (region == nullptr || region == machine::this_thread().region) return;
  if (signal_region(*region)) return;
  // Another sender may have met the claim and left it to us.
  if (Hub* hub = seat.hub.load(std::memory_order_acquire)) Monitor::hurry(*hub);  // M10
}

namespace {

/// Wakes the worker, or has it give way. True if that is all.
bool tell_worker(Seat& seat, unsigned class_index) noexcept {
  if (wake_seat(seat, Seat::kWoken)) return true;
  const std::uint32_t runs = seat.run_class.load(std::memory_order_relaxed);
  if (class_index < runs) [[unlikely]]
    ask_to_give_way(seat, runs);
  return false;
}

void ask_for_help(Seat& seat, bool backlog) noexcept {
  const std::uint64_t known = std::uint64_t{seat.load.load(std::memory_order_relaxed)} +
                              seat.inflow.load(std::memory_order_relaxed);
  help_wanted(seat, known + (backlog ? 1 : 0));
}

}  // namespace

void work_added(Port& port, unsigned class_index, bool backlog) noexcept {
  auto& seat = static_cast<Seat&>(port);
  if (!tell_worker(seat, class_index)) ask_for_help(seat, backlog);
}

void stream_added(Port& port, unsigned class_index, bool backlog) noexcept {
  auto& seat = static_cast<Seat&>(port);
  if (tell_worker(seat, class_index)) return;
  const Hub* hub = seat.hub.load(std::memory_order_acquire);  // M10
  if (hub == nullptr || hub->sleepers.load(std::memory_order_relaxed) == 0) return;
  // Asking is dearer than what it could win for each of them.
  constexpr std::uint32_t kAskEvery = 16;
  const bool small = seat.time_for(kAskEvery) < kWakeCost;
  if (small && Hub::is_alert(hub->watcher.load(std::memory_order_seq_cst))) return;  // M27
  ask_for_help(seat, backlog);
}

bool begin_search(Hub& hub) noexcept {
  const unsigned workers = hub.workers.load(std::memory_order_relaxed);
  const std::uint32_t most = workers > 2 ? workers / 2 : 1;
  std::uint32_t now = hub.searching.load(std::memory_order_relaxed);
  while (now < most) {
    // M9
    if (hub.searching.compare_exchange_weak(now, now + 1, std::memory_order_seq_cst)) return true;
  }
  return false;
}

bool end_search(Hub& hub) noexcept {
  return hub.searching.fetch_sub(1, std::memory_order_seq_cst) == 1;  // M9
}

namespace detail_park {

void publish_asleep(Hub& hub, Seat& seat) noexcept {
  const unsigned index = seat.index.load(std::memory_order_relaxed);
  hub.asleep[index / 64].fetch_or(bit(index % 64), std::memory_order_seq_cst);  // M7
  hub.sleepers.fetch_add(1, std::memory_order_seq_cst);                         // M7
  // Step 1 of the worker; an exchange, because a plain store would let the looks of step 2 pass it.
  seat.park.exchange(Seat::kAsleep, std::memory_order_seq_cst);  // M7
}

bool sleep(Seat& seat, Nanos deadline) noexcept {
  bool slept = false;
  while (seat.park.load(std::memory_order_acquire) == Seat::kAsleep) {  // M8
    if (deadline != kForever && machine::now() >= deadline) break;
    machine::park(seat.park, Seat::kAsleep, deadline);
    slept = true;
  }
  return slept;
}

std::uint32_t publish_awake(Hub& hub, Seat& seat) noexcept {
  // Acquire. Pairs: wake_seat's CAS. A token that arrives late is consumed here, not left behind.
  const std::uint32_t token = seat.park.exchange(Seat::kAwake, std::memory_order_seq_cst);  // M8
  hub.sleepers.fetch_sub(1, std::memory_order_seq_cst);                                     // M7
  const unsigned index = seat.index.load(std::memory_order_relaxed);
  hub.asleep[index / 64].fetch_and(~bit(index % 64), std::memory_order_seq_cst);  // M7
  return token;
}

}  // namespace detail_park

}  // namespace paceline::core
