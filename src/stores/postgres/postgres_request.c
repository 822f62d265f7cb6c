/* SPDX-License-Identifier: MIT */
/* Requests about one name: a CALL each, and what its reply says. */
#define _GNU_SOURCE
#include "postgres_store.h"

#include "../../base/capacity.h"
#include "../../base/instant.h"
#include "../../base/line.h"

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

/* "0,3,4" or "-". False: it is neither. */
static bool parse_slots(const char *text, uint16_t slots[PAWL_CAPACITY_MAX], size_t *ret_count)
{
    *ret_count = 0;
    if (strcmp(text, "-") == 0) return true;
    for (const char *at = text;; at++) {
        char *end;
        long slot = strtol(at, &end, 10);
        if (end == at || slot < 0 || slot >= PAWL_CAPACITY_MAX) return false;
        if (*ret_count == PAWL_CAPACITY_MAX) return false;
        slots[(*ret_count)++] = (uint16_t)slot;
        at = end;
        if (*at == '\0') return true;
        if (*at != ',') return false;
    }
}

typedef struct words {
    char kind[16];
    char slots_text[PAWL_CAPACITY_MAX * 5 + 1];
    uint16_t slots[PAWL_CAPACITY_MAX];
    char owner[PAWL_OWNER_MAX + 1];
    pawl__postgres_value_room value;
} words;

static bool decode_held(const char *text, words *w, pawl_reply *reply)
{
    int waiting;
    if (sscanf(text, "%*s %" SCNu64 " %d %5120s", &reply->fence, &waiting, w->slots_text) != 3)
        return false;
    if (!parse_slots(w->slots_text, w->slots, &reply->slot_count)) return false;
    reply->waiting = waiting != 0;
    reply->slots = reply->slot_count ? w->slots : NULL;
    return true;
}

/* Hex of a label, from the second word on; NULL: there is none. False: it is none. */
static bool decode_label(const char *text, words *w, const char **ret_label)
{
    char hex[2 * PAWL_OWNER_MAX + 1] = "";
    size_t len;
    (void)sscanf(text, "%*s %510s", hex);
    if (!pawl__postgres_parse_hex(hex, w->owner, sizeof w->owner, &len)) return false;
    *ret_label = len ? w->owner : NULL;
    return true;
}

static bool decode_busy(const char *text, words *w, pawl_reply *reply)
{
    if (sscanf(text, "%*s %" SCNd64, &reply->holder_ms) != 1) return false;
    return decode_label(text + strcspn(text, " ") + 1, w, &reply->message);
}

/* What a procedure's reply says; see schema.sql. False: it says nothing that pawl knows. */
static bool decode(const char *text, words *w, pawl_reply *reply)
{
    int err;
    uint32_t has, wanted; /* capacities */
    static const struct {
        const char *kind;
        pawl_outcome outcome;
    } kinds[] = {
        {"granted", PAWL_GRANTED},     {"confirmed", PAWL_CONFIRMED}, {"queued", PAWL_QUEUED},
        {"busy", PAWL_BUSY},           {"released", PAWL_RELEASED},   {"left", PAWL_LEFT},
        {"not_owner", PAWL_NOT_OWNER}, {"failed", PAWL_FAILED},       {"value", PAWL_REPORTED}};
    size_t i = 0, count = sizeof kinds / sizeof kinds[0];
    if (sscanf(text, "%15s", w->kind) != 1) return false;
    while (i < count && strcmp(kinds[i].kind, w->kind) != 0) i++;
    if (i == count) return false;
    reply->outcome = kinds[i].outcome;
    switch (reply->outcome) {
    case PAWL_GRANTED:
    case PAWL_CONFIRMED:
        return decode_held(text, w, reply);
    case PAWL_QUEUED:
        return sscanf(text, "%*s %" SCNd64 " %" SCNd64 " %" SCNu64, &reply->position,
                      &reply->holder_ms, &reply->fence) == 3;
    case PAWL_BUSY:
        return decode_busy(text, w, reply);
    case PAWL_NOT_OWNER:
        return decode_label(text, w, &reply->message);
    case PAWL_FAILED:
        if (sscanf(text, "%*s %d", &err) != 1 || err <= 0) return false;
        reply->err = (pawl_err)-err;
        if (sscanf(text, "%*s %*d %" SCNu32 " %" SCNu32, &has, &wanted) == 2)
            reply->message = pawl__capacity_message(has, wanted, w->owner);
        return true;
    case PAWL_REPORTED:
        reply->value = &w->value.value;
        return pawl__postgres_decode_value(text, &w->value);
    default:
        return true;
    }
}

/* Law 4 is about those. */
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
    words w;
    bool may_change = changes(a);
    free(a);
    bool has_row = PQresultStatus(result) == PGRES_TUPLES_OK && PQntuples(result) == 1;
    if (!has_row || !decode(PQgetvalue(result, 0, 0), &w, &reply)) {
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
        [PAWL_VERB_PUBLISH] = "CALL %s.publish($1,$2,$3,$4,NULL)",
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
    if (request->verb == PAWL_VERB_PUBLISH) pawl__postgres_add_publish(request, s, r->numbers[0]);
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
        pawl__postgres_arm_answers(store, request->answer_by);
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
    if (store->refusal_count == store->refusal_room) {
        size_t room = store->refusal_room * 2;
        pawl__postgres_refusal *more = realloc(store->refusals, room * sizeof *more);
        if (!more) { /* not even room for a number: the host is warned, from the turn */
            store->unanswerable = true;
            pawl__postgres_turn_soon(store);
            return;
        }
        store->refusals = more;
        store->refusal_room = room;
    }
    store->refusals[store->refusal_count++] = (pawl__postgres_refusal){.id = id, .err = err};
    pawl__postgres_turn_soon(store);
}

