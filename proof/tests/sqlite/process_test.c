/* SPDX-License-Identifier: MIT */
/*
 * The SQLite store between processes. Each test leads peer processes (peer.c)
 * over pipes; ttls are far longer than the bounds, so that what is seen came
 * from pushes and from the death of processes, not from leases that ran out.
 */
#define _GNU_SOURCE
#include "check.h"
#include "peers.h"
#include "shared.h"

#include <fcntl.h>
#include <sched.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#define TTL     30000
#define PROMPT  3000 /* ms; a tenth of the ttl, hundreds of times what is measured */
#define NS_A_MS INT64_C(1000000)
#define PEERS   8

static char dir[64], path[96];
static peer_process a, b, c, d;

static int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/pawl-sqlite-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/locks.db", dir);
    return 0;
}

static int teardown(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

static double ms_since(int64_t at)
{
    return (double)(host_now() - at) / 1e6;
}

static void start(peer_process *p)
{
    peer_start(p, path, NULL);
}

/* The first so many of a, b, c, d. */
static void start_peers(int count)
{
    peer_process *const peers[] = {&a, &b, &c, &d};
    for (int i = 0; i < count; i++) start(peers[i]);
}

static uint64_t hold(peer_process *p, const char *token)
{
    seen_reply r = peer_call(p, "acquire", "job", token, TTL, PAWL_ASK_QUEUE);
    assert_int_equal(r.outcome, PAWL_GRANTED);
    return r.fence;
}

static void queue(peer_process *p, const char *token, int position)
{
    seen_reply r = peer_call(p, "acquire", "job", token, TTL, PAWL_ASK_QUEUE);
    assert_int_equal(r.outcome, PAWL_QUEUED);
    assert_int_equal(r.position, position);
}

static void a_holds_b_waits(void)
{
    start_peers(2);
    hold(&a, host_token(1));
    queue(&b, host_token(2), 0);
}

static void a_holds_b_and_c_wait(void)
{
    a_holds_b_waits();
    start(&c);
    queue(&c, host_token(3), 1);
}

static void release(peer_process *p, const char *token)
{
    assert_int_equal(peer_call(p, "release", "job", token, 0, 0).outcome, PAWL_RELEASED);
}

/* Told to look again, the waiter asks and has the lock. */
static void expect_after_recheck(peer_process *p, const char *token)
{
    for (int i = 0; i < 3; i++) {
        peer_push(p, PAWL_PUSH_RECHECK);
        if (peer_call(p, "acquire", "job", token, TTL, PAWL_ASK_QUEUE).outcome == PAWL_GRANTED) {
            return;
        }
    }
    fail_msg("told three times to look, and the lock was never free");
}

/* The holder dies: the first waiter has it long before the ttl is over. */
static void kill_a_for(peer_process *p, const char *token)
{
    int64_t at = host_now();
    peer_kill(&a);
    expect_after_recheck(p, token);
    assert_true(ms_since(at) < PROMPT);
}

/* ---- Order, hand-off ----------------------------------------------------------- */

static void test_fifo(void **state)
{
    (void)state;
    start_peers(4);
    uint64_t fence = hold(&a, host_token(1)), next;
    queue(&b, host_token(2), 0);
    assert_string_equal(peer_push(&a, PAWL_PUSH_YIELD).token, host_token(1));
    queue(&c, host_token(3), 1);
    queue(&d, host_token(4), 2);
    assert_true(peer_is_silent(&a, "push", 50)); /* one yield request, not one per waiter */

    release(&a, host_token(1));
    seen_push grant = peer_push(&b, PAWL_PUSH_GRANT);
    assert_string_equal(grant.token, host_token(2));
    assert_true(grant.waiting);
    assert_true(grant.fence > fence);
    fence = grant.fence;
    /* No barging: it is b's, and c and d come before a. */
    queue(&a, host_token(5), 2);
    release(&b, host_token(2));
    assert_true((next = peer_push(&c, PAWL_PUSH_GRANT).fence) > fence);
    release(&c, host_token(3));
    assert_true(peer_push(&d, PAWL_PUSH_GRANT).fence > next);
    release(&d, host_token(4));
    grant = peer_push(&a, PAWL_PUSH_GRANT);
    assert_string_equal(grant.token, host_token(5));
    assert_false(grant.waiting);
    peer_stop(&a);
    peer_stop(&b);
    peer_stop(&c);
    peer_stop(&d);
}

/* A waiter that leaves makes its successor look again, since it watched the wrong process. */
static void test_leaving_moves_the_watch(void **state)
{
    (void)state;
    a_holds_b_and_c_wait();
    assert_int_equal(peer_call(&b, "release", "job", host_token(2), 0, 0).outcome, PAWL_LEFT);
    peer_push(&c, PAWL_PUSH_RECHECK);
    queue(&c, host_token(3), 0);
    kill_a_for(&c, host_token(3));
    peer_stop(&b);
    peer_stop(&c);
}

/* ---- Death --------------------------------------------------------------------- */

static void test_kill_holder(void **state)
{
    double worst = 0, sum = 0;
    const int rounds = 10;
    (void)state;
    start(&b);
    for (int i = 0; i < rounds; i++) {
        start(&a);
        hold(&a, host_token(1));
        queue(&b, host_token(2), 0);
        int64_t at = host_now();
        peer_kill(&a);
        expect_after_recheck(&b, host_token(2));
        double took = ms_since(at);
        sum += took;
        if (took > worst) worst = took;
        assert_true(took < PROMPT);
        release(&b, host_token(2));
    }
    print_message("kill -9 of the holder: the waiter has it after %.2f ms on average, %.2f ms at "
                  "worst (%d rounds)\n",
                  sum / rounds, worst, rounds);
    peer_stop(&b);
}

/* Holder and first waiter die at once: the second waiter is not forgotten (law 7). */
static void test_kill_holder_and_first_waiter(void **state)
{
    (void)state;
    a_holds_b_and_c_wait();
    int64_t at = host_now();
    kill(b.pid, SIGSTOP); /* so that it cannot act in between */
    kill(a.pid, SIGKILL);
    peer_kill(&a);
    peer_kill(&b);
    expect_after_recheck(&c, host_token(3));
    print_message("kill -9 of holder and first waiter: the second has it after %.2f ms\n",
                  ms_since(at));
    assert_true(ms_since(at) < PROMPT);
    peer_stop(&c);
}

static void test_dead_waiter_is_skipped(void **state)
{
    (void)state;
    a_holds_b_and_c_wait();
    peer_kill(&b);
    int held, waiters;
    long long remaining_ms;
    peer_send(&a, "inspect", "job", host_token(1), 0, 0, 5000);
    assert_int_equal(sscanf(peer_expect(&a, "row"), "%d %lld %d", &held, &remaining_ms, &waiters),
                     3);
    assert_int_equal(waiters, 1);
    release(&a, host_token(1));
    assert_string_equal(peer_push(&c, PAWL_PUSH_GRANT).token, host_token(3));
    peer_stop(&a);
    peer_stop(&c);
}

/* Law 9: a child that lives on, without exec, must not keep its parent's lease alive. */
static void test_forked_child_does_not_hold(void **state)
{
    (void)state;
    start_peers(2);
    hold(&a, host_token(1));
    peer_say(&a, "fork\n");
    pid_t child = (pid_t)atoi(peer_expect(&a, "child"));
    assert_true(child > 0);
    queue(&b, host_token(2), 0);
    kill_a_for(&b, host_token(2));
    assert_int_equal(kill(child, SIGKILL), 0); /* it lived all the time */
    peer_stop(&b);
}

static void test_detached_outlives_its_process(void **state)
{
    (void)state;
    start_peers(2);
    seen_reply r = peer_call(&a, "acquire", "job", host_token(1), TTL, PAWL_ASK_DETACHED);
    assert_int_equal(r.outcome, PAWL_GRANTED);
    peer_kill(&a);
    assert_int_equal(peer_call(&b, "acquire", "job", host_token(2), TTL, 0).outcome, PAWL_BUSY);
    /* A process with the token goes on with the lease, but the lease is not tied to it. */
    seen_reply renewed = peer_call(&b, "renew", "job", host_token(1), TTL, 0);
    assert_int_equal(renewed.outcome, PAWL_CONFIRMED);
    assert_true(renewed.fence == r.fence);
    peer_kill(&b);
    start(&b);
    assert_int_equal(peer_call(&b, "acquire", "job", host_token(2), TTL, 0).outcome, PAWL_BUSY);
    release(&b, host_token(1));
    assert_int_equal(peer_call(&b, "acquire", "job", host_token(2), TTL, 0).outcome, PAWL_GRANTED);
    peer_stop(&b);
}

/* Detached, and waiting: the place is tied to the process, the lease that comes of it is not. */
static void test_detached_waiter(void **state)
{
    (void)state;
    start_peers(3);
    hold(&a, host_token(1));
    seen_reply r =
        peer_call(&b, "acquire", "job", host_token(2), TTL, PAWL_ASK_QUEUE | PAWL_ASK_DETACHED);
    assert_int_equal(r.outcome, PAWL_QUEUED);
    release(&a, host_token(1));
    peer_push(&b, PAWL_PUSH_GRANT);
    peer_kill(&b);
    assert_int_equal(peer_call(&c, "acquire", "job", host_token(3), TTL, 0).outcome, PAWL_BUSY);
    peer_stop(&a);
    peer_stop(&c);
}

/* ---- Stopped processes --------------------------------------------------------- */

static void test_stopped_holder_loses_by_ttl(void **state)
{
    (void)state;
    start_peers(2);
    seen_reply r = peer_call(&a, "acquire", "job", host_token(1), 300, PAWL_ASK_QUEUE);
    assert_int_equal(r.outcome, PAWL_GRANTED);
    kill(a.pid, SIGSTOP);
    /* It lives, so only the clock takes it away. */
    do {
        r = peer_call(&b, "acquire", "job", host_token(2), TTL, PAWL_ASK_QUEUE);
    } while (r.outcome == PAWL_QUEUED);
    assert_int_equal(r.outcome, PAWL_GRANTED);
    kill(a.pid, SIGCONT);
    r = peer_call(&a, "renew", "job", host_token(1), 300, 0);
    assert_int_equal(r.outcome, PAWL_NOT_OWNER);
    r = peer_call(&a, "release", "job", host_token(1), 300, 0);
    assert_int_equal(r.outcome, PAWL_NOT_OWNER);
    assert_int_equal(peer_call(&b, "renew", "job", host_token(2), TTL, 0).outcome, PAWL_CONFIRMED);
    peer_stop(&a);
    peer_stop(&b);
}

static void test_stopped_in_a_transaction(void **state)
{
    (void)state;
    start_peers(2);
    peer_say(&a, "transaction\n");
    assert_int_equal(atoi(peer_expect(&a, "transaction")), 0);
    kill(a.pid, SIGSTOP);
    int64_t at;
    uint64_t id;
    seen_reply r;
    do { /* where the worker gets no processor in time, that it did nothing is not known */
        at = host_now();
        id = peer_send(&b, "acquire", "job", host_token(2), TTL, PAWL_ASK_QUEUE, 200);
        r = peer_reply(&b, id);
    } while (r.outcome == PAWL_UNKNOWN);
    assert_int_equal(r.outcome, PAWL_FAILED); /* certain: nothing was done */
    assert_int_equal(r.err, PAWL_ERR_STORE_BUSY);
    assert_true(ms_since(at) >= 150);
    assert_true(ms_since(at) < PROMPT);
    /* Looking is still possible. */
    r = peer_call(&b, "inspect", "job", host_token(2), 0, 0);
    assert_int_equal(r.outcome, PAWL_REPORTED);
    /* And one that has the time gets through when the transaction ends. */
    id = peer_send(&b, "acquire", "job", host_token(3), TTL, PAWL_ASK_QUEUE, HOST_WAIT_MS);
    assert_true(peer_is_silent(&b, "reply", 100));
    peer_kill(&a);
    assert_int_equal(peer_reply(&b, id).outcome, PAWL_GRANTED);
    peer_stop(&b);
}

/* A stopped waiter's place expires; who stands behind it gets the lock. */
static void test_stopped_waiter_expires(void **state)
{
    (void)state;
    start_peers(3);
    hold(&a, host_token(1));
    seen_reply r = peer_call(&b, "acquire", "job", host_token(2), 150, PAWL_ASK_QUEUE);
    assert_int_equal(r.outcome, PAWL_QUEUED);
    kill(b.pid, SIGSTOP);
    queue(&c, host_token(3), 1);
    do { /* until its place is gone, as c's own answers tell */
        r = peer_call(&c, "acquire", "job", host_token(3), TTL, PAWL_ASK_QUEUE);
    } while (r.position == 1);
    assert_int_equal(r.position, 0);
    release(&a, host_token(1));
    peer_push(&c, PAWL_PUSH_GRANT);
    kill(b.pid, SIGCONT);
    queue(&b, host_token(2), 0);
    peer_stop(&a);
    peer_stop(&b);
    peer_stop(&c);
}

/* ---- Namespaces ---------------------------------------------------------------- */

static void need_to_unshare(int flags, const char *what)
{
    pid_t pid = fork();
    if (pid == 0) _exit(unshare(flags) == 0 ? 0 : 1);
    int status;
    waitpid(pid, &status, 0);
    if (status != 0) skip_case("%s need privileges that this process lacks", what);
}

/* A pidfd cannot be had from another pid namespace: the byte of the live file is tested. */
static void test_other_pid_namespace(void **state)
{
    const char *const prefix[] = {"unshare", "--pid", "--fork", "--kill-child", NULL};
    (void)state;
    need_to_unshare(CLONE_NEWPID, "pid namespaces");
    peer_start(&a, path, prefix);
    start(&b);
    hold(&a, host_token(1));
    queue(&b, host_token(2), 0);
    int64_t at = host_now();
    peer_kill(&a); /* kills unshare, which takes the peer with it */
    expect_after_recheck(&b, host_token(2));
    print_message("kill -9 of a holder in another pid namespace: %.2f ms\n", ms_since(at));
    assert_true(ms_since(at) < PROMPT);
    peer_stop(&b);
}

/* Another time namespace shows another clock; in the database there is only one. */
static void test_other_time_namespace(void **state)
{
    const char *const prefix[] = {"unshare", "--time", "--boottime", "500000", "--fork", NULL};
    (void)state;
    need_to_unshare(0x80 /* CLONE_NEWTIME */, "time namespaces");
    peer_start(&a, path, prefix);
    start(&b);
    hold(&a, host_token(1));
    seen_reply r = peer_call(&b, "acquire", "job", host_token(2), TTL, PAWL_ASK_QUEUE);
    assert_int_equal(r.outcome, PAWL_QUEUED);
    assert_true(r.holder_ms <= TTL);
    assert_true(r.holder_ms > TTL - PROMPT);
    release(&a, host_token(1));
    peer_push(&b, PAWL_PUSH_GRANT);
    r = peer_call(&a, "acquire", "job", host_token(3), TTL, 0);
    assert_int_equal(r.outcome, PAWL_BUSY);
    assert_true(r.holder_ms <= pawl_place_span(TTL)); /* handed over: as long as the place was */
    assert_true(r.holder_ms > pawl_place_span(TTL) - PROMPT);
    peer_stop(&a);
    peer_stop(&b);
}

/*
 * A kernel without time namespaces (before 5.6) has neither /proc/self/ns/time nor the file that
 * tells the offsets: there is none. A mounted directory hides the one, a socket, which nobody can
 * open, the other.
 */
static void test_no_time_namespaces(void **state)
{
    static const char script[] = "mount --bind \"$1\" /proc/$$/ns && "
                                 "mount --bind \"$2\" /proc/$$/timens_offsets && "
                                 "shift 2 && exec \"$@\"";
    char nothing[128];
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    const char *const prefix[] = {"unshare", "--mount", "--kill-child",   "sh", "-c", script,
                                  "sh",      nothing,   address.sun_path, NULL};
    (void)state;
    need_to_unshare(CLONE_NEWNS, "mount namespaces");
    snprintf(nothing, sizeof(nothing), "%s/nothing", dir);
    assert_int_equal(mkdir(nothing, 0700), 0);
    snprintf(address.sun_path, sizeof(address.sun_path), "%s/socket", dir);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof(address)), 0);
    peer_start(&a, path, prefix);
    start(&b);
    hold(&a, host_token(1));
    queue(&b, host_token(2), 0);
    release(&a, host_token(1));
    peer_push(&b, PAWL_PUSH_GRANT);
    peer_stop(&a);
    peer_stop(&b);
    close(fd);
}

