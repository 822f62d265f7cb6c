/* SPDX-License-Identifier: MIT */
/* The store's link came up or went down. */
#include "lease.h"

#include <string.h>

/* A waiter that has lost its connection asks again at once (law 7): a push may have been lost. */
static void catch_up(pawl__engine *e, pawl__lease *lease)
{
    if (lease->request || lease->send) return;
    switch ((pawl__lease_state)lease->state) {
    case PAWL__LEASE_REQUESTING:
    case PAWL__LEASE_QUEUED:
    case PAWL__LEASE_UNKNOWN:
        pawl__lease_ask(e, lease);
        return;
    case PAWL__LEASE_HELD:
    case PAWL__LEASE_DOUBT:
        pawl__change_again(e, lease);
        return;
    case PAWL__LEASE_IDLE: /* a renewal also tells whether a yield request was lost */
        if (lease->change)
            pawl__lease_leave(e, lease); /* what the store makes of its changes is not known */
        else
            pawl__lease_renew(e, lease);
        return;
    case PAWL__LEASE_RELEASING:
        pawl__lease_send_release(e, lease);
        return;
    case PAWL__LEASE_ABSENT:
    case PAWL__LEASE_LOST:
    case PAWL__LEASE_STATES:
        break;
    }
    pawl__engine_break(e, PAWL__ASTRAY);
}

bool pawl__link_is_final(const pawl__engine *e)
{
    pawl_err_class cls = pawl_err_class_of((pawl_err)e->link_err);
    if (e->link_final) return true;
    return cls == PAWL_CLASS_DENIED || cls == PAWL_CLASS_USAGE || cls == PAWL_CLASS_INTERNAL;
}

/* All waiting wants, also those behind a holder here, now wait for a store that is away (law 7). */
static void all_silent(pawl__engine *e)
{
    for (size_t i = 0; i < e->lease_room; i++)
        if (e->leases[i]) pawl__lease_silent(e, e->leases[i]);
}

static void refuse_unanswered(pawl__engine *e, pawl_err err)
{
    for (size_t i = 0; i < e->lease_room; i++) {
        pawl__lease *lease = e->leases[i];
        if (!lease || lease->answered || lease->group->lease != lease) continue;
        pawl__group_refuse(e, lease->group, err, false);
        pawl__lease_leave_if_unneeded(e, lease);
    }
}

/* Wants that do not wait stay for one attempt to connect at most; it has failed now. */
static void refuse_hasty(pawl__engine *e, pawl_err err)
{
    for (size_t i = 0; i < e->lease_room; i++) {
        pawl__lease *lease = e->leases[i];
        if (!lease || lease->group->lease != lease) continue;
        pawl__group_refuse(e, lease->group, err, true);
        pawl__lease_leave_if_unneeded(e, lease);
    }
}

void pawl__on_link(pawl__engine *e, const pawl__event *event)
{
    bool was_up = e->link_up;
    e->link_up = event->up;
    e->link_tried = !event->up && !was_up;
    if (!event->up) {
        e->link_err = (int16_t)event->err;
        pawl__engine_set_message(e, event->message ? event->message : pawl_err_text(event->err));
        memcpy(e->link_message, e->message, sizeof e->link_message);
        e->link_final = event->final;
        if (pawl__link_is_final(e)) refuse_unanswered(e, event->err);
        if (e->link_tried && !PAWL_MUTANT(hasty_waits_on)) refuse_hasty(e, event->err);
        all_silent(e);
        return;
    }
    e->link_err = 0;
    e->link_final = false;
    for (size_t i = 0; i < e->lease_room; i++)
        if (e->leases[i] && (i == 0 || !PAWL_MUTANT(batch_stops_at_first)))
            catch_up(e, e->leases[i]);
}
