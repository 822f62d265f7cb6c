/* SPDX-License-Identifier: MIT */
/* The SQLite store in directories where others may write, too: nothing is changed by its name. */
#define _GNU_SOURCE
#include "check.h"
#include "place.h"

#include "stores/sqlite/sqlite_db.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/un.h>
#include <unistd.h>

#define ID "0123456789abcdef0123456789abcdef"

/* What another user does at the moment at which a socket has got its name. */
static void (*meanwhile)(void);

int bind(int fd, __CONST_SOCKADDR_ARG address, socklen_t len)
{
    int rc = (int)syscall(SYS_bind, fd, address.__sockaddr__, len);
    int saved = errno;
    if (meanwhile) meanwhile();
    errno = saved;
    return rc;
}

static char inbox_path[160], victim[160];

static mode_t mode_of(const char *file)
{
    struct stat st;
    assert_int_equal(lstat(file, &st), 0);
    return st.st_mode & 07777;
}

static void make_victim(void)
{
    snprintf(victim, sizeof(victim), "%s/victim", dir);
    FILE *f = fopen(victim, "w");
    assert_non_null(f);
    fputs("secret\n", f);
    fclose(f);
    assert_int_equal(chmod(victim, 0600), 0);
}

static void open_inbox(pawl__sqlite_inbox *inbox, const struct stat *like)
{
    beside(inbox_path, "-inbox");
    assert_int_equal(pawl__sqlite_inbox_open(inbox, inbox_path, like), 0);
}

static void put_link_there(void)
{
    char name[256];
    snprintf(name, sizeof(name), "%s/" ID, inbox_path);
    unlink(name);
    (void)!symlink(victim, name);
}

/* The socket is replaced by a link before it has its mode: what it leads to keeps its own. */
static void test_link_in_place_of_the_socket(void **state)
{
    static const mode_t modes[] = {0600, 0660, 0666};
    pawl__sqlite_inbox inbox;
    (void)state;
    make_victim();
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        const struct stat like = {.st_mode = modes[i], .st_uid = geteuid(), .st_gid = getegid()};
        open_inbox(&inbox, &like);
        meanwhile = put_link_there;
        int fd = pawl__sqlite_inbox_bind(&inbox, ID, &like);
        meanwhile = NULL;
        assert_int_equal(mode_of(victim), 0600);
        if (fd >= 0) close(fd);
        pawl__sqlite_inbox_unbind(&inbox, ID);
        pawl__sqlite_inbox_close(&inbox);
    }
}

/* The mode is set in spite of the umask, and no helper file is left. */
static void test_socket_has_the_mode_of_the_database(void **state)
{
    static const mode_t modes[] = {0600, 0640, 0660, 0666};
    char name[256];
    pawl__sqlite_inbox inbox;
    (void)state;
    mode_t before = umask(027);
    for (size_t i = 0; i < sizeof(modes) / sizeof(modes[0]); i++) {
        const struct stat like = {.st_mode = modes[i], .st_uid = geteuid(), .st_gid = getegid()};
        open_inbox(&inbox, &like);
        int fd = pawl__sqlite_inbox_bind(&inbox, ID, &like);
        assert_true(fd >= 0);
        snprintf(name, sizeof(name), "%s/" ID, inbox_path);
        assert_int_equal(mode_of(name), modes[i]);
        close(fd);
        pawl__sqlite_inbox_unbind(&inbox, ID);
        pawl__sqlite_inbox_close(&inbox);
        assert_int_equal(rmdir(inbox_path), 0);
    }
    umask(before);
}

