/* SPDX-License-Identifier: MIT */
/*
 * Claims: where a caller's view of a lock and the engine's meet.
 *
 * A claim is one acquisition. A handle has one at a time (lock->claim) from the
 * call of acquire until the lock is given back; older ones may live on beside it
 * until the engine has forgotten them and their callbacks have run. So a handle
 * can be acquired again at once after a release, and a freed handle's callbacks
 * still find their memory.
 *
 * Exactly once (law 6): an acquisition ends in end_acquire, a release in
 * end_release, and both do nothing the second time; a loss is told when the claim
 * is not let go yet, and lets it go.
 */
#define _GNU_SOURCE
#include "../base/hex.h"
#include "../base/line.h"
#include "runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Life ----------------------------------------------------------------------------------- */

static pawl__claim *claim_allocate(pawl_lock *lock)
{
    if (!lock->first_in_use) {
        lock->first_in_use = true;
        return &lock->first;
    }
    pawl__spare_claim *spare = malloc(sizeof *spare);
    if (!spare) return NULL;
    spare->lock = lock;
    return &spare->claim;
}

pawl__claim *pawl__claim_new(pawl_lock *lock)
{
    const pawl__want *terms = &lock->first.want;
    pawl__claim *claim = claim_allocate(lock);
    if (!claim) return NULL;
    *claim = (pawl__claim){.is_spare = claim != &lock->first,
                           .want = {.name = terms->name,
                                    .name_len = terms->name_len,
                                    .owner = terms->owner,
                                    .ttl_ms = terms->ttl_ms,
                                    .retain_ms = lock->retain_ms,
                                    .mode = terms->mode,
                                    .flags = terms->flags}};
    lock->refs++;
    pawl__list_append(&lock->client->claims, &claim->in_claims);
    return claim;
}

static void claim_deallocate(pawl_lock *lock, pawl__claim *claim)
{
    if (claim == &lock->first)
        lock->first_in_use = false;
    else
        free(pawl__container(claim, pawl__spare_claim, claim));
}

/* Some are left only in the child of a fork (law 9). There a waiter's stack may be gone. */
static void free_awaits(pawl__claim *claim)
{
    if (claim->slept_on) return;
    for (pawl__await *await = claim->awaits, *next; await; await = next) {
        next = await->next;
        free(await);
    }
}

void pawl__claim_settle(pawl__claim *claim)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    if (claim->known || claim->calls || lock->claim == claim) return;
    if (claim->running || claim->telling) return; /* it is settled afterwards */
    pawl__list_remove(&claim->in_claims);
    pawl__list_remove(&claim->in_asked);
    pawl__list_remove(&claim->in_calls); /* news that was taken back leaves it there */
    free_awaits(claim);
    claim_deallocate(lock, claim);
    pawl__lock_put(lock);
}

void pawl__lock_put(pawl_lock *lock)
{
    if (--lock->refs > 0) return;
    lock->client->refs--; /* whoever holds the mutex has a reference of its own */
    if (lock->extras) free(lock->extras->event_message);
    free(lock->extras);
    free(lock);
}

void pawl__claim_ask(pawl__claim *claim, uint8_t what)
{
    claim->asked |= what;
    if (!pawl__link_linked(&claim->in_asked))
        pawl__list_append(&pawl__claim_lock(claim)->client->asked, &claim->in_asked);
}

/* ---- Who waits for an end, mutex held -------------------------------------------------------- */

void pawl__claim_await(pawl__claim *claim, pawl__await *await, uint8_t call)
{
    await->call = call;
    await->next = claim->awaits;
    claim->awaits = await;
    claim->slept_on = await->waiter;
}

void pawl__claim_unawait(pawl__claim *claim, const pawl__await *await)
{
    pawl__await **at = &claim->awaits;
    while (*at && *at != await) at = &(*at)->next;
    if (*at) *at = await->next;
    if (await->waiter) claim->slept_on = false;
}

