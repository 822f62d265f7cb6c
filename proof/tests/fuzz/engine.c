/* SPDX-License-Identifier: MIT */
/*
 * Any order of events, with the invariants checked after each. The simulator knows what a real
 * server would say; here a store says what the input says, in two manners:
 *
 *   fair      answers fit their requests, fences grow; pushes and replies come late, twice, never
 *   hostile   anything at all. The engine may call the store broken: then everybody has to be
 *             told that he holds nothing (law 10)
 *
 * In one half of the inputs names are held exclusively, in the other two names are held in all
 * modes, which change, and the third is a semaphore; some callers take it for something else.
 *
 *   input: manner (1 byte), then events: what (1 byte) and what it needs
 */
#include "engine_run.h"

#include "engine/plan.h"

#include <stdio.h>

#define EVENTS_MAX 600
#define CALM_MAX   20000 /* steps until everything has run out */

#define EXPECT(run, condition)                                                                     \
    do {                                                                                           \
        if (!(condition))                                                                          \
            FAIL_TEST("event %u, line %d: not so: %s", (run)->events, __LINE__, #condition);       \
    } while (0)

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
    run *r = ctx;
    token *t = &r->tokens[r->token_count++ % TOKENS_MAX];
    *t = (token){.name = 0};
    snprintf(t->text, sizeof t->text, "%040x", r->token_count);
    memcpy(ret_text, t->text, sizeof t->text);
}

static unsigned token_named(const run *r, const char *text)
{
    for (unsigned i = 0; i < TOKENS_MAX; i++)
        if (strcmp(r->tokens[i].text, text) == 0) return i;
    FAIL_TEST("token %s was never drawn", text);
}

static unsigned name_of(const char *name)
{
    for (unsigned i = 0; i < NAMES; i++)
        if (strcmp(names[i], name) == 0) return i;
    FAIL_TEST("nobody knows the name %s", name);
}

/* ---- What the engine wants done --------------------------------------------------- */

static void on_send(run *r, const pawl_request *request)
{
    EXPECT(r, r->up || r->hostile);
    unsigned i = token_named(r, request->token);
    token *t = &r->tokens[i];
    EXPECT(r, request->answer_by > r->now);
    EXPECT(r, !t->asked || t->ttl_ms == request->ttl_ms); /* one ttl for life */
    if (!t->asked) {
        *t = (token){.name = name_of(request->name),
                     .ttl_ms = request->ttl_ms,
                     .mode = request->mode,
                     .units = request->units,
                     .capacity = request->capacity,
                     .base_at = r->now,
                     .whole_at = PAWL__NEVER};
        memcpy(t->text, request->token, sizeof t->text);
        t->asked = true;
    }
    if (r->sent_count == SENT_MAX) { /* the oldest one stays without an answer */
        memmove(r->sent, r->sent + 1, (SENT_MAX - 1) * sizeof(sent));
        r->sent_count--;
    }
    r->sent[r->sent_count++] = (sent){.request = *request, .at = r->now, .token = i};
}

static void check_deadline(const run *r, const token *t, int64_t deadline)
{
    if (r->hostile) return; /* an answer may stand for another verb's */
    int64_t latest = t->base_at + pawl__plan_place_ns(t->ttl_ms); /* handed on, and no more yet */
    int64_t whole = t->whole_at + pawl__plan_span_ns(t->ttl_ms);
    if (t->whole_at != PAWL__NEVER && whole > latest) latest = whole;
    EXPECT(r, deadline <= latest); /* law 2 */
    EXPECT(r, deadline > r->now);  /* no dead grant, no dead extension */
}

