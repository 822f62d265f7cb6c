/* SPDX-License-Identifier: MIT */
/*
 * Goal: a barrier keeps its word on a store that answers late or not at all, whoever else is there.
 * Method: a store that does what the test says; argv[1] is its directory. Each case has a limit
 * that is to run out. On a busy machine it may run out before the store was asked: then the case
 * is played again.
 */
#include "pawl/composed.h"
#include "scripted.h"
#include "stage.h"

#include <sched.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define GIVES_UP_MS 5
#define LATE_TICKS  20 /* of 1 ms at least */

/* What the store does, and what it was asked. */
static struct {
    _Atomic uint64_t fence;              /* of the party's permit */
    atomic_int looks, gates;             /* INSPECT, and ACQUIRE of the gate, so far */
    atomic_int late_gates;               /* so many of the latter are answered late */
    atomic_int other_from, other_before; /* these looks show another party, too */
    _Atomic int64_t other_ms;            /* until its lease ends */
    atomic_bool is_silent;               /* nobody learns what became of a PUBLISH */
} s;

static pawl_reply late; /* the loop's, as the next */
static int late_ticks;

static void tell_holders(pawl_host *host, uint64_t id)
{
    int look = atomic_fetch_add(&s.looks, 1);
    size_t count = look >= s.other_from && look < s.other_before ? 2 : 1;
    pawl_holder_info holders[2] = {{.owner = "", .mode = PAWL_MODE_PERMIT, .units = 1},
                                   {.owner = "", .mode = PAWL_MODE_PERMIT, .units = 1}};
    holders[0].fence = s.fence;
    holders[0].remaining_ms = 30000;
    holders[1].fence = s.fence + 1;
    holders[1].remaining_ms = s.other_ms;
    pawl_info info = {.size = sizeof info,
                      .name = "b",
                      .name_len = 1,
                      .held = true,
                      .owner = "",
                      .remaining_ms = 30000,
                      .fence = s.fence,
                      .mode = PAWL_MODE_PERMIT,
                      .holder_count = count,
                      .holders = holders,
                      .holders_shown = count};
    host->row(host, id, &info);
}

static bool keeps_back(const pawl_request *request, const pawl_reply *reply)
{
    if (request->verb != PAWL_VERB_ACQUIRE || request->units) return false;
    if (atomic_fetch_add(&s.gates, 1) >= s.late_gates) return false;
    late = *reply;
    late_ticks = LATE_TICKS;
    return true;
}

static bool answers(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    static const pawl_value nothing = {.bytes = "", .owner = "", .now_us = 1000000};
    static const uint16_t first_slot = 0;
    if (request->verb == PAWL_VERB_READ) reply->value = &nothing;
    if (request->verb == PAWL_VERB_INSPECT) tell_holders(host, request->id);
    if (request->verb == PAWL_VERB_ACQUIRE && request->units) {
        atomic_store(&s.fence, reply->fence);
        reply->slots = &first_slot;
        reply->slot_count = 1;
    }
    if (request->verb == PAWL_VERB_PUBLISH && s.is_silent) {
        reply->outcome = PAWL_UNKNOWN;
        reply->err = PAWL_ERR_UNAVAILABLE;
    }
    return !keeps_back(request, reply);
}

static void answers_late(pawl_host *host)
{
    if (late_ticks > 0 && --late_ticks == 0) host->reply(host, &late);
}

typedef struct played {
    int result, published;
    uint64_t generation;
} played;

/* One party waits, of so many. */
static played play(uint32_t parties, int64_t wait_ms)
{
    atomic_store(&s.looks, 0);
    atomic_store(&s.gates, 0);
    late_ticks = 0;
    pawl_client *client = scripted_client(NULL);
    script->answers = answers;
    script->ticks = answers_late;
    pawl_barrier_opts opts;
    pawl_barrier *barrier;
    pawl_barrier_opts_init(&opts);
    opts.parties = parties;
    CHECK_ERR(pawl_barrier_new(client, "b", 1, &opts, &barrier), PAWL_OK);
    played p = {.result = pawl_barrier_wait(barrier, wait_ms)};
    p.generation = pawl_barrier_generation(barrier);
    pawl_barrier_free(barrier);
    pawl_client_close(client);
    p.published = atomic_load(&script->submitted[PAWL_VERB_PUBLISH]);
    return p;
}

/* Until the party has come so far that it says something. */
static played play_until_it_says(uint32_t parties, int64_t wait_ms)
{
    int64_t begin = stage_now_ms();
    for (;;) {
        played p = play(parties, wait_ms);
        if (p.published > 0) return p;
        if (stage_now_ms() - begin > PATIENCE_MS)
            FAIL_TEST("nothing is ever published, and the wait ends with %s",
                      pawl_err_name(p.result));
    }
}

static int begin_alone(void **state)
{
    (void)state;
    atomic_store(&s.late_gates, 0);
    atomic_store(&s.other_from, 0);
    atomic_store(&s.other_before, 0);
    atomic_store(&s.other_ms, 30000);
    atomic_store(&s.is_silent, false);
    return 0;
}

