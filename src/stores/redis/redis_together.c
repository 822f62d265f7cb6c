/* SPDX-License-Identifier: MIT */
/*
 * Requests that travel together: those with PAWL_ASK_TOGETHER that stand one behind the other when
 * they are flushed become one call, whose script does with each name what the ordinary script would
 * do. A call costs the server as much as the lock that it takes, so three free names in one are
 * little more than one name.
 *
 * Each request is answered by itself, with the ordinary script's words. What could not be done in
 * the call is asked for once more, alone: an ACQUIRE is idempotent by token, a RELEASE may come
 * late (rule 4). But whoever was in such a call may have been done by it, so it is not told to have
 * failed if the second request fails (law 4).
 *
 * A server may refuse keys of several slots in one call (a cluster). Then all travel alone.
 * RELEASEs do so until the server has answered ACQUIREs in one call, and their first call brings
 * its script along: who releases may be gone before a refusal comes, and then nobody would ask once
 * more.
 */
#include "redis_asked.h"
#include "redis_scripts.h"

#include "../../base/instant.h"
#include "../../base/mutant.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- The call and its answer -------------------------------------------------------------- */

void pawl__redis_encode_together(const pawl__redis_space *space,
                                 const pawl_request *const *requests, size_t count,
                                 pawl__redis_together_call *ret_call)
{
    /* In the order in which the scripts want them. */
    static const int order[PAWL__REDIS_KEYS] = {PAWL__REDIS_KEY_LOCK, PAWL__REDIS_KEY_QUEUE,
                                                PAWL__REDIS_KEY_RECORD, PAWL__REDIS_KEY_WAITERS};
    bool acquires = requests[0]->verb == PAWL_VERB_ACQUIRE;
    pawl__redis_bytes *argv = ret_call->argv, keys[PAWL__REDIS_KEYS];
    size_t n = 2;
    ret_call->script = acquires ? PAWL__REDIS_ACQUIRE_TOGETHER : PAWL__REDIS_RELEASE_TOGETHER;
    argv[n].len = (size_t)snprintf(ret_call->count_room, sizeof ret_call->count_room, "%u",
                                   (unsigned)count * PAWL__REDIS_KEYS);
    argv[n++].data = ret_call->count_room;
    for (size_t i = 0; i < count; i++) {
        pawl__redis_keys(space, requests[i]->name, requests[i]->name_len, ret_call->key_room[i],
                         keys);
        for (size_t k = 0; k < PAWL__REDIS_KEYS; k++) argv[n + k * count + i] = keys[order[k]];
    }
    n += PAWL__REDIS_KEYS * count;
    (void)pawl__redis_encode(space, requests[0], &ret_call->first); /* the first token is no. 0 */
    for (size_t i = 1; acquires && i < 3; i++) argv[n++] = ret_call->first.args[i]; /* ttl, who */
    for (size_t i = 0; i < count; i++)
        argv[n++] = (pawl__redis_bytes){requests[i]->token, strlen(requests[i]->token)};
    ret_call->argc = n;
}

bool pawl__redis_split_together(pawl__redis_bytes text, size_t count,
                                pawl__redis_bytes ret_answers[PAWL__REDIS_TOGETHER_MAX])
{
    for (size_t i = 0; i < count; i++) {
        const char *end = text.len ? memchr(text.data, '\n', text.len) : NULL;
        if (!end) return false;
        size_t len = (size_t)(end - text.data);
        ret_answers[i] = (pawl__redis_bytes){.data = text.data, .len = len};
        text = (pawl__redis_bytes){.data = end + 1, .len = text.len - len - 1};
    }
    return text.len == 0;
}

/* ---- Under way ---------------------------------------------------------------------------- */

typedef struct together {
    pawl__redis_pending pending;
    pawl__redis_script script;
    bool with_body;
    size_t count;
    pawl__redis_asked *parts[PAWL__REDIS_TOGETHER_MAX];
} together;

static unsigned bit_of(pawl__redis_script script)
{
    return 1u << script;
}

static bool releases(const together *t)
{
    return t->parts[0]->request.verb == PAWL_VERB_RELEASE;
}

static void ask_alone(pawl_store *store, pawl__redis_asked *a, bool in_doubt)
{
    a->in_doubt |= in_doubt && !PAWL_MUTANT(together_half_failed);
    pawl__redis_send_again(store, a, false);
}

static void all_alone(pawl_store *store, together *t, bool in_doubt)
{
    for (size_t i = 0; i < t->count; i++) ask_alone(store, t->parts[i], in_doubt);
    free(t);
}

