/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "test_host.h"

#include "check.h"
#include "failing.h"
#include "seen.h"

#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define LATE_NS INT64_C(3000000000) /* what a busy machine may add to a bound */

/* ---- The loop ----------------------------------------------------------------------- */

struct test_loop {
    struct event_base *base;
    struct event *bound;
    bool over;
    unsigned clients;
};

int64_t host_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void on_bound(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    ((test_loop *)arg)->over = true;
}

test_loop *test_loop_new(void)
{
    test_loop *loop = calloc(1, sizeof(*loop));
    CHECK(loop != NULL);
    loop->base = event_base_new();
    loop->bound = evtimer_new(loop->base, on_bound, loop);
    CHECK(loop->base && loop->bound);
    return loop;
}

void test_loop_free(test_loop *loop)
{
    if (loop->clients) return;
    event_free(loop->bound);
    event_base_free(loop->base);
    free(loop);
}

struct event_base *test_loop_base(test_loop *loop)
{
    return loop->base;
}

/* Until the condition holds (true) or the time is over (false). */
static bool run(test_loop *loop, condition_fn holds, void *arg, int64_t span_ms)
{
    struct timeval span = {.tv_sec = span_ms / 1000, .tv_usec = span_ms % 1000 * 1000};
    loop->over = false;
    failing_spare(1);
    evtimer_add(loop->bound, &span);
    failing_spare(-1);
    while (!loop->over && !(holds && holds(arg))) event_base_loop(loop->base, EVLOOP_ONCE);
    evtimer_del(loop->bound);
    return !loop->over || (holds && holds(arg));
}

void test_loop_until(test_loop *loop, condition_fn holds, void *arg, const char *what)
{
    if (!run(loop, holds, arg, PATIENCE_MS)) FAIL_TEST("waited %d ms for %s", PATIENCE_MS, what);
}

void test_loop_for(test_loop *loop, int64_t span_ms)
{
    (void)run(loop, NULL, NULL, span_ms);
}

/* ---- The client ------------------------------------------------------------------------- */

struct client {
    pawl_host host; /* first: the store hands it back */
    test_loop *loop;
    const pawl_store_ops *ops;
    pawl_store *store;
    char id[33];
    char owner[PAWL_OWNER_MAX + 1];
    pid_t thread; /* that calls the store */
    bool inside;  /* a call into the store is running */
    bool closed;
    bool link_up;
    seen_list replies; /* of seen_reply; a request's id is its index + 1 */
    seen_list pushes;  /* of seen_push */
    seen_list rows;    /* of seen_row */
    seen_list links;   /* of seen_link */
    size_t findings;
    char errors_found[PAWL_MESSAGE_MAX]; /* the latest finding that is an error */
    struct {
        char topic[24];
        pawl_severity severity;
    } topics[64];                   /* of each the latest finding */
    char found[8192];               /* all findings, a line each; what does not fit is cut */
    char warning[PAWL_MESSAGE_MAX]; /* the latest */
    size_t warnings;
};

static client *called(pawl_host *host)
{
    client *c = (client *)host;
    if (c->inside) FAIL_TEST("rule 1: the store calls the host from inside a call of the host");
    if (c->closed) FAIL_TEST("the store calls the host after close");
    if (gettid() != c->thread) FAIL_TEST("the store calls the host on another thread");
    return c;
}

static seen_reply *request_of(const client *c, uint64_t id)
{
    CHECK(id >= 1 && id <= c->replies.count);
    return seen_at(&c->replies, id - 1);
}

/* Rule 11: the lowest first, none twice. */
static const uint16_t *copy_slots(uint16_t *to, const uint16_t *slots, size_t count)
{
    if (!count) return NULL;
    CHECK(slots && count <= SEEN_SLOTS_MAX);
    for (size_t i = 0; i < count; i++) CHECK(i == 0 || slots[i] > slots[i - 1]);
    return memcpy(to, slots, count * sizeof(*slots));
}

