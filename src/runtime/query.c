/* SPDX-License-Identifier: MIT */
#include "query.h"

#include "../base/instant.h"
#include "../base/line.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The ids of our requests are a 32-bit number above 32 zero bits; in the engine's ids those bits
 * are the index of a lease, which begins at 1 (groups.c). Both numbers start again after 2^32
 * requests and skip 0; by then nobody waits for the answer to the request that had the same number.
 */
#define QUERY_SHIFT 32

/* A store answers in time by itself; one that is still silent after this time never will. */
#define ANSWER_GRACE_NS (100 * PAWL__NS_PER_MS)

/* ---- Rows ----------------------------------------------------------------------------------- */

static char *put_text(char **room, const char *text, size_t len)
{
    char *copy = *room;
    if (len) memcpy(copy, text, len);
    copy[len] = '\0';
    *room += len + 1;
    return copy;
}

static const char *or_empty(const char *text)
{
    return text ? text : "";
}

/* A store with only one mode need not list its holder; then the report itself describes it. */
static pawl_holder_info the_holder(const pawl_info *info)
{
    return (pawl_holder_info){.owner = info->owner,
                              .remaining_ms = info->remaining_ms,
                              .fence = info->fence,
                              .mode = info->mode,
                              .mine = info->mine};
}

static size_t row_size(const pawl_info *info)
{
    size_t size = sizeof(pawl__row) + info->name_len + 1 + strlen(or_empty(info->owner)) + 1;
    size += info->waiters_shown * sizeof(pawl_waiter_info);
    size += info->holders_shown * sizeof(pawl_holder_info);
    for (size_t i = 0; i < info->waiters_shown; i++)
        size += strlen(or_empty(info->waiters[i].owner)) + 1;
    for (size_t i = 0; i < info->holders_shown; i++)
        size += strlen(or_empty(info->holders[i].owner)) + 1;
    if (info->broken_by) size += strlen(info->broken_by) + 1;
    return size;
}

/* One block holds the row and all that it points to: the arrays first, so they are aligned. */
static pawl__row *copy_row(const pawl_info *info)
{
    pawl__row *row = malloc(row_size(info));
    if (!row) return NULL;
    *row = (pawl__row){.info = *info};
    row->info.size = sizeof row->info;
    pawl_waiter_info *waiters = (pawl_waiter_info *)(row + 1);
    pawl_holder_info *holders = (pawl_holder_info *)(waiters + info->waiters_shown);
    char *room = (char *)(holders + info->holders_shown);
    for (size_t i = 0; i < info->waiters_shown; i++) {
        const char *owner = or_empty(info->waiters[i].owner);
        waiters[i] = info->waiters[i];
        waiters[i].owner = put_text(&room, owner, strlen(owner));
    }
    for (size_t i = 0; i < info->holders_shown; i++) {
        const char *owner = or_empty(info->holders[i].owner);
        holders[i] = info->holders[i];
        holders[i].owner = put_text(&room, owner, strlen(owner));
    }
    row->info.waiters = waiters;
    row->info.holders = holders;
    row->info.name = put_text(&room, info->name, info->name_len);
    row->info.owner = put_text(&room, or_empty(info->owner), strlen(or_empty(info->owner)));
    if (info->broken_by)
        row->info.broken_by = put_text(&room, info->broken_by, strlen(info->broken_by));
    return row;
}

static pawl__row *copy_info(const pawl_info *given)
{
    pawl_info whole = {0}; /* a store for an older pawl has fewer members */
    memcpy(&whole, given, given->size < sizeof whole ? given->size : sizeof whole);
    if (!whole.name) whole.name_len = 0; /* a wrong report must not crash us */
    if (!whole.waiters) whole.waiters_shown = 0;
    if (!whole.holders) whole.holders_shown = 0;
    if (!whole.held || whole.holder_count) return copy_row(&whole);
    pawl_holder_info one = the_holder(&whole);
    whole.holders = &one;
    whole.holder_count = whole.holders_shown = 1;
    return copy_row(&whole);
}

static pawl__row *copy_finding(const pawl_finding *finding)
{
    const char *topic = or_empty(finding->topic), *text = or_empty(finding->text);
    const char *advice = or_empty(finding->advice);
    pawl__row *row = malloc(sizeof *row + strlen(topic) + strlen(text) + strlen(advice) + 3);
    if (!row) return NULL;
    *row = (pawl__row){.finding = *finding};
    row->finding.size = sizeof row->finding;
    char *room = (char *)(row + 1);
    row->finding.topic = put_text(&room, topic, strlen(topic));
    row->finding.text = put_text(&room, text, strlen(text));
    row->finding.advice = put_text(&room, advice, strlen(advice));
    /* It may quote names of a server's tables, and people read it on a terminal. */
    pawl__line_mend((char *)row->finding.topic);
    pawl__line_mend((char *)row->finding.text);
    pawl__line_mend((char *)row->finding.advice);
    return row;
}

