/* SPDX-License-Identifier: MIT */
/* What the steps of all verbs share: the parts of their transactions, and how they answer. */
#define _GNU_SOURCE
#include "etcd_store.h"

#include <stdio.h>

/* ---- Answers ------------------------------------------------------------------------------- */

static size_t list_slots(const pawl__etcd_op *op, uint16_t ret_slots[PAWL_CAPACITY_MAX])
{
    size_t count = 0;
    for (uint16_t slot = 0; op->has_slots && slot < PAWL_CAPACITY_MAX; slot++)
        if (pawl__etcd_slot(&op->slots, slot)) ret_slots[count++] = slot;
    return count;
}

void pawl__etcd_say(pawl_store *store, pawl__etcd_op *op, pawl_outcome outcome)
{
    pawl_reply reply = {.id = op->id, .outcome = outcome, .position = -1, .holder_ms = -1};
    const pawl__etcd_view *view = &op->view;
    uint16_t slots[PAWL_CAPACITY_MAX];
    switch (outcome) {
    case PAWL_GRANTED:
    case PAWL_CONFIRMED:
        pawl__etcd_watch_lease(store, op);
        reply.fence = (uint64_t)view->own.created;
        reply.waiting = view->waiting;
        reply.slot_count = outcome == PAWL_GRANTED ? list_slots(op, slots) : 0;
        if (reply.slot_count) reply.slots = slots;
        break;
    case PAWL_QUEUED:
        pawl__etcd_watch_lease(store, op);
        reply.fence = (uint64_t)view->first.created;
        reply.position = view->position;
        reply.holder_ms = op->holder_ms;
        break;
    case PAWL_BUSY:
        reply.holder_ms = op->holder_ms;
        reply.message = view->has_first && view->first.token[0] ? view->first.owner
                        : view->has_first                       ? "somebody who is not pawl"
                                                                : NULL;
        break;
    default:
        break;
    }
    pawl__etcd_answer_op(store, op, &reply);
}

void pawl__etcd_not_understood(pawl_store *store)
{
    pawl__etcd_break(store, PAWL_ERR_PROTOCOL, "the answer to a transaction makes no sense");
}

/* It went round too often: others change the name all the time. */
bool pawl__etcd_may_go_on(pawl_store *store, pawl__etcd_op *op)
{
    if (op->rounds++ < PAWL__ETCD_ROUNDS_MAX) return true;
    pawl__etcd_fail_op(store, op, op->wrote ? PAWL_UNKNOWN : PAWL_FAILED, PAWL_ERR_STORE_BUSY,
                       NULL);
    return false;
}

/* ---- Transactions -------------------------------------------------------------------------- */

void pawl__etcd_ask_txn(pawl_store *store, pawl__etcd_op *op, bool writes,
                        void (*answered)(pawl_store *, pawl__etcd_call *,
                                         const pawl__etcd_answer *))
{
    pawl__etcd_add(&op->call.body, "]}");
    op->call.answered = answered;
    pawl__etcd_ask(store, &op->call, "/v3/kv/txn", writes);
}

/* For a token that may have a key in each mode, or none yet. */
pawl__etcd_question pawl__etcd_ask_whole(const pawl__etcd_op *op)
{
    return (pawl__etcd_question){.own = op->keys,
                                 .own_count = sizeof op->keys / sizeof op->keys[0],
                                 .start = &op->start,
                                 .end = &op->end,
                                 .mode = op->mode,
                                 .units = op->units};
}

/* Reads it; false: the answer makes no sense, and the link breaks. */
bool pawl__etcd_take_view(pawl_store *store, pawl__etcd_op *op, json_t *root,
                          pawl__etcd_question question)
{
    if (pawl__etcd_view_read(store, root, &question, &op->view)) return true;
    pawl__etcd_not_understood(store);
    return false;
}

void pawl__etcd_add_view(pawl__etcd_op *op, pawl__etcd_question question)
{
    pawl__etcd_view_ask(&op->call.body, &question);
}

void pawl__etcd_put_own(pawl__etcd_op *op, int64_t since_us, int64_t lease, bool comma)
{
    char value[PAWL__ETCD_VALUE_MAX];
    pawl__etcd_entry entry = {.lease_s = op->lease_s,
                              .since_us = since_us,
                              .mode = op->mode,
                              .units = op->units,
                              .capacity = op->capacity,
                              .has_slots = op->has_slots,
                              .published = op->view.has_own ? op->view.own.published : 0,
                              .slots = op->slots};
    snprintf(entry.owner, sizeof entry.owner, "%s", op->owner);
    size_t len = pawl__etcd_value_write(value, &entry);
    pawl__etcd_add_put(&op->call.body, &op->key, value, len, lease, comma);
}

/* No key of the range exists. */
void pawl__etcd_add_none(pawl__etcd_op *op, const pawl__etcd_bytes *from,
                         const pawl__etcd_bytes *to, bool comma)
{
    if (comma) pawl__etcd_add(&op->call.body, ",");
    pawl__etcd_add_compare(&op->call.body, from, to, "EQUAL", 0);
}

/* Nothing of the name is of the other family: no lock beside a semaphore (rule 9). */
void pawl__etcd_add_one_family(pawl__etcd_op *op, bool comma)
{
    pawl__etcd_bytes locks;
    pawl__etcd_key_make(&locks, &op->start, PAWL_MODE_SHARED, "");
    if (op->mode == PAWL_MODE_PERMIT)
        pawl__etcd_add_none(op, &locks, &op->end, comma);
    else
        pawl__etcd_add_none(op, &op->start, &locks, comma);
}

/* Our token has no key in any mode. */
void pawl__etcd_add_no_own(pawl__etcd_op *op, bool comma)
{
    for (size_t i = 0; i < sizeof op->keys / sizeof op->keys[0]; i++)
        pawl__etcd_add_none(op, &op->keys[i], NULL, comma || i > 0);
}