static bool send(pawl_store *store, together *t, bool with_body)
{
    const pawl_request *requests[PAWL__REDIS_TOGETHER_MAX];
    pawl__redis_together_call call;
    requests[0] = &t->parts[0]->request; /* there are two at least */
    for (size_t i = 1; i < t->count; i++) requests[i] = &t->parts[i]->request;
    pawl__redis_encode_together(&store->space, requests, t->count, &call);
    t->script = pawl__redis_guard_variant(store, call.script);
    t->with_body = with_body || (releases(t) && !(store->together_known & bit_of(t->script)));
    const pawl__redis_script_text *script = &pawl__redis_scripts[t->script];
    const char *text = t->with_body ? script->body : script->sha1;
    call.argv[0] =
        t->with_body ? (pawl__redis_bytes){"EVAL", 4} : (pawl__redis_bytes){"EVALSHA", 7};
    call.argv[1] = (pawl__redis_bytes){text, strlen(text)};
    if (!pawl__redis_send(store, call.argv, call.argc, &t->pending)) return false;
    for (size_t i = 0; i < t->count; i++) {
        pawl__redis_asked *a = t->parts[i];
        pawl__redis_script alone = releases(t) ? PAWL__REDIS_RELEASE : PAWL__REDIS_ACQUIRE;
        a->script = pawl__redis_guard_variant(store, alone); /* whose words the answer has */
        a->with_body = false;
        a->pending.end = t->pending.end;
    }
    if (releases(t)) store->last_release_end = t->pending.end;
    return true;
}

/* The answer to one of them, unless the one before it broke the link. */
static void give(pawl_store *store, pawl__redis_asked *a, pawl__redis_bytes answer)
{
    char text[PAWL_MESSAGE_MAX];
    if (store->link.broken) {
        pawl__redis_asked_unanswered(store, &a->pending, true, store->link.err,
                                     store->link.message);
        return;
    }
    if (answer.data[0] == '-' || answer.len >= sizeof text) {
        ask_alone(store, a, true);
        return;
    }
    memcpy(text, answer.data, answer.len);
    text[answer.len] = '\0';
    pawl__redis_value value = {.type = PAWL__REDIS_STRING, .text = {text, answer.len}};
    pawl__redis_asked_answered(store, &a->pending, &value);
}

static bool is_one_overtaken(const pawl_store *store, const together *t)
{
    for (size_t i = 0; i < t->count; i++)
        if (pawl__redis_is_overtaken(store, t->parts[i])) return true;
    return false;
}

static void refused(pawl_store *store, together *t, const pawl__redis_value *value)
{
    char message[PAWL_MESSAGE_MAX];
    const char *script = pawl__redis_scripts[t->script].body;
    pawl__redis_trouble trouble =
        pawl__redis_explain(&store->space, "EVALSHA", NULL, script, value->text, message);
    bool goes_again = trouble.no_script && !t->with_body && !is_one_overtaken(store, t);
    if (goes_again && send(store, t, true)) return;
    if (strncmp(value->text.data, "CROSSSLOT", 9) == 0) store->apart = true;
    all_alone(store, t, !trouble.not_done && !trouble.no_script);
}

static void answered(pawl_store *store, pawl__redis_pending *pending,
                     const pawl__redis_value *value)
{
    together *t = pawl__container(pending, together, pending);
    pawl__redis_bytes answers[PAWL__REDIS_TOGETHER_MAX];
    if (value->type == PAWL__REDIS_ERROR) {
        refused(store, t, value);
        return;
    }
    if (value->type != PAWL__REDIS_STRING ||
        !pawl__redis_split_together(value->text, t->count, answers)) {
        char message[PAWL_MESSAGE_MAX];
        snprintf(message, sizeof message, "%.300s: the answer to a script is not what it returns",
                 store->space.where);
        pawl__redis_link_break(store, PAWL_ERR_PROTOCOL, message);
        pending->unanswered(store, pending, true, PAWL_ERR_PROTOCOL, message);
        return;
    }
    store->together_known |= bit_of(t->script);
    for (size_t i = 0; i < t->count; i++) {
        size_t which = PAWL_MUTANT(together_one_answer) ? 0 : i;
        give(store, t->parts[i], answers[which]);
    }
    free(t);
}

static void unanswered(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                       pawl_err err, const char *message)
{
    together *t = pawl__container(pending, together, pending);
    for (size_t i = 0; i < t->count; i++)
        pawl__redis_asked_unanswered(store, &t->parts[i]->pending, maybe_done, err, message);
    free(t);
}

static void drop(pawl__redis_pending *pending)
{
    together *t = pawl__container(pending, together, pending);
    for (size_t i = 0; i < t->count; i++) free(t->parts[i]);
    free(t);
}

