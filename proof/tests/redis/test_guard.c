/* SPDX-License-Identifier: MIT */
/*
 * The restart guard, on real servers that are killed with kill -9 while a lock is held, for each
 * way to keep data. Whoever else wants the lock gets it when the first one has stopped to
 * believe, and not before.
 */
#define _GNU_SOURCE
#include "link_words.h"

#include "../../ports/free_port.h"

#include <stdio.h>
#include <string.h>

#define SPAN_MS   1200 /* guard_ms, and the ttl of most leases */
#define SPAN      "1200"
#define SHORT_MS  300
#define MS        INT64_C(1000000)
#define MARGIN_MS (SPAN_MS / 10) /* a holder stops to believe so much earlier: law 2 */

extern const pawl_store_ops pawl_store_entry;

typedef struct stage {
    rig *rig;
    test_loop *loop;
    store_address address;
} stage;

static stage begin(const char *guard, const char *const *arguments)
{
    stage s = {.rig = rig_new(arguments), .loop = test_loop_new()};
    s.address = (store_address){.ops = &pawl_store_entry,
                                .scheme = "redis+unix",
                                .path = redis_server_socket(s.rig->server),
                                .options = {{"guard", guard}, {"guard_ms", SPAN}},
                                .option_count = 2};
    return s;
}

static void end(stage *s)
{
    test_loop_free(s->loop);
    rig_free(s->rig);
}

/* kill -9, and the same server again; the rig has a connection to it. */
static void restart(stage *s)
{
    redis_server_restart(s->rig->server);
    redisFree(s->rig->admin);
    s->rig->admin = rig_connect(s->rig);
}

/* It was told of the loss of its link, and has it again. */
static void await_return(client *c, size_t links_before)
{
    while (client_link_count(c) < links_before + 2) test_loop_for(client_loop(c), 1);
    client_await_link(c, true);
}

/* Waits in the queue as the engine does: asks again when the holder is said to end. */
static const seen_reply *wait_for(client *c, const char *name, const char *token)
{
    for (;;) {
        pawl_request request = ask_queue(name, token, SPAN_MS);
        const seen_reply *a = client_ask(c, &request);
        if (a->reply.outcome == PAWL_GRANTED) return a;
        assert_int_equal(a->reply.outcome, PAWL_QUEUED);
        int64_t pause_ms = a->reply.holder_ms < 0 ? SPAN_MS / 3 : a->reply.holder_ms + 1;
        test_loop_for(client_loop(c), pause_ms < SPAN_MS / 3 ? pause_ms : SPAN_MS / 3);
    }
}

/* ---- Each way to keep data ------------------------------------------------------------ */

typedef struct keeping {
    const char *arguments[5];
    bool saves;    /* a snapshot is taken before the lock */
    bool forgets;  /* it comes back without the lock */
    bool may_keep; /* nobody can say */
} keeping;

static const keeping keepings[] = {
    {{"--appendonly", "no", NULL}, false, true, false},
    {{"--appendonly", "no", "--save", "3600 1", NULL}, true, true, false},
    {{"--appendonly", "yes", "--appendfsync", "everysec", NULL}, false, false, true},
    {{"--appendonly", "yes", "--appendfsync", "always", NULL}, false, false, false}};