/* A script that mounts its first argument over its second, and then becomes the rest. */
#define MOUNTED_OVER "mount --bind \"$1\" \"$2\" && shift 2 && exec \"$@\""

static void write_boot_id(char *ret_file, size_t room)
{
    snprintf(ret_file, room, "%s/boot_id", dir);
    FILE *f = fopen(ret_file, "w");
    assert_non_null(f);
    fputs("01234567-89ab-4cde-8f01-23456789abcd\n", f);
    fclose(f);
}

/* A container with a boot id of its own frees nobody's lock, neither way round. */
static void test_other_boot_id(void **state)
{
    char file[128];
    const char *const prefix[] = {"unshare", "--mount", "--kill-child",
                                  "sh",      "-c",      MOUNTED_OVER,
                                  "sh",      file,      "/proc/sys/kernel/random/boot_id",
                                  NULL};
    (void)state;
    need_to_unshare(CLONE_NEWNS, "mount namespaces");
    write_boot_id(file, sizeof(file));
    start(&a);
    hold(&a, host_token(1));
    peer_launch(&b, path, prefix);
    assert_int_equal(atoi(peer_expect(&b, "down")), PAWL_ERR_UNSUPPORTED);
    assert_int_equal(peer_call(&a, "renew", "job", host_token(1), TTL, 0).outcome, PAWL_CONFIRMED);
    peer_call(&a, "acquire", "kept", host_token(2), TTL, PAWL_ASK_DETACHED);
    peer_kill(&a);
    peer_expect(&b, "up"); /* nobody of the host lives any more */
    hold(&b, host_token(3));
    assert_int_equal(peer_call(&b, "acquire", "kept", host_token(4), TTL, 0).outcome, PAWL_BUSY);
    peer_launch(&c, path, NULL);
    assert_int_equal(atoi(peer_expect(&c, "down")), PAWL_ERR_UNSUPPORTED);
    peer_stop(&b);
    peer_expect(&c, "up");
    assert_int_equal(peer_call(&c, "acquire", "kept", host_token(4), TTL, 0).outcome, PAWL_BUSY);
    peer_stop(&c);
}

