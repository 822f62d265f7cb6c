/* SPDX-License-Identifier: MIT */
/*
 * Goal: option structs of older and newer programs are read no further than they
 * go. Method: heap blocks of exactly the caller's size, so that ASan sees a byte
 * too many.
 */
#include "runtime/options.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

static void *block(size_t size)
{
    void *b = malloc(size);
    assert_non_null(b);
    memset(b, 0xa5, size);
    return b;
}

static void test_defaults(void **state)
{
    (void)state;
    pawl_open_opts open;
    pawl_lock_opts lock;
    pawl_open_opts_init(&open);
    pawl_lock_opts_init(&lock);
    assert_int_equal(open.size, sizeof open);
    assert_null(open.owner);
    assert_int_equal(open.store_timeout_ms, 5000);
    assert_int_equal(open.close_timeout_ms, 1000);
    assert_int_equal(open.callbacks, PAWL_CALLBACKS_THREAD);
    assert_null(open.log);
    assert_int_equal(lock.size, sizeof lock);
    assert_int_equal(lock.ttl_ms, 30000);
    assert_int_equal(lock.retain_ms, 0);
    assert_int_equal(lock.flags, 0);
    assert_null(lock.on_event);
}

static void test_null_means_defaults(void **state)
{
    (void)state;
    pawl_open_opts open, wanted_open;
    pawl_lock_opts lock, wanted_lock;
    pawl_open_opts_init(&wanted_open);
    pawl_lock_opts_init(&wanted_lock);
    assert_int_equal(pawl__open_opts_take(NULL, &open), 0);
    assert_int_equal(pawl__lock_opts_take(NULL, &lock), 0);
    assert_int_equal(open.store_timeout_ms, wanted_open.store_timeout_ms);
    assert_int_equal(lock.ttl_ms, wanted_lock.ttl_ms);
}

static void test_exact_block(void **state)
{
    (void)state;
    pawl_lock_opts taken;
    pawl_lock_opts *given = block(sizeof *given);
    pawl_lock_opts_init(given);
    given->ttl_ms = 12345;
    assert_int_equal(pawl__lock_opts_take(given, &taken), 0);
    assert_int_equal(taken.ttl_ms, 12345);
    free(given);
}

/* A program that was compiled with a header that has one more field. */
static void test_newer_caller(void **state)
{
    (void)state;
    enum { MORE = 16 };
    size_t size = sizeof(pawl_lock_opts) + MORE;
    pawl_lock_opts taken;
    unsigned char *given = block(size);
    pawl_lock_opts_init_sized((pawl_lock_opts *)given, size);
    for (size_t i = sizeof(pawl_lock_opts); i < size; i++) assert_int_equal(given[i], 0);
    ((pawl_lock_opts *)given)->ttl_ms = 777;
    assert_int_equal(pawl__lock_opts_take((pawl_lock_opts *)given, &taken), 0);
    assert_int_equal(taken.ttl_ms, 777);
    given[size - 1] = 1; /* it sets what we do not know */
    assert_int_equal(pawl__lock_opts_take((pawl_lock_opts *)given, &taken), PAWL_ERR_UNSUPPORTED);
    free(given);
}

/* Behind the caller's struct lies something else of the caller's. */
static void test_nothing_behind_the_struct_is_written(void **state)
{
    enum { MORE = 16, BEHIND = 512 };
    static const size_t sizes[] = {sizeof(size_t), sizeof(pawl_lock_opts) - MORE,
                                   sizeof(pawl_lock_opts), sizeof(pawl_lock_opts) + MORE};
    (void)state;
    for (size_t s = 0; s < sizeof sizes / sizeof *sizes; s++) {
        unsigned char *given = block(sizes[s] + BEHIND);
        size_t first_member;
        pawl_lock_opts_init_sized((pawl_lock_opts *)given, sizes[s]);
        memcpy(&first_member, given, sizeof first_member);
        assert_int_equal(first_member, sizes[s]);
        for (size_t i = 0; i < BEHIND; i++) assert_int_equal(given[sizes[s] + i], 0xa5);
        free(given);
    }
    unsigned char *given = block(sizeof(size_t));
    pawl_lock_opts_init_sized((pawl_lock_opts *)given,
                              sizeof(size_t) - 1); /* no room for its size */
    for (size_t i = 0; i < sizeof(size_t); i++) assert_int_equal(given[i], 0xa5);
    free(given);
    pawl_lock_opts_init_sized(NULL, sizeof(pawl_lock_opts));
    pawl_open_opts_init_sized(NULL, sizeof(pawl_open_opts));
}

