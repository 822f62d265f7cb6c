/* SPDX-License-Identifier: MIT */
/*
 * The queue of callbacks alone: one callback at a time for a client, whoever asks for more.
 * Method: entries whose callback is a function of the test, and threads that meet inside it.
 */
#define _GNU_SOURCE
#include "runtime/calls.h"
#include "runtime/process.h"
#include "runtime/trace.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct entry entry;

struct entry {
    pawl__link in_calls;
    pawl__calls *calls;
    void (*say)(entry *e);
    sem_t begun, may_end;
    _Atomic int ran;   /* how often it ran */
    _Atomic int inner; /* what pawl__calls_run said inside it */
};

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pid_t forked; /* -1: not yet */
static int lines;    /* that the log hook was told */
static int heard;    /* that the hook of events was told */

static size_t page_size(void)
{
    return (size_t)sysconf(_SC_PAGESIZE);
}

static bool run(pawl_client *client, pawl__link *link)
{
    (void)client;
    entry *e = pawl__container(link, entry, in_calls);
    pawl__calls *calls = e->calls;
    pawl__list_remove(link);
    uint64_t process = pawl__calls_begin(calls, e);
    atomic_fetch_add(&e->ran, 1);
    if (e->say) e->say(e);
    return pawl__calls_end(calls, process);
}

static void announce(pawl_client *client)
{
    (void)client;
}

static pawl__trace *trace; /* whose notes they are */

static bool run_note(pawl_client *client, pawl__link *note)
{
    (void)client;
    return pawl__trace_run(trace, note);
}

static const pawl__calls_ops ops = {.run = run, .run_note = run_note, .announce = announce};

static void make(pawl__calls *calls)
{
    pawl_open_opts opts = {.callbacks = PAWL_CALLBACKS_WAIT};
    pawl__calls_init(calls, &ops, NULL, &mutex, &opts);
}

static void unmake(pawl__calls *calls)
{
    pawl__calls_free_parts(calls);
    pawl__calls_destroy(calls);
}

static void add(pawl__calls *calls, entry *e, void (*say)(entry *))
{
    *e = (entry){.calls = calls, .say = say};
    sem_init(&e->begun, 0, 0);
    sem_init(&e->may_end, 0, 0);
    pawl__list_init(&e->in_calls);
    pthread_mutex_lock(&mutex);
    pawl__calls_add(calls, &e->in_calls);
    pthread_mutex_unlock(&mutex);
}

static int run_all(pawl__calls *calls)
{
    pthread_mutex_lock(&mutex);
    int count = pawl__calls_run(calls, 10);
    pthread_mutex_unlock(&mutex);
    return count;
}

/* ---- A callback that asks for more ---------------------------------------------------------- */

static void ask_for_more(entry *e)
{
    atomic_store(&e->inner, run_all(e->calls));
}

static void test_none_runs_inside_another(void **state)
{
    (void)state;
    pawl__calls calls;
    entry first, second;
    make(&calls);
    add(&calls, &first, ask_for_more);
    add(&calls, &second, NULL);
    assert_int_equal(run_all(&calls), 2);
    assert_int_equal(atomic_load(&first.inner), 0); /* it ran none */
    assert_int_equal(atomic_load(&second.ran), 1);
    unmake(&calls);
}

/* ---- Threads that ask for more -------------------------------------------------------------- */

static void stay(entry *e)
{
    sem_post(&e->begun);
    while (sem_wait(&e->may_end)) continue;
}

static void *run_on_thread(void *arg)
{
    run_all(arg);
    return NULL;
}

static void test_none_runs_beside_another(void **state)
{
    (void)state;
    pawl__calls calls;
    entry first, second;
    pthread_t thread;
    make(&calls);
    add(&calls, &first, stay);
    add(&calls, &second, NULL);
    assert_int_equal(pthread_create(&thread, NULL, run_on_thread, &calls), 0);
    while (sem_wait(&first.begun)) continue;
    assert_int_equal(run_all(&calls), 0); /* here; the thread is in a callback */
    assert_int_equal(atomic_load(&second.ran), 0);
    sem_post(&first.may_end);
    pthread_join(thread, NULL);
    assert_int_equal(atomic_load(&second.ran), 1);
    unmake(&calls);
}

