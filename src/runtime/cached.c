/* SPDX-License-Identifier: MIT */
/*
 * Cached leases: a handle with retain_ms that is released and acquired again
 * while nobody else wants the lock. No mutex, no role, no allocation, no system
 * call: a look at the clock and one compare-and-swap.
 *
 * To the engine a cached lease is held all the while: it renews it, and watches
 * its deadline. Only the word held_until of the handle says whether the caller
 * has it. With d the deadline, made odd by at most 1 ns less:
 *
 *   0, -1      nobody has it; the deadline was seen to pass
 *   even > 0   held; only a release with the mutex ends it
 *   d          held, and lent: a swap to -d puts it back, by any thread
 *   -d         cached, and lent: a swap to d takes it again, by any thread
 *
 * A loan begins with a release (pawl__cached_lend) and ends with a recall:
 * somebody here or elsewhere wants the lock, the renewal is overdue, the lease is
 * lost, the client closes, the handle is freed, the retention has passed. All
 * that is done with the mutex held. A recall swaps -d for 0: then nobody held it, the
 * claim is taken from the handle and the engine is told of a release. Or it
 * swaps d for an even value: then it is held, and its release comes by the
 * ordinary way and tells the engine. After either swap no caller can change the
 * word without the mutex, so what follows a recall has no race with callers.
 *
 * Law 2: d is never later than the deadline, an extension moves it in both signs, and
 * both swaps happen after a look at the clock that found it ahead. Since the swap
 * compares the whole word, it fails if anything has happened to the loan meanwhile;
 * that the same loan was used in between does no harm.
 *
 * Law 6: a loan is one claim, however often it was used; a loss is told if the word
 * says that it is held, and then ends the claim.
 *
 * The timer of the retention runs in the driver and is not touched by use: when it
 * fires it looks at the instant of the latest release, and runs on for the rest.
 * If it finds the lock held it ends the loan, and the next release lends anew: so a
 * lock that is held for long costs no more timers.
 */
#define _GNU_SOURCE
#include "runtime.h"

#include <stdlib.h>

static int64_t lent_form(int64_t deadline)
{
    return (deadline - 1) | 1;
}

static bool is_cached(int64_t word)
{
    return word < PAWL__EXPIRED;
}

static bool is_lent_and_held(int64_t word)
{
    return word > PAWL__NOT_HELD && word & 1;
}

/* ---- Callers, with nothing held ------------------------------------------------------------- */

bool pawl__cached_acquire(pawl_lock *lock)
{
    int64_t word = atomic_load(&lock->held_until);
    int64_t now;
    if (!is_cached(word) || !pawl__now_is_before(-word, &now)) return false; /* law 2 */
    return atomic_compare_exchange_strong(&lock->held_until, &word, -word);
}

bool pawl__cached_release(pawl_lock *lock)
{
    int64_t word = atomic_load(&lock->held_until);
    int64_t now;
    if (!is_lent_and_held(word)) return false;
    if (!pawl__now_is_before(word, &now)) return false; /* law 2: the ordinary way tells the loss */
    atomic_store_explicit(&lock->extras->put_back_at, now, memory_order_relaxed);
    return atomic_compare_exchange_strong(&lock->held_until, &word, -word);
}

/* ---- Loans, mutex held ---------------------------------------------------------------------- */

static bool may_lend(const pawl_lock *lock)
{
    const pawl_client *c = lock->client;
    bool lends = pawl__cached_is_on(lock) && !c->gate.closing && !c->gate.exiting && !c->broken;
    if (!lends || lock->state != PAWL__LOCK_HELD) return false;
    const pawl__claim *claim = lock->claim;
    return !claim->wanted && !(claim->calls & PAWL__CALL_ACQUIRED);
}

bool pawl__cached_lend(pawl_lock *lock)
{
    if (!may_lend(lock)) return false;
    int64_t word = atomic_load(&lock->held_until);
    int64_t now = pawl__now();
    if (word <= PAWL__NOT_HELD || now >= word) return false;
    atomic_store_explicit(&lock->extras->put_back_at, now, memory_order_relaxed);
    if (!atomic_compare_exchange_strong(&lock->held_until, &word, -lent_form(word))) return false;
    lock->claim->calls &= (uint8_t) ~(PAWL__CALL_EVENTS & ~PAWL__CALL_LOST);
    pawl__claim_ask(lock->claim, PAWL__ASK_LEND);
    return true;
}

