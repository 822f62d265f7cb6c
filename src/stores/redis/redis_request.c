/* SPDX-License-Identifier: MIT */
/*
 * Requests under way. A request becomes one script call; its copy waits in `under_way` for
 * the reply, because the reply may be NOSCRIPT, and then the same call goes again with the
 * script's body. A request that is not answered in time ends the connection.
 */
#include "redis_asked.h"
#include "redis_scripts.h"

#include "../../base/instant.h"
#include "../../base/line.h"
#include "../../base/mutant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The end of a connection ------------------------------------------------------------ */

void pawl__redis_link_break(pawl_store *store, pawl_err err, const char *message)
{
    pawl__redis_linkage *link = &store->link;
    if (link->broken) return;
    link->broken = true;
    if (link->login.refused) { /* the errors that follow from it tell nothing new */
        err = link->login.refused;
        message = link->login.message;
    }
    /* Our own memory is short, and that passes: no waiter may be given up for it. */
    link->err = err == PAWL_ERR_NO_MEMORY ? PAWL_ERR_UNAVAILABLE : err;
    snprintf(link->message, sizeof link->message, "%s", message);
    pawl__line_mend(link->message); /* it may quote the server */
    store->wire->turn_soon(store);
}

/* ---- Sending -------------------------------------------------------------------------- */

static void arm_answer_timer(pawl_store *store, int64_t answer_by)
{
    if (answer_by >= store->answer_at) return;
    store->answer_at = answer_by;
    int64_t now = store->host->now();
    int64_t wait_us = answer_by <= now ? 0 : (answer_by - now + 999) / PAWL__NS_PER_US;
    store->wire->set_timer(store, PAWL__REDIS_TIMER_ANSWERS, wait_us);
}

static void rest_answer_timer(pawl_store *store)
{
    store->answer_at = PAWL__NEVER;
    store->wire->set_timer(store, PAWL__REDIS_TIMER_ANSWERS, PAWL__REDIS_NO_TIMER);
}

bool pawl__redis_send(pawl_store *store, const pawl__redis_bytes *argv, size_t argc,
                      pawl__redis_pending *pending)
{
    if (store->link.broken || store->under_way_count >= PAWL__REDIS_UNDER_WAY_MAX) return false;
    if (!store->wire->append(store, argv, argc, &pending->end)) return false;
    pawl__list_append(&store->under_way, &pending->in_order);
    store->under_way_count++;
    arm_answer_timer(store, pending->answer_by);
    return true;
}

pawl_err pawl__redis_send_trouble(const pawl_store *store)
{
    if (store->link.broken) return store->link.err;
    if (store->under_way_count >= PAWL__REDIS_UNDER_WAY_MAX) return PAWL_ERR_STORE_BUSY;
    return PAWL_ERR_NO_MEMORY;
}

void pawl__redis_refuse(pawl_store *store, uint64_t id, pawl_err err)
{
    if (store->refusal_count == store->refusal_room) {
        size_t room = store->refusal_room * 2;
        pawl__redis_refusal *more = realloc(store->refusals, room * sizeof *more);
        if (!more) { /* not even room for a number: the host is warned, from the turn */
            store->unanswerable = true;
            store->wire->turn_soon(store);
            return;
        }
        store->refusals = more;
        store->refusal_room = room;
    }
    store->refusals[store->refusal_count++] = (pawl__redis_refusal){.id = id, .err = err};
    store->wire->turn_soon(store);
}

static void refuse_unsent(pawl_store *store, pawl__redis_asked *a)
{
    pawl_err err = pawl__redis_send_trouble(store);
    if (a->in_doubt) { /* only from a reply, so the host may be called */
        pawl__redis_asked_unanswered(store, &a->pending, false, err, NULL);
        return;
    }
    pawl__redis_refuse(store, a->request.id, err);
    free(a);
}

