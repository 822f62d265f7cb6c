/* SPDX-License-Identifier: MIT */
/*
 * A store in front of another one, for tests: the grants of the other one are real, but its replies
 * come late, twice, out of order, or never; pushes get lost, doubled, late, or are made up; the
 * link goes down and comes back, with requests under way or without. Much of that is forbidden
 * by pawl/store.h; nobody may hold twice or wait for ever all the same.
 *
 *   hostile+memory:NAME, hostile+sqlite:PATH, hostile+redis+unix:///PATH ...
 *       ?seed=N       what is drawn; without it each client draws differently each time
 *       ?while=PATH   hostile only while this file exists
 *       ?only=NAME    hostile in one way, always; some are done in no other way. "nothing": not at
 *                     all. The names are those of the table below
 *
 * It never gives an answer to a request that was not its own and still waits: a store that
 * mixes up the owners of its grants has no exclusion to offer.
 */
#define _GNU_SOURCE
#include "../../../src/stores/memory/memory_store.h"
#include "pawl/store.h"

#include <dlfcn.h>
#include <event2/event.h>
#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>
#include <unistd.h>

#define MS          INT64_C(1000000)
#define OUTSIDE     "hostile+" /* what stands before the inner store's scheme */
#define ASKED_MAX   2048       /* beyond that a request is refused */
#define LETTERS_MAX 256        /* beyond that a late one is lost */
#define LATE_MAX_MS 400        /* well beyond the time in which a short lease expects an answer */
#define DOWN_MAX_MS 300
#define STRAY_BIT   (UINT64_C(1) << 30) /* no test has so many leases or queries */

#define OVERDUE_MS 4000 /* more than a test forgives a busy machine */
#define STAND_BY   16   /* requests that are held back at most */

typedef enum hostility {
    REPLY_LOST = 0, /* PAWL_UNKNOWN comes in its place when the time is over */
    REPLY_NEVER,
    REPLY_SLOW, /* if it is too late, PAWL_UNKNOWN came first */
    REPLY_LATE, /* after its time, and nothing before */
    REPLY_TWICE,
    REPLY_STRAY,   /* once more, for a request that nobody made */
    REPLY_INSIDE,  /* while submit() runs */
    REPLY_ABROAD,  /* on another thread */
    REQUEST_ORDER, /* the last of those that are flushed together is carried out first */
    PUSH_LOST,
    PUSH_TWICE,
    PUSH_SLOW,
    PUSH_MADE_UP,
    PUSH_AFTER, /* when the store was closed */
    LINK_DOWN,
    LINK_UNTIDY, /* of those: requests stay unanswered */
    LINK_AGAIN,  /* it is said to be up, and was */
    HOSTILITIES
} hostility;

static const struct {
    const char *name;
    int of_1024; /* how often; 0: only if it is asked for */
} hostilities[HOSTILITIES] = {
    [REPLY_LOST] = {"lost", 20},         [REPLY_NEVER] = {"never", 6},
    [REPLY_SLOW] = {"slow", 100},        [REPLY_LATE] = {"late", 0},
    [REPLY_TWICE] = {"twice", 40},       [REPLY_STRAY] = {"id", 20},
    [REPLY_INSIDE] = {"inside", 0},      [REPLY_ABROAD] = {"thread", 0},
    [REQUEST_ORDER] = {"order", 0},      [PUSH_LOST] = {"push-lost", 100},
    [PUSH_TWICE] = {"push-twice", 60},   [PUSH_SLOW] = {"push-slow", 120},
    [PUSH_MADE_UP] = {"push-stray", 10}, [PUSH_AFTER] = {"after", 0},
    [LINK_DOWN] = {"down", 4},           [LINK_UNTIDY] = {"untidy", 256},
    [LINK_AGAIN] = {"again", 4},
};

/* A request that the host waits for. */
typedef struct asked {
    uint64_t id; /* 0: the place is free */
    int64_t answer_by;
    bool never; /* it gets no answer at all */
} asked;

typedef enum letter_kind { NO_LETTER = 0, LETTER_REPLY, LETTER_PUSH, LETTER_LINK } letter_kind;