void pawl__query_free_rows(pawl__query *query)
{
    for (pawl__link *l; (l = pawl__list_first(&query->rows));) {
        pawl__list_remove(l);
        free(pawl__container(l, pawl__row, in_rows));
    }
}

/* ---- The loop owner's side ----------------------------------------------------------------------
 */

static pawl__query *query_of(pawl__link *link)
{
    return pawl__container(link, pawl__query, in_queries);
}

/* The query may be gone when this returns, because its caller wakes. Mutex held. */
static void complete_held(pawl__queries *queries, pawl__query *query, int err, const char *message)
{
    pawl__list_remove(&query->in_queries);
    snprintf(query->message, sizeof query->message, "%s", or_empty(message));
    if (!query->done) {
        pawl__gate_complete(queries->pump->gate, &query->waiter, err);
        return;
    }
    pawl__gate_async_ended(queries->pump->gate);
    query->err = err;
    if (err && err != PAWL_ERR_CLOSED) {
        pawl__set_message(queries->pump->messages, "%s", query->message);
        pawl__set_reason(queries->pump->messages, err, query->message);
    }
    pawl__calls_add_answer(queries->calls, &query->in_calls);
}

bool pawl__query_run(pawl__calls *calls, pawl__link *in_calls)
{
    pawl__query *query = pawl__container(in_calls, pawl__query, in_calls);
    pawl__list_remove(in_calls);
    uint64_t process = pawl__calls_begin(calls, query->of);
    query->done(query, query->err); /* the query may be gone */
    return pawl__calls_end(calls, process);
}

static void complete(pawl__queries *queries, pawl__query *query, int err, const char *message)
{
    pthread_mutex_lock(&queries->pump->gate->mutex);
    complete_held(queries, query, err, message);
    pthread_mutex_unlock(&queries->pump->gate->mutex);
}

static uint64_t next_id(pawl__queries *queries)
{
    if (++queries->last_id == 0) queries->last_id = 1;
    return (uint64_t)queries->last_id << QUERY_SHIFT;
}

static bool is_query(uint64_t id)
{
    return (uint32_t)id == 0;
}

void pawl__queries_init(pawl__queries *queries, pawl__pump *pump, pawl__calls *calls)
{
    *queries = (pawl__queries){.pump = pump, .calls = calls};
    pawl__list_init(&queries->watching);
    pawl__list_init(&queries->asked);
    pawl__list_init(&queries->waiting);
    pawl__list_init(&queries->asking);
}

void pawl__query_ask(pawl__queries *queries, pawl__query *query)
{
    pawl__list_append(&queries->asked, &query->in_queries);
}

static void submit(pawl__queries *queries, pawl__query *query)
{
    pawl__list_remove(&query->in_queries);
    if (query->wants_caps) {
        pthread_mutex_lock(&queries->pump->gate->mutex);
        if (queries->pump->has_caps) *query->ret_caps = queries->pump->caps;
        pthread_mutex_unlock(&queries->pump->gate->mutex);
        complete(queries, query, PAWL_OK, NULL);
        return;
    }
    int64_t patience = pawl__ms_to_ns(queries->pump->answer_ms);
    int64_t answer_by = pawl__instant_add(pawl__now(), patience);
    query->request.id = next_id(queries);
    if (query->heard) query->heard->news = queries->news;
    query->request.answer_by = pawl__instant_min(answer_by, query->until);
    pawl__list_append(&queries->asking, &query->in_queries);
    pawl__pump_submit(queries->pump, &query->request);
}

/* A caller that does not wait stays for one attempt to connect at most, as in an acquisition. */
static bool is_too_hasty(const pawl__queries *queries, const pawl__query *query)
{
    return query->hasty && queries->pump->link_tried;
}

/* Callers must not wait for a store that refuses us for good. */
static bool refuses_for_good(const pawl__queries *queries)
{
    pawl_err_class cls = pawl_err_class_of(queries->pump->link_err);
    if (queries->pump->link_final) return true;
    return cls == PAWL_CLASS_DENIED || cls == PAWL_CLASS_USAGE || cls == PAWL_CLASS_INTERNAL;
}

/* Wakes those who watch the name, or all. A READ under way is older than the news, too. */
static void tell_news(pawl__queries *queries, const char *name, size_t name_len)
{
    queries->news++;
    for (pawl__link *l = queries->watching.next, *next; l != &queries->watching; l = next) {
        next = l->next;
        const pawl_request *request = &query_of(l)->request;
        bool concerns =
            !name || (request->name_len == name_len && memcmp(request->name, name, name_len) == 0);
        if (concerns) complete(queries, query_of(l), PAWL_OK, NULL);
    }
}