static void check_reply(const pawl_reply *reply)
{
    switch (reply->outcome) {
    case PAWL_GRANTED:
    case PAWL_CONFIRMED:
        CHECK(reply->fence > 0);
        return;
    case PAWL_QUEUED:
    case PAWL_BUSY:
        CHECK(reply->position >= -1 && reply->holder_ms >= -1);
        return;
    case PAWL_FAILED:
    case PAWL_UNKNOWN:
        CHECK(reply->err < 0);
        return;
    case PAWL_RELEASED:
    case PAWL_LEFT:
    case PAWL_NOT_OWNER:
    case PAWL_REPORTED:
        return;
    }
    FAIL_TEST("outcome %d", (int)reply->outcome);
}

/* Rule 12: the clock is always told; the rest only with a fence. */
static void copy_value(seen_reply *seen, const pawl_value *value)
{
    if (!value) return;
    CHECK(value->now_us > 0 && value->len <= PAWL_STORED_MAX);
    CHECK(value->fence > 0 || (value->len == 0 && value->owner[0] == 0));
    seen->value = *value;
    memcpy(seen->value_bytes, value->bytes, value->len);
    snprintf(seen->value_owner, sizeof(seen->value_owner), "%s", value->owner);
    seen->value.bytes = seen->value_bytes;
    seen->value.owner = seen->value_owner;
    seen->reply.value = &seen->value;
}

static void on_reply(pawl_host *host, const pawl_reply *reply)
{
    client *c = called(host);
    unsigned long long id = reply->id;
    if (id < 1 || id > c->replies.count)
        FAIL_TEST("rule 2: an answer to request %llu, which nobody made", id);
    seen_reply *seen = request_of(c, id);
    if (seen->answered_at) FAIL_TEST("rule 2: request %llu is answered twice", id);
    check_reply(reply);
    seen->reply = *reply;
    seen->reply.slots = copy_slots(seen->slots, reply->slots, reply->slot_count);
    copy_value(seen, reply->value);
    seen->answered_at = host_now();
    if (seen->answered_at > seen->answer_by + LATE_NS)
        FAIL_TEST("rule 2: request %llu is answered %lld ms after its time", id,
                  (long long)(seen->answered_at - seen->answer_by) / 1000000);
    if (!reply->message) return;
    CHECK(!strchr(reply->message, '\n'));
    snprintf(seen->text, sizeof(seen->text), "%s", reply->message);
    seen->reply.message = seen->text;
}

static void on_push(pawl_host *host, const pawl_push *push)
{
    client *c = called(host);
    seen_push *seen = seen_add(&c->pushes, sizeof(*seen));
    CHECK(push->name_len >= (push->kind != PAWL_PUSH_RECHECK) && push->name_len <= PAWL_NAME_MAX);
    seen->push = *push;
    seen->push.slots = copy_slots(seen->slots, push->slots, push->slot_count);
    seen->at = host_now();
    memcpy(seen->name, push->name, push->name_len);
    seen->push.name = seen->name;
    if (push->kind == PAWL_PUSH_RECHECK || push->kind == PAWL_PUSH_NEWS) {
        CHECK(!push->token);
        return;
    }
    CHECK(push->token && strnlen(push->token, PAWL_TOKEN_LEN) == PAWL_TOKEN_LEN);
    memcpy(seen->token, push->token, PAWL_TOKEN_LEN);
    seen->push.token = seen->token;
}

static void on_row(pawl_host *host, uint64_t id, const pawl_info *info)
{
    client *c = called(host);
    seen_reply *request = request_of(c, id);
    CHECK(!request->answered_at);
    request->rows_before++;
    CHECK(info->size == sizeof(*info) && info->name && info->owner);
    CHECK(info->waiters_shown <= PAWL_WAITERS_SHOWN_MAX);
    CHECK(info->waiters_shown <= info->waiter_count);
    CHECK(info->holders_shown <= PAWL_HOLDERS_SHOWN_MAX);
    CHECK(info->holders_shown <= info->holder_count);
    seen_row *row = seen_add(&c->rows, sizeof(*row));
    row->id = id;
    seen_copy_info(&row->info, info);
}

