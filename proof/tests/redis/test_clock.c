/* SPDX-License-Identifier: MIT */
/*
 * A real server whose clock is set forward and back while locks are held. What is promised then
 * stands in docs/guarantees.md: back, nobody is let in; forward by less than the margin, nobody
 * either; by more, assumption A2 is broken: the store lets the next one in, with a larger fence,
 * and the holder hears at its next renewal that it has lost.
 */
#define _GNU_SOURCE
#include "clock_stage.h"
#include "link_words.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define HOUR_MS INT64_C(3600000)
#define MS      INT64_C(1000000)

extern const pawl_store_ops pawl_store_entry;

typedef struct stage {
    rig *rig;
    test_loop *loop;
    client *a, *b;
    const char *first, *second; /* their tokens */
    uint64_t fence;             /* of the first */
} stage;

static int64_t real_ms(void)
{
    struct timespec real;
    clock_gettime(CLOCK_REALTIME, &real);
    return real.tv_sec * INT64_C(1000) + real.tv_nsec / MS;
}

/*
 * Returns when the server knows the time: Valkey 9.1 asks its clock once in a millisecond, and adds
 * what a counter of the processor says in between.
 */
static void set_clock(rig *r, int64_t ahead_ms)
{
    atomic_store(&server_clock->ahead_ns, ahead_ms * MS);
    while (llabs(server_ms(r) - real_ms() - ahead_ms) > LONG_MS / 20) {
    }
}

/* The server's clock is right, and the first client holds the lock. */
static stage begin(void **state)
{
    stage s = {.rig = *state, .loop = test_loop_new()};
    const store_address address = {.ops = &pawl_store_entry,
                                   .scheme = "redis+unix",
                                   .path = redis_server_socket(s.rig->server)};
    set_clock(s.rig, 0);
    rig_must(s.rig, "FLUSHALL");
    s.a = client_up(s.loop, &address, "a");
    s.b = client_up(s.loop, &address, "b");
    s.first = fresh_token();
    s.second = fresh_token();
    s.fence = expect(s.a, ask_acquire("x", s.first, LONG_MS), PAWL_GRANTED)->reply.fence;
    return s;
}

static void end(stage *s)
{
    client_close(s->a);
    client_close(s->b);
    test_loop_free(s->loop);
}

static uint64_t grant(stage *s)
{
    return expect(s->b, ask_acquire("x", s->second, LONG_MS), PAWL_GRANTED)->reply.fence;
}

static void a_clock_that_is_set_back_lets_nobody_in(void **state)
{
    stage s = begin(state);
    set_clock(s.rig, -HOUR_MS);
    expect(s.b, ask_acquire("x", s.second, LONG_MS), PAWL_BUSY);
    expect(s.a, ask_renew("x", s.first, LONG_MS), PAWL_CONFIRMED);
    expect(s.b, ask_acquire("x", s.second, LONG_MS), PAWL_BUSY);
    expect(s.a, ask_release("x", s.first), PAWL_RELEASED);
    assert_true(grant(&s) > s.fence); /* law 3: by what is remembered of the last one */
    end(&s);
}

/* INFO's uptime is below 0 then; it was taken for a server that does not tell its run. */
static void a_clock_before_the_servers_start_does_not_blind_the_guard(void **state)
{
    stage s = begin(state);
    store_address address = {.ops = &pawl_store_entry,
                             .scheme = "redis+unix",
                             .path = redis_server_socket(s.rig->server),
                             .options = {{"guard", "on"}},
                             .option_count = 1};
    set_clock(s.rig, -HOUR_MS);
    while (!strstr(rig_text(s.rig, "INFO server"), "uptime_in_seconds:-"))
        test_loop_for(s.loop, 1); /* the server looks at its clock now and then */
    rig_must(s.rig, "FLUSHALL");
    client *c = client_up(s.loop, &address, "c");
    says(expect(c, ask_acquire("x", s.second, 1000), PAWL_BUSY)->text, "restart guard");
    client_close(c);
    end(&s);
}

static void a_small_step_forward_lets_nobody_in(void **state)
{
    stage s = begin(state);
    set_clock(s.rig, LONG_MS / 10); /* the margin */
    expect(s.b, ask_acquire("x", s.second, LONG_MS), PAWL_BUSY);
    expect(s.a, ask_renew("x", s.first, LONG_MS), PAWL_CONFIRMED);
    expect(s.a, ask_release("x", s.first), PAWL_RELEASED);
    assert_true(grant(&s) > s.fence);
    end(&s);
}

