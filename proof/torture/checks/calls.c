/* SPDX-License-Identifier: MIT */
/* What the calls of the API answered, and when. */
#include "checks.h"

#include "pawl/types.h"

#include <inttypes.h>

/* ---- truth -------------------------------------------------------------------------- */

/* The hold that a record ends: the latest of this process with this lock and fence; NULL: none. */
static const torture_hold *let_go(const torture_hold *holds, size_t count, const torture_life *life,
                                  const torture_record *l)
{
    const torture_hold *last = NULL;
    for (size_t i = 0; i < count && holds[i].start <= l->at; i++) {
        if (holds[i].life == life && holds[i].lock == l->lock && holds[i].fence == l->fence)
            last = &holds[i];
    }
    return last;
}

/* The grant after this one that it excluded, by fence; NULL if there is none. */
static const torture_hold *successor(const torture_hold *holds, size_t count,
                                     const torture_life *life, const torture_record *l)
{
    const torture_hold *mine = let_go(holds, count, life, l);
    for (size_t i = 0; mine && i < count && holds[i].start < l->at; i++) {
        if (holds[i].lock == l->lock && holds[i].fence > l->fence &&
            !torture_same(holds[i].life->who, life->who) && torture_excludes(mine, &holds[i])) {
            return &holds[i];
        }
    }
    return NULL;
}

/* The state of a lock's holder while its records are read. */
typedef struct ending {
    const torture_record *letgo;
    bool gone; /* it has been told "not held" before it let go */
} ending;

static void judge_release(const torture_history *h, const torture_hold *holds, size_t count,
                          const torture_life *life, const ending *end, torture_report *report)
{
    const torture_record *l = end->letgo;
    if (end->gone) {
        torture_guilty(report,
                       "lock %d: %d.%d was told that fence %" PRIu64
                       " is lost, and then that it was released",
                       l->lock, life->who.slot, life->who.life, l->fence);
        return;
    }
    if (l->number < 0) return; /* it did not wait for the store's answer */
    /* A lease that is kept is not given back, so nobody is asked whether it was broken. */
    if (torture_is_broken(h, l->lock, l->fence, l->at)) return;
    const torture_hold *other = successor(holds, count, life, l);
    /* Nor whether the store has forgotten it. */
    if (!other || torture_is_announced(h, let_go(holds, count, life, l), other)) return;
    torture_guilty(report,
                   "lock %d: %d.%d was told that it released fence %" PRIu64
                   ", but %d.%d had got %" PRIu64 " before",
                   l->lock, life->who.slot, life->who.life, l->fence, other->life->who.slot,
                   other->life->who.life, other->fence);
}

/* A release that succeeded although the lease was lost, or another client had the lock. */
void torture_check_truth(const torture_history *h, const torture_hold *holds, size_t count,
                         torture_report *report)
{
    if (h->no_fences) return;
    for (size_t i = 0; i < h->life_count; i++) {
        const torture_life *life = &h->lives[i];
        ending ends[TORTURE_NAMES_MAX] = {0};
        for (size_t k = 0; k < life->count; k++) {
            const torture_record *r = &life->records[k];
            ending *end = &ends[r->lock];
            if (r->note == TORTURE_GOT) *end = (ending){0};
            if (r->note == TORTURE_GONE) end->gone = true;
            if (r->note == TORTURE_LETGO) end->letgo = r;
            if (r->note != TORTURE_FREED || !end->letgo) continue;
            if (r->number == PAWL_OK) judge_release(h, holds, count, life, end, report);
            end->letgo = NULL;
        }
    }
}

/* ---- told ------------------------------------------------------------------------------ */

#define TELL_PATIENCE_NS (1000 * TORTURE_MS)

/* Whether the process ran long enough after this record, with its handles open, to be told. */
static bool had_time(const torture_history *h, const torture_life *life, size_t gone)
{
    size_t last = gone;
    while (last + 1 < life->count && life->records[last].note != TORTURE_CLOSES) last++;
    int64_t at = life->records[gone].at, until = life->records[last].at;
    return until - at - torture_stopped_ns(h, life->who, at, until) > TELL_PATIENCE_NS;
}

/*
 * Law 6: a loss is told once. A callback may come after the next acquisition, so a life is
 * counted as a whole: no fewer than losses that were seen, no more than holds that did not end
 * well (or have not ended).
 */
