/* SPDX-License-Identifier: MIT */
/*
 * A store that misbehaves as its URL says, for what no real one does on demand:
 *
 *   fake:good     one lock that is always granted
 *   fake:silent   the link never comes up
 *   fake:denied   the link is refused for good
 *   fake:insane   grants, then answers a renewal with another verb's outcome
 *   fake:unopened open() fails
 *   fake:parting  somebody always waits; who asks in one breath with a release is refused
 *   fake:clinging somebody always waits; a release is answered with the next request
 *   fake:scripted as the test says, see store_fake.h; also fake://joe:pw@host/scripted
 *
 * Built several times: with -DFAKE_ABI=0 it is for another pawl, with -DFAKE_WITHOUT=flush it lacks
 * that function, with -DFAKE_NO_ENTRY it is no store.
 */
#include "store_fake.h"

#include <event2/event.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifndef FAKE_ABI
#define FAKE_ABI PAWL_STORE_ABI
#endif

#define OPEN_REQUESTS_MAX 64
#define EXCLUSIVE         (1U << PAWL_MODE_EXCLUSIVE)
#define PERMIT            (1U << PAWL_MODE_PERMIT)

struct pawl_store {
    pawl_host *host;
    char kind[16];
    struct event *event, *tick; /* tick: scripted */
    pid_t process;
    bool linked;
    size_t count, flushed;
    pawl_request requests[OPEN_REQUESTS_MAX];
    pawl_request release; /* clinging: not answered yet, if it has an id */
    uint64_t fence;
};

__attribute__((visibility("default"))) extern fake_script pawl_fake_script;
fake_script pawl_fake_script;

static bool is(const pawl_store *s, const char *kind)
{
    return strcmp(s->kind, kind) == 0;
}

static pawl_outcome outcome_of(const pawl_store *s, pawl_verb verb)
{
    switch (verb) {
    case PAWL_VERB_ACQUIRE:
    case PAWL_VERB_CHANGE:
        return PAWL_GRANTED;
    case PAWL_VERB_RENEW:
        return is(s, "insane") ? PAWL_QUEUED : PAWL_CONFIRMED;
    case PAWL_VERB_PUBLISH:
        return PAWL_CONFIRMED;
    case PAWL_VERB_RELEASE:
    case PAWL_VERB_BREAK:
        return PAWL_RELEASED;
    case PAWL_VERB_INSPECT:
    case PAWL_VERB_LIST:
    case PAWL_VERB_DOCTOR:
    case PAWL_VERB_READ:
        return PAWL_REPORTED;
    }
    return PAWL_FAILED;
}

static void answer(pawl_store *s, const pawl_request *request, bool refuses)
{
    if (request->verb == PAWL_VERB_ACQUIRE) s->fence++;
    pawl_reply reply = {.id = request->id,
                        .outcome = refuses ? PAWL_FAILED : outcome_of(s, request->verb),
                        .fence = s->fence,
                        .position = -1,
                        .holder_ms = -1,
                        .waiting = is(s, "parting") || is(s, "clinging"),
                        .err = refuses ? PAWL_ERR_PERMISSION : PAWL_OK};
    bool (*answers)(pawl_host *, const pawl_request *, pawl_reply *) = pawl_fake_script.answers;
    bool scripted = is(s, "scripted") && answers;
    if (!scripted || answers(s->host, request, &reply)) s->host->reply(s->host, &reply);
}

static void on_tick(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *s = arg;
    (void)fd;
    (void)what;
    void (*ticks)(pawl_host *) = pawl_fake_script.ticks;
    if (ticks) ticks(s->host);
}

/* What was asked in one breath. */
static void answer_all(pawl_store *s, const pawl_request *requests, size_t count)
{
    bool released = false;
    for (size_t i = 0; i < count; i++) {
        bool is_release = requests[i].verb == PAWL_VERB_RELEASE;
        if (s->release.id) answer(s, &s->release, false);
        s->release.id = 0;
        if (is_release && is(s, "clinging"))
            s->release = requests[i];
        else
            answer(s, &requests[i], released && is(s, "parting"));
        released |= is_release;
    }
}

