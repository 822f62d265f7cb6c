/* SPDX-License-Identifier: MIT */
/*
 * The default file depends on nothing but the user. Each test runs in a child with a mount
 * namespace of its own, where the user database, the homes and /var/lock are the test's.
 */
#define _GNU_SOURCE
#include "check.h"
#include "place.h"

#include "stores/sqlite/sqlite_db.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define USER      4711
#define USER_FILE "/.local/state/pawl/pawl.db"

static char home[128];

/* ---- The stage ----------------------------------------------------------------- */

static bool mount_over(const char *what, const char *where)
{
    return mount(what, where, NULL, MS_BIND, NULL) == 0;
}

static bool make_read_only(const char *where)
{
    return mount_over(where, where) &&
           mount(NULL, where, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY, NULL) == 0;
}

/* An empty /run/lock that everybody may write, and a user with a home. */
static bool set_stage(void)
{
    char passwd[160];
    if (unshare(CLONE_NEWNS) < 0) return false;
    if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0) return false;
    if (mount("tmpfs", "/run/lock", "tmpfs", 0, "mode=1777") < 0) return false;
    snprintf(home, sizeof(home), "%s/home", dir);
    snprintf(passwd, sizeof(passwd), "%s/passwd", dir);
    FILE *f = fopen(passwd, "w");
    if (!f) return false;
    fprintf(f, "root:x:0:0::/root:/bin/sh\nuser:x:%d:%d::%s/:/bin/sh\nlost:x:%d:%d::/:/bin/sh\n",
            USER, USER, home, USER + 1, USER + 1);
    fclose(f);
    return mkdir(home, 0700) == 0 && chown(home, USER, USER) == 0 && chmod(dir, 0755) == 0 &&
           mount_over(passwd, "/etc/passwd");
}

static bool become(unsigned uid)
{
    return uid == 0 || (setresgid(uid, uid, uid) == 0 && setresuid(uid, uid, uid) == 0);
}

/*
 * What the user finds, in a child of its own: a path; or why he may not lock there, and the
 * message, perhaps with the path of a file that he may read.
 */
typedef struct found {
    int rc;
    char path[PATH_MAX], message[PAWL_MESSAGE_MAX];
} found;

static found find_default(unsigned uid, bool (*circumstance)(void))
{
    int pipe_fds[2];
    found it = {.rc = -1};
    if (pipe(pipe_fds) < 0) abort();
    pid_t pid = fork();
    if (pid == 0) {
        pawl__sqlite_fault fault = {.err = PAWL_OK};
        static pawl__sqlite_db db;
        atomic_bool stop = false;
        if (unshare(CLONE_NEWNS) < 0 || (circumstance && !circumstance()) || !become(uid)) {
            _exit(3);
        }
        pawl__sqlite_db_init(&db, &stop);
        if (!pawl__sqlite_db_open(&db, "", 0, &fault)) it.rc = fault.err;
        if (fault.err == PAWL_OK) {
            if (db.looks_only) fault = db.lacks;
            it.rc = fault.err;
            memcpy(it.path, db.path, sizeof(it.path));
            pawl__sqlite_db_close(&db);
            pawl__sqlite_live_close(&db.live);
        }
        memcpy(it.message, fault.message, sizeof(it.message));
        _exit(write(pipe_fds[1], &it, sizeof(it)) == sizeof(it) ? 0 : 4);
    }
    int status;
    close(pipe_fds[1]);
    if (read(pipe_fds[0], &it, sizeof(it)) != sizeof(it)) it.rc = -1000;
    close(pipe_fds[0]);
    waitpid(pid, &status, 0);
    if (it.rc == -1000) snprintf(it.message, sizeof(it.message), "the child ended: %d", status);
    return it;
}