static void note_severity(client *c, const pawl_finding *finding)
{
    size_t i = 0;
    while (c->topics[i].topic[0] && strcmp(c->topics[i].topic, finding->topic) != 0) i++;
    CHECK(i + 1 < sizeof(c->topics) / sizeof(c->topics[0]));
    snprintf(c->topics[i].topic, sizeof(c->topics[i].topic), "%s", finding->topic);
    c->topics[i].severity = finding->severity;
}

static void on_finding(pawl_host *host, uint64_t id, const pawl_finding *finding)
{
    client *c = called(host);
    seen_reply *request = request_of(c, id);
    CHECK(!request->answered_at);
    request->rows_before++;
    CHECK(finding->size == sizeof(*finding));
    CHECK(finding->topic[0] && finding->text[0] && finding->advice);
    c->findings++;
    note_severity(c, finding);
    size_t used = strlen(c->found);
    snprintf(c->found + used, sizeof(c->found) - used, "%s: %s\n", finding->topic, finding->text);
    if (finding->severity == PAWL_SEVERITY_ERROR)
        snprintf(c->errors_found, sizeof(c->errors_found), "%s", finding->text);
}

static void on_link(pawl_host *host, bool up, pawl_err err, const char *message)
{
    client *c = called(host);
    /* down may come again, with a newer reason */
    if (up && c->link_up) FAIL_TEST("the link is said to be up, and was");
    c->link_up = up;
    if (!up && !client_all_answered(c)) FAIL_TEST("the link goes down with requests unanswered");
    if (!up) CHECK(err < 0 && message && *message);
    seen_link *seen = seen_add(&c->links, sizeof(*seen));
    seen->up = up;
    seen->err = err;
    snprintf(seen->text, sizeof(seen->text), "%s", message ? message : "");
}

static void on_warn(pawl_host *host, const char *message)
{
    client *c = called(host);
    CHECK(message && *message && !strchr(message, '\n'));
    snprintf(c->warning, sizeof(c->warning), "%s", message);
    c->warnings++;
}

static bool may_block(const pawl_host *host)
{
    (void)host;
    return true;
}

static client *client_new(test_loop *loop, const store_address *address, const char *owner)
{
    static atomic_uint number;
    failing_spare(1);
    client *c = calloc(1, sizeof(*c));
    CHECK(c != NULL);
    failing_spare(-1);
    c->loop = loop;
    c->thread = gettid();
    c->ops = address->ops;
    unsigned nth = atomic_fetch_add(&number, 1) + 1;
    snprintf(c->id, sizeof(c->id), "%08x%024x", (unsigned)getpid(), nth); /* a child's is another */
    snprintf(c->owner, sizeof(c->owner), "%s", owner);
    c->host = (pawl_host){.size = sizeof(c->host),
                          .base = loop->base,
                          .client_id = c->id,
                          .owner = c->owner,
                          .connect_timeout_ms = 5000,
                          .now = host_now,
                          .reply = on_reply,
                          .row = on_row,
                          .finding = on_finding,
                          .push = on_push,
                          .link = on_link,
                          .warn = on_warn,
                          .work_inline = getenv("TEST_HOST_WORK_INLINE") != NULL,
                          .may_block = getenv("TEST_HOST_MAY_BLOCK") ? may_block : NULL};
    return c;
}

