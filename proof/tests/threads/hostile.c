/* SPDX-License-Identifier: MIT */
/*
 * A store between the library and the memory store: what is granted is true, but answers come
 * late, or never with UNKNOWN instead, pushes get lost, the link goes down; and, if the program
 * says so, what no store may do: no answer at all, two of them, one to nobody. It also sees what
 * leaves, and that only one thread at a time is in it.
 */
#define _GNU_SOURCE
#include "run.h"

#include "../../../src/stores/memory/memory_store.h"
#include "pawl/store.h"

#include <event2/event.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

#define LETTERS_MAX 64

typedef enum letter_kind { LETTER_NONE = 0, LETTER_REPLY, LETTER_PUSH, LETTER_LINK } letter_kind;

/* What is said later. */
typedef struct letter {
    letter_kind kind;
    int64_t at;
    pawl_reply reply;
    pawl_push push;
    char name[8], token[PAWL_TOKEN_LEN + 1], message[PAWL_OWNER_MAX + 1];
    uint16_t slots[PERMITS];
    pawl_value value;
    char bytes[160], owner[PAWL_OWNER_MAX + 1]; /* of the value */
    bool up;
} letter;

typedef struct outstanding {
    uint64_t id;
    int64_t answer_by;
    bool silent;  /* it has its letter */
    bool changes; /* it may have been done: nobody may say that it failed */
} outstanding;

struct pawl_store {
    pawl_host *host;
    pawl_host inner_host; /* what the memory store sees */
    pawl_store *inner;
    struct event *timer;
    int inside; /* the thread, + 1 */
    bool up, of_child;
    letter *letters[LETTERS_MAX]; /* NULL: not used so far */
    outstanding asked[LETTERS_MAX];
    uint64_t refused[LETTERS_MAX]; /* asked while the link was down */
    int refused_count;
    char releases[LETTERS_MAX][PAWL_TOKEN_LEN + 1]; /* submitted, not yet flushed */
    int release_count;
};

static const store_habits *habits_now(void)
{
    return &R->program->habits;
}

static bool happens(int per_1024)
{
    return per_1024 > 0 && (int)sched_draw(DRAW_STORE, 1024) < per_1024;
}

static pawl_store *store_of(pawl_host *inner_host)
{
    return (pawl_store *)((char *)inner_host - offsetof(struct pawl_store, inner_host));
}

static void go_in(pawl_store *s, const char *what)
{
    if (S->in_child && !s->of_child && strcmp(what, "forget") != 0)
        fail("child", "a child calls %s of its parent's store", what);
    if (s->inside > 0 && s->inside != S->current + 1)
        fail("store", "%s calls %s while %s is in the store", self()->name, what,
             S->threads[s->inside - 1].name);
    s->inside = S->current + 1;
}

static void go_out(pawl_store *s)
{
    s->inside = 0;
}

/* ---- Later
 * -------------------------------------------------------------------------------------------- */

static bool has_letter(const pawl_store *s, int at)
{
    return s->letters[at] && s->letters[at]->kind;
}

static void free_store(pawl_store *s)
{
    for (int i = 0; i < LETTERS_MAX; i++) free(s->letters[i]);
    free(s);
}

static void set_timer(pawl_store *s)
{
    int64_t at = NEVER;
    for (int i = 0; i < LETTERS_MAX; i++) {
        if (has_letter(s, i) && s->letters[i]->at < at) at = s->letters[i]->at;
        if (s->asked[i].id && !s->asked[i].silent && s->asked[i].answer_by < at)
            at = s->asked[i].answer_by;
    }
    event_del(s->timer);
    if (at == NEVER) return;
    int64_t span = at > S->now ? at - S->now : 0;
    struct timeval tv = {.tv_sec = span / 1000000000, .tv_usec = (span % 1000000000 + 999) / 1000};
    event_add(s->timer, &tv);
}

static letter *new_letter(pawl_store *s, letter_kind kind, int64_t at)
{
    for (int i = 0; i < LETTERS_MAX; i++) {
        if (has_letter(s, i)) continue;
        if (!s->letters[i]) s->letters[i] = malloc(sizeof(letter));
        *s->letters[i] = (letter){.kind = kind, .at = at};
        return s->letters[i];
    }
    fail("harness", "too many letters");
}

