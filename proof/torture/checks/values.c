/* SPDX-License-Identifier: MIT */
/*
 * What holders say by their leases, and what others hear. What is heard was said, by the lease
 * whose fence is told with it, and was not refused. A word is not heard any more when a later one
 * of the same lease was confirmed before the question; nor when another holder had its grant before
 * the question. A store that forgets may bring back an older word, or an older holder.
 */
#include "checks.h"

#include <inttypes.h>

typedef struct speech {
    const torture_life *life;
    int lock;
    uint64_t fence;
    int64_t value, begun, done; /* done 0: no answer is known */
    bool confirmed, refused;
} speech;

typedef struct speeches {
    speech *all; /* those of one life together, in order */
    size_t count;
} speeches;

static bool is_refusal(int64_t err)
{
    return err == PAWL_ERR_LOST || err == PAWL_ERR_NOT_HELD;
}

static void add_speeches(const torture_life *life, speeches *to)
{
    for (size_t k = 0; k < life->count; k++) {
        const torture_record *r = &life->records[k];
        if (r->note == TORTURE_SAY)
            to->all[to->count++] = (speech){.life = life,
                                            .lock = r->lock,
                                            .fence = r->fence,
                                            .value = r->number,
                                            .begun = r->at};
        if (r->note != TORTURE_SAID || !to->count) continue;
        speech *s = &to->all[to->count - 1];
        if (s->life != life || s->lock != r->lock) continue;
        s->done = r->at;
        s->confirmed = r->number == PAWL_OK;
        s->refused = is_refusal(r->number);
    }
}

static speeches collect(const torture_history *h)
{
    size_t most = 0;
    for (size_t i = 0; i < h->life_count; i++) most += h->lives[i].count;
    speeches found = {.all = calloc(most + 1, sizeof *found.all)};
    if (!found.all) exit(TORTURE_SYSTEM);
    for (size_t i = 0; i < h->life_count; i++) add_speeches(&h->lives[i], &found);
    return found;
}

/* Heard at some instant of [from, until]. */
typedef struct hearing {
    const torture_history *history;
    int lock;
    uint64_t fence;
    int64_t value, from, until;
    torture_report *report;
} hearing;

static const speech *find_speech(const speeches *all, const hearing *heard)
{
    for (size_t i = 0; i < all->count; i++)
        if (all->all[i].value == heard->value && all->all[i].lock == heard->lock)
            return &all->all[i];
    return NULL;
}

static void judge_word(const speech *s, const hearing *heard)
{
    if (!s || s->begun > heard->until)
        torture_guilty(heard->report, "lock %d: %" PRId64 " is heard, which nobody had said",
                       heard->lock, heard->value);
    else if (s->fence != heard->fence)
        torture_guilty(heard->report,
                       "lock %d: %" PRId64 " was said by fence %" PRIu64
                       ", and is heard of %" PRIu64,
                       heard->lock, heard->value, s->fence, heard->fence);
    else if (s->refused)
        torture_guilty(heard->report,
                       "lock %d: %" PRId64 " was refused (fence %" PRIu64 "), and is heard",
                       heard->lock, heard->value, heard->fence);
}

/* A later word of the same lease, which was confirmed before the question. */
static void judge_later_words(const speeches *all, const speech *s, const hearing *heard)
{
    for (const speech *t = s + 1; t < all->all + all->count && t->life == s->life; t++) {
        if (t->lock != s->lock || t->fence != s->fence || !t->confirmed) continue;
        if (t->done >= heard->from) return;
        if (torture_loses(heard->history, t->begun, heard->until)) continue;
        torture_guilty(heard->report,
                       "lock %d: %" PRId64 " is heard %.3f ms after %" PRId64
                       " had replaced it (fence %" PRIu64 ")",
                       s->lock, s->value, (double)(heard->from - t->done) / TORTURE_MS, t->value,
                       s->fence);
        return;
    }
}

/* Whoever got the lock after it had the larger fence. */
static void judge_leader(const torture_hold *holds, size_t count, const hearing *heard)
{
    for (size_t i = 0; i < count && holds[i].start < heard->from; i++) {
        if (holds[i].lock != heard->lock || holds[i].fence <= heard->fence) continue;
        if (torture_loses(heard->history, holds[i].asked, heard->until)) continue;
        torture_guilty(heard->report,
                       "lock %d: fence %" PRIu64 " is heard as the leader's, %.3f ms after %" PRIu64
                       " was granted",
                       heard->lock, heard->fence,
                       (double)(heard->from - holds[i].start) / TORTURE_MS, holds[i].fence);
        return;
    }
}

static void judge_life(const torture_life *life, const torture_hold *holds, size_t count,
                       const speeches *all, hearing heard)
{
    int64_t asked = 0;
    for (size_t k = 0; k < life->count; k++) {
        const torture_record *r = &life->records[k];
        if (r->note == TORTURE_LISTEN) asked = r->at;
        if (r->note != TORTURE_HEARD || !r->number) continue;
        heard.lock = r->lock;
        heard.fence = r->fence;
        heard.value = r->number;
        heard.from = asked;
        heard.until = r->at;
        const speech *s = find_speech(all, &heard);
        judge_word(s, &heard);
        if (s) judge_later_words(all, s, &heard);
        if (!torture_is_shared(heard.history, heard.lock)) judge_leader(holds, count, &heard);
    }
}

void torture_check_values(const torture_history *h, const torture_hold *holds, size_t count,
                          torture_report *report)
{
    speeches all = collect(h);
    hearing heard = {.history = h, .report = report};
    for (size_t i = 0; i < h->life_count; i++) judge_life(&h->lives[i], holds, count, &all, heard);
    free(all.all);
}
