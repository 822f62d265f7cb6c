/* SPDX-License-Identifier: MIT */
/*
 * What a real server tells between two renewals: a lock that somebody deletes is noticed at once,
 * and what the client changes itself is not taken for that.
 */
#define _GNU_SOURCE
#include "link_stage.h"

#include <stdio.h>
#include <string.h>

static client *open_watching(stage *s, const char *mode)
{
    add_option(&s->address, "watch", mode);
    return client_up(s->loop, &s->address, "a");
}

/* Commands are answered in order: what was said before this has been heard by the server. */
static void hear_all(client *c)
{
    expect(c, ask_inspect("other", NULL), PAWL_REPORTED);
}

static const char *hold(client *c, const char *name)
{
    const char *token = fresh_token();
    expect(c, ask_acquire(name, token, LONG_MS), PAWL_GRANTED);
    return token;
}

static const char *hold_and_renew(client *c, const char *name)
{
    const char *token = hold(c, name);
    expect(c, ask_renew(name, token, LONG_MS), PAWL_CONFIRMED);
    hear_all(c);
    return token;
}

static int64_t trackings(stage *s)
{
    return rig_calls(s->rig, "client|tracking") + rig_calls(s->rig, "client|caching");
}

/* ---- Keys -------------------------------------------------------------------------------- */

static void a_lock_that_is_deleted_is_noticed_at_once(void **state)
{
    stage s = begin(state);
    client *c = open_watching(&s, "auto");
    const char *token = hold_and_renew(c, "x");
    assert_null(client_pushed(c, PAWL_PUSH_RECHECK, NULL));
    rig_must(s.rig, "DEL pawl:x");
    assert_string_equal(client_await_push(c, PAWL_PUSH_RECHECK, NULL)->name, "x");
    expect(c, ask_renew("x", token, LONG_MS), PAWL_NOT_OWNER);
    client_close(c);
    end(&s);
}

static void a_lock_that_is_written_over_is_noticed_at_once(void **state)
{
    stage s = begin(state);
    client *c = open_watching(&s, "auto");
    (void)hold_and_renew(c, "x");
    rig_must(s.rig, "SET pawl:x somebody-else PX 30000");
    assert_string_equal(client_await_push(c, PAWL_PUSH_RECHECK, NULL)->name, "x");
    client_close(c);
    end(&s);
}

static void a_lease_that_runs_out_early_is_noticed_at_once(void **state)
{
    stage s = begin(state);
    client *c = open_watching(&s, "auto");
    (void)hold_and_renew(c, "x");
    rig_must(s.rig, "PEXPIRE pawl:x 1");
    (void)client_await_push(c, PAWL_PUSH_RECHECK, NULL);
    client_close(c);
    end(&s);
}

static void watched_from_the_grant_on(void **state)
{
    stage s = begin(state);
    client *c = open_watching(&s, "on");
    (void)hold(c, "x");
    hear_all(c);
    rig_must(s.rig, "DEL pawl:x");
    assert_string_equal(client_await_push(c, PAWL_PUSH_RECHECK, NULL)->name, "x");
    client_close(c);
    end(&s);
}

