/* SPDX-License-Identifier: MIT */
/* Modes: readers that share a lease, permits with a lease each, and changes of mode. */
#include "trial.h"

static pawl__want claim(pawl_mode mode)
{
    pawl__want want = trial_claim("a", PAWL__NEVER);
    want.mode = (uint8_t)mode;
    return want;
}

static pawl__want claim_permits(uint16_t units)
{
    pawl__want want = claim(PAWL_MODE_PERMIT);
    want.waiting->units = units;
    want.waiting->capacity = 8;
    return want;
}

static void reply_slots(trial *t, uint64_t id, uint64_t fence, const uint16_t *slots, size_t count)
{
    pawl_reply reply = {
        .id = id, .outcome = PAWL_GRANTED, .fence = fence, .slots = slots, .slot_count = count};
    trial_step(t, (pawl__event){.kind = PAWL__EV_REPLY, .reply = &reply});
}

/* ---- Readers -------------------------------------------------------------------------------- */

static void readers_who_wait_together_come_in_together(void **state)
{
    trial *t = *state;
    pawl__want a = claim(PAWL_MODE_SHARED), b = claim(PAWL_MODE_SHARED);
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
    pawl__want a = claim(PAWL_MODE_SHARED), b = claim(PAWL_MODE_SHARED);
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

static void all_readers_hear_of_doubt_extension_and_loss(void **state)
{
    trial *t = *state;
    pawl__want a = claim(PAWL_MODE_SHARED), b = claim(PAWL_MODE_SHARED);
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
    pawl__want a = claim(PAWL_MODE_SHARED), late = claim(PAWL_MODE_SHARED), more[70];
    trial_hold(t, &a, 1);
    trial_push(t, PAWL_PUSH_YIELD, "a", trial_token_of(t, &a), 1);
    trial_only(t, PAWL__ACT_YIELD);
    int joined = 0;
    for (int i = 0; i < 70; i++) {
        more[i] = claim(PAWL_MODE_SHARED);
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
    pawl__want a = claim(PAWL_MODE_SHARED), other = claim(PAWL_MODE_SHARED),
               b = claim(PAWL_MODE_SHARED);
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
    pawl__want reader = claim(PAWL_MODE_SHARED), writer = claim(PAWL_MODE_EXCLUSIVE);
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
    pawl__want a = claim(PAWL_MODE_SHARED);
    a.retain_ms = 60000;
    trial_hold(t, &a, 1);
    const char *token = trial_token_of(t, &a);
    trial_release(t, &a);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_RELEASE), 0);
    trial_push(t, PAWL_PUSH_YIELD, "a", token, 1);
    trial_sent(t, PAWL_VERB_RELEASE);
}

/* ---- Permits -------------------------------------------------------------------------------- */

static void each_who_asks_for_permits_has_a_lease(void **state)
{
    static const uint16_t first[] = {0, 1}, second[] = {2};
    trial *t = *state;
    pawl__want a = claim_permits(2), b = claim_permits(1);
    pawl_request one = trial_ask(t, &a), two = trial_ask(t, &b);
    assert_int_equal(one.units, 2);
    assert_int_equal(one.capacity, 8);
    assert_int_equal(two.units, 1);
    reply_slots(t, one.id, 1, first, 2);
    pawl__action *granted = trial_only(t, PAWL__ACT_GRANTED);
    assert_ptr_equal(granted->want, &a);
    assert_int_equal(granted->slot_count, 2);
    assert_int_equal(granted->slots[1], 1);
    reply_slots(t, two.id, 2, second, 1);
    assert_int_equal(trial_only(t, PAWL__ACT_GRANTED)->slots[0], 2);
    assert_true(a.lease != b.lease);
    trial_release(t, &a);
    assert_string_equal(trial_sent(t, PAWL_VERB_RELEASE).token, one.token);
}