void pawl__redis_send_asked(pawl_store *store, pawl__redis_asked *a, bool with_body)
{
    pawl__redis_call call;
    pawl__redis_bytes argv[PAWL__REDIS_ARGV_MAX];
    (void)pawl__redis_encode(&store->space, &a->request, &call); /* never LIST or DOCTOR */
    a->script = pawl__redis_guard_variant(store, call.script);
    const pawl__redis_script_text *script = &pawl__redis_scripts[a->script];
    const char *text = with_body ? script->body : script->sha1;
    pawl__redis_bytes name = {.data = text, .len = strlen(text)};
    size_t argc = pawl__redis_call_argv(&call, name, !with_body, argv);
    a->with_body = with_body;
    if (!pawl__redis_send(store, argv, argc, &a->pending)) {
        refuse_unsent(store, a);
        return;
    }
    if (with_body) store->bodies_under_way[a->script]++;
    if (a->request.verb == PAWL_VERB_RELEASE) store->last_release_end = a->pending.end;
}

/* ---- Answers ---------------------------------------------------------------------------- */

/*
 * Whether a release by the same token is under way behind this acquisition, which
 * the server did not know. Then it must not be said again: the release has to undo
 * it, whatever became of it (rule 4). Nothing else does harm when it comes later
 * than it was sent: a token is never used again after its release.
 */
bool pawl__redis_is_overtaken(const pawl_store *store, const pawl__redis_asked *a)
{
    if (a->request.verb != PAWL_VERB_ACQUIRE || PAWL_MUTANT(noscript_after_release)) return false;
    if (store->last_release_end <= a->pending.end) return false; /* nearly always */
    for (const pawl__link *l = store->under_way.next; l != &store->under_way; l = l->next) {
        pawl__redis_pending *p = pawl__container(l, pawl__redis_pending, in_order);
        if (p->releases && p->releases(p, a->request.token)) return true;
    }
    return false;
}

/* What was in doubt stays so: a later refusal says nothing about an earlier call (law 4). */
static pawl_outcome outcome_of_failure(const pawl__redis_asked *a, bool maybe_done)
{
    return maybe_done || a->in_doubt ? PAWL_UNKNOWN : PAWL_FAILED;
}

void pawl__redis_send_again(pawl_store *store, pawl__redis_asked *a, bool with_body)
{
    if (!pawl__redis_is_overtaken(store, a)) {
        pawl__redis_send_asked(store, a, with_body);
        return;
    }
    pawl_reply reply = {.id = a->request.id,
                        .outcome = outcome_of_failure(a, false),
                        .position = -1,
                        .holder_ms = -1,
                        .err = PAWL_ERR_STORE_BUSY,
                        .message = "the server had forgotten its scripts, and a later request "
                                   "about the same lease is under way"};
    free(a);
    store->host->reply(store->host, &reply);
}

static void say_again(pawl_store *store, pawl__redis_asked *a)
{
    /* One body under way serves all calls behind it. But if the server has forgotten that one,
     * too, the call brings a body of its own. */
    bool with_body = store->bodies_under_way[a->script] == 0;
    if (a->again && !PAWL_MUTANT(bodies_never_arrive)) with_body = true;
    a->again = true;
    pawl__redis_send_again(store, a, with_body);
}

/* False: this is no report. */
static bool give_row(pawl_store *store, const pawl__redis_asked *a, const pawl__redis_value *value)
{
    pawl_info info;
    if (!pawl__redis_decode_info(&a->request, value, store->rows, &info)) return false;
    store->host->row(store->host, a->request.id, &info);
    return true;
}

/* The call that it was part of may have released it: who does not own it now may have owned it then
 * (law 4). */
static void doubt_the_loss(const pawl__redis_asked *a, pawl_reply *reply)
{
    if (!a->in_doubt || reply->outcome != PAWL_NOT_OWNER) return;
    if (PAWL_MUTANT(together_half_lost)) return;
    reply->outcome = PAWL_UNKNOWN;
    reply->err = PAWL_ERR_UNKNOWN;
    reply->message = "a call for several names went wrong, and may have released this one";
}

/* What was asked for, before the reply or in it. False: it is something else. */
static bool tell(pawl_store *store, const pawl__redis_asked *a, const pawl__redis_value *value,
                 pawl_value *room, pawl_reply *reply)
{
    if (reply->outcome != PAWL_REPORTED) return true;
    if (a->request.verb != PAWL_VERB_READ) return give_row(store, a, value);
    reply->value = room;
    return pawl__redis_decode_value(value, room);
}

