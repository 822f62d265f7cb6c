/* SPDX-License-Identifier: MIT */
/*
 * Every allocation of the store fails once, and then all from it on: each
 * request is answered once, no failure passes for a grant, nothing leaks (ASan
 * sees that), and the store works when there is memory again.
 */
#define _GNU_SOURCE
#define FAILING_ITSELF
#include "failing.h"

#include "rig.h"

#include "../support/check.h"

#include <stdarg.h>

#define LONG_MS  60000
#define FAILURES 2000 /* more than the scenario allocates */
#define REQUESTS 8

extern const pawl_store_ops pawl_store_entry;

/* ---- Allocators that fail ------------------------------------------------------------ */

static unsigned fail_at, counted;
static bool fail_for_ever;

void failing_arm(unsigned n, bool for_ever)
{
    fail_at = n;
    fail_for_ever = for_ever;
    counted = 0;
}

unsigned failing_count(void)
{
    return counted;
}

static bool fails(void)
{
    counted++;
    return fail_at && (counted == fail_at || (fail_for_ever && counted > fail_at));
}

void *failing_malloc(size_t size)
{
    return fails() ? NULL : malloc(size);
}

void *failing_calloc(size_t count, size_t size)
{
    return fails() ? NULL : calloc(count, size);
}

void *failing_realloc(void *block, size_t size)
{
    return fails() ? NULL : realloc(block, size);
}

char *failing_strdup(const char *text)
{
    return fails() ? NULL : strdup(text);
}

int failing_asprintf(char **ret_text, const char *format, ...)
{
    va_list args;
    if (fails()) return -1;
    va_start(args, format);
    int n = vasprintf(ret_text, format, args);
    va_end(args);
    return n;
}

/* ---- The scenario ----------------------------------------------------------------------- */

typedef struct stage {
    rig *rig;
    world *world;
    store_address address;
} stage;

typedef struct scene {
    client *client;
    size_t links;
} scene;

static bool link_spoke(void *arg)
{
    const scene *s = arg;
    return client_link_count(s->client) > s->links;
}

/* Everything once, over a link that comes up or does not. */
static void play(client *c, const char *token)
{
    const pawl_request requests[REQUESTS] = {ask_acquire("x", token, LONG_MS),
                                             ask_queue("x", fresh_token(), LONG_MS),
                                             ask_renew("x", token, LONG_MS),
                                             ask_inspect("x", token),
                                             ask_list(""),
                                             ask_doctor(),
                                             ask_break("y", 1),
                                             ask_release("x", token)};
    for (int i = 0; i < REQUESTS; i++) (void)client_submit(c, &requests[i]);
    client_flush(c);
    client_await_all(c);
}

static void is_honest(client *c)
{
    for (uint64_t id = 1; id <= REQUESTS; id++) {
        const pawl_reply *reply = &client_answer(c, id)->reply;
        if (reply->outcome != PAWL_FAILED && reply->outcome != PAWL_UNKNOWN) continue;
        assert_true(reply->err < 0);
    }
}

/* False: the store could not even be opened. */
static bool play_with_failure(stage *s, unsigned n, bool for_ever)
{
    char message[PAWL_MESSAGE_MAX];
    failing_arm(n, for_ever);
    int err = client_open_error(s->world, &s->address, message);
    if (err) {
        assert_int_equal(err, PAWL_ERR_NO_MEMORY);
        assert_true(message[0]);
        failing_arm(0, false);
        return false;
    }
    failing_arm(n, for_ever);
    scene watched = {.client = client_open(s->world, &s->address, "a")};
    world_until(s->world, link_spoke, &watched, "the first word of the link");
    const char *token = fresh_token();
    play(watched.client, token);
    is_honest(watched.client);
    failing_arm(0, false); /* memory is back */
    client_await_link(watched.client, true);
    rig_must(s->rig, "FLUSHALL");
    pawl_request acquire = ask_acquire("x", token, LONG_MS), release = ask_release("x", token);
    assert_int_equal(client_ask(watched.client, &acquire)->reply.outcome, PAWL_GRANTED);
    assert_int_equal(client_ask(watched.client, &release)->reply.outcome, PAWL_RELEASED);
    client_close(watched.client);
    return true;
}

static void each_allocation_fails(stage *s, bool for_ever)
{
    unsigned opened = 0, n = 1;
    for (; n < FAILURES; n++) {
        opened += play_with_failure(s, n, for_ever);
        /* Without a failure the count says how many there are. */
        failing_arm(0, false);
        client *c = client_up(s->world, &s->address, "a");
        play(c, fresh_token());
        unsigned all = failing_count();
        client_close(c);
        rig_must(s->rig, "FLUSHALL");
        if (n > all) break;
    }
    assert_true(opened > 10);
    assert_true(n < FAILURES);
}

static void each_allocation_fails_once(void **state)
{
    stage s = {.rig = *state, .world = world_new()};
    s.address = (store_address){.ops = &pawl_store_entry,
                                .scheme = "redis+unix",
                                .path = redis_server_socket(s.rig->server)};
    each_allocation_fails(&s, false);
    world_free(s.world);
}

static void memory_is_gone_for_a_while(void **state)
{
    stage s = {.rig = *state, .world = world_new()};
    s.address = (store_address){.ops = &pawl_store_entry,
                                .scheme = "redis+unix",
                                .path = redis_server_socket(s.rig->server)};
    each_allocation_fails(&s, true);
    world_free(s.world);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(each_allocation_fails_once),
        cmocka_unit_test(memory_is_gone_for_a_while),
    };
    if (!redis_server_exists()) {
        puts("SKIP: there is no redis-server on this machine");
        return 77;
    }
    check_cases_run_here();
    return cmocka_run_group_tests_name("redis without memory", cases, rig_group_begin, rig_group_end);
}