static void await_news(pawl__queries *queries, pawl__query *query)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): awaits_news is set with heard */
    if (queries->news != query->heard->news) {
        complete(queries, query, PAWL_OK, NULL);
        return;
    }
    pawl__list_remove(&query->in_queries);
    pawl__list_append(&queries->watching, &query->in_queries);
}

static void ask_or_wait(pawl__queries *queries, pawl__query *query)
{
    if (query->is_news) {
        tell_news(queries, query->request.name, query->request.name_len);
        complete(queries, query, PAWL_OK, NULL);
    } else if (query->awaits_news) {
        await_news(queries, query);
    } else if (queries->pump->broken || queries->pump->failed) {
        complete(queries, query, PAWL_ERR_SYSTEM, NULL);
    } else if (queries->pump->link_up) {
        submit(queries, query);
    } else if (queries->pump->link_err &&
               (refuses_for_good(queries) || is_too_hasty(queries, query))) {
        complete(queries, query, queries->pump->link_err, queries->pump->link_message);
    } else {
        pawl__list_remove(&query->in_queries);
        pawl__list_append(&queries->waiting, &query->in_queries);
    }
}

static void move_list(pawl__link *from, pawl__link *to)
{
    *to = *from; /* the ring's ends still point at the old head */
    to->next->prev = to->prev->next = to;
    pawl__list_init(from);
}

static void ask_or_wait_all(pawl__queries *queries, pawl__link *list)
{
    for (pawl__link *l; (l = pawl__list_first(list));) ask_or_wait(queries, query_of(l));
}

void pawl__queries_take(pawl__queries *queries)
{
    pawl__link list;
    if (pawl__list_empty(&queries->asked)) return;
    move_list(&queries->asked, &list);
    pthread_mutex_unlock(&queries->pump->gate->mutex);
    ask_or_wait_all(queries, &list);
    pthread_mutex_lock(&queries->pump->gate->mutex);
}

void pawl__queries_push(pawl__queries *queries, const pawl_push *push)
{
    tell_news(queries, push->name, push->name_len);
}

bool pawl__queries_are_awaited(const pawl__queries *queries)
{
    if (!pawl__list_empty(&queries->waiting)) return true;
    for (const pawl__link *l = queries->watching.next; l != &queries->watching; l = l->next)
        if (!pawl__container(l, const pawl__query, in_queries)->done) return true;
    return false;
}

void pawl__queries_link(pawl__queries *queries)
{
    tell_news(queries, NULL, 0);
    pawl__link list; /* taken out, because a query may wait again meanwhile */
    if (pawl__list_empty(&queries->waiting)) return;
    move_list(&queries->waiting, &list);
    ask_or_wait_all(queries, &list);
}

static pawl__query *find(pawl__queries *queries, uint64_t id)
{
    for (pawl__link *l = queries->asking.next; l != &queries->asking; l = l->next)
        if (query_of(l)->request.id == id) return query_of(l);
    return NULL;
}

/* Whether the outcome is an answer to this verb: all others are errors of the store. */
static bool is_an_answer(const pawl__query *query, const pawl_reply *reply)
{
    switch (query->request.verb) {
    case PAWL_VERB_RENEW:
    case PAWL_VERB_PUBLISH:
        return reply->outcome == PAWL_CONFIRMED || reply->outcome == PAWL_NOT_OWNER;
    case PAWL_VERB_RELEASE:
        return reply->outcome == PAWL_RELEASED || reply->outcome == PAWL_LEFT ||
               reply->outcome == PAWL_NOT_OWNER;
    case PAWL_VERB_BREAK:
        return reply->outcome == PAWL_RELEASED || reply->outcome == PAWL_NOT_OWNER;
    case PAWL_VERB_READ:
    case PAWL_VERB_INSPECT:
    case PAWL_VERB_LIST:
    case PAWL_VERB_DOCTOR:
        return reply->outcome == PAWL_REPORTED;
    case PAWL_VERB_ACQUIRE:
    case PAWL_VERB_CHANGE: /* the engine's */
        break;
    }
    return false;
}

static int err_of(const pawl__query *query, const pawl_reply *reply)
{
    if (query->no_memory) return PAWL_ERR_NO_MEMORY;
    if (reply->outcome == PAWL_FAILED) return reply->err ? reply->err : PAWL_ERR_INTERNAL;
    if (reply->outcome == PAWL_UNKNOWN) return PAWL_ERR_UNKNOWN;
    return is_an_answer(query, reply) ? PAWL_OK : PAWL_ERR_PROTOCOL;
}