/* Law 3, for those who exclude each other; the same again when it is passed on or shared here. */
static void note_fence(run *r, const caller *c, unsigned name)
{
    for (unsigned slot = 0; slot < SLOTS_MAX; slot++) {
        if (!(c->slots >> slot & 1)) continue;
        EXPECT(r, c->fence >= r->reported_slots[name][slot]);
        r->reported_slots[name][slot] = c->fence;
    }
    if (c->mode == PAWL_MODE_PERMIT) return;
    for (unsigned mode = 0; mode < PAWL_MODE_PERMIT; mode++)
        if (modes_exclude(c->mode, (pawl_mode)mode))
            EXPECT(r, c->fence >= r->reported_modes[name][mode]);
    if (c->fence > r->reported_modes[name][c->mode]) r->reported_modes[name][c->mode] = c->fence;
}

static void on_granted(run *r, caller *c, const pawl__action *action)
{
    EXPECT(r, c->phase == WAITS);
    c->phase = HOLDS;
    const token *t = &r->tokens[token_named(r, action->token)];
    check_deadline(r, t, action->deadline);
    EXPECT(r, action->fence > 0);
    if (r->hostile) return;
    EXPECT(r, action->fence == t->fence);
    c->fence = action->fence;
    if (r->kinds) {
        c->slots = 0;
        for (size_t i = 0; i < action->slot_count; i++) c->slots |= 1u << action->slots[i];
        EXPECT(r, c->slots == t->slots);
        note_fence(r, c, t->name);
        return;
    }
    EXPECT(r, action->fence >= r->reported[t->name]); /* law 3; the same when passed on locally */
    r->reported[t->name] = action->fence;
}

/* The end of a change; who got a larger mode has a fence above all that he excludes. */
static void on_changed(run *r, caller *c, const pawl__action *action)
{
    EXPECT(r, c->changing && c->phase == HOLDS);
    c->changing = false;
    if (action->err) return;
    bool upgraded = c->mode == PAWL_MODE_UPDATE && c->changes_to == PAWL_MODE_EXCLUSIVE;
    c->mode = c->changes_to;
    if (r->hostile) return;
    EXPECT(r, action->fence >= c->fence);
    c->fence = action->fence;
    if (upgraded) note_fence(r, c, name_of(c->want.name));
}

/* Everyone is told once (law 6), and in an order that makes sense. */
static void on_told(run *r, const pawl__action *action)
{
    caller *c = (caller *)action->want; /* its first member */
    if (action->err) EXPECT(r, action->err < 0 && action->message);
    switch (action->kind) {
    case PAWL__ACT_SEND:
        return;
    case PAWL__ACT_GRANTED:
        on_granted(r, c, action);
        return;
    case PAWL__ACT_REFUSED:
        EXPECT(r, c->phase == WAITS && action->err);
        c->phase = NOBODY;
        return;
    case PAWL__ACT_EXTENDED:
        EXPECT(r, c->phase == HOLDS);
        check_deadline(r, &r->tokens[token_named(r, action->token)], action->deadline);
        return;
    case PAWL__ACT_DOUBT:
    case PAWL__ACT_YIELD:
        EXPECT(r, c->phase == HOLDS);
        return;
    case PAWL__ACT_LOST:
        EXPECT(r, c->phase == HOLDS && action->err);
        c->phase = LOST;
        return;
    case PAWL__ACT_RELEASED:
        EXPECT(r, (c->phase == HOLDS || c->phase == LOST) && c->gave_back);
        c->phase = NOBODY;
        c->gave_back = false;
        return;
    case PAWL__ACT_CHANGED:
        on_changed(r, c, action);
        return;
    }
}

static void step(run *r, pawl__event event);

/* A want's patience may have been over before the engine heard of it: that is due at once. */
static void catch_up(run *r)
{
    if (pawl__engine_deadline(r->engine) <= r->now) step(r, (pawl__event){.kind = PAWL__EV_TIME});
}