static void count_losses(const torture_history *h, const torture_life *life, int lock,
                         torture_report *report)
{
    int64_t told = 0, seen = 0, ended_badly = 0;
    bool open = false, gone = false;
    for (size_t i = 0; i < life->count; i++) {
        const torture_record *r = &life->records[i];
        if (r->lock != lock) continue;
        if (r->note == TORTURE_TOLD) told++;
        if (r->note == TORTURE_GOT) open = true, gone = false;
        if (r->note == TORTURE_GONE && !gone) {
            gone = true;
            seen += had_time(h, life, i);
        }
        /* Got and lost before the call returned: the loss may be told beside its answer. */
        if (r->note == TORTURE_NOT && r->number == PAWL_ERR_LOST) ended_badly++;
        if (r->note == TORTURE_FREED && open) {
            open = false;
            ended_badly += gone || r->number != PAWL_OK;
        }
    }
    report->losses += told;
    if (told >= seen && told <= ended_badly + open) return;
    torture_guilty(report,
                   "lock %d: %d.%d lost it at least %" PRId64 " and at most %" PRId64
                   " times, and was told %" PRId64 " times",
                   lock, life->who.slot, life->who.life, seen, ended_badly + open, told);
}

void torture_check_told(const torture_history *h, const torture_hold *holds, size_t count,
                        torture_report *report)
{
    (void)holds;
    (void)count;
    if (h->no_fences) return; /* that algorithm tells no loss */
    for (size_t i = 0; i < h->life_count; i++) {
        for (int lock = 0; lock < h->locks; lock++) count_losses(h, &h->lives[i], lock, report);
    }
}

/* ---- calls ----------------------------------------------------------------------------- */

static const char *begins(torture_note note)
{
    switch (note) {
    case TORTURE_ASK:
        return "acquire";
    case TORTURE_RAISE:
        return "upgrade";
    case TORTURE_LETGO:
        return "release";
    case TORTURE_JOB_BEGINS:
        return "the begin of a run";
    case TORTURE_ENDING:
        return "the end of a run";
    case TORTURE_COUNT_BEGINS:
        return "a count";
    case TORTURE_AWAIT:
        return "a wait for a latch";
    case TORTURE_MEET:
        return "a barrier";
    default:
        return NULL;
    }
}

static bool ends(torture_note note)
{
    return note == TORTURE_GOT || note == TORTURE_NOT || note == TORTURE_FREED ||
           note == TORTURE_RAISED || note == TORTURE_RUN || note == TORTURE_ENDED ||
           note == TORTURE_COUNTED || note == TORTURE_AWAITED || note == TORTURE_MET;
}

#define COMPOSED_QUESTIONS 3

/* A call that was begun, and how it ended; `end` NULL: it had not ended when the process had. */
typedef struct call {
    const torture_history *history;
    const torture_life *life;
    const torture_record *begin, *end;
} call;

static void say(torture_report *report, const call *c, double took_ms, const char *what)
{
    torture_guilty(report, "lock %d: %d.%d: %s with a limit of %" PRId64 " ms %s %.1f ms",
                   c->begin->lock, c->life->who.slot, c->life->who.life, begins(c->begin->note),
                   c->begin->number, what, took_ms);
}

/* A call that waits is not told "busy", and gives up when its time is over, not before. */
static void judge_early(const call *c, double lasted_ms, torture_report *report)
{
    bool only_tells = c->begin->note == TORTURE_LETGO || c->begin->note == TORTURE_ENDING;
    bool waits = !only_tells && c->begin->number != 0;
    if (!c->end || !waits) return;
    if (c->end->number == PAWL_ERR_BUSY) say(report, c, lasted_ms, "was told busy after");
    bool early = c->begin->number < 0 || lasted_ms < (double)c->begin->number - 1;
    if (c->end->number == PAWL_ERR_TIMEOUT && early) say(report, c, lasted_ms, "timed out after");
}

/* What is built on locks asks the store several times, and each question may end later than the
 * limit, by what a client waits for a store that is away. */
static int64_t questions(const call *c)
{
    return c->begin->lock >= TORTURE_LOCKS_MAX ? COMPOSED_QUESTIONS : 1;
}

/*
 * A call that waits for N ms returns after N ms and a little. Time in which we had
 * stopped the process does not count. true: it took longer than is right without a fault.
 */
