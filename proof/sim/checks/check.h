/* SPDX-License-Identifier: MIT */
/*
 * The properties, one file each; docs/testing.md has their table. A checker is told what
 * happens and calls sim_fail when it should not have happened.
 *
 *   exclusion.c   law 1: two holders at once in true time; what is held is held at the store
 *   fence.c       law 3: fences grow in the store's order and in the order of reports
 *   seen.c        laws 2, 4, 5, 6: told once, in time, and the truth
 *   fairness.c    law 7: FIFO among live waiters, nobody forgotten, nobody hoards
 *   progress.c    after the faults everybody gets the lock; a healthy holder keeps it
 *   kinds.c       who may hold beside whom, at the store and by the callers' clocks; nobody who
 *                 fits is left waiting; an upgrade goes before all
 *   changes.c     changes of a mode: told once, done in order, and what is believed is so
 *   clean.c       laws 4 and 8: nothing stays behind; messages are bounded
 */
#ifndef PAWL_SIM_CHECK_H
#define PAWL_SIM_CHECK_H

#include "sim.h"

/* ---- The store -------------------------------------------------------------- */

/* From the model: the lock's token became the holder, or was confirmed. */
void seen_held(sim *s, const model_lock *lock, const model_hold *hold, model_news news);
/* The server is about to execute a client's command; has executed it. */
void seen_arrived(sim *s, const sim_message *message);
void seen_executed(sim *s, const sim_message *message);
void seen_plain_executed(sim *s, const sim_message *message);
/* The store lost or gained memory, or time, that nobody could know of. name -1: all names. */
void seen_broken(sim *s, int name);
/* It forgot the fence record. */
void seen_record_lost(sim *s, int name);
/* Somebody else's hand was on the name. */
void seen_tampered(sim *s, int name);
/* A grant was published: how many heard it. */
void seen_published(sim *s, const char *payload, int heard);
/* The server's clock is set back: places that have run out may seem to stand again. */
void seen_places_over(sim *s);
/* Nobody's place in the queue is promised any more. */
void seen_queue_lost(sim *s, int name);

/* ---- Clients ---------------------------------------------------------------- */

void seen_sent(sim *s, const sim_client *client, const pawl_request *request);
/* A reply that its client reads. */
void seen_answered(sim *s, int token, pawl_verb verb, const pawl_reply *reply);
/* The store spoke unasked, and the client reads it. */
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

/* ---- One checker each; called by seen.c only -------------------------------- */

bool seen_is_live(sim *s, const sim_caller *caller); /* its own clock says that it holds */
/* The store is still bound by its word to this token. */
bool seen_is_promised(const sim *s, int name, int token);
/* The same for a caller's hold. */
bool seen_is_owed(const sim *s, const sim_caller *caller);
/* It waits at the store, and nothing has touched it since the store last told it so. */
bool seen_is_there(const sim *s, int token);
/* Nothing has disturbed this client since t. */
bool seen_is_calm(const sim *s, int client, int64_t since);

void check_overlap(sim *s, const sim_caller *caller);
void check_truth(sim *s, int name);
void check_margin(sim *s, const sim_caller *caller);
void check_fence_drawn(sim *s, uint64_t fence, int name, bool is_new);
void check_upgrade_fence(sim *s, const sim_caller *caller, uint64_t before);
/* The order of reports means nothing any more. */
void check_fences_excused(sim *s, int name);
/* Whether they exclude each other: the table of pawl_mode, said anew. */
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

#endif
