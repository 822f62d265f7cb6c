/* SPDX-License-Identifier: MIT */
/*
 * Those who hold together, between processes that are killed. The ttls are far longer than the
 * bounds: what is seen came from the death of processes, not from leases that ran out.
 */
#define _GNU_SOURCE
#include "peers.h"
#include "place.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define PROMPT_NS INT64_C(3000000000) /* a tenth of the ttl, hundreds of times what is measured */
#define S         PAWL_MODE_SHARED
#define U         PAWL_MODE_UPDATE
#define X         PAWL_MODE_EXCLUSIVE
#define P         PAWL_MODE_PERMIT

static peer_process p1, p2, p3, p4;

static void start_all(void)
{
    peer_start(&p1, path, NULL);
    peer_start(&p2, path, NULL);
    peer_start(&p3, path, NULL);
    peer_start(&p4, path, NULL);
}

static void stop_all(void)
{
    peer_process *all[] = {&p1, &p2, &p3, &p4};
    for (int i = 0; i < 4; i++)
        if (all[i]->pid > 0) peer_stop(all[i]);
}

static void kill_peer(peer_process *p)
{
    peer_kill(p);
    p->pid = 0;
}

static pawl_outcome ask(peer_process *p, const char *verb, int token, pawl_mode mode, int change)
{
    char line[64];
    bool is_permit = mode == P;
    snprintf(line, sizeof(line), "mode %d %d %d %d\n", (int)mode, is_permit, is_permit ? 3 : 0,
             change);
    peer_say(p, line);
    return peer_call(p, verb, "job", host_token(token), TTL, PAWL_ASK_QUEUE).outcome;
}

static pawl_outcome take(peer_process *p, int token, pawl_mode mode)
{
    return ask(p, "acquire", token, mode, 0);
}

/* Told to look, as often as it may be, it asks until it has it. */
static void expect_granted_soon(peer_process *p, const char *verb, int token, pawl_mode mode,
                                int change)
{
    int64_t begun = host_now();
    do {
        peer_push(p, PAWL_PUSH_RECHECK);
        assert_true(host_now() - begun < PROMPT_NS);
    } while (ask(p, verb, token, mode, change) != PAWL_GRANTED);
}

/* Whichever of them is the last, and in whatever order they die. */
static void test_the_last_reader_that_is_killed_lets_the_writer_in(void **state)
{
    (void)state;
    start_all();
    assert_int_equal(take(&p1, 1, S), PAWL_GRANTED);
    assert_int_equal(take(&p2, 2, S), PAWL_GRANTED);
    assert_int_equal(take(&p3, 3, S), PAWL_GRANTED);
    assert_int_equal(take(&p4, 4, X), PAWL_QUEUED);
    kill_peer(&p2);
    kill_peer(&p3);
    peer_push(&p4, PAWL_PUSH_RECHECK);
    assert_int_equal(take(&p4, 4, X), PAWL_QUEUED); /* the first one reads still */
    kill_peer(&p1);
    expect_granted_soon(&p4, "acquire", 4, X, 0);
    stop_all();
}

/* The writer watches the latest reader. When that one leaves it learns whom to watch now. */
static void test_a_writer_watches_the_reader_that_is_left(void **state)
{
    (void)state;
    start_all();
    assert_int_equal(take(&p1, 1, S), PAWL_GRANTED);
    assert_int_equal(take(&p2, 2, S), PAWL_GRANTED);
    assert_int_equal(take(&p4, 4, X), PAWL_QUEUED);
    assert_int_equal(ask(&p2, "release", 2, S, 0), PAWL_RELEASED);
    peer_push(&p4, PAWL_PUSH_RECHECK);
    assert_int_equal(take(&p4, 4, X), PAWL_QUEUED);
    kill_peer(&p1);
    expect_granted_soon(&p4, "acquire", 4, X, 0);
    stop_all();
}

static void test_any_permit_of_a_killed_holder_is_free_at_once(void **state)
{
    (void)state;
    start_all();
    assert_int_equal(take(&p1, 1, P), PAWL_GRANTED);
    assert_int_equal(take(&p2, 2, P), PAWL_GRANTED);
    assert_int_equal(take(&p3, 3, P), PAWL_GRANTED);
    assert_int_equal(take(&p4, 4, P), PAWL_QUEUED);
    kill_peer(&p1); /* neither the first to end nor the latest */
    expect_granted_soon(&p4, "acquire", 4, P, 0);
    stop_all();
}

