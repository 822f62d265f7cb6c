/* SPDX-License-Identifier: MIT */
#include "trial.h"

#include "../../../src/engine/lease.h"

#include <stdio.h>

static void draw(void *ctx, char *ret_text)
{
    trial *t = ctx;
    snprintf(ret_text, PAWL_TOKEN_LEN + 1, "%040x", ++t->tokens);
}

static void broken(const char *what)
{
    fail_msg("an invariant broke: %s", what);
}

void trial_open_with(trial *t, uint64_t seed, int64_t unreachable_ms)
{
    *t = (trial){.now = 1000 * MS};
    pawl__engine_on_broken = broken;
    pawl__engine_opts opts;
    pawl__engine_opts_init(&opts);
    opts.owner = "tester";
    opts.seed = seed;
    opts.draw_token = draw;
    opts.draw_ctx = t;
    opts.unreachable_ms = unreachable_ms;
    t->engine = pawl__engine_new(&opts);
    assert_non_null(t->engine);
}

void trial_open_down(trial *t)
{
    trial_open_with(t, 7, 5000);
}

void trial_open_patient(trial *t)
{
    trial_open_with(t, 7, PAWL_WAIT_FOREVER);
    trial_link(t, true, PAWL_OK);
}

void trial_open(trial *t)
{
    trial_open_down(t);
    trial_link(t, true, PAWL_OK);
}

void trial_close(trial *t)
{
    pawl__engine_free(t->engine);
}

int trial_begin(void **state)
{
    static trial current;
    trial_open(&current);
    *state = &current;
    return 0;
}

int trial_end(void **state)
{
    trial_close(*state);
    return 0;
}

static pawl__waiting *waiting_new(int64_t wait_until)
{
    static pawl__waiting waitings[1024]; /* more than a test has */
    static size_t next;
    pawl__waiting *waiting = &waitings[next++ % (sizeof waitings / sizeof waitings[0])];
    *waiting = (pawl__waiting){.wait_until = wait_until};
    return waiting;
}

pawl__want want_on(const char *name, int64_t wait_until)
{
    return (pawl__want){.name = name,
                        .name_len = (uint16_t)strlen(name),
                        .ttl_ms = TTL,
                        .waiting = waiting_new(wait_until)};
}

pawl__want want_of_mode(pawl_mode mode)
{
    pawl__want want = want_on("a", PAWL__NEVER);
    want.mode = (uint8_t)mode;
    return want;
}

pawl__want want_of_permits(uint16_t units)
{
    pawl__want want = want_of_mode(PAWL_MODE_PERMIT);
    want.waiting->units = units;
    want.waiting->capacity = 8;
    return want;
}

