/* SPDX-License-Identifier: MIT */
/* The live file is removed, replaced, or cannot be opened: what still proves that somebody is dead.
 */
#define _GNU_SOURCE
#include "place.h"

#include <stdio.h>
#include <stdlib.h>

/* The commands find the live file in $L. */
static void shell(const char *commands)
{
    char live[160];
    beside(live, "-live");
    assert_int_equal(setenv("L", live, 1), 0);
    assert_int_equal(system(commands), 0);
}

/* "a" has a byte in a file that is gone, "b" one in the file that the database names. */
static void open_both(void)
{
    host_open(&a, path);
    shell("rm $L");
    host_open(&b, path);
}

static void close_both(void)
{
    host_close(&a);
    host_close(&b);
}

/* No process can open the file that the database names. */
static void hide_live_file(void)
{
    shell("mv $L $L.away && mkdir $L");
}

/* ---- Tests --------------------------------------------------------------------- */

/* A byte that is free in the old file says nothing about one in the new file (law 1). */
static void test_old_file_proves_no_death(void **state)
{
    (void)state;
    open_both();
    assert_int_equal(acquire(&b, "n", 1).outcome, PAWL_GRANTED);
    hide_live_file();
    assert_int_equal(acquire(&a, "n", 2).outcome, PAWL_QUEUED);
    assert_int_equal(release(&b, "n", 1).outcome, PAWL_RELEASED);
    close_both();
}

/* Nor may others look in the new file for a byte that is locked in the old one. */
static void test_byte_of_old_file_ties_no_lease(void **state)
{
    (void)state;
    open_both();
    assert_int_equal(acquire(&b, "n", 1).outcome, PAWL_GRANTED);
    hide_live_file();
    assert_int_equal(acquire(&a, "m", 2).outcome, PAWL_GRANTED);
    assert_int_equal(acquire(&b, "m", 3).outcome, PAWL_QUEUED);
    close_both();
}

/* A file that could not be opened is tried again: then deaths are seen as before. */
static void test_file_that_is_back_is_used(void **state)
{
    (void)state;
    open_both();
    hide_live_file();
    assert_int_equal(acquire(&a, "m", 1).outcome, PAWL_GRANTED);
    shell("rmdir $L && mv $L.away $L");
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_GRANTED);
    assert_int_equal(acquire(&a, "n", 3).outcome, PAWL_QUEUED);
    host_close(&b);
    assert_int_equal(acquire(&a, "n", 3).outcome, PAWL_GRANTED);
    host_close(&a);
}

/* A client that only looks has not followed the database to the new file yet. */
static void test_looking_believes_no_old_file(void **state)
{
    (void)state;
    open_both();
    assert_int_equal(acquire(&b, "n", 1).outcome, PAWL_GRANTED);
    assert_true(inspect(&a, "n", NULL).held);
    close_both();
}

/* A lease that no process is tied to is not tied by its renewal. */
static void test_renewal_ties_no_detached_lease(void **state)
{
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    host_call(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), TTL, PAWL_ASK_DETACHED);
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_CONFIRMED);
    host_close(&a);
    assert_int_equal(host_call(&b, PAWL_VERB_ACQUIRE, "n", host_token(2), TTL, 0).outcome,
                     PAWL_BUSY);
    host_close(&b);
}

/* One that has lost its tie is tied again by its own client, and by nobody else. */
static void test_renewal_ties_its_own_lease_again(void **state)
{
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "n", 1);
    acquire(&a, "m", 2);
    sql("UPDATE lock SET live = -1");
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_CONFIRMED);
    assert_int_equal(host_call(&b, PAWL_VERB_RENEW, "m", host_token(2), TTL, 0).outcome,
                     PAWL_CONFIRMED);
    assert_int_equal(
        sql_int("SELECT count(*) FROM lock WHERE name = CAST('n' AS BLOB) AND live > 0"), 1);
    assert_int_equal(
        sql_int("SELECT count(*) FROM lock WHERE name = CAST('m' AS BLOB) AND live < 0"), 1);
    host_close(&a);
    host_close(&b);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_old_file_proves_no_death),       TEST(test_byte_of_old_file_ties_no_lease),
        TEST(test_file_that_is_back_is_used),      TEST(test_looking_believes_no_old_file),
        TEST(test_renewal_ties_no_detached_lease), TEST(test_renewal_ties_its_own_lease_again),
    };
    return cmocka_run_group_tests_name("sqlite live file", tests, NULL, NULL);
}
