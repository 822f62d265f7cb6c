/* SPDX-License-Identifier: MIT */
/* The SQLite store and its file: URLs, bad files, full and read-only disks, files that vanish. */
#define _GNU_SOURCE
#include "check.h"
#include "place.h"

#include "stores/sqlite/sqlite_db.h"

#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/statfs.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- The file goes away -------------------------------------------------------- */

#define SHORT 400 /* ms; the ttl of leases that somebody has to wait for */

static seen_reply take(host *h, int token)
{
    return host_call(h, PAWL_VERB_ACQUIRE, "n", host_token(token), SHORT, PAWL_ASK_QUEUE);
}

static void test_file_removed(void **state)
{
    (void)state;
    host_open(&a, path);
    take(&a, 1);
    assert_int_equal(unlink(path), 0);
    seen_reply r = host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), SHORT, 0);
    assert_int_equal(r.outcome, PAWL_FAILED);
    assert_int_equal(r.err, PAWL_ERR_UNAVAILABLE);
    while (a.ups < 2) host_run_ms(&a, 1); /* down and up again, by itself */
    assert_int_equal(a.downs, 2);         /* that it is gone, and what is awaited */
    assert_int_equal(a.down_err, PAWL_ERR_UNAVAILABLE);
    assert_non_null(strstr(a.down_message, path));
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), SHORT, 0).outcome,
                     PAWL_NOT_OWNER);
    assert_int_equal(take(&a, 2).outcome, PAWL_GRANTED);
    host_close(&a);
}

/* Only the database is deleted, while two use it: they meet again in a sound new one. */
static void test_file_removed_under_two(void **state)
{
    (void)state;
    for (int round = 0; round < 5; round++) {
        snprintf(path, sizeof(path), "%s/locks%d.db", dir, round);
        host_open(&a, path);
        host_open(&b, path);
        take(&a, 1);
        take(&b, 2);
        assert_int_equal(unlink(path), 0);
        assert_int_equal(take(&a, 1).outcome, PAWL_FAILED);
        while (a.ups < 2) host_run_ms(&a, 1);
        assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
        assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_FAILED);
        while (b.ups < 2) host_run_ms(&b, 1);
        assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
        host_call(&b, PAWL_VERB_DOCTOR, "", NULL, 0, 0);
        assert_int_equal(b.worst_finding, PAWL_SEVERITY_OK);
        assert_int_equal(release(&a, "n", 1).outcome, PAWL_RELEASED);
        host_push_of(&b, PAWL_PUSH_GRANT);
        host_close(&a);
        host_close(&b);
    }
}

/* ---- Another file in its place --------------------------------------------------- */

static void in_shell(const char *what)
{
    char command[512];
    snprintf(command, sizeof(command), "f='%s'; cd '%s'; %s", path, dir, what);
    assert_int_equal(system(command), 0);
}

/* What people do to a database while it is in use. */
static const char *const replacements[] = {
    "rm $f",
    "rm $f $f-wal $f-shm",
    "mv $f away.db",
    "mv $f away.db; cp away.db $f", /* restored from a copy of before */
    "cp $f copy.db; mv copy.db $f", /* swapped */
    "cp backup.db copy.db; mv copy.db $f; rm -f $f-wal $f-shm",
};

static void make_backup(void)
{
    host_open(&a, path);
    host_close(&a);
    sql("PRAGMA wal_checkpoint(TRUNCATE)");
    in_shell("cp $f backup.db");
}

/* False if the lease was over before the other client was there: that says nothing. */
static bool replace_under_a_holder(const char *how, int64_t ttl_ms)
{
    make_backup();
    host_open(&a, path);
    int64_t until = host_now() + ttl_ms * INT64_C(1000000);
    seen_reply r = host_call(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), ttl_ms, PAWL_ASK_QUEUE);
    assert_int_equal(r.outcome, PAWL_GRANTED);
    in_shell(how);
    host_start(&b, path);
    while (!b.up) host_run_ms(&b, 1);
    bool in_time = b.downs >= 1 || host_now() < until;
    if (in_time) {
        assert_true(b.downs >= 1);
        assert_int_equal(b.down_err, PAWL_ERR_UNAVAILABLE);
        assert_non_null(strstr(b.down_message, "removed or replaced"));
    }
    assert_int_equal(take(&b, 2).outcome, PAWL_GRANTED);
    assert_true(host_now() >= until);
    r = host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), SHORT, 0);
    assert_int_equal(r.outcome, PAWL_FAILED);
    host_close(&a);
    host_close(&b);
    in_shell("rm -rf $f* backup.db away.db");
    return in_time;
}

