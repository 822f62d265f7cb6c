/* SPDX-License-Identifier: MIT */
/* CHANGE: a holder gets another mode (rule 10 of pawl/store.h). */
#define _GNU_SOURCE
#include "sqlite_turn.h"

/* Ends its wait for an upgrade, if there was one; grants to those who fit now. */
static int write_mode(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder, pawl_mode mode)
{
    if (holder->upgrade_until != 0) pawl__group_void_watches(g);
    holder->upgrade_until = 0;
    int rc = pawl__hold_put(t->db, t->name, holder);
    if (rc == SQLITE_OK && mode != holder->mode) {
        holder->mode = mode;
        rc = pawl__hold_set_mode(t->db, t->name, holder);
    }
    return rc == SQLITE_OK ? pawl__group_let_in(t, g) : rc;
}

static int set_mode(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder,
                    pawl__answer *ret_answer)
{
    int rc = write_mode(t, g, holder, t->request->mode);
    return rc == SQLITE_OK ? pawl__answer_held(t, g, holder, PAWL_GRANTED, ret_answer) : rc;
}

/* Others hold: it waits for them, ahead of all who queue. */
static int wait_for_upgrade(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder,
                            const pawl__hold_row *other, pawl__answer *ret_answer)
{
    bool awaited;
    int rc = pawl__group_is_awaited(t, g, NULL, &awaited);
    if (rc != SQLITE_OK) return rc;
    holder->upgrade_until = pawl__expiry(t, pawl_place_span(pawl__ms_to_ns(t->request->ttl_ms)));
    rc = pawl__hold_put(t->db, t->name, holder);
    if (rc == SQLITE_OK && !awaited)
        rc = pawl__queue_ask_to_yield(t, g, PAWL_MODE_EXCLUSIVE, holder->owner.token);
    ret_answer->watch = pawl__mark_of(other);
    return rc == SQLITE_OK ? pawl__answer_queued(t, g, 0, ret_answer) : rc;
}

static int upgrade(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder,
                   pawl__answer *ret_answer)
{
    pawl__hold_row other;
    int rc = pawl__group_latest_but(t, g, holder->owner.token, &other);
    if (rc != SQLITE_OK) return rc;
    if (!other.found) {
        rc = pawl__group_upgrade(t, g, holder);
        return rc == SQLITE_OK ? pawl__answer_held(t, g, holder, PAWL_GRANTED, ret_answer) : rc;
    }
    if (t->request->flags & PAWL_ASK_QUEUE)
        return wait_for_upgrade(t, g, holder, &other, ret_answer);
    rc = write_mode(t, g, holder, PAWL_MODE_UPDATE);
    return rc == SQLITE_OK ? pawl__answer_busy(t, g, ret_answer) : rc;
}

static int change(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder,
                  pawl__answer *ret_answer)
{
    pawl_mode from = holder->mode, to = t->request->mode;
    bool upgrades = from == PAWL_MODE_UPDATE && to == PAWL_MODE_EXCLUSIVE;
    if (!upgrades && from != to && !pawl_mode_is_downgrade(from, to)) {
        pawl__answer_failed(PAWL_ERR_MODE, ret_answer);
        return SQLITE_OK;
    }
    pawl__extend(t, holder);
    holder->change = t->request->change;
    int rc = pawl__group_open(t, g, holder);
    if (rc != SQLITE_OK) return rc;
    return upgrades ? upgrade(t, g, holder, ret_answer) : set_mode(t, g, holder, ret_answer);
}

int pawl__lease_change(const pawl__turn *t, pawl__answer *ret_answer)
{
    pawl__group g;
    pawl__hold_row holder;
    int rc = pawl__group_begin(t, &g);
    if (rc == SQLITE_OK) rc = pawl__group_holder(t, &g, t->request->token, &holder);
    if (rc != SQLITE_OK) return rc;
    if (!holder.found || t->request->change < holder.change)
        rc = pawl__answer_not_owner(t, ret_answer); /* law 5; and what came late */
    else
        rc = change(t, &g, &holder, ret_answer);
    return rc == SQLITE_OK ? pawl__group_finish(t, &g) : rc;
}
