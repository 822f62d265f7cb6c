/* SPDX-License-Identifier: MIT */
/* A run of a program: clients are opened, users do what is written, all is closed and counted. */
#define _GNU_SOURCE
#include "run.h"

#include "files.h"
#include "snapshot.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

run_state *R;

void run_start(void *room)
{
    R = room;
}

void run_keep(void)
{
    snapshot_keep(R, sizeof *R);
}

void run_watch(void)
{
    S->on_idle = check_idle;
    S->on_step = check_step;
    S->on_signal = run_on_signal;
}

/* Whether a call of the program, or a callback of one, does it. */
static bool has_op(const program *p, unsigned kind)
{
    for (int i = 0; i < p->handles; i++)
        if (p->handle[i].on_event == kind) return true;
    for (int u = 0; u < p->users; u++)
        for (int i = 0; i < p->user[u].count; i++)
            if (p->user[u].ops[i].kind == kind || p->user[u].ops[i].then == kind) return true;
    return false;
}

/* Every answer and every push comes, though perhaps late. */
static bool store_says_all(const program *p)
{
    const store_habits *h = &p->habits;
    return !h->lost && !h->push_lost && !h->push_late && !h->link_down && !h->never && !h->twice &&
           !h->wrong_id;
}

static bool store_is_good(const program *p)
{
    return store_says_all(p) && !p->habits.late;
}

static bool has_mode(const program *p, pawl_callbacks mode)
{
    for (int i = 0; i < p->clients; i++)
        if (p->client[i].callbacks == mode) return true;
    return false;
}

static int16_t shortest_ttl(const program *p)
{
    int16_t ttl = 30000;
    for (int i = 0; i < p->handles; i++)
        if (p->handle[i].ttl_ms < ttl) ttl = p->handle[i].ttl_ms;
    return ttl;
}

/*
 * An answer is late by less than the first try of a renewal has time for. That begins after a
 * third of the ttl, and a lease that was handed on ends after two thirds, less the margin.
 */
static bool answers_in_time(const program *p)
{
    return store_says_all(p) && (!p->habits.late || p->habits.late_max_ms < shortest_ttl(p) / 5);
}

/* What may be asked of the run. */
static void set_expectations(const program *p)
{
    R->exclusive = !has_op(p, OP_BREAK) && !has_op(p, OP_TOKEN_RELEASE) && !p->habits.wrong_id &&
                   !p->habits.twice;
    R->steady = R->exclusive && !p->stalls_anywhere && answers_in_time(p) &&
                !has_op(p, OP_TOKEN_RENEW) && S->plan.time_chance == 0 &&
                !has_mode(p, PAWL_CALLBACKS_WAIT) && shortest_ttl(p) >= 300 &&
                !has_op(p, OP_FORK) && !has_op(p, OP_CLOSE) && !has_op(p, OP_CLOSE_LAST);
    R->timely = store_is_good(p) && !p->stalls_anywhere && S->plan.time_chance == 0 &&
                !has_mode(p, PAWL_CALLBACKS_WAIT) && !has_op(p, OP_FORK);
    R->prompt = store_says_all(p) && !p->stall_ms && S->plan.time_chance == 0 &&
                !has_mode(p, PAWL_CALLBACKS_WAIT) && !has_op(p, OP_FORK) && !has_op(p, OP_EXIT) &&
                !has_op(p, OP_CLOSE) && !has_op(p, OP_CLOSE_LAST);
    /* Whose callbacks the program runs may stand in the gate until it does. */
    R->gates_move =
        R->prompt && !(has_op(p, OP_GATHER_START) && has_mode(p, PAWL_CALLBACKS_DISPATCH));
    R->has_client_without_thread = has_mode(p, PAWL_CALLBACKS_WAIT);
}

static void open_clients(const program *p)
{
    for (int i = 0; i < p->clients; i++) {
        pawl_open_opts opts;
        pawl_open_opts_init(&opts);
        opts.owner = "user";
        opts.store_timeout_ms = STORE_TIMEOUT_MS;
        opts.close_timeout_ms = p->close_timeout_ms;
        opts.callbacks = p->client[i].callbacks;
        if (p->client[i].log) opts.log = run_on_log;
        opts.log_userdata = opts.trace_userdata = &R->clients[i];
        if (p->client[i].traced) opts.trace = run_on_trace;
        if (p->client[i].traced) opts.metrics = R->metrics;
        char message[PAWL_MESSAGE_MAX];
        const char *url = p->client[i].spied ? "hostile:x" : "memory:x";
        int err = pawl_client_open(url, &opts, &R->clients[i].client, message);
        if (err) fail("open", "%s", message);
    }
}

