/* SPDX-License-Identifier: MIT */
/* Who may hold beside whom, and who comes next: rules 6, 8, 9 and 11 of pawl/store.h. */
#define _GNU_SOURCE
#include "../../base/modes.h"
#include "sqlite_turn.h"

#include <string.h>

#define GRANTS_MAX 1000 /* one request grants to at most so many */

static bool is_dead(const pawl__turn *t, const pawl__hold_row *holder)
{
    return pawl__sqlite_db_is_dead(t->db, holder->owner.live);
}

/* ---- Holders ------------------------------------------------------------------------ */

void pawl__group_void_watches(pawl__group *g)
{
    g->is_smaller = true;
    g->left = PAWL__SQLITE_FENCE_MAX + 1;
}

int pawl__group_drop(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder, bool dead)
{
    if (!g->lock.many) {
        g->lock.held = false;
        return SQLITE_OK;
    }
    g->is_smaller = true;
    if (!dead && holder->fence > g->left) g->left = holder->fence;
    /* A waiter behind an upgrade watches the holder that will be upgraded. */
    if (!dead && holder->upgrade_until != 0) pawl__group_void_watches(g);
    return pawl__hold_drop(t->db, t->name, holder->fence);
}

int pawl__group_latest_but(const pawl__turn *t, pawl__group *g, const char *token,
                           pawl__hold_row *ret_row)
{
    ret_row->fence = PAWL__SQLITE_FENCE_MAX + 1;
    for (int i = 0; i < PAWL__DEAD_DROP_MAX; i++) {
        int rc = pawl__hold_before(t->db, t->name, ret_row->fence, ret_row);
        if (rc != SQLITE_OK || !ret_row->found) return rc;
        if (pawl__same_token(ret_row->owner.token, token)) continue;
        if (!is_dead(t, ret_row)) return SQLITE_OK;
        rc = pawl__group_drop(t, g, ret_row, true);
        if (rc != SQLITE_OK) return rc;
    }
    return SQLITE_OK; /* the next request removes the other dead ones */
}

int pawl__group_drop_dead(const pawl__turn *t, pawl__group *g)
{
    pawl__hold_row holder = {.fence = 0};
    if (!g->lock.many) return SQLITE_OK;
    for (int dropped = 0; dropped < PAWL__DEAD_DROP_MAX;) {
        int rc = pawl__hold_after(t->db, t->name, holder.fence, &holder);
        if (rc != SQLITE_OK || !holder.found) return rc;
        if (!is_dead(t, &holder)) continue;
        rc = pawl__group_drop(t, g, &holder, true);
        if (rc != SQLITE_OK) return rc;
        dropped++;
    }
    return SQLITE_OK;
}

/* Those whose leases ran out hold no more. */
static int drop_expired(const pawl__turn *t, pawl__group *g)
{
    pawl__hold_row first;
    for (int i = 0; i < PAWL__DEAD_DROP_MAX; i++) {
        int rc = pawl__hold_first_end(t->db, t->name, &first);
        if (rc != SQLITE_OK || !first.found || t->now < first.expires_at) return rc;
        rc = pawl__group_drop(t, g, &first, false);
        if (rc != SQLITE_OK) return rc;
    }
    return SQLITE_OK;
}

int pawl__group_holder(const pawl__turn *t, pawl__group *g, const char *token,
                       pawl__hold_row *ret_row)
{
    ret_row->found = false;
    if (!g->lock.held || !token) return SQLITE_OK;
    if (!g->lock.many) {
        if (pawl__same_token(g->lock.owner.token, token)) *ret_row = pawl__holder_of_lock(&g->lock);
        return SQLITE_OK;
    }
    int rc = pawl__hold_of(t->db, t->name, token, ret_row);
    if (rc != SQLITE_OK || pawl__hold_is_live(t->db, ret_row, t->now)) return rc;
    if (!ret_row->found) return SQLITE_OK;
    ret_row->found = false; /* the process that it was tied to is gone */
    rc = pawl__group_drop(t, g, ret_row, true);
    return rc == SQLITE_OK ? pawl__group_let_in(t, g) : rc;
}

