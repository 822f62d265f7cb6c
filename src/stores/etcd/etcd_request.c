/* SPDX-License-Identifier: MIT */
/* Requests: one after the other for each name, refusals, time limits, the loss of the link. */
#define _GNU_SOURCE
#include "etcd_store.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pawl__etcd_op *op_of(pawl__link *link)
{
    return pawl__container(link, pawl__etcd_op, in_ops);
}

/* ---- Beginning ----------------------------------------------------------------------------- */

/* RENEW and RELEASE name no mode, so they look for the token in all of them. */
static void fill_keys(pawl__etcd_op *op, const pawl_request *request)
{
    static const pawl_mode modes[] = {PAWL_MODE_EXCLUSIVE, PAWL_MODE_SHARED, PAWL_MODE_PERMIT};
    if (op->verb == PAWL_VERB_LIST) return;
    op->mode = op->verb == PAWL_VERB_ACQUIRE ? request->mode : PAWL_MODE_EXCLUSIVE;
    if (op->mode == PAWL_MODE_PERMIT) op->units = request->units, op->capacity = request->capacity;
    for (size_t i = 0; i < sizeof modes / sizeof modes[0]; i++)
        pawl__etcd_key_make(&op->keys[i], &op->start, modes[i], op->token);
    pawl__etcd_key_make(&op->key, &op->start, op->mode, op->token);
}

static void fill_op(const pawl_store *store, pawl__etcd_op *op, const pawl_request *request)
{
    const char *prefix = store->config.prefix;
    op->id = request->id;
    op->verb = request->verb;
    op->flags = request->flags;
    op->ttl_ms = request->ttl_ms;
    op->asked_at = store->host->now();
    op->answer_by = request->answer_by;
    op->fence = request->fence;
    op->holder_ms = -1;
    op->name_len = request->name_len;
    if (request->name_len) memcpy(op->name, request->name, request->name_len);
    if (request->token) snprintf(op->token, sizeof op->token, "%s", request->token);
    if (request->owner) snprintf(op->owner, sizeof op->owner, "%s", request->owner);
    op->keep_ms = request->keep_ms;
    op->publication = request->publication;
    op->hash = UINT32_C(2166136261);
    for (size_t i = 0; i < op->name_len; i++)
        op->hash = (op->hash ^ (unsigned char)op->name[i]) * UINT32_C(16777619);
    if (op->verb == PAWL_VERB_LIST)
        pawl__etcd_key_of_names(&op->start, prefix, op->name, op->name_len);
    else
        pawl__etcd_key_of_name(&op->start, prefix, op->name, op->name_len);
    pawl__etcd_key_behind(&op->end, &op->start);
    fill_keys(op, request);
}

/* Two names of one hash wait for each other as well: that is no harm. */
static bool is_first_of_its_name(const pawl_store *store, const pawl__etcd_op *op)
{
    for (const pawl__link *l = store->ops.next; l != &op->in_ops; l = l->next)
        if (pawl__container(l, const pawl__etcd_op, in_ops)->hash == op->hash) return false;
    return true;
}

static void begin(pawl_store *store, pawl__etcd_op *op)
{
    op->started = true;
    op->begin(store, op);
}

static bool take_value(pawl__etcd_op *op, const pawl_request *request)
{
    if (op->verb != PAWL_VERB_PUBLISH || !request->value_len) return true;
    op->value = malloc(request->value_len);
    if (!op->value) return false;
    memcpy(op->value, request->value, request->value_len);
    op->value_len = request->value_len;
    return true;
}

bool pawl__etcd_take_request(pawl_store *store, const pawl_request *request,
                             pawl__etcd_step *begin_with)
{
    pawl__etcd_op *op = calloc(1, sizeof *op);
    if (!op) return false;
    fill_op(store, op, request);
    if (!take_value(op, request)) {
        free(op);
        return false;
    }
    op->begin = begin_with;
    pawl__list_append(&store->ops, &op->in_ops);
    pawl__answers_arm(&store->answers, op->answer_by);
    if (is_first_of_its_name(store, op)) begin(store, op);
    return true;
}

/* ---- Answering ----------------------------------------------------------------------------- */

static void free_op(pawl_store *store, pawl__etcd_op *op)
{
    pawl__etcd_call_end(store, &op->call);
    if (op->report) op->end_report(store, op);
    explicit_bzero(op->token, sizeof op->token);
    free(op->value);
    free(op);
}

/* One of the name was answered. That was not the first, if its time was over before its turn: then
 * the first is under way, and must not begin a second time. */
static void begin_next(pawl_store *store, uint32_t hash)
{
    for (pawl__link *l = store->ops.next; l != &store->ops; l = l->next) {
        pawl__etcd_op *op = op_of(l);
        if (op->hash != hash) continue;
        if (!op->started) begin(store, op);
        return;
    }
}