/* The others may not have seen it yet: then they do not miss it. */
static void who_gives_up_tells_the_others_on_a_slow_store(void **state)
{
    (void)state;
    atomic_store(&s.late_gates, 1);
    played p = play_until_it_says(2, GIVES_UP_MS);
    CHECK_ERR(p.result, PAWL_ERR_TIMEOUT);
    assert_int_equal(p.published, 1);
}

static void who_does_not_wait_tells_the_others_on_a_slow_store(void **state)
{
    (void)state;
    atomic_store(&s.late_gates, 1);
    played p = play_until_it_says(2, 0);
    CHECK_ERR(p.result, PAWL_ERR_BUSY);
    assert_int_equal(p.published, 1);
}

/* All are there. Its time runs out at the gate; the others know nothing of it yet. */
static void the_last_one_opens_though_its_time_runs_out_at_the_gate(void **state)
{
    (void)state;
    atomic_store(&s.late_gates, 1);
    atomic_store(&s.other_before, INT32_MAX);
    played p = play_until_it_says(2, GIVES_UP_MS);
    CHECK_ERR(p.result, PAWL_OK);
    assert_int_equal(p.generation, 1);
}

/* Law 4: it gives up, finds that all are there, opens the round and hears no answer. */
static void a_round_that_may_have_opened_is_not_told_to_have_timed_out(void **state)
{
    (void)state;
    atomic_store(&s.other_from, 1);
    atomic_store(&s.other_before, INT32_MAX);
    atomic_store(&s.is_silent, true);
    CHECK_ERR(play_until_it_says(2, GIVES_UP_MS).result, PAWL_ERR_UNKNOWN);
}

/* Nobody tells of a party that dies: its lease says when to look, eight times here. Without that
 * the next look would come after a second, and so at the end of the wait. */
static void who_dies_is_looked_for_when_its_lease_ends(void **state)
{
    (void)state;
    atomic_store(&s.other_before, 8);
    atomic_store(&s.other_ms, 0);
    played p;
    int64_t begin = stage_now_ms();
    do {
        p = play(3, 500);
    } while (p.result == PAWL_ERR_TIMEOUT && stage_now_ms() - begin < PATIENCE_MS);
    CHECK_ERR(p.result, PAWL_ERR_BROKEN);
}

/* ---- A grant that is over before the party has it -------------------------------------------- */

#define OVER_MS 100

static atomic_int overtaken; /* so many grants */
static bool of_gate;         /* of the gate, else of permits */

static bool overtakes_grants(pawl_host *host, const pawl_request *request, pawl_reply *reply)
{
    if (!answers(host, request, reply)) return false;
    bool is_its = request->verb == PAWL_VERB_ACQUIRE && of_gate == !request->units;
    if (!is_its || atomic_load(&overtaken) == 0) return true;
    atomic_fetch_sub(&overtaken, 1);
    host->reply(host, reply);
    int64_t until = stage_now_ms() + 2 * (int64_t)OVER_MS;
    while (stage_now_ms() < until) sched_yield();
    return false;
}

/* Leases are short: on a busy machine a later one may be over, too. */
static void comes_again(bool gate)
{
    pawl_barrier_opts opts;
    pawl_barrier *barrier;
    pawl_client *client = scripted_client(NULL);
    of_gate = gate;
    atomic_store(&overtaken, 1);
    script->answers = overtakes_grants;
    pawl_barrier_opts_init(&opts);
    opts.parties = 1;
    opts.ttl_ms = OVER_MS;
    CHECK_ERR(pawl_barrier_new(client, "b", 1, &opts, &barrier), PAWL_OK);
    int64_t begin = stage_now_ms();
    for (int err = PAWL_ERR_LOST; err; err = pawl_barrier_wait(barrier, 1000))
        if (stage_now_ms() - begin > PATIENCE_MS) FAIL_TEST("it stays %s", pawl_err_name(err));
    assert_int_equal(atomic_load(&overtaken), 0);
    pawl_barrier_free(barrier);
    pawl_client_close(client);
}

static void whose_permit_was_over_comes_again(void **state)
{
    (void)state;
    comes_again(false);
}

/* The permit has run out meanwhile, too: both are given back. */
static void whose_gate_was_over_comes_again(void **state)
{
    (void)state;
    comes_again(true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test_setup(who_gives_up_tells_the_others_on_a_slow_store, begin_alone),
        cmocka_unit_test_setup(who_does_not_wait_tells_the_others_on_a_slow_store, begin_alone),
        cmocka_unit_test_setup(the_last_one_opens_though_its_time_runs_out_at_the_gate,
                               begin_alone),
        cmocka_unit_test_setup(a_round_that_may_have_opened_is_not_told_to_have_timed_out,
                               begin_alone),
        cmocka_unit_test_setup(who_dies_is_looked_for_when_its_lease_ends, begin_alone),
        cmocka_unit_test_setup(whose_permit_was_over_comes_again, begin_alone),
        cmocka_unit_test_setup(whose_gate_was_over_comes_again, begin_alone),
    };
    if (argc < 2) return 64;
    check_cases_run_here();
    scripted_load(argv[1]);
    return cmocka_run_group_tests_name("barrier trouble", cases, NULL, NULL);
}