/* Where others may write, nobody removes or renames another one's socket. */
static void test_shared_inbox_is_sticky(void **state)
{
    struct stat like = {.st_mode = 0660, .st_uid = geteuid(), .st_gid = getegid()};
    pawl__sqlite_inbox inbox;
    (void)state;
    open_inbox(&inbox, &like);
    pawl__sqlite_inbox_close(&inbox);
    assert_int_equal(mode_of(inbox_path), 01770);
    assert_int_equal(chmod(inbox_path, 0777), 0); /* as an earlier version made it */
    open_inbox(&inbox, &like);
    pawl__sqlite_inbox_close(&inbox);
    assert_int_equal(mode_of(inbox_path), 01777);
    assert_int_equal(rmdir(inbox_path), 0);
    like.st_mode = 0600;
    open_inbox(&inbox, &like);
    pawl__sqlite_inbox_close(&inbox);
    assert_int_equal(mode_of(inbox_path), 0700);
}

/* A client's name that leads to somebody else's socket: no letter is sent there. */
static void test_link_to_another_socket(void **state)
{
    const struct stat like = {.st_mode = 0600, .st_uid = geteuid(), .st_gid = getegid()};
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    pawl__sqlite_inbox inbox;
    pawl__letter letter;
    char byte;
    (void)state;
    int other = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    snprintf(victim, sizeof(victim), "%s/other", dir);
    memcpy(address.sun_path, victim, strlen(victim) + 1);
    assert_int_equal(bind(other, (struct sockaddr *)&address, sizeof(address)), 0);
    open_inbox(&inbox, &like);
    put_link_there();
    pawl__letter_write(&letter, PAWL_PUSH_RECHECK, "n", 1, NULL, 0, false);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, ID, &letter), PAWL__POST_FAILED);
    assert_int_equal(recv(other, &byte, 1, MSG_DONTWAIT), -1);
    pawl__sqlite_inbox_close(&inbox);
    close(other);
}

static int bind_other(const pawl__sqlite_inbox *inbox, const char *id, const struct stat *like)
{
    int fd = pawl__sqlite_inbox_bind(inbox, id, like);
    assert_true(fd >= 0);
    return fd;
}

static bool has_letter(int fd)
{
    pawl__letter letter;
    return recv(fd, &letter, sizeof(letter), MSG_DONTWAIT) > 0;
}

/* The sender stays connected to a client, which may make its inbox again, lose its name, or end. */
static void test_a_letter_finds_the_present_inbox(void **state)
{
    static const char second[] = "f123456789abcdef0123456789abcdef";
    const struct stat like = {.st_mode = 0600, .st_uid = geteuid(), .st_gid = getegid()};
    pawl__sqlite_inbox inbox;
    pawl__letter letter;
    (void)state;
    open_inbox(&inbox, &like);
    pawl__letter_write(&letter, PAWL_PUSH_RECHECK, "n", 1, NULL, 0, false);
    int one = bind_other(&inbox, ID, &like), two = bind_other(&inbox, second, &like);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, ID, &letter), PAWL__POST_SENT);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, second, &letter), PAWL__POST_SENT);
    assert_true(has_letter(one) && has_letter(two));

    close(two);
    two = bind_other(&inbox, second, &like);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, second, &letter), PAWL__POST_SENT);
    assert_true(has_letter(two));

    pawl__sqlite_inbox_unbind(&inbox, second);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, second, &letter), PAWL__POST_SENT);
    assert_true(has_letter(two));

    while (pawl__sqlite_inbox_post(&inbox, second, &letter) == PAWL__POST_SENT) {
    }
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, second, &letter), PAWL__POST_FULL);
    assert_true(has_letter(two));
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, second, &letter), PAWL__POST_SENT);

    close(two);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, second, &letter), PAWL__POST_GONE);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, ID, &letter), PAWL__POST_SENT);
    assert_true(has_letter(one));
    close(one);
    assert_int_equal(pawl__sqlite_inbox_post(&inbox, ID, &letter), PAWL__POST_GONE);
    assert_false(pawl__sqlite_inbox_is_bound(&inbox, ID));
    pawl__sqlite_inbox_close(&inbox);
}