void pawl__redis_asked_answered(pawl_store *store, pawl__redis_pending *pending,
                                const pawl__redis_value *value)
{
    pawl__redis_asked *a = pawl__container(pending, pawl__redis_asked, pending);
    pawl_value told;
    pawl_reply reply;
    if (a->with_body && !PAWL_MUTANT(bodies_never_arrive)) store->bodies_under_way[a->script]--;
    char message[PAWL_MESSAGE_MAX];
    uint16_t slots[PAWL_CAPACITY_MAX];
    pawl__redis_verdict verdict =
        pawl__redis_decode(&store->space, &a->request, pawl__redis_scripts[a->script].body, value,
                           &reply, message, slots);
    switch (verdict) {
    case PAWL__REDIS_UNKNOWN_SCRIPT:
        if (a->with_body) break; /* reply is FAILED: odd, but nothing was done */
        say_again(store, a);
        return;
    case PAWL__REDIS_DOUBT:
    case PAWL__REDIS_RECONNECT: /* before the reply: the host may submit from inside it */
        pawl__redis_link_break(store, reply.err, message);
        break;
    case PAWL__REDIS_DECODED:
        if (!tell(store, a, value, &told, &reply)) {
            reply.value = NULL;
            reply.outcome = PAWL_UNKNOWN;
            reply.err = PAWL_ERR_PROTOCOL;
            pawl__redis_link_break(store, reply.err, pawl_err_text(reply.err));
        }
        break;
    }
    if (reply.outcome == PAWL_FAILED) reply.outcome = outcome_of_failure(a, false);
    doubt_the_loss(a, &reply);
    pawl__redis_guard_explain(store, a->script, &reply, message);
    if (store->watch.answered) store->watch.answered(store, &a->request, reply.outcome);
    free(a);
    store->host->reply(store->host, &reply);
}

void pawl__redis_asked_unanswered(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                                  pawl_err err, const char *message)
{
    pawl__redis_asked *a = pawl__container(pending, pawl__redis_asked, pending);
    pawl_reply reply = {.id = a->request.id,
                        .outcome = outcome_of_failure(a, maybe_done),
                        .position = -1,
                        .holder_ms = -1,
                        .err = err,
                        .message = message};
    free(a);
    store->host->reply(store->host, &reply);
}

static void asked_drop(pawl__redis_pending *pending)
{
    free(pawl__container(pending, pawl__redis_asked, pending));
}

static bool asked_releases(const pawl__redis_pending *pending, const char *token)
{
    const pawl_request *request = &pawl__container(pending, pawl__redis_asked, pending)->request;
    return request->verb == PAWL_VERB_RELEASE && strcmp(request->token, token) == 0;
}

pawl__redis_asked *pawl__redis_take_gathered(pawl_store *store)
{
    pawl__link *first = pawl__list_first(&store->gathered);
    if (!first) return NULL;
    pawl__list_remove(first);
    store->gathered_count--;
    return pawl__container(first, pawl__redis_asked, pending.in_order);
}

static pawl__redis_pending *first_under_way(pawl_store *store)
{
    pawl__link *first = pawl__list_first(&store->under_way);
    if (!first) return NULL;
    pawl__list_remove(first);
    store->under_way_count--;
    return pawl__container(first, pawl__redis_pending, in_order);
}

const pawl__redis_pending *pawl__redis_next_due(const pawl_store *store)
{
    const pawl__link *first = store->under_way.next;
    if (first == &store->under_way) return NULL;
    return pawl__container(first, pawl__redis_pending, in_order);
}

void pawl__redis_strike_next(pawl_store *store)
{
    pawl__redis_pending *pending = first_under_way(store);
    if (pending) pending->drop(pending);
}

bool pawl__redis_answer(pawl_store *store, const pawl__redis_value *value)
{
    pawl__redis_pending *pending = first_under_way(store);
    if (pending) {
        pending->answered(store, pending, value);
        return !store->link.broken;
    }
    char message[PAWL_MESSAGE_MAX];
    if (value->type == PAWL__REDIS_ERROR) { /* "max number of clients": said unasked */
        pawl__redis_trouble trouble =
            pawl__redis_explain(&store->space, "connect", NULL, NULL, value->text, message);
        pawl__redis_link_break(store, trouble.err, message);
        return false;
    }
    snprintf(message, sizeof message, "%.300s: an answer came that nothing had been asked for",
             store->space.where);
    pawl__redis_link_break(store, PAWL_ERR_PROTOCOL, message);
    return false;
}