/* A holder, a waiter, and a client that comes when the server is back. */
static void try_keeping(const keeping *k, const char *guard)
{
    stage s = begin(guard, k->arguments);
    client *a = client_up(s.loop, &s.address, "a"), *b = client_up(s.loop, &s.address, "b");
    const char *mine = fresh_token(), *theirs = fresh_token();
    test_loop_for(s.loop, strcmp(guard, "on") == 0 ? SPAN_MS + 1000 : 0); /* it was new itself */
    if (k->saves) rig_must(s.rig, "SAVE");
    int64_t held_at = wait_for(a, "x", mine)->sent_at;
    pawl_request queue = ask_queue("x", theirs, SPAN_MS);
    (void)client_ask(b, &queue);
    size_t links_a = client_link_count(a), links_b = client_link_count(b);
    restart(&s);
    client *c = client_up(s.loop, &s.address, "c"); /* knows of nothing */
    const seen_reply *busy = NULL;
    if (strcmp(guard, "on") == 0 || !k->forgets) {
        busy = expect(c, ask_acquire("x", fresh_token(), SHORT_MS), PAWL_BUSY);
        if (k->forgets) says(busy->text, "restart guard");
        if (k->forgets) assert_true(busy->reply.holder_ms > 0);
    }
    await_return(b, links_b);
    await_return(a, links_a);
    size_t warnings;
    says(client_warning(b, &warnings), "restart guard");
    assert_int_equal(warnings, strcmp(guard, "on") == 0 ? 2 : 1); /* its own newness, the restart */
    pawl_request renew = ask_renew("x", mine, SPAN_MS);
    const seen_reply *renewed = client_ask(a, &renew);
    if (renewed->reply.outcome == PAWL_CONFIRMED)
        held_at = renewed->sent_at;
    else
        assert_int_equal(renewed->reply.outcome, PAWL_NOT_OWNER);
    if (!k->may_keep) assert_int_equal(renewed->reply.outcome == PAWL_NOT_OWNER, k->forgets);
    int64_t granted_at = wait_for(b, "x", theirs)->answered_at;
    if (granted_at < held_at + (SPAN_MS - MARGIN_MS) * MS)
        fail_msg("two holders: granted %d ms after the other's request",
                 (int)((granted_at - held_at) / MS));
    client_close(a);
    client_close(b);
    client_close(c);
    end(&s);
}

static void after_kill_and_restart_there_is_no_second_holder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(keepings) / sizeof(keepings[0]); i++)
        try_keeping(&keepings[i], "on");
}

static void whoever_knew_the_run_before_guards_by_itself(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(keepings) / sizeof(keepings[0]); i++)
        try_keeping(&keepings[i], "auto");
}

/* The case that the guard is for. */
static void without_a_guard_a_restart_gives_a_second_holder(void **state)
{
    stage s = begin("off", NULL);
    client *a = client_up(s.loop, &s.address, "a");
    (void)state;
    expect(a, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_GRANTED);
    restart(&s);
    client *b = client_up(s.loop, &s.address, "b");
    expect(b, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_GRANTED);
    client_close(a);
    client_close(b);
    end(&s);
}

/* ---- Who has to wait, and who has not ------------------------------------------------- */

static void a_new_and_empty_server_lets_nobody_wait(void **state)
{
    stage s = begin("auto", NULL);
    client *a = client_up(s.loop, &s.address, "a");
    (void)state;
    expect(a, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_GRANTED);
    client_close(a);
    end(&s);
}

/* Such a server looks like one that has lost everything, until it is older than any lease. */
static void with_guard_on_a_server_must_be_older_than_a_lease(void **state)
{
    stage s = begin("on", NULL);
    client *a = client_up(s.loop, &s.address, "a");
    (void)state;
    expect(a, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_BUSY);
    test_loop_for(s.loop, SPAN_MS + 2200); /* the server tells its age in whole seconds */
    client *b = client_up(s.loop, &s.address, "b");
    expect(b, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_GRANTED);
    rig_must(s.rig, "FLUSHALL");
    client *c = client_up(s.loop, &s.address, "c"); /* the first of all at an old server */
    expect(c, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_GRANTED);
    client_close(a);
    client_close(b);
    client_close(c);
    end(&s);
}

/* The first to come back tells the others, also those who come later. */
static void the_guard_is_kept_for_all(void **state)
{
    stage s = begin("auto", NULL);
    client *a = client_up(s.loop, &s.address, "a");
    (void)state;
    size_t links = client_link_count(a);
    for (int round = 0; round < 2; round++) { /* a second restart is one, too */
        restart(&s);
        await_return(a, links);
        links = client_link_count(a);
        for (int i = 0; i < 2; i++) {
            client *b = client_up(s.loop, &s.address, "b");
            const seen_reply *busy = expect(b, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_BUSY);
            says(busy->text, "restart guard");
            client_close(b);
        }
    }
    client_close(a);
    end(&s);
}

static void an_emptied_server_is_guarded_by_whoever_knew_it(void **state)
{
    stage s = begin("auto", NULL);
    client *a = client_up(s.loop, &s.address, "a");
    size_t links = client_link_count(a);
    (void)state;
    rig_must(s.rig, "FLUSHALL");
    rig_must(s.rig, "CLIENT KILL TYPE pubsub");
    await_return(a, links);
    expect(a, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_BUSY);
    client_close(a);
    end(&s);
}