static void another_number_of_permits_is_no_grant(void **state)
{
    static const uint16_t slots[] = {0};
    trial *t = *state;
    pawl__want a = claim_permits(2);
    pawl_request request = trial_ask(t, &a);
    reply_slots(t, request.id, 1, slots, 1);
    assert_int_equal(trial_only(t, PAWL__ACT_REFUSED)->err, PAWL_ERR_PROTOCOL);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void a_push_finds_its_lease_among_permits(void **state)
{
    static const uint16_t slots[] = {5};
    trial *t = *state;
    pawl__want a = claim_permits(1), b = claim_permits(1);
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

/* ---- Changes -------------------------------------------------------------------------------- */

static pawl__waiting *change(trial *t, pawl__want *want, pawl_mode mode, int64_t wait_until)
{
    pawl__waiting *waiting = trial_claim("a", wait_until).waiting;
    trial_step(
        t, (pawl__event){.kind = PAWL__EV_CHANGE, .want = want, .mode = mode, .waiting = waiting});
    return waiting;
}

static void hold_update(trial *t, pawl__want *want)
{
    *want = claim(PAWL_MODE_UPDATE);
    trial_hold(t, want, 1);
}

static void an_upgrade_is_told_when_the_store_has_granted_it(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(request.mode, PAWL_MODE_EXCLUSIVE);
    assert_int_equal(request.change, 1);
    assert_true(request.flags & PAWL_ASK_QUEUE);
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_grant(t, request.id, 2);
    pawl__action *changed = trial_only(t, PAWL__ACT_CHANGED);
    assert_int_equal(changed->err, PAWL_OK);
    assert_int_equal(changed->fence, 2);
    trial_only(t, PAWL__ACT_EXTENDED);
    trial_pass(t, TTL / 3 * MS);
    pawl_request renewal = trial_sent(t, PAWL_VERB_RENEW); /* an ordinary one again */
    trial_confirm(t, renewal.id, 2, false);
    trial_only(t, PAWL__ACT_EXTENDED);
}

static void an_upgrade_that_queues_is_renewed_by_its_own_request(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, TTL);
    trial_only(t, PAWL__ACT_EXTENDED);
    for (int i = 0; i < 5; i++) {
        trial_pass(t, TTL / 3 * MS);
        pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
        assert_int_equal(request.change, 1); /* the same change */
        trial_queue(t, request.id, 0, TTL);
        assert_int_equal(trial_only(t, PAWL__ACT_EXTENDED)->err, PAWL_OK);
    }
}

static void a_push_of_an_upgrade_is_asked_about_before_it_is_believed(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, TTL);
    trial_push(t, PAWL_PUSH_GRANT, "a", trial_token_of(t, &a), 2);
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 2);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_OK);
}

static void an_upgrade_whose_time_is_over_is_taken_back(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    change(t, &a, PAWL_MODE_EXCLUSIVE, t->now + 50 * MS);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, TTL);
    trial_pass(t, 50 * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_TIMEOUT);
    pawl_request back = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(back.mode, PAWL_MODE_UPDATE);
    assert_int_equal(back.change, 2);
    trial_push(t, PAWL_PUSH_GRANT, "a", trial_token_of(t, &a), 2); /* it crossed */
    assert_int_equal(t->count, 0);
    trial_grant(t, back.id, 2); /* the fence that the upgrade drew stays */
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    trial_pass(t, TTL / 3 * MS);
    trial_confirm(t, trial_sent(t, PAWL_VERB_RENEW).id, 2, false);
    trial_only(t, PAWL__ACT_EXTENDED); /* held, in the mode of before */
}

static void an_upgrade_that_does_not_wait_hears_busy(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    change(t, &a, PAWL_MODE_EXCLUSIVE, 0);
    pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
    assert_false(request.flags & PAWL_ASK_QUEUE);
    trial_answer(t, request.id, PAWL_BUSY);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_BUSY);
    trial_only(t, PAWL__ACT_EXTENDED);
    trial_pass(t, TTL / 3 * MS);
    trial_sent(t, PAWL_VERB_RENEW);
}

