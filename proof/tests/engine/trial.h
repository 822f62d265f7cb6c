/* SPDX-License-Identifier: MIT */
/*
 * An engine on virtual time: the test is the store, the clock and the callers.
 * Every step is followed by fetching all actions and by checking all invariants.
 */
#ifndef TESTS_ENGINE_TRIAL_H
#define TESTS_ENGINE_TRIAL_H

#include "../../../src/engine/engine.h"
#include "../../../src/engine/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS  PAWL__NS_PER_MS
#define TTL 30000

#define TRIAL_ACTIONS_MAX 256

typedef struct trial {
    pawl__engine *engine;
    int64_t now;
    uint32_t tokens;
    pawl__action actions[TRIAL_ACTIONS_MAX]; /* of the latest step */
    char tokens_sent[TRIAL_ACTIONS_MAX][PAWL_TOKEN_LEN + 1];
    size_t count;
} trial;

void trial_open(trial *t);         /* the link is up */
void trial_open_down(trial *t);    /* the link is still down */
void trial_open_patient(trial *t); /* up; an outage may last */
/* The link is down; of a seed, and with so much patience while it is. */
void trial_open_with(trial *t, uint64_t seed, int64_t unreachable_ms);
void trial_close(trial *t);

/* A test that begins with an engine whose link is up finds it in *state; cmocka closes it. */
int trial_begin(void **state);
int trial_end(void **state);
#define TRIAL(test) cmocka_unit_test_setup_teardown(test, trial_begin, trial_end)

/* A want on `name`, ready for trial_want; if it is used again it waits without limit. */
pawl__want want_on(const char *name, int64_t wait_until);

/* The same on "a", in another mode; and for so many of 8 permits. */
pawl__want want_of_mode(pawl_mode mode);
pawl__want want_of_permits(uint16_t units);

void trial_step(trial *t, pawl__event event);
/* Takes an event; its actions wait until the next trial_step. */
void trial_step_unfetched(trial *t, pawl__event event);
void trial_pass(trial *t, int64_t span_ns); /* time passes, deadline by deadline */
void trial_want(trial *t, pawl__want *want);
/* The same; what the store is asked. */
pawl_request trial_ask(trial *t, pawl__want *want);
/* And the store grants it. */
void trial_hold(trial *t, pawl__want *want, uint64_t fence);
/* Asks for another mode; what of an upgrade waits. */
pawl__waiting *trial_change(trial *t, pawl__want *want, pawl_mode mode, int64_t wait_until);
void trial_cancel(trial *t, pawl__want *want);
void trial_release(trial *t, pawl__want *want);
void trial_release_await(trial *t, pawl__want *want);
void trial_link(trial *t, bool up, pawl_err err);

/* The latest step's action of a kind: exactly one, or the test fails. */
pawl__action *trial_only(trial *t, pawl__action_kind kind);
size_t trial_count(const trial *t, pawl__action_kind kind);
/* The token of a holder's lease; static storage for a few. */
const char *trial_token_of(trial *t, const pawl__want *want);
/* The latest step's request of a verb: exactly one. */
pawl_request trial_sent(trial *t, pawl_verb verb);
size_t trial_sent_count(const trial *t, pawl_verb verb);

void trial_grant(trial *t, uint64_t id, uint64_t fence);
void trial_grant_slots(trial *t, uint64_t id, uint64_t fence, const uint16_t *slots, size_t count);
/* QUEUED; the second one says which fence was drawn last. */
void trial_queue(trial *t, uint64_t id, int64_t position, int64_t holder_ms);
void trial_queue_behind(trial *t, uint64_t id, uint64_t fence);
void trial_answer(trial *t, uint64_t id, pawl_outcome outcome);
/* NOT_OWNER, because somebody of this label broke it. */
void trial_broken(trial *t, uint64_t id, const char *by);
void trial_fail(trial *t, uint64_t id, pawl_outcome outcome, pawl_err err);
void trial_confirm(trial *t, uint64_t id, uint64_t fence, bool waiting);
void trial_push(trial *t, pawl_push_kind kind, const char *name, const char *token, uint64_t fence);

#endif