/* Runs the check on a stage of its own; it returns what is wrong, or NULL. */
static void on_stage(const char *(*check)(void))
{
    if (geteuid() != 0) skip_case("mounts and other users need root");
    pid_t pid = fork();
    if (pid == 0) {
        if (!set_stage()) {
            fprintf(stderr, "the stage cannot be set: %s\n", strerror(errno));
            _exit(errno == EPERM ? 77 : 1);
        }
        const char *problem = check();
        if (problem) fprintf(stderr, "%s\n", problem);
        _exit(problem ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 77)
        skip_case("mount namespaces need privileges that this process lacks");
    assert_int_equal(status, 0);
}

static const char *say(const char *what, const found *it)
{
    static char text[PATH_MAX + PAWL_MESSAGE_MAX + 128];
    snprintf(text, sizeof(text), "%s: %d %s %s", what, it->rc, it->path, it->message);
    return text;
}

/* An error that names the place and says what to do; or the one file, if it may be used. */
static const char *expect_error(const char *what, const found *it, const char *place, pawl_err err)
{
    bool right = it->rc == err && strstr(it->message, place) &&
                 strstr(it->message, "PAWL_STORE=sqlite:/path/locks.db");
    return right ? NULL : say(what, it);
}

/* ---- Circumstances ------------------------------------------------------------- */

static bool strict(void) /* ProtectSystem=strict: what is not excepted is read-only */
{
    return make_read_only("/run/lock") && make_read_only(home);
}

static bool private_tmp(void)
{
    return mount("tmpfs", "/tmp", "tmpfs", 0, "mode=1777") == 0;
}

static bool no_lock_dir(void)
{
    return mount("tmpfs", "/run/lock", "tmpfs", MS_RDONLY, "mode=0755") == 0;
}

static bool other_environment(void)
{
    return setenv("HOME", "/var/empty", 1) == 0 && setenv("XDG_STATE_HOME", "/tmp", 1) == 0 &&
           setenv("XDG_RUNTIME_DIR", "/tmp", 1) == 0 && setenv("TMPDIR", "/var/tmp", 1) == 0;
}

static bool no_home(void)
{
    return mount("tmpfs", dir, "tmpfs", 0, "mode=0755") == 0;
}

static bool open_home_state(void)
{
    char command[256];
    snprintf(command, sizeof(command), "chmod 0777 %s/.local/state/pawl", home);
    return system(command) == 0;
}

/* ---- Tests --------------------------------------------------------------------- */

static const char *check_root(void)
{
    static const char file[] = "/run/lock/pawl/pawl.db";
    found it = find_default(0, NULL);
    if (it.rc != 0 || strcmp(it.path, file) != 0) return say("root", &it);
    it = find_default(0, other_environment);
    if (it.rc != 0 || strcmp(it.path, file) != 0) return say("environment", &it);
    it = find_default(0, private_tmp);
    if (it.rc != 0 || strcmp(it.path, file) != 0) return say("PrivateTmp", &it);
    it = find_default(0, strict);
    const char *problem = expect_error("strict", &it, "/lock/pawl", PAWL_ERR_PERMISSION);
    if (problem) return problem;
    it = find_default(0, no_lock_dir);
    return expect_error("no lock directory", &it, "/var/lock/pawl", PAWL_ERR_READONLY);
}

static const char *check_root_strict_at_first(void)
{
    found it = find_default(0, strict);
    return expect_error("strict", &it, "/var/lock/pawl", PAWL_ERR_READONLY);
}

static const char *check_user(void)
{
    char file[PATH_MAX];
    snprintf(file, sizeof(file), "%s" USER_FILE, home);
    found it = find_default(USER, NULL);
    if (it.rc != 0 || strcmp(it.path, file) != 0) return say("user", &it);
    it = find_default(USER, other_environment);
    if (it.rc != 0 || strcmp(it.path, file) != 0) return say("environment", &it);
    it = find_default(USER, no_lock_dir);
    if (it.rc != 0 || strcmp(it.path, file) != 0) return say("no lock directory", &it);
    it = find_default(USER, strict);
    const char *problem = expect_error("strict", &it, file, PAWL_ERR_PERMISSION);
    if (problem) return problem;
    it = find_default(USER, no_home); /* as ProtectHome= makes it */
    problem = expect_error("no home", &it, home, PAWL_ERR_UNAVAILABLE);
    if (problem) return problem;
    it = find_default(USER, open_home_state);
    return expect_error("others may write", &it, home, PAWL_ERR_PERMISSION);
}

static const char *check_user_without_home(void)
{
    found it = find_default(USER + 1, NULL); /* its home is the root directory */
    const char *problem = expect_error("home /", &it, "4712", PAWL_ERR_UNAVAILABLE);
    if (problem) return problem;
    it = find_default(USER + 2, NULL); /* nobody's entry */
    return expect_error("unknown user", &it, "4713", PAWL_ERR_UNAVAILABLE);
}

static void test_default_of_root(void **state)
{
    (void)state;
    on_stage(check_root);
}

static void test_default_of_root_strict_at_first(void **state)
{
    (void)state;
    on_stage(check_root_strict_at_first);
}

static void test_default_of_users(void **state)
{
    (void)state;
    on_stage(check_user);
}

static void test_default_without_home(void **state)
{
    (void)state;
    on_stage(check_user_without_home);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_default_of_root),
        TEST(test_default_of_root_strict_at_first),
        TEST(test_default_of_users),
        TEST(test_default_without_home),
    };
    return cmocka_run_group_tests_name("sqlite default file", tests, NULL, NULL);
}
