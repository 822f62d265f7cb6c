/* SPDX-License-Identifier: MIT */
/* Leases without a key: those that are kept for the next one, and those that may get theirs late.
 */
#define _GNU_SOURCE
#include "etcd_store.h"

#include <string.h>

/* A second more than is needed: so long a lease may be kept, and need not be kept alive for its
 * next key. */
int64_t pawl__etcd_lease_s(int64_t ttl_ms)
{
    int64_t seconds = (ttl_ms + 999) / 1000 + 1;
    return seconds < PAWL__ETCD_LEASE_MIN_S ? PAWL__ETCD_LEASE_MIN_S : seconds;
}

/*
 * A lease in the second half of its time is not used again: a server with lease bugs may answer a
 * keep-alive well and revoke it nevertheless, once its time has come.
 */
bool pawl__etcd_is_young(const pawl_store *store, int64_t seconds, int64_t leased_at)
{
    return store->host->now() - leased_at <= pawl__ms_to_ns(seconds * 1000) / 2;
}

/* An eighth of what is left over is not used, because the server's clock may run faster than ours.
 */
bool pawl__etcd_lasts(const pawl_store *store, int64_t seconds, int64_t leased_at,
                      int64_t needed_ms)
{
    int64_t over_ns = pawl__ms_to_ns(seconds * 1000 - needed_ms);
    return leased_at && store->host->now() - leased_at <= over_ns / 8 * 7;
}

/* Takes one out of the pool. */
static void take_out(pawl_store *store, size_t i)
{
    store->kept_leases[i] = store->kept_leases[--store->kept_lease_count];
}

void pawl__etcd_part(pawl_store *store, int64_t lease, int64_t seconds, int64_t leased_at)
{
    bool room = store->kept_lease_count < PAWL__ETCD_LEASES_KEPT;
    if (!lease) return;
    if (!room || !leased_at || !pawl__etcd_is_young(store, seconds, leased_at)) {
        pawl__etcd_revoke(store, lease);
        return;
    }
    store->kept_leases[store->kept_lease_count++] =
        (pawl__etcd_kept_lease){.id = lease, .seconds = seconds, .leased_at = leased_at};
}

/* The youngest of that length; id 0: there is none. Those that are too old are revoked. */
pawl__etcd_kept_lease pawl__etcd_take_kept(pawl_store *store, int64_t seconds)
{
    pawl__etcd_kept_lease found = {0};
    size_t at = 0;
    for (size_t i = store->kept_lease_count; i-- > 0;) {
        const pawl__etcd_kept_lease *kept = &store->kept_leases[i];
        if (!pawl__etcd_is_young(store, kept->seconds, kept->leased_at)) {
            pawl__etcd_revoke(store, kept->id);
            take_out(store, i);
            if (at == store->kept_lease_count) at = i; /* it has moved */
        } else if (kept->seconds == seconds && kept->leased_at > found.leased_at) {
            found = *kept;
            at = i;
        }
    }
    if (found.id) take_out(store, at);
    return found;
}

bool pawl__etcd_take_place_lease(pawl_store *store, pawl__etcd_op *op)
{
    int64_t needed_ms = pawl_place_span(op->ttl_ms);
    for (size_t i = 0; i < store->kept_lease_count; i++) {
        const pawl__etcd_kept_lease *kept = &store->kept_leases[i];
        if (kept->seconds != pawl__etcd_lease_s(needed_ms)) continue;
        if (!pawl__etcd_lasts(store, kept->seconds, kept->leased_at, needed_ms)) continue;
        op->place = *kept;
        take_out(store, i);
        return true;
    }
    return false;
}

static void note_loose(pawl_store *store, const pawl__etcd_op *op,
                       const pawl__etcd_kept_lease *lease)
{
    pawl__etcd_loose_lease *all = store->loose_leases;
    if (store->loose_lease_count == PAWL__ETCD_LOOSE_MAX) /* the oldest one runs out */
        memmove(all, all + 1, --store->loose_lease_count * sizeof *all);
    pawl__etcd_loose_lease *loose = &all[store->loose_lease_count++];
    loose->lease = *lease;
    memcpy(loose->token, op->token, sizeof loose->token);
}

bool pawl__etcd_take_loose(pawl_store *store, pawl__etcd_op *op)
{
    pawl__etcd_loose_lease *all = store->loose_leases;
    for (size_t i = store->loose_lease_count; i-- > 0;) {
        if (strcmp(all[i].token, op->token) != 0) continue;
        op->spare = all[i].lease.id;
        op->lease_s = all[i].lease.seconds;
        op->leased_at = all[i].lease.leased_at;
        op->loose = true;
        memmove(all + i, all + i + 1, (--store->loose_lease_count - i) * sizeof *all);
        return true;
    }
    return false;
}

/*
 * A lease whose put may come late is not revoked here: if the put has come by then, our token holds
 * with it, and somebody may have been told so. Where nobody will ask again it runs out.
 */
static void give_back(pawl_store *store, const pawl__etcd_op *op, pawl__etcd_kept_lease *lease)
{
    bool comes_back = op->verb == PAWL_VERB_ACQUIRE || op->verb == PAWL_VERB_RELEASE;
    if (!lease->id) return;
    if (op->loose && comes_back)
        note_loose(store, op, lease);
    else if (!op->loose && pawl__etcd_is_up(store))
        pawl__etcd_part(store, lease->id, lease->seconds, lease->leased_at);
    lease->id = 0;
}

void pawl__etcd_give_spare_back(pawl_store *store, pawl__etcd_op *op)
{
    pawl__etcd_kept_lease spare = {
        .id = op->spare, .seconds = op->lease_s, .leased_at = op->leased_at};
    give_back(store, op, &op->place);
    give_back(store, op, &spare);
    op->spare = 0;
}

void pawl__etcd_leases_leave(pawl_store *store)
{
    for (size_t i = 0; i < store->kept_lease_count; i++)
        pawl__etcd_revoke(store, store->kept_leases[i].id);
    store->kept_lease_count = 0;
}