static void make_handles(const program *p)
{
    for (int i = 0; i < p->handles; i++) {
        pawl_lock_opts opts;
        pawl_lock_opts_init(&opts);
        opts.ttl_ms = p->handle[i].ttl_ms;
        opts.retain_ms = p->handle[i].retain_ms;
        opts.mode = (pawl_mode)p->handle[i].mode;
        opts.units = p->handle[i].units;
        opts.capacity = p->handle[i].units ? PERMITS : 0;
        if (p->handle[i].reentrant) opts.flags |= PAWL_LOCK_REENTRANT;
        if (p->handle[i].events) opts.on_event = run_on_event;
        opts.event_userdata = &R->handles[i];
        static const char *const names[] = {"b", "a", "b"};
        const char *const *from = p->handle[i].name ? names : names + 1;
        size_t count = p->handle[i].several ? 2 : 1;
        pawl_client *c = R->clients[p->handle[i].client].client;
        if (pawl_lock_new_all(c, from, count, &opts, &R->handles[i].lock))
            fail("open", "no handle");
    }
}

/* A program's own handler of fork may ask what it likes: it hears an error, but does not hang. */
static void after_fork(void)
{
    char message[PAWL_MESSAGE_MAX];
    if (!R->clients[0].gone) pawl_client_message(R->clients[0].client, message);
}

static void *run_user(void *arg)
{
    const program *p = R->program;
    int user = (int)(intptr_t)arg;
    for (int i = 0; i < p->user[user].count; i++) run_op(&p->user[user].ops[i]);
    return NULL;
}

static bool users_ended(const void *arg)
{
    const program *p = arg;
    for (int u = 0; u < p->users; u++)
        if (S->threads[R->user_ids[u]].state == THREAD_LIVES) return false;
    return true;
}

/* Of 2 s each: eight leases of the default ttl run out meanwhile, one after the other. */
#define PATIENCE_ROUNDS 130

/* A wait without end is cancelled after a while, because the others may hold what it waits for. */
static void wait_for_users(const program *p)
{
    for (int round = 1; !sched_wait("waits for the users", R, users_ended, p, S->now + 2000 * MS);
         round++) {
        trace(true, "cancels everybody");
        for (int i = 0; i < p->handles; i++)
            if (R->handles[i].lock && !R->handles[i].freed) {
                R->handles[i].users++;
                R->handles[i].calls++;
                (void)pawl_lock_cancel(R->handles[i].lock);
                R->handles[i].users--;
                order_release(&R->handles[i]);
            }
        if (round == PATIENCE_ROUNDS) {
            for (int u = 0; u < p->users; u++)
                if (S->threads[R->user_ids[u]].state == THREAD_LIVES)
                    fail("hang", "user %d does not come back: %s", u,
                         S->threads[R->user_ids[u]].what);
        }
    }
    for (int u = 0; u < p->users; u++) sched_join(R->user_ids[u], NULL);
}

static void free_all(const program *p)
{
    for (int i = p->handles; i-- > 0;) {
        handle_state *h = &R->handles[i];
        if (h->freed || !h->lock) continue;
        h->users++; /* its callbacks may run until it is freed */
        h->freed = true;
        order_acquire(h);
        pawl_lock_free(h->lock);
        h->users--;
    }
}

/* Everything was given back: another client gets each name, at the latest when the longest lease is
 * over. */
static void acquire_beside(void)
{
    pawl_client *c;
    pawl_lock *lock;
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    if (pawl_client_open("memory:x", NULL, &c, NULL)) fail("open", "no client");
    for (int name = 0; name < 2; name++) {
        if (pawl_lock_new(c, name ? "b" : "a", 1, &opts, &lock)) fail("open", "no handle");
        int err = pawl_lock_acquire(lock, 10000);
        if (err && err != PAWL_ERR_KIND) /* a detached lease on permits */
            fail("kept", "all was given back, and nobody gets %c: %s", 'a' + name,
                 pawl_err_name(err));
        pawl_lock_free(lock);
    }
    pawl_client_close(c);
}

/* After the users. */
static void probe(const program *p)
{
    int64_t jumps = S->jumps;
    sched_wait("waits for the retained", R, run_never, NULL, S->now + (RETAIN_MAX_MS + 50) * MS);
    if (S->jumps == jumps) check_caches("its retention");
    free_all(p);
    acquire_beside();
}

static void close_all(const program *p)
{
    for (int i = 0; i < p->clients; i++) {
        op o = {.kind = OP_CLOSE, .target = (uint8_t)i};
        run_op(&o);
    }
    free_all(p);
}

void run_body(void *arg)
{
    const program *p = arg;
    memset(R, 0, sizeof *R);
    R->program = p;
    files_set_processors(p->one_cpu ? 1 : 2);
    set_expectations(p);
    if (has_op(p, OP_FORK)) pthread_atfork(NULL, after_fork, NULL);
    if (pawl_metrics_new(NULL, &R->metrics)) fail("open", "no metrics");
    R->descriptor = has_mode(p, PAWL_CALLBACKS_WAIT) ? eventfd(0, EFD_CLOEXEC) : -1;
    open_clients(p);
    make_handles(p);
    for (int u = 0; u < p->users; u++) {
        char name[16];
        snprintf(name, sizeof name, "user %d", u);
        R->user_ids[u] = sched_spawn(name, true, run_user, (void *)(intptr_t)u);
    }
    wait_for_users(p);
    check_losses_told();
    if (p->probed) probe(p);
    close_all(p);
    if (R->descriptor >= 0) close(R->descriptor);
    pawl_metrics_free(R->metrics);
    check_nothing_left();
}
