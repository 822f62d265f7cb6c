/* SPDX-License-Identifier: MIT */
/*
 * Real nodes of a Redis Cluster. One that has all names is as good as a single server, but for a
 * call about names of several slots, which it refuses. One that shares them with another is refused
 * before anything is locked, or, where the user may not ask how many there are, name by name.
 */
#define _GNU_SOURCE
#include "link_stage.h"

#include "../../ports/free_port.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ADVICE "pawl needs a single Redis"
#define MOVING "the cluster is moving this key"
#define TRIES  40 /* connections, where chance decides for each what refuses it */

extern const pawl_store_ops pawl_store_entry;

/* ---- Nodes ------------------------------------------------------------------------ */

typedef struct node {
    rig *rig;
    char port[16], bus[16];
} node;

static node start_without_slots(void)
{
    node n;
    snprintf(n.port, sizeof(n.port), "%d", free_port());
    snprintf(n.bus, sizeof(n.bus), "%d", free_port());
    const char *const arguments[] = {
        "--bind", "127.0.0.1",         "--port", n.port, "--cluster-port",
        n.bus,    "--cluster-enabled", "yes",    NULL};
    n.rig = rig_new(arguments);
    return n;
}

static node start(int first_slot, int last_slot)
{
    node n = start_without_slots();
    rig_must(n.rig, "CLUSTER ADDSLOTSRANGE %d %d", first_slot, last_slot);
    return n;
}

/* It says "ok" a moment after it has its slots, and has met the others. */
static void await_cluster(const node *n, test_loop *loop, int size)
{
    char wanted[32];
    snprintf(wanted, sizeof(wanted), "cluster_size:%d\r", size);
    for (int64_t until = host_now() + PATIENCE_MS * INT64_C(1000000); host_now() < until;) {
        const char *info = rig_text(n->rig, "CLUSTER INFO");
        if (strstr(info, "cluster_state:ok") && strstr(info, wanted)) return;
        test_loop_for(loop, 20);
    }
    fail_msg("no cluster: %s", rig_text(n->rig, "CLUSTER INFO"));
}

static store_address address_of(const node *n)
{
    return (store_address){.ops = &pawl_store_entry,
                           .scheme = "redis+unix",
                           .path = redis_server_socket(n->rig->server)};
}

/* ---- Several names ------------------------------------------------------------------ */

typedef struct asked {
    const char *name, *token;
    uint64_t id;
} asked;

static void submit(client *c, asked *a, size_t count, pawl_verb verb)
{
    for (size_t i = 0; i < count; i++) {
        if (verb == PAWL_VERB_ACQUIRE) a[i].token = fresh_token();
        pawl_request request = verb == PAWL_VERB_ACQUIRE
                                   ? ask_acquire(a[i].name, a[i].token, LONG_MS)
                                   : ask_release(a[i].name, a[i].token);
        request.flags |= PAWL_ASK_TOGETHER;
        a[i].id = client_submit(c, &request);
    }
    client_flush(c);
}

static void is_told(client *c, const asked *a, pawl_outcome outcome)
{
    const seen_reply *r = client_await(c, a->id);
    if (r->reply.outcome != outcome)
        fail_msg("%s: outcome %d (%s), expected %d", a->name, (int)r->reply.outcome, r->text,
                 (int)outcome);
}

static void all_are_told(client *c, const asked *a, size_t count, pawl_outcome outcome)
{
    for (size_t i = 0; i < count; i++) is_told(c, &a[i], outcome);
}

/* How many calls the server has refused, because their keys are in several slots. */
static long count_refused(rig *r)
{
    static const char key[] = "errorstat_CROSSSLOT:count=";
    const char *at = strstr(rig_text(r, "INFO errorstats"), key);
    return at ? strtol(at + sizeof(key) - 1, NULL, 10) : 0;
}

static int64_t count_scripts(rig *r)
{
    return rig_calls(r, "evalsha") + rig_calls(r, "eval");
}

