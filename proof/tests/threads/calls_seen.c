/* SPDX-License-Identifier: MIT */
/* Programs on the queue of callbacks (src/runtime/calls.h), whose callbacks look for company. */
#include "floors.h"

#include "runtime/calls.h"

#include <stdatomic.h>

#define ENTRIES 2

static pthread_mutex_t mutex;
static pawl__calls calls;
static pawl__link entries[ENTRIES];
static _Atomic int inside, ran;

static bool run(pawl_client *client, pawl__link *entry)
{
    (void)client;
    pawl__list_remove(entry);
    uint64_t process = pawl__calls_begin(&calls, entry);
    floor_expect(atomic_fetch_add(&inside, 1) == 0, "two callbacks run at a time");
    atomic_fetch_add(&ran, 1);
    atomic_fetch_sub(&inside, 1);
    return pawl__calls_end(&calls, process);
}

static void announce(pawl_client *client)
{
    (void)client;
}

static bool await(pawl_client *client)
{
    (void)client;
    return false;
}

static const pawl__calls_ops ops = {.run = run, .announce = announce, .await = await};

static void begin(pawl_callbacks mode)
{
    pawl_open_opts opts = {.callbacks = mode};
    inside = ran = 0;
    pthread_mutex_init(&mutex, NULL);
    pawl__calls_init(&calls, &ops, NULL, &mutex, &opts);
    pthread_mutex_lock(&mutex);
    floor_expect(pawl__calls_need(&calls) == PAWL_OK, "there is no thread for callbacks");
    for (int i = 0; i < ENTRIES; i++) {
        pawl__list_init(&entries[i]);
        pawl__calls_add(&calls, &entries[i]);
    }
    pthread_mutex_unlock(&mutex);
}

static void end(void)
{
    floor_expect(pawl__calls_finish(&calls), "nobody has forked");
    floor_expect(ran == ENTRIES, "a callback did not run, or ran twice");
    pawl__calls_free_parts(&calls);
    pawl__calls_destroy(&calls);
    pthread_mutex_destroy(&mutex);
}

static void *run_all(void *arg)
{
    pthread_mutex_lock(&mutex);
    pawl__calls_run(&calls, ENTRIES);
    pthread_mutex_unlock(&mutex);
    return arg;
}

void floor_calls_run_beside_a_run(void)
{
    pthread_t thread;
    begin(PAWL_CALLBACKS_WAIT);
    pthread_create(&thread, NULL, run_all, NULL);
    run_all(NULL);
    pthread_join(thread, NULL);
    end();
}

void floor_calls_run_beside_a_finish(void)
{
    pthread_t thread;
    begin(PAWL_CALLBACKS_WAIT);
    pthread_create(&thread, NULL, run_all, NULL);
    floor_expect(pawl__calls_finish(&calls), "nobody has forked");
    floor_expect(atomic_load(&inside) == 0 && ran == ENTRIES, "the finish left a callback");
    pthread_join(thread, NULL);
    end();
}

/* Once it has been waited for, no callback of the entry runs, and what it needs may go. */
void floor_calls_wait_for_one(void)
{
    pthread_t thread;
    begin(PAWL_CALLBACKS_WAIT);
    pthread_create(&thread, NULL, run_all, NULL);
    pthread_mutex_lock(&mutex);
    pawl__calls_wait_for(&calls, &entries[0]);
    floor_expect(calls.running_of != &entries[0], "the callback still runs");
    pthread_mutex_unlock(&mutex);
    pthread_join(thread, NULL);
    end();
}

void floor_calls_on_their_thread(void)
{
    begin(PAWL_CALLBACKS_THREAD);
    end();
}