static void on_event(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *s = arg;
    (void)fd;
    (void)what;
    if (!s->linked) {
        s->linked = true;
        if (is(s, "denied"))
            s->host->link(s->host, false, PAWL_ERR_AUTH, "the fake store knows nobody");
        else if (is(s, "away"))
            s->host->link(s->host, false, PAWL_ERR_UNAVAILABLE, "the fake store is not at home");
        else
            s->host->link(s->host, true, PAWL_OK, NULL);
    }
    pawl_request requests[OPEN_REQUESTS_MAX];
    size_t count = s->flushed;
    memcpy(requests, s->requests, count * sizeof requests[0]);
    s->count -= count;
    memmove(s->requests, s->requests + count, s->count * sizeof requests[0]);
    s->flushed = 0;
    answer_all(s, requests, count);
}

static int fake_open(pawl_host *host, const pawl_url *url, pawl_store **ret_store, char *message)
{
    if (strcmp(url->path, "unopened") == 0) {
        snprintf(message, PAWL_MESSAGE_MAX, "the fake store does not open");
        return PAWL_ERR_PERMISSION;
    }
    pawl_store *s = calloc(1, sizeof *s);
    if (!s) return PAWL_ERR_NO_MEMORY;
    snprintf(s->kind, sizeof s->kind, "%s", url->path + strspn(url->path, "/"));
    s->host = host;
    s->fence = 7;
    s->event = event_new(host->base, -1, 0, on_event, s);
    if (!is(s, "silent")) event_active(s->event, EV_READ, 0);
    if (is(s, "scripted")) s->tick = event_new(host->base, -1, EV_PERSIST, on_tick, s);
    static const struct timeval each = {.tv_usec = 1000};
    if (s->tick) event_add(s->tick, &each);
    s->process = getpid();
    *ret_store = s;
    return PAWL_OK;
}

static void fake_submit(pawl_store *s, const pawl_request *request)
{
    if (s->count == OPEN_REQUESTS_MAX) abort();
    s->requests[s->count++] = *request;
}

static void fake_flush(pawl_store *s)
{
    if (getpid() != s->process) abort(); /* law 9 */
    for (size_t i = s->flushed; i < s->count; i++)
        pawl_fake_script.submitted[s->requests[i].verb]++;
    s->flushed = s->count;
    if (s->count) event_active(s->event, EV_READ, 0);
}

static const pawl_caps *fake_caps(pawl_store *s)
{
    static const pawl_caps caps = {.size = sizeof caps, .modes = EXCLUSIVE, .values = true};
    static const pawl_caps scripted = {
        .size = sizeof scripted, .modes = EXCLUSIVE | PERMIT, .values = true};
    static const pawl_caps valueless = {.size = sizeof valueless, .modes = EXCLUSIVE};
    if (is(s, "valueless")) return &valueless;
    return is(s, "scripted") ? &scripted : &caps;
}

static void fake_close(pawl_store *s)
{
    event_free(s->event);
    if (s->tick) event_free(s->tick);
    free(s);
}

static const char *const schemes[] = {"fake", "fake+two", NULL};
static const char *const options[] = {"colour", NULL};

#ifdef FAKE_NO_ENTRY
#define ENTRY pawl_no_store
#else
#define ENTRY PAWL_STORE_ENTRY
#endif

#ifdef FAKE_WITHOUT
#pragma GCC diagnostic ignored "-Woverride-init"
#endif
__attribute__((visibility("default"))) extern const pawl_store_ops ENTRY;
const pawl_store_ops ENTRY = {
    .abi = FAKE_ABI,
    .name = "fake",
    .schemes = schemes,
    .options = options,
    .open = fake_open,
    .submit = fake_submit,
    .flush = fake_flush,
    .caps = fake_caps,
    .close = fake_close,
    .forget = fake_close,
#ifdef FAKE_WITHOUT
    .FAKE_WITHOUT = NULL,
#endif
};
