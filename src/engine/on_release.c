/* SPDX-License-Identifier: MIT */
/* A caller releases or detaches a lease, or everything is closed. */
#include "lease.h"

/* The want no longer holds, and will be told so. */
static void take_out(pawl__engine *e, pawl__lease *lease, pawl__want *want)
{
    pawl__lease_remove_holder(lease, want);
    pawl__upgrade_ends(e, want, PAWL_ERR_CANCELED);
    want->lease = NULL;
    want->state = PAWL__WANT_RELEASING;
}

void pawl__on_release(pawl__engine *e, pawl__want *want, bool await_store, bool ends_lease)
{
    if (want->state == PAWL__WANT_LOST) {
        want->state = PAWL__WANT_RELEASING;
        if (PAWL_MUTANT(loss_told_twice)) pawl__want_tell(e, want, PAWL__ACT_LOST, PAWL_ERR_LOST);
        pawl__want_tell(e, want, PAWL__ACT_RELEASED, PAWL_ERR_LOST);
        return;
    }
    if (want->state != PAWL__WANT_HOLDING) return;
    pawl__lease *lease = want->lease;
    take_out(e, lease, want);
    pawl__lease_returned(e, lease, want, ends_lease);
    if (await_store && lease->state == PAWL__LEASE_RELEASING) {
        lease->want = want;
        return;
    }
    pawl__want_tell(e, want, PAWL__ACT_RELEASED, PAWL_OK);
}

static void let_go(pawl__engine *e, pawl__lease *lease, pawl__want *want)
{
    take_out(e, lease, want);
    pawl__want_tell(e, want, PAWL__ACT_RELEASED, PAWL_OK);
}

void pawl__on_detach(pawl__engine *e, pawl__want *want)
{
    if (want->state != PAWL__WANT_HOLDING) return;
    pawl__lease *lease = want->lease;
    let_go(e, lease, want);
    if (!lease->want) pawl__lease_drop(e, lease); /* else others hold it, too */
}

void pawl__on_keep_nothing(pawl__engine *e)
{
    e->keeps_nothing = true;
    for (size_t i = 0; i < e->lease_room; i++)
        if (e->leases[i] && e->leases[i]->state == PAWL__LEASE_IDLE)
            pawl__lease_leave(e, e->leases[i]);
}

void pawl__on_close(pawl__engine *e)
{
    e->closing = true;
    for (size_t i = 0; i < e->lease_room; i++) {
        pawl__lease *lease = e->leases[i];
        if (!lease || lease->state == PAWL__LEASE_RELEASING) continue;
        if (!PAWL_MUTANT(word_after_close))
            pawl__group_refuse(e, lease->group, PAWL_ERR_CLOSED, false);
        while (pawl__lease_is_held(lease) && lease->want) let_go(e, lease, lease->want);
        bool is_left = lease->fence && lease->flags & PAWL_ASK_DETACHED;
        if (is_left && !PAWL_MUTANT(detached_not_left))
            pawl__lease_drop(e, lease);
        else
            pawl__lease_leave(e, lease);
    }
}
