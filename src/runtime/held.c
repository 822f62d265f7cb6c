/* SPDX-License-Identifier: MIT */
#include "held.h"

#include "clock.h"

static int64_t lent_form(int64_t deadline)
{
    return (deadline - 1) | 1;
}

static int64_t unlent_form(int64_t deadline)
{
    return deadline & ~INT64_C(1);
}

/* ---- Any thread ------------------------------------------------------------------------------ */

bool pawl__held_is_expired(const pawl__held *held)
{
    return atomic_load(&held->word) == PAWL__HELD_EXPIRED;
}

/* ---- Mutex held ------------------------------------------------------------------------------ */

void pawl__held_begin(pawl__held *held, int64_t deadline)
{
    atomic_store(&held->word, unlent_form(deadline));
}

void pawl__held_expire(pawl__held *held)
{
    atomic_store(&held->word, PAWL__HELD_EXPIRED);
}

void pawl__held_clear(pawl__held *held)
{
    atomic_store(&held->word, PAWL__HELD_BY_NOBODY);
}

bool pawl__held_end(pawl__held *held)
{
    int64_t until = atomic_exchange(&held->word, PAWL__HELD_BY_NOBODY);
    return until > PAWL__HELD_BY_NOBODY && pawl__now() < until;
}

bool pawl__held_is_over(const pawl__held *held, int64_t now)
{
    int64_t until = atomic_load(&held->word);
    return until == PAWL__HELD_EXPIRED || (until > PAWL__HELD_BY_NOBODY && until <= now);
}

int64_t pawl__held_deadline(const pawl__held *held)
{
    int64_t word = atomic_load(&held->word);
    if (word == PAWL__HELD_BY_NOBODY || word == PAWL__HELD_EXPIRED) return 0;
    return word < 0 ? -word : word;
}

bool pawl__held_is_retained(const pawl__held *held)
{
    return pawl__word_is_retained(atomic_load(&held->word));
}

bool pawl__held_is_lent(const pawl__held *held)
{
    int64_t word = atomic_load(&held->word);
    return pawl__word_is_retained(word) || pawl__word_is_lent_and_held(word);
}

bool pawl__held_lend(pawl__held *held, _Atomic int64_t *ret_at)
{
    int64_t word = atomic_load(&held->word);
    int64_t now = pawl__now();
    if (word <= PAWL__HELD_BY_NOBODY || now >= word) return false;
    if (ret_at) atomic_store_explicit(ret_at, now, memory_order_relaxed);
    return atomic_compare_exchange_strong(&held->word, &word, -lent_form(word));
}

bool pawl__held_extend(pawl__held *held, int64_t deadline)
{
    int64_t word = atomic_load(&held->word), next;
    do {
        if (word == PAWL__HELD_BY_NOBODY || word == PAWL__HELD_EXPIRED) return false;
        next = unlent_form(deadline);
        if (pawl__word_is_lent_and_held(word)) next = lent_form(deadline);
        if (pawl__word_is_retained(word)) next = -lent_form(deadline);
    } while (!atomic_compare_exchange_weak(&held->word, &word, next));
    return true;
}

bool pawl__held_pin(pawl__held *held)
{
    int64_t word = atomic_load(&held->word);
    while (pawl__word_is_lent_and_held(word))
        if (atomic_compare_exchange_weak(&held->word, &word, unlent_form(word))) return true;
    return !pawl__word_is_retained(word);
}

bool pawl__held_recall(pawl__held *held)
{
    for (;;) {
        if (pawl__held_pin(held)) return false;
        int64_t word = atomic_load(&held->word);
        if (pawl__word_is_retained(word) &&
            atomic_compare_exchange_strong(&held->word, &word, PAWL__HELD_BY_NOBODY))
            return true;
    }
}