/* A client of the new file gets nothing while a holder of the old one may believe that it holds. */
static void test_replaced_under_a_holder(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof(replacements) / sizeof(replacements[0]); i++) {
        int64_t ttl_ms = SHORT;
        while (!replace_under_a_holder(replacements[i], ttl_ms)) ttl_ms *= 2;
    }
}

/* If nobody lives who used it, nobody has to wait. */
static void test_replaced_after_the_last(void **state)
{
    (void)state;
    host_open(&a, path);
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    host_close(&a);
    in_shell("rm $f");
    host_open(&b, path);
    assert_int_equal(b.downs, 0);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_GRANTED);
    host_close(&b);
}

/* But a lease that no process is tied to is believed until it has run out. */
static void test_replaced_under_a_detached_lease(void **state)
{
    (void)state;
    host_open(&a, path);
    int64_t until = host_now() + SHORT * INT64_C(1000000);
    host_call(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), SHORT, PAWL_ASK_DETACHED);
    host_close(&a);
    in_shell("rm $f");
    host_start(&b, path);
    while (!b.up) host_run_ms(&b, 1);
    assert_true(host_now() >= until);
    assert_non_null(strstr(b.down_message, "-live")); /* what to remove if nobody works so */
    host_close(&b);
}

/* It was in its place when the request was taken up, and is not when it is to be granted. */
static void test_replaced_before_the_grant(void **state)
{
    sqlite3 *blocker;
    (void)state;
    host_open(&a, path);
    assert_int_equal(sqlite3_open(path, &blocker), SQLITE_OK);
    assert_int_equal(sqlite3_exec(blocker, "BEGIN IMMEDIATE", NULL, NULL, NULL), SQLITE_OK);
    uint64_t id = host_send(&a, PAWL_VERB_ACQUIRE, "n", host_token(1), TTL, PAWL_ASK_QUEUE, 0);
    host_run_ms(&a, 50); /* it waits for the database */
    in_shell("mv $f away.db");
    assert_int_equal(sqlite3_exec(blocker, "ROLLBACK", NULL, NULL, NULL), SQLITE_OK);
    seen_reply r = host_wait(&a, id);
    assert_int_equal(r.outcome, PAWL_FAILED);
    assert_int_equal(r.err, PAWL_ERR_UNAVAILABLE);
    sqlite3_close(blocker);
    host_close(&a);
}

/* The instant that is kept for this never goes back, whoever writes it. */
static void test_longest_lease_is_remembered(void **state)
{
    char live[160];
    pawl__live_look look;
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    take(&a, 1); /* so that both know a small one */
    host_call(&b, PAWL_VERB_ACQUIRE, "m", host_token(2), SHORT, 0);
    int64_t least = host_now() + TTL * INT64_C(1000000);
    host_call(&b, PAWL_VERB_ACQUIRE, "o", host_token(3), TTL, 0);
    host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), 10 * SHORT, 0);
    beside(live, "-live");
    pawl__sqlite_live_look(live, &look);
    assert_true(look.term.until >= least);
    assert_true(look.term.detached == 0);
    host_close(&a);
    host_close(&b);
}

/* A holder that lost sight of the file for a while lives: nobody gets its lock (law 1). */
static void test_holder_without_link_still_holds(void **state)
{
    char away[160];
    (void)state;
    snprintf(away, sizeof(away), "%s/away.db", dir);
    host_open(&a, path);
    host_open(&b, path);
    seen_reply held = acquire(&a, "n", 1);
    assert_int_equal(rename(path, away), 0);
    assert_int_equal(symlink(dir, path), 0);
    assert_int_equal(host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0).outcome,
                     PAWL_FAILED);
    while (a.downs < 2) host_run_ms(&a, 1); /* it was replaced; and what is there is no file */
    assert_int_equal(rename(away, path), 0);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    while (!a.up) host_run_ms(&a, 1);
    seen_reply r = host_call(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0);
    assert_int_equal(r.outcome, PAWL_CONFIRMED);
    assert_true(r.fence == held.fence);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_QUEUED);
    host_close(&a);
    assert_int_equal(acquire(&b, "n", 2).outcome, PAWL_GRANTED);
    host_close(&b);
}