/* ---- Bounds --------------------------------------------------------------------------------- */

static void test_a_run_ends_at_its_bound(void **state)
{
    (void)state;
    pawl__calls calls;
    entry entries[3];
    make(&calls);
    for (int i = 0; i < 3; i++) add(&calls, &entries[i], NULL);
    pthread_mutex_lock(&mutex);
    assert_int_equal(pawl__calls_run(&calls, 2), 2);
    assert_false(pawl__calls_none(&calls));
    assert_int_equal(pawl__calls_run(&calls, 2), 1);
    assert_true(pawl__calls_none(&calls));
    pthread_mutex_unlock(&mutex);
    unmake(&calls);
}

static void test_what_waits_runs_at_the_finish(void **state)
{
    (void)state;
    pawl__calls calls;
    entry first, second;
    make(&calls);
    add(&calls, &first, NULL);
    add(&calls, &second, NULL);
    assert_true(pawl__calls_finish(&calls));
    assert_int_equal(atomic_load(&first.ran) + atomic_load(&second.ran), 2);
    unmake(&calls);
}

/* ---- A callback that forks ------------------------------------------------------------------ */

/* Stands for a child that closes the client: what the queue is made of can be touched no more. */
static void fork_and_take_away(pawl__calls *calls)
{
    forked = fork();
    if (forked == 0 && mprotect(calls, page_size(), PROT_NONE)) _exit(9);
}

static void fork_in_entry(entry *e)
{
    fork_and_take_away(e->calls);
}

static void log_and_fork(pawl_client *client, pawl_severity severity, const char *text, void *arg)
{
    (void)client, (void)severity, (void)text;
    if (forked < 0) fork_and_take_away(arg);
    lines++;
}

static void hear(pawl_client *client, const pawl_trace *event, void *arg)
{
    (void)client, (void)event, (void)arg;
    heard++;
}

static void run_in_both_processes(pawl__calls *calls)
{
    pthread_mutex_lock(&mutex);
    int ran = pawl__calls_run(calls, 10);
    if (forked == 0) _exit(ran == PAWL_ERR_FORKED ? 0 : 1);
    pthread_mutex_unlock(&mutex);
    int status;
    assert_true(forked > 0);
    assert_int_equal(waitpid(forked, &status, 0), forked);
    assert_int_equal(status, 0);
}

static void test_a_child_may_free_all_inside_the_callback(void **state)
{
    (void)state;
    pawl__process_start();
    struct {
        pawl__calls calls;
        pawl__trace trace;
    } *all = mmap(NULL, page_size(), PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_true(all != MAP_FAILED && sizeof *all <= page_size());
    pawl__calls *calls = &all->calls;
    entry first;
    make(calls);
    add(calls, &first, fork_in_entry);
    forked = -1;
    run_in_both_processes(calls);
    trace = &all->trace;
    pawl__trace_init(trace, calls,
                     &(pawl_open_opts){.log = log_and_fork, .log_userdata = calls, .trace = hear});
    trace->lines_dropped = 1; /* which a line of its own tells */
    pthread_mutex_lock(&mutex);
    pawl__trace_tell(trace, &(pawl_trace){.kind = PAWL_TRACE_LOST, .message = "a line"});
    pthread_mutex_unlock(&mutex);
    forked = -1;
    run_in_both_processes(calls);
    assert_int_equal(lines, 2);
    assert_int_equal(heard, 1);
    pawl__trace_free_parts(trace);
    unmake(calls);
    munmap(all, page_size());
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none_runs_inside_another),
        cmocka_unit_test(test_none_runs_beside_another),
        cmocka_unit_test(test_a_run_ends_at_its_bound),
        cmocka_unit_test(test_what_waits_runs_at_the_finish),
        cmocka_unit_test(test_a_child_may_free_all_inside_the_callback),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
