/* SPDX-License-Identifier: MIT */
/*
 * The public questions: by token, looking, breaking. The caller sleeps until the answer is there,
 * then runs its own callbacks: the loop owner never runs them.
 */
#include "query_api.h"
#include "../base/instant.h"
#include "options.h"
#include "visit.h"

#include <string.h>

#define CAPS_FIRST_SIZE (offsetof(pawl_caps, modes) + sizeof(unsigned)) /* in the first release */
#define CAPS_SIZE_SANE  4096 /* a larger one was not set */

static bool name_ok(const char *name, size_t name_len)
{
    return name && name_len >= 1 && name_len <= PAWL_NAME_MAX && !memchr(name, 0, name_len);
}

/* Mutex held. */
static int refuse_value(pawl_client *c)
{
    pawl__set_reason(&c->messages, PAWL_ERR_UNSUPPORTED,
                     "this store keeps no value beside a lock: once, election, latch and barrier "
                     "need redis://, postgres:// or sqlite:");
    return PAWL_ERR_UNSUPPORTED;
}

/* Mutex held. */
static int may_ask(pawl_client *c, const pawl__query *query)
{
    if (c->gate.closing) return PAWL_ERR_CLOSED;
    bool is_of_value =
        query->request.verb == PAWL_VERB_PUBLISH || query->request.verb == PAWL_VERB_READ;
    if (is_of_value && c->pump.has_caps && !c->pump.caps.values) return refuse_value(c);
    return c->pump.broken ? c->pump.break_err : PAWL_OK;
}

static void prepare(pawl_client *c, pawl__query *query, int64_t wait_ms)
{
    int64_t now = pawl__now();
    int64_t patience = pawl__ms_to_ns(c->opts.store_timeout_ms);
    query->hasty = wait_ms == 0;
    if (query->hasty) wait_ms = c->pump.answer_ms; /* a request under way may take its usual time */
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
    int err = may_ask(c, query);
    if (err) return err;
    pawl__query_ask(&c->queries, query);
    pawl__gate_wait(&c->gate, &query->waiter, PAWL__NEVER); /* the loop owner ends it in time */
    pthread_mutex_lock(&c->gate.mutex);
    err = query->waiter.err;
    if (err && err != PAWL_ERR_CLOSED) {
        pawl__set_message(&c->messages, "%s", query->message);
        pawl__set_reason(&c->messages, err, query->message);
    }
    const char *text = "";
    if (!err && query->judge) {
        err = query->judge(query, &text);
        if (err) pawl__set_message(&c->messages, "%s", text);
    }
    return err;
}

int pawl__query_start(pawl_client *c, pawl__query *query, int64_t wait_ms)
{
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    prepare(c, query, wait_ms);
    err = may_ask(c, query);
    if (!err) err = pawl__calls_need(&c->calls);
    if (!err) {
        c->gate.async_pending++;
        pawl__query_ask(&c->queries, query);
        pawl__gate_flush_now(&c->gate);
    }
    pawl__leave(&visit);
    return err;
}

/* The answer is in the query; the client is not used afterwards. */
int pawl__query_put(pawl_client *c, pawl__query *query, int64_t wait_ms)
{
    if (wait_ms < PAWL_WAIT_FOREVER) return PAWL_ERR_ARGUMENT;
    pawl__visit visit;
    int err = pawl__enter(c, &visit);
    if (err) return err;
    prepare(c, query, wait_ms);
    err = ask_and_sleep(c, query);
    pawl__leave(&visit);
    if (err) pawl__query_free_rows(query);
    return err;
}

/* Adds a NUL behind the name, as stores expect. */
static int begin(const pawl_client *c, pawl__query *query, pawl_verb verb, const char *name,
                 size_t name_len, char room[PAWL_NAME_MAX + 1])
{
    if (!c) return PAWL_ERR_ARGUMENT;
    if (pawl__client_is_forked(c)) return PAWL_ERR_FORKED;
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
    err = pawl__query_put(c, &query, wait_ms);
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
    return pawl__query_put(c, &query, wait_ms);
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
    err = pawl__query_put(c, &query, wait_ms);
    if (err) return err;
    if (ret_remaining_ms) *ret_remaining_ms = first_info(&query)->remaining_ms;
    pawl__query_free_rows(&query);
    return PAWL_OK;
}

/* ---- Looking -------------------------------------------------------------------------------- */

static void show_infos(pawl__query *query, pawl_info_fn fn, void *userdata)
{
    for (pawl__link *l = query->rows.next; l != &query->rows; l = l->next)
        if (!fn(&pawl__container(l, pawl__row, in_rows)->info, userdata)) break;
    pawl__query_free_rows(query);
}

int pawl_inspect(pawl_client *c, const char *name, size_t name_len, int64_t wait_ms,
                 pawl_info_fn fn, void *userdata)
{
    pawl__query query;
    char room[PAWL_NAME_MAX + 1];
    int err = begin(c, &query, PAWL_VERB_INSPECT, name, name_len, room);
    if (err) return err;
    if (!fn) return PAWL_ERR_ARGUMENT;
    err = pawl__query_put(c, &query, wait_ms);
    if (err) return err;
    show_infos(&query, fn, userdata);
    return PAWL_OK;
}

int pawl_list(pawl_client *c, const char *prefix, size_t prefix_len, int64_t wait_ms,
              pawl_info_fn fn, void *userdata)
{
    if (!c || !fn || (!prefix && prefix_len)) return PAWL_ERR_ARGUMENT;
    if (pawl__client_is_forked(c)) return PAWL_ERR_FORKED;
    if (prefix_len && !name_ok(prefix, prefix_len)) return PAWL_ERR_NAME;
    char room[PAWL_NAME_MAX + 1];
    if (prefix_len) memcpy(room, prefix, prefix_len);
    room[prefix_len] = '\0';
    pawl__query query = {.request = {.verb = PAWL_VERB_LIST, .name = room, .name_len = prefix_len}};
    int err = pawl__query_put(c, &query, wait_ms);
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
    return pawl__query_put(c, &query, wait_ms);
}

int pawl_doctor(pawl_client *c, int64_t wait_ms, pawl_finding_fn fn, void *userdata)
{
    if (!c || !fn) return PAWL_ERR_ARGUMENT;
    if (pawl__client_is_forked(c)) return PAWL_ERR_FORKED;
    pawl__query query = {.request = {.verb = PAWL_VERB_DOCTOR, .name = ""}};
    int err = pawl__query_put(c, &query, wait_ms);
    if (err) return err;
    for (pawl__link *l = query.rows.next; l != &query.rows; l = l->next)
        fn(&pawl__container(l, pawl__row, in_rows)->finding, userdata);
    pawl__query_free_rows(&query);
    return PAWL_OK;
}

int pawl_client_caps_sized(pawl_client *c, int64_t wait_ms, pawl_caps *ret_caps, size_t size)
{
    if (!c || !ret_caps || size < CAPS_FIRST_SIZE || size > CAPS_SIZE_SANE)
        return PAWL_ERR_ARGUMENT;
    if (pawl__client_is_forked(c)) return PAWL_ERR_FORKED;
    pawl_caps caps = {0};
    pawl__query query = {.wants_caps = true, .ret_caps = &caps};
    int err = pawl__query_put(c, &query, wait_ms);
    if (err) return err;
    if (!caps.size) return PAWL_ERR_INTERNAL;
    pawl__give_sized(ret_caps, size, &caps, sizeof caps);
    ret_caps->size = size < sizeof caps ? size : sizeof caps; /* what is filled in */
    return PAWL_OK;
}