static void an_upgrade_that_does_not_wait_ends_with_the_link(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    change(t, &a, PAWL_MODE_EXCLUSIVE, 0);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_UNAVAILABLE);
}

static void a_waiting_upgrade_survives_an_unknown_answer(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_fail(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_only(t, PAWL__ACT_DOUBT);
    trial_pass(t, 3000 * MS);
    pawl_request again = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(again.change, 1); /* it may have been done: the same change */
    trial_grant(t, again.id, 2);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_OK);
}

static void a_waiting_upgrade_ends_when_the_store_is_silent(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_fail(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_link(t, false, PAWL_ERR_UNAVAILABLE);
    int64_t before = t->now;
    while (!trial_count(t, PAWL__ACT_CHANGED) && t->now < before + 10000 * MS)
        trial_pass(t, 100 * MS);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_UNAVAILABLE);
    assert_int_equal(a.state, PAWL__WANT_HOLDING); /* what it had, it has */
}

static void an_upgrade_without_a_new_fence_is_a_loss(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 1);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_FENCE);
    assert_int_equal(trial_only(t, PAWL__ACT_LOST)->err, PAWL_ERR_FENCE);
}

static void a_release_ends_an_upgrade(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_release(t, &a);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_CANCELED);
    trial_only(t, PAWL__ACT_RELEASED);
    trial_sent(t, PAWL_VERB_RELEASE);
}

static void an_upgrade_is_canceled(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_queue(t, trial_sent(t, PAWL_VERB_CHANGE).id, 0, TTL);
    trial_cancel(t, &a);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_CANCELED);
    assert_int_equal(trial_sent(t, PAWL_VERB_CHANGE).mode, PAWL_MODE_UPDATE);
}

static void a_downgrade_counts_at_once_and_is_repeated_until_the_store_knows(void **state)
{
    trial *t = *state;
    pawl__want a = claim(PAWL_MODE_EXCLUSIVE);
    trial_hold(t, &a, 5);
    change(t, &a, PAWL_MODE_SHARED, 0);
    pawl__action *changed = trial_only(t, PAWL__ACT_CHANGED);
    assert_int_equal(changed->err, PAWL_OK);
    assert_int_equal(changed->fence, 5);
    pawl_request request = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(request.mode, PAWL_MODE_SHARED);
    trial_fail(t, request.id, PAWL_UNKNOWN, PAWL_ERR_UNKNOWN);
    trial_pass(t, 3000 * MS);
    request = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(request.change, 1);
    trial_grant(t, request.id, 5);
    trial_pass(t, TTL / 3 * MS);
    trial_sent(t, PAWL_VERB_RENEW);
}

static void a_lease_that_was_downgraded_is_not_passed_on(void **state)
{
    trial *t = *state;
    pawl__want a = claim(PAWL_MODE_EXCLUSIVE), b = claim(PAWL_MODE_EXCLUSIVE);
    a.retain_ms = 60000;
    trial_hold(t, &a, 5);
    change(t, &a, PAWL_MODE_SHARED, 0);
    trial_grant(t, trial_sent(t, PAWL_VERB_CHANGE).id, 5);
    trial_want(t, &b);
    trial_release(t, &a);
    trial_sent(t, PAWL_VERB_RELEASE);
    assert_int_equal(trial_sent(t, PAWL_VERB_ACQUIRE).mode, PAWL_MODE_EXCLUSIVE);
    assert_int_equal(b.state, PAWL__WANT_WAITING);
}

static void a_change_waits_for_the_request_in_flight(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    trial_pass(t, TTL / 3 * MS);
    pawl_request renewal = trial_sent(t, PAWL_VERB_RENEW);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    assert_int_equal(trial_sent_count(t, PAWL_VERB_CHANGE), 0);
    trial_confirm(t, renewal.id, 1, false);
    trial_sent(t, PAWL_VERB_CHANGE);
}