/* A reply or push that is delivered later. */
typedef struct letter {
    letter_kind kind;
    int64_t at;
    pawl_reply reply;
    pawl_push push;
    pawl_value value;
    bool up;
    char name[PAWL_NAME_MAX + 1], token[PAWL_TOKEN_LEN + 1], message[PAWL_MESSAGE_MAX];
    char bytes[PAWL_STORED_MAX + 1], owner[PAWL_OWNER_MAX + 1]; /* of the value */
    uint16_t slots[PAWL_CAPACITY_MAX];
} letter;

/* A request that is not carried out yet, and what it points to. */
typedef struct held_back {
    pawl_request request;
    char name[PAWL_NAME_MAX + 1], token[PAWL_TOKEN_LEN + 1], owner[PAWL_OWNER_MAX + 1];
} held_back;

struct pawl_store {
    pawl_host inner_host; /* what the inner store sees; first, so that it is the store */
    pawl_host *host;
    const pawl_store_ops *ops;
    pawl_store *inner;
    struct event *timer;
    unsigned short random[3];
    char while_path[PATH_MAX]; /* "": always hostile */
    int of_1024[HOSTILITIES];
    bool up, inner_up;
    bool closed; /* and has one more thing to say */
    held_back held_back[STAND_BY];
    size_t held_back_count;
    asked asked[ASKED_MAX];
    letter letters[LETTERS_MAX];
    uint64_t refused[ASKED_MAX]; /* asked while the link was down */
    size_t refused_count;
};

/* ---- Chance --------------------------------------------------------------------------------- */

static bool is_hostile(const pawl_store *s)
{
    return !s->while_path[0] || access(s->while_path, F_OK) == 0;
}

static bool happens(pawl_store *s, hostility what)
{
    if (!s->of_1024[what]) return false;
    return nrand48(s->random) % 1024 < s->of_1024[what] && is_hostile(s);
}

/* false: there is no such name. */
static bool choose_hostilities(pawl_store *s, const char *only)
{
    bool known = !only || strcmp(only, "nothing") == 0;
    for (int i = 0; i < HOSTILITIES; i++) {
        bool is_it = only && strcmp(only, hostilities[i].name) == 0;
        s->of_1024[i] = is_it ? 1024 : only ? 0 : hostilities[i].of_1024;
        known = known || is_it;
    }
    if (s->of_1024[LINK_UNTIDY] == 1024) /* there must be requests, and a link that goes down */
        s->of_1024[LINK_DOWN] = s->of_1024[REPLY_SLOW] = 1024;
    return known;
}

static int64_t later(pawl_store *s, int most_ms)
{
    return s->host->now() + (1 + nrand48(s->random) % most_ms) * MS;
}

static uint64_t hash_of(const char *text)
{
    uint64_t hash = UINT64_C(0xcbf29ce484222325);
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * UINT64_C(0x100000001b3);
    return hash;
}

/* The clients of one process draw from different streams, in the order in which they open. */
static void sow(pawl_store *s, const char *seed)
{
    static _Atomic uint64_t opened;
    uint64_t number = seed ? strtoull(seed, NULL, 10) + atomic_fetch_add(&opened, 1) * 7919
                           : hash_of(s->host->client_id);
    number = (number + 1) * UINT64_C(0x9e3779b97f4a7c15);
    for (int i = 0; i < 3; i++) s->random[i] = (unsigned short)(number >> (16 + 16 * i));
}

/* ---- Later ---------------------------------------------------------------------------------- */

static void set_timer(pawl_store *s)
{
    int64_t at = INT64_MAX, now = s->host->now();
    for (size_t i = 0; i < LETTERS_MAX; i++)
        if (s->letters[i].kind && s->letters[i].at < at) at = s->letters[i].at;
    for (size_t i = 0; i < ASKED_MAX; i++) {
        const asked *a = &s->asked[i];
        if (a->id && !a->never && a->answer_by < at) at = a->answer_by;
    }
    if (s->refused_count) at = now;
    event_del(s->timer);
    if (at == INT64_MAX) return;
    int64_t us = at > now ? (at - now) / 1000 + 1 : 0;
    struct timeval span = {.tv_sec = us / 1000000, .tv_usec = us % 1000000};
    event_add(s->timer, &span);
}

