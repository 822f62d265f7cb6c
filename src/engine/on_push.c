/* SPDX-License-Identifier: MIT */
/* The store has pushed something. A push is a hint (law 7): old, doubled and foreign ones do
 * nothing. */
#include "lease.h"

#include <string.h>

static bool is_ours(pawl__engine *e, const pawl__lease *lease, const pawl_push *push)
{
    return push->token && strcmp(push->token, pawl__lease_token(e, lease)) == 0;
}

/*
 * Whether we first ask the store about a hand-off, and believe it only then. After a silence,
 * because the push may tell of a grant that has run out (law 7). If too little time is left to
 * confirm it later. And always for a detached lease, because it is passed on with a whole ttl.
 */
static bool asks_first(const pawl__engine *e, const pawl__lease *lease)
{
    int64_t enough = pawl__instant_add(e->now, pawl__plan_enough_ns(lease->ttl_ms));
    return lease->out_of_touch || lease->flags & PAWL_ASK_DETACHED ||
           pawl__lease_place_end(lease) <= enough;
}

/*
 * An upgrade may have been granted; but the push may tell of one that was taken back (law 7). So we
 * ask the store before we believe it.
 */
static void on_upgraded(pawl__engine *e, pawl__lease *lease, const pawl_push *push)
{
    if (PAWL_MUTANT(upgrade_push_believed) && lease->want->waiting) {
        lease->mode = PAWL_MODE_EXCLUSIVE;
        lease->fence = push->fence;
        pawl__upgrade_ends(e, lease->want, PAWL_OK);
    }
    if (lease->request)
        lease->recheck = true;
    else
        pawl__lease_renew(e, lease);
}

static void on_handed(pawl__engine *e, pawl__lease *lease, const pawl_push *push)
{
    if (pawl__lease_is_held(lease) && pawl__lease_upgrades(lease)) {
        on_upgraded(e, lease, push);
        return;
    }
    if (!pawl__lease_waits(lease)) return;               /* known already */
    if (push->fence <= lease->group->last_fence) return; /* it was over when we last asked */
    if (asks_first(e, lease)) {
        pawl__lease_ask(e, lease);
        return;
    }
    /*
     * base_at is the last acknowledged ask: the place was extended later than that, and the
     * lease ends with it (law 2).
     */
    lease->handed = true;
    pawl__grant grant = {push->fence, push->waiting, push->slots, push->slot_count};
    pawl__lease_granted(e, lease, &grant);
}

static void on_wanted(pawl__engine *e, pawl__lease *lease)
{
    switch ((pawl__lease_state)lease->state) {
    case PAWL__LEASE_HELD:
    case PAWL__LEASE_DOUBT:
    case PAWL__LEASE_IDLE:
        pawl__lease_wanted(e, lease);
        return;
    case PAWL__LEASE_REQUESTING:
    case PAWL__LEASE_QUEUED:
    case PAWL__LEASE_UNKNOWN:
        lease->wanted_early = true; /* it has overtaken our grant, which comes another way */
        return;
    case PAWL__LEASE_ABSENT:
    case PAWL__LEASE_LOST:
    case PAWL__LEASE_RELEASING:
    case PAWL__LEASE_STATES:
        break;
    }
    pawl__engine_break(e, PAWL__ASTRAY);
}

/* A request under way may have been answered before this news: then we ask once more. */
static void on_recheck(pawl__engine *e, pawl__lease *lease)
{
    switch ((pawl__lease_state)lease->state) {
    case PAWL__LEASE_REQUESTING:
    case PAWL__LEASE_QUEUED:
    case PAWL__LEASE_UNKNOWN:
        pawl__lease_ask(e, lease);
        return;
    case PAWL__LEASE_HELD: /* it may have been broken: the renewal compares, and so decides */
    case PAWL__LEASE_DOUBT:
    case PAWL__LEASE_IDLE:
        if (PAWL_MUTANT(break_not_told)) return;
        if (lease->request)
            lease->recheck = true;
        else
            pawl__lease_renew(e, lease);
        return;
    case PAWL__LEASE_ABSENT:
    case PAWL__LEASE_LOST:
    case PAWL__LEASE_RELEASING: /* never the lease of a group (L3) */
    case PAWL__LEASE_STATES:
        break;
    }
    pawl__engine_break(e, PAWL__ASTRAY);
}

/*
 * The store was emptied, or its clock was set: our leases may be gone. The next renewals find out.
 * A lease that its group has given up is being released anyway.
 */
static void on_recheck_of_all(pawl__engine *e)
{
    pawl__engine_set_message(e, "the store may have ended leases before their time; it is asked");
    for (size_t i = 0; i < e->lease_room; i++) {
        pawl__lease *lease = e->leases[i];
        if (!lease || lease->group->lease != lease) continue;
        pawl__lease_doubted(e, lease, PAWL_ERR_UNKNOWN);
        on_recheck(e, lease);
    }
}

static void on_group(pawl__engine *e, const pawl__group *group, const pawl_push *push)
{
    switch (push->kind) {
    case PAWL_PUSH_GRANT:
        if (is_ours(e, group->lease, push)) on_handed(e, group->lease, push);
        return;
    case PAWL_PUSH_YIELD:
        if (is_ours(e, group->lease, push)) on_wanted(e, group->lease);
        return;
    case PAWL_PUSH_RECHECK:
        on_recheck(e, group->lease);
        return;
    case PAWL_PUSH_NEWS: /* leases have nothing to do with values beside names */
        return;
    }
}

void pawl__on_push(pawl__engine *e, const pawl_push *push)
{
    if (push->kind == PAWL_PUSH_RECHECK && push->name_len == 0) {
        on_recheck_of_all(e);
        return;
    }
    pawl__name_state *name = pawl__name_find(e, push->name, push->name_len);
    if (!name) return;
    for (pawl__group *group = &name->first, *next; group; group = next) {
        next = group->next; /* the name is freed with its last group */
        if (group->in_use && group->lease) on_group(e, group, push);
    }
}
