/* SPDX-License-Identifier: MIT */
/*
 * How often a name was found taken, one time after the other. It is a guess for the next time,
 * and chooses between transactions of different length that are all right: nothing else hangs on
 * it. Names that share a slot forget each other.
 */
#define _GNU_SOURCE
#include "etcd_store.h"

#define CROWD_MIN 4 /* to find a name free that was held for crowded costs as much again */

static pawl__etcd_crowd *slot_of(pawl_store *store, uint32_t hash)
{
    return &store->crowds[hash % PAWL__ETCD_CROWDS];
}

void pawl__etcd_found(pawl_store *store, pawl__etcd_op *op, bool taken)
{
    pawl__etcd_crowd *crowd = slot_of(store, op->hash);
    if (taken && op->found_taken) return;
    op->found_taken = taken;
    if (!taken || crowd->hash != op->hash) *crowd = (pawl__etcd_crowd){.hash = op->hash};
    if (taken && crowd->times < CROWD_MIN) crowd->times++;
}

bool pawl__etcd_is_quiet(pawl_store *store, const pawl__etcd_op *op)
{
    const pawl__etcd_crowd *crowd = slot_of(store, op->hash);
    return crowd->hash != op->hash || !crowd->times;
}

bool pawl__etcd_is_crowded(pawl_store *store, const pawl__etcd_op *op)
{
    const pawl__etcd_crowd *crowd = slot_of(store, op->hash);
    return crowd->hash == op->hash && crowd->times >= CROWD_MIN;
}
