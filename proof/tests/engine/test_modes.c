/* SPDX-License-Identifier: MIT */
/* Modes: readers that share a lease, permits with a lease each; groups of one name. */
#include "../../../src/engine/lease.h"
#include "trial.h"

static void draw_zeros(void *ctx, char *ret_text)
{
    (void)ctx;
    memset(ret_text, '0', PAWL_TOKEN_LEN);
    ret_text[PAWL_TOKEN_LEN] = 0;
}

/* ---- Readers -------------------------------------------------------------------------------- */

static void readers_who_wait_together_come_in_together(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), b = want_of_mode(PAWL_MODE_SHARED);
    pawl_request request = trial_ask(t, &a);
    assert_int_equal(request.mode, PAWL_MODE_SHARED);
    trial_want(t, &b);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_ACQUIRE), 0); /* one lease for both */
    trial_grant(t, request.id, 1);
    assert_int_equal(trial_count(t, PAWL__ACT_GRANTED), 2);
    assert_ptr_equal(a.lease, b.lease);
}

static void a_reader_joins_readers_without_a_request(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), b = want_of_mode(PAWL_MODE_SHARED);
    trial_hold(t, &a, 1);
    trial_want(t, &b);
    assert_int_equal(trial_only(t, PAWL__ACT_GRANTED)->fence, 1);
    assert_int_equal(t->count, 1); /* nothing else */
    trial_release(t, &a);
    trial_only(t, PAWL__ACT_RELEASED);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 0); /* b still reads */
    trial_release(t, &b);
    trial_sent(t, PAWL_VERB_RELEASE);
}

/* The list of the others is full to its end: what lies behind belongs to somebody else. */
static void readers_leave_a_full_list_one_by_one(void **state)
{
    enum { MORE = 8 };
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), more[MORE];
    trial_hold(t, &a, 1);
    for (int i = 0; i < MORE; i++) {
        more[i] = want_of_mode(PAWL_MODE_SHARED);
        trial_want(t, &more[i]);
    }
    assert_int_equal(a.lease->readers->count, a.lease->readers->room);
    for (int i = 0; i < MORE; i++) {
        trial_release(t, &more[i]);
        assert_ptr_equal(trial_only(t, PAWL__ACT_RELEASED)->want, &more[i]);
        assert_int_equal(a.state, PAWL__WANT_HOLDING);
    }
    trial_release(t, &a);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void all_readers_hear_of_doubt_extension_and_loss(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), b = want_of_mode(PAWL_MODE_SHARED);
    trial_hold(t, &a, 1);
    trial_want(t, &b);
    trial_pass(t, TTL / 3 * MS);
    pawl_request renewal = trial_sent(t, PAWL_VERB_RENEW);
    assert_int_equal(renewal.mode, PAWL_MODE_SHARED);
    trial_fail(t, renewal.id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    assert_int_equal(trial_count(t, PAWL__ACT_DOUBT), 2);
    trial_pass(t, 3000 * MS);
    renewal = trial_sent(t, PAWL_VERB_RENEW);
    trial_confirm(t, renewal.id, 1, true);
    assert_int_equal(trial_count(t, PAWL__ACT_EXTENDED), 2);
    assert_int_equal(trial_count(t, PAWL__ACT_YIELD), 2);
    trial_pass(t, TTL / 3 * MS);
    trial_answer(t, trial_sent(t, PAWL_VERB_RENEW).id, PAWL_NOT_OWNER);
    assert_int_equal(trial_count(t, PAWL__ACT_LOST), 2);
    assert_int_equal(a.state, PAWL__WANT_LOST);
    assert_int_equal(b.state, PAWL__WANT_LOST);
}

static void who_joins_is_bounded_once_a_writer_waits(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), late = want_of_mode(PAWL_MODE_SHARED), more[70];
    trial_hold(t, &a, 1);
    trial_push(t, PAWL_PUSH_YIELD, "a", trial_token_of(t, &a), 1);
    trial_only(t, PAWL__ACT_YIELD);
    int joined = 0;
    for (int i = 0; i < 70; i++) {
        more[i] = want_of_mode(PAWL_MODE_SHARED);
        trial_want(t, &more[i]);
        joined += more[i].state == PAWL__WANT_HOLDING;
    }
    assert_int_equal(joined, 64); /* share_count_max */
    trial_want(t, &late);
    assert_int_equal(late.state, PAWL__WANT_WAITING);
    trial_release(t, &a);
    for (int i = 0; i < 64; i++) trial_release(t, &more[i]);
    trial_sent(t, PAWL_VERB_RELEASE); /* the writer's turn */
    assert_int_equal(trial_sent(t, PAWL_VERB_ACQUIRE).mode, PAWL_MODE_SHARED); /* and a new place */
}

