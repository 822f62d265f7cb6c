/* SPDX-License-Identifier: MIT */
/* A place in the queue is taken or kept; those who stand in the way hear of it. */
#define _GNU_SOURCE
#include "../../base/modes.h"
#include "sqlite_turn.h"

#define QUEUE_MAX 100000 /* waiters of one name: positions are counted */
#define TOLD_MAX  100    /* holders that are asked to yield; their renewals tell the others */

/* ---- Those who are asked to yield -------------------------------------------------- */

static void ask_to_yield(const pawl__turn *t, const pawl__owner *owner, uint64_t fence)
{
    pawl__turn_tell(t, owner->client, PAWL_PUSH_YIELD, owner->token, fence, NULL);
}

int pawl__queue_ask_to_yield(const pawl__turn *t, const pawl__group *g, pawl_mode wanted,
                             const char *but)
{
    pawl__hold_row holder = {.fence = 0};
    if (!g->lock.many) {
        if (g->lock.held) ask_to_yield(t, &g->lock.owner, g->lock.fence);
        return SQLITE_OK;
    }
    for (int told = 0; told < TOLD_MAX;) {
        int rc = pawl__hold_after(t->db, t->name, holder.fence, &holder);
        if (rc != SQLITE_OK || !holder.found) return rc;
        if (pawl__mode_fits(wanted, holder.mode) || pawl__same_token(holder.owner.token, but))
            continue;
        ask_to_yield(t, &holder.owner, holder.fence);
        told++;
    }
    return SQLITE_OK;
}

/* ---- A place ------------------------------------------------------------ */

/* The waiter before that place: the last one there that lives. */
static int find_predecessor(const pawl__turn *t, pawl__group *g, int64_t seq,
                            pawl__wait_row *ret_before)
{
    for (int i = 0; i < PAWL__DEAD_DROP_MAX; i++) {
        int rc = pawl__wait_before(t->db, t->name, seq, ret_before);
        if (rc != SQLITE_OK || !ret_before->found) return rc;
        if (pawl__wait_is_live(t->db, ret_before, t->now)) return rc;
        rc = pawl__queue_drop(t, g, ret_before);
        if (rc != SQLITE_OK) return rc;
    }
    ret_before->found = false;
    return SQLITE_OK;
}

static int turn_away(const pawl__turn *t, pawl__group *g, const pawl__wait_row *place,
                     pawl__answer *ret_answer)
{
    pawl__answer_failed(PAWL_ERR_STORE_FULL, ret_answer);
    pawl__sqlite_say(ret_answer->fault.message, "%d wait for this name already", QUEUE_MAX);
    return pawl__queue_drop(t, g, place);
}

static int write_place(const pawl__turn *t, pawl__group *g, pawl__wait_row *place)
{
    int64_t live = t->db->live.offset;
    pawl__fill_asker(t, &place->owner);
    place->owner.live = live; /* a place is tied, whatever the lease will be */
    place->ttl_ns = pawl__ms_to_ns(t->request->ttl_ms);
    place->until_at = pawl__expiry(t, pawl_place_span(place->ttl_ns));
    place->detached = (t->request->flags & PAWL_ASK_DETACHED) != 0;
    if (place->found) return pawl__wait_refresh(t->db, t->name, place);
    place->mode = t->request->mode;
    place->units = t->request->units;
    place->capacity = t->request->capacity;
    place->since_at = t->now;
    g->first_known = false;
    return pawl__wait_add(t->db, t->name, place);
}

/* It is the first waiter: it watches the holders. If it has just come, they are told. */
static int stand_first(const pawl__turn *t, pawl__group *g, const pawl__wait_row *place,
                       bool is_new, pawl__answer *ret_answer)
{
    pawl__hold_row upgrader;
    pawl__wish wish = {place->mode, place->units, place->capacity};
    int rc = pawl__answer_watch(t, g, &wish, ret_answer);
    if (rc != SQLITE_OK || !is_new) return rc;
    rc = pawl__group_upgrader(t, g, &upgrader);
    if (rc != SQLITE_OK || upgrader.found) return rc;
    return pawl__queue_ask_to_yield(t, g, place->mode, NULL);
}

int pawl__queue_enter(const pawl__turn *t, pawl__group *g, pawl__wait_row *place,
                      pawl__answer *ret_answer)
{
    pawl__wait_row before;
    int64_t position;
    bool is_new = !place->found;
    int rc = write_place(t, g, place);
    if (rc == SQLITE_OK) rc = find_predecessor(t, g, place->seq, &before);
    if (rc == SQLITE_OK) rc = pawl__wait_rank(t->db, t->name, place->seq, &position);
    if (rc != SQLITE_OK) return rc;
    if (is_new && position >= QUEUE_MAX) return turn_away(t, g, place, ret_answer);
    if (before.found)
        ret_answer->watch =
            (pawl__watch_mark){before.owner.live, before.owner.pid, before.owner.pid_ns};
    else
        rc = stand_first(t, g, place, is_new, ret_answer);
    return rc == SQLITE_OK ? pawl__answer_queued(t, g, position, ret_answer) : rc;
}
