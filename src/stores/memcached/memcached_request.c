/* SPDX-License-Identifier: MIT */
/* Requests: one after the other for each name, refusals, time limits, the loss of the link. */
#define _GNU_SOURCE
#include "memcached_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pawl__memcached_op *op_of(pawl__link *link)
{
    return pawl__container(link, pawl__memcached_op, in_ops);
}

/* ---- Beginning ----------------------------------------------------------------------------- */

static uint32_t hash_of(const char *name, size_t len)
{
    uint32_t hash = UINT32_C(2166136261);
    for (size_t i = 0; i < len; i++) hash = (hash ^ (unsigned char)name[i]) * UINT32_C(16777619);
    return hash;
}

static void copy_text(char *to, size_t room, const char *from)
{
    if (from) snprintf(to, room, "%s", from);
}

static pawl__memcached_op *new_op(const pawl_store *store, const pawl_request *request)
{
    pawl__memcached_op *op = calloc(1, sizeof *op + request->name_len + 1);
    if (!op) return NULL;
    op->id = request->id;
    op->verb = request->verb;
    op->flags = request->flags;
    op->ttl_ms = request->ttl_ms;
    op->answer_by = request->answer_by;
    op->fence = request->fence;
    op->hash = hash_of(request->name, request->name_len);
    op->name_len = request->name_len;
    memcpy(op->name, request->name, request->name_len);
    copy_text(op->token, sizeof op->token, request->token);
    copy_text(op->owner, sizeof op->owner, request->owner);
    pawl__memcached_key_make(&op->key, store->config.prefix, op->name, op->name_len);
    return op;
}

/* Two names of one hash wait for each other, too, which does no harm. */
static bool is_awaited(const pawl_store *store, const pawl__memcached_op *op)
{
    for (const pawl__link *l = op->in_ops.prev; l != &store->ops; l = l->prev)
        if (pawl__container(l, const pawl__memcached_op, in_ops)->hash == op->hash) return true;
    return false;
}

bool pawl__memcached_ask(pawl_store *store, const pawl_request *request,
                         pawl__memcached_begin *begin)
{
    pawl__memcached_op *op = new_op(store, request);
    if (!op) return false;
    op->begin = begin;
    pawl__list_append(&store->ops, &op->in_ops);
    pawl__answers_arm(&store->answers, op->answer_by);
    if (!is_awaited(store, op)) op->begin(store, op);
    return true;
}

/* ---- Answering ----------------------------------------------------------------------------- */

/* One of the name was answered. If another one of it is under way, that goes on. */
static void begin_next(pawl_store *store, uint32_t hash)
{
    for (pawl__link *l = store->ops.next; l != &store->ops; l = l->next) {
        if (op_of(l)->hash != hash) continue;
        if (!op_of(l)->started) op_of(l)->begin(store, op_of(l));
        return;
    }
}

void pawl__memcached_answer_op(pawl_store *store, pawl__memcached_op *op, const pawl_reply *reply)
{
    pawl__list_remove(&op->in_ops);
    if (pawl__memcached_is_up(store)) begin_next(store, op->hash);
    store->host->reply(store->host, reply);
    explicit_bzero(op->token, sizeof op->token);
    free(op);
}

void pawl__memcached_fail_op(pawl_store *store, pawl__memcached_op *op, pawl_outcome outcome,
                             pawl_err err, const char *message)
{
    pawl_reply reply = {.id = op->id,
                        .outcome = outcome,
                        .position = -1,
                        .holder_ms = -1,
                        .err = err,
                        .message = message};
    pawl__memcached_answer_op(store, op, &reply);
}

/* ---- Refusals ------------------------------------------------------------------------------ */

void pawl__memcached_refuse(pawl_store *store, uint64_t id, pawl_err err, const char *message)
{
    pawl__refusals_add(&store->refusals, id, err, message);
    pawl__memcached_turn_soon(store);
}

void pawl__memcached_give_refusals(pawl_store *store)
{
    const pawl__memcached_linkage *link = &store->link;
    pawl__refusals_give(&store->refusals, store->host,
                        pawl__memcached_is_up(store) ? PAWL_OK : link->err, link->message);
}

/* ---- Time limits and loss ------------------------------------------------------------------ */

static int64_t next_answer(pawl_store *store)
{
    int64_t next = store->visit_by;
    for (pawl__link *l = store->ops.next; l != &store->ops; l = l->next)
        next = pawl__instant_min(next, op_of(l)->answer_by);
    return next;
}

static void on_late(pawl_store *store)
{
    pawl__memcached_break(store, PAWL_ERR_UNAVAILABLE,
                          "no answer in time; the connection was closed");
}

void pawl__memcached_abandon(pawl_store *store)
{
    pawl__answers_rest(&store->answers);
    while (!pawl__list_empty(&store->ops)) {
        pawl__memcached_op *op = op_of(store->ops.next);
        pawl__memcached_fail_op(store, op, op->wrote ? PAWL_UNKNOWN : PAWL_FAILED, store->link.err,
                                store->link.message);
    }
}

/* ---- The beginning and the end ------------------------------------------------------------- */

bool pawl__memcached_requests_init(pawl_store *store)
{
    pawl__list_init(&store->ops);
    store->visit_by = PAWL__NEVER;
    bool timed = pawl__answers_init(&store->answers, store, store->host, next_answer, on_late);
    return pawl__refusals_init(&store->refusals) && timed;
}

/* In a forked child the events are the parent's: they are not touched here. */
void pawl__memcached_requests_done(pawl_store *store)
{
    while (!pawl__list_empty(&store->ops)) {
        pawl__memcached_op *op = op_of(store->ops.next);
        pawl__list_remove(&op->in_ops);
        free(op);
    }
    pawl__refusals_done(&store->refusals);
}