static pawl__await *find_await(const pawl__claim *claim, uint8_t call, bool over)
{
    pawl__await *await = claim->awaits;
    while (await && (await->call != call || await->over != over)) await = await->next;
    return await;
}

pawl__await *pawl__claim_take_over(pawl__claim *claim, uint8_t call)
{
    pawl__await *await = find_await(claim, call, true);
    if (await) pawl__claim_unawait(claim, await);
    return await;
}

/* ---- Held or not ---------------------------------------------------------------------------- */

bool pawl__lock_let_go(pawl_lock *lock)
{
    int64_t until = atomic_exchange(&lock->held_until, PAWL__NOT_HELD);
    return until > PAWL__NOT_HELD && pawl__now() < until;
}

/*
 * A reader that sees any of the new words also sees the odd version (each word is
 * released after it and acquired before it is looked at again), and reads anew.
 */
static void publish_token(pawl_lock *lock, const char *token)
{
    uint32_t words[PAWL__TOKEN_WORDS];
    uint8_t bytes[sizeof words];
    pawl__hex_pack(token, bytes, sizeof bytes);
    memcpy(words, bytes, sizeof words);
    uint32_t version = atomic_load_explicit(&lock->token_version, memory_order_relaxed);
    atomic_store_explicit(&lock->token_version, version + 1, memory_order_relaxed);
    for (size_t i = 0; i < PAWL__TOKEN_WORDS; i++)
        atomic_store_explicit(&lock->token[i], words[i], memory_order_release);
    atomic_store_explicit(&lock->token_version, version + 2, memory_order_release);
}

/* ---- Ends, mutex held ----------------------------------------------------------------------- */

static void forget_by_engine(pawl__claim *claim)
{
    pawl__cached_disarm(claim);
    claim->known = false;
    pawl__list_remove(&claim->in_asked);
    claim->asked = 0;
}

/* Exactly once: whoever waits for it is told, or there is nobody (law 6). */
static void end_call(pawl_client *c, pawl__claim *claim, uint8_t call, int err)
{
    pawl__await *await = find_await(claim, call, false);
    if (!await) return;
    if (await->waiter) {
        pawl__claim_unawait(claim, await);
        pawl__gate_complete(&c->gate, await->waiter, err);
        return;
    }
    await->over = true;
    await->err = (int16_t)err;
    c->gate.async_pending--;
    pawl__claim_call(claim, call);
}

static void end_acquire(pawl_client *c, pawl__claim *claim, int err)
{
    end_call(c, claim, PAWL__CALL_ACQUIRED, claim->abandoned ? PAWL_ERR_CANCELED : err);
}

static void end_release(pawl_client *c, pawl__claim *claim, int err)
{
    end_call(c, claim, PAWL__CALL_RELEASED, err);
}

void pawl__claim_unsay(pawl__claim *claim)
{
    pawl__await *untold = find_await(claim, PAWL__CALL_ACQUIRED, true);
    if (untold && !untold->err) untold->err = PAWL_ERR_CANCELED;
}

static void keep_event(pawl__claim *claim, pawl_err err, const char *message)
{
    pawl__extras *extras = pawl__claim_lock(claim)->extras;
    claim->event_err = (int16_t)err;
    if (!extras || !extras->on_event) return;
    free(extras->event_message);
    extras->event_message = message && *message ? strdup(message) : NULL; /* else the err's text */
    if (extras->event_message) pawl__line_mend(extras->event_message);
    extras->message_of = claim;
}

/* A store that has said nothing at all has given no reason either. */
static const char *reason(const pawl_client *c, pawl_err err, const char *message, char *ret_room)
{
    if (message && *message) return message;
    if (err != PAWL_ERR_UNAVAILABLE) return pawl_err_text(err);
    snprintf(ret_room, PAWL_MESSAGE_MAX, "%.400s has not answered in time", pawl_client_url(c));
    return ret_room;
}