static void keep_text(const char *from, char *room, size_t size)
{
    size_t len = from ? strnlen(from, size - 1) : 0;
    if (len) memcpy(room, from, len);
    room[len] = '\0';
}

static void keep_slots(letter *l, const uint16_t *slots, size_t count)
{
    if (count > PERMITS) fail("harness", "more permits than there are");
    if (count) memcpy(l->slots, slots, count * sizeof slots[0]);
}

static void keep_value(letter *l, const pawl_value *value)
{
    if (!value) return;
    if (value->len >= sizeof l->bytes) fail("harness", "a value of %zu bytes", value->len);
    l->value = *value;
    if (value->bytes) memcpy(l->bytes, value->bytes, value->len);
    keep_text(value->owner, l->owner, sizeof l->owner);
    if (value->bytes) l->value.bytes = l->bytes;
    if (value->owner) l->value.owner = l->owner;
    l->reply.value = &l->value;
}

static void post_reply(pawl_store *s, const pawl_reply *reply, int64_t at)
{
    letter *l = new_letter(s, LETTER_REPLY, at);
    l->reply = *reply;
    keep_slots(l, reply->slots, reply->slot_count);
    keep_text(reply->message, l->message, sizeof l->message);
    if (reply->message) l->reply.message = l->message;
    keep_value(l, reply->value);
    set_timer(s);
}

static outstanding *find_asked(pawl_store *s, uint64_t id)
{
    for (int i = 0; i < LETTERS_MAX; i++)
        if (s->asked[i].id == id) return &s->asked[i];
    return NULL;
}

static void say(pawl_store *s, const pawl_reply *reply)
{
    outstanding *o = find_asked(s, reply->id);
    if (o) o->id = 0;
    s->host->reply(s->host, reply);
}

static void say_unknown(pawl_store *s, uint64_t id)
{
    pawl_reply reply = {.id = id,
                        .outcome = PAWL_UNKNOWN,
                        .err = PAWL_ERR_UNKNOWN,
                        .position = -1,
                        .holder_ms = -1};
    say(s, &reply);
}

/* ---- What the memory store says
 * ------------------------------------------------------------------------- */

static int64_t later(void)
{
    return S->now + (1 + (int64_t)sched_draw(DRAW_STORE, (uint32_t)habits_now()->late_max_ms)) * MS;
}

/* It grants as before: the host only hears of it. */
static void tell_of_guard(pawl_store *s)
{
    s->host->guarded(s->host, sched_draw(DRAW_STORE, 3) ? 1 + sched_draw(DRAW_STORE, 400) : 0);
}

static void on_reply(pawl_host *inner, const pawl_reply *reply)
{
    pawl_store *s = store_of(inner);
    const store_habits *h = habits_now();
    outstanding *o = find_asked(s, reply->id);
    if (!o) return; /* it was given up */
    if (happens(h->guarded)) tell_of_guard(s);
    if (happens(h->never)) {
        o->silent = true;
        o->answer_by = NEVER;
        return;
    }
    if (happens(h->lost)) return; /* UNKNOWN comes in time */
    if (happens(h->wrong_id)) {
        pawl_reply wrong = *reply;
        wrong.id += 1000;
        s->host->reply(s->host, &wrong);
    }
    if (happens(h->twice)) post_reply(s, reply, later());
    if (!happens(h->late)) {
        say(s, reply);
        return;
    }
    int64_t at = later();
    o->silent = at <= o->answer_by;
    if (o->silent) post_reply(s, reply, at);
}

static void on_row(pawl_host *inner, uint64_t id, const pawl_info *info)
{
    pawl_store *s = store_of(inner);
    if (find_asked(s, id)) s->host->row(s->host, id, info);
}

static void on_finding(pawl_host *inner, uint64_t id, const pawl_finding *finding)
{
    pawl_store *s = store_of(inner);
    if (find_asked(s, id)) s->host->finding(s->host, id, finding);
}