/* A process that finds it half made waits for its maker; it is not taken for a foreign file. */
static void test_many_create_it_at_once(void **state)
{
    enum { ROUNDS = 30, MANY = 16 };
    static host many[MANY];
    (void)state;
    for (int round = 0; round < ROUNDS; round++) {
        char fresh[160];
        snprintf(fresh, sizeof(fresh), "%s/fresh%d.db", dir, round);
        for (int i = 0; i < MANY; i++) host_start(&many[i], fresh);
        for (int i = 0; i < MANY; i++) {
            while (!many[i].up && many[i].downs == 0) host_run_ms(&many[i], 1);
            if (many[i].downs > 0) fail_msg("%s", many[i].down_message);
        }
        for (int i = 0; i < MANY; i++) host_close(&many[i]);
    }
}

/* ---- Files that are refused ---------------------------------------------------- */

static void write_file(const char *text)
{
    FILE *f = fopen(path, "w");
    assert_non_null(f);
    fputs(text, f);
    fclose(f);
}

static bool went_down(host *h)
{
    return h->downs > 0;
}

/*
 * Opens; the link should fail with err and one line that contains word. Returns what
 * is wrong, or NULL: it also runs in children, where cmocka's asserts have no place.
 */
static const char *refusal_problem(const char *file, pawl_err err, const char *word)
{
    static char problem[PAWL_MESSAGE_MAX + 128];
    problem[0] = '\0';
    host_start(&a, file);
    while (!went_down(&a) && !a.up) host_run_ms(&a, 5);
    if (a.up) return "it was opened";
    if (a.down_err != err || !strstr(a.down_message, word) || strchr(a.down_message, '\n')) {
        snprintf(problem, sizeof(problem), "%s: %s", pawl_err_name(a.down_err), a.down_message);
    }
    seen_reply r = acquire(&a, "n", 1);
    if (r.outcome != PAWL_FAILED || r.err != err) strcat(problem, "; wrong reply");
    host_close(&a);
    return problem[0] ? problem : NULL;
}

static void expect_refusal_of(const char *file, pawl_err err, const char *word)
{
    const char *problem = refusal_problem(file, err, word);
    if (problem) fail_msg("%s: %s", file, problem);
}

static void expect_refusal(pawl_err err)
{
    expect_refusal_of(path, err, path);
}

static void test_not_a_database(void **state)
{
    (void)state;
    char text[9000];
    memset(text, 'z', sizeof(text) - 1);
    text[sizeof(text) - 1] = '\0';
    write_file(text);
    expect_refusal(PAWL_ERR_CORRUPT);
    write_file("short");
    expect_refusal(PAWL_ERR_CORRUPT);
}

static void test_damaged_database(void **state)
{
    (void)state;
    host_open(&a, path);
    acquire(&a, "n", 1);
    host_close(&a);
    sql("PRAGMA wal_checkpoint(TRUNCATE)");
    int fd = open(path, O_WRONLY);
    char garbage[4096];
    memset(garbage, 0xA5, sizeof(garbage));
    for (int page = 1; page < 6; page++) {
        assert_int_equal(pwrite(fd, garbage, sizeof(garbage), page * 4096), sizeof(garbage));
    }
    close(fd);
    expect_refusal(PAWL_ERR_CORRUPT);
}

/* A new file has small pages; one that has others keeps them. */
static void test_page_sizes(void **state)
{
    (void)state;
    host_open(&a, path);
    host_close(&a);
    assert_int_equal(sql_int("PRAGMA page_size"), 2048);
    sql("PRAGMA journal_mode = DELETE; PRAGMA page_size = 4096; VACUUM");
    host_open(&a, path);
    assert_int_equal(acquire(&a, "n", 1).outcome, PAWL_GRANTED);
    host_close(&a);
    assert_int_equal(sql_int("PRAGMA page_size"), 4096);
}

/*
 * Older: its processes know nothing of those who hold together, or believe a hand-off for a whole
 * ttl, or do not number what is published, so they share no file with ours.
 */
static void test_other_version(void **state)
{
    (void)state;
    static const int versions[] = {2, 3, 4, 5, 7};
    char text[64];
    host_open(&a, path);
    host_close(&a);
    for (int i = 0; i < 5; i++) {
        snprintf(text, sizeof(text), "PRAGMA user_version = %d", versions[i]);
        sql(text);
        expect_refusal(PAWL_ERR_VERSION);
        assert_non_null(strstr(a.down_message, "move the file away"));
        assert_int_equal(sql_int("PRAGMA user_version"), versions[i]); /* it is not touched */
    }
}