/* Lines for people hold names, which may hold anything. */
static void say_about(pawl_client *c, const pawl_lock *lock, pawl_severity severity,
                      const char *what, pawl_err err, const char *message)
{
    char name[81];
    snprintf(name, sizeof name, "%s", lock->name);
    for (char *p = name; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
    char room[PAWL_MESSAGE_MAX];
    const char *why = reason(c, err, message, room);
    pawl__client_say(c, "lock \"%s\": %s: %s", name, what, why);
    pawl__client_blame(c, err, why);
    if (severity != PAWL_SEVERITY_OK) pawl__calls_log(&c->calls, severity, c->message);
}

/* The claim is its lock's. */
static void tell_loss(pawl_client *c, pawl__claim *claim, pawl_err err, const char *message)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    claim->let_go = true;
    atomic_store(&lock->held_until, PAWL__EXPIRED);
    lock->state = PAWL__LOCK_LOST;
    say_about(c, lock, PAWL_SEVERITY_WARNING, "lost", err, message);
    keep_event(claim, err, message);
    claim->calls &= (uint8_t)~PAWL__CALL_EVENTS; /* older news are none any more */
    pawl__claim_call(claim, PAWL__CALL_LOST);
}

/* ---- The engine's actions, mutex held ------------------------------------------------------- */

static void on_granted(pawl_client *c, pawl__claim *claim, const pawl__action *action)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    if (claim->abandoned) {
        claim->let_go = true;
        pawl__claim_ask(claim, PAWL__ASK_RELEASE);
        end_acquire(c, claim, PAWL_ERR_CANCELED);
        return;
    }
    publish_token(lock, action->token);
    atomic_store(&lock->fence, action->fence);
    claim->wanted = pawl__want_is_wanted(&claim->want);
    claim->waited = pawl__want_had_queued(&claim->want);
    atomic_store(&lock->held_until, action->deadline & ~INT64_C(1)); /* held, not lent */
    lock->state = PAWL__LOCK_HELD;
    end_acquire(c, claim, PAWL_OK);
}

static void on_refused(pawl_client *c, pawl__claim *claim, const pawl__action *action)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    forget_by_engine(claim);
    claim->let_go = true;
    if (lock->claim == claim) {
        lock->claim = NULL;
        lock->state = PAWL__LOCK_IDLE;
    }
    bool by_label = action->err == PAWL_ERR_BUSY; /* then the message is the holder's label */
    const char *what = by_label && *action->message ? "held by" : "not acquired";
    if (pawl_err_class_of(action->err) != PAWL_CLASS_CANCELED)
        say_about(c, lock, PAWL_SEVERITY_OK, what, action->err, action->message);
    end_acquire(c, claim, action->err);
    pawl__claim_settle(claim);
}

static void on_extended(pawl_client *c, pawl__claim *claim, const pawl__action *action)
{
    if (claim->let_go) return;
    pawl_lock *lock = pawl__claim_lock(claim);
    if (!pawl__cached_extend(lock, action->deadline)) { /* law 2: the reader was right */
        tell_loss(c, claim, PAWL_ERR_LOST, "the renewal was confirmed after the deadline");
        pawl__claim_ask(claim, PAWL__ASK_RELEASE);
        return;
    }
    if (!action->after_doubt) return;
    bool untold = claim->calls & PAWL__CALL_DOUBT;
    claim->calls &= (uint8_t)~PAWL__CALL_DOUBT;
    if (!untold) pawl__claim_call(claim, PAWL__CALL_HELD);
}

static void on_doubt(pawl_client *c, pawl__claim *claim, const pawl__action *action)
{
    pawl__cached_refuse(claim);
    if (claim->let_go) return;
    say_about(c, pawl__claim_lock(claim), PAWL_SEVERITY_WARNING, "renewal overdue", action->err,
              action->message);
    keep_event(claim, action->err, action->message);
    claim->calls &= (uint8_t)~PAWL__CALL_HELD;
    pawl__claim_call(claim, PAWL__CALL_DOUBT);
}