static bool judge_call(const call *c, int64_t ended_at, torture_report *report)
{
    const torture_history *h = c->history;
    int64_t begin = c->begin->at, limit_ms = c->begin->number > 0 ? c->begin->number : 0;
    int64_t took = ended_at - begin - torture_stopped_ns(h, c->life->who, begin, ended_at);
    double took_ms = (double)took / TORTURE_MS;
    judge_early(c, (double)(ended_at - begin) / TORTURE_MS, report);
    if (c->begin->note == TORTURE_ASK && c->begin->number < 0) return false; /* it has no limit */
    if (took > (limit_ms + questions(c) * h->call_slack_ms) * TORTURE_MS) {
        say(report, c, took_ms, c->end ? "took" : "had not ended after");
        return false;
    }
    return took > (limit_ms + questions(c) * h->calm_slack_ms) * TORTURE_MS &&
           !torture_is_hurt(h, c->life->who, begin, ended_at);
}

/* The last instant at which a process was known to be in a call that it left open. */
static int64_t end_of_life(const torture_history *h, const torture_life *life)
{
    if (life->killed_at) return life->killed_at;
    return life->died_at ? life->died_at : h->ended_at;
}

#define SLOW_SHARE 100 /* on a busy machine one call in 100 may be slow without a fault */

void torture_check_calls(const torture_history *h, const torture_hold *holds, size_t count,
                         torture_report *report)
{
    int64_t calls = 0, slow = 0;
    for (size_t i = 0; i < h->life_count; i++) {
        const torture_life *life = &h->lives[i];
        const torture_record *open[TORTURE_NAMES_MAX] = {0};
        for (size_t k = 0; k < life->count; k++) {
            const torture_record *r = &life->records[k];
            if (begins(r->note)) open[r->lock] = r;
            if (!ends(r->note) || !open[r->lock]) continue;
            slow += judge_call(&(call){h, life, open[r->lock], r}, r->at, report);
            open[r->lock] = NULL;
            calls++;
        }
        for (int lock = 0; lock < TORTURE_NAMES_MAX && end_of_life(h, life); lock++) {
            if (!open[lock]) continue;
            judge_call(&(call){h, life, open[lock], NULL}, end_of_life(h, life), report);
        }
    }
    if (slow <= 1 + calls / SLOW_SHARE || torture_is_thin(h, holds, count)) return;
    torture_guilty(report,
                   "%" PRId64 " of %" PRId64 " calls took over %" PRId64
                   " ms more than their limit while nothing was hurt",
                   slow, calls, h->calm_slack_ms);
}

/* ---- errors ---------------------------------------------------------------------------- */

/* Our own limits cause these errors; all others of the class are defects of pawl. */
static bool may_come_of_a_limit(int64_t err)
{
    return err == PAWL_ERR_NO_MEMORY || err == PAWL_ERR_SYSTEM;
}

void torture_check_errors(const torture_history *h, const torture_hold *holds, size_t count,
                          torture_report *report)
{
    (void)holds;
    (void)count;
    for (size_t i = 0; i < h->life_count; i++) {
        const torture_life *life = &h->lives[i];
        for (size_t k = 0; k < life->count; k++) {
            const torture_record *r = &life->records[k];
            bool tells =
                r->note == TORTURE_NOT || r->note == TORTURE_FREED || r->note == TORTURE_TOLD ||
                r->note == TORTURE_GONE || r->note == TORTURE_BROKE || r->note == TORTURE_RIVAL ||
                r->note == TORTURE_RAISED || r->note == TORTURE_LOWERED ||
                r->note == TORTURE_SAID || r->note == TORTURE_RUN || r->note == TORTURE_ENDED ||
                r->note == TORTURE_COUNTED || r->note == TORTURE_AWAITED || r->note == TORTURE_MET;
            if (!tells || !r->number || r->number == TORTURE_NO_WORD) continue;
            pawl_err_class class = pawl_err_class_of((int)r->number);
            bool wrong = class == PAWL_CLASS_USAGE || class == PAWL_CLASS_INTERNAL;
            if (!wrong || may_come_of_a_limit(r->number)) continue;
            torture_guilty(report, "lock %d: %d.%d: %s says %s", r->lock, life->who.slot,
                           life->who.life, torture_note_words[r->note],
                           pawl_err_name((int)r->number));
        }
    }
}
