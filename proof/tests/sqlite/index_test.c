/* SPDX-License-Identifier: MIT */
/*
 * FILE-shm, SQLite's index of the log, is removed while the database is in use, as by what cleans
 * old files away. Another process comes then, makes an index of its own, and takes the job: who
 * has the old index must not write any more.
 */
#define _GNU_SOURCE
#include "check.h"
#include "peers.h"
#include "place.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static peer_process other, third;

static void hold_and_lose_the_index(void)
{
    char index[160];
    host_open(&a, path);
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    beside(index, "-shm");
    assert_int_equal(unlink(index), 0);
}

static seen_reply other_asks(peer_process *p, const char *name, int token)
{
    return peer_call(p, "acquire", name, host_token(token), TTL, PAWL_ASK_QUEUE);
}

static void another_process_takes_the_job(void)
{
    peer_start(&other, path, NULL);
    assert_int_equal(other_asks(&other, "job", 2).outcome, PAWL_GRANTED);
}

static void expect_index_missed(host *h, seen_reply r)
{
    assert_int_equal(r.outcome, PAWL_FAILED);
    assert_int_equal(r.err, PAWL_ERR_UNAVAILABLE);
    while (h->downs == 0) host_run_ms(h, 1);
    assert_non_null(strstr(h->down_message, "-shm was removed"));
}

static void wait_until_up_again(host *h)
{
    while (h->ups < 2) host_run_ms(h, 1);
}

static void test_before_a_grant(void **state)
{
    (void)state;
    hold_and_lose_the_index();
    another_process_takes_the_job();
    expect_index_missed(&a, acquire(&a, "job", 1));
    wait_until_up_again(&a);
    assert_int_equal(acquire(&a, "job", 1).outcome, PAWL_QUEUED);
    seen_reply renewed = host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0);
    assert_int_equal(renewed.outcome, PAWL_CONFIRMED);
    assert_int_equal(other_asks(&other, "n", 3).outcome, PAWL_QUEUED);
    peer_stop(&other);
    host_close(&a);
}

/* What a release writes would lie over what others have written. */
static void test_before_a_release(void **state)
{
    (void)state;
    hold_and_lose_the_index();
    another_process_takes_the_job();
    expect_index_missed(&a, release(&a, "n", 1));
    peer_start(&third, path, NULL);
    assert_int_equal(other_asks(&third, "job", 4).outcome, PAWL_QUEUED);
    wait_until_up_again(&a);
    assert_int_equal(release(&a, "n", 1).outcome, PAWL_RELEASED);
    peer_stop(&other);
    peer_stop(&third);
    host_close(&a);
}

/* By the old index the job is free. */
static void test_before_a_look(void **state)
{
    (void)state;
    hold_and_lose_the_index();
    another_process_takes_the_job();
    expect_index_missed(&a, host_call(&a, PAWL_VERB_INSPECT, "job", NULL, 0, 0));
    wait_until_up_again(&a);
    assert_true(inspect(&a, "job", NULL).held);
    peer_stop(&other);
    host_close(&a);
}

/* All connections of a process have one index: who opens the file anew has the old one, too, as
 * long as another has not found out. */
static void test_under_two_connections(void **state)
{
    (void)state;
    host_open(&b, path);
    hold_and_lose_the_index();
    another_process_takes_the_job();
    expect_index_missed(&a, acquire(&a, "job", 1));
    host_run_ms(&a, 300);
    assert_int_equal(a.ups, 1);
    expect_index_missed(&b, acquire(&b, "job", 5));
    wait_until_up_again(&a);
    wait_until_up_again(&b);
    assert_int_equal(acquire(&a, "job", 1).outcome, PAWL_QUEUED);
    peer_stop(&other);
    host_close(&a);
    host_close(&b);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        TEST(test_before_a_grant),
        TEST(test_before_a_release),
        TEST(test_before_a_look),
        TEST(test_under_two_connections),
    };
    if (argc != 2) {
        fprintf(stderr, "usage: index_test PEER\n");
        return 64;
    }
    peer_program = argv[1];
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("sqlite index", tests, NULL, NULL);
}