static void on_lost(pawl_client *c, pawl__claim *claim, const pawl__action *action)
{
    pawl__cached_refuse(claim);
    if (!claim->let_go) tell_loss(c, claim, action->err, action->message);
    if (!(claim->asked & PAWL__ASK_RELEASE)) pawl__claim_ask(claim, PAWL__ASK_RELEASE);
}

static void on_released(pawl_client *c, pawl__claim *claim, const pawl__action *action)
{
    forget_by_engine(claim);
    if (!claim->let_go) { /* the engine was closed under it */
        claim->let_go = true;
        atomic_store(&pawl__claim_lock(claim)->held_until, PAWL__NOT_HELD);
    }
    end_release(c, claim, action->err);
    pawl__claim_settle(claim);
}

void pawl__claim_act(pawl_client *c, const pawl__action *action)
{
    pawl__claim *claim = pawl__container(action->want, pawl__claim, want);
    pthread_mutex_lock(&c->gate.mutex);
    c->gate.serving = true;
    switch (action->kind) {
    case PAWL__ACT_SEND:
        break;
    case PAWL__ACT_GRANTED:
        on_granted(c, claim, action);
        break;
    case PAWL__ACT_REFUSED:
        on_refused(c, claim, action);
        break;
    case PAWL__ACT_EXTENDED:
        on_extended(c, claim, action);
        break;
    case PAWL__ACT_DOUBT:
        on_doubt(c, claim, action);
        break;
    case PAWL__ACT_YIELD:
        pawl__cached_refuse(claim);
        if (!claim->let_go) pawl__claim_call(claim, PAWL__CALL_YIELD);
        break;
    case PAWL__ACT_LOST:
        on_lost(c, claim, action);
        break;
    case PAWL__ACT_RELEASED:
        on_released(c, claim, action);
        break;
    }
    c->gate.serving = false;
    pthread_mutex_unlock(&c->gate.mutex);
}

/* ---- When nobody comes back -------------------------------------------------------------------
 */

void pawl__claims_tell_overdue(pawl_client *c)
{
    int64_t now = pawl__now();
    for (pawl__link *l = c->claims.next; l != &c->claims; l = l->next) {
        pawl__claim *claim = pawl__container(l, pawl__claim, in_claims);
        pawl_lock *lock = pawl__claim_lock(claim);
        bool held = lock->claim == claim && lock->state == PAWL__LOCK_HELD && !claim->let_go;
        int64_t until = atomic_load(&lock->held_until);
        bool over = until == PAWL__EXPIRED || (until > PAWL__NOT_HELD && until <= now);
        if (!held || !over) continue;
        tell_loss(c, claim, PAWL_ERR_LOST,
                  "the deadline passed while a thread kept the event loop");
        pawl__claim_ask(claim, PAWL__ASK_RELEASE);
    }
}

/* ---- The end of all ------------------------------------------------------------------------- */

static void end_one(pawl_client *c, pawl__claim *claim, int err)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    pawl__cached_refuse(claim);
    bool was_held = lock->claim == claim && lock->state == PAWL__LOCK_HELD && !claim->let_go;
    if (claim->known) forget_by_engine(claim);
    end_acquire(c, claim, err);
    end_release(c, claim, PAWL_ERR_UNKNOWN);
    if (was_held && err != PAWL_ERR_CLOSED) {
        tell_loss(c, claim, (pawl_err)err, NULL);
        return; /* the handle stays LOST until its owner has seen it */
    }
    claim->let_go = true;
    if (lock->claim != claim) return;
    atomic_store(&lock->held_until, PAWL__NOT_HELD);
    lock->claim = NULL;
    lock->state = PAWL__LOCK_IDLE;
}

void pawl__claims_end(pawl_client *c, int err)
{
    for (pawl__link *l = c->claims.next, *next; l != &c->claims; l = next) {
        next = l->next;
        pawl__claim *claim = pawl__container(l, pawl__claim, in_claims);
        end_one(c, claim, err);
        pawl__claim_settle(claim);
    }
}
