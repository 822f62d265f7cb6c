/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "host.h"

#include <event2/event.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#define NS_PER_MS INT64_C(1000000)

int64_t host_now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_BOOTTIME, &t);
    return (int64_t)t.tv_sec * 1000 * NS_PER_MS + t.tv_nsec;
}

static void die(const char *what)
{
    fprintf(stderr, "test host: %s\n", what);
    abort();
}

static void copy(char *to, size_t room, const char *from, size_t len)
{
    if (len >= room) die("a string is too long");
    memcpy(to, from, len);
    to[len] = '\0';
}

/* ---- What the store says ------------------------------------------------------- */

static void told(host *h)
{
    if (h->on_event) h->on_event(h);
    event_base_loopbreak(h->base);
}

static void on_reply(pawl_host *ph, const pawl_reply *reply)
{
    host *h = (host *)ph;
    seen_reply *seen = &h->replies[h->reply_count++ % HOST_LOG_MAX];
    *seen = (seen_reply){.id = reply->id,
                         .outcome = reply->outcome,
                         .fence = reply->fence,
                         .position = reply->position,
                         .holder_ms = reply->holder_ms,
                         .waiting = reply->waiting,
                         .err = reply->err};
    const char *message = reply->message ? reply->message : "";
    copy(seen->message, sizeof(seen->message), message, strlen(message));
    told(h);
}

static void on_push(pawl_host *ph, const pawl_push *push)
{
    host *h = (host *)ph;
    seen_push *seen = &h->pushes[h->push_count++ % HOST_LOG_MAX];
    *seen = (seen_push){.kind = push->kind, .fence = push->fence, .waiting = push->waiting};
    copy(seen->name, sizeof(seen->name), push->name, push->name_len);
    if (push->token) copy(seen->token, sizeof(seen->token), push->token, strlen(push->token));
    told(h);
}

static void on_row(pawl_host *ph, uint64_t id, const pawl_info *info)
{
    host *h = (host *)ph;
    (void)id;
    seen_row *seen = &h->rows[h->row_count++ % HOST_LOG_MAX];
    *seen = (seen_row){.held = info->held,
                       .mine = info->mine,
                       .remaining_ms = info->remaining_ms,
                       .fence = info->fence,
                       .waiter_count = info->waiter_count,
                       .waiters_shown = info->waiters_shown};
    copy(seen->name, sizeof(seen->name), info->name, info->name_len);
    copy(seen->owner, sizeof(seen->owner), info->owner, strlen(info->owner));
    if (info->waiters_shown == 0) return;
    copy(seen->first_waiter, sizeof(seen->first_waiter), info->waiters[0].owner,
         strlen(info->waiters[0].owner));
    seen->first_age_ms = info->waiters[0].age_ms;
    seen->first_place_ms = info->waiters[0].place_ms;
}

static void on_finding(pawl_host *ph, uint64_t id, const pawl_finding *finding)
{
    host *h = (host *)ph;
    (void)id;
    h->finding_count++;
    if (finding->severity > h->worst_finding) h->worst_finding = finding->severity;
    if (finding->severity == PAWL_SEVERITY_OK) return;
    strncat(h->topics, finding->topic, sizeof(h->topics) - strlen(h->topics) - 2);
    strcat(h->topics, " ");
}

static void on_link(pawl_host *ph, bool up, pawl_err err, const char *message)
{
    host *h = (host *)ph;
    h->up = up;
    if (up) h->down_final = false;
    if (up) h->ups++;
    if (!up) {
        h->downs++;
        h->down_err = err;
        snprintf(h->down_message, sizeof(h->down_message), "%s", message);
    }
    told(h);
}

static void on_link_final(pawl_host *ph, pawl_err err, const char *message)
{
    ((host *)ph)->down_final = true;
    on_link(ph, false, err, message);
}

static void on_warn(pawl_host *ph, const char *message)
{
    ((host *)ph)->warnings++;
    fprintf(stderr, "warning: %s\n", message);
}

/* ---- Life ---------------------------------------------------------------------- */

pawl_url host_url(const char *path)
{
    return (pawl_url){.scheme = "sqlite", .port = -1, .path = path, .redacted = "sqlite:..."};
}

bool host_works_inline;

void host_start(host *h, const char *path)
{
    unsigned char id[16];
    char message[PAWL_MESSAGE_MAX] = "";
    memset(h, 0, sizeof(*h));
    if (getrandom(id, sizeof(id), 0) != sizeof(id)) die("no random numbers");
    for (int i = 0; i < 16; i++) sprintf(h->client_id + 2 * i, "%02x", id[i]);
    h->base = event_base_new();
    h->answer_ms = 5000;
    h->host = (pawl_host){.size = sizeof(pawl_host),
                          .base = h->base,
                          .client_id = h->client_id,
                          .owner = "tester",
                          .connect_timeout_ms = 5000,
                          .now = host_now,
                          .reply = on_reply,
                          .row = on_row,
                          .finding = on_finding,
                          .push = on_push,
                          .link = on_link,
                          .warn = on_warn,
                          .work_inline = host_works_inline,
                          .link_final = on_link_final};
    pawl_url url = host_url(path);
    if (pawl_store_entry.open(&h->host, &url, &h->store, message) != 0) die(message);
}