/* NULL: there is no room, so it is lost. */
static letter *new_letter(pawl_store *s, letter_kind kind, int64_t at)
{
    for (size_t i = 0; i < LETTERS_MAX; i++) {
        if (s->letters[i].kind) continue;
        s->letters[i] = (letter){.kind = kind, .at = at};
        return &s->letters[i];
    }
    return NULL;
}

/* The store keeps it for the call only. */
static void keep_value(letter *l, const pawl_value *value)
{
    l->value = *value;
    if (value->len) memcpy(l->bytes, value->bytes, value->len);
    snprintf(l->owner, sizeof l->owner, "%s", value->owner);
}

static void post_reply(pawl_store *s, const pawl_reply *reply, int64_t at)
{
    letter *l = new_letter(s, LETTER_REPLY, at);
    if (!l) return;
    l->reply = *reply;
    if (reply->message) snprintf(l->message, sizeof l->message, "%s", reply->message);
    l->reply.message = reply->message ? l->message : NULL;
    if (reply->value) keep_value(l, reply->value);
    if (reply->slot_count) memcpy(l->slots, reply->slots, reply->slot_count * sizeof l->slots[0]);
}

static void post_push(pawl_store *s, const pawl_push *push, int64_t at)
{
    letter *l = new_letter(s, LETTER_PUSH, at);
    if (!l) return;
    l->push = *push;
    memcpy(l->name, push->name, push->name_len);
    if (push->token) memcpy(l->token, push->token, PAWL_TOKEN_LEN);
    l->push.name = l->name;
    l->push.token = push->token ? l->token : NULL;
    if (push->slot_count) memcpy(l->slots, push->slots, push->slot_count * sizeof l->slots[0]);
}

static void post_link(pawl_store *s, bool up, int64_t at)
{
    letter *l = new_letter(s, LETTER_LINK, at);
    if (l) l->up = up;
}

/* ---- Answers -------------------------------------------------------------------------------- */

static asked *find_asked(pawl_store *s, uint64_t id)
{
    for (size_t i = 0; i < ASKED_MAX; i++)
        if (s->asked[i].id == id) return &s->asked[i];
    return NULL;
}

/* The first answer or one more: the host knows what it waits for. */
static void say(pawl_store *s, const pawl_reply *reply)
{
    asked *a = find_asked(s, reply->id);
    if (a) a->id = 0;
    s->host->reply(s->host, reply);
}

static void say_nothing_known(pawl_store *s, uint64_t id)
{
    say(s, &(pawl_reply){.id = id,
                         .outcome = PAWL_UNKNOWN,
                         .err = PAWL_ERR_UNKNOWN,
                         .position = -1,
                         .holder_ms = -1});
}

static void say_stray(pawl_store *s, const pawl_reply *reply)
{
    pawl_reply stray = *reply;
    stray.id ^= STRAY_BIT;
    s->host->reply(s->host, &stray);
}

typedef struct abroad {
    pawl_store *store;
    const pawl_reply *reply;
} abroad;

static void *say_abroad(void *arg)
{
    const abroad *a = arg;
    say(a->store, a->reply);
    return NULL;
}

static void say_on_another_thread(pawl_store *s, const pawl_reply *reply)
{
    pthread_t thread;
    abroad a = {.store = s, .reply = reply};
    if (pthread_create(&thread, NULL, say_abroad, &a) == 0)
        pthread_join(thread, NULL);
    else
        say(s, reply);
}

/* The host waits for it, and gets it: now, or not now. */
static void answer(pawl_store *s, asked *a, const pawl_reply *reply)
{
    if (happens(s, REPLY_LOST)) return;
    if (happens(s, REPLY_NEVER)) {
        a->never = true;
    } else if (happens(s, REPLY_LATE)) {
        post_reply(s, reply, a->answer_by + OVERDUE_MS * MS);
        a->never = true;
    } else if (happens(s, REPLY_SLOW)) {
        post_reply(s, reply, later(s, LATE_MAX_MS));
    } else if (happens(s, REPLY_ABROAD)) {
        say_on_another_thread(s, reply);
    } else {
        say(s, reply);
    }
}