/* Whatever byte of what we do not know is set, up to the largest struct. */
static void test_each_unknown_byte_counts(void **state)
{
    enum { LARGEST = 4096 };
    (void)state;
    pawl_lock_opts taken;
    unsigned char *given = block(LARGEST + 1);
    pawl_lock_opts_init_sized((pawl_lock_opts *)given, LARGEST);
    assert_int_equal(pawl__lock_opts_take((pawl_lock_opts *)given, &taken), 0);
    for (size_t i = sizeof(pawl_lock_opts); i < LARGEST; i++) {
        given[i] = 1;
        assert_int_equal(pawl__lock_opts_take((pawl_lock_opts *)given, &taken),
                         PAWL_ERR_UNSUPPORTED);
        given[i] = 0;
    }
    pawl_lock_opts_init_sized((pawl_lock_opts *)given, LARGEST + 1);
    assert_int_equal(pawl__lock_opts_take((pawl_lock_opts *)given, &taken), PAWL_ERR_ARGUMENT);
    free(given);
}

static void test_too_small_is_refused(void **state)
{
    (void)state;
    pawl_open_opts taken;
    size_t size = sizeof(pawl_open_opts) - 8;
    pawl_open_opts *given = block(size);
    size_t first_member;
    pawl_open_opts_init_sized(given, size);
    memcpy(&first_member, given, sizeof first_member);
    assert_int_equal(first_member, size);
    assert_int_equal(pawl__open_opts_take(given, &taken), PAWL_ERR_ARGUMENT);
    free(given);
}

static void test_forgotten_init_is_refused(void **state)
{
    (void)state;
    pawl_lock_opts taken;
    pawl_lock_opts *given = block(sizeof *given); /* size is garbage */
    assert_int_equal(pawl__lock_opts_take(given, &taken), PAWL_ERR_ARGUMENT);
    memset(given, 0, sizeof *given);
    assert_int_equal(pawl__lock_opts_take(given, &taken), PAWL_ERR_ARGUMENT);
    free(given);
}

static int lock_with(int64_t ttl_ms, int64_t retain_ms, unsigned flags)
{
    pawl_lock_opts opts, taken;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = ttl_ms;
    opts.retain_ms = retain_ms;
    opts.flags = flags;
    return pawl__lock_opts_take(&opts, &taken);
}

static void test_ranges_of_a_lock(void **state)
{
    (void)state;
    assert_int_equal(lock_with(10, 0, 0), 0);
    assert_int_equal(lock_with(86400000, 0, PAWL_LOCK_DETACHED), 0);
    assert_int_equal(lock_with(1000, 0, PAWL_LOCK_REENTRANT), 0);
    assert_int_equal(lock_with(9, 0, 0), PAWL_ERR_TTL);
    assert_int_equal(lock_with(0, 0, 0), PAWL_ERR_TTL);
    assert_int_equal(lock_with(-1, 0, 0), PAWL_ERR_TTL);
    assert_int_equal(lock_with(86400001, 0, 0), PAWL_ERR_TTL);
    assert_int_equal(lock_with(INT64_MAX, 0, 0), PAWL_ERR_TTL);
    assert_int_equal(lock_with(1000, -1, 0), PAWL_ERR_ARGUMENT);
    assert_int_equal(lock_with(1000, 86400000, 0), 0);
    assert_int_equal(lock_with(1000, 86400001, 0), PAWL_ERR_ARGUMENT);
    assert_int_equal(lock_with(1000, 0, PAWL_LOCK_DETACHED | PAWL_LOCK_REENTRANT), 0);
    assert_int_equal(lock_with(1000, 0, 4), PAWL_ERR_UNSUPPORTED);
}

static int lock_by(const char *owner)
{
    pawl_lock_opts opts, taken;
    pawl_lock_opts_init(&opts);
    opts.owner = owner;
    return pawl__lock_opts_take(&opts, &taken);
}

static void test_labels_of_a_lock(void **state)
{
    (void)state;
    char label[PAWL_OWNER_MAX + 2];
    memset(label, 'x', sizeof label);
    label[PAWL_OWNER_MAX + 1] = '\0';
    assert_int_equal(lock_by(label), PAWL_ERR_OWNER);
    label[PAWL_OWNER_MAX] = '\0';
    assert_int_equal(lock_by(label), 0);
    assert_int_equal(lock_by("a\nb"), PAWL_ERR_OWNER);
    assert_int_equal(lock_by("\x1f"), PAWL_ERR_OWNER);
    assert_int_equal(lock_by("\x7f"), PAWL_ERR_OWNER);
    assert_int_equal(lock_by("joe on\x80\xff"), 0);
    assert_int_equal(lock_by(""), 0);
    assert_int_equal(lock_by(NULL), 0);
}

