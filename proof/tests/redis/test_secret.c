/* SPDX-License-Identifier: MIT */
/*
 * Passwords that do not stand in the URL, against a real server: from a file, a credential, the
 * environment; and a password that is changed while a lock is held.
 */
#define _GNU_SOURCE
#include "link_stage.h"

#include "../support/temp_dir.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define FILE_NAME "redis-password"

static char *dir, path[512];

static void write_file(const char *bytes, size_t len, mode_t mode)
{
    char fresh[600];
    snprintf(fresh, sizeof(fresh), "%s.new", path);
    int fd = open(fresh, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, mode);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, bytes, len), len);
    assert_int_equal(fchmod(fd, mode), 0);
    close(fd);
    assert_int_equal(rename(fresh, path), 0); /* as whoever rotates it does */
}

static void write_password(const char *password)
{
    char line[100];
    int len = snprintf(line, sizeof(line), "%s\n", password);
    write_file(line, (size_t)len, 0600);
}

/* Joe logs in with what the file says. */
static stage begin_with_file(void **state)
{
    stage s = begin(state);
    unsetenv("PAWL_REDIS_PASSWORD");
    unsetenv("CREDENTIALS_DIRECTORY");
    s.address.user = "joe";
    s.address.options[s.address.option_count++] =
        (pawl_url_option){.key = "password_file", .value = path};
    write_password("secret");
    return s;
}

static void expect_no_secret(const client *c)
{
    size_t count;
    for (size_t i = 0; i < client_link_count(c); i++) {
        assert_null(strstr(client_link(c, i)->text, "secret"));
        assert_null(strstr(client_link(c, i)->text, "rotated"));
    }
    assert_null(strstr(client_warning(c, &count), "secret"));
}

/* ---- Where it comes from -------------------------------------------------------------------- */

static void a_password_is_read_from_a_file(void **state)
{
    static const struct {
        const char *bytes;
        size_t len;
    } files[] = {{"secret", 6}, {"secret\n", 7}, {"secret\r\n", 8}};
    size_t warnings;
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        stage s = begin_with_file(state);
        write_file(files[i].bytes, files[i].len, 0640);
        client *c = client_up(s.loop, &s.address, "a");
        lock_and_unlock(c);
        (void)client_warning(c, &warnings);
        assert_int_equal(warnings, 0);
        client_close(c);
        end(&s);
    }
}

static void a_name_without_a_slash_is_a_credential(void **state)
{
    char message[PAWL_MESSAGE_MAX];
    stage s = begin_with_file(state);
    s.address.options[0].value = FILE_NAME;
    assert_int_equal(client_open_error(s.loop, &s.address, message), PAWL_ERR_OPTION);
    says(message, "$CREDENTIALS_DIRECTORY");
    setenv("CREDENTIALS_DIRECTORY", dir, 1);
    s.address.options[0].value = "hunter2"; /* who mistakes it for the password itself */
    assert_int_equal(client_open_error(s.loop, &s.address, message), PAWL_ERR_OPTION);
    says(message, "No such file");
    assert_null(strstr(message, "hunter2"));
    s.address.options[0].value = FILE_NAME;
    client *c = client_up(s.loop, &s.address, "a");
    lock_and_unlock(c);
    client_close(c);
    end(&s);
}

static void the_environment_is_asked_when_the_url_says_nothing(void **state)
{
    char message[PAWL_MESSAGE_MAX];
    stage s = begin_with_file(state);
    s.address.option_count = 0;
    assert_int_equal(client_open_error(s.loop, &s.address, message), PAWL_ERR_URL);
    says(message, "a user needs a password");
    setenv("PAWL_REDIS_PASSWORD", "", 1);
    assert_int_equal(client_open_error(s.loop, &s.address, message), PAWL_ERR_URL);
    setenv("PAWL_REDIS_PASSWORD", "secret", 1);
    client *c = client_up(s.loop, &s.address, "a");
    lock_and_unlock(c);
    client_close(c);
    setenv("PAWL_REDIS_PASSWORD", "another", 1);
    s.address.password = "secret"; /* the URL counts */
    c = client_up(s.loop, &s.address, "a");
    lock_and_unlock(c);
    client_close(c);
    unsetenv("PAWL_REDIS_PASSWORD");
    end(&s);
}

static void files_that_are_of_no_use_are_told_at_open(void **state)
{
    static char longest[PAWL_MESSAGE_MAX * 16];
    static const struct {
        const char *bytes;
        size_t len;
        const char *words;
    } wrong[] = {{"", 0, "is empty"},
                 {"\n", 1, "is empty"},
                 {"secret\nmore\n", 12, "one line"},
                 {"sec\0ret", 7, "one line"},
                 {longest, 4097, "longer than a password"},
                 {longest, sizeof(longest), "longer than a password"}};
    char message[PAWL_MESSAGE_MAX];
    stage s = begin_with_file(state);
    memset(longest, 's', sizeof(longest));
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        write_file(wrong[i].bytes, wrong[i].len, 0600);
        assert_int_equal(client_open_error(s.loop, &s.address, message), PAWL_ERR_OPTION);
        says(message, wrong[i].words);
        assert_null(strstr(message, "sec"));
    }
    assert_int_equal(unlink(path), 0);
    assert_int_equal(client_open_error(s.loop, &s.address, message), PAWL_ERR_OPTION);
    says(message, "No such file");
    assert_int_equal(mkfifo(path, 0600), 0); /* would be waited for, and is empty the next time */
    assert_int_equal(client_open_error(s.loop, &s.address, message), PAWL_ERR_OPTION);
    says(message, "no ordinary file");
    s.address.options[0].value = "some/where";
    assert_int_equal(client_open_error(s.loop, &s.address, message), PAWL_ERR_OPTION);
    says(message, "begins with /");
    s.address.options[0].value = path;
    s.address.password = "secret";
    assert_int_equal(client_open_error(s.loop, &s.address, message), PAWL_ERR_OPTION);
    says(message, "given twice");
    assert_int_equal(unlink(path), 0);
    end(&s);
}