static void post_push(pawl_store *s, const pawl_push *push, int64_t at)
{
    letter *l = new_letter(s, LETTER_PUSH, at);
    l->push = *push;
    keep_slots(l, push->slots, push->slot_count);
    keep_text(push->name, l->name, sizeof l->name);
    keep_text(push->token, l->token, sizeof l->token);
    l->push.name = l->name;
    if (push->token) l->push.token = l->token;
    set_timer(s);
}

static void on_push(pawl_host *inner, const pawl_push *push)
{
    pawl_store *s = store_of(inner);
    if (!s->up || happens(habits_now()->push_lost)) return;
    if (happens(habits_now()->push_late))
        post_push(s, push, later());
    else
        s->host->push(s->host, push);
}

static void on_link(pawl_host *inner, bool up, pawl_err err, const char *message)
{
    pawl_store *s = store_of(inner);
    s->up = up;
    s->host->link(s->host, up, err, message);
}

static void on_warn(pawl_host *inner, const char *message)
{
    pawl_store *s = store_of(inner);
    s->host->warn(s->host, message);
}

/* ---- The timer
 * -------------------------------------------------------------------------------------------- */

static void say_failed(pawl_store *s, uint64_t id)
{
    pawl_reply reply = {.id = id,
                        .outcome = PAWL_FAILED,
                        .err = PAWL_ERR_UNAVAILABLE,
                        .position = -1,
                        .holder_ms = -1};
    say(s, &reply);
}

static void link_goes(pawl_store *s, bool up)
{
    if (s->up == up) return;
    for (int i = 0; !up && i < LETTERS_MAX; i++) /* before it goes down all is answered */
        if (s->asked[i].id && !habits_now()->never &&
            (s->asked[i].changes || sched_draw(DRAW_STORE, 2)))
            say_unknown(s, s->asked[i].id);
    for (int i = 0; !up && i < LETTERS_MAX; i++)
        if (has_letter(s, i) && s->letters[i]->kind != LETTER_LINK)
            s->letters[i]->kind = LETTER_NONE;
    s->up = up;
    s->host->link(s->host, up, up ? PAWL_OK : PAWL_ERR_UNAVAILABLE, up ? "" : "the store is away");
    for (int i = 0; !up && i < LETTERS_MAX; i++) /* or too late */
        if (s->asked[i].id) say_failed(s, s->asked[i].id);
}

static void deliver(pawl_store *s, letter *l)
{
    letter copy = *l;
    l->kind = LETTER_NONE;
    if (copy.kind == LETTER_REPLY) {
        if (copy.reply.message) copy.reply.message = copy.message;
        if (copy.reply.slots) copy.reply.slots = copy.slots;
        say(s, &copy.reply);
    } else if (copy.kind == LETTER_PUSH) {
        copy.push.name = copy.name;
        if (copy.push.token) copy.push.token = copy.token;
        if (copy.push.slots) copy.push.slots = copy.slots;
        if (s->up) s->host->push(s->host, &copy.push);
    } else {
        link_goes(s, copy.up);
    }
}

static void refuse(pawl_store *s)
{
    while (s->refused_count > 0) {
        pawl_reply reply = {.id = s->refused[--s->refused_count],
                            .outcome = PAWL_FAILED,
                            .err = PAWL_ERR_UNAVAILABLE,
                            .message = "the store is away"};
        say(s, &reply);
    }
}

static void on_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *s = arg;
    (void)fd;
    (void)what;
    refuse(s);
    if (happens(habits_now()->guarded)) tell_of_guard(s);
    for (int i = 0; i < LETTERS_MAX; i++)
        if (has_letter(s, i) && s->letters[i]->at <= S->now) deliver(s, s->letters[i]);
    for (int i = 0; i < LETTERS_MAX; i++)
        if (s->asked[i].id && !s->asked[i].silent && s->asked[i].answer_by <= S->now)
            say_unknown(s, s->asked[i].id);
    set_timer(s);
}

/* ---- The contract's slots
 * ------------------------------------------------------------------------------------ */