static void hear(pawl__heard *heard, const pawl_value *value)
{
    size_t len = value->len < PAWL_STORED_MAX ? value->len : PAWL_STORED_MAX;
    heard->value = *value;
    if (len) memcpy(heard->bytes, value->bytes, len);
    heard->bytes[len] = '\0';
    snprintf(heard->owner, sizeof heard->owner, "%s", or_empty(value->owner));
    heard->value.bytes = heard->bytes;
    heard->value.len = len;
    heard->value.owner = heard->owner;
}

bool pawl__queries_reply(pawl__queries *queries, const pawl_reply *reply)
{
    if (!is_query(reply->id)) return false;
    pawl__query *query = find(queries, reply->id);
    if (!query) return true;
    query->outcome = reply->outcome;
    query->fence = reply->fence;
    if (query->heard) hear(query->heard, reply->value ? reply->value : &(pawl_value){0});
    int err = err_of(query, reply);
    if (err == PAWL_ERR_UNAVAILABLE &&
        !queries->pump->link_up) {    /* not done: wait for the link again */
        pawl__query_free_rows(query); /* all rows come again */
        query->no_memory = false;
        ask_or_wait(queries, query);
        return true;
    }
    const char *message = reply->message ? reply->message : pawl_err_text(err);
    complete(queries, query, err, err ? message : NULL);
    return true;
}

static void keep_row(pawl__queries *queries, uint64_t id, pawl__row *row)
{
    pawl__query *query = find(queries, id);
    if (!query) {
        free(row);
        return;
    }
    if (row)
        pawl__list_append(&query->rows, &row->in_rows);
    else
        query->no_memory = true;
}

void pawl__queries_row(pawl__queries *queries, uint64_t id, const pawl_info *info)
{
    keep_row(queries, id, copy_info(info));
}

void pawl__queries_finding(pawl__queries *queries, uint64_t id, const pawl_finding *finding)
{
    keep_row(queries, id, copy_finding(finding));
}

static int64_t given_up_at(const pawl__query *query)
{
    return pawl__instant_add(query->request.answer_by, ANSWER_GRACE_NS);
}

int64_t pawl__queries_deadline(const pawl__queries *queries)
{
    int64_t at = PAWL__NEVER;
    for (pawl__link *l = queries->waiting.next; l != &queries->waiting; l = l->next)
        at = pawl__instant_min(at, query_of(l)->link_until);
    for (pawl__link *l = queries->asking.next; l != &queries->asking; l = l->next)
        at = pawl__instant_min(at, given_up_at(query_of(l)));
    for (pawl__link *l = queries->watching.next; l != &queries->watching; l = l->next)
        at = pawl__instant_min(at, query_of(l)->until);
    return at;
}

/* A store that does not answer in time must not keep a caller waiting. */
static void give_up_asking(pawl__queries *queries, int64_t now)
{
    for (pawl__link *l = queries->asking.next, *next; l != &queries->asking; l = next) {
        next = l->next;
        if (given_up_at(query_of(l)) > now) continue;
        pawl__gate_answered(queries->pump->gate); /* there will be no answer */
        complete(queries, query_of(l), PAWL_ERR_UNKNOWN, pawl_err_text(PAWL_ERR_UNKNOWN));
    }
}

void pawl__queries_time(pawl__queries *queries, int64_t now)
{
    give_up_asking(queries, now);
    for (pawl__link *l = queries->watching.next, *next; l != &queries->watching; l = next) {
        next = l->next;
        if (query_of(l)->until <= now) complete(queries, query_of(l), PAWL_OK, NULL);
    }
    for (pawl__link *l = queries->waiting.next, *next; l != &queries->waiting; l = next) {
        next = l->next;
        pawl__query *query = query_of(l);
        if (query->link_until > now) continue;
        pawl_err err = queries->pump->link_err ? queries->pump->link_err : PAWL_ERR_UNAVAILABLE;
        char silence[PAWL_MESSAGE_MAX];
        pawl__say_silence(queries->pump->messages, silence);
        complete(queries, query, err,
                 queries->pump->link_message[0] ? queries->pump->link_message : silence);
    }
}

static void end_list(pawl__queries *queries, pawl__link *list, int err)
{
    for (pawl__link *l; (l = pawl__list_first(list));)
        complete_held(queries, query_of(l), err, pawl_err_text(err));
}

void pawl__queries_end(pawl__queries *queries, int err)
{
    end_list(queries, &queries->asked, err);
    end_list(queries, &queries->waiting, err);
    end_list(queries, &queries->asking, err);
    end_list(queries, &queries->watching, err);
}
