/* SPDX-License-Identifier: MIT */
/*
 * Goal: one client can hold 100 000 leases: a handle with its lease costs at most 512 bytes.
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

enum { LEASES = 20000, BYTES_MAX = 512 };

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
        locks[i] = lock_new(client, name, 60000);
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

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_bytes_of_a_held_lease),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    stage_end();
    return failed;
}