/* Nobody here holds beside whom he excludes, nobody has another's permit. */
static void check_beside(const run *r, unsigned number)
{
    const caller *c = &r->callers[number];
    for (unsigned i = 0; i < number; i++) {
        const caller *other = &r->callers[i];
        if (other->want.state != PAWL__WANT_HOLDING) continue;
        if (name_of(other->want.name) != name_of(c->want.name)) continue;
        bool permits = c->mode == PAWL_MODE_PERMIT;
        EXPECT(r, permits == (other->mode == PAWL_MODE_PERMIT));
        EXPECT(r, permits ? !(c->slots & other->slots) : !modes_exclude(c->mode, other->mode));
    }
}

static void check_holder(const run *r, unsigned number, unsigned *holders)
{
    const caller *c = &r->callers[number];
    EXPECT(r, !broke); /* law 10 */
    EXPECT(r, c->phase == HOLDS && c->want.lease);
    if (r->kinds) {
        if (!r->hostile) check_beside(r, number);
        return;
    }
    EXPECT(r, (*holders)++ == 0);
    EXPECT(r, pawl__engine_holder(r->engine, c->want.name, c->want.name_len, PAWL_MODE_EXCLUSIVE) ==
                  &c->want);
}

static void check(const run *r)
{
    const char *what = pawl__engine_check(r->engine);
    if (what) FAIL_TEST("event %u: %s", r->events, what);
    EXPECT(r, pawl__engine_deadline(r->engine) > r->now);
    unsigned holders[NAMES] = {0};
    for (unsigned i = 0; i < WANTS; i++) {
        const caller *c = &r->callers[i];
        EXPECT(r, (c->phase == NOBODY) == (c->want.state == PAWL__WANT_NONE));
        EXPECT(r, !c->changing || (c->phase == HOLDS && !c->gave_back));
        if (c->want.state == PAWL__WANT_HOLDING)
            check_holder(r, i, &holders[name_of(c->want.name)]);
    }
}

static void step(run *r, pawl__event event)
{
    pawl__action action;
    r->events++;
    pawl__engine_step(r->engine, r->now, &event);
    for (unsigned n = 0; pawl__engine_next(r->engine, &action); n++) {
        EXPECT(r, n < 1000);
        if (action.kind == PAWL__ACT_SEND)
            on_send(r, &action.request);
        else
            on_told(r, &action);
    }
    if (event.kind != PAWL__EV_TIME) catch_up(r);
    check(r);
    EXPECT(r, !broke || r->hostile);
}

/* ---- Callers ---------------------------------------------------------------------- */

static int64_t patience(run *r)
{
    switch (fuzz_below(r->in, 4)) {
    case 0:
        return 0;
    case 1:
        return PAWL__NEVER;
    case 2:
        return r->now + (int64_t)fuzz_number(r->in, 4);
    default:
        return (int64_t)fuzz_number(r->in, 8); /* also long ago */
    }
}

/* Mostly of the kind that the name is of. */
static void draw_kind(run *r, caller *c)
{
    unsigned what = fuzz_byte(r->in);
    bool permits = name_of(c->want.name) == NAMES - 1, errs = what >= 240;
    if (permits != errs) {
        c->want.mode = PAWL_MODE_PERMIT;
        c->waiting.units = (uint16_t)(1 + what % CAPACITY);
        c->waiting.capacity = (uint16_t)(CAPACITY + (what & 64 ? errs : 0));
    } else {
        c->want.mode = (uint8_t)(what % PAWL_MODE_PERMIT);
    }
    c->mode = (pawl_mode)c->want.mode;
}

static void want(run *r)
{
    caller *c = &r->callers[fuzz_below(r->in, WANTS)];
    if (c->phase != NOBODY) return;
    const char *name = names[fuzz_below(r->in, NAMES)];
    c->want = (pawl__want){.name = name, .name_len = (uint16_t)strlen(name)};
    c->want.ttl_ms = (int32_t)ttls_ms[fuzz_below(r->in, sizeof ttls_ms / sizeof ttls_ms[0])];
    c->want.retain_ms =
        (int32_t)retains_ms[fuzz_below(r->in, sizeof retains_ms / sizeof retains_ms[0])];
    c->want.flags = fuzz_byte(r->in) & 15 ? 0 : PAWL_ASK_DETACHED;
    c->want.waiting = &c->waiting;
    c->waiting = (pawl__waiting){.wait_until = patience(r)};
    c->slots = 0;
    c->mode = PAWL_MODE_EXCLUSIVE;
    if (r->kinds) draw_kind(r, c);
    c->phase = WAITS;
    step(r, (pawl__event){.kind = PAWL__EV_WANT, .want = &c->want});
}

