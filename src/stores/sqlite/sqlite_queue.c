/* SPDX-License-Identifier: MIT */
/* Those who wait: who is the first, and how a place ends. */
#define _GNU_SOURCE
#include "sqlite_turn.h"

/*
 * A stopped process that missed its refresh still lives: who watches it must learn that the watch
 * is void.
 */
static int find_first(const pawl__turn *t, pawl__wait_row *ret_waiter)
{
    bool dropped_living = false;
    int rc = SQLITE_OK;
    for (int i = 0; i < PAWL__DEAD_DROP_MAX; i++) {
        rc = pawl__wait_first(t->db, t->name, 0, ret_waiter);
        if (rc != SQLITE_OK || !ret_waiter->found) return rc;
        if (pawl__wait_is_live(t->db, ret_waiter, t->now)) {
            if (dropped_living) pawl__turn_recheck(t, &ret_waiter->owner);
            return SQLITE_OK;
        }
        if (!pawl__sqlite_db_is_dead(t->db, ret_waiter->owner.live)) dropped_living = true;
        rc = pawl__wait_drop(t->db, t->name, ret_waiter->seq);
        if (rc != SQLITE_OK) return rc;
    }
    ret_waiter->found = false;
    return rc;
}

int pawl__queue_first(const pawl__turn *t, pawl__group *g)
{
    if (g->first_known) return SQLITE_OK;
    int rc = find_first(t, &g->first);
    g->first_known = rc == SQLITE_OK;
    return rc;
}

int pawl__queue_drop(const pawl__turn *t, pawl__group *g, const pawl__wait_row *waiter)
{
    g->first_known = false;
    return pawl__wait_drop(t->db, t->name, waiter->seq);
}

int pawl__queue_leave(const pawl__turn *t, pawl__group *g, const pawl__wait_row *waiter)
{
    pawl__wait_row successor = {.found = false};
    int rc = pawl__queue_drop(t, g, waiter);
    if (rc == SQLITE_OK) rc = pawl__wait_first(t->db, t->name, waiter->seq, &successor);
    if (rc == SQLITE_OK && successor.found) pawl__turn_recheck(t, &successor.owner);
    return rc;
}