static void on_reply(pawl_host *inner, const pawl_reply *reply)
{
    pawl_store *s = (pawl_store *)inner;
    asked *a = find_asked(s, reply->id);
    if (happens(s, REPLY_STRAY)) say_stray(s, reply);
    if (happens(s, REPLY_TWICE)) post_reply(s, reply, later(s, LATE_MAX_MS));
    if (!a) return; /* it was told UNKNOWN already */
    answer(s, a, reply);
    set_timer(s);
}

static void on_row(pawl_host *inner, uint64_t id, const pawl_info *info)
{
    pawl_store *s = (pawl_store *)inner;
    if (find_asked(s, id)) s->host->row(s->host, id, info);
}

static void on_finding(pawl_host *inner, uint64_t id, const pawl_finding *finding)
{
    pawl_store *s = (pawl_store *)inner;
    if (find_asked(s, id)) s->host->finding(s->host, id, finding);
}

static void on_warn(pawl_host *inner, const char *message)
{
    pawl_store *s = (pawl_store *)inner;
    s->host->warn(s->host, message);
}

/* ---- Pushes --------------------------------------------------------------------------------- */

static void on_push(pawl_host *inner, const pawl_push *push)
{
    pawl_store *s = (pawl_store *)inner;
    if (happens(s, PUSH_TWICE)) post_push(s, push, later(s, LATE_MAX_MS));
    if (happens(s, PUSH_SLOW))
        post_push(s, push, later(s, LATE_MAX_MS));
    else if (!happens(s, PUSH_LOST))
        s->host->push(s->host, push);
    set_timer(s);
}

/* "Somebody waits", or "ask again", although nothing has happened. */
static void make_up_push(pawl_store *s, const pawl_request *request)
{
    bool yield = request->token && nrand48(s->random) % 2;
    pawl_push push = {.kind = yield ? PAWL_PUSH_YIELD : PAWL_PUSH_RECHECK,
                      .name = request->name,
                      .name_len = request->name_len,
                      .token = yield ? request->token : NULL};
    post_push(s, &push, later(s, LATE_MAX_MS));
}

/* ---- The link ------------------------------------------------------------------------------- */

static void say_link(pawl_store *s, bool up)
{
    s->up = up;
    s->host->link(s->host, up, up ? PAWL_OK : PAWL_ERR_UNAVAILABLE,
                  up ? NULL : "the hostile store has cut the link");
}

/* Mostly as the contract demands, with everything answered before; sometimes not. */
static void go_down(pawl_store *s)
{
    bool tidy = !happens(s, LINK_UNTIDY);
    for (size_t i = 0; tidy && i < ASKED_MAX; i++)
        if (s->asked[i].id && !s->asked[i].never) say_nothing_known(s, s->asked[i].id);
    say_link(s, false);
    post_link(s, true, later(s, DOWN_MAX_MS));
}

static void on_link(pawl_host *inner, bool up, pawl_err err, const char *message)
{
    pawl_store *s = (pawl_store *)inner;
    s->up = s->inner_up = up;
    s->host->link(s->host, up, err, message);
}

static void on_link_final(pawl_host *inner, pawl_err err, const char *message)
{
    pawl_store *s = (pawl_store *)inner;
    s->up = s->inner_up = false;
    s->host->link_final(s->host, err, message);
}

static void on_guarded(pawl_host *inner, int64_t left_ms)
{
    const pawl_store *s = (pawl_store *)inner;
    s->host->guarded(s->host, left_ms);
}

static void deliver_link(pawl_store *s, bool up)
{
    if (!up && s->up)
        go_down(s);
    else if (up && s->inner_up) /* perhaps for the second time */
        say_link(s, true);
}

/* ---- The timer ------------------------------------------------------------------------------ */

static void deliver(pawl_store *s, letter *l)
{
    letter copy = *l;
    l->kind = NO_LETTER;
    if (copy.kind == LETTER_LINK) deliver_link(s, copy.up);
    if (copy.kind == LETTER_REPLY) {
        if (copy.reply.message) copy.reply.message = copy.message;
        if (copy.reply.slot_count) copy.reply.slots = copy.slots;
        if (copy.reply.value) copy.reply.value = &copy.value;
        copy.value.bytes = copy.bytes;
        copy.value.owner = copy.owner;
        say(s, &copy.reply);
    }
    if (copy.kind == LETTER_PUSH) {
        copy.push.name = copy.name;
        if (copy.push.token) copy.push.token = copy.token;
        if (copy.push.slot_count) copy.push.slots = copy.slots;
        s->host->push(s->host, &copy.push);
    }
}

