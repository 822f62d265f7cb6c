/* SPDX-License-Identifier: MIT */
/*
 * The properties, one file each; docs/testing.md has their table. A checker is told what
 * happens and calls sim_fail when it should not have happened.
 *
 *   facts.c       what several of them ask of what was seen
 *   exclusion.c   law 1: two holders at once in true time; what is held is held at the store
 *   fence.c       law 3: fences grow in the store's order and in the order of reports
 *   seen.c        laws 2, 4, 5, 6: told once, in time, and the truth
 *   fairness.c    law 7: FIFO among live waiters, nobody forgotten, nobody hoards
 *   progress.c    after the faults everybody gets the lock; a healthy holder keeps it
 *   kinds.c       who may hold beside whom, at the store and by the callers' clocks; nobody who
 *                 fits is left waiting; an upgrade goes before all
 *   changes.c     changes of a mode: told once, done in order, and the store has what is believed
 *   news.c      what the store tells of itself: the restart guard, its clock, keys that changed
 *   told.c      what must follow from that
 *   clean.c       laws 4 and 8: nothing stays behind; messages are bounded
 *   values.c      the value beside a name
 */
#ifndef PAWL_SIM_CHECK_H
#define PAWL_SIM_CHECK_H

#include "core.h"

/* ---- The store -------------------------------------------------------------- */

/* From the model: the token became the holder, or was confirmed. */
void seen_held(sim *s, const model_lock *lock, const model_hold *hold, model_news news);
/* The server is about to execute a client's command; has executed it. */
void seen_arrived(sim *s, const sim_message *message);
void seen_executed(sim *s, const sim_message *message);
void seen_plain_executed(sim *s, const sim_message *message);
/* The store lost data, went back or jumped in time, and nobody could know. name -1: all names. */
void seen_broken(sim *s, int name);
/* It forgot the fence record. */
void seen_record_lost(sim *s, int name);
/* Another program changed the keys of the name. */
void seen_tampered(sim *s, int name);
/* A grant was published: how many heard it. */
void seen_published(sim *s, const char *payload, int heard);
/* The server's clock is set back: places that ran out may be valid again. */
void seen_places_over(sim *s);
/* From now on no place in the queue is promised. */
void seen_queue_lost(sim *s, int name);

/* ---- News of the store itself ------------------------------------------------ */

void seen_guarded(sim *s, int64_t left_ms);
void seen_forgot(sim *s, int64_t till_ms);
/* guard.lua has answered. */
void seen_asked_guard(sim *s, const sim_message *message, bool had_record);
/* The server's clock was set forward by so many ns. */
void seen_stepped(sim *s, int64_t by);
void seen_time_read(sim *s, sim_session *session);
void seen_step_told(sim *s, sim_client *client, int64_t step_us);
/* Another hand deletes this lock key now. */
void seen_deleted(sim *s, const model_lock *lock);
void check_step(sim *s, sim_client *client);
void check_early_grant(sim *s, int token);
void check_announced(sim *s, const sim_caller *caller);

/* ---- Clients ---------------------------------------------------------------- */

void seen_sent(sim *s, const sim_client *client, const pawl_request *request);
/* A reply that its client reads. */
void seen_answered(sim *s, int token, pawl_verb verb, const pawl_reply *reply);
/* The client reads a push of the store. */
void seen_pushed(sim *s, int client);
/* `pawl break` took the lock from this token, and said so to its inbox. */
void seen_cut_off(sim *s, int token);

/* ---- Callers ---------------------------------------------------------------- */

void seen_wanted(sim *s, sim_caller *caller);
void seen_granted(sim *s, sim_caller *caller, uint64_t fence, int token, int64_t deadline);
void seen_extended(sim *s, sim_caller *caller, int64_t deadline);
void seen_changing(sim *s, sim_caller *caller);
void seen_changed(sim *s, sim_caller *caller, pawl_err err, uint64_t fence);
void seen_refused(sim *s, sim_caller *caller, pawl_err err);
void seen_lost(sim *s, sim_caller *caller, pawl_err err);
void seen_yielded(sim *s, sim_caller *caller);
void seen_releasing(sim *s, sim_caller *caller);
void seen_released(sim *s, sim_caller *caller, pawl_err err);
void seen_died(sim *s, sim_caller *caller);

