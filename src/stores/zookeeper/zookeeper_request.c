/* SPDX-License-Identifier: MIT */
/* Requests: one after the other for each name, refusals, time limits, the loss of the link. */
#define _GNU_SOURCE
#include "zookeeper_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pawl__zk_op *op_of(pawl__link *link)
{
    return pawl__container(link, pawl__zk_op, in_ops);
}

/* ---- Beginning ----------------------------------------------------------------------------- */

static bool copy_value(pawl__zk_op *op, const pawl_request *request)
{
    op->value_len = request->value_len;
    op->keep_ms = request->keep_ms;
    op->publication = request->publication;
    op->value = malloc(request->value_len + 1);
    if (op->value && request->value_len) memcpy(op->value, request->value, request->value_len);
    return op->value != NULL;
}

static void fill_op(const pawl_store *store, pawl__zk_op *op, const pawl_request *request)
{
    op->id = request->id;
    op->verb = request->verb;
    op->flags = request->flags;
    op->want = (pawl__zk_want){request->mode, request->units, request->capacity};
    op->ttl_ms = request->ttl_ms;
    op->answer_by = request->answer_by;
    op->fence = request->fence;
    op->since_us = pawl__zk_wall_us();
    op->name_len = request->name_len;
    if (op->name_len) memcpy(op->name, request->name, op->name_len);
    bool is_about_ours = request->verb != PAWL_VERB_BREAK; /* that is about all who hold */
    if (request->token && is_about_ours)
        snprintf(op->token, sizeof op->token, "%s", request->token);
    if (request->owner) snprintf(op->owner, sizeof op->owner, "%s", request->owner);
    pawl__zk_path_make(op->parent, store->config.prefix, op->name, op->name_len);
    op->hash = UINT32_C(2166136261);
    for (const char *c = op->parent; *c; c++)
        op->hash = (op->hash ^ (unsigned char)*c) * UINT32_C(16777619);
}

/* Two names of one hash wait for each other as well: that is no harm. */
static bool may_begin(pawl_store *store, const pawl__zk_op *op)
{
    for (pawl__link *l = store->ops.next; l != &op->in_ops; l = l->next) {
        const pawl__zk_op *earlier = op_of(l);
        bool goes_on = !earlier->is_leaving || strcmp(earlier->token, op->token) == 0;
        if (earlier->hash == op->hash && goes_on) return false;
    }
    return true;
}

static void begin(pawl_store *store, pawl__zk_op *op)
{
    op->started = true;
    op->begin(store, op);
}

static void begin_next(pawl_store *store, uint32_t hash)
{
    for (pawl__link *l = store->ops.next; l != &store->ops; l = l->next) {
        pawl__zk_op *op = op_of(l);
        if (op->hash != hash || op->started) continue;
        if (may_begin(store, op)) begin(store, op);
        return;
    }
}

void pawl__zk_let_next(pawl_store *store, pawl__zk_op *op)
{
    op->is_leaving = true;
    if (pawl__zk_is_up(store)) begin_next(store, op->hash);
}

static pawl__zk_op *new_op(pawl_store *store, const pawl_request *request,
                           pawl__zk_step *begin_with)
{
    pawl__zk_op *op = calloc(1, sizeof *op);
    if (!op) return NULL;
    if (request->verb == PAWL_VERB_PUBLISH && !copy_value(op, request)) {
        free(op);
        return NULL;
    }
    pawl__zk_asker_init(&op->asker);
    fill_op(store, op, request);
    op->begin = begin_with;
    pawl__list_append(&store->ops, &op->in_ops);
    return op;
}

static void begin_if_first(pawl_store *store, pawl__zk_op *op)
{
    if (may_begin(store, op)) begin(store, op);
}

bool pawl__zk_take_request(pawl_store *store, const pawl_request *request,
                           pawl__zk_step *begin_with)
{
    pawl__zk_op *op = new_op(store, request, begin_with);
    if (!op) return false;
    pawl__answers_arm(&store->answers, op->answer_by);
    store->is_taking = true;
    begin_if_first(store, op);
    store->is_taking = false;
    return true;
}