static void nobody_passes_a_reader_that_waits_here(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), other = want_of_mode(PAWL_MODE_SHARED),
               b = want_of_mode(PAWL_MODE_SHARED);
    other.ttl_ms = TTL / 2; /* another lease: it waits for its turn */
    trial_hold(t, &a, 1);
    trial_want(t, &other);
    assert_int_equal(other.state, PAWL__WANT_WAITING);
    trial_want(t, &b);
    assert_int_equal(b.state, PAWL__WANT_WAITING);
}

static void a_writer_has_a_lease_beside_the_readers_of_its_client(void **state)
{
    trial *t = *state;
    pawl__want reader = want_of_mode(PAWL_MODE_SHARED), writer = want_of_mode(PAWL_MODE_EXCLUSIVE);
    trial_hold(t, &reader, 1);
    pawl_request request = trial_ask(t, &writer); /* the store knows who fits beside whom */
    assert_int_equal(request.mode, PAWL_MODE_EXCLUSIVE);
    char token[PAWL_TOKEN_LEN + 1];
    memcpy(token, request.token, sizeof token);
    trial_queue(t, request.id, 0, TTL);
    trial_push(t, PAWL_PUSH_YIELD, "a", trial_token_of(t, &reader), 1);
    trial_only(t, PAWL__ACT_YIELD);
    trial_release(t, &reader);
    trial_sent(t, PAWL_VERB_RELEASE);
    trial_push(t, PAWL_PUSH_GRANT, "a", token, 2);
    assert_ptr_equal(trial_only(t, PAWL__ACT_GRANTED)->want, &writer);
}

static void a_cached_lease_of_readers_goes_when_a_writer_waits(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED);
    a.retain_ms = 60000;
    trial_hold(t, &a, 1);
    const char *token = trial_token_of(t, &a);
    trial_release(t, &a);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 0);
    trial_push(t, PAWL_PUSH_YIELD, "a", token, 1);
    trial_sent(t, PAWL_VERB_RELEASE);
}

/* The store takes requests in order: even a caller that does not wait gets the name. */
static void what_nobody_uses_goes_before_another_mode_is_asked_for(void **state)
{
    static const pawl_mode kept[] = {PAWL_MODE_SHARED, PAWL_MODE_EXCLUSIVE, PAWL_MODE_UPDATE};
    static const pawl_mode asked[] = {PAWL_MODE_EXCLUSIVE, PAWL_MODE_SHARED, PAWL_MODE_EXCLUSIVE};
    trial *t = *state;
    for (int i = 0; i < 3; i++) {
        pawl__want a = want_of_mode(kept[i]), b = want_of_mode(asked[i]);
        a.retain_ms = 60000;
        b.waiting->wait_until = 0;
        trial_hold(t, &a, 10 + 2 * i);
        trial_release(t, &a);
        assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 0);
        trial_want(t, &b);
        assert_int_equal(t->actions[0].request.verb, PAWL_VERB_RELEASE);
        uint64_t id = trial_sent(t, PAWL_VERB_ACQUIRE).id;
        trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
        trial_grant(t, id, 11 + 2 * i);
        assert_int_equal(b.state, PAWL__WANT_HOLDING);
        trial_release(t, &b);
        trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    }
}

static void what_nobody_uses_stays_beside_a_mode_that_has_room(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), b = want_of_mode(PAWL_MODE_UPDATE);
    a.retain_ms = 60000;
    trial_hold(t, &a, 1);
    trial_release(t, &a);
    trial_want(t, &b);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 0);
    trial_grant(t, trial_sent(t, PAWL_VERB_ACQUIRE).id, 2);
    trial_change(t, &b, PAWL_MODE_EXCLUSIVE, 0);
    trial_sent(t, PAWL_VERB_RELEASE); /* an upgrade has no room beside it */
    trial_sent(t, PAWL_VERB_CHANGE);
}