void trial_grant_slots(trial *t, uint64_t id, uint64_t fence, const uint16_t *slots, size_t count)
{
    pawl_reply reply = {
        .id = id, .outcome = PAWL_GRANTED, .fence = fence, .slots = slots, .slot_count = count};
    trial_step(t, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
}

const char *trial_token_of(trial *t, const pawl__want *want)
{
    static char tokens[16][PAWL_TOKEN_LEN + 1];
    static size_t next;
    char *token = tokens[next++ % 16];
    strcpy(token, pawl__lease_token(t->engine, want->lease));
    return token;
}

void trial_step_unfetched(trial *t, pawl__event event)
{
    pawl__engine_step(t->engine, t->now, &event);
}

void trial_step(trial *t, pawl__event event)
{
    trial_step_unfetched(t, event);
    for (t->count = 0; pawl__engine_next(t->engine, &t->actions[t->count]); t->count++) {
        assert_true(t->count < TRIAL_ACTIONS_MAX - 1);
        pawl__action *a = &t->actions[t->count];
        if (a->kind != PAWL__ACT_SEND) continue;
        strcpy(t->tokens_sent[t->count], a->request.token); /* it is valid until the next one */
        a->request.token = t->tokens_sent[t->count];
    }
    const char *what = pawl__engine_check(t->engine);
    if (what) fail_msg("after an event of kind %d: %s", event.kind, what);
    assert_true(pawl__engine_deadline(t->engine) > t->now);
}

void trial_pass(trial *t, int64_t span_ns)
{
    t->now += span_ns;
    trial_step(t, (pawl__event){.kind = PAWL__EV_TIME});
}

void trial_want(trial *t, pawl__want *want)
{
    if (!want->waiting) want->waiting = waiting_new(PAWL__NEVER); /* not its first time */
    trial_step(t, (pawl__event){.kind = PAWL__EV_WANT, .want = want});
}

pawl_request trial_ask(trial *t, pawl__want *want)
{
    trial_want(t, want);
    return trial_sent(t, PAWL_VERB_ACQUIRE);
}

void trial_hold(trial *t, pawl__want *want, uint64_t fence)
{
    trial_grant(t, trial_ask(t, want).id, fence);
    assert_int_equal(want->state, PAWL__WANT_HOLDING);
}

pawl__waiting *trial_change(trial *t, pawl__want *want, pawl_mode mode, int64_t wait_until)
{
    pawl__waiting *waiting = want_on("a", wait_until).waiting;
    trial_step(
        t, (pawl__event){.kind = PAWL__EV_CHANGE, .want = want, .mode = mode, .waiting = waiting});
    return waiting;
}

void trial_cancel(trial *t, pawl__want *want)
{
    trial_step(t, (pawl__event){.kind = PAWL__EV_CANCEL, .want = want});
}

void trial_release(trial *t, pawl__want *want)
{
    trial_step(t, (pawl__event){.kind = PAWL__EV_RELEASE, .want = want});
}

void trial_release_await(trial *t, pawl__want *want)
{
    trial_step(t, (pawl__event){.kind = PAWL__EV_RELEASE, .want = want, .await_store = true});
}

void trial_link(trial *t, bool up, pawl_err err)
{
    trial_step(t, (pawl__event){.kind = PAWL__EV_LINK, .up = up, .err = err});
}

size_t trial_count(const trial *t, pawl__action_kind kind)
{
    size_t n = 0;
    for (size_t i = 0; i < t->count; i++) n += t->actions[i].kind == kind;
    return n;
}

pawl__action *trial_only(trial *t, pawl__action_kind kind)
{
    assert_int_equal(trial_count(t, kind), 1);
    for (size_t i = 0; i < t->count; i++)
        if (t->actions[i].kind == kind) return &t->actions[i];
    return NULL;
}

size_t trial_sent_count(const trial *t, pawl_verb verb)
{
    size_t n = 0;
    for (size_t i = 0; i < t->count; i++)
        n += t->actions[i].kind == PAWL__ACT_SEND && t->actions[i].request.verb == verb;
    return n;
}

pawl_request trial_sent(trial *t, pawl_verb verb)
{
    assert_int_equal(trial_sent_count(t, verb), 1);
    for (size_t i = 0; i < t->count; i++)
        if (t->actions[i].kind == PAWL__ACT_SEND && t->actions[i].request.verb == verb)
            return t->actions[i].request;
    return (pawl_request){0};
}

static void reply(trial *t, pawl_reply r)
{
    trial_step(t, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &r});
}

void trial_grant(trial *t, uint64_t id, uint64_t fence)
{
    reply(t, (pawl_reply){.id = id, .outcome = PAWL_GRANTED, .fence = fence});
}

void trial_queue(trial *t, uint64_t id, int64_t position, int64_t holder_ms)
{
    reply(t, (pawl_reply){
                 .id = id, .outcome = PAWL_QUEUED, .position = position, .holder_ms = holder_ms});
}

void trial_queue_behind(trial *t, uint64_t id, uint64_t fence)
{
    reply(t, (pawl_reply){.id = id, .outcome = PAWL_QUEUED, .holder_ms = TTL, .fence = fence});
}

void trial_answer(trial *t, uint64_t id, pawl_outcome outcome)
{
    reply(t, (pawl_reply){.id = id, .outcome = outcome});
}

void trial_broken(trial *t, uint64_t id, const char *by)
{
    reply(t, (pawl_reply){.id = id, .outcome = PAWL_NOT_OWNER, .message = by});
}

void trial_fail(trial *t, uint64_t id, pawl_outcome outcome, pawl_err err)
{
    reply(t, (pawl_reply){.id = id, .outcome = outcome, .err = err, .message = "as told"});
}

void trial_confirm(trial *t, uint64_t id, uint64_t fence, bool waiting)
{
    reply(t, (pawl_reply){.id = id, .outcome = PAWL_CONFIRMED, .fence = fence, .waiting = waiting});
}

void trial_push(trial *t, pawl_push_kind kind, const char *name, const char *token, uint64_t fence)
{
    char copy[PAWL_TOKEN_LEN + 1] = "";
    if (token) memcpy(copy, token, sizeof copy);
    pawl_push push = {.kind = kind,
                      .name = name,
                      .name_len = strlen(name),
                      .token = token ? copy : NULL,
                      .fence = fence};
    trial_step(t, (pawl__event){.kind = PAWL__EV_PUSH, .push = &push});
}
