/* SPDX-License-Identifier: MIT */
/*
 * Whoever may only read the files looks, and changes nothing.
 *
 * Holder and looker are children: SQLite shares what one process has open, and root may write
 * everything.
 */
#define _GNU_SOURCE
#include "check.h"
#include "place.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY 65534

/* ---- The stage ----------------------------------------------------------------- */

static void need_root(void)
{
    if (geteuid() != 0) skip_case("only root can become another user");
}

/* The commands find the directory in $D. */
static void shell(const char *commands)
{
    assert_int_equal(setenv("D", dir, 1), 0);
    assert_int_equal(system(commands), 0);
}

/* A process that holds "n", until it is killed or this one ends. */
static pid_t start_holder(void)
{
    int ready[2];
    char word;
    assert_int_equal(pipe(ready), 0);
    pid_t pid = fork();
    if (pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL); /* when the test fails */
        host_open(&a, path);
        if (acquire(&a, "n", 1).outcome != PAWL_GRANTED) _exit(1);
        host_await_inbox(&a, path);
        if (write(ready[1], "r", 1) != 1) _exit(1);
        for (;;) pause();
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &word, 1), 1);
    close(ready[0]);
    return pid;
}

static void end_holder(pid_t pid)
{
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

/* In a child that is nobody. check returns what is wrong, or NULL. */
static void as_nobody(const char *(*check)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        if (setresgid(NOBODY, NOBODY, NOBODY) || setresuid(NOBODY, NOBODY, NOBODY)) _exit(2);
        const char *problem = check();
        if (problem) fprintf(stderr, "as nobody: %s\n", problem);
        _exit(problem ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

/* Readable for all, writable for root alone. */
#define READABLE "chmod -R u=rwX,go=rX \"$D\" && "

/* ---- What a looker finds ------------------------------------------------------- */

static const char *refused(pawl_verb verb, const char *named)
{
    static char problem[PAWL_MESSAGE_MAX + 64];
    seen_reply r = host_call(&b, verb, "n", host_token(2), TTL, 0);
    bool right = r.outcome == PAWL_FAILED && r.err == PAWL_ERR_PERMISSION &&
                 strstr(r.message, named) && strstr(r.message, "only ls, show and doctor");
    snprintf(problem, sizeof(problem), "verb %d: %d %d %s", (int)verb, (int)r.outcome, (int)r.err,
             r.message);
    return right ? NULL : problem;
}

static const char *every_write_is_refused(const char *named)
{
    static const pawl_verb verbs[] = {PAWL_VERB_ACQUIRE, PAWL_VERB_RENEW, PAWL_VERB_RELEASE,
                                      PAWL_VERB_BREAK};
    const char *problem = NULL;
    for (size_t i = 0; i < sizeof(verbs) / sizeof(verbs[0]) && !problem; i++)
        problem = refused(verbs[i], named);
    return problem;
}

static const char *doctor_finds(const char *topics)
{
    static char problem[sizeof(b.topics) + 64];
    seen_reply r = host_call(&b, PAWL_VERB_DOCTOR, "", NULL, 0, 0);
    snprintf(problem, sizeof(problem), "the doctor found: %s", b.topics);
    bool right = r.outcome == PAWL_REPORTED && b.worst_finding == PAWL_SEVERITY_ERROR &&
                 strcmp(b.topics, topics) == 0;
    return right ? NULL : problem;
}

static const char *check_all_verbs(void)
{
    host_open(&b, path);
    seen_row row = inspect(&b, "n", NULL);
    if (!row.held || row.remaining_ms <= 0) return "the holder is not shown";
    b.row_count = 0;
    seen_reply r = host_call(&b, PAWL_VERB_LIST, "", NULL, 0, 0);
    if (r.outcome != PAWL_REPORTED || b.row_count != 1) return "the list is wrong";
    const char *problem = every_write_is_refused(path);
    if (!problem) problem = doctor_finds("write ");
    if (!problem && !inspect(&b, "n", NULL).held) problem = "the holder is gone";
    if (!problem && (b.warnings > 0 || b.downs > 0)) problem = "it warns, or is down";
    host_close(&b);
    return problem;
}

static const char *check_free(void)
{
    host_open(&b, path);
    bool held = inspect(&b, "n", NULL).held;
    host_close(&b);
    return held ? "a lock whose holder is gone is shown as held" : NULL;
}

static const char *check_blind_for_deaths(void)
{
    host_open(&b, path);
    bool held = inspect(&b, "n", NULL).held;
    const char *problem = doctor_finds("write liveness ");
    host_close(&b);
    return held ? problem : "a death is seen that cannot be seen";
}

static const char *check_log_is_named(void)
{
    char file[160];
    beside(file, "-wal");
    host_open(&b, path);
    const char *problem = every_write_is_refused(file);
    if (!problem && !inspect(&b, "n", NULL).held) problem = "the holder is not shown";
    host_close(&b);
    return problem;
}

static const char *check_refusal(pawl_err err, const char *word)
{
    static char problem[PAWL_MESSAGE_MAX + 64];
    host_start(&b, path);
    while (b.downs == 0 && !b.up) host_run_ms(&b, 5);
    bool right =
        !b.up && b.down_err == err && strstr(b.down_message, path) && strstr(b.down_message, word);
    snprintf(problem, sizeof(problem), "up %d, error %d, %s", b.up, (int)b.down_err,
             b.down_message);
    host_close(&b);
    return right ? NULL : problem;
}

static const char *check_log_absent(void)
{
    return check_refusal(PAWL_ERR_PERMISSION, "cannot even look");
}

static const char *check_empty(void)
{
    return check_refusal(PAWL_ERR_PERMISSION, "is empty");
}

static const char *check_foreign(void)
{
    return check_refusal(PAWL_ERR_WRONG_TYPE, "another program");
}

/* The files are nobody's own. */
static const char *check_rights_given_later(void)
{
    host_open(&b, path);
    const char *problem = refused(PAWL_VERB_ACQUIRE, path);
    if (problem) return problem;
    char command[300];
    snprintf(command, sizeof(command), "chmod u+w '%s' '%s'*", dir, path);
    if (system(command) != 0) return "chmod";
    if (acquire(&b, "m", 2).outcome != PAWL_GRANTED) return "the rights do not help";
    if (!inspect(&b, "m", host_token(2)).mine) return "what was granted is not shown";
    if (host_call(&b, PAWL_VERB_DOCTOR, "", NULL, 0, 0).outcome != PAWL_REPORTED) return "doctor";
    problem = b.worst_finding == PAWL_SEVERITY_ERROR ? b.topics : NULL;
    host_close(&b);
    return problem;
}

/* ---- Tests --------------------------------------------------------------------- */

static void test_looker_sees_all_and_changes_nothing(void **state)
{
    (void)state;
    need_root();
    pid_t holder = start_holder();
    shell(READABLE "true");
    as_nobody(check_all_verbs);
    end_holder(holder);
}

static void test_looker_sees_a_death(void **state)
{
    (void)state;
    need_root();
    end_holder(start_holder());
    shell(READABLE "true");
    as_nobody(check_free);
    shell("chmod 600 $D/locks.db-live");
    as_nobody(check_blind_for_deaths);
}

/* No user who may write has come since the machine was started. */
static void test_looker_knows_an_earlier_boot(void **state)
{
    (void)state;
    need_root();
    pid_t holder = start_holder(); /* while it has the log open, others leave the log in place */
    sql("UPDATE host SET boot = '01234567-89ab-4def-8123-456789abcdef'; UPDATE lock SET live = -1");
    end_holder(holder);
    shell(READABLE "true");
    as_nobody(check_free);
}

static void test_log_that_may_only_be_read(void **state)
{
    (void)state;
    need_root();
    pid_t holder = start_holder();
    shell(READABLE "chmod 777 $D && chmod 666 $D/locks.db $D/locks.db-shm");
    as_nobody(check_log_is_named);
    end_holder(holder);
}

static void test_looking_that_is_impossible_is_said(void **state)
{
    (void)state;
    need_root();
    end_holder(start_holder());
    shell(READABLE "rm $D/locks.db-wal $D/locks.db-shm");
    as_nobody(check_log_absent);
    shell("rm -r $D/* && : > $D/locks.db && chmod 644 $D/locks.db");
    as_nobody(check_empty);
}

/* Files that a looker made would belong to him, and keep out those who may lock. */
static void test_looker_makes_no_files(void **state)
{
    (void)state;
    need_root();
    end_holder(start_holder());
    shell(READABLE "chmod 777 $D && rm $D/locks.db-wal $D/locks.db-shm");
    as_nobody(check_log_absent);
    shell("test ! -e $D/locks.db-wal && test ! -e $D/locks.db-shm");
}

/* It has no log, and needs none. */
static void test_looker_knows_a_foreign_database(void **state)
{
    (void)state;
    need_root();
    sql("CREATE TABLE accounts(x)");
    shell(READABLE "chmod 777 $D");
    as_nobody(check_foreign);
}

static void test_rights_may_be_given_later(void **state)
{
    (void)state;
    need_root();
    end_holder(start_holder());
    shell("chown -R 65534:65534 $D && chmod 444 $D/locks.db $D/locks.db-*l* "
          "$D/locks.db-shm && chmod 555 $D");
    as_nobody(check_rights_given_later);
}

/* Also for root. It is writable again later, and nobody opens it anew. */
static void test_read_only_filesystem(void **state)
{
    (void)state;
    if (mount("tmpfs", dir, "tmpfs", 0, "size=4m") < 0)
        skip_case("mounting a small filesystem needs root");
    end_holder(start_holder());
    assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT | MS_RDONLY, NULL), 0);
    host_open(&b, path);
    bool held = inspect(&b, "n", NULL).held;
    const char *problem = every_write_is_refused(path);
    if (!problem) problem = doctor_finds("write ");
    assert_int_equal(mount(NULL, dir, NULL, MS_REMOUNT, NULL), 0);
    pawl_outcome outcome = acquire(&b, "n", 1).outcome;
    host_close(&b);
    assert_int_equal(umount(dir), 0);
    if (problem) fail_msg("%s", problem);
    assert_false(held);
    assert_int_equal(outcome, PAWL_GRANTED);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_looker_sees_all_and_changes_nothing),
        TEST(test_looker_sees_a_death),
        TEST(test_looker_knows_an_earlier_boot),
        TEST(test_log_that_may_only_be_read),
        TEST(test_looking_that_is_impossible_is_said),
        TEST(test_looker_makes_no_files),
        TEST(test_looker_knows_a_foreign_database),
        TEST(test_rights_may_be_given_later),
        TEST(test_read_only_filesystem),
    };
    return cmocka_run_group_tests_name("sqlite looking", tests, NULL, NULL);
}