/* Law 1: what the store says of an older change does not decide about the newer one. */
static void an_answer_to_an_older_change_is_not_taken_for_the_newer(void **state)
{
    trial *t = *state;
    pawl__want a = claim(PAWL_MODE_EXCLUSIVE);
    trial_hold(t, &a, 5);
    change(t, &a, PAWL_MODE_UPDATE, 0);
    pawl_request down = trial_sent(t, PAWL_VERB_CHANGE);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_grant(t, down.id, 5); /* UPDATE, not EXCLUSIVE */
    assert_int_equal(trial_count(t, PAWL__ACT_CHANGED), 0);
    pawl_request up = trial_sent(t, PAWL_VERB_CHANGE);
    assert_int_equal(up.change, 2);
    assert_int_equal(up.mode, PAWL_MODE_EXCLUSIVE);
    trial_grant(t, up.id, 6);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->fence, 6);
}

static void what_cannot_be_changed_is_refused_here(void **state)
{
    trial *t = *state;
    pawl__want a = claim(PAWL_MODE_SHARED);
    trial_hold(t, &a, 1);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_MODE);
    assert_int_equal(t->count, 1);
}

static void a_loss_ends_an_upgrade(void **state)
{
    trial *t = *state;
    pawl__want a;
    hold_update(t, &a);
    change(t, &a, PAWL_MODE_EXCLUSIVE, PAWL__NEVER);
    trial_answer(t, trial_sent(t, PAWL_VERB_CHANGE).id, PAWL_NOT_OWNER);
    assert_int_equal(trial_only(t, PAWL__ACT_CHANGED)->err, PAWL_ERR_LOST);
    trial_only(t, PAWL__ACT_LOST);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        TRIAL(readers_who_wait_together_come_in_together),
        TRIAL(a_reader_joins_readers_without_a_request),
        TRIAL(all_readers_hear_of_doubt_extension_and_loss),
        TRIAL(who_joins_is_bounded_once_a_writer_waits),
        TRIAL(nobody_passes_a_reader_that_waits_here),
        TRIAL(a_writer_has_a_lease_beside_the_readers_of_its_client),
        TRIAL(a_cached_lease_of_readers_goes_when_a_writer_waits),
        TRIAL(each_who_asks_for_permits_has_a_lease),
        TRIAL(another_number_of_permits_is_no_grant),
        TRIAL(a_push_finds_its_lease_among_permits),
        TRIAL(an_upgrade_is_told_when_the_store_has_granted_it),
        TRIAL(an_upgrade_that_queues_is_renewed_by_its_own_request),
        TRIAL(a_push_of_an_upgrade_is_asked_about_before_it_is_believed),
        TRIAL(an_upgrade_whose_time_is_over_is_taken_back),
        TRIAL(an_upgrade_that_does_not_wait_hears_busy),
        TRIAL(an_upgrade_that_does_not_wait_ends_with_the_link),
        TRIAL(a_waiting_upgrade_survives_an_unknown_answer),
        TRIAL(a_waiting_upgrade_ends_when_the_store_is_silent),
        TRIAL(an_upgrade_without_a_new_fence_is_a_loss),
        TRIAL(a_release_ends_an_upgrade),
        TRIAL(an_upgrade_is_canceled),
        TRIAL(a_downgrade_counts_at_once_and_is_repeated_until_the_store_knows),
        TRIAL(a_lease_that_was_downgraded_is_not_passed_on),
        TRIAL(a_change_waits_for_the_request_in_flight),
        TRIAL(an_answer_to_an_older_change_is_not_taken_for_the_newer),
        TRIAL(what_cannot_be_changed_is_refused_here),
        TRIAL(a_loss_ends_an_upgrade),
    };
    return cmocka_run_group_tests(cases, NULL, NULL);
}