static void a_file_that_everybody_may_read_is_warned_of_once(void **state)
{
    size_t warnings;
    stage s = begin_with_file(state);
    write_file("secret", 6, 0644);
    client *c = client_up(s.loop, &s.address, "a");
    says(client_warning(c, &warnings), "everybody on this machine may read the password");
    expect(c, ask_doctor(), PAWL_REPORTED);
    says(client_found(c), "Everybody on this machine may read");
    rig_must(s.rig, "CLIENT KILL USER joe");
    client_await_link(c, false);
    client_await_link(c, true);
    (void)client_warning(c, &warnings);
    assert_int_equal(warnings, 1);
    expect_no_secret(c);
    client_close(c);
    end(&s);
}

/* ---- It changes ------------------------------------------------------------------ */

static bool is_refused(void *arg)
{
    client *c = arg;
    return strstr(client_link(c, client_link_count(c) - 1)->text, "refused the user or password");
}

static void a_lock_survives_a_new_password(void **state)
{
    stage s = begin_with_file(state);
    client *c = client_up(s.loop, &s.address, "a");
    const char *token = fresh_token();
    expect(c, ask_acquire("x", token, LONG_MS), PAWL_GRANTED);
    rig_must(s.rig, "ACL SETUSER joe resetpass >rotated");
    rig_must(s.rig, "CLIENT KILL USER joe"); /* the server is quicker than the file */
    test_loop_until(s.loop, is_refused, c, "the login is refused");
    assert_int_equal(client_link(c, client_link_count(c) - 1)->err, PAWL_ERR_UNAVAILABLE);
    /* who asks meanwhile hears that it passes, and asks again */
    const seen_reply *asked = expect(c, ask_acquire("y", fresh_token(), LONG_MS), PAWL_FAILED);
    assert_int_equal(asked->reply.err, PAWL_ERR_UNAVAILABLE);
    write_password("rotated");
    client_await_link(c, true);
    expect(c, ask_renew("x", token, LONG_MS), PAWL_CONFIRMED);

    write_password("secret"); /* now the file is */
    rig_must(s.rig, "ACL SETUSER joe resetpass >secret");
    rig_must(s.rig, "CLIENT KILL USER joe");
    client_await_link(c, false);
    client_await_link(c, true);
    expect(c, ask_release("x", token), PAWL_RELEASED);
    expect_no_secret(c);
    client_close(c);
    end(&s);
}

static void a_file_that_is_gone_leaves_the_old_password(void **state)
{
    size_t warnings;
    stage s = begin_with_file(state);
    client *c = client_up(s.loop, &s.address, "a");
    assert_int_equal(unlink(path), 0);
    rig_must(s.rig, "CLIENT KILL USER joe");
    client_await_link(c, false);
    client_await_link(c, true);
    says(client_warning(c, &warnings), "No such file");
    says(client_warning(c, &warnings), "the password read before is used");
    assert_int_equal(warnings, 1);
    lock_and_unlock(c);
    expect_no_secret(c);
    client_close(c);
    end(&s);
}

/* Two troubles of one file, and each is told. */
static void an_open_file_that_vanishes_is_warned_of_twice(void **state)
{
    size_t warnings;
    stage s = begin_with_file(state);
    write_file("secret", 6, 0644);
    client *c = client_up(s.loop, &s.address, "a");
    assert_int_equal(unlink(path), 0);
    for (int i = 0; i < 2; i++) {
        rig_must(s.rig, "CLIENT KILL USER joe");
        client_await_link(c, false);
        client_await_link(c, true);
    }
    says(client_warning(c, &warnings), "No such file");
    assert_int_equal(warnings, 2);
    expect(c, ask_doctor(), PAWL_REPORTED);
    says(client_found(c), "cannot be read");
    client_close(c);
    end(&s);
}

static int group_begin(void **state)
{
    dir = temp_dir_new("pawl-login");
    snprintf(path, sizeof(path), "%s/" FILE_NAME, dir);
    return rig_group_begin(state);
}

static int group_end(void **state)
{
    temp_dir_free(dir);
    return rig_group_end(state);
}

int main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(a_password_is_read_from_a_file),
        cmocka_unit_test(a_name_without_a_slash_is_a_credential),
        cmocka_unit_test(the_environment_is_asked_when_the_url_says_nothing),
        cmocka_unit_test(files_that_are_of_no_use_are_told_at_open),
        cmocka_unit_test(a_file_that_everybody_may_read_is_warned_of_once),
        cmocka_unit_test(a_lock_survives_a_new_password),
        cmocka_unit_test(a_file_that_is_gone_leaves_the_old_password),
        cmocka_unit_test(an_open_file_that_vanishes_is_warned_of_twice),
    };
    return rig_run("passwords from elsewhere", cases, group_begin, group_end);
}