static void test_database_of_another_program(void **state)
{
    (void)state;
    sql("CREATE TABLE accounts(x)");
    expect_refusal(PAWL_ERR_WRONG_TYPE);
    assert_int_equal(sql_int("SELECT count(*) FROM sqlite_schema"), 1);
}

static void test_no_such_directory(void **state)
{
    char file[160];
    (void)state;
    snprintf(file, sizeof(file), "%s/none/locks.db", dir);
    expect_refusal_of(file, PAWL_ERR_UNAVAILABLE, file);
    assert_true(a.down_final); /* nobody waits for a directory that is not there */
    expect_refusal_of(dir, PAWL_ERR_WRONG_TYPE, dir);
}

static int nfs_statfs(const char *where, struct statfs *ret)
{
    int rc = statfs(where, ret);
    ret->f_type = NFS_SUPER_MAGIC;
    return rc;
}

static void test_network_filesystem(void **state)
{
    (void)state;
    pawl__sqlite_statfs = nfs_statfs;
    expect_refusal_of(path, PAWL_ERR_NETWORK_FS, "NFS");
    pawl__sqlite_statfs = statfs;
    assert_int_equal(access(path, F_OK), -1);
    assert_null(pawl__sqlite_shared_fs_name(EXT4_SUPER_MAGIC));
    assert_null(pawl__sqlite_shared_fs_name(TMPFS_MAGIC));
    assert_string_equal(pawl__sqlite_shared_fs_name((long)0xFF534D42), "CIFS");
    assert_string_equal(pawl__sqlite_shared_fs_name((long)(int)0xFF534D42), "CIFS");
}

/* In a child that is nobody: root may write everything. check returns what is wrong. */
static void as_nobody(const char *(*check)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        if (geteuid() == 0 && (setresgid(65534, 65534, 65534) || setresuid(65534, 65534, 65534))) {
            _exit(2);
        }
        const char *problem = check();
        if (problem) fprintf(stderr, "as nobody: %s\n", problem);
        _exit(problem ? 1 : 0);
    }
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    assert_int_equal(status, 0);
}

static void open_to_all(void)
{
    char command[300];
    host_open(&a, path);
    host_close(&a);
    snprintf(command, sizeof(command), "chmod 777 '%s' && chmod -R a+rwX '%s'/*", dir, dir);
    assert_int_equal(system(command), 0);
}

static const char *check_permission(void)
{
    return refusal_problem(path, PAWL_ERR_PERMISSION, path);
}

static const char *check_dir_permission(void)
{
    return refusal_problem(path, PAWL_ERR_PERMISSION, dir);
}

static void test_forbidden(void **state)
{
    (void)state;
    open_to_all();
    assert_int_equal(chmod(path, 0640), 0);
    as_nobody(check_permission);
    assert_int_equal(chmod(path, 0666), 0);
    assert_int_equal(chmod(dir, 0555), 0);
    char command[300];
    snprintf(command, sizeof(command), "rm -f '%s'-wal '%s'-shm", path, path);
    assert_int_equal(system(command), 0);
    as_nobody(check_dir_permission);
    assert_int_equal(unlink(path), 0);
    as_nobody(check_permission);
    assert_int_equal(chmod(dir, 0755), 0);
}

/* ---- A full filesystem --------------------------------------------------------- */

static void mount_small(const char *size)
{
    if (mount("tmpfs", dir, "tmpfs", 0, size) != 0)
        skip_case("mounting a small filesystem needs root");
}

static void test_full_disk(void **state)
{
    char filler[160];
    static char block[4096];
    (void)state;
    mount_small("size=1m");
    host_open(&a, path);
    seen_reply held = acquire(&a, "held", 1);
    snprintf(filler, sizeof(filler), "%s/filler", dir);
    int fd = open(filler, O_WRONLY | O_CREAT, 0600);
    while (write(fd, block, sizeof(block)) > 0) {
    }
    close(fd);

    seen_reply full = {.outcome = PAWL_GRANTED};
    for (int i = 0; i < 1000 && full.outcome == PAWL_GRANTED; i++) {
        char name[300];
        snprintf(name, sizeof(name), "%0280d", i);
        full = acquire(&a, name, 10 + i);
    }
    unlink(filler);
    bool back = a.up;
    if (!back) host_run_until(&a, &a.up);
    seen_reply renewed = host_call(&a, PAWL_VERB_RENEW, "held", host_token(1), TTL, 0);
    host_close(&a);
    assert_int_equal(umount(dir), 0);
    assert_int_equal(full.outcome, PAWL_FAILED);
    assert_int_equal(full.err, PAWL_ERR_STORE_FULL);
    assert_int_equal(renewed.outcome, PAWL_CONFIRMED);
    assert_true(renewed.fence == held.fence);
}

