/* SPDX-License-Identifier: MIT */
/* A caller wants a name, or no longer wants it. */
#include "lease.h"

#include <string.h>

static void register_want(pawl__engine *e, pawl__want *want)
{
    pawl__waiting *waiting = want->waiting;
    want->state = PAWL__WANT_WAITING;
    want->out = 0;
    want->err = 0;
    want->lease = NULL;
    want->change_err = 0;
    want->listed = false;
    want->after_doubt = false;
    waiting->want = want;
    waiting->group = NULL;
    waiting->timer = (pawl__timer){.kind = PAWL__TIMER_WANT};
    waiting->unreachable_at = pawl__silence_end(e);
    pawl__list_init(&waiting->in_queue);
    e->want_count++;
}

static pawl_err refusal_of_all(pawl__engine *e)
{
    if (e->broken) return PAWL_ERR_INTERNAL;
    if (e->closing) return PAWL_ERR_CLOSED;
    bool room = pawl__heap_reserve(&e->timers, e->want_count + e->lease_count + 1);
    return room ? PAWL_OK : PAWL_ERR_NO_MEMORY;
}

static void arm_want(pawl__engine *e, pawl__waiting *waiting, const pawl__lease *lease)
{
    bool hasty = pawl__waiting_is_hasty(waiting); /* it needs an answer of its own */
    if (hasty && lease->answered && PAWL_MUTANT(hasty_waits_on)) return;
    if (!lease->silent)
        waiting->unreachable_at = PAWL__NEVER; /* a hasty want waits for the answer */
    pawl__waiting_arm(e, waiting);
}

/*
 * A cached lease serves at once; one of another kind is released first. A reader joins readers.
 */
static bool serve_at_once(pawl__engine *e, pawl__group *group, pawl__want *want)
{
    pawl__lease *lease = group->lease;
    if (lease && pawl__lease_may_be_joined(e, lease, want)) {
        pawl__lease_give(e, lease, want);
        return true;
    }
    if (!lease || lease->state != PAWL__LEASE_IDLE) return false;
    if (!pawl__lease_suits(e, lease, want)) {
        pawl__lease_leave(e, lease);
        return false;
    }
    pawl__lease_give(e, lease, want);
    return true;
}

static bool known_to_be_busy(const pawl__lease *lease)
{
    return lease->state == PAWL__LEASE_QUEUED || lease->state == PAWL__LEASE_HELD ||
           lease->state == PAWL__LEASE_DOUBT;
}

/* The store refused us for good when the link went down; an error in an answer may still pass. */
static bool store_refuses_us(const pawl__engine *e, const pawl__group *group)
{
    if (e->link_up || !pawl__link_is_final(e)) return false;
    return !group->lease || !group->lease->answered;
}

/* A want that does not wait is not kept until the next attempt to connect; a local holder is known
 * without the store. */
static bool store_is_away(const pawl__engine *e, const pawl__group *group, const pawl__want *want)
{
    bool hasty = pawl__waiting_is_hasty(want->waiting) && !PAWL_MUTANT(hasty_waits_on);
    return hasty && e->link_tried && !(group->lease && known_to_be_busy(group->lease));
}

static void join(pawl__engine *e, pawl__group *group, pawl__want *want)
{
    if (store_refuses_us(e, group) || store_is_away(e, group, want)) {
        pawl__engine_set_message(e, e->link_message);
        pawl__want_refuse(e, want, (pawl_err)e->link_err);
        return;
    }
    pawl__group_clear_way(e, group, (pawl_mode)want->mode);
    pawl__list_append(&group->wants, &want->waiting->in_queue);
    pawl__group_start(e, group);
    if (!want->waiting) return; /* refused: no memory */
    if (pawl__waiting_is_hasty(want->waiting) && known_to_be_busy(group->lease)) {
        pawl__engine_set_message(e, "");
        pawl__want_refuse(e, want, PAWL_ERR_BUSY);
        return;
    }
    arm_want(e, want->waiting, group->lease);
}

void pawl__on_want(pawl__engine *e, pawl__want *want)
{
    register_want(e, want);
    pawl_err err = refusal_of_all(e);
    pawl__group *group = err ? NULL : pawl__group_get(e, want);
    if (!group) {
        if (!err) err = PAWL_ERR_NO_MEMORY;
        pawl__engine_set_message(e, e->broken ? e->broken : pawl_err_text(err));
        pawl__want_refuse(e, want, err);
        return;
    }
    want->waiting->group = group;
    group->refs++;
    if (!serve_at_once(e, group, want)) join(e, group, want);
    group->refs--;
    pawl__group_put(e, group);
}

void pawl__on_cancel(pawl__engine *e, pawl__want *want)
{
    if (!want->waiting) return;
    pawl__group *group = want->waiting->group;
    if (!group) {
        pawl__upgrade_given_up(e, want, PAWL_ERR_CANCELED);
        return;
    }
    pawl__want_refuse(e, want, PAWL_ERR_CANCELED);
    /* A release by token follows: nothing stays behind (law 4). */
    pawl__lease_leave_if_unneeded(e, group->lease);
}
