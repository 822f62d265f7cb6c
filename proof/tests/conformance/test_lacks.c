/* SPDX-License-Identifier: MIT */
/* Rule 14: what a store lacks it says in its caps, and refuses; and waiting without a queue. */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"

#include <string.h>

static void the_promises_are_complete(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const pawl_caps *caps = client_caps(a);
    assert_int_equal(caps->size, sizeof(*caps));
    assert_int_equal(caps->modes, kind_modes(s->kind));
    assert_in_range(caps->fence, PAWL_FENCE_NONE, PAWL_FENCE_DURABLE);
    assert_true(caps->linger_ms >= 0);
    for (store_trait trait = 0; trait < TRAIT_COUNT; trait++) {
        bool lacks = s->kind->lacks & 1u << trait;
        if (has_trait(a, trait) == lacks)
            fail_msg("the caps %s %s; kinds.c says otherwise", lacks ? "have" : "lack",
                     trait_name(trait));
    }
    client_close(a);
}

static void is_refused(client *c, pawl_request request)
{
    const seen_reply *answer = expect(c, request, PAWL_FAILED);
    if (answer->reply.err != PAWL_ERR_UNSUPPORTED || !answer->text[0] || strchr(answer->text, '\n'))
        fail_msg("verb %d: %s \"%s\"", (int)request.verb, pawl_err_name(answer->reply.err),
                 answer->text);
}

static void modes_that_it_lacks_are_refused(client *c, const char *name)
{
    static const pawl_mode modes[] = {PAWL_MODE_SHARED, PAWL_MODE_UPDATE};
    const char *held = fresh_token();
    for (size_t i = 0; i < 2; i++)
        if (!(client_caps(c)->modes & 1u << modes[i]))
            is_refused(c, ask_mode(name, fresh_token(), modes[i], LONG_MS, PAWL_ASK_QUEUE));
    if (!(client_caps(c)->modes & 1u << PAWL_MODE_PERMIT))
        is_refused(c, ask_permits(name, fresh_token(), 1, 2, LONG_MS, 0));
    if (client_caps(c)->modes & 1u << PAWL_MODE_UPDATE) return;
    expect(c, ask_acquire(name, held, LONG_MS), PAWL_GRANTED); /* nothing was left by those */
    is_refused(c, ask_change(name, held, PAWL_MODE_UPDATE, 1, LONG_MS, 0));
    expect(c, ask_release(name, held), PAWL_RELEASED);
}

static void what_a_store_lacks_it_refuses(void **state)
{
    stage *s = *state;
    client *a = join(s, "a");
    const char *name = lock_name(s, "x"), *held = fresh_token();
    modes_that_it_lacks_are_refused(a, name);
    expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    if (!has_trait(a, TRAIT_LIST)) is_refused(a, ask_list(""));
    if (!has_trait(a, TRAIT_VALUES)) {
        is_refused(a, ask_publish(name, held, "text"));
        is_refused(a, ask_read(name, 0));
    }
    expect(a, ask_renew(name, held, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
}

/* ---- Without a queue ------------------------------------------------------------------------ */

static client *join_without_queue(stage *s, const char *owner)
{
    client *c = join(s, owner);
    if (!has_trait(c, TRAIT_FAIR)) return c;
    client_close(c);
    skip_case("this store has a queue: test_queue.c");
}

static void a_free_lock_is_seen_by_who_waits_for_it(void **state)
{
    stage *s = *state;
    client *a = join_without_queue(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = fresh_token(), *waiter = fresh_token();
    uint64_t fence = expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED)->reply.fence;
    const seen_reply *r = expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    assert_int_equal(r->reply.position, -1);
    assert_false(expect(a, ask_renew(name, held, LONG_MS), PAWL_CONFIRMED)->reply.waiting);
    assert_int_equal(inspect(a, name, NULL)->waiter_count, 0);
    assert_null(client_pushed(b, PAWL_PUSH_RECHECK, NULL));
    expect(a, ask_release(name, held), PAWL_RELEASED);
    assert_string_equal(client_await_push(b, PAWL_PUSH_RECHECK, NULL)->push.name, name);
    r = expect(b, ask_queue(name, waiter, LONG_MS), PAWL_GRANTED);
    assert_true(r->reply.fence > fence);
    assert_false(r->reply.waiting);
    client_close(a);
    client_close(b);
}

static void a_lock_that_ran_out_is_seen_by_who_waits_for_it(void **state)
{
    stage *s = *state;
    client *a = join_without_queue(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *waiter = fresh_token();
    expect(a, ask_acquire(name, fresh_token(), WIDE_MS), PAWL_GRANTED);
    expect(b, ask_queue(name, waiter, LONG_MS), PAWL_QUEUED);
    client_await_push(b, PAWL_PUSH_RECHECK, NULL);
    acquire_soon(b, name, waiter, LONG_MS);
    client_close(a);
    client_close(b);
}

static void a_place_of_a_clients_own_is_left_once(void **state)
{
    stage *s = *state;
    client *a = join_without_queue(s, "a");
    client *b = join(s, "b");
    const char *name = lock_name(s, "x"), *held = fresh_token(), *stays = fresh_token();
    const char *leaves = fresh_token(), *once = fresh_token();
    expect(a, ask_acquire(name, held, LONG_MS), PAWL_GRANTED);
    expect(b, ask_queue(name, leaves, LONG_MS), PAWL_QUEUED);
    expect(b, ask_queue(name, leaves, LONG_MS), PAWL_QUEUED);
    expect(b, ask_queue(name, stays, LONG_MS), PAWL_QUEUED);
    expect(b, ask_release(name, leaves), PAWL_LEFT);
    expect(b, ask_release(name, leaves), PAWL_NOT_OWNER);
    expect(a, ask_release(name, stays), PAWL_NOT_OWNER);
    expect(b, ask_queue(name, once, LONG_MS), PAWL_QUEUED);
    expect(b, ask_acquire(name, once, LONG_MS), PAWL_BUSY); /* which leaves nothing */
    expect(b, ask_release(name, once), PAWL_NOT_OWNER);
    expect(b, ask_release(name, stays), PAWL_LEFT);
    expect(a, ask_renew(name, held, LONG_MS), PAWL_CONFIRMED);
    client_close(a);
    client_close(b);
}

static void a_place_of_a_clients_own_ends(void **state)
{
    stage *s = *state;
    client *a = join_without_queue(s, "a");
    const char *name = lock_name(s, "x"), *waiter = fresh_token();
    expect(a, ask_acquire(name, fresh_token(), LONG_MS), PAWL_GRANTED);
    expect(a, ask_queue(name, waiter, SHORT_MS), PAWL_QUEUED);
    test_loop_for(s->loop, surely_over_ms(a, pawl_place_span(SHORT_MS)));
    expect(a, ask_release(name, waiter), PAWL_NOT_OWNER);
    client_close(a);
}

const struct CMUnitTest lack_cases[] = {
    CASE(the_promises_are_complete),
    CASE(what_a_store_lacks_it_refuses),
    CASE(a_free_lock_is_seen_by_who_waits_for_it),
    CASE(a_lock_that_ran_out_is_seen_by_who_waits_for_it),
    CASE(a_place_of_a_clients_own_is_left_once),
    CASE(a_place_of_a_clients_own_ends),
};
const size_t lack_case_count = sizeof(lack_cases) / sizeof(lack_cases[0]);
