/* SPDX-License-Identifier: MIT */
/* The steps of BREAK: of those who hold, the one with that fence is ended. */
#define _GNU_SOURCE
#include "etcd_store.h"

static pawl__etcd_op *op_of(pawl__etcd_call *call)
{
    return pawl__container(call, pawl__etcd_op, call);
}

static void on_broken(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    bool broken = answer->fate == PAWL__ETCD_DONE && pawl__etcd_succeeded(answer->root);
    if (answer->fate != PAWL__ETCD_DONE) {
        pawl__etcd_op_trouble(store, op, answer);
        return;
    }
    if (broken) pawl__etcd_revoke(store, op->view.own.lease);
    pawl__etcd_say(store, op, broken ? PAWL_RELEASED : PAWL_NOT_OWNER);
}

/* Of all modes: the one key that was created at that revision, if it holds. */
static pawl__etcd_question ask_broken(const pawl__etcd_op *op)
{
    pawl__etcd_question question = pawl__etcd_ask_whole(op);
    question.own = NULL;
    question.own_count = 0;
    question.created = op->fence && op->fence < INT64_MAX ? (int64_t)op->fence : INT64_MAX;
    return question;
}

static void on_seen(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    if (answer->fate != PAWL__ETCD_DONE) {
        pawl__etcd_op_trouble(store, op, answer);
        return;
    }
    if (!pawl__etcd_take_view(store, op, answer->root, ask_broken(op))) return;
    const pawl__etcd_entry *broken = &op->view.own;
    if (!op->view.has_own || !op->view.holds || !broken->token[0]) {
        pawl__etcd_say(store, op, PAWL_NOT_OWNER);
        return;
    }
    pawl__etcd_add(&op->call.body, "{\"compare\":[");
    pawl__etcd_add_compare(&op->call.body, &broken->key, NULL, "EQUAL", broken->created);
    pawl__etcd_add(&op->call.body, "],\"success\":[");
    pawl__etcd_add_delete(&op->call.body, &broken->key, false);
    pawl__etcd_ask_txn(store, op, true, on_broken);
}

void pawl__etcd_begin_break(pawl_store *store, pawl__etcd_op *op)
{
    pawl__etcd_add(&op->call.body, "{\"success\":[");
    pawl__etcd_add_view(op, ask_broken(op));
    pawl__etcd_ask_txn(store, op, false, on_seen);
}
