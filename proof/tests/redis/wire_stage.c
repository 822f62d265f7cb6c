/* SPDX-License-Identifier: MIT */
#include "wire_stage.h"

#include <stdio.h>
#include <string.h>

int64_t now = 1000 * MS;

static int64_t read_clock(void)
{
    return now;
}

static stage *stage_of(const pawl_store *store)
{
    return store->io;
}

static int resolve(pawl_store *store)
{
    stage_of(store)->resolving = true;
    return 0;
}

static int open_connection(pawl_store *store, size_t address)
{
    stage_of(store)->tried = address;
    stage_of(store)->open = true;
    stage_of(store)->sent = stage_of(store)->left = 0;
    return 0;
}

static pawl__redis_stage get_stage(const pawl_store *store)
{
    return stage_of(store)->open ? PAWL__REDIS_CONNECTED : PAWL__REDIS_CONNECTING;
}

static bool append(pawl_store *store, const pawl__redis_bytes *argv, size_t argc, uint64_t *ret_end)
{
    stage *s = stage_of(store);
    size_t n = 0;
    memcpy(s->before, s->words, sizeof(s->before));
    for (size_t i = 0; i < argc && n < sizeof(s->words); i++)
        n += (size_t)snprintf(s->words + n, sizeof(s->words) - n, "%s%s", i ? " " : "",
                              argv[i].data);
    s->cachings += strcmp(s->words, "CLIENT CACHING YES") == 0;
    *ret_end = ++stage_of(store)->sent;
    return stage_of(store)->open;
}

void flush(pawl_store *store)
{
    if (!stage_of(store)->stuffed) stage_of(store)->left = stage_of(store)->sent;
}

static uint64_t written(const pawl_store *store)
{
    return stage_of(store)->left;
}

static void close_all(pawl_store *store)
{
    stage_of(store)->open = false;
}

static void set_timer(pawl_store *store, pawl__redis_timer timer, int64_t delay_us)
{
    stage_of(store)->timers[timer] = delay_us;
}

static void turn_soon(pawl_store *store)
{
    stage_of(store)->turn_due = true;
}

static const pawl__redis_wire wire = {resolve, open_connection, get_stage, append,    flush,
                                      written, close_all,       set_timer, turn_soon, NULL};

static void host_link(pawl_host *host, bool up, pawl_err err, const char *message)
{
    stage *s = (stage *)((char *)host - offsetof(stage, host));
    s->ups += up;
    s->down_err = err;
    snprintf(s->down, sizeof(s->down), "%s", message);
}

static void host_reply(pawl_host *host, const pawl_reply *reply)
{
    stage *s = (stage *)((char *)host - offsetof(stage, host));
    if (s->replies == 0) s->first_outcome = reply->outcome;
    s->reply = *reply;
    snprintf(s->message, sizeof(s->message), "%s", reply->message ? reply->message : "");
    s->reply.message = reply->message ? s->message : NULL;
    if (reply->id < IDS_MAX) s->outcomes[reply->id] = (int)reply->outcome;
    s->replies++;
}

static void host_push(pawl_host *host, const pawl_push *push)
{
    stage *s = (stage *)((char *)host - offsetof(stage, host));
    s->push = *push;
    snprintf(s->name, sizeof(s->name), "%.*s", (int)push->name_len, push->name);
    s->pushes++;
}

static void host_warn(pawl_host *host, const char *message)
{
    stage *s = (stage *)((char *)host - offsetof(stage, host));
    snprintf(s->warning, sizeof(s->warning), "%s", message);
    s->warnings++;
}

void begin(stage *s)
{
    *s = (stage){.host = {.client_id = "0123456789abcdef0123456789abcdef",
                          .owner = "me",
                          .now = read_clock,
                          .link = host_link,
                          .reply = host_reply,
                          .push = host_push,
                          .warn = host_warn}};
    s->addresses = 1;
    for (int i = 0; i < IDS_MAX; i++) s->outcomes[i] = NO_OUTCOME;
    s->store.wire = &wire;
    s->store.io = s;
    s->store.host = &s->host;
    s->store.config.connect_timeout_ms = 1000;
    s->store.config.guard_ms = PAWL__REDIS_GUARD_MS_DEFAULT;
    assert_true(pawl__redis_space_init(&s->store.space, "pawl:", s->host.client_id, "here"));
    assert_true(pawl__redis_requests_init(&s->store));
    pawl__redis_link_init(&s->store, 7);
}

void end(stage *s)
{
    pawl__redis_requests_done(&s->store);
}

void turn(stage *s)
{
    while (s->turn_due || s->resolving) {
        if (s->resolving) {
            s->resolving = false;
            pawl__redis_found(&s->store, s->addresses, NULL);
        }
        s->turn_due = false;
        pawl__redis_turn(&s->store);
    }
}

void hear(stage *s, pawl__redis_value value)
{
    if (pawl__redis_heard(&s->store, &value)) pawl__redis_batch_ended(&s->store);
    turn(s);
}

pawl__redis_value string(const char *text)
{
    return (pawl__redis_value){.type = PAWL__REDIS_STRING, .text = {text, strlen(text)}};
}

pawl__redis_value error(const char *text)
{
    return (pawl__redis_value){.type = PAWL__REDIS_ERROR, .text = {text, strlen(text)}};
}

void answer(stage *s, pawl__redis_value *items, size_t count)
{
    hear(s, (pawl__redis_value){.type = PAWL__REDIS_ARRAY, .items = items, .count = count});
}

void push(stage *s, const char *kind, const char *what)
{
    pawl__redis_value items[] = {string(kind), string("inbox"), string(what)};
    hear(s, (pawl__redis_value){.type = PAWL__REDIS_PUSH, .items = items, .count = 3});
}

void attempt(stage *s)
{
    pawl__redis_timer_due(&s->store, PAWL__REDIS_TIMER_LINK);
    turn(s);
}

void answer_hello(stage *s)
{
    pawl__redis_value hello[] = {string("server"), string("redis"), string("role"),
                                 string("master")};
    answer(s, hello, 4);
}

void answer_probe(stage *s)
{
    pawl__redis_value one = {.type = PAWL__REDIS_INTEGER, .integer = 1};
    answer(s, &one, 1);
}

void answer_guard(stage *s, const char *words)
{
    hear(s, string(words));
}

/* The next attempt, which succeeds. */
void come_up(stage *s)
{
    int ups = s->ups;
    attempt(s);
    answer_hello(s);
    push(s, "subscribe", "1");
    answer_probe(s);
    push(s, "message", s->store.link.word);
    answer_guard(s, "0 run1");
    assert_int_equal(s->ups, ups + 1);
}

int64_t pause_after_a_cut(stage *s)
{
    pawl__redis_link_break(&s->store, PAWL_ERR_UNAVAILABLE, "cut");
    turn(s);
    return s->timers[PAWL__REDIS_TIMER_LINK] / 1000;
}