static int open_store(client *c, const store_address *address, char *ret_message)
{
    pawl_url url = {.scheme = address->scheme,
                    .path = address->path,
                    .user = address->user,
                    .password = address->password,
                    .host = address->host,
                    .port = address->port ? address->port : -1,
                    .redacted = "store-under-test:",
                    .option_count = address->option_count};
    memcpy(url.options, address->options, sizeof(address->options));
    c->inside = true;
    int err = c->ops->open(&c->host, &url, &c->store, ret_message);
    c->inside = false;
    return err;
}

static void client_free(client *c)
{
    seen_free(&c->replies, NULL);
    seen_free(&c->pushes, NULL);
    seen_free(&c->rows, seen_free_row);
    seen_free(&c->links, NULL);
    free(c);
}

client *client_try(test_loop *loop, const store_address *address, const char *owner, int *ret_err,
                   char *ret_message)
{
    client *c = client_new(loop, address, owner);
    ret_message[0] = '\0';
    *ret_err = open_store(c, address, ret_message);
    if (*ret_err) {
        client_free(c);
        return NULL;
    }
    CHECK(!ret_message[0]); /* it is for errors */
    loop->clients++;
    return c;
}

client *client_open(test_loop *loop, const store_address *address, const char *owner)
{
    char message[PAWL_MESSAGE_MAX];
    int err;
    client *c = client_try(loop, address, owner, &err, message);
    if (!c) FAIL_TEST("open: %s: %s", pawl_err_name(err), message);
    return c;
}

client *client_up(test_loop *loop, const store_address *address, const char *owner)
{
    client *c = client_open(loop, address, owner);
    client_await_link(c, true);
    return c;
}

static void close_store(client *c)
{
    c->inside = true;
    c->ops->close(c->store);
    c->inside = false;
    c->closed = true;
    c->loop->clients--;
    test_loop_for(c->loop, 1); /* a callback that the store left behind would come now */
    client_free(c);
}

void client_close(client *c)
{
    if (!c) return;
    CHECK(client_all_answered(c));
    close_store(c);
}

int client_open_error(test_loop *loop, const store_address *address, char *ret_message)
{
    int err;
    client_close(client_try(loop, address, "nobody", &err, ret_message));
    return err;
}

void client_abandon(client *c)
{
    close_store(c);
}

pawl_store *client_store(client *c)
{
    return c->store;
}

test_loop *client_loop(const client *c)
{
    return c->loop;
}

const pawl_caps *client_caps(client *c)
{
    return c->ops->caps(c->store);
}

/* ---- Asking --------------------------------------------------------------------------------- */

uint64_t client_submit(client *c, const pawl_request *request)
{
    seen_reply *seen = seen_add(&c->replies, sizeof(*seen));
    pawl_request full = *request;
    full.id = c->replies.count;
    if (!full.owner) full.owner = c->owner;
    seen->sent_at = host_now();
    if (!full.answer_by) full.answer_by = seen->sent_at + PATIENCE_MS * INT64_C(1000000);
    seen->answer_by = full.answer_by;
    c->inside = true;
    c->ops->submit(c->store, &full);
    c->inside = false;
    return full.id;
}

void client_flush(client *c)
{
    c->inside = true;
    c->ops->flush(c->store);
    c->inside = false;
}

const seen_reply *client_answer(client *c, uint64_t id)
{
    const seen_reply *seen = request_of(c, id);
    return seen->answered_at ? seen : NULL;
}

typedef struct awaited {
    client *client;
    uint64_t id;
    pawl_push_kind kind;
    const char *token;
    bool up;
} awaited;

static bool is_answered(void *arg)
{
    awaited *a = arg;
    return client_answer(a->client, a->id) != NULL;
}

const seen_reply *client_await(client *c, uint64_t id)
{
    awaited a = {.client = c, .id = id};
    int64_t left_ms = (request_of(c, id)->answer_by + 2 * LATE_NS - host_now()) / 1000000;
    if (left_ms > PATIENCE_MS) left_ms = PATIENCE_MS;
    if (!run(c->loop, is_answered, &a, left_ms > 1 ? left_ms : 1))
        FAIL_TEST("rule 2: request %llu has no answer", (unsigned long long)id);
    return client_answer(c, id);
}

