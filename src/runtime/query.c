/* SPDX-License-Identifier: MIT */
/*
 * Questions that go to the store past the engine: by token, looking, breaking.
 * The caller sleeps until the answer is there, then runs its own callbacks: they
 * never run on the driver's side.
 */
#include "../base/line.h"
#include "runtime.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/*
 * The ids of our requests are a number of 32 bits above 32 zeros, where the engine's have the
 * index of a lease, which begins at 1 (slots.c). Both numbers come round after 2^32 requests and
 * leave out 0; by then nobody waits any more for an answer to the request that had the number.
 */
#define QUERY_SHIFT 32

/* A store answers by itself in time; one that is still silent after this never will. */
#define ANSWER_GRACE_NS (100 * PAWL__NS_PER_MS)

#define CAPS_FIRST_SIZE (offsetof(pawl_caps, modes) + sizeof(unsigned)) /* in the first release */
#define CAPS_SIZE_SANE  4096                                            /* larger: it was not set */

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

static size_t waiters_size(const pawl_info *info)
{
    size_t size = info->waiters_shown * sizeof(pawl_waiter_info);
    for (size_t i = 0; i < info->waiters_shown; i++)
        size += strlen(or_empty(info->waiters[i].owner)) + 1;
    return size;
}

/* One block holds the row and all that it points to. */
static pawl__row *copy_info(const pawl_info *info)
{
    size_t owner_len = strlen(or_empty(info->owner));
    pawl__row *row = malloc(sizeof *row + waiters_size(info) + info->name_len + owner_len + 2);
    if (!row) return NULL;
    *row = (pawl__row){.info = *info};
    row->info.size = sizeof row->info;
    pawl_waiter_info *waiters = (pawl_waiter_info *)(row + 1);
    char *room = (char *)(waiters + info->waiters_shown);
    for (size_t i = 0; i < info->waiters_shown; i++) {
        const char *owner = or_empty(info->waiters[i].owner);
        waiters[i] = info->waiters[i];
        waiters[i].owner = put_text(&room, owner, strlen(owner));
    }
    row->info.waiters = waiters;
    row->info.name = put_text(&room, info->name, info->name_len);
    row->info.owner = put_text(&room, or_empty(info->owner), owner_len);
    return row;
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
    /* It may quote names of a server's tables, and a terminal is where it is read. */
    pawl__line_mend((char *)row->finding.topic);
    pawl__line_mend((char *)row->finding.text);
    pawl__line_mend((char *)row->finding.advice);
    return row;
}

static void free_rows(pawl__link *rows)
{
    for (pawl__link *l; (l = pawl__list_first(rows));) {
        pawl__list_remove(l);
        free(pawl__container(l, pawl__row, in_rows));
    }
}

/* ---- The driver's side ---------------------------------------------------------------------- */

static pawl__query *query_of(pawl__link *link)
{
    return pawl__container(link, pawl__query, in_queries);
}

/* The query may be gone when this returns: its caller sleeps no more. Mutex held. */
static void complete_held(pawl_client *c, pawl__query *query, int err, const char *message)
{
    pawl__list_remove(&query->in_queries);
    snprintf(query->message, sizeof query->message, "%s", or_empty(message));
    pawl__gate_complete(&c->gate, &query->waiter, err);
}

static void complete(pawl_client *c, pawl__query *query, int err, const char *message)
{
    pthread_mutex_lock(&c->gate.mutex);
    complete_held(c, query, err, message);
    pthread_mutex_unlock(&c->gate.mutex);
}

static uint64_t next_id(pawl_client *c)
{
    if (++c->last_query == 0) c->last_query = 1;
    return (uint64_t)c->last_query << QUERY_SHIFT;
}

static bool is_query(uint64_t id)
{
    return (uint32_t)id == 0;
}