static void one_node_takes_several_names_one_by_one(void **state)
{
    (void)state;
    node n = start(0, 16383);
    test_loop *loop = test_loop_new();
    await_cluster(&n, loop, 1);
    store_address address = address_of(&n);
    client *c = client_up(loop, &address, "a");
    asked a[] = {{.name = "a"}, {.name = "b"}, {.name = "c"}};
    const size_t count = sizeof(a) / sizeof(a[0]);
    for (int round = 0; round < 2; round++) {
        submit(c, a, count, PAWL_VERB_ACQUIRE);
        all_are_told(c, a, count, PAWL_GRANTED);
        assert_int_equal(count_refused(n.rig), 1); /* it is not asked so again */
        submit(c, a, count, PAWL_VERB_RELEASE);
        all_are_told(c, a, count, PAWL_RELEASED);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(rig_int(n.rig, "EXISTS pawl:%s {pawl:%s}:q", a[i].name, a[i].name), 0);
    }
    assert_int_equal(count_refused(n.rig), 1);
    client_close(c);
    test_loop_free(loop);
    rig_free(n.rig);
}

static void names_of_one_slot_are_one_call(void **state)
{
    (void)state;
    node n = start(0, 16383);
    test_loop *loop = test_loop_new();
    await_cluster(&n, loop, 1);
    store_address address = address_of(&n);
    client *c = client_up(loop, &address, "a");
    asked a[] = {{.name = "{x}a"}, {.name = "{x}b"}, {.name = "{x}c"}};
    int64_t before = count_scripts(n.rig);
    submit(c, a, 3, PAWL_VERB_ACQUIRE);
    all_are_told(c, a, 3, PAWL_GRANTED);
    assert_int_equal(count_scripts(n.rig), before + 1);
    submit(c, a, 3, PAWL_VERB_RELEASE);
    all_are_told(c, a, 3, PAWL_RELEASED);
    assert_int_equal(count_scripts(n.rig), before + 2);
    assert_int_equal(count_refused(n.rig), 0);
    client_close(c);
    test_loop_free(loop);
    rig_free(n.rig);
}

static void the_doctor_says_what_one_node_is(void **state)
{
    (void)state;
    node n = start(0, 16383);
    test_loop *loop = test_loop_new();
    await_cluster(&n, loop, 1);
    rig_must(n.rig, "ACL SETUSER joe reset on >secret " MINIMAL_ACL " +info");
    store_address address = address_of(&n);
    client *c = client_up(loop, &address, "a");
    expect(c, ask_doctor(), PAWL_REPORTED);
    assert_int_equal(client_severity(c, "topology"), PAWL_SEVERITY_WARNING);
    says(client_found(c), "topology: The server is a cluster of one node");
    client_close(c);
    address.user = "joe"; /* who may not ask how many there are */
    address.password = "secret";
    c = client_up(loop, &address, "a");
    expect(c, ask_doctor(), PAWL_REPORTED);
    assert_int_equal(client_severity(c, "topology"), PAWL_SEVERITY_ERROR);
    client_close(c);
    test_loop_free(loop);
    rig_free(n.rig);
}

/* ---- Names that another node has ---------------------------------------------------- */

typedef struct stage_of_two {
    node here, there;
    test_loop *loop;
    store_address address; /* of the one that is here */
} stage_of_two;

static stage_of_two begin_two(void)
{
    stage_of_two s = {.here = start(0, 8191), .there = start(8192, 16383), .loop = test_loop_new()};
    rig_must(s.here.rig, "CLUSTER MEET 127.0.0.1 %s %s", s.there.port, s.there.bus);
    await_cluster(&s.here, s.loop, 2);
    await_cluster(&s.there, s.loop, 2);
    s.address = address_of(&s.here);
    return s;
}

static void nothing_is_left(const stage_of_two *s)
{
    assert_int_equal(rig_int(s->here.rig, "DBSIZE"), 0);
    assert_int_equal(rig_int(s->there.rig, "DBSIZE"), 0);
}

static void end_two(stage_of_two *s)
{
    test_loop_free(s->loop);
    rig_free(s->here.rig);
    rig_free(s->there.rig);
}

