// SPDX-License-Identifier: BSL-1.0
// The names of the protocol windows and of the mistakes that can be planted in them.
// Shared by probe.hpp and its twins, so that they cannot drift apart.
#pragma once

#include <cstdint>

namespace paceline::core {

/// Points inside a protocol window where a delay or a reordering is legal but unwelcome.
enum class Site : std::uint8_t {
  wake_after_bit,       // the bit is set, the summary is not yet
  wake_before_unpark,   // the summary is set, the sleeper is not yet woken
  claim_after_take,     // a bit is taken, the task not yet started
  suspend_before_idle,  // the awaiter is registered, the state still RUNNING
  steal_after_claim,    // bits are stolen, not yet in the loot
  park_after_publish,   // the worker says it sleeps, has not re-checked yet
  park_before_sleep,    // it has re-checked and is about to sleep
  spawn_before_admit,   // a slot is taken, the task not yet in it
  takeover_after_look,  // the thread that loses its worker is known to be out
  mail_before_note,     // a task is in a mailbox, nothing leads there yet
  collect_after_take,   // returned frames are taken, their chunk not yet seen to
  count,
};

/// Where a stress run may preempt a poll although nothing waits.
enum class Whim : std::uint8_t {
  ask,         // a poll begins or goes on: its next safepoint is to look
  give_way,    // a safepoint looks: it parks the poll whatever waits
  stack_wait,  // a task is about to wait on its stack: a safepoint in front of that
};

/// Mistakes that can be planted, one at a time.
enum class Mutant : std::uint8_t {
  none,
  no_rearm_on_release,        // a wake during a run is forgotten
  clear_after_run,            // the bit is cleared after the poll instead of before
  no_summary_recheck,         // a summary bit is lowered without looking at the leaf again
  no_group_recheck,           // a class is lowered without looking at its task groups again
  summary_only_if_word_zero,  // the summary is raised only by the first bit of a leaf
  no_park_recheck,            // the worker sleeps without looking again
  trust_late_wake,            // a claimed bit is believed without asking the suspension
  free_parent_first,          // a freed slot's summary is raised before its bit
  end_by_store,               // a task's end is stored after a look instead of exchanged
  announce_stay_late,         // the completer of a stay announces itself after it found the task
  forget_spent_stay,          // a task rests in a stay without asking whether it is over
  come_in_blindly,        // a thread comes back from user code without looking who holds its worker
  take_without_look,      // a worker is taken over without asking whether its thread is out
  leave_blindly,          // a thread leaves its region without asking whether a signal comes
  signal_without_claim,   // a signal is sent after a look at the region instead of a claim
  keep_failed_claim,      // a sender that cannot send leaves its claim in place
  reclaim_by_store,       // a lender takes its worker back whoever holds it
  keep_old_charge,        // a worker that was taken over still asks the thread that has lost it
  mail_before_move,       // the thread that loses its worker is told before all has moved
  forget_to_move_bit,     // a preempted task moves to the refuge without its ready bit
  enter_anybodys_stack,   // whoever claims a task that waits on its stack runs that stack
  gate_after_bit,         // the claim of a waiting task is noted after its stack was made ready
  forget_wake_in_park,    // a wake that comes while a stack is parked is forgotten
  park_twice,             // a weak task that is preempted again is listed twice
  clear_request_late,     // a safepoint lowers the request after it has looked who waits
  lend_without_look,      // a loan is made without a look whether the task has moved meanwhile
  lend_by_hearsay,        // who lends believes what the task says of its runtime, not its slot
  move_without_look,      // a task moves without a look for loans
  keep_return_quiet,      // a loan is returned, and the task behind it does not hear of it
  drop_returned_claim,    // a wake that comes by a loan that was returned is forgotten
  steal_pinned,           // thieves do not ask whether a page is pinned
  mail_by_store,          // a task is put into a mailbox whatever is there
  note_before_mail,       // the note is left before what it is about
  take_before_lowering,   // the note is lowered after the look at the mailbox
  forget_refused_mail,    // a task that found the mailbox full counts as handed over
  take_list_by_store,     // chunks with returned frames are looked up and then stored away
  take_parcels_by_store,  // the same with a chunk's returned frames
  link_after_take,        // a returned chunk's link is read when it may be listed again
  list_by_hearsay,        // a chunk counts as listed because it was before the frames went there
  drop_wake,              // one wake in `rate` is dropped
  double_run,             // one poll in `rate` ignores that the task runs already
  leak_descriptor,        // one runtime start in `rate` leaks a descriptor
  skip_rearm_sometimes,   // one re-arm in `rate` is skipped
};

}  // namespace paceline::core