static void refuse(pawl_store *s)
{
    while (s->refused_count > 0)
        say(s, &(pawl_reply){.id = s->refused[--s->refused_count],
                             .outcome = PAWL_FAILED,
                             .err = PAWL_ERR_UNAVAILABLE,
                             .position = -1,
                             .holder_ms = -1,
                             .message = "the hostile store has cut the link"});
}

static void say_after_close(pawl_store *s)
{
    s->host->push(s->host, &(pawl_push){.kind = PAWL_PUSH_RECHECK, .name = ""});
    event_free(s->timer);
    free(s);
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *s = arg;
    (void)fd;
    (void)what;
    if (s->closed) {
        say_after_close(s);
        return;
    }
    refuse(s);
    for (size_t i = 0; i < LETTERS_MAX; i++)
        if (s->letters[i].kind && s->letters[i].at <= s->host->now()) deliver(s, &s->letters[i]);
    for (size_t i = 0; i < ASKED_MAX; i++) {
        const asked *a = &s->asked[i];
        if (a->id && !a->never && a->answer_by <= s->host->now()) say_nothing_known(s, a->id);
    }
    set_timer(s);
}

/* ---- The contract's slots ------------------------------------------------------------------- */

static bool note_asked(pawl_store *s, const pawl_request *request)
{
    asked *a = find_asked(s, 0);
    if (a) *a = (asked){.id = request->id, .answer_by = request->answer_by};
    return a != NULL;
}

static const char *keep(char *room, size_t size, const char *text)
{
    if (text) snprintf(room, size, "%s", text);
    return text ? room : NULL;
}

/* What is held back is carried out at the flush. A value would be too much to keep. */
static bool hold_back(pawl_store *s, const pawl_request *request)
{
    if (s->held_back_count == STAND_BY || request->value || !happens(s, REQUEST_ORDER))
        return false;
    held_back *h = &s->held_back[s->held_back_count++];
    h->request = *request;
    h->request.name = keep(h->name, sizeof h->name, request->name);
    h->request.token = keep(h->token, sizeof h->token, request->token);
    h->request.owner = keep(h->owner, sizeof h->owner, request->owner);
    return true;
}

static void carry_out_backwards(pawl_store *s)
{
    while (s->held_back_count > 0)
        s->ops->submit(s->inner, &s->held_back[--s->held_back_count].request);
}

static void hostile_submit(pawl_store *s, const pawl_request *request)
{
    if (!s->up || !note_asked(s, request)) {
        if (s->refused_count < ASKED_MAX) s->refused[s->refused_count++] = request->id;
        return;
    }
    if (happens(s, PUSH_MADE_UP) && request->name_len) make_up_push(s, request);
    if (happens(s, LINK_DOWN)) post_link(s, false, later(s, LATE_MAX_MS));
    if (happens(s, LINK_AGAIN)) post_link(s, true, later(s, LATE_MAX_MS));
    if (happens(s, REPLY_INSIDE))
        say_nothing_known(s, request->id);
    else if (!hold_back(s, request))
        s->ops->submit(s->inner, request);
}

static void hostile_flush(pawl_store *s)
{
    carry_out_backwards(s);
    s->ops->flush(s->inner);
    set_timer(s);
}

static const pawl_caps *hostile_caps(pawl_store *s)
{
    return s->ops->caps(s->inner);
}

static void hostile_close(pawl_store *s)
{
    s->ops->close(s->inner);
    s->closed = happens(s, PUSH_AFTER);
    if (s->closed) {
        event_active(s->timer, EV_TIMEOUT, 0);
        return;
    }
    event_free(s->timer);
    free(s);
}

static void hostile_forget(pawl_store *s)
{
    s->ops->forget(s->inner);
    event_free(s->timer);
    free(s);
}

/* ---- Opening -------------------------------------------------------------------------------- */