static void give_up(run *r, pawl__event_kind kind)
{
    unsigned which = fuzz_byte(r->in);
    caller *c = &r->callers[which % WANTS];
    if (c->phase == NOBODY || c->gave_back) return;
    if (kind == PAWL__EV_RELEASE && c->phase == WAITS) kind = PAWL__EV_CANCEL;
    if (kind == PAWL__EV_CANCEL && c->phase != WAITS) kind = PAWL__EV_RELEASE;
    if (kind == PAWL__EV_DETACH && c->phase != HOLDS) return;
    c->gave_back = kind != PAWL__EV_CANCEL;
    step(r, (pawl__event){.kind = kind, .want = &c->want, .await_store = which & 128});
}

/* Any mode, also one that cannot be. Who waits to be upgraded gives that up, or all but reading. */
static void change(run *r)
{
    unsigned which = fuzz_byte(r->in);
    caller *c = &r->callers[which % WANTS];
    if (!r->kinds || c->phase != HOLDS || c->gave_back) return;
    if (c->changing && which & 64) {
        step(r, (pawl__event){.kind = PAWL__EV_CANCEL, .want = &c->want});
        return;
    }
    c->changes_to = c->changing ? PAWL_MODE_SHARED : (pawl_mode)(which / WANTS % 4);
    if (!c->changing) c->upgrade = (pawl__waiting){.wait_until = patience(r)};
    /* He lets others in before the store has heard of it. */
    if (pawl_mode_is_downgrade(c->mode, c->changes_to)) c->mode = c->changes_to;
    c->changing = true;
    step(r, (pawl__event){.kind = PAWL__EV_CHANGE,
                          .want = &c->want,
                          .mode = c->changes_to,
                          .waiting = &c->upgrade});
}

/* ---- The store -------------------------------------------------------------------- */

static const pawl_err errors[] = {PAWL_ERR_UNAVAILABLE, PAWL_ERR_STORE_BUSY, PAWL_ERR_STORE_FULL,
                                  PAWL_ERR_PERMISSION,  PAWL_ERR_AUTH,       PAWL_ERR_WRONG_TYPE,
                                  PAWL_ERR_INTERNAL,    PAWL_ERR_NO_MEMORY};

static pawl_err some_error(run *r)
{
    return errors[fuzz_below(r->in, sizeof errors / sizeof errors[0])];
}

static const pawl_outcome fitting[][5] = {
    [PAWL_VERB_ACQUIRE] = {PAWL_GRANTED, PAWL_QUEUED, PAWL_BUSY, PAWL_FAILED, PAWL_UNKNOWN},
    [PAWL_VERB_RENEW] = {PAWL_CONFIRMED, PAWL_CONFIRMED, PAWL_NOT_OWNER, PAWL_FAILED, PAWL_UNKNOWN},
    [PAWL_VERB_RELEASE] = {PAWL_RELEASED, PAWL_LEFT, PAWL_NOT_OWNER, PAWL_FAILED, PAWL_UNKNOWN},
    [PAWL_VERB_CHANGE] = {PAWL_GRANTED, PAWL_QUEUED, PAWL_GRANTED, PAWL_FAILED, PAWL_UNKNOWN},
};

static uint64_t fence_of(run *r, token *t)
{
    if (r->hostile) return fuzz_number(r->in, 2);
    if (!t->fence) t->fence = ++r->fences[t->name];
    return t->fence;
}