static void a_lease_is_not_kept_while_another_mode_waits(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), b = want_of_mode(PAWL_MODE_EXCLUSIVE);
    a.retain_ms = 60000;
    trial_hold(t, &a, 1);
    trial_want(t, &b);
    assert_int_equal(a.state, PAWL__WANT_HOLDING);
    trial_release(t, &a); /* no push has come from the store */
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void a_lease_is_not_kept_while_an_upgrade_waits(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), b = want_of_mode(PAWL_MODE_UPDATE);
    a.retain_ms = 60000;
    trial_hold(t, &a, 1);
    trial_hold(t, &b, 2);
    trial_change(t, &b, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_release(t, &a);
    trial_sent(t, PAWL_VERB_RELEASE);
}

/* The end of a reader has come to its group, but not to its name. */
static void what_is_over_is_in_nobodys_way(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), b = want_of_mode(PAWL_MODE_UPDATE);
    b.retain_ms = 60000;
    trial_hold(t, &a, 1);
    trial_hold(t, &b, 2);
    trial_release(t, &a);
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    trial_change(t, &b, PAWL_MODE_EXCLUSIVE, 0);
    trial_answer(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_BUSY);
    trial_release(t, &b);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 0);
}

static void what_is_being_given_back_is_in_nobodys_way(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), b = want_of_mode(PAWL_MODE_EXCLUSIVE);
    b.retain_ms = 60000;
    trial_hold(t, &a, 1);
    trial_release(t, &a);
    trial_sent(t, PAWL_VERB_RELEASE);
    trial_hold(t, &b, 2);
    trial_release(t, &b);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 0);
}

/* ---- Permits -------------------------------------------------------------------------------- */

/* The next who asks may want another number of them: nobody could be given these. */
static void permits_are_not_kept_for_later(void **state)
{
    static const uint16_t slots[] = {0};
    trial *t = *state;
    pawl__want a = want_of_permits(1);
    a.retain_ms = 60000;
    trial_grant_slots(t, trial_ask(t, &a).id, 1, slots, 1);
    trial_only(t, PAWL__ACT_GRANTED);
    trial_release(t, &a);
    trial_sent(t, PAWL_VERB_RELEASE);
}

/* The store says that the name is of another kind. */
static void permits_and_modes_make_no_room_for_each_other(void **state)
{
    static const uint16_t slots[] = {0};
    trial *t = *state;
    pawl__want kept = want_of_mode(PAWL_MODE_SHARED), a = want_of_permits(1);
    kept.retain_ms = a.retain_ms = 60000;
    trial_hold(t, &kept, 1);
    trial_release(t, &kept);
    pawl_request request = trial_ask(t, &a);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 0);
    trial_grant_slots(t, request.id, 2, slots, 1);
    pawl__want b = want_of_mode(PAWL_MODE_EXCLUSIVE);
    trial_want(t, &b);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 1); /* what was kept makes room */
    trial_release(t, &a);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void each_who_asks_for_permits_has_a_lease(void **state)
{
    static const uint16_t first[] = {0, 1}, second[] = {2};
    trial *t = *state;
    pawl__want a = want_of_permits(2), b = want_of_permits(1);
    pawl_request one = trial_ask(t, &a), two = trial_ask(t, &b);
    assert_int_equal(one.units, 2);
    assert_int_equal(one.capacity, 8);
    assert_int_equal(two.units, 1);
    trial_grant_slots(t, one.id, 1, first, 2);
    pawl__action *granted = trial_only(t, PAWL__ACT_GRANTED);
    assert_ptr_equal(granted->want, &a);
    assert_int_equal(granted->slot_count, 2);
    assert_int_equal(granted->slots[1], 1);
    trial_grant_slots(t, two.id, 2, second, 1);
    assert_int_equal(trial_only(t, PAWL__ACT_GRANTED)->slots[0], 2);
    assert_true(a.lease != b.lease);
    trial_release(t, &a);
    assert_string_equal(trial_sent(t, PAWL_VERB_RELEASE).token, one.token);
}

