/* SPDX-License-Identifier: MIT */
/*
 * Whether a handle holds its lock, until when, and whether its lease is *lent*: then release and
 * acquisition are one compare-and-swap each, without mutex, loop, allocation or system call.
 *
 * One word holds all of that. d is the deadline, reduced by at most 1 ns so that it is odd:
 *
 *   - 0: nobody has it.
 *   - -1: nobody has it: somebody has seen the deadline pass, and no extension can undo that (laws
 *     2, 5).
 *   - Even and > 0: held until then; only a release with the mutex ends it.
 *   - d: held until then, and lent: a swap to -d puts it back, by any thread.
 *   - -d: retained until then, and lent: a swap to d takes it again, by any thread.
 *
 * A loan begins with a release (lend) and ends with a recall, both with the mutex held. A recall
 * swaps -d for 0: nobody held it, and the engine is to be told of a release. Or it swaps d for an
 * even value: it is held, and its release comes by the ordinary way. After either swap no caller
 * can change the word without the mutex, so what follows a recall has no race with callers.
 *
 * Law 2: d is never later than the deadline, and an extension moves it in both signs. Take and put
 * back first look at the clock, and go on only if d is still ahead. A swap compares the whole word,
 * so it fails if the loan has changed meanwhile. It does no harm if somebody has used the same loan
 * in between.
 *
 * Locking: the word is atomic. Any thread calls pawl__held_take, _put_back, _left and _is_expired;
 * the others are called with the mutex of the gate held.
 */
#ifndef PAWL_RUNTIME_HELD_H
#define PAWL_RUNTIME_HELD_H

#include "clock.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

/* pawl_lock_is_held is async-signal-safe, and the deadline of a lock is 64 bits (law 2). */
_Static_assert(ATOMIC_LLONG_LOCK_FREE == 2, "pawl needs 64-bit atomics without locks");

typedef struct pawl__held {
    _Atomic int64_t word;
} pawl__held;

/* Words that are no deadline. */
enum { PAWL__HELD_BY_NOBODY = 0, PAWL__HELD_EXPIRED = -1 };

static inline bool pawl__word_is_retained(int64_t word)
{
    return word < PAWL__HELD_EXPIRED;
}

static inline bool pawl__word_is_lent_and_held(int64_t word)
{
    return word > PAWL__HELD_BY_NOBODY && word & 1;
}

/* ---- Any thread ------------------------------------------------------------------------------ */

/* Inline, so that using a retained lease costs only a few instructions. */

/*
 * The time left in ns, 0 if it is not held. The first caller that sees the deadline pass makes the
 * loss final for everybody: a renewal that is confirmed afterwards must not bring the lock back,
 * because this caller has been told that it is lost (laws 2 and 5). Async-signal-safe.
 */
static inline int64_t pawl__held_left(const pawl__held *held)
{
    _Atomic int64_t *word = (_Atomic int64_t *)&held->word;
    for (;;) {
        int64_t until = atomic_load(word);
        if (until <= PAWL__HELD_BY_NOBODY) return 0;
        int64_t now = pawl__now();
        if (now < until) return until - now;
        if (atomic_compare_exchange_strong(word, &until, PAWL__HELD_EXPIRED)) return 0;
    }
}

bool pawl__held_is_expired(const pawl__held *held);

/* Takes a lent lease; false: it is not retained, or its deadline has come. */
static inline bool pawl__held_take(pawl__held *held)
{
    int64_t word = atomic_load(&held->word);
    int64_t now;
    if (!pawl__word_is_retained(word) || !pawl__now_is_before(-word, &now))
        return false; /* law 2 */
    return atomic_compare_exchange_strong(&held->word, &word, -word);
}

/* Puts a lent lease back, and writes when (ret_at may be NULL); false: use the ordinary release.
 */
static inline bool pawl__held_put_back(pawl__held *held, _Atomic int64_t *ret_at)
{
    int64_t word = atomic_load(&held->word);
    int64_t now;
    if (!pawl__word_is_lent_and_held(word)) return false;
    if (!pawl__now_is_before(word, &now))
        return false; /* law 2: the ordinary release tells the loss */
    if (ret_at) atomic_store_explicit(ret_at, now, memory_order_relaxed);
    return atomic_compare_exchange_strong(&held->word, &word, -word);
}

/* ---- Mutex held ------------------------------------------------------------------------------ */

void pawl__held_begin(pawl__held *held, int64_t deadline);
void pawl__held_expire(pawl__held *held);
void pawl__held_clear(pawl__held *held);
/* Ends the hold; returns whether it was held until now, by the clock. */
bool pawl__held_end(pawl__held *held);
/* Whether the deadline has passed, by the clock or because somebody has seen it pass. */
bool pawl__held_is_over(const pawl__held *held, int64_t now);
/* Until when it is held or retained; 0: neither. */
int64_t pawl__held_deadline(const pawl__held *held);
bool pawl__held_is_retained(const pawl__held *held);
/* Whether it is lent; it may be held or retained. */
bool pawl__held_is_lent(const pawl__held *held);
/* Ends the hold, and lends the lease; false: it is no longer held. ret_at: as above. */
bool pawl__held_lend(pawl__held *held, _Atomic int64_t *ret_at);
/* Moves the deadline; false: somebody has seen the old one pass, or nobody has it. */
bool pawl__held_extend(pawl__held *held, int64_t deadline);
/* Ends the loan if it is held; false: it is retained. After true the word changes only with the
 * mutex held, or because the deadline passes. */
bool pawl__held_pin(pawl__held *held);
/* Ends the loan; true: it was retained, and nobody has it now. */
bool pawl__held_recall(pawl__held *held);

#endif
