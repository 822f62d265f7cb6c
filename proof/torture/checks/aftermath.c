/* SPDX-License-Identifier: MIT */
/* What had to be right again once nothing was hurt any more. */
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

static int64_t first_grant(const torture_hold *holds, size_t count, int slot, int lock,
                           int64_t after)
{
    for (size_t i = 0; i < count; i++) {
        if (holds[i].start >= after && holds[i].lock == lock && holds[i].life->who.slot == slot) {
            return holds[i].start;
        }
    }
    return 0;
}

void torture_check_recovery(const torture_history *h, const torture_hold *holds, size_t count,
                            torture_report *report)
{
    for (int slot = 0; slot < h->workers; slot++) {
        for (int lock = 0; lock < h->locks; lock++) {
            int64_t at = first_grant(holds, count, slot, lock, h->calm_at);
            int64_t ms = at ? (at - h->calm_at + TORTURE_MS - 1) / TORTURE_MS : -1;
            if (at && report->recovered_ms >= 0 && ms > report->recovered_ms) {
                report->recovered_ms = ms;
            }
            if (!at) report->recovered_ms = -1;
            if (at && ms <= h->recover_ms) continue;
            torture_guilty(report,
                           "lock %d: slot %d got it %s within %" PRId64 " ms after the faults",
                           lock, slot, at ? "not" : "never, not", h->recover_ms);
        }
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