static void another_number_of_permits_is_no_grant(void **state)
{
    static const uint16_t slots[] = {0};
    trial *t = *state;
    pawl__want a = want_of_permits(2);
    pawl_request request = trial_ask(t, &a);
    trial_grant_slots(t, request.id, 1, slots, 1);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_PROTOCOL);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void a_push_finds_its_lease_among_permits(void **state)
{
    static const uint16_t slots[] = {5};
    trial *t = *state;
    pawl__want a = want_of_permits(1), b = want_of_permits(1);
    trial_queue(t, trial_ask(t, &a).id, 0, TTL);
    pawl_request second = trial_ask(t, &b);
    trial_queue(t, second.id, 1, TTL);
    pawl_push push = {.kind = PAWL_PUSH_GRANT,
                      .name = "a",
                      .name_len = 1,
                      .token = second.token,
                      .fence = 9,
                      .slots = slots,
                      .slot_count = 1};
    trial_step(t, (pawl__event){.kind = PAWL__EV_PUSH, .push = &push});
    assert_ptr_equal(trial_only(t, PAWL__ACT_GRANTED)->want, &b);
    assert_int_equal(a.state, PAWL__WANT_WAITING);
}

/* ---- Groups ---------------------------------------------------------------------------------- */

static void a_detached_reader_leaves_the_lease_to_the_others(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), b = want_of_mode(PAWL_MODE_SHARED);
    trial_hold(t, &a, 1);
    trial_want(t, &b);
    trial_step(t, (pawl__event){.kind = PAWL__EV_DETACH, .want = &a});
    trial_only(t, PAWL__ACT_RELEASED);
    trial_pass(t, TTL / 3 * MS);
    trial_confirm(t, trial_sent(t, PAWL_VERB_RENEW).id, 1, false);
    assert_ptr_equal(trial_only(t, PAWL__ACT_EXTENDED)->want, &b);
}

static void a_reader_whose_lease_would_be_another_waits_beside_those_that_come_in(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), other = want_of_mode(PAWL_MODE_SHARED);
    pawl_request request = trial_ask(t, &a);
    other.ttl_ms = TTL / 2;
    trial_want(t, &other);
    trial_grant(t, request.id, 1);
    assert_int_equal(trial_count(t, PAWL__ACT_GRANTED), 1);
    assert_int_equal(other.state, PAWL__WANT_WAITING);
}

static void a_name_is_forgotten_when_its_last_group_is(void **state)
{
    trial *t = *state;
    static const pawl_mode modes[] = {PAWL_MODE_SHARED, PAWL_MODE_EXCLUSIVE, PAWL_MODE_UPDATE};
    for (int last = 0; last < 3; last++) {
        pawl__want wants[3];
        for (int i = 0; i < 3; i++) {
            wants[i] = want_of_mode(modes[i]);
            trial_hold(t, &wants[i],
                       (uint64_t)last * 10 + (uint64_t)i + 1); /* a store that allows it */
        }
        for (int n = 1; n <= 3; n++) {
            pawl__want *want = &wants[(last + n) % 3];
            trial_release(t, want);
            trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
            trial_push(t, PAWL_PUSH_YIELD, "a", "0123456789abcdef0123456789abcdef01234567",
                       0); /* and nothing happens */
            assert_int_equal(t->count, 0);
        }
        assert_int_equal(pawl__engine_lease_count(t->engine), 0);
    }
}

static void who_holds_is_known_by_name(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_EXCLUSIVE), reader = want_of_mode(PAWL_MODE_SHARED);
    assert_null(pawl__engine_holder(t->engine, "a", 1, PAWL_MODE_EXCLUSIVE));
    pawl_request request = trial_ask(t, &a);
    assert_null(pawl__engine_holder(t->engine, "a", 1, PAWL_MODE_EXCLUSIVE)); /* it waits */
    trial_grant(t, request.id, 1);
    assert_ptr_equal(pawl__engine_holder(t->engine, "a", 1, PAWL_MODE_EXCLUSIVE), &a);
    trial_release(t, &a);
    trial_answer(t, trial_sent(t, PAWL_VERB_RELEASE).id, PAWL_RELEASED);
    trial_hold(t, &reader, 2);
    assert_null(pawl__engine_holder(t->engine, "a", 1, PAWL_MODE_EXCLUSIVE)); /* not exclusively */
    assert_ptr_equal(pawl__engine_holder(t->engine, "a", 1, PAWL_MODE_SHARED), &reader);
    assert_null(pawl__engine_holder(t->engine, "a", 1, PAWL_MODE_PERMIT));
}