void host_open(host *h, const char *path)
{
    host_start(h, path);
    host_run_until(h, &h->up);
}

void host_close(host *h)
{
    pawl_store_entry.close(h->store);
    event_base_free(h->base);
    h->store = NULL;
}

static void on_timeout(int fd, short what, void *ctx)
{
    (void)fd;
    (void)what;
    *(bool *)ctx = true;
}

typedef bool (*until_fn)(host *h, const void *ctx);

/* Runs single turns until the condition holds or the time is over; false: the time is. */
static bool run(host *h, int64_t ms, until_fn holds, const void *ctx)
{
    bool over = false;
    struct timeval t = {.tv_sec = ms / 1000, .tv_usec = ms % 1000 * 1000};
    struct event *timer = event_new(h->base, -1, EV_TIMEOUT, on_timeout, &over);
    event_add(timer, &t);
    while (!over && !(holds && holds(h, ctx))) event_base_loop(h->base, EVLOOP_ONCE);
    event_free(timer);
    return !over;
}

static bool flag_is_set(host *h, const void *ctx)
{
    (void)h;
    return *(const bool *)ctx;
}

void host_run_until(host *h, const bool *flag)
{
    if (!run(h, HOST_WAIT_MS, flag_is_set, flag)) die("waited in vain");
}

void host_await_inbox(host *h, const char *path)
{
    char socket_path[PATH_MAX];
    struct stat st;
    snprintf(socket_path, sizeof(socket_path), "%s-inbox/%s", path, h->client_id);
    int64_t until = host_now() + HOST_WAIT_MS * NS_PER_MS;
    while (stat(socket_path, &st) < 0) {
        if (host_now() > until) die("no inbox was made");
        host_run_ms(h, 1);
    }
}

void host_run_ms(host *h, int64_t ms)
{
    (void)run(h, ms, NULL, NULL);
}

/* ---- Requests ------------------------------------------------------------------ */

const char *host_token(int n)
{
    static char ring[8][PAWL_TOKEN_LEN + 1];
    static unsigned at;
    char *text = ring[at++ % 8];
    snprintf(text, PAWL_TOKEN_LEN + 1, "%032x%08x", (unsigned)getpid(), (unsigned)n);
    return text;
}

uint64_t host_send(host *h, pawl_verb verb, const char *name, const char *token, int64_t ttl_ms,
                   unsigned flags, uint64_t fence)
{
    pawl_request request = {.id = ++h->next_id,
                            .verb = verb,
                            .mode = h->mode,
                            .units = h->units,
                            .capacity = h->capacity,
                            .change = h->change,
                            .flags = flags,
                            .name = name,
                            .name_len = strlen(name),
                            .token = token,
                            .owner = "tester",
                            .ttl_ms = ttl_ms,
                            .fence = fence,
                            .answer_by = host_now() + h->answer_ms * NS_PER_MS};
    pawl_store_entry.submit(h->store, &request);
    pawl_store_entry.flush(h->store);
    return request.id;
}

static const seen_reply *find_reply(const host *h, uint64_t id)
{
    size_t from = h->reply_count > HOST_LOG_MAX ? h->reply_count - HOST_LOG_MAX : 0;
    for (size_t i = h->reply_count; i > from; i--) {
        const seen_reply *reply = &h->replies[(i - 1) % HOST_LOG_MAX];
        if (reply->id == id) return reply;
    }
    return NULL;
}

static bool has_reply(host *h, const void *ctx)
{
    return find_reply(h, *(const uint64_t *)ctx) != NULL;
}

seen_reply host_wait(host *h, uint64_t id)
{
    if (!run(h, HOST_WAIT_MS, has_reply, &id)) die("no reply came");
    return *find_reply(h, id);
}

seen_reply host_call(host *h, pawl_verb verb, const char *name, const char *token, int64_t ttl_ms,
                     unsigned flags)
{
    return host_wait(h, host_send(h, verb, name, token, ttl_ms, flags, 0));
}

static bool has_push(host *h, const void *ctx)
{
    (void)ctx;
    return h->push_read < h->push_count;
}

seen_push host_push(host *h)
{
    if (!run(h, HOST_WAIT_MS, has_push, NULL)) die("no push came");
    return h->pushes[h->push_read++ % HOST_LOG_MAX];
}

seen_push host_push_of(host *h, pawl_push_kind kind)
{
    for (;;) {
        seen_push push = host_push(h);
        if (push.kind == kind) return push;
    }
}