static void submit(pawl_client *c, pawl__query *query)
{
    pawl__list_remove(&query->in_queries);
    if (query->wants_caps) {
        pthread_mutex_lock(&c->gate.mutex);
        if (c->has_caps) *query->ret_caps = c->caps;
        pthread_mutex_unlock(&c->gate.mutex);
        complete(c, query, PAWL_OK, NULL);
        return;
    }
    int64_t patience = pawl__ms_to_ns(pawl__client_answer_ms(c));
    int64_t answer_by = pawl__instant_add(pawl__now(), patience);
    query->request.id = next_id(c);
    query->request.answer_by = pawl__instant_min(answer_by, query->until);
    pawl__list_append(&c->asking, &query->in_queries);
    pawl__turn_submit(c, &query->request);
}

/* A store that refuses us for good must not make callers wait. */
static bool refuses_for_good(const pawl_client *c)
{
    pawl_err_class cls = pawl_err_class_of(c->link_err);
    if (c->link_final) return true;
    return cls == PAWL_CLASS_DENIED || cls == PAWL_CLASS_USAGE || cls == PAWL_CLASS_INTERNAL;
}

static void ask_or_wait(pawl_client *c, pawl__query *query)
{
    if (c->broken || c->failed) {
        complete(c, query, PAWL_ERR_SYSTEM, NULL);
    } else if (c->link_up) {
        submit(c, query);
    } else if (c->link_err && refuses_for_good(c)) {
        complete(c, query, c->link_err, c->link_message);
    } else {
        pawl__list_remove(&query->in_queries);
        pawl__list_append(&c->waiting, &query->in_queries);
    }
}

void pawl__queries_take(pawl_client *c, pawl__link *list)
{
    for (pawl__link *l; (l = pawl__list_first(list));) ask_or_wait(c, query_of(l));
}

void pawl__queries_link(pawl_client *c)
{
    pawl__link list;
    if (pawl__list_empty(&c->waiting)) return;
    list = c->waiting; /* may grow again while we look */
    list.next->prev = list.prev->next = &list;
    pawl__list_init(&c->waiting);
    pawl__queries_take(c, &list);
}

static pawl__query *find(pawl_client *c, uint64_t id)
{
    for (pawl__link *l = c->asking.next; l != &c->asking; l = l->next)
        if (query_of(l)->request.id == id) return query_of(l);
    return NULL;
}

static int err_of(const pawl__query *query, const pawl_reply *reply)
{
    if (query->no_memory) return PAWL_ERR_NO_MEMORY;
    if (reply->outcome == PAWL_FAILED) return reply->err ? reply->err : PAWL_ERR_INTERNAL;
    return reply->outcome == PAWL_UNKNOWN ? PAWL_ERR_UNKNOWN : PAWL_OK;
}

bool pawl__queries_reply(pawl_client *c, const pawl_reply *reply)
{
    if (!is_query(reply->id)) return false;
    pawl__query *query = find(c, reply->id);
    if (!query) return true;
    query->outcome = reply->outcome;
    query->fence = reply->fence;
    int err = err_of(query, reply);
    if (err == PAWL_ERR_UNAVAILABLE && !c->link_up) { /* not done: it waits for the link again */
        free_rows(&query->rows);                      /* and is told all anew */
        query->no_memory = false;
        ask_or_wait(c, query);
        return true;
    }
    const char *message = reply->message ? reply->message : pawl_err_text(err);
    complete(c, query, err, err ? message : NULL);
    return true;
}

static void keep_row(pawl_client *c, uint64_t id, pawl__row *row)
{
    pawl__query *query = find(c, id);
    if (!query) {
        free(row);
        return;
    }
    if (row)
        pawl__list_append(&query->rows, &row->in_rows);
    else
        query->no_memory = true;
}

void pawl__queries_row(pawl_client *c, uint64_t id, const pawl_info *info)
{
    keep_row(c, id, copy_info(info));
}

void pawl__queries_finding(pawl_client *c, uint64_t id, const pawl_finding *finding)
{
    keep_row(c, id, copy_finding(finding));
}

static int64_t given_up_at(const pawl__query *query)
{
    return pawl__instant_add(query->request.answer_by, ANSWER_GRACE_NS);
}