void pawl__redis_abandon(pawl_store *store, uint64_t written)
{
    pawl__redis_pending *pending;
    rest_answer_timer(store);
    memset(store->bodies_under_way, 0, sizeof store->bodies_under_way);
    store->last_release_end = 0; /* the next connection counts from the beginning */
    store->together_known = 0;   /* and may lead to another server */
    store->apart = false;
    while ((pending = first_under_way(store)) != NULL)
        pending->unanswered(store, pending, pending->end <= written, store->link.err,
                            store->link.message);
    pawl__redis_asked *a; /* it has not even been sent */
    while ((a = pawl__redis_take_gathered(store)) != NULL)
        a->pending.unanswered(store, &a->pending, false, store->link.err, store->link.message);
}

void pawl__redis_hear(pawl_store *store, pawl__redis_bytes payload)
{
    pawl_token token;
    uint16_t slots[PAWL_CAPACITY_MAX];
    pawl_push push;
    if (pawl__redis_decode_push(&store->space, payload, &token, slots, &push))
        store->host->push(store->host, &push);
}

/* ---- The turn, and time-outs
 * -------------------------------------------------------------------------------- */

void pawl__redis_give_refusals(pawl_store *store)
{
    pawl__redis_linkage *link = &store->link;
    char ttl_refusal[PAWL_MESSAGE_MAX];
    pawl__redis_guard_say_refusal(store, ttl_refusal);
    size_t count = store->refusal_count; /* what is submitted meanwhile waits for the next turn */
    for (size_t i = 0; i < count; i++) {
        pawl__redis_refusal refusal = store->refusals[i];
        bool by_link =
            (link->broken || link->state != PAWL__REDIS_LINK_UP) && link->err == refusal.err;
        bool by_rights = link->looks_only && refusal.err == PAWL_ERR_PERMISSION;
        const char *why = by_link ? link->message : by_rights ? link->lacks : NULL;
        if (refusal.err == PAWL_ERR_TTL) why = ttl_refusal;
        pawl_reply reply = {.id = refusal.id,
                            .outcome = PAWL_FAILED,
                            .position = -1,
                            .holder_ms = -1,
                            .err = refusal.err,
                            .message = why};
        store->host->reply(store->host, &reply);
    }
    store->refusal_count -= count;
    memmove(store->refusals, store->refusals + count,
            store->refusal_count * sizeof *store->refusals);
    if (!store->unanswerable) return;
    store->unanswerable = false;
    store->host->warn(store->host, "out of memory: a request stays without an answer");
}

void pawl__redis_answers_due(pawl_store *store)
{
    int64_t now = store->host->now(), next = PAWL__NEVER;
    rest_answer_timer(store);
    for (const pawl__link *l = store->under_way.next; l != &store->under_way; l = l->next) {
        const pawl__redis_pending *p = pawl__container(l, pawl__redis_pending, in_order);
        next = pawl__instant_min(next, p->answer_by);
    }
    if (next > now) {
        arm_answer_timer(store, next);
        return;
    }
    if (PAWL_MUTANT(late_reply_read)) {
        pawl__redis_pending *late = first_under_way(store);
        late->unanswered(store, late, true, PAWL_ERR_UNKNOWN, "no answer");
        return;
    }
    /* Law 4: its late reply must never be read as another's. */
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%.300s: no answer in time; the connection was closed",
             store->space.where);
    pawl__redis_link_break(store, PAWL_ERR_UNAVAILABLE, message);
}

/* ---- The guard's question ------------------------------------------------------------------ */

#define GUARD_ANSWER_MS 5000 /* where it is not part of a greeting */

typedef struct guard_question {
    pawl__redis_pending pending;
    bool by_hash, is_greeting;
    int64_t longer_ms;
} guard_question;

static bool send_question(pawl_store *store, guard_question *q)
{
    pawl__redis_guard_words words;
    pawl__redis_guard_encode(store, q->by_hash, q->longer_ms, &words);
    if (pawl__redis_send(store, words.argv, sizeof words.argv / sizeof words.argv[0], &q->pending))
        return true;
    pawl__redis_link_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
    free(q);
    return false;
}