static void what_a_client_does_itself_is_no_news(void **state)
{
    stage s = begin(state);
    client *c = open_watching(&s, "on"), *other = client_up(s.loop, &s.address, "b");
    const char *token = hold_and_renew(c, "x"), *next = fresh_token();
    for (int i = 0; i < 3; i++) expect(c, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    expect(other, ask_queue("x", next, LONG_MS), PAWL_QUEUED); /* who waits changes other keys */
    expect(c, ask_release("x", token), PAWL_RELEASED);         /* hands it on */
    expect(other, ask_renew("x", next, LONG_MS), PAWL_CONFIRMED);
    expect(other, ask_release("x", next), PAWL_RELEASED);
    hear_all(c);
    hear_all(other);
    assert_int_equal(client_push_count(c, PAWL_PUSH_RECHECK), 0);
    assert_int_equal(client_push_count(other, PAWL_PUSH_RECHECK), 0);
    client_close(other);
    client_close(c);
    end(&s);
}

/* A lock that is given back before its first renewal costs not one command more. */
static void short_locks_pay_nothing(void **state)
{
    stage s = begin(state);
    client *c = open_watching(&s, "auto");
    int64_t before = trackings(&s), times = rig_calls(s.rig, "time");
    for (int i = 0; i < 3; i++) expect(c, ask_release("x", hold(c, "x")), PAWL_RELEASED);
    hear_all(c);
    assert_int_equal(trackings(&s), before);
    assert_int_equal(rig_calls(s.rig, "time"), times + 4); /* each grant's fence, and the look */
    client_close(c);
    end(&s);
}

static void off_says_nothing(void **state)
{
    stage s = begin(state);
    int64_t before = trackings(&s);
    client *c = open_watching(&s, "off");
    const char *token = hold_and_renew(c, "x");
    assert_int_equal(trackings(&s), before);
    expect(c, ask_doctor(), PAWL_REPORTED);
    assert_int_equal(client_severity(c, "watch"), PAWL_SEVERITY_NOTE);
    expect(c, ask_release("x", token), PAWL_RELEASED);
    client_close(c);
    end(&s);
}

/* The key that several share changes whenever one comes or goes. */
static void who_holds_beside_others_is_not_watched(void **state)
{
    stage s = begin(state);
    client *c = open_watching(&s, "on");
    const char *token = fresh_token();
    int64_t before = trackings(&s);
    pawl_request reader = ask_acquire("x", token, LONG_MS),
                 renewal = ask_renew("x", token, LONG_MS);
    reader.mode = renewal.mode = PAWL_MODE_SHARED;
    expect(c, reader, PAWL_GRANTED);
    expect(c, renewal, PAWL_CONFIRMED);
    hear_all(c);
    assert_int_equal(trackings(&s), before);
    client_close(c);
    end(&s);
}

/* All names are asked about, and the restart guard keeps others out until the leases have ended. */
static void an_emptied_server_is_noticed_at_once_and_guarded(void **state)
{
    stage s = begin(state);
    client *c = open_watching(&s, "auto");
    const char *token = hold_and_renew(c, "x");
    rig_must(s.rig, "FLUSHALL");
    assert_int_equal(client_await_push(c, PAWL_PUSH_RECHECK, NULL)->push.name_len, 0);
    expect(c, ask_renew("x", token, LONG_MS), PAWL_NOT_OWNER);
    const seen_reply *busy = expect(c, ask_acquire("x", fresh_token(), LONG_MS), PAWL_BUSY);
    says(busy->text, "restart guard");
    size_t warnings;
    says(client_warning(c, &warnings), "lost its data");
    client_close(c);
    end(&s);
}

static void whoever_lacks_the_rules_does_without(void **state)
{
    static const char *const modes[] = {"auto", "on"};
    for (size_t i = 0; i < 2; i++) {
        stage s = begin(state);
        as_joe(&s);
        client *c = open_watching(&s, modes[i]);
        const char *token = hold_and_renew(c, "x");
        rig_must(s.rig, "DEL pawl:x");
        hear_all(c);
        assert_null(client_pushed(c, PAWL_PUSH_RECHECK, NULL));
        size_t warnings;
        const char *warning = client_warning(c, &warnings);
        assert_int_equal(warnings, i); /* only who asked for it is warned */
        if (warnings) says(warning, "cannot be watched");
        expect(c, ask_doctor(), PAWL_REPORTED);
        assert_int_equal(client_severity(c, "watch"), PAWL_SEVERITY_NOTE);
        says(client_found(c), "client|tracking");
        expect(c, ask_renew("x", token, LONG_MS), PAWL_NOT_OWNER);
        client_close(c);
        end(&s);
    }
}

/* `pawl doctor` holds nothing, and has to find out all the same. */
static void who_holds_nothing_is_told_of_missing_rules_too(void **state)
{
    stage s = begin(state);
    as_joe(&s);
    client *c = open_watching(&s, "auto");
    expect(c, ask_doctor(), PAWL_REPORTED);
    assert_int_equal(client_severity(c, "watch"), PAWL_SEVERITY_NOTE);
    says(client_found(c), "client|tracking");
    client_close(c);
    end(&s);
}

static void the_doctor_says_that_it_watches(void **state)
{
    stage s = begin(state);
    client *c = open_watching(&s, "on");
    expect(c, ask_doctor(), PAWL_REPORTED);
    assert_int_equal(client_severity(c, "watch"), PAWL_SEVERITY_OK);
    client_close(c);
    end(&s);
}

/* A user with these two rules more has it; they are those that the manual names. */
static void two_rules_more_suffice(void **state)
{
    stage s = begin(state);
    rig_must(s.rig, "ACL SETUSER joe +client|tracking +client|caching");
    as_joe(&s);
    client *c = open_watching(&s, "auto");
    (void)hold_and_renew(c, "x");
    rig_must(s.rig, "DEL pawl:x");
    (void)client_await_push(c, PAWL_PUSH_RECHECK, NULL);
    client_close(c);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_lock_that_is_deleted_is_noticed_at_once),
        cmocka_unit_test(a_lock_that_is_written_over_is_noticed_at_once),
        cmocka_unit_test(a_lease_that_runs_out_early_is_noticed_at_once),
        cmocka_unit_test(watched_from_the_grant_on),
        cmocka_unit_test(what_a_client_does_itself_is_no_news),
        cmocka_unit_test(short_locks_pay_nothing),
        cmocka_unit_test(off_says_nothing),
        cmocka_unit_test(who_holds_beside_others_is_not_watched),
        cmocka_unit_test(an_emptied_server_is_noticed_at_once_and_guarded),
        cmocka_unit_test(whoever_lacks_the_rules_does_without),
        cmocka_unit_test(who_holds_nothing_is_told_of_missing_rules_too),
        cmocka_unit_test(the_doctor_says_that_it_watches),
        cmocka_unit_test(two_rules_more_suffice),
    };
    return rig_run("what a server tells between renewals", cases, rig_group_begin, rig_group_end);
}