/* A file of somebody else's that was put in place of the live file is not written into. */
static void test_foreign_live_file(void **state)
{
    char live[160], text[16] = "";
    (void)state;
    make_victim();
    beside(live, "-live");
    for (int hard = 0; hard < 2; hard++) {
        assert_int_equal(hard ? link(victim, live) : rename(victim, live), 0);
        host_open(&a, path);
        assert_false(pawl_store_entry.caps(a.store)->instant_release);
        assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
        host_close(&a);
        FILE *f = fopen(live, "r");
        assert_non_null(f);
        assert_non_null(fgets(text, sizeof(text), f));
        fclose(f);
        assert_string_equal(text, "secret\n");
        assert_int_equal(mode_of(live), 0600);
        assert_int_equal(unlink(live), 0);
        if (!hard) make_victim();
    }
    assert_int_equal(truncate(victim, 0), 0); /* and an empty one that has another name, neither */
    assert_int_equal(link(victim, live), 0);
    host_open(&a, path);
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    host_close(&a);
    struct stat st;
    assert_int_equal(stat(victim, &st), 0);
    assert_int_equal(st.st_size, 0);
}

/* A program that was started without a standard input has 0 for other files. */
static void test_descriptor_0_is_as_good_as_any(void **state)
{
    char message[PAWL_MESSAGE_MAX] = "", found[PATH_MAX];
    struct stat st;
    (void)state;
    int kept = fcntl(STDIN_FILENO, F_DUPFD_CLOEXEC, 3);
    close(STDIN_FILENO);
    int made = pawl__sqlite_path_prepare(path, 0, found, &st, message);
    int there = pawl__sqlite_path_prepare(path, 0, found, &st, message);
    if (kept >= 0) {
        dup2(kept, STDIN_FILENO);
        close(kept);
    }
    if (made != 0 || there != 0) fail_msg("%s", message);
}

/* In /tmp and the like other users must not decide where a path leads. */
static void test_links_of_others_are_not_followed(void **state)
{
    char place[160], link_path[160], through[200], message[PAWL_MESSAGE_MAX];
    char found[PATH_MAX];
    struct stat st;
    (void)state;
    if (geteuid() != 0) skip_case("only root can make a link for another user");
    snprintf(place, sizeof(place), "%s/place", dir);
    snprintf(link_path, sizeof(link_path), "%s/link", dir);
    snprintf(through, sizeof(through), "%s/link/locks.db", dir);
    assert_true(mkdir(place, 0755) == 0 && symlink(place, link_path) == 0);
    assert_int_equal(chmod(dir, 01777), 0);
    assert_int_equal(pawl__sqlite_path_prepare(through, 0666, found, &st, message), 0);
    assert_int_equal(lchown(link_path, 65534, 65534), 0);
    assert_int_equal(pawl__sqlite_path_prepare(through, 0666, found, &st, message),
                     PAWL_ERR_PERMISSION);
    assert_non_null(strstr(message, link_path));
    assert_non_null(strstr(message, "symbolic link of another user"));
    assert_int_equal(chmod(dir, 0777), 0); /* here anybody may do anything */
    assert_int_equal(pawl__sqlite_path_prepare(through, 0666, found, &st, message), 0);
    assert_true(chmod(dir, 01777) == 0 && lchown(dir, 65534, 65534) == 0); /* it is his */
    assert_int_equal(pawl__sqlite_path_prepare(through, 0666, found, &st, message), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_link_in_place_of_the_socket),      TEST(test_socket_has_the_mode_of_the_database),
        TEST(test_shared_inbox_is_sticky),           TEST(test_link_to_another_socket),
        TEST(test_a_letter_finds_the_present_inbox), TEST(test_foreign_live_file),
        TEST(test_descriptor_0_is_as_good_as_any),   TEST(test_links_of_others_are_not_followed),
    };
    return cmocka_run_group_tests_name("sqlite beside others", tests, NULL, NULL);
}
