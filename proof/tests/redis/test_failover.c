/* SPDX-License-Identifier: MIT */
/*
 * Two real servers, a primary and its replica, that change roles: behind one address, and
 * behind one name with two addresses. A client finds the primary, and never locks in a replica.
 */
#define _GNU_SOURCE
#include "link_words.h"
#include "peer.h"

#include "../../ports/free_port.h"

#include <arpa/inet.h>
#include <dlfcn.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

extern const pawl_store_ops pawl_store_entry;

/* ---- A name with two addresses -------------------------------------------------------- */

#define TWO_ADDRESSES "two-addresses.test"

static const char *const hosts[] = {"127.0.0.1", "127.0.0.2"}; /* in this order */

typedef int (*getaddrinfo_fn)(const char *, const char *, const struct addrinfo *,
                              struct addrinfo **);

/* Comes before the C library's, for that name alone. */
int getaddrinfo(const char *restrict node, const char *restrict service,
                const struct addrinfo *restrict hints, struct addrinfo **restrict ret_list)
{
    getaddrinfo_fn real;
    void *symbol = dlsym(RTLD_NEXT, "getaddrinfo");
    memcpy(&real, &symbol, sizeof(real));
    if (!node || strcmp(node, TWO_ADDRESSES) != 0) return real(node, service, hints, ret_list);
    struct addrinfo numeric = *hints, *second = NULL;
    numeric.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    int status = real(hosts[0], service, &numeric, ret_list);
    if (status == 0) status = real(hosts[1], service, &numeric, &second);
    if (status == 0) (*ret_list)->ai_next = second; /* freed with the first */
    return status;
}

/* ---- Two servers ---------------------------------------------------------------------- */

typedef struct stage {
    rig *one, *two; /* listening on hosts[0] and hosts[1], at the same port */
    char port[16];
    test_loop *loop;
} stage;

static rig *start(const char *host, const char *port)
{
    const char *const arguments[] = {"--bind", host, "--port", port, "--repl-diskless-sync-delay",
                                     "0",      NULL};
    return rig_new(arguments);
}

static stage begin(void)
{
    stage s = {.loop = test_loop_new()};
    snprintf(s.port, sizeof(s.port), "%d", free_port());
    s.one = start(hosts[0], s.port);
    s.two = start(hosts[1], s.port);
    return s;
}

static void end(stage *s)
{
    test_loop_free(s->loop);
    rig_free(s->one);
    rig_free(s->two);
}

static void follow(rig *replica, const char *host, const char *port)
{
    rig_must(replica, "REPLICAOF %s %s", host, port);
    while (!strstr(rig_text(replica, "INFO replication"), "master_link_status:up")) continue;
}

static bool was_told(void *arg)
{
    return client_link_count(arg) > 0;
}

/* ---- Cases ---------------------------------------------------------------------------- */

/* The connections stay, to what has become a replica; the address leads to the new primary. */
static void a_planned_failover_behind_one_address_keeps_the_lock(void **state)
{
    stage s = begin();
    peer *p = peer_new(redis_server_socket(s.one->server));
    store_address address = {
        .ops = &pawl_store_entry, .scheme = "redis+unix", .path = peer_socket(p)};
    client *c = client_up(s.loop, &address, "a");
    const char *token = fresh_token();
    (void)state;
    follow(s.two, hosts[0], s.port);
    uint64_t fence = expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED)->reply.fence;
    rig_must(s.one, "SET mark 1"); /* WAIT is about what this connection wrote, and all before */
    assert_int_equal(rig_int(s.one, "WAIT 1 10000"), 1);
    rig_must(s.two, "REPLICAOF NO ONE");
    rig_must(s.one, "REPLICAOF %s %s", hosts[1], s.port);
    peer_lead_to(p, redis_server_socket(s.two->server));

    const seen_reply *a = expect(c, ask_renew("x", token, LONG_MS), PAWL_FAILED);
    assert_int_equal(a->reply.err, PAWL_ERR_READONLY);
    client_await_link(c, true); /* anew, without further ado */
    assert_int_equal(client_link_count(c), 3);
    says(client_link(c, 1)->text, "connect to the primary");
    a = expect(c, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);
    assert_true(a->reply.fence == fence);
    client_close(c);
    peer_free(p);
    end(&s);
}