static void make_database(void)
{
    start(&a);
    hold(&a, host_token(1));
}

/* The database alone, or one of the files beside it, is mounted: they would not meet there. */
static void test_database_mounted_alone(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm", "-live"};
    char alone[128], from[128], to[160];
    const char *const prefix[] = {"unshare",    "--mount", "--kill-child", "sh", "-c",
                                  MOUNTED_OVER, "sh",      from,           to,   NULL};
    (void)state;
    need_to_unshare(CLONE_NEWNS, "mount namespaces");
    make_database();
    snprintf(alone, sizeof(alone), "%s/alone.db", dir);
    FILE *f = fopen(alone, "w"); /* what the container manager makes to mount over */
    assert_non_null(f);
    fclose(f);
    snprintf(from, sizeof(from), "%s", path);
    snprintf(to, sizeof(to), "%s", alone);
    peer_launch(&b, alone, prefix);
    assert_int_equal(atoi(peer_expect(&b, "down")), PAWL_ERR_WRONG_TYPE);
    peer_kill(&b);
    for (size_t i = 0; i < sizeof(suffixes) / sizeof(suffixes[0]); i++) {
        snprintf(from, sizeof(from), "%s%s", path, suffixes[i]);
        snprintf(to, sizeof(to), "%s", from);
        peer_launch(&b, path, prefix);
        assert_int_equal(atoi(peer_expect(&b, "down")), PAWL_ERR_WRONG_TYPE);
        peer_kill(&b);
    }
    /* Mounted with all that lies beside it, it is one. */
    snprintf(from, sizeof(from), "%s", dir);
    snprintf(to, sizeof(to), "%s/inside", dir);
    assert_int_equal(mkdir(to, 0700), 0);
    snprintf(alone, sizeof(alone), "%s/inside/locks.db", dir);
    peer_start(&b, alone, prefix);
    queue(&b, host_token(2), 0);
    release(&a, host_token(1));
    peer_push(&b, PAWL_PUSH_GRANT);
    peer_stop(&b);
    peer_stop(&a);
}

