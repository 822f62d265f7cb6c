/* SPDX-License-Identifier: MIT */
/* Requests about one name: a CALL each, and what its reply says. */
#define _GNU_SOURCE
#include "postgres_store.h"

#include "../../base/instant.h"
#include "../common/sql_reply.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct asked {
    pawl__postgres_pending pending;
    uint64_t id;
    pawl_verb verb;
} asked;

/* ---- Answers ------------------------------------------------------------------------------- */

void pawl__postgres_say(pawl_store *store, uint64_t id, pawl_outcome outcome, pawl_err err,
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

pawl_outcome pawl__postgres_judge(pawl_store *store, const PGresult *result, bool changes,
                                  pawl_err *ret_err, char *reterr_message)
{
    pawl__postgres_trouble trouble = {PAWL_ERR_PROTOCOL, true, true};
    if (result && PQresultStatus(result) == PGRES_FATAL_ERROR)
        trouble = pawl__postgres_explain(store->config.where, result, reterr_message);
    else
        snprintf(reterr_message, PAWL_MESSAGE_MAX, "%s: an answer that is not pawl's protocol",
                 store->config.where);
    *ret_err = trouble.err;
    if (trouble.reconnect) pawl__postgres_link_break(store, trouble.err, reterr_message);
    return trouble.maybe_done && changes ? PAWL_UNKNOWN : PAWL_FAILED;
}

/* Those whose outcome may be unknown (law 4). */
static bool changes(const asked *a)
{
    return a->verb != PAWL_VERB_READ;
}

static void asked_answered(pawl_store *store, pawl__postgres_pending *pending,
                           const PGresult *result, bool doubt)
{
    asked *a = pawl__container(pending, asked, pending);
    pawl_reply reply = {.id = a->id, .position = -1, .holder_ms = -1};
    char message[PAWL_MESSAGE_MAX];
    pawl__sql_words w;
    bool may_change = changes(a);
    free(a);
    bool has_row = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    if (!has_row || !pawl__sql_decode(PQgetvalue(result, 0, 0), &w, &reply)) {
        reply.outcome = pawl__postgres_judge(store, result, may_change, &reply.err, message);
        reply.message = message;
    } else if (doubt && may_change) {
        snprintf(message, sizeof message,
                 "%s: the commit came with a warning, so it may not survive a failover",
                 store->config.where);
        reply = (pawl_reply){.id = reply.id,
                             .outcome = PAWL_UNKNOWN,
                             .position = -1,
                             .holder_ms = -1,
                             .err = PAWL_ERR_UNKNOWN,
                             .message = message};
    }
    store->host->reply(store->host, &reply);
}

static void asked_unanswered(pawl_store *store, pawl__postgres_pending *pending, pawl_err err,
                             const char *message)
{
    asked *a = pawl__container(pending, asked, pending);
    uint64_t id = a->id;
    pawl_outcome outcome = changes(a) ? PAWL_UNKNOWN : PAWL_FAILED;
    free(a);
    pawl__postgres_say(store, id, outcome, err, message);
}

static void asked_drop(pawl__postgres_pending *pending)
{
    free(pawl__container(pending, asked, pending));
}

/* ---- Asking -------------------------------------------------------------------------------- */

typedef struct rooms {
    char sql[200];
    char numbers[5][24];
} rooms;

static void add_owner(const pawl_request *request, pawl__postgres_statement *s)
{
    const char *owner = request->owner ? request->owner : "";
    pawl__postgres_add_bytes(s, owner, strlen(owner));
}

static void add_acquire(pawl_store *store, const pawl_request *request, pawl__postgres_statement *s,
                        rooms *r)
{
    bool permit = request->mode == PAWL_MODE_PERMIT;
    pawl__postgres_add_text(s, store->link.listens ? store->host->client_id : "");
    add_owner(request, s);
    pawl__postgres_add_number(s, r->numbers[0], request->ttl_ms * 1000);
    pawl__postgres_add_number(s, r->numbers[1], request->mode);
    pawl__postgres_add_number(s, r->numbers[2], permit ? request->units : 0);
    pawl__postgres_add_number(s, r->numbers[3], permit ? request->capacity : 0);
    pawl__postgres_add_flag(s, request->flags & PAWL_ASK_QUEUE);
}

static void add_change(const pawl_request *request, pawl__postgres_statement *s, rooms *r)
{
    pawl__postgres_add_number(s, r->numbers[0], request->ttl_ms * 1000);
    pawl__postgres_add_number(s, r->numbers[1], request->mode);
    pawl__postgres_add_number(s, r->numbers[2], request->change);
    pawl__postgres_add_flag(s, request->flags & PAWL_ASK_QUEUE);
}

static void fill(pawl_store *store, const pawl_request *request, pawl__postgres_statement *s,
                 rooms *r)
{
    static const char *const calls[PAWL_VERB_COUNT] = {
        [PAWL_VERB_ACQUIRE] = "CALL %s.acquire($1,$2,$3,$4,$5,$6::int,$7::int,$8::int,$9,NULL)",
        [PAWL_VERB_RENEW] = "CALL %s.renew($1,$2,$3,NULL)",
        [PAWL_VERB_RELEASE] = "CALL %s.release($1,$2,NULL)",
        [PAWL_VERB_BREAK] = "CALL %s.break($1,$2,$3,NULL)",
        [PAWL_VERB_PUBLISH] = "CALL %s.publish($1,$2,$3,$4,$5,NULL)",
        [PAWL_VERB_READ] = "CALL %s.read($1,$2,$3,NULL)",
        [PAWL_VERB_CHANGE] = "CALL %s.change($1,$2,$3,$4::int,$5,$6,NULL)",
    };
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wformat-nonliteral"
    snprintf(r->sql, sizeof r->sql, calls[request->verb], store->config.schema);
#pragma GCC diagnostic pop
    *s = (pawl__postgres_statement){.sql = r->sql, .number = 1 + (unsigned)request->verb};
    pawl__postgres_add_bytes(s, request->name, request->name_len);
    if (request->verb == PAWL_VERB_BREAK)
        pawl__postgres_add_number(s, r->numbers[0], (int64_t)request->fence);
    else if (request->verb != PAWL_VERB_READ)
        pawl__postgres_add_text(s, request->token);
    if (request->verb == PAWL_VERB_BREAK) add_owner(request, s);
    if (request->verb == PAWL_VERB_ACQUIRE) add_acquire(store, request, s, r);
    if (request->verb == PAWL_VERB_RENEW)
        pawl__postgres_add_number(s, r->numbers[0], request->ttl_ms * 1000);
    if (request->verb == PAWL_VERB_CHANGE) add_change(request, s, r);
    if (request->verb == PAWL_VERB_PUBLISH) pawl__postgres_add_publish(request, s, r->numbers);
    if (request->verb == PAWL_VERB_READ) pawl__postgres_add_read(store, request, s, r->numbers[0]);
}

void pawl__postgres_ask(pawl_store *store, const pawl_request *request)
{
    pawl__postgres_statement s;
    rooms r;
    asked *a = malloc(sizeof *a);
    if (!a) {
        pawl__postgres_refuse(store, request->id, PAWL_ERR_NO_MEMORY);
        return;
    }
    *a = (asked){.pending = {.answer_by = request->answer_by,
                             .answered = asked_answered,
                             .unanswered = asked_unanswered,
                             .drop = asked_drop},
                 .id = request->id,
                 .verb = request->verb};
    fill(store, request, &s, &r);
    if (pawl__postgres_send(store, &s, &a->pending)) {
        pawl__answers_arm(&store->answers, request->answer_by);
        return;
    }
    free(a);
    pawl__postgres_refuse(store, request->id, pawl__postgres_send_trouble(store));
}

pawl_err pawl__postgres_send_trouble(const pawl_store *store)
{
    if (store->link.broken || !store->conn)
        return store->link.err ? store->link.err : PAWL_ERR_UNAVAILABLE;
    return PAWL_ERR_STORE_BUSY;
}

/* ---- Refusals ------------------------------------------------------------------------------ */

void pawl__postgres_refuse(pawl_store *store, uint64_t id, pawl_err err)
{
    pawl__refusals_add(&store->refusals, id, err, NULL);
    pawl__postgres_turn_soon(store);
}

void pawl__postgres_give_refusals(pawl_store *store)
{
    const pawl__postgres_linkage *link = &store->link;
    bool is_up = link->state == PAWL__POSTGRES_UP && !link->broken;
    pawl__refusals_give(&store->refusals, store->host, is_up ? PAWL_OK : link->err, link->message);
}

/* ---- Time-outs and loss -------------------------------------------------------------------- */

static int64_t next_answer(pawl_store *store)
{
    int64_t next = PAWL__NEVER;
    for (const pawl__link *l = store->under_way.next; l != &store->under_way; l = l->next)
        next = pawl__instant_min(next,
                                 pawl__container(l, pawl__postgres_pending, in_order)->answer_by);
    return next;
}

static void on_late(pawl_store *store)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s: no answer in time; the connection was closed",
             store->config.where);
    pawl__postgres_link_break(store, PAWL_ERR_UNAVAILABLE, message);
}

void pawl__postgres_abandon(pawl_store *store)
{
    pawl__postgres_pending *pending;
    pawl__answers_rest(&store->answers);
    while ((pending = pawl__postgres_next(store)) != NULL)
        pending->unanswered(store, pending, store->link.err, store->link.message);
}

/* ---- The beginning and the end ------------------------------------------------------------- */

bool pawl__postgres_requests_init(pawl_store *store)
{
    pawl__list_init(&store->under_way);
    bool timed = pawl__answers_init(&store->answers, store, store->host, next_answer, on_late);
    return pawl__refusals_init(&store->refusals) && timed;
}

void pawl__postgres_requests_done(pawl_store *store)
{
    pawl__postgres_pending *pending;
    while ((pending = pawl__postgres_next(store)) != NULL) pending->drop(pending);
    pawl__refusals_done(&store->refusals);
}