bool pawl__cached_extend(pawl_lock *lock, int64_t deadline)
{
    int64_t word = atomic_load(&lock->held_until), next;
    do {
        if (word == PAWL__NOT_HELD || word == PAWL__EXPIRED) return false;
        next = deadline & ~INT64_C(1);
        if (is_lent_and_held(word)) next = lent_form(deadline);
        if (is_cached(word)) next = -lent_form(deadline);
    } while (!atomic_compare_exchange_weak(&lock->held_until, &word, next));
    return true;
}

bool pawl__cached_pin(pawl_lock *lock)
{
    int64_t word = atomic_load(&lock->held_until);
    while (is_lent_and_held(word))
        if (atomic_compare_exchange_weak(&lock->held_until, &word, word & ~INT64_C(1))) return true;
    return !is_cached(word);
}

pawl__claim *pawl__cached_recall(pawl_lock *lock)
{
    int64_t word;
    do {
        if (pawl__cached_pin(lock)) return NULL;
        word = atomic_load(&lock->held_until);
    } while (!is_cached(word) ||
             !atomic_compare_exchange_strong(&lock->held_until, &word, PAWL__NOT_HELD));
    pawl__claim *claim = lock->claim;
    claim->let_go = claim->was_cached = true;
    lock->claim = NULL;
    lock->state = PAWL__LOCK_IDLE;
    return claim;
}

void pawl__cached_end(pawl_lock *lock)
{
    pawl__claim *claim = pawl__cached_is_on(lock) ? pawl__cached_recall(lock) : NULL;
    if (claim) pawl__claim_ask(claim, PAWL__ASK_RELEASE);
}

void pawl__cached_end_all(pawl_client *c)
{
    for (pawl__link *l = c->claims.next; l != &c->claims; l = l->next)
        pawl__cached_end(pawl__claim_lock(pawl__container(l, pawl__claim, in_claims)));
}

void pawl__cached_refuse(pawl__claim *claim)
{
    claim->wanted = true;
    pawl_lock *lock = pawl__claim_lock(claim);
    if (lock->claim == claim) pawl__cached_end(lock);
}

/* ---- The driver ----------------------------------------------------------------------------- */

static int64_t retention_end(const pawl_lock *lock)
{
    int64_t from = atomic_load_explicit(&lock->extras->put_back_at, memory_order_relaxed);
    return pawl__instant_add(from, pawl__ms_to_ns(lock->retain_ms));
}

void pawl__cached_arm(pawl_client *c, pawl__claim *claim)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    pawl__extras *cache = lock->extras;
    if (pawl__heap_reserve(&c->cache_timers, c->cache_timers.count + 1)) {
        cache->lent = claim;
        pawl__heap_set(&c->cache_timers, &cache->timer, retention_end(lock));
        return;
    }
    pthread_mutex_lock(&c->gate.mutex);
    pawl__cached_refuse(claim); /* nobody would end its retention */
    pthread_mutex_unlock(&c->gate.mutex);
}

void pawl__cached_disarm(pawl__claim *claim)
{
    pawl_lock *lock = pawl__claim_lock(claim);
    pawl__extras *cache = lock->extras;
    if (!cache || cache->lent != claim) return;
    cache->lent = NULL;
    pawl__heap_clear(&lock->client->cache_timers, &cache->timer);
}

/* Mutex held. */
static void look_after(pawl_client *c, pawl__extras *cache, int64_t now)
{
    pawl__claim *claim = cache->lent;
    pawl_lock *lock = pawl__claim_lock(claim);
    int64_t end = retention_end(lock);
    bool rests = lock->claim == claim && is_cached(atomic_load(&lock->held_until));
    if (rests && end > now) {
        pawl__heap_set(&c->cache_timers, &cache->timer, end);
        return;
    }
    pawl__cached_disarm(claim);
    if (lock->claim == claim) pawl__cached_end(lock);
}

void pawl__cached_time(pawl_client *c, int64_t now)
{
    pthread_mutex_lock(&c->gate.mutex);
    for (pawl__timer *first; (first = pawl__heap_first(&c->cache_timers)) && first->at <= now;)
        look_after(c, pawl__container(first, pawl__extras, timer), now);
    pthread_mutex_unlock(&c->gate.mutex);
}

int64_t pawl__cached_deadline(const pawl_client *c)
{
    const pawl__timer *first = pawl__heap_first(&c->cache_timers);
    return first ? first->at : PAWL__NEVER;
}

int64_t pawl__cached_retain_ms(const pawl__claim *claim)
{
    int64_t left = retention_end(pawl__claim_lock(claim)) - pawl__now();
    return left > 0 ? left / PAWL__NS_PER_MS : 0;
}