int pawl__group_upgrader(const pawl__turn *t, pawl__group *g, pawl__hold_row *ret_row)
{
    ret_row->found = false;
    if (!g->lock.many) return SQLITE_OK;
    int rc = pawl__hold_strong(t->db, t->name, ret_row);
    if (rc != SQLITE_OK || !ret_row->found) return rc;
    if (ret_row->upgrade_until == 0) {
        ret_row->found = false;
        return SQLITE_OK;
    }
    if (!pawl__hold_is_live(t->db, ret_row, t->now)) {
        ret_row->found = false;
        return pawl__group_drop(t, g, ret_row, is_dead(t, ret_row));
    }
    if (t->now < ret_row->upgrade_until) return SQLITE_OK;
    ret_row->found = false; /* its place ran out; its lease stands */
    ret_row->upgrade_until = 0;
    pawl__group_void_watches(g);
    return pawl__hold_put(t->db, t->name, ret_row);
}

int pawl__group_is_awaited(const pawl__turn *t, pawl__group *g, const char *but, bool *ret_awaited)
{
    pawl__hold_row upgrader;
    int rc = pawl__queue_first(t, g);
    *ret_awaited = g->first.found;
    if (rc != SQLITE_OK || *ret_awaited || !g->lock.many) return rc;
    rc = pawl__group_upgrader(t, g, &upgrader);
    *ret_awaited = upgrader.found && !pawl__same_token(upgrader.owner.token, but);
    return rc;
}

/* ---- Who fits ------------------------------------------------------------------------ */

/* At most one holder in `hold` is not a reader. */
static int fits_beside_readers(const pawl__turn *t, pawl__group *g, pawl_mode mode, bool *ret_fits,
                               pawl__hold_row *ret_in_way)
{
    for (int i = 0; i < PAWL__DEAD_DROP_MAX; i++) {
        int rc = pawl__hold_strong(t->db, t->name, ret_in_way);
        if (rc != SQLITE_OK) return rc;
        *ret_fits = !ret_in_way->found || pawl__mode_fits(mode, ret_in_way->mode);
        if (*ret_fits || !is_dead(t, ret_in_way)) return SQLITE_OK;
        rc = pawl__group_drop(t, g, ret_in_way, true);
        if (rc != SQLITE_OK) return rc;
    }
    *ret_fits = false;
    return SQLITE_OK;
}

static int count_permits(const pawl__turn *t, const pawl__wish *wish, bool *ret_fits)
{
    pawl__slots taken;
    bool is_one;
    int rc = pawl__hold_slots(t->db, t->name, wish->capacity, &taken, &is_one);
    *ret_fits = is_one && pawl__slots_count(&taken) + wish->units <= wish->capacity;
    return rc;
}

static int fits_capacity(const pawl__turn *t, pawl__group *g, const pawl__wish *wish,
                         bool *ret_fits, pawl__hold_row *ret_in_way)
{
    int rc = count_permits(t, wish, ret_fits);
    if (rc != SQLITE_OK || *ret_fits) return rc;
    rc = pawl__group_drop_dead(t, g);
    if (rc == SQLITE_OK) rc = count_permits(t, wish, ret_fits);
    if (rc != SQLITE_OK || *ret_fits) return rc;
    return pawl__group_latest_but(t, g, NULL, ret_in_way);
}

int pawl__group_fits(const pawl__turn *t, pawl__group *g, const pawl__wish *wish, bool *ret_fits,
                     pawl__hold_row *ret_in_way)
{
    int rc = SQLITE_OK;
    ret_in_way->found = false;
    *ret_fits = !g->lock.held;
    if (*ret_fits) return SQLITE_OK;
    if (!g->lock.many) {
        *ret_in_way = pawl__holder_of_lock(&g->lock);
        return SQLITE_OK;
    }
    switch (wish->mode) {
    case PAWL_MODE_SHARED:
    case PAWL_MODE_UPDATE:
        return fits_beside_readers(t, g, wish->mode, ret_fits, ret_in_way);
    case PAWL_MODE_PERMIT:
        return fits_capacity(t, g, wish, ret_fits, ret_in_way);
    case PAWL_MODE_EXCLUSIVE:
    case PAWL_MODE_FORCE_INT:
        rc = pawl__group_latest_but(t, g, NULL, ret_in_way);
        *ret_fits = !ret_in_way->found;
        break;
    }
    return rc;
}