int64_t pawl__queries_deadline(const pawl_client *c)
{
    int64_t at = PAWL__NEVER;
    for (pawl__link *l = c->waiting.next; l != &c->waiting; l = l->next)
        at = pawl__instant_min(at, query_of(l)->link_until);
    for (pawl__link *l = c->asking.next; l != &c->asking; l = l->next)
        at = pawl__instant_min(at, given_up_at(query_of(l)));
    return at;
}

/* A store, perhaps somebody else's, that broke its word must not keep a caller. */
static void give_up_asking(pawl_client *c, int64_t now)
{
    for (pawl__link *l = c->asking.next, *next; l != &c->asking; l = next) {
        next = l->next;
        if (given_up_at(query_of(l)) > now) continue;
        pawl__gate_answered(&c->gate); /* it will not be */
        complete(c, query_of(l), PAWL_ERR_UNKNOWN, pawl_err_text(PAWL_ERR_UNKNOWN));
    }
}

void pawl__queries_time(pawl_client *c, int64_t now)
{
    give_up_asking(c, now);
    for (pawl__link *l = c->waiting.next, *next; l != &c->waiting; l = next) {
        next = l->next;
        pawl__query *query = query_of(l);
        if (query->link_until > now) continue;
        pawl_err err = c->link_err ? c->link_err : PAWL_ERR_UNAVAILABLE;
        char silence[PAWL_MESSAGE_MAX];
        snprintf(silence, sizeof silence, "%.400s has not answered in time", pawl_client_url(c));
        complete(c, query, err, c->link_message[0] ? c->link_message : silence);
    }
}

static void end_list(pawl_client *c, pawl__link *list, int err)
{
    for (pawl__link *l; (l = pawl__list_first(list));)
        complete_held(c, query_of(l), err, pawl_err_text(err));
}

void pawl__queries_end(pawl_client *c, int err)
{
    end_list(c, &c->queries, err);
    end_list(c, &c->waiting, err);
    end_list(c, &c->asking, err);
}

/* ---- The caller's side ---------------------------------------------------------------------- */

static bool name_ok(const char *name, size_t name_len)
{
    return name && name_len >= 1 && name_len <= PAWL_NAME_MAX && !memchr(name, 0, name_len);
}

static int may_ask(const pawl_client *c)
{
    if (c->gate.closing) return PAWL_ERR_CLOSED;
    return c->broken ? c->break_err : PAWL_OK;
}

static void prepare(pawl_client *c, pawl__query *query, int64_t wait_ms)
{
    int64_t now = pawl__now();
    int64_t patience = pawl__ms_to_ns(c->opts.store_timeout_ms);
    query->until = wait_ms < 0 ? PAWL__NEVER : pawl__instant_add(now, pawl__ms_to_ns(wait_ms));
    query->link_until = query->until;
    if (!query->wants_caps && patience >= 0)
        query->link_until = pawl__instant_min(query->until, pawl__instant_add(now, patience));
    pawl__list_init(&query->rows);
    pawl__waiter_init(&query->waiter);
    query->request.owner = c->owner;
}

/* Mutex held. */
static int ask_and_sleep(pawl_client *c, pawl__query *query)
{
    int err = may_ask(c);
    if (err) return err;
    pawl__list_append(&c->queries, &query->in_queries);
    pawl__gate_wait(&c->gate, &query->waiter, PAWL__NEVER); /* the loop owner ends it in time */
    pthread_mutex_lock(&c->gate.mutex);
    err = query->waiter.err;
    if (err && err != PAWL_ERR_CLOSED) {
        pawl__client_say(c, "%s", query->message);
        pawl__client_blame(c, err, query->message);
    }
    const char *text = "";
    if (!err && query->judge) {
        err = query->judge(query, &text);
        if (err) pawl__client_say(c, "%s", text);
    }
    return err;
}