static void nothing_is_guarded_where_nothing_was_forgotten(void **state)
{
    stage s = begin("auto", NULL);
    client *a = client_up(s.loop, &s.address, "a");
    size_t links = client_link_count(a);
    (void)state;
    rig_must(s.rig, "SCRIPT FLUSH");
    rig_must(s.rig, "CLIENT KILL TYPE pubsub");
    await_return(a, links);
    expect(a, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_GRANTED);
    client_close(a);
    end(&s);
}

/* ---- What goes on during the guard ------------------------------------------------------- */

/* The lock was kept: its holder renews and releases, and nobody is handed it before the time. */
static void a_holder_whose_lock_survived_goes_on(void **state)
{
    stage s = begin("auto", keepings[3].arguments);
    client *a = client_up(s.loop, &s.address, "a"), *b = client_up(s.loop, &s.address, "b");
    const char *mine = fresh_token(), *theirs = fresh_token();
    (void)state;
    uint64_t fence = expect(a, ask_acquire("x", mine, SPAN_MS), PAWL_GRANTED)->reply.fence;
    expect(b, ask_queue("x", theirs, SPAN_MS), PAWL_QUEUED);
    size_t links_a = client_link_count(a), links_b = client_link_count(b);
    restart(&s);
    await_return(a, links_a);
    await_return(b, links_b);
    const seen_reply *again = expect(a, ask_renew("x", mine, SPAN_MS), PAWL_CONFIRMED);
    assert_true(again->reply.fence == fence);
    again = expect(a, ask_acquire("x", mine, SPAN_MS), PAWL_GRANTED); /* its token holds */
    assert_true(again->reply.fence == fence);
    expect(a, ask_release("x", mine), PAWL_RELEASED);
    assert_int_equal(client_push_count(b, PAWL_PUSH_GRANT), 0);
    const seen_reply *queued = expect(b, ask_queue("x", theirs, SPAN_MS), PAWL_QUEUED);
    assert_int_equal(queued->reply.position, 0);
    assert_true(queued->reply.holder_ms > 0);
    (void)wait_for(b, "x", theirs);
    client_close(a);
    client_close(b);
    end(&s);
}

/* In every mode, and by every way in. */
static void no_mode_gets_in(void **state)
{
    stage s = begin("auto", keepings[3].arguments);
    client *a = client_up(s.loop, &s.address, "a");
    const char *reader = fresh_token(), *updater = fresh_token();
    (void)state;
    expect(a, ask_mode("x", updater, PAWL_MODE_UPDATE, SPAN_MS, 0), PAWL_GRANTED);
    expect(a, ask_mode("y", reader, PAWL_MODE_SHARED, SPAN_MS, 0), PAWL_GRANTED);
    size_t links = client_link_count(a);
    restart(&s);
    await_return(a, links);
    expect(a, ask_mode("y", fresh_token(), PAWL_MODE_SHARED, SPAN_MS, 0), PAWL_BUSY);
    expect(a, ask_mode("y", reader, PAWL_MODE_SHARED, SPAN_MS, 0), PAWL_GRANTED);
    expect(a, ask_mode("z", fresh_token(), PAWL_MODE_SHARED, SPAN_MS, 0), PAWL_BUSY);
    expect(a, ask_permits("p", fresh_token(), 1, 4, SPAN_MS, 0), PAWL_BUSY);
    expect(a, ask_change("x", updater, PAWL_MODE_EXCLUSIVE, 1, SPAN_MS, 0), PAWL_BUSY);
    client_close(a);
    end(&s);
}

/* ---- Long leases ---------------------------------------------------------------------- */

static void a_lease_longer_than_the_span_is_announced(void **state)
{
    stage s = begin("auto", keepings[3].arguments);
    client *a = client_up(s.loop, &s.address, "a");
    (void)state;
    expect(a, ask_acquire("x", fresh_token(), 20 * SPAN_MS), PAWL_GRANTED);
    size_t links = client_link_count(a);
    restart(&s);
    await_return(a, links);
    const seen_reply *busy = expect(a, ask_acquire("y", fresh_token(), SPAN_MS), PAWL_BUSY);
    assert_true(busy->reply.holder_ms > 15 * SPAN_MS);
    client_close(a);
    end(&s);
}