/* A replica that has lost its primary refuses reads, too. */
static void masterdown_is_left_as_well(void **state)
{
    stage s = begin();
    peer *p = peer_new(redis_server_socket(s.one->server));
    store_address address = {
        .ops = &pawl_store_entry, .scheme = "redis+unix", .path = peer_socket(p)};
    add_option(&address, "guard", "off"); /* this is about the way to the primary */
    client *c = client_up(s.loop, &address, "a");
    (void)state;
    rig_must(s.one, "CONFIG SET replica-serve-stale-data no");
    rig_must(s.one, "REPLICAOF 127.0.0.1 1");
    peer_lead_to(p, redis_server_socket(s.two->server));
    const seen_reply *a = expect(c, ask_inspect("x", NULL), PAWL_FAILED);
    says(a->text, "lost its primary");
    client_await_link(c, true);
    assert_int_equal(client_link_count(c), 3);
    expect(c, ask_acquire("x", fresh_token(), LONG_MS), PAWL_GRANTED);
    client_close(c);
    peer_free(p);
    end(&s);
}

/* Whichever of the two addresses comes first. */
static void of_two_addresses_the_primary_is_taken(void **state)
{
    stage s = begin();
    store_address address = {.ops = &pawl_store_entry,
                             .scheme = "redis",
                             .path = "",
                             .host = TWO_ADDRESSES,
                             .port = atoi(s.port)};
    (void)state;
    add_option(&address, "guard", "off"); /* this is about the way to the primary */
    for (int i = 0; i < 2; i++) {
        rig *primary = i ? s.two : s.one, *replica = i ? s.one : s.two;
        rig_must(primary, "REPLICAOF NO ONE");
        follow(replica, hosts[i], s.port);
        rig_must(primary, "CONFIG RESETSTAT");
        client *c = client_up(s.loop, &address, "a");
        const char *token = fresh_token();
        expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
        assert_int_equal(rig_int(primary, "EXISTS pawl:x"), 1);
        expect(c, ask_release("x", token), PAWL_RELEASED);
        assert_int_equal(client_link_count(c), 1);
        client_close(c);
    }
    end(&s);
}

/* Another server listens at the first one, with another password. */
static void of_two_addresses_the_one_that_lets_us_in_is_taken(void **state)
{
    stage s = begin();
    store_address address = {.ops = &pawl_store_entry,
                             .scheme = "redis",
                             .path = "",
                             .host = TWO_ADDRESSES,
                             .port = atoi(s.port)};
    (void)state;
    rig_must(s.one, "ACL SETUSER default resetpass >another");
    client *c = client_up(s.loop, &address, "a");
    const char *token = fresh_token();
    expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    assert_int_equal(rig_int(s.two, "EXISTS pawl:x"), 1);
    expect(c, ask_release("x", token), PAWL_RELEASED);
    client_close(c);
    end(&s);
}

/* What is written to it is gone when it follows its primary again. */
static void a_replica_that_accepts_writes_is_no_primary(void **state)
{
    stage s = begin();
    store_address address = {.ops = &pawl_store_entry,
                             .scheme = "redis+unix",
                             .path = redis_server_socket(s.one->server)};
    (void)state;
    rig_must(s.one, "CONFIG SET replica-read-only no");
    follow(s.one, hosts[1], s.port);
    client *c = client_open(s.loop, &address, "a");
    test_loop_until(s.loop, was_told, c, "that the link is down");
    says(client_link(c, 0)->text, "is a replica");
    assert_int_equal(client_link(c, 0)->err, PAWL_ERR_READONLY);
    client_close(c);
    end(&s);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_planned_failover_behind_one_address_keeps_the_lock),
        cmocka_unit_test(masterdown_is_left_as_well),
        cmocka_unit_test(of_two_addresses_the_primary_is_taken),
        cmocka_unit_test(of_two_addresses_the_one_that_lets_us_in_is_taken),
        cmocka_unit_test(a_replica_that_accepts_writes_is_no_primary),
    };
    return rig_run("redis, failing over", cases, NULL, NULL);
}
