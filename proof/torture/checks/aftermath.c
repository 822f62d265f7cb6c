/* SPDX-License-Identifier: MIT */
/* What must be right again after the faults. */
#include "checks.h"

#include <inttypes.h>
#include <string.h>
#include <sys/wait.h>

/* ---- ends ------------------------------------------------------------------------- */

void torture_check_ends(const torture_history *h, const torture_hold *holds, size_t count,
                        torture_report *report)
{
    (void)holds;
    (void)count;
    for (size_t i = 0; i < h->life_count; i++) {
        const torture_life *life = &h->lives[i];
        if (life->killed_at || (life->down && life->died_at && life->status == 0)) continue;
        if (!life->died_at) {
            torture_guilty(report, "%d.%d never ended", life->who.slot, life->who.life);
        } else if (WIFSIGNALED(life->status)) {
            torture_guilty(report, "%d.%d died of signal %d, which nobody sent", life->who.slot,
                           life->who.life, WTERMSIG(life->status));
        } else {
            torture_guilty(report, "%d.%d ended early, exit status %d", life->who.slot,
                           life->who.life, WEXITSTATUS(life->status));
        }
    }
}

/* ---- recovery ------------------------------------------------------------------------ */

/* Of that slot; -1: of any. NULL: none. */
static const torture_hold *first_grant(const torture_hold *holds, size_t count, int slot, int lock,
                                       int64_t after)
{
    for (size_t i = 0; i < count; i++) {
        if (holds[i].start >= after && holds[i].lock == lock &&
            (slot < 0 || holds[i].life->who.slot == slot)) {
            return &holds[i];
        }
    }
    return NULL;
}

/* The instant before `at` at which the latest of them came, or the calm. */
static int64_t came_before(const torture_history *h, const torture_hold *const *first, size_t count,
                           int64_t at)
{
    int64_t latest = h->calm_at;
    for (size_t i = 0; i < count; i++) {
        if (first[i] && first[i]->start < at && first[i]->start > latest) latest = first[i]->start;
    }
    return latest;
}

/* How long nobody came to anything new until this one did, as far as it could run. */
static int64_t waited_ms(const torture_history *h, const torture_hold *const *first, size_t count,
                         const torture_hold *hold)
{
    int64_t from = came_before(h, first, count, hold->start);
    int64_t stopped = torture_stopped_ns(h, hold->life->who, from, hold->start);
    return (hold->start - from - stopped + TORTURE_MS - 1) / TORTURE_MS;
}

static void note_recovery(const torture_history *h, const torture_hold *hold,
                          torture_report *report)
{
    int64_t ms = hold ? (hold->start - h->calm_at + TORTURE_MS - 1) / TORTURE_MS : -1;
    if (!hold) report->recovered_ms = -1;
    if (report->recovered_ms >= 0 && ms > report->recovered_ms) report->recovered_ms = ms;
}

/*
 * Everybody gets every lock; without a queue nobody is promised a turn of its own, and somebody
 * does. A machine that has little time for us is slow in that, but goes on: what is not right is a
 * time in which nobody comes to what it has not had yet.
 */
void torture_check_recovery(const torture_history *h, const torture_hold *holds, size_t count,
                            torture_report *report)
{
    const torture_hold *first[TORTURE_WORKERS_MAX * TORTURE_LOCKS_MAX];
    size_t wanted = 0;
    int slots = h->no_queue ? 1 : h->workers;
    const size_t most = sizeof first / sizeof first[0];
    for (int i = 0; i < slots * h->locks && wanted < most; i++)
        first[wanted++] =
            first_grant(holds, count, h->no_queue ? -1 : i / h->locks, i % h->locks, h->calm_at);
    for (size_t i = 0; i < wanted; i++) {
        note_recovery(h, first[i], report);
        if (first[i] && waited_ms(h, first, wanted, first[i]) <= h->recover_ms) continue;
        if (torture_is_thin(h, holds, count)) continue;
        torture_guilty(report,
                       "lock %d: slot %d got it %s within %" PRId64
                       " ms after the faults, or after others had got theirs",
                       (int)i % h->locks, (int)i / h->locks, first[i] ? "not" : "never, not",
                       h->recover_ms);
    }
}

/* ---- leftovers ------------------------------------------------------------------------ */

void torture_check_leftovers(const torture_history *h, const torture_hold *holds, size_t count,
                             torture_report *report)
{
    (void)holds;
    (void)count;
    for (size_t i = 0; i < h->left_count; i++) torture_guilty(report, "%s", h->left[i]);
}