/* Whoever follows the leases hears each move, also of the second group of a name. */
static void all_who_read_by_one_lease_are_known(void **state)
{
    trial *t = *state;
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), b = want_of_mode(PAWL_MODE_SHARED);
    assert_null(pawl__want_holder_at(&a, 0));
    trial_hold(t, &a, 1);
    trial_want(t, &b);
    assert_ptr_equal(pawl__want_holder_at(&b, 0), &a);
    assert_ptr_equal(pawl__want_holder_at(&a, 1), &b);
    assert_null(pawl__want_holder_at(&a, 2));
    trial_release(t, &a);
    assert_ptr_equal(pawl__want_holder_at(&b, 0), &b);
    assert_null(pawl__want_holder_at(&a, 0));
}

static void on_moved(void *ctx, const char *name, pawl_lease_state from, pawl_lease_state to)
{
    assert_string_equal(name, "a");
    assert_true(from != to);
    ++*(int *)ctx;
}

static void each_state_has_a_name(void **state)
{
    (void)state;
    for (int i = 0; i <= PAWL_LEASE_RELEASING; i++)
        assert_string_not_equal(pawl_lease_state_name((pawl_lease_state)i), "?");
    assert_string_equal(pawl_lease_state_name((pawl_lease_state)(PAWL_LEASE_RELEASING + 1)), "?");
}

static void moves_are_told_in_all_groups(void **state)
{
    (void)state;
    int moves = 0;
    pawl__engine_opts opts;
    pawl__engine_opts_init(&opts);
    opts.draw_token = draw_zeros;
    opts.moved = on_moved;
    opts.moved_ctx = &moves;
    pawl__engine *engine = pawl__engine_new(&opts);
    pawl__want a = want_of_mode(PAWL_MODE_SHARED), b = want_of_mode(PAWL_MODE_EXCLUSIVE);
    pawl__engine_step(engine, 1, &(pawl__event){.kind = PAWL__EV_WANT, .want = &a});
    pawl__engine_step(engine, 1, &(pawl__event){.kind = PAWL__EV_WANT, .want = &b});
    assert_int_equal(moves, 2);
    pawl__engine_free(engine);
    assert_int_equal(moves, 2);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        TRIAL(readers_who_wait_together_come_in_together),
        TRIAL(a_reader_joins_readers_without_a_request),
        TRIAL(readers_leave_a_full_list_one_by_one),
        TRIAL(all_readers_hear_of_doubt_extension_and_loss),
        TRIAL(who_joins_is_bounded_once_a_writer_waits),
        TRIAL(nobody_passes_a_reader_that_waits_here),
        TRIAL(a_writer_has_a_lease_beside_the_readers_of_its_client),
        TRIAL(a_cached_lease_of_readers_goes_when_a_writer_waits),
        TRIAL(what_nobody_uses_goes_before_another_mode_is_asked_for),
        TRIAL(what_nobody_uses_stays_beside_a_mode_that_has_room),
        TRIAL(a_lease_is_not_kept_while_another_mode_waits),
        TRIAL(a_lease_is_not_kept_while_an_upgrade_waits),
        TRIAL(what_is_over_is_in_nobodys_way),
        TRIAL(what_is_being_given_back_is_in_nobodys_way),
        TRIAL(permits_and_modes_make_no_room_for_each_other),
        TRIAL(permits_are_not_kept_for_later),
        TRIAL(each_who_asks_for_permits_has_a_lease),
        TRIAL(another_number_of_permits_is_no_grant),
        TRIAL(a_push_finds_its_lease_among_permits),
        cmocka_unit_test(each_state_has_a_name),
        cmocka_unit_test(moves_are_told_in_all_groups),
        TRIAL(who_holds_is_known_by_name),
        TRIAL(all_who_read_by_one_lease_are_known),
        TRIAL(a_detached_reader_leaves_the_lease_to_the_others),
        TRIAL(a_reader_whose_lease_would_be_another_waits_beside_those_that_come_in),
        TRIAL(a_name_is_forgotten_when_its_last_group_is),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