/* ---- Without pushes ------------------------------------------------------------ */

/* Where no socket can be made, waiters are told by a timer to ask again. */
static void test_no_inbox(void **state)
{
    char inbox[128];
    (void)state;
    snprintf(inbox, sizeof(inbox), "%s-inbox", path);
    int fd = open(inbox, O_CREAT | O_WRONLY, 0600);
    assert_true(fd >= 0);
    close(fd);
    a_holds_b_waits();
    release(&a, host_token(1));
    for (;;) {
        peer_push(&b, PAWL_PUSH_RECHECK);
        seen_reply r = peer_call(&b, "acquire", "job", host_token(2), TTL, PAWL_ASK_QUEUE);
        if (r.outcome == PAWL_GRANTED) break;
    }
    peer_stop(&a);
    peer_stop(&b);
}

/* Somebody cleans the directory: the client binds again and is reached again. */
static void test_inbox_removed(void **state)
{
    char command[160];
    (void)state;
    start_peers(2);
    snprintf(command, sizeof(command), "rm -f '%s'-inbox/*", path);
    assert_int_equal(system(command), 0);
    hold(&a, host_token(1));
    queue(&b, host_token(2), 0);
    int64_t until = host_now() + HOST_WAIT_MS * NS_A_MS;
    for (;;) { /* renewals go on; at most a second later the socket is back */
        snprintf(command, sizeof(command), "ls '%s'-inbox | wc -l | grep -q '^2$'", path);
        if (system(command) == 0) break;
        assert_true(host_now() < until);
        peer_call(&a, "renew", "job", host_token(1), TTL, 0);
        queue(&b, host_token(2), 0);
    }
    release(&a, host_token(1));
    peer_push(&b, PAWL_PUSH_GRANT);
    peer_stop(&a);
    peer_stop(&b);
}