void pawl__etcd_answer_op(pawl_store *store, pawl__etcd_op *op, const pawl_reply *reply)
{
    pawl__list_remove(&op->in_ops);
    pawl__etcd_give_spare_back(store, op);
    if (pawl__etcd_is_up(store)) begin_next(store, op->hash);
    store->host->reply(store->host, reply);
    free_op(store, op);
}

void pawl__etcd_fail_op(pawl_store *store, pawl__etcd_op *op, pawl_outcome outcome, pawl_err err,
                        const char *message)
{
    pawl_reply reply = {.id = op->id, .outcome = outcome, .err = err, .message = message};
    reply.position = reply.holder_ms = -1;
    pawl__etcd_answer_op(store, op, &reply);
}

void pawl__etcd_op_trouble(pawl_store *store, pawl__etcd_op *op, const pawl__etcd_answer *answer)
{
    char message[PAWL_MESSAGE_MAX];
    bool known = answer->fate == PAWL__ETCD_REFUSED && !op->wrote;
    op->loose = op->loose || answer->fate == PAWL__ETCD_UNKNOWN;
    snprintf(message, sizeof message, "%.200s: %.250s", pawl__etcd_endpoint(store),
             answer->message);
    pawl__etcd_fail_op(store, op, known ? PAWL_FAILED : PAWL_UNKNOWN, answer->err, message);
}

/* ---- Refusals ------------------------------------------------------------------------------ */

void pawl__etcd_refuse(pawl_store *store, uint64_t id, pawl_err err, const char *message)
{
    pawl__refusals_add(&store->refusals, id, err, message);
    pawl__etcd_turn_soon(store);
}

void pawl__etcd_give_refusals(pawl_store *store)
{
    const pawl__etcd_linkage *link = &store->link;
    pawl__refusals_give(&store->refusals, store->host,
                        pawl__etcd_is_up(store) ? PAWL_OK : link->err, link->message);
}

/* ---- Time limits and loss ------------------------------------------------------------------ */

static int64_t next_answer(pawl_store *store)
{
    int64_t next = store->visit_by;
    for (pawl__link *l = store->ops.next; l != &store->ops; l = l->next)
        next = pawl__instant_min(next, op_of(l)->answer_by);
    return next;
}

/* A question that was never sent has changed nothing. */
static bool may_come(const pawl__etcd_op *op)
{
    return op->call.asked && op->call.writes && op->call.http.sent;
}

static void give_up(pawl_store *store, pawl__etcd_op *op, pawl_err err, const char *message)
{
    bool unknown = op->wrote || may_come(op);
    op->loose = op->loose || may_come(op);
    pawl__etcd_call_end(store, &op->call);
    pawl__etcd_fail_op(store, op, unknown ? PAWL_UNKNOWN : PAWL_FAILED, err, message);
}

void pawl__etcd_abandon(pawl_store *store)
{
    pawl__answers_rest(&store->answers);
    while (!pawl__list_empty(&store->ops))
        give_up(store, op_of(store->ops.next), store->link.err, store->link.message);
}

static pawl__etcd_op *late_one(pawl_store *store)
{
    for (pawl__link *l = store->ops.next; l != &store->ops; l = l->next)
        if (op_of(l)->answer_by <= store->host->now()) return op_of(l);
    return NULL;
}

/*
 * The answer to a request is late: that ends it, and its connection, and no other request, watch or
 * connection. A server that is slow would never get through with anything if all began anew then.
 * Whether it is there at all is asked by itself.
 */
static void on_late(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    pawl__etcd_op *op;
    if (store->visit_by <= store->host->now()) {
        pawl__etcd_break(store, PAWL_ERR_UNAVAILABLE, "the doctor got no answer in time");
        return;
    }
    snprintf(message, sizeof message, "%.200s: no answer in time; its connection was closed",
             pawl__etcd_endpoint(store));
    while ((op = late_one(store))) {
        pawl__etcd_doubt(store, op->answer_by - op->asked_at);
        give_up(store, op, PAWL_ERR_UNAVAILABLE, message);
    }
    pawl__etcd_calls_go_on(store);
    pawl__answers_arm(&store->answers, next_answer(store));
}

/* ---- The beginning and the end ------------------------------------------------------------- */

bool pawl__etcd_requests_init(pawl_store *store)
{
    pawl__list_init(&store->ops);
    pawl__list_init(&store->waiting);
    pawl__list_init(&store->under_way);
    pawl__list_init(&store->errands);
    store->visit_by = PAWL__NEVER;
    bool timed = pawl__answers_init(&store->answers, store, store->host, next_answer, on_late);
    return pawl__refusals_init(&store->refusals) && timed;
}

void pawl__etcd_requests_done(pawl_store *store)
{
    while (!pawl__list_empty(&store->ops)) {
        pawl__etcd_op *op = op_of(store->ops.next);
        pawl__list_remove(&op->in_ops);
        free_op(store, op);
    }
    pawl__refusals_done(&store->refusals);
}
