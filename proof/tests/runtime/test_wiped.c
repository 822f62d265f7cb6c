/* SPDX-License-Identifier: MIT */
/*
 * No block of memory that is given back still holds the password: whatever gets the block next
 * may write it to a log, a core file or the network. Method: our own free and realloc look into
 * each block, from the URL to the end of the client.
 */
#define _GNU_SOURCE
#include "redis_server.h"
#include "stage.h"
#include "temp_dir.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include <dlfcn.h>
#include <fcntl.h>
#include <malloc.h>
#include <stdio.h>
#include <unistd.h>

/* Object pointers that hold functions, as dlsym's must. */
#pragma GCC diagnostic ignored "-Wpedantic"

#define PASSWORD "0penSesame"
/* Not as one string: the program's own copies do not count. */
static const char needle[2][6] = {"0penS", "esame"};

static atomic_bool watching;
static atomic_int found;

static void *real(const char *name)
{
    void *next = dlsym(RTLD_NEXT, name);
    if (!next) abort();
    return next;
}

static void look_into(const void *block)
{
    if (!block || !atomic_load(&watching)) return;
    size_t size = malloc_usable_size((void *)block);
    const char *at = block;
    const char *end = at + size;
    while ((at = memmem(at, (size_t)(end - at), needle[0], 5)) != NULL) {
        if (end - at >= 10 && memcmp(at + 5, needle[1], 5) == 0) {
            atomic_fetch_add(&found, 1);
            return;
        }
        at++;
    }
}

void free(void *block)
{
    static _Atomic(void *) next;
    void *f = atomic_load(&next);
    if (!f) atomic_store(&next, f = real("free"));
    look_into(block);
    ((void (*)(void *))f)(block);
}

void *realloc(void *block, size_t size)
{
    static _Atomic(void *) next;
    void *f = atomic_load(&next);
    if (!f) atomic_store(&next, f = real("realloc"));
    look_into(block);
    return ((void *(*)(void *, size_t))f)(block, size);
}

/* ---- Cases -------------------------------------------------------------------------- */

static void work_with(const char *url)
{
    char message[PAWL_MESSAGE_MAX] = "";
    pawl_client *client = NULL;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    atomic_store(&found, 0);
    atomic_store(&watching, true);
    int err = pawl_client_open(url, &opts, &client, message);
    if (err) FAIL_TEST("%s: %s", pawl_err_name(err), message);
    pawl_lock *lock = lock_new(client, stage_name(), 10000);
    CHECK_ERR(pawl_lock_acquire(lock, PATIENCE_MS), PAWL_OK);
    CHECK_ERR(pawl_lock_release(lock), PAWL_OK);
    pawl_lock_free(lock);
    pawl_client_close(client);
    atomic_store(&watching, false);
}

static void test_a_password_in_the_url_is_wiped(void **state)
{
    char url[700];
    (void)state;
    snprintf(url, sizeof url, "redis+unix://default:%s@%s", PASSWORD,
             redis_server_socket(stage_redis()));
    work_with(url);
    assert_int_equal(atomic_load(&found), 0);
    snprintf(url, sizeof url, "redis+unix://default:%s@%s?no-such-option=1", PASSWORD,
             redis_server_socket(stage_redis()));
    char message[PAWL_MESSAGE_MAX] = "";
    pawl_client *client = NULL;
    atomic_store(&watching, true);
    int err = pawl_client_open(url, NULL, &client, message);
    atomic_store(&watching, false);
    assert_int_equal(err, PAWL_ERR_OPTION);
    assert_int_equal(atomic_load(&found), 0);
}

static void write_password(const char *path, size_t len)
{
    char password[4096];
    memset(password, 'x', sizeof password);
    memcpy(password, PASSWORD, strlen(PASSWORD));
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    assert_int_equal(write(fd, password, len), (ssize_t)len);
    close(fd);
}

/* Long ones make the buffer of the connection grow while it holds them. */
static void test_a_password_in_a_file_is_wiped(void **state)
{
    char url[1200], path[512];
    char *dir = temp_dir_new("pawl-wiped");
    (void)state;
    snprintf(path, sizeof path, "%s/password", dir);
    snprintf(url, sizeof url, "redis+unix://default@%s?password_file=%s",
             redis_server_socket(stage_redis()), path);
    for (size_t len = strlen(PASSWORD); len <= 4096; len += 256) {
        write_password(path, len);
        work_with(url);
        assert_int_equal(atomic_load(&found), 0);
    }
    temp_dir_free(dir);
}

static void test_a_password_in_the_environment_is_wiped(void **state)
{
    (void)state;
    setenv("PAWL_REDIS_PASSWORD", PASSWORD, 1);
    work_with(stage_url());
    assert_int_equal(atomic_load(&found), 0);
    unsetenv("PAWL_REDIS_PASSWORD");
}

static void test_who_does_not_wipe_is_found(void **state)
{
    (void)state;
    atomic_store(&found, 0);
    atomic_store(&watching, true);
    char *copy = strdup(PASSWORD), *more = strdup(PASSWORD);
    more = realloc(more, 100000);
    free(copy);
    atomic_store(&watching, false);
    free(more);
    assert_int_equal(atomic_load(&found), 2);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(test_a_password_in_the_url_is_wiped),
        cmocka_unit_test(test_a_password_in_a_file_is_wiped),
        cmocka_unit_test(test_a_password_in_the_environment_is_wiped),
        cmocka_unit_test(test_who_does_not_wipe_is_found),
    };
    stage_begin(argc, argv);
    int failed = cmocka_run_group_tests_name("passwords are wiped", cases, NULL, NULL);
    stage_end();
    return failed;
}