/* ---- Many at once -------------------------------------------------------------- */

static void test_created_by_many_at_once(void **state)
{
    peer_process peers[PEERS];
    (void)state;
    for (int round = 0; round < 10; round++) {
        snprintf(path, sizeof(path), "%s/new-%d.db", dir, round);
        for (int i = 0; i < PEERS; i++) peer_launch(&peers[i], path, NULL);
        for (int i = 0; i < PEERS; i++) peer_expect(&peers[i], "up");
        assert_int_equal(peer_call(&peers[0], "acquire", "job", host_token(0), TTL, 0).outcome,
                         PAWL_GRANTED);
        for (int i = 1; i < PEERS; i++) {
            seen_reply r = peer_call(&peers[i], "acquire", "job", host_token(i), TTL, 0);
            assert_int_equal(r.outcome, PAWL_BUSY);
        }
        for (int i = 0; i < PEERS; i++) peer_stop(&peers[i]);
    }
}

static shared_state *share(const char *file)
{
    int fd = open(file, O_RDWR | O_CREAT, 0600);
    assert_true(fd >= 0);
    assert_int_equal(ftruncate(fd, sizeof(shared_state)), 0);
    void *at = mmap(NULL, sizeof(shared_state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    assert_true(at != MAP_FAILED);
    close(fd);
    return at;
}

static void torture(int count, int rounds, const char *think_ms, bool kill_some)
{
    char file[128], rounds_text[16];
    pid_t pids[PEERS];
    snprintf(file, sizeof(file), "%s/shared", dir);
    snprintf(rounds_text, sizeof(rounds_text), "%d", rounds);
    shared_state *shared = share(file);
    memset(shared, 0, sizeof(*shared));
    for (int i = 0; i < count; i++) {
        pids[i] = fork();
        if (pids[i] == 0) {
            execl(peer_program, peer_program, path, "torture", "job", rounds_text, file, think_ms,
                  (char *)NULL);
            _exit(127);
        }
    }
    while (atomic_load(&shared->ready) < count) sched_yield();
    int64_t at = host_now();
    atomic_store(&shared->go, 1);
    for (int i = 0; i < count; i++) {
        int status;
        if (kill_some && i % 2 == 1) {
            /* In the midst of it, at the latest when half of the work is done. */
            while (shared->counter < (uint64_t)(i * rounds / 2)) sched_yield();
            kill(pids[i], SIGKILL);
        }
        assert_int_equal(waitpid(pids[i], &status, 0), pids[i]);
        if (WIFSIGNALED(status) && kill_some && i % 2 == 1) continue;
        assert_int_equal(status, 0);
    }
    double s = ms_since(at) / 1000;
    if (!kill_some) {
        print_message("%d processes, one lock, think time %s ms: %.0f acquisitions per second\n",
                      count, think_ms, (double)(count * rounds) / s);
        assert_int_equal(shared->counter, count * rounds);
    }
    assert_int_equal(atomic_load(&shared->overlaps), 0);
    assert_int_equal(atomic_load(&shared->fence_backs), 0);
    munmap(shared, sizeof(*shared));
}

static void test_torture(void **state)
{
    (void)state;
    torture(PEERS, 500, "0", false);
    torture(2, 1000, "0", false);
    torture(1, 2000, "0", false);
}

static void test_torture_with_deaths(void **state)
{
    (void)state;
    torture(PEERS, 200, "1", true);
}

int main(int argc, char **argv)
{
    const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
        TEST(test_fifo),
        TEST(test_leaving_moves_the_watch),
        TEST(test_kill_holder),
        TEST(test_kill_holder_and_first_waiter),
        TEST(test_dead_waiter_is_skipped),
        TEST(test_forked_child_does_not_hold),
        TEST(test_detached_outlives_its_process),
        TEST(test_detached_waiter),
        TEST(test_stopped_holder_loses_by_ttl),
        TEST(test_stopped_in_a_transaction),
        TEST(test_stopped_waiter_expires),
        TEST(test_other_pid_namespace),
        TEST(test_other_time_namespace),
        TEST(test_no_time_namespaces),
        TEST(test_other_boot_id),
        TEST(test_database_mounted_alone),
        TEST(test_no_inbox),
        TEST(test_inbox_removed),
        TEST(test_created_by_many_at_once),
        TEST(test_torture),
        TEST(test_torture_with_deaths),
#undef TEST
    };
    if (argc != 2) {
        fprintf(stderr, "usage: process_test PEER\n");
        return 64;
    }
    peer_program = argv[1];
    signal(SIGPIPE, SIG_IGN);
    return cmocka_run_group_tests_name("sqlite between processes", tests, NULL, NULL);
}