static int open_with(const char *owner, int64_t connect_ms, int64_t close_ms, int callbacks)
{
    pawl_open_opts opts, taken;
    pawl_open_opts_init(&opts);
    opts.owner = owner;
    opts.store_timeout_ms = connect_ms;
    opts.close_timeout_ms = close_ms;
    opts.callbacks = (pawl_callbacks)callbacks;
    return pawl__open_opts_take(&opts, &taken);
}

static void test_ranges_of_a_client(void **state)
{
    (void)state;
    char label[PAWL_OWNER_MAX + 2];
    memset(label, 'x', sizeof label);
    label[PAWL_OWNER_MAX + 1] = '\0';
    assert_int_equal(open_with(label, 1, 0, 1), PAWL_ERR_OWNER);
    label[PAWL_OWNER_MAX] = '\0';
    assert_int_equal(open_with(label, 1, 0, 1), 0);
    assert_int_equal(open_with("a\nb", 1, 0, 0), PAWL_ERR_OWNER);
    assert_int_equal(open_with(NULL, 0, 0, 0), PAWL_ERR_ARGUMENT);
    assert_int_equal(open_with(NULL, PAWL_WAIT_FOREVER, 0, 0), 0);
    assert_int_equal(open_with(NULL, -2, 0, 0), PAWL_ERR_ARGUMENT);
    assert_int_equal(open_with(NULL, 1, -1, 0), PAWL_ERR_ARGUMENT);
    assert_int_equal(open_with(NULL, INT64_MAX, 0, 0), PAWL_ERR_ARGUMENT);
    assert_int_equal(open_with(NULL, 86400000, 86400000, PAWL_CALLBACKS_WAIT), 0);
    assert_int_equal(open_with(NULL, 86400001, 0, 0), PAWL_ERR_ARGUMENT);
    assert_int_equal(open_with(NULL, 1, 86400001, 0), PAWL_ERR_ARGUMENT);
    assert_int_equal(open_with(NULL, 1, 0, PAWL_CALLBACKS_WAIT + 1), PAWL_ERR_UNSUPPORTED);
    assert_int_equal(open_with(NULL, 1, 0, -1), PAWL_ERR_UNSUPPORTED);
    assert_int_equal(open_with(NULL, 1, 0, 7), PAWL_ERR_UNSUPPORTED);
}

static int lock_of(pawl_mode mode, uint32_t units, uint32_t capacity, uint32_t unused)
{
    pawl_lock_opts opts, taken;
    pawl_lock_opts_init(&opts);
    opts.mode = mode;
    opts.units = units;
    opts.capacity = capacity;
    opts.unused = unused;
    return pawl__lock_opts_take(&opts, &taken);
}

static void test_units_belong_to_permits(void **state)
{
    (void)state;
    assert_int_equal(lock_of(PAWL_MODE_EXCLUSIVE, 1, 0, 0), 0);
    assert_int_equal(lock_of(PAWL_MODE_EXCLUSIVE, 0, 0, 0), 0);
    assert_int_equal(lock_of(PAWL_MODE_EXCLUSIVE, 2, 0, 0), PAWL_ERR_UNITS);
    assert_int_equal(lock_of(PAWL_MODE_EXCLUSIVE, 1, 1, 0), PAWL_ERR_UNITS);
    assert_int_equal(lock_of(PAWL_MODE_EXCLUSIVE, 1, 0, 1), PAWL_ERR_UNSUPPORTED);
    assert_int_equal(lock_of(PAWL_MODE_PERMIT, 1, 1, 0), 0);
    assert_int_equal(lock_of(PAWL_MODE_PERMIT, 2, 1, 0), PAWL_ERR_UNITS);
    assert_int_equal(lock_of(PAWL_MODE_PERMIT, 1, 0, 0), PAWL_ERR_UNITS);
    assert_int_equal(lock_of((pawl_mode)(PAWL_MODE_PERMIT + 1), 1, 1, 0), PAWL_ERR_UNSUPPORTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_defaults),
        cmocka_unit_test(test_null_means_defaults),
        cmocka_unit_test(test_exact_block),
        cmocka_unit_test(test_newer_caller),
        cmocka_unit_test(test_nothing_behind_the_struct_is_written),
        cmocka_unit_test(test_each_unknown_byte_counts),
        cmocka_unit_test(test_too_small_is_refused),
        cmocka_unit_test(test_forgotten_init_is_refused),
        cmocka_unit_test(test_ranges_of_a_lock),
        cmocka_unit_test(test_labels_of_a_lock),
        cmocka_unit_test(test_ranges_of_a_client),
        cmocka_unit_test(test_units_belong_to_permits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
