/* SPDX-License-Identifier: MIT */
/*
 * A process with one store, led by lines on its standard input:
 *
 *   acquire|renew|release|break|inspect|change NAME TOKEN TTL_MS FLAGS ANSWER_MS
 *   mode MODE UNITS CAPACITY CHANGE   of what is asked from now on
 *   fork          a child that does nothing but live; prints its pid
 *   transaction   opens a write transaction of its own and keeps it
 *   quit
 *
 * What the store says is printed: "up", "down ERR", "reply ID OUTCOME FENCE POSITION
 * HOLDER_MS WAITING ERR", "push KIND TOKEN FENCE WAITING", "row HELD REMAINING_MS WAITERS".
 *
 * `peer PATH torture NAME ROUNDS SHARED THINK_MS` takes the lock ROUNDS times and checks, in
 * the mapped file SHARED, that nobody else is inside and that fences grow.
 */
#define _GNU_SOURCE
#include "host.h"
#include "shared.h"

#include <event2/event.h>
#include <fcntl.h>
#include <poll.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

static host peer;
static char database[4096];
static size_t replies_told, pushes_told, rows_told;
static int downs_told;

/* ---- Led by lines -------------------------------------------------------------- */

static void tell(host *h)
{
    for (; downs_told < h->downs; downs_told++) printf("down %d\n", (int)h->down_err);
    for (; rows_told < h->row_count; rows_told++) {
        const seen_row *row = &h->rows[rows_told % HOST_LOG_MAX];
        printf("row %d %lld %zu\n", row->held, (long long)row->remaining_ms, row->waiter_count);
    }
    for (; replies_told < h->reply_count; replies_told++) {
        const seen_reply *r = &h->replies[replies_told % HOST_LOG_MAX];
        printf("reply %llu %d %llu %lld %lld %d %d\n", (unsigned long long)r->id, (int)r->outcome,
               (unsigned long long)r->fence, (long long)r->position, (long long)r->holder_ms,
               r->waiting, (int)r->err);
    }
    for (; pushes_told < h->push_count; pushes_told++) {
        const seen_push *p = &h->pushes[pushes_told % HOST_LOG_MAX];
        printf("push %d %s %llu %d\n", (int)p->kind, p->token[0] ? p->token : "-",
               (unsigned long long)p->fence, p->waiting);
    }
    fflush(stdout);
}

static void leave_child(void)
{
    pid_t pid = fork();
    if (pid == 0) {
        alarm(60); /* should the test forget it */
        for (;;) pause();
    }
    printf("child %d\n", (int)pid);
    fflush(stdout);
}

static void keep_transaction(void)
{
    static sqlite3 *db;
    sqlite3_open(database, &db);
    sqlite3_busy_timeout(db, HOST_WAIT_MS);
    int rc = sqlite3_exec(db, "BEGIN IMMEDIATE; UPDATE host SET one = 1", NULL, NULL, NULL);
    printf("transaction %d\n", rc);
    fflush(stdout);
}

static bool verb_of(const char *word, pawl_verb *ret_verb)
{
    static const char *const words[] = {"acquire", "renew", "release", "inspect",
                                        "list",    "break", "doctor",  "change"};
    for (int i = 0; i < 8; i++) {
        if (strcmp(word, words[i]) != 0) continue;
        *ret_verb = (pawl_verb)i;
        return true;
    }
    return false;
}

static void set_mode(const char *line)
{
    unsigned mode = 0;
    sscanf(line, "mode %u %u %u %u", &mode, &peer.units, &peer.capacity, &peer.change);
    peer.mode = (pawl_mode)mode;
}

static void obey(char *line)
{
    char word[32] = "", name[128] = "", token[64] = "";
    long long ttl_ms = 0, answer_ms = 5000;
    unsigned flags = 0;
    pawl_verb verb;
    sscanf(line, "%31s %127s %63s %lld %u %lld", word, name, token, &ttl_ms, &flags, &answer_ms);
    if (strcmp(word, "quit") == 0) event_base_loopexit(peer.base, NULL);
    if (strcmp(word, "fork") == 0) leave_child();
    if (strcmp(word, "mode") == 0) set_mode(line);
    if (strcmp(word, "transaction") == 0) keep_transaction();
    if (!verb_of(word, &verb)) return;
    peer.answer_ms = answer_ms;
    host_send(&peer, verb, name, token, ttl_ms, flags, 0);
}

