/* SPDX-License-Identifier: MIT */
/* Requests about one name: a CALL each, and what its reply says. */
#define _GNU_SOURCE
#include "mariadb_store.h"

#include "../../base/instant.h"
#include "../common/sql_reply.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct asked {
    pawl__mariadb_pending pending;
    uint64_t id;
    pawl_verb verb;
} asked;

/* ---- Answers ------------------------------------------------------------------------------- */

void pawl__mariadb_say(pawl_store *store, uint64_t id, pawl_outcome outcome, pawl_err err,
                       const char *message)
{
    pawl_reply reply = {.id = id,
                        .outcome = outcome,
                        .position = -1,
                        .holder_ms = -1,
                        .err = err,
                        .message = message};
    store->host->reply(store->host, &reply);
}

pawl_outcome pawl__mariadb_judge(pawl_store *store, const pawl__mariadb_call *call, bool changes,
                                 pawl_err *ret_err, char *reterr_message)
{
    pawl__mariadb_trouble trouble = {PAWL_ERR_PROTOCOL, true, true, false};
    if (call->error.number)
        trouble = pawl__mariadb_explain(store->config->where, &call->error, reterr_message);
    else
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s: an answer that is not pawl's protocol",
                 store->config->where);
    *ret_err = trouble.err;
    /*
     * A statement that somebody has ended leaves its transaction open, and the row of the name
     * locked; the next START TRANSACTION on this connection would commit what was done of it. The
     * server rolls it back when the connection ends.
     */
    if (trouble.was_stopped)
        pawl__mariadb_link_break(store, PAWL_ERR_UNAVAILABLE, reterr_message);
    else if (trouble.reconnect)
        pawl__mariadb_link_break(store, trouble.err, reterr_message);
    return trouble.maybe_done && changes ? PAWL_UNKNOWN : PAWL_FAILED;
}

/* Those whose outcome may be unknown (law 4). */
static bool changes(const asked *a)
{
    return a->verb != PAWL_VERB_READ;
}

static void asked_answered(pawl_store *store, pawl__mariadb_pending *pending,
                           const pawl__mariadb_call *call)
{
    asked *a = pawl__container(pending, asked, pending);
    pawl_reply reply = {.id = a->id, .position = -1, .holder_ms = -1};
    char message[PAWL_MESSAGE_MAX];
    pawl__sql_words w;
    bool may_change = changes(a);
    free(a);
    if (call->error.number || !pawl__sql_decode(pawl__mariadb_only(call->rows), &w, &reply)) {
        reply.outcome = pawl__mariadb_judge(store, call, may_change, &reply.err, message);
        reply.message = message;
    }
    store->host->reply(store->host, &reply);
}

static void asked_unanswered(pawl_store *store, pawl__mariadb_pending *pending, pawl_err err,
                             const char *message)
{
    asked *a = pawl__container(pending, asked, pending);
    uint64_t id = a->id;
    pawl_outcome outcome = changes(a) ? PAWL_UNKNOWN : PAWL_FAILED;
    free(a);
    pawl__mariadb_say(store, id, outcome, err, message);
}

static void asked_drop(pawl__mariadb_pending *pending)
{
    free(pawl__container(pending, asked, pending));
}

/* ---- Asking -------------------------------------------------------------------------------- */

/* '': it cannot be woken, and asks again. */
static const char *hearing(const pawl_store *store)
{
    return store->listener.call.mysql ? store->host->client_id : "";
}

static void add_acquire(const pawl_store *store, const pawl_request *request, pawl__mariadb_text *t)
{
    bool permit = request->mode == PAWL_MODE_PERMIT;
    pawl__mariadb_add_word(t, hearing(store));
    pawl__mariadb_add_word(t, request->owner ? request->owner : "");
    pawl__mariadb_add_number(t, request->ttl_ms * 1000);
    pawl__mariadb_add_number(t, request->mode);
    pawl__mariadb_add_number(t, permit ? request->units : 0);
    pawl__mariadb_add_number(t, permit ? request->capacity : 0);
    pawl__mariadb_add_number(t, (request->flags & PAWL_ASK_QUEUE) != 0);
}

static void add_change(const pawl_request *request, pawl__mariadb_text *t)
{
    pawl__mariadb_add_number(t, request->ttl_ms * 1000);
    pawl__mariadb_add_number(t, request->mode);
    pawl__mariadb_add_number(t, request->change);
    pawl__mariadb_add_number(t, (request->flags & PAWL_ASK_QUEUE) != 0);
}

/* A client without pushes does not watch: it reads again. */
static void add_read(const pawl_store *store, const pawl_request *request, pawl__mariadb_text *t)
{
    bool watches = *hearing(store) && request->flags & PAWL_ASK_WATCH;
    pawl__mariadb_add_word(t, watches ? hearing(store) : "");
    pawl__mariadb_add_number(t, watches ? request->ttl_ms * 1000 : 0);
}