/* Asks and sleeps. What came is in the query; the client is not touched afterwards. */
static int ask(pawl_client *c, pawl__query *query, int64_t wait_ms)
{
    if (wait_ms < PAWL_WAIT_FOREVER) return PAWL_ERR_ARGUMENT;
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    prepare(c, query, wait_ms);
    err = ask_and_sleep(c, query);
    pawl__leave(&visit);
    if (err) free_rows(&query->rows);
    return err;
}

/* The name gets a NUL behind it, as stores expect. */
static int begin(const pawl_client *c, pawl__query *query, pawl_verb verb, const char *name,
                 size_t name_len, char room[PAWL_NAME_MAX + 1])
{
    if (!c) return PAWL_ERR_ARGUMENT;
    if (pawl__gate_is_forked(&c->gate)) return PAWL_ERR_FORKED;
    if (!name_ok(name, name_len)) return PAWL_ERR_NAME;
    memcpy(room, name, name_len);
    room[name_len] = '\0';
    *query = (pawl__query){.request = {.verb = verb, .name = room, .name_len = name_len}};
    return PAWL_OK;
}

/* ---- By token ------------------------------------------------------------------------------- */

static int not_the_holder(const char **ret_text)
{
    *ret_text = "the token does not hold the lock";
    return PAWL_ERR_LOST;
}

static int judge_renewal(const pawl__query *query, const char **ret_text)
{
    return query->outcome == PAWL_CONFIRMED ? PAWL_OK : not_the_holder(ret_text);
}

static int judge_release(const pawl__query *query, const char **ret_text)
{
    return query->outcome == PAWL_RELEASED ? PAWL_OK : not_the_holder(ret_text);
}

static const pawl_info *first_info(const pawl__query *query)
{
    const pawl__link *first = query->rows.next;
    if (first == &query->rows) return NULL;
    return &pawl__container(first, pawl__row, in_rows)->info;
}

static int judge_check(const pawl__query *query, const char **ret_text)
{
    const pawl_info *info = first_info(query);
    return info && info->held && info->mine ? PAWL_OK : not_the_holder(ret_text);
}

static int judge_break(const pawl__query *query, const char **ret_text)
{
    if (query->outcome == PAWL_RELEASED) return PAWL_OK;
    *ret_text = "the lock is free, or its fence is another one";
    return PAWL_ERR_NOT_HELD;
}

int pawl_token_renew(pawl_client *c, const char *name, size_t name_len, const char *token,
                     int64_t ttl_ms, int64_t wait_ms, uint64_t *ret_fence)
{
    pawl__query query;
    char room[PAWL_NAME_MAX + 1];
    int err = begin(c, &query, PAWL_VERB_RENEW, name, name_len, room);
    if (err) return err;
    if (ttl_ms < PAWL_TTL_MIN_MS || ttl_ms > PAWL_TTL_MAX_MS) return PAWL_ERR_TTL;
    if (!pawl__token_ok(token)) return PAWL_ERR_ARGUMENT;
    query.request.token = token;
    query.request.ttl_ms = ttl_ms;
    query.judge = judge_renewal;
    err = ask(c, &query, wait_ms);
    if (err) return err;
    if (ret_fence) *ret_fence = query.fence;
    return PAWL_OK;
}

int pawl_token_release(pawl_client *c, const char *name, size_t name_len, const char *token,
                       int64_t wait_ms)
{
    pawl__query query;
    char room[PAWL_NAME_MAX + 1];
    int err = begin(c, &query, PAWL_VERB_RELEASE, name, name_len, room);
    if (err) return err;
    if (!pawl__token_ok(token)) return PAWL_ERR_ARGUMENT;
    query.request.token = token;
    query.judge = judge_release;
    return ask(c, &query, wait_ms);
}

int pawl_token_check(pawl_client *c, const char *name, size_t name_len, const char *token,
                     int64_t wait_ms, int64_t *ret_remaining_ms)
{
    pawl__query query;
    char room[PAWL_NAME_MAX + 1];
    int err = begin(c, &query, PAWL_VERB_INSPECT, name, name_len, room);
    if (err) return err;
    if (!pawl__token_ok(token)) return PAWL_ERR_ARGUMENT;
    query.request.token = token;
    query.judge = judge_check;
    err = ask(c, &query, wait_ms);
    if (err) return err;
    if (ret_remaining_ms) *ret_remaining_ms = first_info(&query)->remaining_ms;
    free_rows(&query.rows);
    return PAWL_OK;
}