/* ---- Granting ------------------------------------------------------------------------- */

/* Law 3: in the very transaction that grants. */
static int draw_fence(const pawl__turn *t, pawl__lock_row *lock)
{
    const pawl__sqlite_host_row *host = &t->db->host;
    uint64_t last = lock->fence > host->fence_floor ? lock->fence : host->fence_floor;
    uint64_t wall_us = (uint64_t)pawl__sqlite_clock_wall_us();
    uint64_t fence = last + 1 > wall_us ? last + 1 : wall_us;
    if (fence > PAWL__SQLITE_FENCE_MAX) return SQLITE_CORRUPT; /* no clock shows it before 2255 */
    if (fence >= host->fence_ceiling) {
        t->db->fence_wanted = fence;
        return PAWL__SQLITE_NEEDS_CEILING;
    }
    lock->fence = fence;
    return SQLITE_OK;
}

/* Makes the row of `lock` say that the holders are in `hold`, and removes what is left there. */
static int open_row(const pawl__turn *t, pawl__group *g)
{
    if (g->lock.many) return SQLITE_OK;
    memset(&g->lock.owner, 0, sizeof(g->lock.owner));
    g->lock.held = g->lock.many = true;
    g->lock.expires_at = 0;
    return pawl__hold_drop_name(t->db, t->name);
}

static int write_row(const pawl__turn *t, pawl__group *g, int64_t until)
{
    g->row_held = true;
    g->lock.expires_at = pawl__instant_max(g->lock.expires_at, until);
    return pawl__lock_put(t->db, t->name, &g->lock);
}

int pawl__group_open(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder)
{
    if (g->lock.many) return SQLITE_OK;
    pawl__hold_row opened = *holder;
    int rc = open_row(t, g);
    if (rc == SQLITE_OK)
        rc = pawl__lock_published(t->db, t->name, holder->fence, &opened.published);
    if (rc == SQLITE_OK) rc = write_row(t, g, holder->expires_at);
    return rc == SQLITE_OK ? pawl__hold_add(t->db, t->name, &opened) : rc;
}

/* Rule 11: the lowest that are free. */
static int take_slots(const pawl__turn *t, pawl__hold_row *holder)
{
    pawl__slots taken;
    bool is_one;
    uint32_t count = 0;
    int rc = pawl__hold_slots(t->db, t->name, holder->capacity, &taken, &is_one);
    if (rc != SQLITE_OK) return rc;
    for (uint32_t slot = 0; slot < holder->capacity && count < holder->units; slot++) {
        if (pawl__slots_has(&taken, slot)) continue;
        pawl__slots_add(&holder->slots, slot);
        count++;
    }
    return count == holder->units ? SQLITE_OK : SQLITE_CORRUPT;
}

static int grant_beside(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder)
{
    int rc = open_row(t, g);
    if (rc == SQLITE_OK && holder->mode == PAWL_MODE_PERMIT) rc = take_slots(t, holder);
    if (rc == SQLITE_OK) rc = write_row(t, g, holder->expires_at);
    return rc == SQLITE_OK ? pawl__hold_add(t->db, t->name, holder) : rc;
}

static int grant_alone(const pawl__turn *t, pawl__group *g, const pawl__hold_row *holder)
{
    g->row_held = g->lock.held = true;
    g->lock.many = false;
    g->lock.owner = holder->owner;
    g->lock.expires_at = holder->expires_at;
    return pawl__lock_put(t->db, t->name, &g->lock);
}

int pawl__group_grant(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder)
{
    int rc = draw_fence(t, &g->lock);
    if (rc != SQLITE_OK) return rc;
    holder->fence = g->lock.fence;
    pawl__sqlite_host_lease(t->db, holder->owner.live, holder->expires_at);
    return holder->mode == PAWL_MODE_EXCLUSIVE ? grant_alone(t, g, holder)
                                               : grant_beside(t, g, holder);
}