static bool releases_token(const pawl__redis_pending *pending, const char *token)
{
    const together *t = pawl__container(pending, together, pending);
    if (PAWL_MUTANT(together_overtaken)) return false;
    for (size_t i = 0; releases(t) && i < t->count; i++)
        if (strcmp(t->parts[i]->request.token, token) == 0) return true;
    return false;
}

/* ---- Gathered ----------------------------------------------------------------------------- */

static bool may_travel(const pawl_store *store, const pawl_request *request)
{
    const unsigned acquired =
        bit_of(PAWL__REDIS_ACQUIRE_TOGETHER) | bit_of(PAWL__REDIS_ACQUIRE_TOGETHER_GUARDED);
    if (!(request->flags & PAWL_ASK_TOGETHER) || store->apart) return false;
    if (request->verb == PAWL_VERB_RELEASE) return store->together_known & acquired;
    return request->verb == PAWL_VERB_ACQUIRE && request->mode == PAWL_MODE_EXCLUSIVE &&
           !(request->flags & PAWL_ASK_QUEUE);
}

static const pawl__redis_asked *asked_of(const pawl__link *link)
{
    return pawl__container(link, pawl__redis_asked, pending.in_order);
}

static bool is_same(const char *a, const char *b)
{
    return a && b ? strcmp(a, b) == 0 : a == b;
}

/* The names differ: a script that finds all names free takes each one it is given. */
static bool fits(const pawl_store *store, const pawl_request *request)
{
    if (store->gathered_count == PAWL__REDIS_TOGETHER_MAX) return false;
    for (const pawl__link *l = store->gathered.next; l != &store->gathered; l = l->next) {
        const pawl_request *other = &asked_of(l)->request;
        if (other->verb != request->verb || other->ttl_ms != request->ttl_ms) return false;
        if (!is_same(other->owner, request->owner)) return false;
        if (other->name_len == request->name_len &&
            memcmp(other->name, request->name, request->name_len) == 0)
            return false;
    }
    return true;
}

/* Whether it waits for others now. */
static bool gather(pawl_store *store, pawl__redis_asked *a)
{
    bool travels = may_travel(store, &a->request);
    if (store->gathered_count && !(travels && fits(store, &a->request)))
        pawl__redis_send_gathered(store);
    if (!travels) return false;
    pawl__list_append(&store->gathered, &a->pending.in_order);
    store->gathered_count++;
    return true;
}

/* False: they travel alone. */
static bool send_together(pawl_store *store, pawl__redis_asked *const *parts, size_t count)
{
    if (count < 2) return false;
    together *t = malloc(sizeof *t);
    if (!t) return false;
    *t = (together){.pending = {.answer_by = parts[0]->pending.answer_by,
                                .answered = answered,
                                .unanswered = unanswered,
                                .drop = drop,
                                .releases = releases_token},
                    .count = count};
    for (size_t i = 0; i < count; i++) {
        t->parts[i] = parts[i];
        t->pending.answer_by = pawl__instant_min(t->pending.answer_by, parts[i]->pending.answer_by);
    }
    if (send(store, t, false)) return true;
    free(t);
    return false;
}

void pawl__redis_send_gathered(pawl_store *store)
{
    pawl__redis_asked *parts[PAWL__REDIS_TOGETHER_MAX], *a;
    size_t count = 0;
    while ((a = pawl__redis_take_gathered(store)) != NULL) parts[count++] = a;
    if (send_together(store, parts, count)) return;
    for (size_t i = 0; i < count; i++) pawl__redis_send_asked(store, parts[i], false);
}

void pawl__redis_flush(pawl_store *store)
{
    pawl__redis_send_gathered(store);
    store->wire->flush(store);
}

/* ---- The entry ---------------------------------------------------------------------------- */

void pawl__redis_ask(pawl_store *store, const pawl_request *request)
{
    if (pawl__redis_guard_refuses(store, request)) {
        pawl__redis_refuse(store, request->id, PAWL_ERR_TTL);
        return;
    }
    if (pawl__redis_guard_must_announce(store, request))
        pawl__redis_ask_guard(store, false, request->ttl_ms);
    if (store->watch.asking) store->watch.asking(store, request);
    bool has_room = request->verb != PAWL_VERB_INSPECT || pawl__redis_room_for_reports(store);
    pawl__redis_asked *a = has_room ? pawl__redis_new_asked(request) : NULL;
    if (!a)
        pawl__redis_refuse(store, request->id, PAWL_ERR_NO_MEMORY);
    else if (!gather(store, a))
        pawl__redis_send_asked(store, a, false);
}
