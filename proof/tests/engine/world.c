/* SPDX-License-Identifier: MIT */
#include "world.h"

#include <stdio.h>

static void draw(void *ctx, char *ret_text)
{
    world *w = ctx;
    snprintf(ret_text, PAWL_TOKEN_LEN + 1, "%040x", ++w->tokens);
}

static void broken(const char *what)
{
    fail_msg("an invariant broke: %s", what);
}

static void open_with(world *w, int64_t unreachable_ms)
{
    *w = (world){.now = 1000 * MS};
    pawl__engine_on_broken = broken;
    pawl__engine_opts opts;
    pawl__engine_opts_init(&opts);
    opts.owner = "tester";
    opts.seed = 7;
    opts.draw_token = draw;
    opts.draw_ctx = w;
    if (unreachable_ms) opts.unreachable_ms = unreachable_ms;
    w->engine = pawl__engine_new(&opts);
    assert_non_null(w->engine);
}

void world_open_down(world *w)
{
    open_with(w, 0);
}

void world_open_patient(world *w)
{
    open_with(w, PAWL_WAIT_FOREVER);
    world_link(w, true, PAWL_OK);
}

void world_open(world *w)
{
    world_open_down(w);
    world_link(w, true, PAWL_OK);
}

void world_close(world *w)
{
    pawl__engine_free(w->engine);
}

static pawl__waiting *waiting_new(int64_t wait_until)
{
    static pawl__waiting waitings[1024]; /* more than a test has */
    static size_t next;
    pawl__waiting *waiting = &waitings[next++ % (sizeof waitings / sizeof waitings[0])];
    *waiting = (pawl__waiting){.wait_until = wait_until};
    return waiting;
}

pawl__want world_claim(const char *name, int64_t wait_until)
{
    return (pawl__want){.name = name,
                        .name_len = (uint16_t)strlen(name),
                        .ttl_ms = TTL,
                        .waiting = waiting_new(wait_until)};
}

void world_step_unfetched(world *w, pawl__event event)
{
    pawl__engine_step(w->engine, w->now, &event);
}

void world_step(world *w, pawl__event event)
{
    world_step_unfetched(w, event);
    for (w->count = 0; pawl__engine_next(w->engine, &w->actions[w->count]); w->count++) {
        assert_true(w->count < WORLD_ACTIONS_MAX - 1);
        pawl__action *a = &w->actions[w->count];
        if (a->kind != PAWL__ACT_SEND) continue;
        strcpy(w->tokens_sent[w->count], a->request.token); /* it is valid until the next one */
        a->request.token = w->tokens_sent[w->count];
    }
    const char *what = pawl__engine_check(w->engine);
    if (what) fail_msg("after an event of kind %d: %s", event.kind, what);
    assert_true(pawl__engine_deadline(w->engine) > w->now);
}

void world_pass(world *w, int64_t span_ns)
{
    w->now += span_ns;
    world_step(w, (pawl__event){.kind = PAWL__EV_TIME});
}

void world_want(world *w, pawl__want *want)
{
    if (!want->waiting) want->waiting = waiting_new(PAWL__NEVER); /* not its first time */
    world_step(w, (pawl__event){.kind = PAWL__EV_WANT, .want = want});
}

pawl_request world_ask(world *w, pawl__want *want)
{
    world_want(w, want);
    return world_sent(w, PAWL_VERB_ACQUIRE);
}

void world_hold(world *w, pawl__want *want, uint64_t fence)
{
    world_grant(w, world_ask(w, want).id, fence);
    assert_int_equal(want->state, PAWL__WANT_HOLDING);
}

void world_cancel(world *w, pawl__want *want)
{
    world_step(w, (pawl__event){.kind = PAWL__EV_CANCEL, .want = want});
}

void world_release(world *w, pawl__want *want)
{
    world_step(w, (pawl__event){.kind = PAWL__EV_RELEASE, .want = want});
}

void world_release_await(world *w, pawl__want *want)
{
    world_step(w, (pawl__event){.kind = PAWL__EV_RELEASE, .want = want, .await_store = true});
}

void world_link(world *w, bool up, pawl_err err)
{
    world_step(w, (pawl__event){.kind = PAWL__EV_LINK, .up = up, .err = err});
}

size_t world_count(const world *w, pawl__action_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++) n += w->actions[i].kind == kind;
    return n;
}

pawl__action *world_only(world *w, pawl__action_kind kind)
{
    assert_int_equal(world_count(w, kind), 1);
    for (size_t i = 0; i < w->count; i++)
        if (w->actions[i].kind == kind) return &w->actions[i];
    return NULL;
}

size_t world_sent_count(const world *w, pawl_verb verb)
{
    size_t n = 0;
    for (size_t i = 0; i < w->count; i++)
        n += w->actions[i].kind == PAWL__ACT_SEND && w->actions[i].request.verb == verb;
    return n;
}

pawl_request world_sent(world *w, pawl_verb verb)
{
    assert_int_equal(world_sent_count(w, verb), 1);
    for (size_t i = 0; i < w->count; i++)
        if (w->actions[i].kind == PAWL__ACT_SEND && w->actions[i].request.verb == verb)
            return w->actions[i].request;
    return (pawl_request){0};
}

static void reply(world *w, pawl_reply r)
{
    world_step(w, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &r});
}

void world_grant(world *w, uint64_t id, uint64_t fence)
{
    reply(w, (pawl_reply){.id = id, .outcome = PAWL_GRANTED, .fence = fence});
}

void world_queue(world *w, uint64_t id, int64_t position, int64_t holder_ms)
{
    reply(w, (pawl_reply){
                 .id = id, .outcome = PAWL_QUEUED, .position = position, .holder_ms = holder_ms});
}

void world_queue_behind(world *w, uint64_t id, uint64_t fence)
{
    reply(w, (pawl_reply){.id = id, .outcome = PAWL_QUEUED, .holder_ms = TTL, .fence = fence});
}

void world_answer(world *w, uint64_t id, pawl_outcome outcome)
{
    reply(w, (pawl_reply){.id = id, .outcome = outcome});
}

void world_fail(world *w, uint64_t id, pawl_outcome outcome, pawl_err err)
{
    reply(w, (pawl_reply){.id = id, .outcome = outcome, .err = err, .message = "as told"});
}

void world_confirm(world *w, uint64_t id, uint64_t fence, bool waiting)
{
    reply(w, (pawl_reply){.id = id, .outcome = PAWL_CONFIRMED, .fence = fence, .waiting = waiting});
}

void world_push(world *w, pawl_push_kind kind, const char *name, const char *token, uint64_t fence)
{
    char copy[PAWL_TOKEN_LEN + 1] = "";
    if (token) memcpy(copy, token, sizeof copy);
    pawl_push push = {.kind = kind,
                      .name = name,
                      .name_len = strlen(name),
                      .token = token ? copy : NULL,
                      .fence = fence};
    world_step(w, (pawl__event){.kind = PAWL__EV_PUSH, .push = &push});
}