/* Also where the probe's key is one of this node's by chance. */
static void a_node_among_others_is_refused_always(void **state)
{
    (void)state;
    stage_of_two s = begin_two();
    for (int i = 0; i < TRIES; i++) {
        s.address.option_count = 0;
        if (i % 2) add_option(&s.address, "guard", "off"); /* whose record is in a slot as well */
        client *c = client_open(s.loop, &s.address, "a");
        says(await_down(c, PAWL_ERR_UNSUPPORTED), ADVICE);
        assert_int_equal(client_link_count(c), 1); /* it was never up */
        client_close(c);
    }
    nothing_is_left(&s);
    end_two(&s);
}

static bool is_here(const stage_of_two *s, const char *name)
{
    return rig_int(s->here.rig, "CLUSTER KEYSLOT pawl:%s", name) <= 8191;
}

static bool has_link(void *arg)
{
    return client_link_count(arg) > 0;
}

/* A client whose probe's key happened to be here. */
static client *come_up_by_chance(stage_of_two *s)
{
    for (int i = 0; i < TRIES; i++) {
        client *c = client_open(s->loop, &s->address, "a");
        test_loop_until(s->loop, has_link, c, "the link's first word");
        if (client_link(c, 0)->up) return c;
        says(client_link(c, 0)->text, ADVICE);
        client_close(c);
    }
    fail_msg("no probe's key was here");
    return NULL;
}

static void who_may_not_ask_is_refused_by_name(void **state)
{
    (void)state;
    stage_of_two s = begin_two();
    rig_must(s.here.rig, "ACL SETUSER joe reset on >secret " MINIMAL_ACL);
    s.address.user = "joe";
    s.address.password = "secret";
    add_option(&s.address, "guard", "off");
    client *c = come_up_by_chance(&s);
    asked a[8];
    static const char *const names[] = {"a", "b", "c", "d", "e", "f", "g", "h"};
    size_t count = 0, granted = 0;
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
        a[count++] = (asked){.name = names[i]};
    submit(c, a, count, PAWL_VERB_ACQUIRE);
    for (size_t i = 0; i < count; i++) {
        const seen_reply *r = client_await(c, a[i].id);
        is_told(c, &a[i], is_here(&s, a[i].name) ? PAWL_GRANTED : PAWL_FAILED);
        granted += r->reply.outcome == PAWL_GRANTED;
        if (r->reply.outcome == PAWL_GRANTED) continue;
        assert_int_equal(r->reply.err,
                         PAWL_ERR_UNSUPPORTED); /* and not unknown: MOVED did nothing */
        says(r->text, ADVICE);
    }
    assert_true(granted > 0 && granted < count);
    submit(c, a, count, PAWL_VERB_RELEASE);
    for (size_t i = 0; i < count; i++) {
        is_told(c, &a[i], is_here(&s, a[i].name) ? PAWL_RELEASED : PAWL_FAILED);
        if (is_here(&s, a[i].name))
            assert_int_equal(rig_int(s.here.rig, "EXISTS pawl:%s", a[i].name), 0);
    }
    assert_int_equal(rig_int(s.there.rig, "DBSIZE"), 0);
    client_close(c);
    end_two(&s);
}

/* ---- A name that goes to another node while it is held ------------------------------------ */

static void both_must(const stage_of_two *s, const char *what)
{
    rig_must(s->here.rig, what);
    rig_must(s->there.rig, what);
}

/* All names are here, and a second node has none. */
static stage_of_two begin_one_and_a_guest(void)
{
    stage_of_two s = {
        .here = start(0, 16383), .there = start_without_slots(), .loop = test_loop_new()};
    rig_must(s.here.rig, "CLUSTER MEET 127.0.0.1 %s %s", s.there.port, s.there.bus);
    await_cluster(&s.here, s.loop, 1);
    await_cluster(&s.there, s.loop, 1);
    s.address = address_of(&s.here);
    return s;
}