/* ---- Looking -------------------------------------------------------------------------------- */

static void show_infos(pawl__query *query, pawl_info_fn fn, void *userdata)
{
    for (pawl__link *l = query->rows.next; l != &query->rows; l = l->next)
        if (!fn(&pawl__container(l, pawl__row, in_rows)->info, userdata)) break;
    free_rows(&query->rows);
}

int pawl_inspect(pawl_client *c, const char *name, size_t name_len, int64_t wait_ms,
                 pawl_info_fn fn, void *userdata)
{
    pawl__query query;
    char room[PAWL_NAME_MAX + 1];
    int err = begin(c, &query, PAWL_VERB_INSPECT, name, name_len, room);
    if (err) return err;
    if (!fn) return PAWL_ERR_ARGUMENT;
    err = ask(c, &query, wait_ms);
    if (err) return err;
    show_infos(&query, fn, userdata);
    return PAWL_OK;
}

int pawl_list(pawl_client *c, const char *prefix, size_t prefix_len, int64_t wait_ms,
              pawl_info_fn fn, void *userdata)
{
    if (!c || !fn || (!prefix && prefix_len)) return PAWL_ERR_ARGUMENT;
    if (pawl__gate_is_forked(&c->gate)) return PAWL_ERR_FORKED;
    if (prefix_len && !name_ok(prefix, prefix_len)) return PAWL_ERR_NAME;
    char room[PAWL_NAME_MAX + 1];
    if (prefix_len) memcpy(room, prefix, prefix_len);
    room[prefix_len] = '\0';
    pawl__query query = {.request = {.verb = PAWL_VERB_LIST, .name = room, .name_len = prefix_len}};
    int err = ask(c, &query, wait_ms);
    if (err) return err;
    show_infos(&query, fn, userdata);
    return PAWL_OK;
}

int pawl_break(pawl_client *c, const char *name, size_t name_len, uint64_t fence, int64_t wait_ms)
{
    pawl__query query;
    char room[PAWL_NAME_MAX + 1];
    int err = begin(c, &query, PAWL_VERB_BREAK, name, name_len, room);
    if (err) return err;
    query.request.fence = fence;
    query.judge = judge_break;
    return ask(c, &query, wait_ms);
}

int pawl_doctor(pawl_client *c, int64_t wait_ms, pawl_finding_fn fn, void *userdata)
{
    if (!c || !fn) return PAWL_ERR_ARGUMENT;
    if (pawl__gate_is_forked(&c->gate)) return PAWL_ERR_FORKED;
    pawl__query query = {.request = {.verb = PAWL_VERB_DOCTOR, .name = ""}};
    int err = ask(c, &query, wait_ms);
    if (err) return err;
    for (pawl__link *l = query.rows.next; l != &query.rows; l = l->next)
        fn(&pawl__container(l, pawl__row, in_rows)->finding, userdata);
    free_rows(&query.rows);
    return PAWL_OK;
}

int pawl_client_caps_sized(pawl_client *c, int64_t wait_ms, pawl_caps *ret_caps, size_t size)
{
    if (!c || !ret_caps || size < CAPS_FIRST_SIZE || size > CAPS_SIZE_SANE)
        return PAWL_ERR_ARGUMENT;
    if (pawl__gate_is_forked(&c->gate)) return PAWL_ERR_FORKED;
    pawl_caps caps = {0};
    pawl__query query = {.wants_caps = true, .ret_caps = &caps};
    int err = ask(c, &query, wait_ms);
    if (err) return err;
    if (!caps.size) return PAWL_ERR_INTERNAL;
    pawl__give_sized(ret_caps, size, &caps, sizeof caps);
    ret_caps->size = size < sizeof caps ? size : sizeof caps; /* what is filled in */
    return PAWL_OK;
}