static void answer(run *r, unsigned i, pawl_outcome outcome)
{
    sent s = r->sent[i];
    memmove(r->sent + i, r->sent + i + 1, (--r->sent_count - i) * sizeof(sent));
    token *t = &r->tokens[s.token];
    uint16_t slots[SLOTS_MAX];
    pawl_err why = PAWL_OK;
    if (r->kinds && !r->hostile) outcome = modes_answer(r, t, &s.request, outcome, &why);
    pawl_reply reply = {.id = s.request.id, .outcome = outcome, .position = -1, .holder_ms = -1};
    if (outcome == PAWL_GRANTED || outcome == PAWL_CONFIRMED) {
        reply.fence = fence_of(r, t);
        reply.waiting = fuzz_byte(r->in) & 1;
    }
    if (outcome == PAWL_QUEUED) {
        reply.position = fuzz_below(r->in, 6);
        reply.holder_ms = (int64_t)fuzz_number(r->in, 2) - 1;
        reply.fence = r->hostile ? fuzz_number(r->in, 2) : r->fences[t->name];
    }
    if (outcome == PAWL_GRANTED && r->kinds) {
        reply.slots = slots;
        reply.slot_count = modes_list_slots(r->hostile ? fuzz_byte(r->in) : t->slots, slots);
    }
    if (outcome == PAWL_FAILED || outcome == PAWL_UNKNOWN) reply.err = why ? why : some_error(r);
    bool extends = s.request.verb == PAWL_VERB_CHANGE && /* rule 10 */
                   (outcome == PAWL_QUEUED || outcome == PAWL_BUSY);
    bool acknowledged = reply.fence || outcome == PAWL_QUEUED || extends;
    if (acknowledged && s.at > t->base_at) t->base_at = s.at;
    bool whole = outcome == PAWL_GRANTED || outcome == PAWL_CONFIRMED || extends;
    if (whole && (t->whole_at == PAWL__NEVER || s.at > t->whole_at)) t->whole_at = s.at;
    step(r, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
}

static void answer_some(run *r)
{
    unsigned which = fuzz_byte(r->in), how = fuzz_byte(r->in);
    if (r->sent_count == 0) return;
    unsigned i = which % r->sent_count;
    pawl_outcome outcome = fitting[r->sent[i].request.verb][how % 5];
    if (r->hostile && how >= 128) outcome = (pawl_outcome)(how % (PAWL_UNKNOWN + 1));
    answer(r, i, outcome);
}

/* A reply to what nobody asked, or has been answered. */
static void answer_again(run *r)
{
    uint64_t id = (uint64_t)fuzz_byte(r->in) << 32 | fuzz_below(r->in, 16);
    for (unsigned i = 0; i < r->sent_count; i++)
        if (r->sent[i].request.id == id) return;
    if (!r->hostile) {
        pawl_reply reply = {.id = id, .outcome = PAWL_UNKNOWN, .err = some_error(r)};
        step(r, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
        return;
    }
    pawl_reply reply = {.id = id, .outcome = PAWL_GRANTED, .fence = fuzz_number(r->in, 2)};
    step(r, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
}

static void push(run *r)
{
    unsigned what = fuzz_byte(r->in);
    token *t = &r->tokens[(r->token_count + TOKENS_MAX - 1 - what / 3 % 8) % TOKENS_MAX];
    if (!t->asked) return;
    pawl_push push = {.kind = (pawl_push_kind)(what % 3),
                      .name = names[t->name],
                      .name_len = strlen(names[t->name]),
                      .waiting = what & 128};
    if (push.kind != PAWL_PUSH_RECHECK) push.token = t->text;
    uint16_t slots[SLOTS_MAX];
    if (push.kind == PAWL_PUSH_GRANT && r->kinds && !r->hostile && !modes_push(r, t)) return;
    if (push.kind == PAWL_PUSH_GRANT) push.fence = fence_of(r, t);
    if (push.kind == PAWL_PUSH_GRANT && r->kinds) {
        push.slots = slots;
        push.slot_count = modes_list_slots(r->hostile ? what : t->slots, slots);
    }
    step(r, (pawl__event){.kind = PAWL__EV_PUSH, .push = &push});
}

/* Before the link goes down every request has been answered. */
static void link_changes(run *r)
{
    bool up = !r->up;
    while (!up && r->sent_count > 0)
        answer(r, 0, fuzz_byte(r->in) & 1 ? PAWL_UNKNOWN : PAWL_FAILED);
    r->up = up;
    step(r, (pawl__event){.kind = PAWL__EV_LINK, .up = up, .err = up ? PAWL_OK : some_error(r)});
}

/* ---- Time ------------------------------------------------------------------------- */

static void pass(run *r, int64_t span)
{
    r->now += span;
    step(r, (pawl__event){.kind = PAWL__EV_TIME});
}

static void pass_to_deadline(run *r)
{
    int64_t at = pawl__engine_deadline(r->engine);
    if (at == PAWL__NEVER) return;
    pass(r, at - r->now);
}

static void close_engine(run *r)
{
    if (r->closed) return;
    r->closed = true;
    for (unsigned i = 0; i < WANTS; i++)
        if (r->callers[i].phase == HOLDS) r->callers[i].gave_back = true; /* for him */
    step(r, (pawl__event){.kind = PAWL__EV_CLOSE});
}

/* The store answers no more: in the end no caller waits. */
static void calm_down(run *r)
{
    close_engine(r);
    for (unsigned i = 0; i < WANTS; i++) {
        caller *c = &r->callers[i];
        if (c->phase != LOST || c->gave_back) continue;
        c->gave_back = true;
        step(r, (pawl__event){.kind = PAWL__EV_RELEASE, .want = &c->want});
    }
    for (int i = 0; i < CALM_MAX && pawl__engine_busy(r->engine); i++) pass_to_deadline(r);
    EXPECT(r, !pawl__engine_busy(r->engine));
    for (unsigned i = 0; i < WANTS; i++) EXPECT(r, r->callers[i].phase == NOBODY);
}

static void one_event(run *r)
{
    switch (fuzz_below(r->in, 16)) {
    case 0:
    case 1:
    case 2:
        want(r);
        return;
    case 3:
        give_up(r, PAWL__EV_CANCEL);
        return;
    case 4:
        give_up(r, PAWL__EV_RELEASE);
        return;
    case 5:
        give_up(r, PAWL__EV_DETACH);
        return;
    case 6:
    case 7:
    case 8:
    case 9:
        answer_some(r);
        return;
    case 10:
        push(r);
        return;
    case 11:
        link_changes(r);
        return;
    case 12:
        pass_to_deadline(r);
        return;
    case 13:
        pass(r, INT64_C(1) << fuzz_below(r->in, 40));
        return;
    case 15:
        if (r->kinds)
            change(r);
        else if (fuzz_byte(r->in) == 255)
            close_engine(r);
        return;
    case 14:
        answer_again(r);
        return;
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static run r;
    fuzz_input in = {data, size};
    pawl__engine_opts opts;
    r = (run){.in = &in, .now = 1000 * PAWL__NS_PER_MS, .up = true};
    broke = false;
    pawl__engine_on_broken = on_broken;
    pawl__engine_opts_init(&opts);
    opts.owner = "fuzz";
    opts.draw_token = draw;
    opts.draw_ctx = &r;
    r.engine = pawl__engine_new(&opts);
    CHECK(r.engine != NULL);

    unsigned manner = fuzz_byte(&in);
    r.hostile = manner & 1;
    r.kinds = manner & 4;
    step(&r, (pawl__event){.kind = PAWL__EV_LINK, .up = true});
    while (r.events < EVENTS_MAX && in.left > 0) one_event(&r);
    if (!(manner & 2)) calm_down(&r); /* else everything is freed as it stands */
    pawl__engine_free(r.engine);
    return 0;
}
