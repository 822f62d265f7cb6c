/* SPDX-License-Identifier: MIT */
/*
 * An engine on virtual time: the test is the store, the clock and the callers.
 * Every step is followed by fetching all actions and by checking all invariants.
 */
#ifndef TESTS_ENGINE_WORLD_H
#define TESTS_ENGINE_WORLD_H

#include "../../../src/engine/engine.h"
#include "../../../src/engine/plan.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <string.h>

#include <cmocka.h>

#define MS  PAWL__NS_PER_MS
#define TTL 30000

#define WORLD_ACTIONS_MAX 256

typedef struct world {
    pawl__engine *engine;
    int64_t now;
    uint32_t tokens;
    pawl__action actions[WORLD_ACTIONS_MAX]; /* of the latest step */
    char tokens_sent[WORLD_ACTIONS_MAX][PAWL_TOKEN_LEN + 1];
    size_t count;
} world;

void world_open(world *w);         /* the link is up */
void world_open_down(world *w);    /* the link is still down */
void world_open_patient(world *w); /* up; an outage may last */
void world_close(world *w);

/* A want on `name`, ready for world_want; if it is used again it waits without limit. */
pawl__want world_claim(const char *name, int64_t wait_until);

void world_step(world *w, pawl__event event);
/* Takes an event; its actions wait until the next world_step. */
void world_step_unfetched(world *w, pawl__event event);
void world_pass(world *w, int64_t span_ns); /* time passes, deadline by deadline */
void world_want(world *w, pawl__want *want);
/* The same; what the store is asked. */
pawl_request world_ask(world *w, pawl__want *want);
/* And the store grants it. */
void world_hold(world *w, pawl__want *want, uint64_t fence);
void world_cancel(world *w, pawl__want *want);
void world_release(world *w, pawl__want *want);
void world_release_await(world *w, pawl__want *want);
void world_link(world *w, bool up, pawl_err err);

/* The latest step's action of a kind: exactly one, or the test fails. */
pawl__action *world_only(world *w, pawl__action_kind kind);
size_t world_count(const world *w, pawl__action_kind kind);
/* The latest step's request of a verb: exactly one. */
pawl_request world_sent(world *w, pawl_verb verb);
size_t world_sent_count(const world *w, pawl_verb verb);

void world_grant(world *w, uint64_t id, uint64_t fence);
/* QUEUED; the second one says which fence was drawn last. */
void world_queue(world *w, uint64_t id, int64_t position, int64_t holder_ms);
void world_queue_behind(world *w, uint64_t id, uint64_t fence);
void world_answer(world *w, uint64_t id, pawl_outcome outcome);
void world_fail(world *w, uint64_t id, pawl_outcome outcome, pawl_err err);
void world_confirm(world *w, uint64_t id, uint64_t fence, bool waiting);
void world_push(world *w, pawl_push_kind kind, const char *name, const char *token, uint64_t fence);

#endif