/* ---- After every step ------------------------------------------------------- */

void seen_step(sim *s, sim_client *client);
void seen_time_told(sim *s, const sim_client *client);
void seen_end(sim *s);

/* ---- What all checkers may ask (facts.c) ------------------------------------- */

bool seen_is_live(sim *s, const sim_caller *caller); /* its own clock says that it holds */
/* The promise of the store to this token is still valid. */
bool seen_is_promised(const sim *s, int name, int token);
/* The same where the store may have forgotten it, and the restart guard keeps others out. */
bool seen_is_guarded(const sim *s, const sim_caller *caller);
/* The same for a caller's hold. */
bool seen_is_owed(const sim *s, const sim_caller *caller);
/* It waits at the store, and nothing has touched it since then. */
bool seen_is_there(const sim *s, int token, int64_t since);
/* Nothing has disturbed this client since t. */
bool seen_is_calm(const sim *s, int client, int64_t since);

/* ---- One checker each -------------------------------------------------------- */

void check_overlap(sim *s, const sim_caller *caller);
void check_truth(sim *s, int name);
void check_margin(sim *s, const sim_caller *caller);
void check_fence_drawn(sim *s, uint64_t fence, int name, bool is_new);
void check_upgrade_fence(sim *s, const sim_caller *caller, uint64_t before);
/* From now on the order of reports proves nothing. */
void check_fences_excused(sim *s, int name);
/* Whether they exclude each other: the table of pawl_mode, written a second time. */
bool check_excludes(char one, char other);
char check_letter(pawl_mode mode);
void check_slots_drawn(sim *s, const model_lock *lock, int name, const model_hold *hold);
void check_no_upgrade_waits(sim *s, int name, int token);
/* What follows the keys of a script. */
const pawl__redis_bytes *check_args(const sim_message *m);
/* Whether it is an ACQUIRE that will not wait. */
bool check_asks_only(const sim_message *m);
/* What the request of this message was for; and what became of it. */
void check_asked(sim *s, const sim_message *m);
void check_change_executed(sim *s, const sim_message *m, int says);
/* After each command: who holds at the store. */
void check_look(sim *s, int name, const model_lock *lock);
void check_woken(sim *s, int name, const model_lock *lock);
void check_believed(sim *s, const sim_client *client);
void check_upgrade_in_time(sim *s, const sim_caller *caller);
void check_fence_told(sim *s, const sim_caller *caller);
void check_turn(sim *s, int name, int token);
void check_forgotten(sim *s, const sim_client *client);
void check_orphans(sim *s, const sim_client *client);
void check_hoarding(sim *s, const sim_client *client);
void check_passing(sim *s, const sim_caller *caller);
void check_keys(sim *s, const model_lock *lock);
void check_nothing_left(sim *s);
void check_cost(sim *s);
void check_waited(sim *s, const sim_caller *caller);
void check_steady(sim *s, const sim_caller *caller, pawl_err err);
void check_starved(sim *s);
/* A PUBLISH or READ is about to be executed; was executed; and an inbox was told of news. */
void check_value_arrives(sim *s, const sim_message *m);
void check_value_executed(sim *s, const sim_message *m);
void check_news(sim *s, const char *inbox);
/* What a caller is told of its value. doubt: an earlier try may have been done. */
void check_speech_told(sim *s, const char *text, pawl_outcome outcome, bool doubt);
/* The store has forgotten something. name -1: of all names. */
void check_values_lost(sim *s, int name);
/* Records of holders are lost, and with them the numbers of what they have published. */
void check_numbers_lost(sim *s);

#endif