static void with_guard_on_a_lease_longer_than_the_span_is_refused(void **state)
{
    stage s = begin("on", NULL);
    client *a = client_up(s.loop, &s.address, "a");
    (void)state;
    const seen_reply *refused =
        expect(a, ask_acquire("x", fresh_token(), SPAN_MS + 1), PAWL_FAILED);
    assert_int_equal(refused->reply.err, PAWL_ERR_TTL);
    says(refused->text, "guard_ms");
    client_close(a);
    end(&s);
}

/* ---- Rights, and the doctor ----------------------------------------------------------- */

static void without_info_auto_is_off_and_on_refuses(void **state)
{
    stage s = begin("auto", NULL);
    (void)state;
    rig_must(s.rig, "ACL SETUSER default on nopass ~* &* +@all -info");
    client *a = client_up(s.loop, &s.address, "a");
    expect(a, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_GRANTED);
    expect(a, ask_doctor(), PAWL_REPORTED);
    says(client_found(a), "guard: No restart guard");
    says(client_found(a), "+info");
    s.address.options[0].value = "on";
    client *b = client_open(s.loop, &s.address, "b");
    while (client_link_count(b) == 0) test_loop_for(s.loop, 1);
    assert_false(client_link(b, 0)->up);
    assert_int_equal(client_link(b, 0)->err, PAWL_ERR_PERMISSION);
    says(client_link(b, 0)->text, "guard=on");
    says(client_link(b, 0)->text, "+info");
    client_close(a);
    client_close(b);
    end(&s);
}

static void the_doctor_says_for_how_long(void **state)
{
    stage s = begin("on", NULL);
    client *a = client_up(s.loop, &s.address, "a");
    (void)state;
    expect(a, ask_doctor(), PAWL_REPORTED);
    says(client_found(a), "guard: The restart guard is active");
    client_close(a);
    end(&s);
}

/* ---- Failover ------------------------------------------------------------------------- */

/* The replica has run for as long as the primary; what counts is when it took over. */
static void a_replica_that_takes_over_is_guarded(void **state)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", free_port());
    const char *const arguments[] = {"--bind", "127.0.0.1", "--port", port, NULL};
    stage s = begin("auto", arguments);
    const char *const other[] = {"--repl-diskless-sync-delay", "0", NULL};
    rig *replica = rig_new(other);
    (void)state;
    rig_must(s.rig, "CONFIG SET repl-diskless-sync-delay 0");
    client *a = client_up(s.loop, &s.address, "a"); /* writes the record */
    rig_must(replica, "REPLICAOF 127.0.0.1 %s", port);
    while (!strstr(rig_text(replica, "INFO replication"), "master_link_status:up")) continue;
    test_loop_for(s.loop, SPAN_MS + 2200);
    rig_must(replica, "REPLICAOF NO ONE");
    s.address.path = redis_server_socket(replica->server);
    client *b = client_up(s.loop, &s.address, "b");
    expect(b, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_BUSY);
    client_close(a);
    client_close(b);
    rig_free(replica);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(after_kill_and_restart_there_is_no_second_holder),
        cmocka_unit_test(whoever_knew_the_run_before_guards_by_itself),
        cmocka_unit_test(without_a_guard_a_restart_gives_a_second_holder),
        cmocka_unit_test(a_new_and_empty_server_lets_nobody_wait),
        cmocka_unit_test(with_guard_on_a_server_must_be_older_than_a_lease),
        cmocka_unit_test(the_guard_is_kept_for_all),
        cmocka_unit_test(an_emptied_server_is_guarded_by_whoever_knew_it),
        cmocka_unit_test(nothing_is_guarded_where_nothing_was_forgotten),
        cmocka_unit_test(a_holder_whose_lock_survived_goes_on),
        cmocka_unit_test(no_mode_gets_in),
        cmocka_unit_test(a_lease_longer_than_the_span_is_announced),
        cmocka_unit_test(with_guard_on_a_lease_longer_than_the_span_is_refused),
        cmocka_unit_test(without_info_auto_is_off_and_on_refuses),
        cmocka_unit_test(the_doctor_says_for_how_long),
        cmocka_unit_test(a_replica_that_takes_over_is_guarded),
    };
    return rig_run("the guard of redis", cases, NULL, NULL);
}
