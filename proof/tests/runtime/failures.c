/* SPDX-License-Identifier: MIT */
/*
 * Goal: several names, once, election, latch and barrier stay honest when an allocation or a system
 * call of the client fails, whichever it is. Method: on the memory store a scene is played
 * again and again; each time the next one fails, once, or it and all that follow.
 *
 *     failures memory|calls
 *
 * A call that says 0 has done it, one with an error that is not UNKNOWN has not, each call that was
 * started is told once, nothing hangs, nothing leaks (ASan), and then all works again.
 */
#include "pawl/composed.h"
#include "pawl/pawl.h"

#include "../support/check.h"
#include "../support/failing.h"

#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define URL         "memory:failures"
#define SHORT_MS    100 /* the leases of those that fail: what they could not give back runs out */
#define LONG_MS     30000
#define WAIT_MS     100
#define PATIENCE_MS 30000
#define ALARM_S     100 /* longer is hanging */
#define ROUNDS_MAX  100 /* at a barrier whose parties of before are still on their way out */

static failing_what what;
static bool for_ever;
static unsigned n;
static const char *scene;

#define EXPECT(condition)                                                                          \
    do {                                                                                           \
        if (!(condition))                                                                          \
            FAIL_TEST("%s, failure %u%s (%s): not so: %s", scene, n, for_ever ? " and on" : "",    \
                      failing_victim(), #condition);                                               \
    } while (0)

static void on_alarm(int number)
{
    char line[200];
    failing_spare(1);
    int len = snprintf(line, sizeof line, "it hangs: %s, failure %u%s: %s\n", scene, n,
                       for_ever ? " and all behind it" : "", failing_victim());
    (void)number;
    (void)!write(STDERR_FILENO, line, (size_t)len);
    _exit(1);
}

/* ---- Clients and their callbacks ----------------------------------------------------------- */

/* How long a client waits for its store, which is in this process. NULL: it could not be opened. */
static pawl_client *open_client(int64_t patience_ms)
{
    pawl_client *client = NULL;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.store_timeout_ms = patience_ms;
    opts.close_timeout_ms = patience_ms;
    return pawl_client_open(URL, &opts, &client, NULL) ? NULL : client;
}

/* The memory store lives as long as a client of it. This one has no thread. */
static pawl_client *open_keeper(void)
{
    pawl_client *client = NULL;
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_WAIT;
    CHECK(pawl_client_open(URL, &opts, &client, NULL) == PAWL_OK);
    return client;
}

static pawl_client *open_now(void)
{
    pawl_client *client = open_client(PATIENCE_MS);
    EXPECT(client);
    return client;
}

typedef struct told {
    int started; /* what the call returned that was to be told later */
    atomic_int times, err;
} told;

static void on_done(pawl_lock *lock, int err, void *userdata)
{
    told *t = userdata;
    (void)lock;
    atomic_store(&t->err, err);
    atomic_fetch_add(&t->times, 1);
}

/* After the close, which waits for callbacks. */
static void expect_told(const told *t)
{
    EXPECT(atomic_load(&t->times) == (t->started == PAWL_OK));
}

/* A name that no earlier scene has used. */
static const char *new_name(void)
{
    static char name[40];
    static unsigned count;
    snprintf(name, sizeof name, "scene-%u", ++count);
    return name;
}

static int64_t ttl_ms; /* of all leases now */

static pawl_lock *lock_of(pawl_client *client, const char *name)
{
    pawl_lock *lock = NULL;
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = ttl_ms;
    return pawl_lock_new(client, name, strlen(name), &opts, &lock) ? NULL : lock;
}

/* ---- Several names ------------------------------------------------------------------------- */

static void have_all(pawl_lock *all)
{
    bool held = pawl_lock_acquire(all, WAIT_MS) == PAWL_OK;
    if (!held) EXPECT(!pawl_lock_is_held(all));
    if (held) EXPECT(pawl_lock_fence(all) > 0);
    if (held) (void)pawl_lock_release(all);
    EXPECT(!pawl_lock_is_held(all));
}

static void play_several(pawl_client *client, const char *name)
{
    char others[2][48];
    const char *names[3] = {name, others[0], others[1]};
    pawl_lock *all = NULL;
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = ttl_ms;
    for (int i = 0; i < 2; i++) snprintf(others[i], sizeof others[i], "%s-%d", name, i);
    if (client && !pawl_lock_new_all(client, names, 3, &opts, &all)) have_all(all);
    pawl_lock_free(all);
}

/* Who comes afterwards gets each of them. */
static void after_several(pawl_client *client, const char *name)
{
    char each[48];
    for (int i = -1; i < 2; i++) {
        snprintf(each, sizeof each, i < 0 ? "%s" : "%s-%d", name, i);
        pawl_lock *lock = lock_of(client, each);
        EXPECT(lock && pawl_lock_acquire(lock, PATIENCE_MS) == PAWL_OK);
        pawl_lock_free(lock);
    }
}

/* ---- Once ---------------------------------------------------------------------------------- */

static int once_ended; /* what the end of the run has said; 1: it has not begun */

static pawl_once *once_of(pawl_client *client, const char *name)
{
    pawl_once *once = NULL;
    pawl_once_opts opts;
    pawl_lock_opts of_lock;
    pawl_lock_opts_init(&of_lock);
    of_lock.ttl_ms = ttl_ms;
    pawl_once_opts_init(&opts);
    opts.every_ms = PAWL_ONCE_EVERY_MAX_MS; /* no test lives so long */
    opts.lock = &of_lock;
    return pawl_once_new(client, name, strlen(name), &opts, &once) ? NULL : once;
}

static void play_once(pawl_client *client, const char *name)
{
    once_ended = 1;
    pawl_once *once = client ? once_of(client, name) : NULL;
    if (!once) return;
    int err = pawl_once_begin(once, WAIT_MS);
    EXPECT(err != PAWL_ERR_DONE);
    if (!err) once_ended = pawl_once_end(once, true, WAIT_MS);
    EXPECT(!pawl_lock_is_held(pawl_once_lock(once)));
    pawl_once_free(once);
}

static void after_once(pawl_client *client, const char *name)
{
    pawl_once *once = once_of(client, name);
    EXPECT(once);
    int err = pawl_once_begin(once, PATIENCE_MS);
    if (once_ended == PAWL_OK) EXPECT(err == PAWL_ERR_DONE);
    if (once_ended != PAWL_OK && once_ended != PAWL_ERR_UNKNOWN) EXPECT(err == PAWL_OK);
    pawl_once_free(once);
}

/* ---- Election ------------------------------------------------------------------------------ */

static atomic_int lead; /* 0: it has proclaimed, and leads */

static void on_leader(const pawl_leader *leader, void *userdata)
{
    atomic_int *times = userdata;
    atomic_fetch_add(times, 1);
    if (lead == PAWL_OK && leader->leads && leader->value)
        EXPECT(strcmp(leader->value, "here") == 0);
}

static told waits; /* the call that is told later */

static void ask_and_resign(pawl_client *client, pawl_lock *lock, const char *name)
{
    atomic_int times = 0;
    int err = pawl_election_leader(client, name, strlen(name), WAIT_MS, on_leader, &times);
    EXPECT(atomic_load(&times) == (err == PAWL_OK));
    EXPECT(pawl_election_resign(lock, WAIT_MS) != PAWL_ERR_NO_MEMORY);
    EXPECT(!pawl_lock_is_held(lock));
}

static void resign_later(pawl_client *client, pawl_lock *lock, const char *name)
{
    (void)client;
    (void)name;
    waits.started = pawl_election_resign_start(lock, WAIT_MS, on_done, &waits);
    if (waits.started) EXPECT(!pawl_lock_is_held(lock));
    while (!waits.started && !atomic_load(&waits.times))
        sched_yield(); /* the lock must live so long */
    EXPECT(!pawl_lock_is_held(lock));
}

static void lead_and(pawl_client *client, const char *name,
                     void (*end)(pawl_client *client, pawl_lock *lock, const char *name))
{
    atomic_int seen = 0;
    pawl_observer *observer = NULL;
    pawl_lock *lock = client ? lock_of(client, name) : NULL;
    lead = 1;
    if (!lock) return;
    int err = pawl_election_observe(client, name, strlen(name), on_leader, &seen, &observer);
    EXPECT((err == PAWL_OK) == (observer != NULL));
    err = pawl_lock_acquire(lock, WAIT_MS);
    if (!err) lead = pawl_election_proclaim(lock, "here", 4, WAIT_MS);
    if (!err) end(client, lock, name);
    pawl_observer_stop(observer);
    pawl_lock_free(lock);
}

static void play_election(pawl_client *client, const char *name)
{
    lead_and(client, name, ask_and_resign);
}

static void play_resigning(pawl_client *client, const char *name)
{
    waits.started = 1;
    lead_and(client, name, resign_later);
}

static void after_election(pawl_client *client, const char *name)
{
    pawl_lock *lock = lock_of(client, name);
    EXPECT(lock && pawl_lock_acquire(lock, PATIENCE_MS) == PAWL_OK);
    EXPECT(pawl_election_proclaim(lock, "next", 4, PATIENCE_MS) == PAWL_OK);
    pawl_lock_free(lock);
}

static void after_resigning(pawl_client *client, const char *name)
{
    expect_told(&waits);
    after_election(client, name);
}

/* ---- Latch --------------------------------------------------------------------------------- */

#define COUNT 3
static int counted, perhaps; /* how often it was counted down */

static pawl_latch *latch_of(pawl_client *client, const char *name)
{
    pawl_latch *latch = NULL;
    pawl_latch_opts opts;
    pawl_latch_opts_init(&opts);
    opts.count = COUNT;
    opts.ttl_ms = ttl_ms;
    return pawl_latch_new(client, name, strlen(name), &opts, &latch) ? NULL : latch;
}

static void play_latch(pawl_client *client, const char *name)
{
    counted = perhaps = 0;
    waits.started = 1;
    pawl_latch *latch = client ? latch_of(client, name) : NULL;
    pawl_latch *other = latch ? latch_of(client, name) : NULL;
    if (other) waits.started = pawl_latch_wait_start(other, PATIENCE_MS, on_done, &waits);
    for (int i = 0; latch && i < COUNT; i++) {
        int err = pawl_latch_count_down(latch, 1, WAIT_MS);
        counted += err == PAWL_OK;
        perhaps += err == PAWL_ERR_UNKNOWN;
    }
    pawl_latch_free(latch);
    pawl_latch_free(other);
}

static void after_latch(pawl_client *client, const char *name)
{
    pawl_latch *latch = latch_of(client, name);
    EXPECT(latch && pawl_latch_look(latch, PATIENCE_MS) == PAWL_OK);
    int left = (int)pawl_latch_left(latch);
    EXPECT(left <= COUNT - counted && left >= COUNT - counted - perhaps);
    expect_told(&waits);
    if (waits.started == PAWL_OK && atomic_load(&waits.err) == PAWL_OK) EXPECT(left == 0);
    EXPECT(pawl_latch_count_down(latch, COUNT, PATIENCE_MS) == PAWL_OK);
    pawl_latch_free(latch);
}

/* ---- Barrier ------------------------------------------------------------------------------- */

static pawl_barrier *barrier_of(pawl_client *client, const char *name)
{
    pawl_barrier *barrier = NULL;
    pawl_barrier_opts opts;
    pawl_barrier_opts_init(&opts);
    opts.parties = 2;
    opts.ttl_ms = ttl_ms;
    return pawl_barrier_new(client, name, strlen(name), &opts, &barrier) ? NULL : barrier;
}

static void play_barrier(pawl_client *client, const char *name)
{
    waits.started = 1;
    pawl_barrier *barrier = client ? barrier_of(client, name) : NULL;
    pawl_barrier *other = barrier ? barrier_of(client, name) : NULL;
    if (other) waits.started = pawl_barrier_wait_start(other, PATIENCE_MS, on_done, &waits);
    if (barrier && pawl_barrier_wait(barrier, WAIT_MS) == PAWL_OK)
        EXPECT(pawl_barrier_generation(barrier) == 1);
    pawl_barrier_free(barrier);
    pawl_barrier_free(other);
}

/* The leases of those before may have to run out first, and break a round. */
static void after_barrier(pawl_client *client, const char *name)
{
    pawl_barrier *barrier = barrier_of(client, name), *other = barrier_of(client, name);
    expect_told(&waits);
    EXPECT(barrier && other);
    int err = PAWL_ERR_BROKEN;
    for (int i = 0; err && i < ROUNDS_MAX; i++) {
        told together = {0};
        together.started = pawl_barrier_wait_start(other, PATIENCE_MS, on_done, &together);
        EXPECT(together.started == PAWL_OK);
        err = pawl_barrier_wait(barrier, PATIENCE_MS);
        while (!atomic_load(&together.times)) sched_yield(); /* broken is told to both */
    }
    EXPECT(err == PAWL_OK);
    pawl_barrier_free(barrier);
    pawl_barrier_free(other);
}

/* ---- Each fails ---------------------------------------------------------------------------- */

typedef struct act {
    const char *title;
    void (*play)(pawl_client *client,
                 const char *name); /* while something fails; NULL: no client */
    void (*after)(pawl_client *client, const char *name); /* when all works again */
} act;

static const act acts[] = {
    {"several names", play_several, after_several},
    {"once", play_once, after_once},
    {"election", play_election, after_election},
    {"resigning", play_resigning, after_resigning},
    {"latch", play_latch, after_latch},
    {"barrier", play_barrier, after_barrier},
};

/* How many could have failed. */
static unsigned play(const act *a)
{
    const char *name = new_name();
    atomic_store(&waits.times, 0);
    alarm(ALARM_S);
    ttl_ms = SHORT_MS;
    failing_arm(what, n, for_ever);
    pawl_client *client = open_client(WAIT_MS);
    a->play(client, name);
    pawl_client_close(client);
    unsigned reached = failing_disarm();
    ttl_ms = LONG_MS;
    client = open_now();
    a->after(client, name);
    pawl_client_close(client);
    alarm(0);
    return reached;
}

static void fail_each(const act *a)
{
    scene = a->title;
    n = UINT_MAX; /* nothing fails yet */
    unsigned most = play(a);
    for (n = 1; n <= most; n++) {
        unsigned reached = play(a);
        if (reached > most) most = reached; /* the client goes another way */
    }
    printf("# %s: %u failures%s\n", scene, most, for_ever ? ", each with all behind it" : "");
}

int main(int argc, char **argv)
{
    if (argc != 2) return 64;
    what = strcmp(argv[1], "memory") == 0 ? FAILING_MEMORY : FAILING_CALLS;
    signal(SIGALRM, on_alarm);
    signal(SIGPIPE, SIG_IGN);
    pawl_client *keeper = open_keeper();
    size_t count = sizeof acts / sizeof acts[0];
    printf("1..%zu\n", 2 * count);
    for (size_t i = 0; i < 2 * count; i++) {
        for_ever = i >= count;
        fail_each(&acts[i % count]);
        printf("ok %zu - %s%s\n", i + 1, scene, for_ever ? ", and all behind it" : "");
        fflush(stdout);
    }
    pawl_client_close(keeper);
    return 0;
}
