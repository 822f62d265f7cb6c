/* SPDX-License-Identifier: MIT */
/* etcd's leases: one for each key; those whose key has gone are kept for the next one. */
#define _GNU_SOURCE
#include "etcd_store.h"

#include <inttypes.h>

#define LEASE_MAX_S INT64_C(9000000000) /* the server's */

static pawl__etcd_op *op_of(pawl__etcd_call *call)
{
    return pawl__container(call, pawl__etcd_op, call);
}

/* A server that demands more than we know of lets leases live longer: the caps say so. */
static void note_length(pawl_store *store, int64_t seconds)
{
    int64_t linger_ms = seconds * 1000 + PAWL__ETCD_LATE_MS;
    if (linger_ms > store->caps.linger_ms) store->caps.linger_ms = linger_ms;
}

static void on_granted(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    int64_t id, seconds;
    if (answer->fate != PAWL__ETCD_DONE) { /* a lease that nobody knows runs out */
        pawl__etcd_answer known = *answer;
        if (!op->wrote) known.fate = PAWL__ETCD_REFUSED;
        pawl__etcd_op_trouble(store, op, &known);
        return;
    }
    if (!pawl__etcd_number(answer->root, "ID", &id) ||
        !pawl__etcd_number(answer->root, "TTL", &seconds) || id <= 0 || seconds < op->lease_s ||
        seconds > LEASE_MAX_S) {
        pawl__etcd_break(store, PAWL_ERR_PROTOCOL, "the server granted a lease that was not asked");
        return;
    }
    if (seconds > op->lease_s) note_length(store, seconds);
    op->spare = id;
    op->loose = false;
    op->then(store, op);
}

static void ask_new(pawl_store *store, pawl__etcd_op *op)
{
    int64_t seconds = op->lease_s;
    op->leased_at = store->host->now();
    op->call.answered = on_granted;
    pawl__etcd_add(&op->call.body, "{\"TTL\":\"%" PRId64 "\"}", seconds);
    pawl__etcd_ask(store, &op->call, "/v3/lease/grant", true);
}

static void on_fresh(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    int64_t seconds = 0;
    if (answer->fate != PAWL__ETCD_DONE &&
        !answer->no_lease) { /* it has no key: nothing was done */
        pawl__etcd_answer known = *answer;
        if (!op->wrote) known.fate = PAWL__ETCD_REFUSED;
        pawl__etcd_op_trouble(store, op, &known);
        return;
    }
    json_t *result = json_object_get(answer->root, "result");
    if (json_is_object(result) && pawl__etcd_number(result, "TTL", &seconds) &&
        seconds >= op->lease_s) {
        op->leased_at = op->kept_at;
        op->then(store, op);
        return;
    }
    op->spare = 0; /* somebody has revoked it */
    ask_new(store, op);
}

void pawl__etcd_grant(pawl_store *store, pawl__etcd_op *op, int64_t needed_ms,
                      pawl__etcd_step *then)
{
    int64_t seconds = pawl__etcd_lease_s(needed_ms);
    bool fits = op->spare && op->lease_s == seconds &&
                pawl__etcd_is_young(store, op->lease_s, op->leased_at);
    if (op->spare && !fits) pawl__etcd_give_spare_back(store, op);
    op->lease_s = seconds;
    op->then = then;
    if (!fits) {
        pawl__etcd_kept_lease kept = pawl__etcd_take_kept(store, seconds);
        op->loose = false;
        op->spare = kept.id;
        op->leased_at = kept.leased_at;
    }
    if (!op->spare) {
        ask_new(store, op);
        return;
    }
    if (pawl__etcd_lasts(store, seconds, op->leased_at, needed_ms)) {
        then(store, op);
        return;
    }
    op->kept_at = store->host->now();
    op->leased_at = 0; /* until it is known */
    op->call.answered = on_fresh;
    pawl__etcd_lease_question(&op->call.body, op->spare);
    pawl__etcd_ask(store, &op->call, "/v3/lease/keepalive", true);
}

static void on_kept(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    int64_t seconds = 0;
    if (answer->fate == PAWL__ETCD_DONE) {
        json_t *result = json_object_get(answer->root, "result");
        if (!json_is_object(result) || !pawl__etcd_number(result, "TTL", &seconds)) {
            pawl__etcd_break(store, PAWL_ERR_PROTOCOL, "the answer about a lease makes no sense");
            return;
        }
    } else if (!answer->no_lease) {
        pawl__etcd_op_trouble(store, op, answer);
        return;
    }
    if (seconds <= 0)
        op->lease = 0;
    else
        op->wrote = true; /* it lives longer, and nobody has been told */
    op->then(store, op);
}

void pawl__etcd_keep_alive(pawl_store *store, pawl__etcd_op *op, pawl__etcd_step *then)
{
    op->then = then;
    op->leased_at = store->host->now();
    op->call.answered = on_kept;
    pawl__etcd_add(&op->call.body, "{\"ID\":\"%" PRId64 "\"}", op->lease);
    pawl__etcd_ask(store, &op->call, "/v3/lease/keepalive", true);
}

int64_t pawl__etcd_left_ms(json_t *answer)
{
    int64_t seconds;
    if (!pawl__etcd_number(answer, "TTL", &seconds) || seconds < 0) return 0;
    return seconds * 1000 + 999; /* it was rounded down */
}