/* Writes until not a byte more fits. */
static void fill_disk(char *ret_filler, size_t room)
{
    static char block[4096];
    snprintf(ret_filler, room, "%s/filler", dir);
    int fd = open(ret_filler, O_WRONLY | O_CREAT | O_APPEND, 0600);
    assert_true(fd >= 0);
    for (size_t len = sizeof(block); len > 0; len /= 2) {
        while (write(fd, block, len) > 0) {
        }
    }
    close(fd);
}

/* A lock that is held goes on being renewed, and can be released, without any new room. */
static void test_held_on_a_full_disk(void **state)
{
    enum { RENEWALS = 500 };
    char filler[160];
    int confirmed = 0;
    seen_reply r = {.outcome = PAWL_FAILED};
    (void)state;
    mount_small("size=1m");
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "held", 1);
    fill_disk(filler, sizeof(filler));
    for (int i = 0; i < RENEWALS; i++) {
        r = host_call(&a, PAWL_VERB_RENEW, "held", host_token(1), TTL, 0);
        if (r.outcome == PAWL_CONFIRMED) confirmed++;
    }
    seen_reply queued = acquire(&b, "held", 2);
    seen_reply released = release(&a, "held", 1);
    int downs = a.downs;
    unlink(filler);
    host_close(&a);
    host_close(&b);
    assert_int_equal(umount(dir), 0);
    if (confirmed != RENEWALS) fail_msg("%d renewals of %d: %s", confirmed, RENEWALS, r.message);
    assert_int_equal(downs, 0);
    assert_int_equal(queued.outcome, PAWL_QUEUED);
    assert_int_equal(released.outcome, PAWL_RELEASED);
}

/* The doctor tries to write: what it would only look at may seem right. */
static void test_doctor_finds_a_full_disk(void **state)
{
    char filler[160];
    (void)state;
    mount_small("size=1m");
    host_open(&a, path);
    acquire(&a, "held", 1);
    host_call(&a, PAWL_VERB_DOCTOR, "", NULL, 0, 0);
    pawl_severity before = a.worst_finding;
    fill_disk(filler, sizeof(filler));
    seen_reply r = host_call(&a, PAWL_VERB_DOCTOR, "", NULL, 0, 0);
    pawl_severity worst = a.worst_finding;
    unlink(filler);
    host_close(&a);
    assert_int_equal(umount(dir), 0);
    assert_int_equal(before, PAWL_SEVERITY_OK);
    assert_int_equal(r.outcome, PAWL_REPORTED);
    assert_int_equal(worst, PAWL_SEVERITY_ERROR);
    assert_non_null(strstr(a.topics, "write "));
}

/* It was taken away after the database was opened: no file can be made beside it. */
static const char *check_doctor_without_permission(void)
{
    host_open(&a, path);
    if (chmod(dir, 0555) < 0) return "chmod";
    seen_reply r = host_call(&a, PAWL_VERB_DOCTOR, "", NULL, 0, 0);
    if (chmod(dir, 0777) < 0) return "chmod";
    host_close(&a);
    bool found = r.outcome == PAWL_REPORTED && a.worst_finding == PAWL_SEVERITY_ERROR;
    return found && strstr(a.topics, "write ") ? NULL : "the doctor found nothing";
}

static void test_doctor_finds_a_refused_permission(void **state)
{
    (void)state;
    open_to_all();
    if (geteuid() == 0) assert_int_equal(chown(dir, 65534, 65534), 0);
    as_nobody(check_doctor_without_permission);
}

/* ---- The log does not grow without bound --------------------------------------- */

/* Whether the file at path + suffix has less than so many MB. */
static bool is_below(const char *suffix, int mb)
{
    char file[160];
    struct stat st;
    beside(file, suffix);
    assert_int_equal(stat(file, &st), 0);
    return st.st_size < (off_t)mb << 20;
}