/* False when out of memory. */
static bool fill(const pawl_store *store, const pawl_request *request,
                 pawl__mariadb_pending *pending)
{
    static const char *const words[PAWL_VERB_COUNT] = {
        [PAWL_VERB_ACQUIRE] = "acquire", [PAWL_VERB_RENEW] = "renew",
        [PAWL_VERB_RELEASE] = "release", [PAWL_VERB_BREAK] = "break",
        [PAWL_VERB_PUBLISH] = "publish", [PAWL_VERB_READ] = "read",
        [PAWL_VERB_CHANGE] = "change",
    };
    pawl__mariadb_text t;
    pawl__mariadb_begin_call(&t, store, words[request->verb]);
    pawl__mariadb_add_bytes(&t, request->name, request->name_len);
    if (request->verb == PAWL_VERB_BREAK) {
        pawl__mariadb_add_number(&t, (int64_t)request->fence);
        pawl__mariadb_add_word(&t, request->owner ? request->owner : "");
    } else if (request->verb != PAWL_VERB_READ) {
        pawl__mariadb_add_word(&t, request->token);
    }
    if (request->verb == PAWL_VERB_ACQUIRE) add_acquire(store, request, &t);
    if (request->verb == PAWL_VERB_RENEW) pawl__mariadb_add_number(&t, request->ttl_ms * 1000);
    if (request->verb == PAWL_VERB_CHANGE) add_change(request, &t);
    if (request->verb == PAWL_VERB_READ) add_read(store, request, &t);
    if (request->verb == PAWL_VERB_PUBLISH) {
        pawl__mariadb_add_bytes(&t, request->value ? request->value : "", request->value_len);
        pawl__mariadb_add_number(&t, request->keep_ms * 1000);
        pawl__mariadb_add_number(&t, (int64_t)request->publication);
    }
    return pawl__mariadb_end_call(&t, pending);
}

void pawl__mariadb_ask(pawl_store *store, const pawl_request *request)
{
    asked *a = malloc(sizeof *a);
    if (a)
        *a = (asked){.pending = {.answer_by = request->answer_by,
                                 .answered = asked_answered,
                                 .unanswered = asked_unanswered,
                                 .drop = asked_drop},
                     .id = request->id,
                     .verb = request->verb};
    if (!a || !fill(store, request, &a->pending)) {
        free(a);
        pawl__mariadb_refuse(store, request->id, PAWL_ERR_NO_MEMORY);
        return;
    }
    if (pawl__mariadb_send(store, &a->pending)) {
        pawl__answers_arm(&store->answers, request->answer_by);
        return;
    }
    free(a->pending.sql);
    free(a);
    pawl__mariadb_refuse(store, request->id, pawl__mariadb_send_trouble(store));
}

pawl_err pawl__mariadb_send_trouble(const pawl_store *store)
{
    if (store->link.broken || !store->asker.call.mysql)
        return store->link.err ? store->link.err : PAWL_ERR_UNAVAILABLE;
    return PAWL_ERR_STORE_BUSY;
}

/* ---- Refusals ------------------------------------------------------------------------------ */

void pawl__mariadb_refuse(pawl_store *store, uint64_t id, pawl_err err)
{
    pawl__refusals_add(&store->refusals, id, err, NULL);
    pawl__mariadb_turn_soon(store);
}

void pawl__mariadb_give_refusals(pawl_store *store)
{
    const pawl__mariadb_linkage *link = &store->link;
    bool is_up = link->state == PAWL__MARIADB_UP && !link->broken;
    pawl__refusals_give(&store->refusals, store->host, is_up ? PAWL_OK : link->err, link->message);
}

/* ---- Time-outs and loss -------------------------------------------------------------------- */

static int64_t next_answer(pawl_store *store)
{
    int64_t next = PAWL__NEVER;
    for (const pawl__link *l = store->under_way.next; l != &store->under_way; l = l->next)
        next =
            pawl__instant_min(next, pawl__container(l, pawl__mariadb_pending, in_order)->answer_by);
    return next;
}

static void on_late(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s: no answer in time; the connection was closed",
             store->config->where);
    pawl__mariadb_link_break(store, PAWL_ERR_UNAVAILABLE, message);
}

void pawl__mariadb_abandon(pawl_store *store)
{
    pawl__mariadb_pending *pending;
    pawl__answers_rest(&store->answers);
    while ((pending = pawl__mariadb_next(store)) != NULL)
        pending->unanswered(store, pending, store->link.err, store->link.message);
}

/* ---- The beginning and the end ------------------------------------------------------------- */

bool pawl__mariadb_requests_init(pawl_store *store)
{
    pawl__list_init(&store->under_way);
    bool timed = pawl__answers_init(&store->answers, store, store->host, next_answer, on_late);
    return pawl__refusals_init(&store->refusals) && timed;
}

void pawl__mariadb_requests_done(pawl_store *store)
{
    pawl__mariadb_pending *pending;
    while ((pending = pawl__mariadb_next(store)) != NULL) pending->drop(pending);
    pawl__refusals_done(&store->refusals);
}