static void question_answered(pawl_store *store, pawl__redis_pending *pending,
                              const pawl__redis_value *value)
{
    guard_question *q = pawl__container(pending, guard_question, pending);
    char message[PAWL_MESSAGE_MAX];
    bool is_greeting = q->is_greeting;
    if (store->link.login.refused) {
        free(q);
        return;
    }
    if (q->by_hash && value->type == PAWL__REDIS_ERROR &&
        strncmp(value->text.data, "NOSCRIPT", 8) == 0) {
        q->by_hash = false;
        if (send_question(store, q)) store->wire->flush(store);
        return;
    }
    free(q);
    pawl_err err = pawl__redis_guard_answered(store, value, message);
    if (err)
        pawl__redis_link_break(store, err, message);
    else if (is_greeting)
        store->link.greeted_more(store);
}

/* The next connection asks again. */
static void question_lost(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                          pawl_err err, const char *message)
{
    (void)store, (void)maybe_done, (void)err, (void)message;
    free(pawl__container(pending, guard_question, pending));
}

static void question_drop(pawl__redis_pending *pending)
{
    free(pawl__container(pending, guard_question, pending));
}

void pawl__redis_ask_guard(pawl_store *store, bool is_greeting, int64_t longer_ms)
{
    guard_question *q = malloc(sizeof *q);
    if (!q) {
        pawl__redis_link_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
        return;
    }
    int64_t by = pawl__instant_add(store->host->now(), pawl__ms_to_ns(GUARD_ANSWER_MS));
    *q = (guard_question){.pending = {.answer_by = is_greeting ? PAWL__NEVER : by,
                                      .answered = question_answered,
                                      .unanswered = question_lost,
                                      .drop = question_drop},
                          /* An announcement comes with the body: if its script had been forgotten,
                           * it would be said again behind the request that it has to precede. */
                          .by_hash = longer_ms == 0,
                          .is_greeting = is_greeting,
                          .longer_ms = longer_ms};
    (void)send_question(store, q);
}

/* ---- The beginning and the end -------------------------------------------------------------- */

static char *copy(char **room, const char *text, size_t len)
{
    char *at = *room;
    if (!text) return NULL;
    memcpy(at, text, len);
    at[len] = '\0';
    *room += len + 1;
    return at;
}

pawl__redis_asked *pawl__redis_new_asked(const pawl_request *request)
{
    size_t token_len = request->token ? strlen(request->token) : 0;
    size_t owner_len = request->owner ? strlen(request->owner) : 0;
    pawl__redis_asked *a =
        malloc(sizeof *a + request->name_len + token_len + owner_len + request->value_len + 4);
    if (!a) return NULL;
    char *room = a->room;
    a->pending = (pawl__redis_pending){.answer_by = request->answer_by,
                                       .answered = pawl__redis_asked_answered,
                                       .unanswered = pawl__redis_asked_unanswered,
                                       .drop = asked_drop,
                                       .releases = asked_releases};
    a->request = *request;
    a->with_body = a->again = a->in_doubt = false;
    a->request.name = copy(&room, request->name, request->name_len);
    a->request.token = copy(&room, request->token, token_len);
    a->request.owner = copy(&room, request->owner, owner_len);
    a->request.value = copy(&room, request->value, request->value_len);
    return a;
}

bool pawl__redis_room_for_reports(pawl_store *store)
{
    if (!store->rows) store->rows = calloc(1, sizeof *store->rows);
    return store->rows != NULL;
}

bool pawl__redis_requests_init(pawl_store *store)
{
    store->refusals = calloc(PAWL__REDIS_REFUSALS_FIRST, sizeof *store->refusals);
    store->refusal_room = PAWL__REDIS_REFUSALS_FIRST;
    store->answer_at = PAWL__NEVER;
    pawl__list_init(&store->under_way);
    pawl__list_init(&store->gathered);
    return store->refusals != NULL;
}

void pawl__redis_requests_done(pawl_store *store)
{
    pawl__redis_pending *pending;
    while ((pending = first_under_way(store)) != NULL) pending->drop(pending);
    pawl__redis_asked *a;
    while ((a = pawl__redis_take_gathered(store)) != NULL) free(a);
    free(store->refusals);
    free(store->rows);
    store->refusals = NULL;
    store->rows = NULL;
    store->refusal_count = store->refusal_room = 0;
}