/* More is written than may stay: the log starts over, though how soon depends on the disk. */
static void test_files_stay_small(void **state)
{
    int64_t until = host_now() + HOST_WAIT_MS * INT64_C(1000000);
    int written = 0;
    (void)state;
    host_open(&a, path);
    host_open(&b, path);
    acquire(&a, "n", 1);
    while (written < 6000 || !is_below("-wal", 8)) { /* 6000 renewals write 48 MB */
        host_send(&a, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0, 0);
        host_call(&b, PAWL_VERB_RENEW, "n", host_token(1), TTL, 0);
        written += 2;
        assert_true(host_now() < until);
    }
    assert_true(is_below("", 1));
    host_close(&a);
    host_close(&b);
}

/* ---- URLs ---------------------------------------------------------------------- */

static int open_url(const pawl_url *url, char *message)
{
    pawl_store *store;
    host_start(&a, path); /* for its host */
    int rc = pawl_store_entry.open(&a.host, url, &store, message);
    if (rc == 0) pawl_store_entry.close(store);
    host_close(&a);
    return rc;
}

static void test_urls(void **state)
{
    char message[PAWL_MESSAGE_MAX], cwd[PATH_MAX], expected[PATH_MAX + 8], got[PATH_MAX];
    (void)state;
    pawl_url url = host_url("rel.db");
    assert_non_null(getcwd(cwd, sizeof(cwd)));
    snprintf(expected, sizeof(expected), "%s/rel.db", cwd);
    assert_int_equal(pawl__sqlite_path_of_url(&url, got, message), 0);
    assert_string_equal(got, expected);
    url = host_url("");
    assert_int_equal(pawl__sqlite_path_of_url(&url, got, message), 0);
    assert_string_equal(got, "");
    url = host_url("/dir/");
    assert_int_equal(open_url(&url, message), PAWL_ERR_URL);
    url = host_url("/file");
    url.host = "server";
    assert_int_equal(open_url(&url, message), PAWL_ERR_URL);
    url = host_url(path);
    url.option_count = 1;
    url.options[0] = (pawl_url_option){"wal", "no"};
    assert_int_equal(open_url(&url, message), PAWL_ERR_OPTION);
    assert_non_null(strstr(message, "wal"));
    url.options[0] = (pawl_url_option){"mode", "0999"};
    assert_int_equal(open_url(&url, message), PAWL_ERR_OPTION);
    url.options[0] = (pawl_url_option){"mode", "0666"};
    assert_int_equal(open_url(&url, message), 0);
}

static void test_file_modes(void **state)
{
    static const struct {
        const char *suffix;
        mode_t mode;
    } expected[] = {{"", 0660}, {"-live", 0660}, {"-wal", 0660}, {"-inbox", 0770}};
    char file[160];
    struct stat st;
    (void)state;
    mode_t before = umask(007);
    host_open(&a, path);
    acquire(&a, "n", 1);
    host_await_inbox(&a, path);
    umask(before);
    for (size_t i = 0; i < sizeof(expected) / sizeof(expected[0]); i++) {
        beside(file, expected[i].suffix);
        assert_int_equal(stat(file, &st), 0);
        assert_int_equal(st.st_mode & 0777, expected[i].mode);
    }
    host_close(&a);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(test_file_removed),
        TEST(test_file_removed_under_two),
        TEST(test_replaced_under_a_holder),
        TEST(test_replaced_after_the_last),
        TEST(test_replaced_under_a_detached_lease),
        TEST(test_replaced_before_the_grant),
        TEST(test_longest_lease_is_remembered),
        TEST(test_holder_without_link_still_holds),
        TEST(test_many_create_it_at_once),
        TEST(test_not_a_database),
        TEST(test_damaged_database),
        TEST(test_page_sizes),
        TEST(test_other_version),
        TEST(test_database_of_another_program),
        TEST(test_no_such_directory),
        TEST(test_network_filesystem),
        TEST(test_forbidden),
        TEST(test_full_disk),
        TEST(test_held_on_a_full_disk),
        TEST(test_doctor_finds_a_full_disk),
        TEST(test_doctor_finds_a_refused_permission),
        TEST(test_files_stay_small),
        TEST(test_urls),
        TEST(test_file_modes),
    };
    return cmocka_run_group_tests_name("sqlite file", tests, NULL, NULL);
}