/* The inner module lies beside this one. */
static const pawl_store_ops *load_inner(const char *scheme, char *message)
{
    static const char here; /* an address inside this module */
    Dl_info info;
    char path[PATH_MAX];
    int name_len = (int)strcspn(scheme, "+");
    if (strcmp(scheme, pawl__memory_ops.name) == 0) return &pawl__memory_ops;
    const char *slash = dladdr(&here, &info) ? strrchr(info.dli_fname, '/') : NULL;
    int dir_len = slash ? (int)(slash - info.dli_fname) : 0;
    snprintf(path, sizeof path, "%.*s/pawl-store-%.*s.so", dir_len, slash ? info.dli_fname : "",
             name_len, scheme);
    void *module = dlopen(path, RTLD_NOW | RTLD_LOCAL | RTLD_NODELETE);
    const pawl_store_ops *ops = module ? dlsym(module, "pawl_store_entry") : NULL;
    if (!ops) snprintf(message, PAWL_MESSAGE_MAX, "no store behind the hostile one: %.400s", path);
    return ops;
}

/* The inner store's URL, without what is ours. *ret_only: the one hostility; NULL: all of them. */
static pawl_url take_own_options(pawl_store *s, const pawl_url *url, const char **ret_only)
{
    pawl_url inner = *url;
    const char *seed = NULL;
    *ret_only = NULL;
    inner.scheme += strlen(OUTSIDE);
    inner.option_count = 0;
    for (size_t i = 0; i < url->option_count; i++) {
        const pawl_url_option *option = &url->options[i];
        if (strcmp(option->key, "seed") == 0)
            seed = option->value;
        else if (strcmp(option->key, "only") == 0)
            *ret_only = option->value;
        else if (strcmp(option->key, "while") == 0)
            snprintf(s->while_path, sizeof s->while_path, "%s", option->value);
        else
            inner.options[inner.option_count++] = *option;
    }
    sow(s, seed);
    return inner;
}

static void stand_between(pawl_store *s, pawl_host *host)
{
    s->host = host;
    s->inner_host = *host;
    s->inner_host.size = sizeof s->inner_host;
    s->inner_host.reply = on_reply;
    s->inner_host.row = on_row;
    s->inner_host.finding = on_finding;
    s->inner_host.push = on_push;
    s->inner_host.link = on_link;
    s->inner_host.link_final = on_link_final;
    s->inner_host.guarded = on_guarded;
    s->inner_host.warn = on_warn;
}

static int hostile_open(pawl_host *host, const pawl_url *url, pawl_store **ret_store, char *message)
{
    const char *only;
    pawl_store *s = calloc(1, sizeof *s);
    if (!s) return PAWL_ERR_NO_MEMORY;
    stand_between(s, host);
    pawl_url inner = take_own_options(s, url, &only);
    if (choose_hostilities(s, only))
        s->ops = load_inner(inner.scheme, message);
    else
        snprintf(message, PAWL_MESSAGE_MAX, "the hostile store knows no only=%.100s", only);
    s->timer = event_new(host->base, -1, 0, on_timer, s);
    int err = s->ops && s->timer ? s->ops->open(&s->inner_host, &inner, &s->inner, message)
                                 : PAWL_ERR_SYSTEM;
    if (!err) {
        *ret_store = s;
        return PAWL_OK;
    }
    if (s->timer) event_free(s->timer);
    free(s);
    return err;
}

static const char *const schemes[] = {OUTSIDE "memory", OUTSIDE "sqlite", OUTSIDE "redis",
                                      OUTSIDE "redis+unix", NULL};
static const char *const options[] = {"seed", "while", "only", "mode", "prefix", "db", NULL};

__attribute__((visibility("default"))) extern const pawl_store_ops PAWL_STORE_ENTRY;
const pawl_store_ops PAWL_STORE_ENTRY = {.abi = PAWL_STORE_ABI,
                                         .name = "hostile",
                                         .schemes = schemes,
                                         .options = options,
                                         .open = hostile_open,
                                         .submit = hostile_submit,
                                         .flush = hostile_flush,
                                         .caps = hostile_caps,
                                         .close = hostile_close,
                                         .forget = hostile_forget};