void pawl__postgres_give_refusals(pawl_store *store)
{
    pawl__postgres_linkage *link = &store->link;
    size_t count = store->refusal_count; /* what is submitted meanwhile waits for the next turn */
    for (size_t i = 0; i < count; i++) {
        pawl__postgres_refusal refusal = store->refusals[i];
        bool by_link = link->state != PAWL__POSTGRES_UP || link->broken;
        const char *why = by_link && link->err == refusal.err ? link->message : NULL;
        pawl__postgres_say(store, refusal.id, PAWL_FAILED, refusal.err, why && *why ? why : NULL);
    }
    store->refusal_count -= count;
    memmove(store->refusals, store->refusals + count,
            store->refusal_count * sizeof *store->refusals);
    if (!store->unanswerable) return;
    store->unanswerable = false;
    store->host->warn(store->host, "out of memory: a request stays without an answer");
}

/* ---- Time-outs and loss -------------------------------------------------------------------- */

void pawl__postgres_arm_answers(pawl_store *store, int64_t answer_by)
{
    if (answer_by >= store->answer_at) return;
    store->answer_at = answer_by;
    pawl__postgres_set_timer(&store->answer_timer, answer_by - store->host->now());
}

static void rest(pawl_store *store)
{
    store->answer_at = PAWL__NEVER;
    pawl__postgres_set_timer(&store->answer_timer, PAWL__NEVER);
}

static void on_answers_due(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    int64_t next = PAWL__NEVER;
    (void)fd, (void)what;
    rest(store);
    for (const pawl__link *l = store->under_way.next; l != &store->under_way; l = l->next)
        next = pawl__instant_min(next,
                                 pawl__container(l, pawl__postgres_pending, in_order)->answer_by);
    if (next > store->host->now()) {
        if (next != PAWL__NEVER) pawl__postgres_arm_answers(store, next);
        return;
    }
    /* Law 4: its late reply must never be read as another's. */
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s: no answer in time; the connection was closed",
             store->config.where);
    pawl__postgres_link_break(store, PAWL_ERR_UNAVAILABLE, message);
}

void pawl__postgres_abandon(pawl_store *store)
{
    pawl__postgres_pending *pending;
    rest(store);
    while ((pending = pawl__postgres_next(store)) != NULL)
        pending->unanswered(store, pending, store->link.err, store->link.message);
}

/* ---- Pushes -------------------------------------------------------------------------------- */

void pawl__postgres_hear(pawl_store *store, const char *payload)
{
    char kind, token[PAWL_TOKEN_LEN + 1], fence[24], waiting[8], name[PAWL_NAME_MAX + 1];
    char hex[2 * PAWL_NAME_MAX + 1], slots_text[PAWL_CAPACITY_MAX * 5 + 1];
    uint16_t slots[PAWL_CAPACITY_MAX];
    pawl_push push = {.name = name, .slots = slots};
    if (sscanf(payload, "%c %23s %7s %5120s %40s %1024s", &kind, fence, waiting, slots_text, token,
               hex) != 6 ||
        !pawl__postgres_parse_hex(hex, name, sizeof name, &push.name_len) || push.name_len == 0 ||
        !parse_slots(slots_text, slots, &push.slot_count))
        return;
    if (kind == 'g')
        push.kind = PAWL_PUSH_GRANT;
    else if (kind == 'y')
        push.kind = PAWL_PUSH_YIELD;
    else if (kind == 'r')
        push.kind = PAWL_PUSH_RECHECK;
    else if (kind == 'n')
        push.kind = PAWL_PUSH_NEWS;
    else
        return;
    bool has_token = kind == 'g' || kind == 'y';
    if (has_token && strlen(token) != PAWL_TOKEN_LEN) return;
    if (push.slot_count == 0) push.slots = NULL;
    push.token = has_token ? token : NULL;
    push.fence = strtoull(fence, NULL, 10);
    push.waiting = strcmp(waiting, "1") == 0;
    store->host->push(store->host, &push);
}

/* ---- The beginning and the end ------------------------------------------------------------- */

bool pawl__postgres_requests_init(pawl_store *store)
{
    pawl__list_init(&store->under_way);
    store->answer_at = PAWL__NEVER;
    event_assign(&store->answer_timer, store->host->base, -1, EV_PERSIST, on_answers_due, store);
    store->refusals = calloc(PAWL__POSTGRES_REFUSALS_FIRST, sizeof *store->refusals);
    store->refusal_room = PAWL__POSTGRES_REFUSALS_FIRST;
    static const struct timeval long_ahead = {.tv_sec = 86400};
    return store->refusals && event_add(&store->answer_timer, &long_ahead) == 0;
}

void pawl__postgres_requests_done(pawl_store *store)
{
    pawl__postgres_pending *pending;
    while ((pending = pawl__postgres_next(store)) != NULL) pending->drop(pending);
    free(store->refusals);
    store->refusals = NULL;
    store->refusal_count = store->refusal_room = 0;
}
