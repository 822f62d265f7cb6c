/* SPDX-License-Identifier: MIT */
/*
 * The queue of callbacks alone: one callback at a time for a client, whoever asks for more.
 * Method: entries whose callback is a function of the test, and threads that meet inside it.
 */
#include "runtime/calls.h"

#include <semaphore.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

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

static bool run(pawl_client *client, pawl__link *link)
{
    (void)client;
    entry *e = pawl__container(link, entry, in_calls);
    pawl__list_remove(link);
    pawl__calls_begin(e->calls, e);
    atomic_fetch_add(&e->ran, 1);
    if (e->say) e->say(e);
    return pawl__calls_end(e->calls);
}

static void announce(pawl_client *client)
{
    (void)client;
}

static const pawl__calls_ops ops = {.run = run, .announce = announce};

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_none_runs_inside_another),
        cmocka_unit_test(test_none_runs_beside_another),
        cmocka_unit_test(test_a_run_ends_at_its_bound),
        cmocka_unit_test(test_what_waits_runs_at_the_finish),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
