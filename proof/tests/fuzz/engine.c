/* SPDX-License-Identifier: MIT */
/*
 * Any order of events, with the invariants checked after each. The simulator knows what a real
 * server would say; here a store says what the input says, in two manners:
 *
 *   fair      answers fit their requests, fences grow; pushes and replies come late, twice, never
 *   hostile   anything at all. The engine may call the store broken: then everybody has to be
 *             told that he holds nothing (law 10)
 *
 *   input: manner (1 byte), then events: what (1 byte) and what it needs
 */
#include "fuzz.h"

#include "engine/engine.h"
#include "engine/plan.h"

#include <stdio.h>

#define WANTS      8
#define NAMES      3
#define SENT_MAX   64
#define TOKENS_MAX 256
#define EVENTS_MAX 600
#define CALM_MAX   20000 /* steps until everything has run out */

#define EXPECT(world, condition)                                                                   \
    do {                                                                                           \
        if (!(condition))                                                                          \
            FAIL_TEST("event %u, line %d: not so: %s", (world)->events, __LINE__, #condition);     \
    } while (0)

typedef enum phase { NOBODY = 0, WAITS, HOLDS, LOST } phase;

/* A caller, as he would tell the story. */
typedef struct caller {
    pawl__want want;
    pawl__waiting waiting;
    phase phase;
    bool gave_back; /* RELEASED is due */
} caller;

typedef struct sent {
    pawl_request request;
    int64_t at;
    unsigned token;
} sent;

/* A lease as the store knows it. */
typedef struct token {
    char text[PAWL_TOKEN_LEN + 1];
    unsigned name;
    uint64_t fence;
    int64_t ttl_ms;
    int64_t base_at;  /* when the latest request left that the store has acknowledged (law 2) */
    int64_t whole_at; /* the same, of one that was granted or confirmed: NEVER if there is none */
    bool asked;
} token;

typedef struct world {
    pawl__engine *engine;
    fuzz_input *in;
    int64_t now;
    unsigned events;
    bool hostile, closed, up;
    caller callers[WANTS];
    sent sent[SENT_MAX]; /* requests without an answer */
    unsigned sent_count;
    token tokens[TOKENS_MAX];
    unsigned token_count;
    uint64_t fences[NAMES];   /* drawn last */
    uint64_t reported[NAMES]; /* told to a caller last */
} world;

static const char *const names[NAMES] = {"a", "b", "long/name"};
static const int64_t ttls_ms[] = {10, 60, 1000, 30000, 86400000};
static const int64_t retains_ms[] = {0, 0, 50, 60000};
static bool broke;

static void on_broken(const char *what)
{
    (void)what;
    broke = true;
}

static void draw(void *ctx, char *ret_text)
{
    world *w = ctx;
    token *t = &w->tokens[w->token_count++ % TOKENS_MAX];
    *t = (token){.name = 0};
    snprintf(t->text, sizeof t->text, "%040x", w->token_count);
    memcpy(ret_text, t->text, sizeof t->text);
}

static unsigned token_named(const world *w, const char *text)
{
    for (unsigned i = 0; i < TOKENS_MAX; i++)
        if (strcmp(w->tokens[i].text, text) == 0) return i;
    FAIL_TEST("token %s was never drawn", text);
}

static unsigned name_of(const char *name)
{
    unsigned i = 0;
    while (strcmp(names[i], name) != 0) i++;
    return i;
}

/* ---- What the engine wants done --------------------------------------------------- */

static void on_send(world *w, const pawl_request *request)
{
    EXPECT(w, w->up || w->hostile);
    unsigned i = token_named(w, request->token);
    token *t = &w->tokens[i];
    EXPECT(w, request->answer_by > w->now);
    EXPECT(w, !t->asked || t->ttl_ms == request->ttl_ms); /* one ttl for life */
    if (!t->asked) {
        *t = (token){.name = name_of(request->name),
                     .ttl_ms = request->ttl_ms,
                     .base_at = w->now,
                     .whole_at = PAWL__NEVER};
        memcpy(t->text, request->token, sizeof t->text);
        t->asked = true;
    }
    if (w->sent_count == SENT_MAX) { /* the oldest one stays without an answer */
        memmove(w->sent, w->sent + 1, (SENT_MAX - 1) * sizeof(sent));
        w->sent_count--;
    }
    w->sent[w->sent_count++] = (sent){.request = *request, .at = w->now, .token = i};
}

static void check_deadline(const world *w, const token *t, int64_t deadline)
{
    if (w->hostile) return; /* an answer may stand for another verb's */
    int64_t latest = t->base_at + pawl__plan_place_ns(t->ttl_ms); /* handed on, and no more yet */
    int64_t whole = t->whole_at + pawl__plan_span_ns(t->ttl_ms);
    if (t->whole_at != PAWL__NEVER && whole > latest) latest = whole;
    EXPECT(w, deadline <= latest); /* law 2 */
    EXPECT(w, deadline > w->now);  /* no dead grant, no dead extension */
}

static void on_granted(world *w, caller *c, const pawl__action *action)
{
    EXPECT(w, c->phase == WAITS);
    c->phase = HOLDS;
    const token *t = &w->tokens[token_named(w, action->token)];
    check_deadline(w, t, action->deadline);
    EXPECT(w, action->fence > 0);
    if (w->hostile) return;
    EXPECT(w, action->fence == t->fence);
    EXPECT(w, action->fence >= w->reported[t->name]); /* law 3; the same when passed on locally */
    w->reported[t->name] = action->fence;
}

/* Everyone is told once (law 6), and in an order that makes sense. */
static void on_told(world *w, const pawl__action *action)
{
    caller *c = (caller *)action->want; /* its first member */
    if (action->err) EXPECT(w, action->err < 0 && action->message);
    switch (action->kind) {
    case PAWL__ACT_SEND:
        return;
    case PAWL__ACT_GRANTED:
        on_granted(w, c, action);
        return;
    case PAWL__ACT_REFUSED:
        EXPECT(w, c->phase == WAITS && action->err);
        c->phase = NOBODY;
        return;
    case PAWL__ACT_EXTENDED:
        EXPECT(w, c->phase == HOLDS);
        check_deadline(w, &w->tokens[token_named(w, action->token)], action->deadline);
        return;
    case PAWL__ACT_DOUBT:
    case PAWL__ACT_YIELD:
        EXPECT(w, c->phase == HOLDS);
        return;
    case PAWL__ACT_LOST:
        EXPECT(w, c->phase == HOLDS && action->err);
        c->phase = LOST;
        return;
    case PAWL__ACT_RELEASED:
        EXPECT(w, (c->phase == HOLDS || c->phase == LOST) && c->gave_back);
        c->phase = NOBODY;
        c->gave_back = false;
        return;
    case PAWL__ACT_CHANGED:
        FAIL_TEST("event %u: nobody asked for another mode", w->events);
    }
}

static void step(world *w, pawl__event event);

/* A want's patience may have been over before the engine heard of it: that is due at once. */
static void catch_up(world *w)
{
    if (pawl__engine_deadline(w->engine) <= w->now) step(w, (pawl__event){.kind = PAWL__EV_TIME});
}

static void check(const world *w)
{
    const char *what = pawl__engine_check(w->engine);
    if (what) FAIL_TEST("event %u: %s", w->events, what);
    EXPECT(w, pawl__engine_deadline(w->engine) > w->now);
    unsigned holders[NAMES] = {0};
    for (unsigned i = 0; i < WANTS; i++) {
        const caller *c = &w->callers[i];
        EXPECT(w, (c->phase == NOBODY) == (c->want.state == PAWL__WANT_NONE));
        if (c->want.state != PAWL__WANT_HOLDING) continue;
        EXPECT(w, !broke); /* law 10 */
        EXPECT(w, c->phase == HOLDS && c->want.lease);
        EXPECT(w, holders[name_of(c->want.name)]++ == 0);
        EXPECT(w, pawl__engine_holder(w->engine, c->want.name, c->want.name_len) == &c->want);
    }
}

static void step(world *w, pawl__event event)
{
    pawl__action action;
    w->events++;
    pawl__engine_step(w->engine, w->now, &event);
    for (unsigned n = 0; pawl__engine_next(w->engine, &action); n++) {
        EXPECT(w, n < 1000);
        if (action.kind == PAWL__ACT_SEND)
            on_send(w, &action.request);
        else
            on_told(w, &action);
    }
    if (event.kind != PAWL__EV_TIME) catch_up(w);
    check(w);
    EXPECT(w, !broke || w->hostile);
}

/* ---- Callers ---------------------------------------------------------------------- */

static int64_t patience(world *w)
{
    switch (fuzz_below(w->in, 4)) {
    case 0:
        return 0;
    case 1:
        return PAWL__NEVER;
    case 2:
        return w->now + (int64_t)fuzz_number(w->in, 4);
    default:
        return (int64_t)fuzz_number(w->in, 8); /* also long ago */
    }
}

static void want(world *w)
{
    caller *c = &w->callers[fuzz_below(w->in, WANTS)];
    if (c->phase != NOBODY) return;
    const char *name = names[fuzz_below(w->in, NAMES)];
    c->want = (pawl__want){.name = name, .name_len = (uint16_t)strlen(name)};
    c->want.ttl_ms = (int32_t)ttls_ms[fuzz_below(w->in, sizeof ttls_ms / sizeof ttls_ms[0])];
    c->want.retain_ms =
        (int32_t)retains_ms[fuzz_below(w->in, sizeof retains_ms / sizeof retains_ms[0])];
    c->want.flags = fuzz_byte(w->in) & 15 ? 0 : PAWL_ASK_DETACHED;
    c->want.waiting = &c->waiting;
    c->waiting = (pawl__waiting){.wait_until = patience(w)};
    c->phase = WAITS;
    step(w, (pawl__event){.kind = PAWL__EV_WANT, .want = &c->want});
}

static void give_up(world *w, pawl__event_kind kind)
{
    unsigned which = fuzz_byte(w->in);
    caller *c = &w->callers[which % WANTS];
    if (c->phase == NOBODY || c->gave_back) return;
    if (kind == PAWL__EV_RELEASE && c->phase == WAITS) kind = PAWL__EV_CANCEL;
    if (kind == PAWL__EV_CANCEL && c->phase != WAITS) kind = PAWL__EV_RELEASE;
    if (kind == PAWL__EV_DETACH && c->phase != HOLDS) return;
    c->gave_back = kind != PAWL__EV_CANCEL;
    step(w, (pawl__event){.kind = kind, .want = &c->want, .await_store = which & 128});
}

/* ---- The store -------------------------------------------------------------------- */

static const pawl_err errors[] = {PAWL_ERR_UNAVAILABLE, PAWL_ERR_STORE_BUSY, PAWL_ERR_STORE_FULL,
                                  PAWL_ERR_PERMISSION,  PAWL_ERR_AUTH,       PAWL_ERR_WRONG_TYPE,
                                  PAWL_ERR_INTERNAL,    PAWL_ERR_NO_MEMORY};

static pawl_err some_error(world *w)
{
    return errors[fuzz_below(w->in, sizeof errors / sizeof errors[0])];
}

static const pawl_outcome fitting[][5] = {
    [PAWL_VERB_ACQUIRE] = {PAWL_GRANTED, PAWL_QUEUED, PAWL_BUSY, PAWL_FAILED, PAWL_UNKNOWN},
    [PAWL_VERB_RENEW] = {PAWL_CONFIRMED, PAWL_CONFIRMED, PAWL_NOT_OWNER, PAWL_FAILED, PAWL_UNKNOWN},
    [PAWL_VERB_RELEASE] = {PAWL_RELEASED, PAWL_LEFT, PAWL_NOT_OWNER, PAWL_FAILED, PAWL_UNKNOWN},
};

static uint64_t fence_of(world *w, token *t)
{
    if (w->hostile) return fuzz_number(w->in, 2);
    if (!t->fence) t->fence = ++w->fences[t->name];
    return t->fence;
}

static void answer(world *w, unsigned i, pawl_outcome outcome)
{
    sent s = w->sent[i];
    memmove(w->sent + i, w->sent + i + 1, (--w->sent_count - i) * sizeof(sent));
    token *t = &w->tokens[s.token];
    pawl_reply reply = {.id = s.request.id, .outcome = outcome, .position = -1, .holder_ms = -1};
    if (outcome == PAWL_GRANTED || outcome == PAWL_CONFIRMED) {
        reply.fence = fence_of(w, t);
        reply.waiting = fuzz_byte(w->in) & 1;
    }
    if (outcome == PAWL_QUEUED) {
        reply.position = fuzz_below(w->in, 6);
        reply.holder_ms = (int64_t)fuzz_number(w->in, 2) - 1;
        reply.fence = w->hostile ? fuzz_number(w->in, 2) : w->fences[t->name];
    }
    if (outcome == PAWL_FAILED || outcome == PAWL_UNKNOWN) reply.err = some_error(w);
    bool acknowledged = reply.fence || outcome == PAWL_QUEUED;
    if (acknowledged && s.at > t->base_at) t->base_at = s.at;
    bool whole = outcome == PAWL_GRANTED || outcome == PAWL_CONFIRMED;
    if (whole && (t->whole_at == PAWL__NEVER || s.at > t->whole_at)) t->whole_at = s.at;
    step(w, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
}

static void answer_some(world *w)
{
    unsigned which = fuzz_byte(w->in), how = fuzz_byte(w->in);
    if (w->sent_count == 0) return;
    unsigned i = which % w->sent_count;
    pawl_outcome outcome = fitting[w->sent[i].request.verb][how % 5];
    if (w->hostile && how >= 128) outcome = (pawl_outcome)(how % (PAWL_UNKNOWN + 1));
    answer(w, i, outcome);
}

/* A reply to what nobody asked, or has been answered. */
static void answer_again(world *w)
{
    uint64_t id = (uint64_t)fuzz_byte(w->in) << 32 | fuzz_below(w->in, 16);
    for (unsigned i = 0; i < w->sent_count; i++)
        if (w->sent[i].request.id == id) return;
    if (!w->hostile) {
        pawl_reply reply = {.id = id, .outcome = PAWL_UNKNOWN, .err = some_error(w)};
        step(w, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
        return;
    }
    pawl_reply reply = {.id = id, .outcome = PAWL_GRANTED, .fence = fuzz_number(w->in, 2)};
    step(w, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
}

static void push(world *w)
{
    unsigned what = fuzz_byte(w->in);
    token *t = &w->tokens[(w->token_count + TOKENS_MAX - 1 - what / 3 % 8) % TOKENS_MAX];
    if (!t->asked) return;
    pawl_push push = {.kind = (pawl_push_kind)(what % 3),
                      .name = names[t->name],
                      .name_len = strlen(names[t->name]),
                      .waiting = what & 128};
    if (push.kind != PAWL_PUSH_RECHECK) push.token = t->text;
    if (push.kind == PAWL_PUSH_GRANT) push.fence = fence_of(w, t);
    step(w, (pawl__event){.kind = PAWL__EV_PUSH, .push = &push});
}

/* Before the link goes down every request has been answered. */
static void link_changes(world *w)
{
    bool up = !w->up;
    while (!up && w->sent_count > 0)
        answer(w, 0, fuzz_byte(w->in) & 1 ? PAWL_UNKNOWN : PAWL_FAILED);
    w->up = up;
    step(w, (pawl__event){.kind = PAWL__EV_LINK, .up = up, .err = up ? PAWL_OK : some_error(w)});
}

/* ---- Time ------------------------------------------------------------------------- */

static void pass(world *w, int64_t span)
{
    w->now += span;
    step(w, (pawl__event){.kind = PAWL__EV_TIME});
}

static void pass_to_deadline(world *w)
{
    int64_t at = pawl__engine_deadline(w->engine);
    if (at == PAWL__NEVER) return;
    pass(w, at - w->now);
}

static void close_engine(world *w)
{
    if (w->closed) return;
    w->closed = true;
    for (unsigned i = 0; i < WANTS; i++)
        if (w->callers[i].phase == HOLDS) w->callers[i].gave_back = true; /* for him */
    step(w, (pawl__event){.kind = PAWL__EV_CLOSE});
}

/* Nobody answers any more: in the end nobody waits for anything. */
static void calm_down(world *w)
{
    close_engine(w);
    for (unsigned i = 0; i < WANTS; i++) {
        caller *c = &w->callers[i];
        if (c->phase != LOST || c->gave_back) continue;
        c->gave_back = true;
        step(w, (pawl__event){.kind = PAWL__EV_RELEASE, .want = &c->want});
    }
    for (int i = 0; i < CALM_MAX && pawl__engine_busy(w->engine); i++) pass_to_deadline(w);
    EXPECT(w, !pawl__engine_busy(w->engine));
    for (unsigned i = 0; i < WANTS; i++) EXPECT(w, w->callers[i].phase == NOBODY);
}

static void one_event(world *w)
{
    switch (fuzz_below(w->in, 16)) {
    case 0:
    case 1:
    case 2:
        want(w);
        return;
    case 3:
        give_up(w, PAWL__EV_CANCEL);
        return;
    case 4:
        give_up(w, PAWL__EV_RELEASE);
        return;
    case 5:
        give_up(w, PAWL__EV_DETACH);
        return;
    case 6:
    case 7:
    case 8:
    case 9:
        answer_some(w);
        return;
    case 10:
        push(w);
        return;
    case 11:
        link_changes(w);
        return;
    case 12:
        pass_to_deadline(w);
        return;
    case 13:
        pass(w, INT64_C(1) << fuzz_below(w->in, 40));
        return;
    case 14:
        answer_again(w);
        return;
    case 15:
        if (fuzz_byte(w->in) == 255) close_engine(w);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static world w;
    fuzz_input in = {data, size};
    pawl__engine_opts opts;
    w = (world){.in = &in, .now = 1000 * PAWL__NS_PER_MS, .up = true};
    broke = false;
    pawl__engine_on_broken = on_broken;
    pawl__engine_opts_init(&opts);
    opts.owner = "fuzz";
    opts.draw_token = draw;
    opts.draw_ctx = &w;
    w.engine = pawl__engine_new(&opts);
    CHECK(w.engine != NULL);

    unsigned manner = fuzz_byte(&in);
    w.hostile = manner & 1;
    step(&w, (pawl__event){.kind = PAWL__EV_LINK, .up = true});
    while (w.events < EVENTS_MAX && in.left > 0) one_event(&w);
    if (!(manner & 2)) calm_down(&w); /* else everything is freed as it stands */
    pawl__engine_free(w.engine);
    return 0;
}