bool pawl__zk_take_turn(pawl_store *store, const pawl_request *request, pawl__zk_step *begin_with)
{
    pawl__zk_op *op = new_op(store, request, begin_with);
    if (!op) return false;
    op->is_turn = true;
    begin_if_first(store, op);
    return true;
}

/* ---- Answering ----------------------------------------------------------------------------- */

static void free_op(pawl_store *store, pawl__zk_op *op)
{
    pawl__zk_asker_end(&op->asker);
    if (op->report) op->end_report(store, op);
    free(op->held);
    free(op->value);
    explicit_bzero(op->token, sizeof op->token);
    free(op);
}

void pawl__zk_answer_op(pawl_store *store, pawl__zk_op *op, const pawl_reply *reply)
{
    pawl__list_remove(&op->in_ops);
    if (pawl__zk_is_up(store)) begin_next(store, op->hash);
    pawl__zk_place *p = pawl__zk_place_find(store, op->token);
    if (p && op->is_turn) p->takes_turn = false;
    if (p) pawl__zk_place_answered(store, p);
    if (!op->is_turn) store->host->reply(store->host, reply);
    free_op(store, op);
}

/* ---- Refusals ------------------------------------------------------------------------------ */

void pawl__zk_refuse(pawl_store *store, uint64_t id, pawl_err err, const char *message)
{
    pawl__refusals_add(&store->refusals, id, err, message);
    pawl__zk_turn_soon(store);
}

/* It did not begin, and the host must not be called while it submits (rule 1). */
static void refuse_op(pawl_store *store, pawl__zk_op *op, pawl_err err, const char *message)
{
    pawl__list_remove(&op->in_ops);
    pawl__zk_refuse(store, op->id, err, message);
    free_op(store, op);
}

void pawl__zk_fail_op(pawl_store *store, pawl__zk_op *op, pawl_outcome outcome, pawl_err err,
                      const char *message)
{
    pawl_reply reply = {.id = op->id, .outcome = outcome, .err = err, .message = message};
    reply.position = reply.holder_ms = -1;
    if (store->is_taking)
        refuse_op(store, op, err, message);
    else
        pawl__zk_answer_op(store, op, &reply);
}

void pawl__zk_give_refusals(pawl_store *store)
{
    pawl__refusals_give(&store->refusals, store->host,
                        pawl__zk_is_up(store) ? PAWL_OK : store->link.err, store->link.message);
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
    pawl__zk_break(store, PAWL_ERR_UNAVAILABLE, "no answer in time; the connection was closed");
}

void pawl__zk_abandon(pawl_store *store)
{
    pawl__answers_rest(&store->answers);
    while (!pawl__list_empty(&store->ops)) {
        pawl__zk_op *op = op_of(store->ops.next);
        pawl__zk_fail_op(store, op, op->wrote ? PAWL_UNKNOWN : PAWL_FAILED, store->link.err,
                         store->link.message);
    }
}

/* ---- The beginning and the end ------------------------------------------------------------- */

bool pawl__zk_requests_init(pawl_store *store)
{
    pawl__list_init(&store->ops);
    pawl__zk_asker_init(&store->errands);
    store->visit_by = PAWL__NEVER;
    bool timed = pawl__answers_init(&store->answers, store, store->host, next_answer, on_late);
    return pawl__refusals_init(&store->refusals) && timed;
}

void pawl__zk_requests_done(pawl_store *store)
{
    while (!pawl__list_empty(&store->ops)) {
        pawl__zk_op *op = op_of(store->ops.next);
        pawl__list_remove(&op->in_ops);
        free_op(store, op);
    }
    pawl__zk_asker_end(&store->errands);
    pawl__refusals_done(&store->refusals);
    pawl__answers_done(&store->answers);
}