static int hostile_open(pawl_host *host, const pawl_url *url, pawl_store **ret_store, char *message)
{
    pawl_store *s = calloc(1, sizeof *s);
    if (!s) return PAWL_ERR_NO_MEMORY;
    s->host = host;
    s->of_child = S->in_child;
    s->inner_host = *host;
    s->inner_host.reply = on_reply;
    s->inner_host.row = on_row;
    s->inner_host.finding = on_finding;
    s->inner_host.push = on_push;
    s->inner_host.link = on_link;
    s->inner_host.warn = on_warn;
    s->timer = event_new(host->base, -1, 0, on_timer, s);
    int err = pawl__memory_ops.open(&s->inner_host, url, &s->inner, message);
    *ret_store = s;
    return err;
}

static void note_asked(pawl_store *s, const pawl_request *request)
{
    for (int i = 0; i < LETTERS_MAX; i++) {
        if (s->asked[i].id) continue;
        s->asked[i] = (outstanding){.id = request->id,
                                    .answer_by = request->answer_by,
                                    .changes = request->verb < PAWL_VERB_INSPECT ||
                                               request->verb == PAWL_VERB_BREAK};
        return;
    }
    fail("harness", "too many requests");
}

static void bother(pawl_store *s, const pawl_request *request)
{
    const store_habits *h = habits_now();
    if (happens(h->yield) && request->token) {
        pawl_push push = {.kind = sched_draw(DRAW_STORE, 2) ? PAWL_PUSH_YIELD : PAWL_PUSH_RECHECK,
                          .name = request->name,
                          .name_len = request->name_len,
                          .token = request->token};
        if (push.kind == PAWL_PUSH_RECHECK) push.token = NULL;
        post_push(s, &push, later());
    }
    if (!happens(h->link_down)) return;
    new_letter(s, LETTER_LINK, S->now + (int64_t)sched_draw(DRAW_STORE, 20) * MS);
    letter *l =
        new_letter(s, LETTER_LINK, S->now + (20 + (int64_t)sched_draw(DRAW_STORE, 300)) * MS);
    l->up = true;
}

static void hostile_submit(pawl_store *s, const pawl_request *request)
{
    go_in(s, "submit");
    if (request->token) run_saw_token(request->token);
    if (request->verb == PAWL_VERB_RELEASE && s->release_count < LETTERS_MAX)
        keep_text(request->token, s->releases[s->release_count++], PAWL_TOKEN_LEN + 1);
    if (!s->up) {
        s->refused[s->refused_count++ % LETTERS_MAX] = request->id;
    } else {
        note_asked(s, request);
        bother(s, request);
        pawl__memory_ops.submit(s->inner, request);
    }
    go_out(s);
}

/* Whoever owns the loop is asked, and nothing changes while it is. */
static void ask_whether_to_block(pawl_store *s)
{
    bool may = s->host->may_block(s->host);
    pawl__memory_ops.flush(s->inner);
    if (may != s->host->may_block(s->host)) fail("store", "the loop is not the owner's alone");
}

static void hostile_flush(pawl_store *s)
{
    go_in(s, "flush");
    while (s->release_count > 0) run_saw_release(s->releases[--s->release_count]);
    if (s->refused_count) event_active(s->timer, EV_READ, 0);
    ask_whether_to_block(s);
    set_timer(s);
    go_out(s);
}

static const pawl_caps *hostile_caps(pawl_store *s)
{
    return pawl__memory_ops.caps(s->inner);
}

static void hostile_close(pawl_store *s)
{
    go_in(s, "close");
    pawl__memory_ops.close(s->inner);
    event_free(s->timer);
    free_store(s);
}

static void hostile_forget(pawl_store *s)
{
    go_in(s, "forget");
    pawl__memory_ops.forget(s->inner);
    free_store(s);
}

static const char *const schemes[] = {"hostile", NULL};
static const char *const options[] = {NULL};

const pawl_store_ops hostile_ops = {.abi = PAWL_STORE_ABI,
                                    .name = "hostile",
                                    .schemes = schemes,
                                    .options = options,
                                    .open = hostile_open,
                                    .submit = hostile_submit,
                                    .flush = hostile_flush,
                                    .caps = hostile_caps,
                                    .close = hostile_close,
                                    .forget = hostile_forget};
