/* SPDX-License-Identifier: MIT */
/* Goal: no token twice; a child of fork draws from fresh randomness (laws 5 and 9). */
#include "pawl/types.h"
#include "runtime/process.h"
#include "runtime/token.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

static int compare(const void *a, const void *b)
{
    return memcmp(a, b, PAWL_TOKEN_LEN);
}

static void test_no_two_are_equal(void **state)
{
    (void)state;
    enum { COUNT = 20000 };
    static char tokens[COUNT][PAWL_TOKEN_LEN + 1];
    static pawl__pool pool;
    pawl__process_start();
    for (int i = 0; i < COUNT; i++) {
        assert_true(pawl__token_draw(&pool, tokens[i]));
        assert_true(pawl__token_ok(tokens[i]));
    }
    /* also without the counter, which alone would make them differ */
    qsort(tokens, COUNT, sizeof tokens[0], compare);
    for (int i = 1; i < COUNT; i++) assert_int_not_equal(memcmp(tokens[i - 1], tokens[i], 32), 0);
}

/* After 2^32 tokens the counter begins anew; the random part alone makes them differ then. */
static void test_the_counter_comes_round(void **state)
{
    (void)state;
    static pawl__pool pool;
    static const char *const tails[] = {"fffffffe", "ffffffff", "00000000", "00000001"};
    char token[PAWL_TOKEN_LEN + 1];
    pawl__process_start();
    pool.counter = UINT32_MAX - 1;
    for (size_t i = 0; i < sizeof tails / sizeof tails[0]; i++) {
        assert_true(pawl__token_draw(&pool, token) && pawl__token_ok(token));
        assert_string_equal(token + 32, tails[i]);
    }
}

static void test_a_spent_secret_is_wiped(void **state)
{
    (void)state;
    static pawl__pool pool;
    char token[PAWL_TOKEN_LEN + 1];
    pawl__process_start();
    assert_true(pawl__token_draw(&pool, token));
    for (size_t i = 0; i < sizeof pool.bytes - pool.left; i++) assert_int_equal(pool.bytes[i], 0);
}

static void test_child_draws_other_tokens(void **state)
{
    (void)state;
    pawl__pool pool = {0};
    char mine[PAWL_TOKEN_LEN + 1], childs[PAWL_TOKEN_LEN + 1] = "", warm[PAWL_TOKEN_LEN + 1];
    int pipe_fds[2];
    pawl__process_start();
    assert_true(pawl__token_draw(&pool, warm)); /* the pool is full when it is inherited */
    assert_int_equal(pipe(pipe_fds), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool drawn = pawl__token_draw(&pool, childs);
        _exit(drawn && write(pipe_fds[1], childs, PAWL_TOKEN_LEN) == PAWL_TOKEN_LEN ? 0 : 1);
    }
    assert_true(pawl__token_draw(&pool, mine));
    assert_int_equal(read(pipe_fds[0], childs, PAWL_TOKEN_LEN), PAWL_TOKEN_LEN);
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_not_equal(memcmp(mine, childs, 32), 0);
    close(pipe_fds[0]);
    close(pipe_fds[1]);
}

static void test_marks_of_processes(void **state)
{
    (void)state;
    pawl__process_start();
    uint64_t mark = pawl__process_mark();
    assert_true(mark != 0 && pawl__process_is(mark));
    assert_true(pawl__process_mark() == mark);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        bool other = !pawl__process_is(mark);
        uint64_t own = pawl__process_mark();
        pid_t grandchild = fork();
        if (grandchild == 0)
            _exit(!pawl__process_is(mark) && !pawl__process_is(own) &&
                          pawl__process_mark() != own && pawl__process_mark() != mark
                      ? 0
                      : 1);
        int status;
        waitpid(grandchild, &status, 0);
        _exit(other && own != mark && pawl__process_is(own) && status == 0 ? 0 : 1);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_true(pawl__process_is(mark));
}

static void test_what_is_a_token(void **state)
{
    (void)state;
    assert_true(pawl__token_ok("0123456789abcdef0123456789abcdef00000001"));
    assert_false(pawl__token_ok(NULL));
    assert_false(pawl__token_ok(""));
    assert_false(pawl__token_ok("0123456789abcdef0123456789abcdef0000000"));
    assert_false(pawl__token_ok("0123456789abcdef0123456789abcdef000000011"));
    assert_false(pawl__token_ok("0123456789ABCDEF0123456789abcdef00000001"));
    assert_false(pawl__token_ok("0123456789abcdef0123456789abcdef0000000 "));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_no_two_are_equal),
        cmocka_unit_test(test_the_counter_comes_round),
        cmocka_unit_test(test_a_spent_secret_is_wiped),
        cmocka_unit_test(test_child_draws_other_tokens),
        cmocka_unit_test(test_marks_of_processes),
        cmocka_unit_test(test_what_is_a_token),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