int pawl__group_upgrade(const pawl__turn *t, pawl__group *g, pawl__hold_row *holder)
{
    uint64_t before = holder->fence;
    int rc = draw_fence(t, &g->lock);
    if (rc != SQLITE_OK) return rc;
    pawl__group_void_watches(g);
    holder->fence = g->lock.fence;
    holder->mode = PAWL_MODE_EXCLUSIVE;
    holder->upgrade_until = 0;
    rc = pawl__hold_drop(t->db, t->name, before);
    if (rc == SQLITE_OK) rc = write_row(t, g, holder->expires_at);
    return rc == SQLITE_OK ? pawl__hold_add(t->db, t->name, holder) : rc;
}

/* ---- Letting in ------------------------------------------------------------------------ */

static void tell_grant(const pawl__turn *t, const pawl__hold_row *holder)
{
    pawl__turn_tell(t, holder->owner.client, PAWL_PUSH_GRANT, holder->owner.token, holder->fence,
                    &holder->slots);
}

/* Of those who were let in just now. */
static void say_others_wait(const pawl__turn *t, size_t from, bool waiting)
{
    for (size_t i = from; i < t->outbox->count; i++) {
        pawl__letter *letter = &t->outbox->mails[i].letter;
        if (letter->kind == PAWL_PUSH_GRANT) letter->waiting = waiting;
    }
}

/* It waits ahead of all, and nobody may pass it. */
static int let_upgrade(const pawl__turn *t, pawl__group *g, pawl__hold_row *upgrader)
{
    pawl__hold_row other;
    size_t from = t->outbox->count;
    int rc = pawl__group_latest_but(t, g, upgrader->owner.token, &other);
    if (rc != SQLITE_OK || other.found) return rc;
    rc = pawl__group_upgrade(t, g, upgrader);
    if (rc == SQLITE_OK) rc = pawl__queue_first(t, g);
    if (rc != SQLITE_OK) return rc;
    tell_grant(t, upgrader);
    say_others_wait(t, from, g->first.found);
    return SQLITE_OK;
}

/* The hand-off. It does not extend: the lease ends with the place, until it is renewed (rule 8). */
static int hand_off(const pawl__turn *t, pawl__group *g, const pawl__wait_row *waiter)
{
    pawl__hold_row holder = {.found = true,
                             .owner = waiter->owner,
                             .expires_at = waiter->until_at,
                             .mode = waiter->mode,
                             .units = waiter->units,
                             .capacity = waiter->capacity};
    if (waiter->detached) holder.owner.live = PAWL__LIVE_DETACHED;
    int rc = pawl__group_grant(t, g, &holder);
    if (rc == SQLITE_OK) rc = pawl__queue_drop(t, g, waiter);
    if (rc == SQLITE_OK) tell_grant(t, &holder);
    return rc;
}

/*
 * It comes first now, because `last` was let in. It watches that one, which is not enough for one
 * that waits for permits, or for another who is in update mode.
 */
static bool must_look_again(const pawl__wait_row *first, const pawl__wait_row *last)
{
    return first->mode == PAWL_MODE_PERMIT ||
           (first->mode == PAWL_MODE_UPDATE && last->mode == PAWL_MODE_SHARED);
}

static int let_in_leading(const pawl__turn *t, pawl__group *g)
{
    pawl__wait_row last = {.found = false};
    pawl__hold_row in_way;
    size_t from = t->outbox->count;
    int granted = 0;
    for (;; granted++) {
        bool fits;
        int rc = pawl__queue_first(t, g);
        if (rc != SQLITE_OK) return rc;
        if (!g->first.found || granted == GRANTS_MAX) break;
        pawl__wish wish = {g->first.mode, g->first.units, g->first.capacity};
        rc = pawl__group_fits(t, g, &wish, &fits, &in_way);
        if (rc != SQLITE_OK) return rc;
        if (!fits) break;
        last = g->first;
        rc = hand_off(t, g, &last);
        if (rc != SQLITE_OK) return rc;
    }
    say_others_wait(t, from, g->first.found);
    bool more = granted == GRANTS_MAX || (granted > 0 && must_look_again(&g->first, &last));
    if (g->first.found && more) pawl__turn_recheck(t, &g->first.owner);
    return SQLITE_OK;
}