static void whoever_a_step_forward_robbed_hears_it_at_his_next_renewal(void **state)
{
    stage s = begin(state);
    set_clock(s.rig, HOUR_MS);
    uint64_t fence = grant(&s);
    assert_true(fence > s.fence); /* so a resource that checks fences refuses the first */
    expect(s.a, ask_renew("x", s.first, LONG_MS), PAWL_NOT_OWNER);
    (void)client_ask(
        s.a,
        &(pawl_request){.verb = PAWL_VERB_RELEASE, .name = "x", .name_len = 1, .token = s.first});
    expect(s.b, ask_renew("x", s.second, LONG_MS), PAWL_CONFIRMED); /* law 5 */
    set_clock(s.rig, 0);                                            /* and it is set right again */
    expect(s.b, ask_renew("x", s.second, LONG_MS), PAWL_CONFIRMED);
    expect(s.a, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    expect(s.b, ask_release("x", s.second), PAWL_RELEASED);
    end(&s);
}

static void a_lease_that_a_step_ended_is_not_brought_back(void **state)
{
    stage s = begin(state);
    set_clock(s.rig, HOUR_MS);
    expect(s.a, ask_renew("x", s.first, LONG_MS),
           PAWL_NOT_OWNER); /* before anybody else has come */
    set_clock(s.rig, 0);
    expect(s.a, ask_renew("x", s.first, LONG_MS), PAWL_NOT_OWNER);
    assert_true(grant(&s) > s.fence);
    end(&s);
}

/* Law 7: its place ended with the lease that it waited for; it asks again, and has its turn. */
static void a_waiter_whose_place_a_step_ended_has_its_turn(void **state)
{
    stage s = begin(state);
    expect(s.b, ask_queue("x", s.second, LONG_MS), PAWL_QUEUED);
    set_clock(s.rig, HOUR_MS);
    const char *third = fresh_token();
    uint64_t fence = expect(s.a, ask_acquire("x", third, LONG_MS), PAWL_GRANTED)->reply.fence;
    assert_true(fence > s.fence);
    expect(s.b, ask_queue("x", s.second, LONG_MS), PAWL_QUEUED);
    expect(s.a, ask_release("x", third), PAWL_RELEASED);
    (void)client_await_push(s.b, PAWL_PUSH_GRANT, s.second);
    end(&s);
}

/* It is seen beside the next renewal: all leases are asked about, and the doctor remembers it. */
static void a_step_between_two_renewals_is_told(void **state)
{
    stage s = begin(state);
    size_t warnings;
    expect(s.a, ask_renew("x", s.first, LONG_MS), PAWL_CONFIRMED);
    expect(s.a, ask_doctor(), PAWL_REPORTED);
    assert_null(strstr(client_found(s.a), "clock-step"));
    set_clock(s.rig, LONG_MS / 10);
    while (!client_pushed(s.a, PAWL_PUSH_RECHECK, NULL)) /* the time is asked for now and then */
        expect(s.a, ask_renew("x", s.first, LONG_MS), PAWL_CONFIRMED);
    assert_int_equal(client_pushed(s.a, PAWL_PUSH_RECHECK, NULL)->push.name_len, 0);
    says(client_warning(s.a, &warnings), "clock was set forward by ");
    assert_int_equal(warnings, 1);
    expect(s.a, ask_doctor(), PAWL_REPORTED);
    assert_int_equal(client_severity(s.a, "clock-step"), PAWL_SEVERITY_ERROR);
    expect(s.a, ask_release("x", s.first), PAWL_RELEASED);
    end(&s);
}

static void the_doctor_sees_a_clock_that_is_not_right(void **state)
{
    struct timespec real;
    stage s = begin(state);
    expect(s.a, ask_doctor(), PAWL_REPORTED);
    assert_int_equal(client_severity(s.a, "clock"), PAWL_SEVERITY_OK);
    assert_int_equal(client_severity(s.a, "clock-rate"), PAWL_SEVERITY_OK);
    set_clock(s.rig, -HOUR_MS);
    expect(s.a, ask_doctor(), PAWL_REPORTED);
    says(client_found(s.a), "clock is 3600 s behind");
    assert_int_equal(client_severity(s.a, "clock"), PAWL_SEVERITY_NOTE);
    assert_int_equal(client_severity(s.a, "clock-rate"), PAWL_SEVERITY_OK);
    clock_gettime(CLOCK_REALTIME, &real);
    atomic_store(&server_clock->since_ns, real.tv_sec * 1000 * MS + real.tv_nsec);
    for (int faster = -1; faster <= 1; faster += 2) { /* it stands still, or runs twice as fast */
        atomic_store(&server_clock->faster_permille, faster * 1000);
        expect(s.a, ask_doctor(), PAWL_REPORTED);
        says(client_error_found(s.a), faster < 0 ? "too little" : "too far");
        assert_int_equal(client_severity(s.a, "clock-rate"), PAWL_SEVERITY_ERROR);
    }
    atomic_store(&server_clock->faster_permille, 0);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_clock_that_is_set_back_lets_nobody_in),
        cmocka_unit_test(a_clock_before_the_servers_start_does_not_blind_the_guard),
        cmocka_unit_test(a_small_step_forward_lets_nobody_in),
        cmocka_unit_test(whoever_a_step_forward_robbed_hears_it_at_his_next_renewal),
        cmocka_unit_test(a_lease_that_a_step_ended_is_not_brought_back),
        cmocka_unit_test(a_waiter_whose_place_a_step_ended_has_its_turn),
        cmocka_unit_test(a_step_between_two_renewals_is_told),
        cmocka_unit_test(the_doctor_sees_a_clock_that_is_not_right),
    };
    return rig_run("a server's clock", cases, clock_group_begin, clock_group_end);
}