static void test_a_killed_reader_lets_the_upgrade_through(void **state)
{
    (void)state;
    start_all();
    assert_int_equal(take(&p1, 1, S), PAWL_GRANTED);
    assert_int_equal(take(&p2, 2, U), PAWL_GRANTED);
    assert_int_equal(ask(&p2, "change", 2, X, 1), PAWL_QUEUED);
    assert_int_equal(take(&p4, 4, S), PAWL_QUEUED); /* behind the upgrade */
    kill_peer(&p1);
    expect_granted_soon(&p2, "change", 2, X, 1);
    kill_peer(&p2);
    expect_granted_soon(&p4, "acquire", 4, S, 0);
    stop_all();
}

static void test_an_upgrade_that_dies_stops_nobody(void **state)
{
    (void)state;
    start_all();
    assert_int_equal(take(&p1, 1, S), PAWL_GRANTED);
    assert_int_equal(take(&p2, 2, U), PAWL_GRANTED);
    assert_int_equal(ask(&p2, "change", 2, X, 1), PAWL_QUEUED);
    assert_int_equal(take(&p4, 4, S), PAWL_QUEUED);
    kill_peer(&p2);
    expect_granted_soon(&p4, "acquire", 4, S, 0);
    stop_all();
}

/* One transaction: whoever looks sees none of them in or all. Each hears of it. */
static void test_a_thousand_readers_come_in_with_one_release(void **state)
{
    enum { READERS = 1000 };
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    assert_int_equal(acquire(&a, "n", 0).outcome, PAWL_GRANTED);
    b.mode = S;
    for (int i = 1; i <= READERS; i++) assert_int_equal(acquire(&b, "n", i).outcome, PAWL_QUEUED);
    size_t before = b.push_count;
    release(&a, "n", 0);
    assert_int_equal(sql_int("SELECT count(*) FROM hold"), READERS);
    assert_int_equal(sql_int("SELECT count(*) FROM wait"), 0);
    assert_int_equal(sql_int("SELECT count(DISTINCT fence) FROM hold"), READERS);
    for (int64_t begun = host_now(); b.push_count < before + READERS; host_run_ms(&b, 1))
        assert_true(host_now() - begun < HOST_WAIT_MS * INT64_C(1000000));
    host_close(&a);
    host_close(&b);
}

/* Another boot: nobody of before lives, whoever held together. */
static void test_a_reboot_frees_all_of_them(void **state)
{
    (void)state;
    host_open(&a, path);
    a.mode = S;
    acquire(&a, "n", 1);
    acquire(&a, "n", 2);
    host_close(&a);
    sql("UPDATE host SET boot = '01234567-89ab-4def-8123-456789abcdef'; UPDATE hold SET live = -1");
    host_open(&b, path);
    assert_int_equal(sql_int("SELECT count(*) FROM hold"), 0);
    assert_int_equal(acquire(&b, "n", 3).outcome, PAWL_GRANTED);
    host_close(&b);
}

/* A file of before, in which they stand still: their bytes are nobody's in a new live file. */
static void test_readers_outlive_the_live_file(void **state)
{
    char live[160];
    (void)state;
    host_open(&a, path);
    a.mode = S;
    acquire(&a, "n", 1);
    beside(live, "-live");
    assert_int_equal(unlink(live), 0);
    host_open(&b, path); /* makes a new one */
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    assert_int_equal(sql_int("SELECT count(*) FROM hold WHERE live > 0"), 0);
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_CONFIRMED);
    assert_int_equal(sql_int("SELECT count(*) FROM hold WHERE live > 0"), 1); /* tied again */
    host_close(&a);
    host_close(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_the_last_reader_that_is_killed_lets_the_writer_in),
        TEST(test_a_writer_watches_the_reader_that_is_left),
        TEST(test_any_permit_of_a_killed_holder_is_free_at_once),
        TEST(test_a_killed_reader_lets_the_upgrade_through),
        TEST(test_an_upgrade_that_dies_stops_nobody),
        TEST(test_a_thousand_readers_come_in_with_one_release),
        TEST(test_a_reboot_frees_all_of_them),
        TEST(test_readers_outlive_the_live_file),
    };
    if (argc < 2) return 64;
    peer_program = argv[1];
    return cmocka_run_group_tests_name("sqlite, several hold", tests, NULL, NULL);
}