const seen_reply *client_ask(client *c, const pawl_request *request)
{
    uint64_t id = client_submit(c, request);
    client_flush(c);
    return client_await(c, id);
}

bool client_all_answered(client *c)
{
    for (size_t i = 0; i < c->replies.count; i++)
        if (!((seen_reply *)seen_at(&c->replies, i))->answered_at) return false;
    return true;
}

static bool is_all_answered(void *arg)
{
    return client_all_answered(arg);
}

void client_await_all(client *c)
{
    test_loop_until(c->loop, is_all_answered, c, "all answers");
}

/* ---- Looking ---------------------------------------------------------------------- */

static bool push_is(const seen_push *seen, pawl_push_kind kind, const char *token)
{
    if (seen->push.kind != kind) return false;
    return !token || strcmp(seen->token, token) == 0;
}

const seen_push *client_pushed(client *c, pawl_push_kind kind, const char *token)
{
    for (size_t i = c->pushes.count; i-- > 0;) {
        const seen_push *seen = seen_at(&c->pushes, i);
        if (push_is(seen, kind, token)) return seen;
    }
    return NULL;
}

static bool is_pushed(void *arg)
{
    awaited *a = arg;
    return client_pushed(a->client, a->kind, a->token) != NULL;
}

const seen_push *client_await_push(client *c, pawl_push_kind kind, const char *token)
{
    awaited a = {.client = c, .kind = kind, .token = token};
    test_loop_until(c->loop, is_pushed, &a, "a push");
    return client_pushed(c, kind, token);
}

size_t client_push_count(const client *c, pawl_push_kind kind)
{
    size_t count = 0;
    for (size_t i = 0; i < c->pushes.count; i++)
        if (push_is(seen_at(&c->pushes, i), kind, NULL)) count++;
    return count;
}

const seen_push *client_push(const client *c, size_t index)
{
    return index < c->pushes.count ? seen_at(&c->pushes, index) : NULL;
}

const pawl_info *client_row(const client *c, uint64_t id, size_t index)
{
    for (size_t i = 0; i < c->rows.count; i++) {
        const seen_row *row = seen_at(&c->rows, i);
        if (row->id == id && index-- == 0) return &row->info;
    }
    return NULL;
}

size_t client_row_count(const client *c, uint64_t id)
{
    size_t count = 0;
    while (client_row(c, id, count)) count++;
    return count;
}

const pawl_info *client_row_named(const client *c, uint64_t id, const char *name)
{
    const pawl_info *info;
    for (size_t i = 0; (info = client_row(c, id, i)); i++)
        if (strcmp(info->name, name) == 0) return info;
    return NULL;
}

size_t client_finding_count(const client *c)
{
    return c->findings;
}

const char *client_error_found(const client *c)
{
    return c->errors_found;
}

pawl_severity client_severity(const client *c, const char *topic)
{
    for (size_t i = 0; c->topics[i].topic[0]; i++)
        if (strcmp(c->topics[i].topic, topic) == 0) return c->topics[i].severity;
    FAIL_TEST("nothing was found of \"%s\"", topic);
}

const char *client_found(const client *c)
{
    return c->found;
}

const char *client_warning(const client *c, size_t *ret_count)
{
    *ret_count = c->warnings;
    return c->warning;
}

size_t client_link_count(const client *c)
{
    return c->links.count;
}

const seen_link *client_link(const client *c, size_t index)
{
    return seen_at(&c->links, index);
}

static bool is_link(void *arg)
{
    awaited *a = arg;
    return a->client->link_up == a->up;
}

void client_await_link(client *c, bool up)
{
    awaited a = {.client = c, .up = up};
    test_loop_until(c->loop, is_link, &a, up ? "the link to come up" : "the link to go down");
}
