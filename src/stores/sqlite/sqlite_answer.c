/* SPDX-License-Identifier: MIT */
/* What requests are answered. */
#define _GNU_SOURCE
#include "sqlite_broken.h"
#include "sqlite_turn.h"

#include <stdio.h>
#include <stdlib.h>

void pawl__answer_failed(pawl_err err, pawl__answer *ret_answer)
{
    ret_answer->outcome = PAWL_FAILED;
    ret_answer->fault.err = err;
}

int pawl__answer_not_owner(const pawl__turn *t, pawl__answer *ret_answer)
{
    pawl__broken_row note;
    ret_answer->outcome = PAWL_NOT_OWNER;
    int rc = pawl__break_of(t->db, t->name, t->request->token, t->now, &note);
    snprintf(ret_answer->fault.message, sizeof(ret_answer->fault.message), "%s", note.by);
    return rc;
}

int pawl__answer_held(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder,
                      pawl_outcome outcome, pawl__answer *ret_answer)
{
    ret_answer->outcome = outcome;
    ret_answer->fence = holder->fence;
    ret_answer->slots = holder->slots;
    return pawl__group_is_awaited(t, g, holder->owner.token, &ret_answer->waiting);
}

/* The time until the first holder has to renew. */
static int say_holder_ms(const pawl__turn *t, const pawl__group *g, pawl__answer *ret_answer)
{
    pawl__hold_row first = {.expires_at = g->lock.expires_at};
    int rc = g->lock.many ? pawl__hold_first_end(t->db, t->name, &first) : SQLITE_OK;
    ret_answer->holder_ms = pawl__ms_until(t->now, first.expires_at);
    return rc;
}

int pawl__answer_queued(const pawl__turn *t, const pawl__group *g, int64_t position,
                        pawl__answer *ret_answer)
{
    ret_answer->outcome = PAWL_QUEUED;
    ret_answer->position = position;
    ret_answer->fence = g->lock.fence;
    return say_holder_ms(t, g, ret_answer);
}

int pawl__answer_busy(const pawl__turn *t, pawl__group *g, pawl__answer *ret_answer)
{
    pawl__hold_row latest = pawl__holder_of_lock(&g->lock);
    int rc = SQLITE_OK;
    if (g->lock.many) rc = pawl__hold_before(t->db, t->name, PAWL__SQLITE_FENCE_MAX + 1, &latest);
    ret_answer->outcome = PAWL_BUSY;
    snprintf(ret_answer->fault.message, sizeof(ret_answer->fault.message), "%s",
             latest.owner.label);
    return rc == SQLITE_OK ? say_holder_ms(t, g, ret_answer) : rc;
}

/* It may be waiting for the death of any of them. Without memory leases end by the clock. */
static int watch_all(const pawl__turn *t, pawl__answer *ret_answer)
{
    pawl__hold_row holder = {.fence = 0};
    int64_t known = ret_answer->watch.live;
    for (;;) {
        int rc = pawl__hold_after(t->db, t->name, holder.fence, &holder);
        if (rc != SQLITE_OK || !holder.found) return rc;
        if (holder.owner.live <= 0 || holder.owner.live == known) continue;
        if (ret_answer->more_count == PAWL_CAPACITY_MAX) return SQLITE_OK;
        if (!ret_answer->more_watches)
            ret_answer->more_watches = malloc(PAWL_CAPACITY_MAX * sizeof(pawl__watch_mark));
        if (!ret_answer->more_watches) return SQLITE_OK;
        ret_answer->more_watches[ret_answer->more_count++] = pawl__mark_of(&holder);
    }
}

int pawl__answer_watch(const pawl__turn *t, pawl__group *g, const pawl__wish *wish,
                       pawl__answer *ret_answer)
{
    pawl__hold_row whom;
    bool fits;
    int rc = pawl__group_upgrader(t, g, &whom);
    if (rc == SQLITE_OK && !whom.found) rc = pawl__group_fits(t, g, wish, &fits, &whom);
    if (rc != SQLITE_OK || !whom.found) return rc;
    ret_answer->watch = pawl__mark_of(&whom);
    return wish->mode == PAWL_MODE_PERMIT ? watch_all(t, ret_answer) : SQLITE_OK;
}

void pawl__answer_done(pawl__answer *answer)
{
    free(answer->more_watches);
    answer->more_watches = NULL;
    answer->more_count = 0;
}
