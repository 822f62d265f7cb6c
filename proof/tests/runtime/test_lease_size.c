/* SPDX-License-Identifier: MIT */
/*
 * Goal: one client can hold 100 000 leases: a handle with its lease costs at most 512 bytes. And
 * readers of one client share a lease: a further one costs at most 100 bytes beside its handle.
 * And there can be thousands of clients: one that is connected and waits has at most 32 KiB.
 * Method: what malloc has given out, before and after. On Redis, because the memory store would
 * count as well.
 */
#define _GNU_SOURCE
#include "stage.h"

#include <malloc.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

enum { LEASES = 20000, BYTES_MAX = 512, READERS = 2000, READER_BYTES_MAX = 100 };
enum { CLIENTS = 20, CLIENT_BYTES_MAX = 32768 };

/* Long: a renewal under way has memory, too. */
#define LEASE_MS 3600000

static size_t bytes_in_use(void)
{
    struct mallinfo2 info = mallinfo2();
    return info.uordblks + info.hblkhd;
}

static void test_bytes_of_a_held_lease(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    pawl_lock **locks = calloc(LEASES, sizeof(pawl_lock *));
    CHECK(locks);
    size_t before = bytes_in_use();
    for (int i = 0; i < LEASES; i++) {
        char name[24];
        snprintf(name, sizeof name, "lease-%d", i);
        locks[i] = lock_new(client, name, LEASE_MS);
        CHECK_ERR(pawl_lock_acquire(locks[i], PATIENCE_MS), PAWL_OK);
    }
    size_t each = (bytes_in_use() - before) / LEASES;
    printf("%zu bytes for each of %d leases\n", each, LEASES);
    assert_true(each > 0);
    assert_true(each <= BYTES_MAX);
    for (int i = 0; i < LEASES; i++) pawl_lock_free(locks[i]);
    free(locks);
    pawl_client_close(client);
}

static pawl_lock *new_reader(pawl_client *client)
{
    pawl_lock_opts opts;
    pawl_lock *lock;
    pawl_lock_opts_init(&opts);
    opts.mode = PAWL_MODE_SHARED;
    opts.ttl_ms = LEASE_MS;
    CHECK_ERR(pawl_lock_new(client, "readers", 7, &opts, &lock), PAWL_OK);
    return lock;
}

/* The handles are made before, and the first reader has the lease. */
static void test_bytes_of_a_further_reader(void **state)
{
    (void)state;
    pawl_client *client = stage_client(NULL);
    pawl_lock **locks = calloc(READERS + 1, sizeof(pawl_lock *));
    CHECK(locks);
    size_t before_handles = bytes_in_use();
    for (int i = 0; i <= READERS; i++) locks[i] = new_reader(client);
    size_t handles = bytes_in_use() - before_handles;
    CHECK_ERR(pawl_lock_acquire(locks[0], PATIENCE_MS), PAWL_OK);
    size_t before = bytes_in_use();
    for (int i = 1; i <= READERS; i++) CHECK_ERR(pawl_lock_acquire(locks[i], PATIENCE_MS), PAWL_OK);
    size_t bytes = bytes_in_use() - before;
    printf(
        "%zu bytes for %d further readers by one lease: %.1f for each, beside %zu of its handle\n",
        bytes, READERS, (double)bytes / READERS, handles / (READERS + 1));
    assert_true(pawl_lock_fence(locks[READERS]) == pawl_lock_fence(locks[0])); /* one lease */
    assert_true(bytes > 0);
    assert_true(bytes <= (size_t)READERS * READER_BYTES_MAX);
    for (int i = READERS; i >= 0; i--) pawl_lock_free(locks[i]);
    free(locks);
    pawl_client_close(client);
}

static void on_granted(pawl_lock *lock, int err, void *userdata)
{
    (void)lock, (void)err, (void)userdata; /* each is freed before its turn */
}

static bool count_waiters(const pawl_info *info, void *ret_count)
{
    *(int64_t *)ret_count = info->waiter_count;
    return true;
}

static void await_waiters(pawl_client *client, int64_t count)
{
    int64_t seen = 0;
    while (seen < count)
        CHECK_ERR(pawl_inspect(client, "crowd", 5, PATIENCE_MS, count_waiters, &seen), PAWL_OK);
}

/* The threads' stacks are not counted. */
static void test_bytes_of_a_client_that_waits(void **state)
{
    (void)state;
    pawl_client *clients[CLIENTS], *holder = stage_client(NULL);
    pawl_lock *locks[CLIENTS], *held = lock_new(holder, "crowd", LEASE_MS);
    CHECK_ERR(pawl_lock_acquire(held, PATIENCE_MS), PAWL_OK);
    int64_t nobody = -1;
    CHECK_ERR(pawl_inspect(holder, "crowd", 5, PATIENCE_MS, count_waiters, &nobody), PAWL_OK);
    size_t before = bytes_in_use();
    for (int i = 0; i < CLIENTS; i++) {
        clients[i] = stage_client(NULL);
        locks[i] = lock_new(clients[i], "crowd", LEASE_MS);
        CHECK_ERR(pawl_lock_acquire_start(locks[i], PAWL_WAIT_FOREVER, on_granted, NULL), PAWL_OK);
    }
    await_waiters(holder, CLIENTS);
    size_t each = (bytes_in_use() - before) / CLIENTS;
    printf("%zu bytes for each of %d clients that wait\n", each, CLIENTS);
    assert_true(each > 0);
    assert_true(each <= CLIENT_BYTES_MAX);
    for (int i = CLIENTS - 1; i >= 0; i--) {
        pawl_lock_free(locks[i]);
        pawl_client_close(clients[i]);
    }
    pawl_lock_free(held);
    pawl_client_close(holder);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_of_a_held_lease),
        cmocka_unit_test(test_bytes_of_a_further_reader),
        cmocka_unit_test(test_bytes_of_a_client_that_waits),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
