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
#include <stdlib.h>
#include <string.h>

/*
 * guard_ms, and the ttl of most leases. AGES: of a guard whose end nobody waits for, so that no
 * machine is too slow to find it active. SPAN: of one whose end is waited for; where the machine
 * was too slow to look at what goes on before, the case is tried again with twice as much.
 */
#define AGES_MS  600000
#define SPAN_MS  1200
#define SHORT_MS 300
#define MS       INT64_C(1000000)

extern const pawl_store_ops pawl_store_entry;

typedef struct stage {
    rig *rig;
    test_loop *loop;
    store_address address;
    int64_t span_ms;
    char span[16];
    int64_t sure_until; /* instant: what was held or guarded before is so until then */
    bool is_late;       /* something was otherwise, and asked after that */
} stage;

static stage *begin(const char *guard, int64_t span_ms, const char *const *arguments)
{
    stage *s = calloc(1, sizeof *s);
    assert_non_null(s);
    *s = (stage){.rig = rig_new(arguments), .loop = test_loop_new(), .span_ms = span_ms};
    snprintf(s->span, sizeof s->span, "%d", (int)span_ms);
    s->address = (store_address){.ops = &pawl_store_entry,
                                 .scheme = "redis+unix",
                                 .path = redis_server_socket(s->rig->server),
                                 .options = {{"guard", guard}, {"guard_ms", s->span}},
                                 .option_count = 2};
    return s;
}

static void end(stage *s)
{
    test_loop_free(s->loop);
    rig_free(s->rig);
    free(s);
}

/* A holder stops to believe a tenth before its lease ends: law 2. */
static int64_t believed_ns(const stage *s)
{
    return (s->span_ms - s->span_ms / 10) * MS;
}

/* Whether it is so; fails the test if it is not and there was time enough. */
static bool holds(stage *s, bool is_so, const char *what)
{
    if (!is_so && host_now() <= s->sure_until) fail_msg("it is not so that %s", what);
    if (!is_so) s->is_late = true;
    return is_so;
}

/* As expect() in time; false: it is too late to tell. */
static bool is_told(stage *s, client *c, pawl_request request, pawl_outcome outcome)
{
    const seen_reply *a = client_ask(c, &request);
    return holds(s, a->reply.outcome == outcome, "the outcome is the expected one");
}

/* False: the machine was too slow for the span. */
typedef bool (*timed_case)(int64_t span_ms, const void *arg);

