/* SPDX-License-Identifier: MIT */
/* Time has passed. Deadlines come before anything else (law 2). */
#include "lease.h"

/* A lost answer is a detail: the caller is told that the store cannot be reached. */
static pawl_err why_silent(const pawl__engine *e, const pawl__lease *lease)
{
    pawl_err err = lease->err ? (pawl_err)lease->err : (pawl_err)e->link_err;
    if (!err || pawl_err_class_of(err) == PAWL_CLASS_UNKNOWN) return PAWL_ERR_UNAVAILABLE;
    return err;
}

static void want_is_due(pawl__engine *e, pawl__waiting *waiting)
{
    pawl__want *want = waiting->want;
    if (!waiting->group) {
        pawl__upgrade_is_due(e, want);
        return;
    }
    pawl__lease *lease = waiting->group->lease;
    bool is_limited = waiting->wait_until != 0;
    bool over = is_limited && waiting->wait_until <= e->now;
    if (!over && e->now < waiting->unreachable_at) { /* the store has answered meanwhile */
        pawl__waiting_arm(e, waiting);
        return;
    }
    /* The link is up and nothing has failed: only the caller's time was short. */
    bool fine_so_far = e->link_up && !lease->err && e->now < waiting->unreachable_at;
    bool is_patience = over && (!lease->silent || fine_so_far);
    if (is_patience)
        pawl__engine_set_message(e, "");
    else if (!e->link_up)
        pawl__engine_set_message(e, e->link_message);
    pawl__want_refuse(e, want, is_patience ? PAWL_ERR_TIMEOUT : why_silent(e, lease));
    pawl__lease_leave_if_unneeded(e, lease);
}

static void held_is_due(pawl__engine *e, pawl__lease *lease)
{
    if (pawl__lease_deadline(lease) <= e->now) {
        if (!lease->err)
            pawl__engine_set_message(e, "the deadline passed before a renewal was confirmed");
        pawl__lease_lost(e, lease, lease->err ? (pawl_err)lease->err : PAWL_ERR_LOST);
        return;
    }
    if (lease->state == PAWL__LEASE_IDLE && lease->until <= e->now) {
        pawl__lease_leave(e, lease);
        return;
    }
    pawl__lease_renew(e, lease);
    if (!e->link_up) pawl__lease_doubted(e, lease, PAWL_ERR_UNAVAILABLE);
}

static void release_is_due(pawl__engine *e, pawl__lease *lease)
{
    if (lease->until > e->now) {
        pawl__lease_send_release(e, lease);
        return;
    }
    if (lease->want) pawl__want_tell(e, lease->want, PAWL__ACT_RELEASED, PAWL_ERR_UNKNOWN);
    pawl__lease_drop(e, lease); /* by now it has run out at the store */
}

static void lease_is_due(pawl__engine *e, pawl__lease *lease)
{
    switch ((pawl__lease_state)lease->state) {
    case PAWL__LEASE_HELD:
    case PAWL__LEASE_DOUBT:
    case PAWL__LEASE_IDLE:
        held_is_due(e, lease);
        return;
    case PAWL__LEASE_REQUESTING:
    case PAWL__LEASE_QUEUED:
    case PAWL__LEASE_UNKNOWN:
        pawl__lease_ask(e, lease);
        return;
    case PAWL__LEASE_RELEASING:
        release_is_due(e, lease);
        return;
    case PAWL__LEASE_ABSENT:
    case PAWL__LEASE_LOST:
    case PAWL__LEASE_STATES:
        break;
    }
    pawl__engine_break(e, PAWL__ASTRAY);
}

void pawl__on_time(pawl__engine *e)
{
    while (!e->broken) { /* else what is due would stay due for ever */
        pawl__timer *timer = pawl__heap_first(&e->timers);
        if (!timer || timer->at > e->now) return;
        if (timer->kind == PAWL__TIMER_WANT)
            want_is_due(e, pawl__container(timer, pawl__waiting, timer));
        else
            lease_is_due(e, pawl__container(timer, pawl__lease, timer));
    }
}