static void on_stdin(int fd, short what, void *ctx)
{
    static char buffer[4096];
    static size_t len;
    (void)what;
    (void)ctx;
    ssize_t n = read(fd, buffer + len, sizeof(buffer) - 1 - len);
    if (n <= 0) {
        event_base_loopexit(peer.base, NULL);
        return;
    }
    len += (size_t)n;
    buffer[len] = '\0';
    char *line = buffer, *end;
    while ((end = strchr(line, '\n'))) {
        *end = '\0';
        obey(line);
        line = end + 1;
    }
    len = strlen(line);
    memmove(buffer, line, len + 1);
}

static int led(void)
{
    struct event *in = event_new(peer.base, STDIN_FILENO, EV_READ | EV_PERSIST, on_stdin, NULL);
    event_add(in, NULL);
    peer.on_event = tell;
    host_run_until(&peer, &peer.up);
    printf("up\n");
    fflush(stdout);
    while (!event_base_got_exit(peer.base)) event_base_loop(peer.base, EVLOOP_ONCE);
    event_free(in);
    host_close(&peer);
    return 0;
}

/* ---- Torture ------------------------------------------------------------------- */

static shared_state *map_shared(const char *path)
{
    int fd = open(path, O_RDWR);
    void *at = mmap(NULL, sizeof(shared_state), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    close(fd);
    return at == MAP_FAILED ? NULL : at;
}

/* Takes the lock, by reply or by push; asks again when told to. */
static uint64_t take(const char *name, const char *token)
{
    seen_reply r = host_call(&peer, PAWL_VERB_ACQUIRE, name, token, 10000, PAWL_ASK_QUEUE);
    for (;;) {
        if (r.outcome == PAWL_GRANTED) return r.fence;
        if (r.outcome != PAWL_QUEUED) return 0;
        for (;;) {
            seen_push push = host_push(&peer);
            if (push.kind == PAWL_PUSH_GRANT && strcmp(push.token, token) == 0) return push.fence;
            if (push.kind == PAWL_PUSH_RECHECK) break;
        }
        r = host_call(&peer, PAWL_VERB_ACQUIRE, name, token, 10000, PAWL_ASK_QUEUE);
    }
}

/* A process that is in there must have been killed there: it is dead within a second. */
static bool died_inside(int pid)
{
    struct pollfd fd = {.fd = (int)syscall(SYS_pidfd_open, pid, 0), .events = POLLIN};
    if (fd.fd < 0) return true;
    bool died = poll(&fd, 1, 1000) == 1;
    close(fd.fd);
    return died;
}

static int torture(const char *name, int rounds, const char *shared_path, int think_ms)
{
    shared_state *shared = map_shared(shared_path);
    if (!shared) return 2;
    host_run_until(&peer, &peer.up);
    atomic_fetch_add(&shared->ready, 1);
    while (!atomic_load(&shared->go)) host_run_ms(&peer, 1);
    for (int i = 0; i < rounds; i++) {
        const char *token = host_token(i);
        uint64_t fence = take(name, token);
        if (fence == 0) return 3;
        int before = atomic_exchange(&shared->inside, (int)getpid());
        if (before != 0 && !died_inside(before)) atomic_fetch_add(&shared->overlaps, 1);
        if (shared->last_fence >= fence) atomic_fetch_add(&shared->fence_backs, 1);
        shared->last_fence = fence;
        shared->counter++; /* not atomic: the lock is what protects it */
        int mine = (int)getpid();
        if (!atomic_compare_exchange_strong(&shared->inside, &mine, 0)) {
            atomic_fetch_add(&shared->overlaps, 1);
        }
        seen_reply r = host_call(&peer, PAWL_VERB_RELEASE, name, token, 0, 0);
        if (r.outcome != PAWL_RELEASED) return 4;
        if (think_ms > 0) host_run_ms(&peer, think_ms);
    }
    host_close(&peer);
    return 0;
}

int main(int argc, char **argv)
{
    if (argc < 2) return 64;
    snprintf(database, sizeof(database), "%s", argv[1]);
    host_start(&peer, database);
    if (argc == 7) return torture(argv[3], atoi(argv[4]), argv[5], atoi(argv[6]));
    return led();
}