/* The slot of a name leaves: from now on both nodes say that it is on its way. */
static int64_t slot_begins_to_move(const stage_of_two *s, const char *name)
{
    char here[64], there[64];
    int64_t slot = rig_int(s->here.rig, "CLUSTER KEYSLOT pawl:%s", name);
    snprintf(here, sizeof(here), "%s", rig_text(s->here.rig, "CLUSTER MYID"));
    snprintf(there, sizeof(there), "%s", rig_text(s->there.rig, "CLUSTER MYID"));
    rig_must(s->there.rig, "CLUSTER SETSLOT %d IMPORTING %s", (int)slot, here);
    rig_must(s->here.rig, "CLUSTER SETSLOT %d MIGRATING %s", (int)slot, there);
    return slot;
}

static void key_moves(const stage_of_two *s, const char *key)
{
    rig_must(s->here.rig, "MIGRATE 127.0.0.1 %s %s 0 5000", s->there.port, key);
}

static void slot_has_moved(const stage_of_two *s, int64_t slot)
{
    char command[128];
    snprintf(command, sizeof(command), "CLUSTER SETSLOT %d NODE %s", (int)slot,
             rig_text(s->there.rig, "CLUSTER MYID"));
    both_must(s, command);
}

/* The request is refused and nothing is done: it is known that it was not. */
static void is_refused(client *c, pawl_request request, pawl_err err, const char *word)
{
    const seen_reply *r = client_ask(c, &request);
    if (r->reply.outcome != PAWL_FAILED) fail_msg("outcome %d: %s", r->reply.outcome, r->text);
    assert_int_equal(r->reply.err, err);
    says(r->text, word);
}

/*
 * Nobody gets the name a second time, wherever its keys are; the holder is told that it is out of
 * reach, so it goes by its deadline (law 1).
 */
static void a_held_name_that_moves_away_is_held_by_nobody_else(void **state)
{
    (void)state;
    stage_of_two s = begin_one_and_a_guest();
    const char *token = fresh_token();
    client *c = client_up(s.loop, &s.address, "a"), *other = client_up(s.loop, &s.address, "b");
    expect(c, ask_acquire("n", token, LONG_MS), PAWL_GRANTED);
    int64_t slot = slot_begins_to_move(&s, "n");
    for (int moved = 0; moved < 2; moved++) {
        is_refused(other, ask_acquire("n", fresh_token(), LONG_MS), PAWL_ERR_UNAVAILABLE, MOVING);
        is_refused(c, ask_renew("n", token, LONG_MS), PAWL_ERR_UNAVAILABLE, MOVING);
        if (!moved) key_moves(&s, "pawl:n");
    }
    key_moves(&s, "{pawl:n}:f");
    is_refused(other, ask_acquire("n", fresh_token(), LONG_MS), PAWL_ERR_UNSUPPORTED, ADVICE);
    slot_has_moved(&s, slot);
    is_refused(other, ask_acquire("n", fresh_token(), LONG_MS), PAWL_ERR_UNSUPPORTED, ADVICE);
    is_refused(c, ask_renew("n", token, LONG_MS), PAWL_ERR_UNSUPPORTED, ADVICE);
    is_refused(c, ask_release("n", token), PAWL_ERR_UNSUPPORTED, ADVICE);
    client_close(other);
    await_cluster(&s.here, s.loop, 2);
    other = client_open(s.loop, &s.address, "b"); /* who comes now is refused */
    says(await_down(other, PAWL_ERR_UNSUPPORTED), ADVICE);
    assert_string_equal(rig_text(s.there.rig, "GET pawl:n"), token);
    client_close(other);
    client_close(c);
    end_two(&s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(one_node_takes_several_names_one_by_one),
        cmocka_unit_test(names_of_one_slot_are_one_call),
        cmocka_unit_test(the_doctor_says_what_one_node_is),
        cmocka_unit_test(a_node_among_others_is_refused_always),
        cmocka_unit_test(who_may_not_ask_is_refused_by_name),
        cmocka_unit_test(a_held_name_that_moves_away_is_held_by_nobody_else),
    };
    return rig_run("nodes of a cluster of redis", cases, NULL, NULL);
}