int pawl__group_let_in(const pawl__turn *t, pawl__group *g)
{
    pawl__hold_row upgrader;
    if (g->lock.held && !g->lock.many) return SQLITE_OK; /* one holds it alone: nobody fits */
    int rc = pawl__group_upgrader(t, g, &upgrader);
    if (rc != SQLITE_OK) return rc;
    return upgrader.found ? let_upgrade(t, g, &upgrader) : let_in_leading(t, g);
}

/* ---- The beginning and the end of a request ---------------------------------------------- */

static int read_or_recall(const pawl__turn *t, pawl__group *g)
{
    const pawl__kept *kept = &t->db->kept;
    if (!kept->has_lock || kept->name_len != t->name.len ||
        memcmp(kept->name, t->name.text, t->name.len) != 0)
        return pawl__lock_get(t->db, t->name, &g->lock);
    g->lock = kept->lock;
    g->first.found = false;
    g->first_known = true;
    return SQLITE_OK;
}

/* After the last write. Only of a name for which nobody waits, and that is held alone or free. */
static void keep(const pawl__turn *t, const pawl__group *g)
{
    pawl__kept *kept = &t->db->kept;
    if (!g->lock.found || g->lock.many || !g->first_known || g->first.found) return;
    if (t->name.len > sizeof(kept->name)) return;
    kept->has_lock = true;
    kept->name_len = t->name.len;
    memcpy(kept->name, t->name.text, t->name.len);
    kept->lock = g->lock;
    if (!g->lock.held) kept->lock.owner.token[0] = '\0';
}

int pawl__group_begin(const pawl__turn *t, pawl__group *ret_group)
{
    pawl__group *g = ret_group;
    g->first_known = g->is_smaller = false;
    g->left = 0;
    int rc = read_or_recall(t, g);
    if (rc != SQLITE_OK) return rc;
    g->row_held = g->lock.held;
    if (g->lock.many)
        rc = drop_expired(t, g);
    else
        g->lock.held = pawl__lock_is_live(t->db, &g->lock, t->now);
    return rc == SQLITE_OK ? pawl__group_let_in(t, g) : rc;
}

static int tell_those_who_wait_first(const pawl__turn *t, pawl__group *g)
{
    pawl__hold_row upgrader;
    int rc = pawl__group_upgrader(t, g, &upgrader);
    if (rc == SQLITE_OK) rc = pawl__queue_first(t, g);
    if (rc != SQLITE_OK) return rc;
    if (upgrader.found) pawl__turn_recheck(t, &upgrader.owner);
    if (g->first.found) pawl__turn_recheck(t, &g->first.owner);
    return SQLITE_OK;
}

/* The holder that the first waiter watches, if it lives: the latest, or, if that one waits for an
 * upgrade, the one before it. */
static int find_watched(const pawl__turn *t, pawl__hold_row *ret_latest, bool *ret_any)
{
    int rc = pawl__hold_before(t->db, t->name, PAWL__SQLITE_FENCE_MAX + 1, ret_latest);
    *ret_any = ret_latest->found;
    if (rc != SQLITE_OK || !ret_latest->found || ret_latest->upgrade_until == 0) return rc;
    return pawl__hold_before(t->db, t->name, ret_latest->fence, ret_latest);
}

int pawl__group_finish(const pawl__turn *t, pawl__group *g)
{
    pawl__hold_row watched;
    bool any;
    int rc = SQLITE_OK;
    if (g->lock.many && g->is_smaller) {
        rc = find_watched(t, &watched, &any);
        if (rc != SQLITE_OK) return rc;
        if (any) return g->left > watched.fence ? tell_those_who_wait_first(t, g) : SQLITE_OK;
        g->lock.held = g->lock.many = false;
    }
    if (!g->lock.held && g->row_held) {
        g->lock.expires_at = t->now;
        rc = pawl__lock_free_row(t->db, t->name, t->now);
    }
    if (rc == SQLITE_OK) keep(t, g);
    return rc;
}
