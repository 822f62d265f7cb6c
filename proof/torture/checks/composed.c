/* SPDX-License-Identifier: MIT */
/* What is built on locks, by the words of docs/composed.md. */
#include "checks.h"

#include <inttypes.h>

/* A call, and how it ended. `done` INT64_MAX: no answer is known. */
typedef struct deed {
    const torture_life *life;
    torture_note what;
    int64_t begun, done;
    int64_t err;
    uint64_t begun_fence, fence; /* of the note before it, and of the one after */
    int64_t left;                /* at a latch; -1: it was not told */
    uint64_t period;             /* ENDING: the one of the run that ends */
} deed;

typedef struct deeds {
    deed *all; /* those of one life together, in order */
    size_t count;
} deeds;

static bool begins(torture_note note)
{
    return note == TORTURE_JOB_BEGINS || note == TORTURE_ENDING || note == TORTURE_COUNT_BEGINS ||
           note == TORTURE_AWAIT || note == TORTURE_MEET;
}

static bool ends(torture_note note)
{
    return note == TORTURE_RUN || note == TORTURE_ENDED || note == TORTURE_COUNTED ||
           note == TORTURE_AWAITED || note == TORTURE_MET;
}

/* A worker has one such call at a time. */
static void add_deeds(const torture_life *life, deeds *to)
{
    uint64_t period = 0;
    int64_t left = -1;
    for (size_t k = 0; k < life->count; k++) {
        const torture_record *r = &life->records[k];
        if (r->note == TORTURE_LEFT) left = r->number;
        if (begins(r->note)) {
            to->all[to->count++] = (deed){.life = life,
                                          .what = r->note,
                                          .begun = r->at,
                                          .done = INT64_MAX,
                                          .begun_fence = r->fence,
                                          .left = -1,
                                          .period = period};
        }
        if (!ends(r->note) || !to->count || to->all[to->count - 1].life != life) continue;
        deed *last = &to->all[to->count - 1];
        last->done = r->at;
        last->err = r->number;
        last->fence = r->fence;
        last->left = left;
        left = -1;
        if (r->note == TORTURE_RUN) period = r->fence;
    }
}

static deeds collect(const torture_history *h)
{
    size_t most = 0;
    for (size_t i = 0; i < h->life_count; i++) most += h->lives[i].count;
    deeds found = {.all = calloc(most + 1, sizeof *found.all)};
    if (!found.all) exit(TORTURE_SYSTEM);
    for (size_t i = 0; i < h->life_count; i++) add_deeds(&h->lives[i], &found);
    return found;
}

static bool succeeded(const deed *d)
{
    return d->done != INT64_MAX && d->err == PAWL_OK;
}

/* ---- once ------------------------------------------------------------------------------ */

/* The end of a run that counts, if the store was told. */
static bool counts(const deed *d)
{
    return d->what == TORTURE_ENDING && d->begun_fence != 0;
}

static bool may_have_been_told(const deed *d)
{
    return d->done == INT64_MAX || d->err == PAWL_OK || d->err == PAWL_ERR_UNKNOWN;
}

/* Two successes in one period, or a run that began when its period had had one. */
static void judge_again(const torture_history *h, const deed *first, const deed *later,
                        torture_report *report)
{
    bool both_end = counts(later) && later->period == first->period && later->begun > first->begun;
    bool begins_late = later->what == TORTURE_JOB_BEGINS && later->fence <= first->period &&
                       later->begun > first->done;
    if (!succeeded(later) || !(both_end || begins_late)) return;
    if (torture_loses(h, first->begun, later->done)) return;
    torture_guilty(report, "period %" PRIu64 ": %d.%d %s, which %d.%d had done before",
                   first->period, later->life->who.slot, later->life->who.life,
                   both_end ? "has done the job as well" : "was told to do the job",
                   first->life->who.slot, first->life->who.life);
}

/* Who is told that it has been done: by whom? */
static void judge_done(const deeds *all, const deed *told, torture_report *report)
{
    for (size_t i = 0; i < all->count; i++) {
        const deed *d = &all->all[i];
        if (counts(d) && d->period >= told->fence && d->begun < told->done && may_have_been_told(d))
            return;
    }
    torture_guilty(report, "period %" PRIu64 ": %d.%d is told that it is done, and nobody did it",
                   told->fence, told->life->who.slot, told->life->who.life);
}

void torture_check_once(const torture_history *h, const torture_hold *holds, size_t count,
                        torture_report *report)
{
    (void)holds;
    (void)count;
    deeds all = collect(h);
    for (size_t i = 0; i < all.count; i++) {
        const deed *d = &all.all[i];
        if (d->what == TORTURE_JOB_BEGINS && d->err == PAWL_ERR_DONE) judge_done(&all, d, report);
        if (!counts(d) || !succeeded(d)) continue;
        for (size_t k = 0; k < all.count; k++)
            if (k != i) judge_again(h, d, &all.all[k], report);
    }
    free(all.all);
}

/* ---- latch ----------------------------------------------------------------------------- */

/* Of all errors this one alone leaves open whether the count counts. */
static bool may_count(const deed *d)
{
    return d->done == INT64_MAX || d->err == PAWL_OK || d->err == PAWL_ERR_UNKNOWN;
}