static void try_in_time(timed_case fits, const void *arg)
{
    for (int64_t span_ms = SPAN_MS; !fits(span_ms, arg); span_ms *= 2)
        assert_true(span_ms < AGES_MS);
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
static const seen_reply *wait_for(const stage *s, client *c, const char *name, const char *token)
{
    for (;;) {
        pawl_request request = ask_queue(name, token, s->span_ms);
        const seen_reply *a = client_ask(c, &request);
        if (a->reply.outcome == PAWL_GRANTED) return a;
        assert_int_equal(a->reply.outcome, PAWL_QUEUED);
        int64_t pause_ms = a->reply.holder_ms < 0 ? s->span_ms / 3 : a->reply.holder_ms + 1;
        test_loop_for(client_loop(c), pause_ms < s->span_ms / 3 ? pause_ms : s->span_ms / 3);
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

typedef struct keeping_case {
    const keeping *keeping;
    bool is_on; /* the guard; else auto */
} keeping_case;

/* A holder, a waiter, and a client that comes when the server is back. */
typedef struct three {
    client *a, *b, *c;
    const char *mine, *theirs; /* tokens of a and b */
    int64_t held_at, restarted_at;
    size_t links_a, links_b, warnings_b; /* before the restart */
} three;

static void restart_with_a_holder(stage *s, three *of, bool saves)
{
    of->a = client_up(s->loop, &s->address, "a");
    of->b = client_up(s->loop, &s->address, "b");
    of->mine = fresh_token();
    of->theirs = fresh_token();
    if (saves) rig_must(s->rig, "SAVE");
    of->held_at = wait_for(s, of->a, "x", of->mine)->sent_at; /* with `on` it was new itself */
    s->sure_until = of->held_at + believed_ns(s);
    pawl_request queue = ask_queue("x", of->theirs, s->span_ms);
    (void)client_ask(of->b, &queue);
    of->links_a = client_link_count(of->a);
    of->links_b = client_link_count(of->b);
    (void)client_warning(of->b, &of->warnings_b);
    of->restarted_at = host_now();
    restart(s);
    of->c = client_up(s->loop, &s->address, "c"); /* knows of nothing */
}

/* With `auto` who comes first at a server that has forgotten everything is let in. */
static bool is_guarded(stage *s, const three *of, const keeping_case *k)
{
    if (k->is_on || (!k->keeping->forgets && !k->keeping->may_keep)) {
        pawl_request request = ask_acquire("x", fresh_token(), SHORT_MS);
        const seen_reply *busy = client_ask(of->c, &request);
        bool is_busy = busy->reply.outcome == PAWL_BUSY && busy->reply.holder_ms > 0;
        if (!holds(s, is_busy, "c is not let in")) return false;
        if (k->keeping->forgets) says(busy->text, "restart guard");
    }
    await_return(of->b, of->links_b);
    await_return(of->a, of->links_a);
    size_t warnings;
    const char *warning = client_warning(of->b, &warnings);
    if (!holds(s, warnings == of->warnings_b + 1, "b is warned once")) return false;
    says(warning, "restart guard");
    return true;
}

/* Who held it goes on, or hears that it is lost; in `auto` it gives it back before its time. */
static bool is_renewed(stage *s, three *of, const keeping_case *k)
{
    pawl_request renew = ask_renew("x", of->mine, s->span_ms);
    const seen_reply *renewed = client_ask(of->a, &renew);
    bool is_kept = renewed->reply.outcome == PAWL_CONFIRMED;
    if (!is_kept) assert_int_equal(renewed->reply.outcome, PAWL_NOT_OWNER);
    if (!k->keeping->may_keep && !holds(s, is_kept != k->keeping->forgets, "it is as kept"))
        return false;
    if (!is_kept) return true;
    of->held_at = renewed->sent_at;
    if (k->is_on) return true;
    of->held_at = of->restarted_at; /* for a span from then on nobody is let in */
    return is_told(s, of->a, ask_release("x", of->mine), PAWL_RELEASED);
}

/* The next one gets it when the first has stopped to believe, and not before. */
static bool is_kept_apart(int64_t span_ms, const void *arg)
{
    const keeping_case *k = arg;
    stage *s = begin(k->is_on ? "on" : "auto", span_ms, k->keeping->arguments);
    three of;
    restart_with_a_holder(s, &of, k->keeping->saves);
    if (is_guarded(s, &of, k) && is_renewed(s, &of, k)) {
        int64_t granted_at = wait_for(s, of.b, "x", of.theirs)->answered_at;
        if (granted_at < of.held_at + believed_ns(s))
            fail_msg("two holders: granted %d ms after the other's request",
                     (int)((granted_at - of.held_at) / MS));
    }
    bool fits = !s->is_late;
    client_close(of.a);
    client_close(of.b);
    client_close(of.c);
    end(s);
    return fits;
}

static void try_each_keeping(bool is_on)
{
    for (size_t i = 0; i < sizeof(keepings) / sizeof(keepings[0]); i++) {
        const keeping_case k = {.keeping = &keepings[i], .is_on = is_on};
        try_in_time(is_kept_apart, &k);
    }
}

static void after_kill_and_restart_there_is_no_second_holder(void **state)
{
    (void)state;
    try_each_keeping(true);
}

static void whoever_knew_the_run_before_guards_by_itself(void **state)
{
    (void)state;
    try_each_keeping(false);
}

/* The case that the guard is for. */
static void without_a_guard_a_restart_gives_a_second_holder(void **state)
{
    stage *s = begin("off", AGES_MS, NULL);
    client *a = client_up(s->loop, &s->address, "a");
    (void)state;
    expect(a, ask_acquire("x", fresh_token(), AGES_MS), PAWL_GRANTED);
    restart(s);
    client *b = client_up(s->loop, &s->address, "b");
    expect(b, ask_acquire("x", fresh_token(), AGES_MS), PAWL_GRANTED);
    client_close(a);
    client_close(b);
    end(s);
}

/* ---- Who has to wait, and who has not ------------------------------------------------- */

static void a_new_and_empty_server_lets_nobody_wait(void **state)
{
    stage *s = begin("auto", AGES_MS, NULL);
    client *a = client_up(s->loop, &s->address, "a");
    (void)state;
    expect(a, ask_acquire("x", fresh_token(), AGES_MS), PAWL_GRANTED);
    client_close(a);
    end(s);
}

/* Such a server looks like one that has lost everything, until it is older than any lease. */
static void with_guard_on_a_server_must_be_older_than_a_lease(void **state)
{
    stage *s = begin("on", AGES_MS, NULL);
    client *a = client_up(s->loop, &s->address, "a");
    (void)state;
    expect(a, ask_acquire("x", fresh_token(), AGES_MS), PAWL_BUSY);
    client_close(a);
    end(s);
    s = begin("on", SPAN_MS, NULL);
    test_loop_for(s->loop, SPAN_MS + 2200); /* the server tells its age in whole seconds */
    for (int i = 0; i < 2; i++) {           /* each is the first of all at an old server */
        client *b = client_up(s->loop, &s->address, "b");
        expect(b, ask_acquire("x", fresh_token(), SPAN_MS), PAWL_GRANTED);
        client_close(b);
        rig_must(s->rig, "FLUSHALL");
    }
    end(s);
}

/* The first to come back tells the others, also those who come later. */
static void the_guard_is_kept_for_all(void **state)
{
    stage *s = begin("auto", AGES_MS, NULL);
    client *a = client_up(s->loop, &s->address, "a");
    (void)state;
    size_t links = client_link_count(a);
    for (int round = 0; round < 2; round++) { /* a second restart is one, too */
        restart(s);
        await_return(a, links);
        links = client_link_count(a);
        for (int i = 0; i < 2; i++) {
            client *b = client_up(s->loop, &s->address, "b");
            const seen_reply *busy = expect(b, ask_acquire("x", fresh_token(), AGES_MS), PAWL_BUSY);
            says(busy->text, "restart guard");
            client_close(b);
        }
    }
    client_close(a);
    end(s);
}

static void an_emptied_server_is_guarded_by_whoever_knew_it(void **state)
{
    stage *s = begin("auto", AGES_MS, NULL);
    client *a = client_up(s->loop, &s->address, "a");
    size_t links = client_link_count(a);
    (void)state;
    rig_must(s->rig, "FLUSHALL");
    rig_must(s->rig, "CLIENT KILL TYPE pubsub");
    await_return(a, links);
    expect(a, ask_acquire("x", fresh_token(), AGES_MS), PAWL_BUSY);
    client_close(a);
    end(s);
}

static void nothing_is_guarded_where_nothing_was_forgotten(void **state)
{
    stage *s = begin("auto", AGES_MS, NULL);
    client *a = client_up(s->loop, &s->address, "a");
    size_t links = client_link_count(a);
    (void)state;
    rig_must(s->rig, "SCRIPT FLUSH");
    rig_must(s->rig, "CLIENT KILL TYPE pubsub");
    await_return(a, links);
    expect(a, ask_acquire("x", fresh_token(), AGES_MS), PAWL_GRANTED);
    client_close(a);
    end(s);
}

/* ---- What goes on during the guard ------------------------------------------------------- */

/* The lock was kept: its holder renews and releases, and nobody is handed it before the time. */
static void a_holder_whose_lock_survived_goes_on(void **state)
{
    stage *s = begin("auto", AGES_MS, keepings[3].arguments);
    client *a = client_up(s->loop, &s->address, "a"), *b = client_up(s->loop, &s->address, "b");
    const char *mine = fresh_token(), *theirs = fresh_token();
    (void)state;
    uint64_t fence = expect(a, ask_acquire("x", mine, AGES_MS), PAWL_GRANTED)->reply.fence;
    expect(b, ask_queue("x", theirs, AGES_MS), PAWL_QUEUED);
    size_t links_a = client_link_count(a), links_b = client_link_count(b);
    restart(s);
    await_return(a, links_a);
    await_return(b, links_b);
    const seen_reply *again = expect(a, ask_renew("x", mine, AGES_MS), PAWL_CONFIRMED);
    assert_true(again->reply.fence == fence);
    again = expect(a, ask_acquire("x", mine, AGES_MS), PAWL_GRANTED); /* its token holds */
    assert_true(again->reply.fence == fence);
    expect(a, ask_release("x", mine), PAWL_RELEASED);
    assert_int_equal(client_push_count(b, PAWL_PUSH_GRANT), 0);
    const seen_reply *queued = expect(b, ask_queue("x", theirs, AGES_MS), PAWL_QUEUED);
    assert_int_equal(queued->reply.position, 0);
    assert_true(queued->reply.holder_ms > 0);
    client_close(a);
    client_close(b);
    end(s);
}

/* In every mode, and by every way in. */
static void no_mode_gets_in(void **state)
{
    stage *s = begin("auto", AGES_MS, keepings[3].arguments);
    client *a = client_up(s->loop, &s->address, "a");
    const char *reader = fresh_token(), *updater = fresh_token();
    (void)state;
    expect(a, ask_mode("x", updater, PAWL_MODE_UPDATE, AGES_MS, 0), PAWL_GRANTED);
    expect(a, ask_mode("y", reader, PAWL_MODE_SHARED, AGES_MS, 0), PAWL_GRANTED);
    size_t links = client_link_count(a);
    restart(s);
    await_return(a, links);
    expect(a, ask_mode("y", fresh_token(), PAWL_MODE_SHARED, AGES_MS, 0), PAWL_BUSY);
    expect(a, ask_mode("y", reader, PAWL_MODE_SHARED, AGES_MS, 0), PAWL_GRANTED);
    expect(a, ask_mode("z", fresh_token(), PAWL_MODE_SHARED, AGES_MS, 0), PAWL_BUSY);
    expect(a, ask_permits("p", fresh_token(), 1, 4, AGES_MS, 0), PAWL_BUSY);
    expect(a, ask_change("x", updater, PAWL_MODE_EXCLUSIVE, 1, AGES_MS, 0), PAWL_BUSY);
    client_close(a);
    end(s);
}

/* ---- Long leases ---------------------------------------------------------------------- */

static void a_lease_longer_than_the_span_is_announced(void **state)
{
    stage *s = begin("auto", SPAN_MS, keepings[3].arguments);
    client *a = client_up(s->loop, &s->address, "a");
    (void)state;
    expect(a, ask_acquire("x", fresh_token(), AGES_MS), PAWL_GRANTED);
    size_t links = client_link_count(a);
    restart(s);
    await_return(a, links);
    const seen_reply *busy = expect(a, ask_acquire("y", fresh_token(), SPAN_MS), PAWL_BUSY);
    assert_true(busy->reply.holder_ms > AGES_MS / 2);
    client_close(a);
    end(s);
}

static void with_guard_on_a_lease_longer_than_the_span_is_refused(void **state)
{
    stage *s = begin("on", AGES_MS, NULL);
    client *a = client_up(s->loop, &s->address, "a");
    (void)state;
    const seen_reply *refused =
        expect(a, ask_acquire("x", fresh_token(), AGES_MS + 1), PAWL_FAILED);
    assert_int_equal(refused->reply.err, PAWL_ERR_TTL);
    says(refused->text, "guard_ms");
    client_close(a);
    end(s);
}

/* ---- Rights, and the doctor ----------------------------------------------------------- */

static void without_info_auto_is_off_and_on_refuses(void **state)
{
    stage *s = begin("auto", AGES_MS, NULL);
    (void)state;
    rig_must(s->rig, "ACL SETUSER default on nopass ~* &* +@all -info");
    client *a = client_up(s->loop, &s->address, "a");
    expect(a, ask_acquire("x", fresh_token(), AGES_MS), PAWL_GRANTED);
    expect(a, ask_doctor(), PAWL_REPORTED);
    says(client_found(a), "guard: No restart guard");
    says(client_found(a), "+info");
    s->address.options[0].value = "on";
    client *b = client_open(s->loop, &s->address, "b");
    while (client_link_count(b) == 0) test_loop_for(s->loop, 1);
    assert_false(client_link(b, 0)->up);
    assert_int_equal(client_link(b, 0)->err, PAWL_ERR_PERMISSION);
    says(client_link(b, 0)->text, "guard=on");
    says(client_link(b, 0)->text, "+info");
    client_close(a);
    client_close(b);
    end(s);
}

static void the_doctor_says_for_how_long(void **state)
{
    stage *s = begin("on", AGES_MS, NULL);
    client *a = client_up(s->loop, &s->address, "a");
    (void)state;
    expect(a, ask_doctor(), PAWL_REPORTED);
    says(client_found(a), "guard: The restart guard is active");
    client_close(a);
    end(s);
}

/* ---- Failover ------------------------------------------------------------------------- */

/* The replica has run for as long as the primary; what counts is when it took over. */
static bool is_guarded_as_new(int64_t span_ms, const void *arg)
{
    char port[16];
    snprintf(port, sizeof(port), "%d", free_port());
    const char *const arguments[] = {"--bind", "127.0.0.1", "--port", port, NULL};
    stage *s = begin("auto", span_ms, arguments);
    const char *const other[] = {"--repl-diskless-sync-delay", "0", NULL};
    rig *replica = rig_new(other);
    (void)arg;
    rig_must(s->rig, "CONFIG SET repl-diskless-sync-delay 0");
    client *a = client_up(s->loop, &s->address, "a"); /* writes the record */
    rig_must(replica, "REPLICAOF 127.0.0.1 %s", port);
    while (!strstr(rig_text(replica, "INFO replication"), "master_link_status:up")) continue;
    test_loop_for(s->loop, span_ms + 2200);
    rig_must(replica, "REPLICAOF NO ONE");
    s->address.path = redis_server_socket(replica->server);
    s->sure_until = host_now() + believed_ns(s);
    client *b = client_up(s->loop, &s->address, "b");
    bool fits = is_told(s, b, ask_acquire("x", fresh_token(), span_ms), PAWL_BUSY);
    client_close(a);
    client_close(b);
    rig_free(replica);
    end(s);
    return fits;
}

static void a_replica_that_takes_over_is_guarded(void **state)
{
    (void)state;
    try_in_time(is_guarded_as_new, NULL);
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