/* What is left is what the counts have left: each counts once, and none is lost. */
static void judge_left(const torture_history *h, const deeds *all, const deed *told,
                       torture_report *report)
{
    int64_t most = 0, least = 0;
    for (size_t i = 0; i < all->count; i++) {
        const deed *d = &all->all[i];
        if (d->what != TORTURE_COUNT_BEGINS || d->begun_fence != told->begun_fence) continue;
        most += may_count(d) && d->begun < told->done;
        least += succeeded(d) && d->done < told->begun && !torture_loses(h, d->begun, told->done);
    }
    if (least > TORTURE_COUNT) least = TORTURE_COUNT;
    int64_t counted = TORTURE_COUNT - told->left;
    if (counted >= least && counted <= most) return;
    torture_guilty(report,
                   "latch %" PRIu64 ": %d.%d is told that %" PRId64 " are to come; of %d, %" PRId64
                   " to %" PRId64 " have",
                   told->begun_fence, told->life->who.slot, told->life->who.life, told->left,
                   TORTURE_COUNT, least, most);
}

void torture_check_latch(const torture_history *h, const torture_hold *holds, size_t count,
                         torture_report *report)
{
    (void)holds;
    (void)count;
    deeds all = collect(h);
    for (size_t i = 0; i < all.count; i++) {
        const deed *d = &all.all[i];
        if (d->what != TORTURE_COUNT_BEGINS && d->what != TORTURE_AWAIT) continue;
        if (d->left >= 0) judge_left(h, &all, d, report);
        if (d->what == TORTURE_AWAIT && succeeded(d) && d->left != 0)
            torture_guilty(report, "latch %" PRIu64 ": %d.%d went on, and %" PRId64 " are to come",
                           d->begun_fence, d->life->who.slot, d->life->who.life, d->left);
        if (d->err == PAWL_ERR_BROKEN && !torture_loses(h, d->life->records[0].at, d->done))
            torture_guilty(report, "latch %" PRIu64 ": broken, and nothing was forgotten",
                           d->begun_fence);
    }
    free(all.all);
}

/* ---- barrier --------------------------------------------------------------------------- */

/* A party that did not pass is there as long as its lease lives, and so may a request that is late
 * make it be. */
static int64_t there_until(const torture_history *h, const deed *d)
{
    int64_t end = d->done;
    if (end == INT64_MAX) end = d->life->killed_at ? d->life->killed_at : d->life->died_at;
    return succeeded(d) ? end : end + 2 * h->ttl_max_ms * TORTURE_MS;
}

static bool overlap(const torture_history *h, const deed *a, const deed *b)
{
    return a->begun <= there_until(h, b) && b->begun <= there_until(h, a);
}

static void say(torture_report *report, const deed *d, const char *what)
{
    torture_guilty(report, "barrier: %d.%d %s (generation %" PRIu64 ")", d->life->who.slot,
                   d->life->who.life, what, d->fence);
}

/* The parties of a round are as many as there must be, and all were there at once. */
static void judge_round(const torture_history *h, const deeds *all, const deed *passed,
                        torture_report *report)
{
    int together = 1, maybe = 0;
    for (size_t i = 0; i < all->count; i++) {
        const deed *d = &all->all[i];
        if (d->what != TORTURE_MEET || d == passed) continue;
        bool meets = overlap(h, d, passed);
        bool same_round = succeeded(d) && d->fence == passed->fence;
        if (same_round && torture_loses(h, d->begun < passed->begun ? d->begun : passed->begun,
                                        d->done > passed->done ? d->done : passed->done))
            return; /* the number began anew */
        if (same_round && !meets) say(report, passed, "passed with one that was not there");
        together += same_round;
        maybe += !succeeded(d) && meets;
    }
    if (together > TORTURE_PARTIES) say(report, passed, "passed with too many");
    if (together + maybe < TORTURE_PARTIES)
        say(report, passed, "passed, and the others were not there");
}

static void judge_generation(const torture_history *h, const deed *first, const deed *later,
                             torture_report *report)
{
    if (later->begun <= first->done || later->fence > first->fence) return;
    if (!torture_loses(h, first->begun, later->done))
        say(report, later, "passed a round that does not follow the one before");
}

/* Some other party has not passed, or the store has forgotten. */
static void judge_broken(const torture_history *h, const deeds *all, const deed *broken,
                         torture_report *report)
{
    if (torture_loses(h, broken->begun, broken->done)) return;
    for (size_t i = 0; i < all->count; i++) {
        const deed *d = &all->all[i];
        if (d->what == TORTURE_MEET && d != broken && !succeeded(d) && overlap(h, d, broken))
            return;
    }
    say(report, broken, "is told that the round is broken, and nobody had left");
}

void torture_check_barrier(const torture_history *h, const torture_hold *holds, size_t count,
                           torture_report *report)
{
    (void)holds;
    (void)count;
    deeds all = collect(h);
    for (size_t i = 0; i < all.count; i++) {
        const deed *d = &all.all[i];
        if (d->what != TORTURE_MEET) continue;
        if (d->err == PAWL_ERR_BROKEN) judge_broken(h, &all, d, report);
        if (!succeeded(d)) continue;
        judge_round(h, &all, d, report);
        for (size_t k = 0; k < all.count; k++)
            if (all.all[k].what == TORTURE_MEET && succeeded(&all.all[k]))
                judge_generation(h, d, &all.all[k], report);
    }
    free(all.all);
}
