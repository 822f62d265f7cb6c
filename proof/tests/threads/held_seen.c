/* SPDX-License-Identifier: MIT */
/* Programs on the word that says whether a lock is held (src/runtime/held.h). */
#define _GNU_SOURCE
#include "floors.h"

#include "base/instant.h"
#include "runtime/held.h"

#include <pthread.h>
#include <stdlib.h>

#define LIFE_NS (5 * PAWL__NS_PER_MS)

static pawl__held *held; /* on the heap, as in a handle: token_seen.c says why */
static int64_t deadline;
static _Atomic int64_t put_back_at;
static bool did; /* what the other thread did has worked */

static void begin(bool lent)
{
    held = calloc(1, sizeof *held);
    floor_expect(held, "there is no memory");
    deadline = pawl__now() + LIFE_NS;
    did = false;
    pawl__held_begin(held, deadline);
    if (lent) floor_expect(pawl__held_lend(held, &put_back_at), "a held lock is not lent");
}

static pthread_t beside(void *(*run)(void *))
{
    pthread_t thread;
    pthread_create(&thread, NULL, run, NULL);
    return thread;
}

static void sleep_past_the_deadline(void)
{
    pthread_mutex_t mutex;
    pthread_cond_t never;
    pthread_mutex_init(&mutex, NULL);
    pthread_cond_init(&never, NULL);
    struct timespec end = pawl__wait_end(pawl__instant_add(pawl__now(), LIFE_NS));
    pthread_mutex_lock(&mutex);
    while (pawl__now() < deadline) pthread_cond_clockwait(&never, &mutex, CLOCK_MONOTONIC, &end);
    pthread_mutex_unlock(&mutex);
    pthread_cond_destroy(&never);
    pthread_mutex_destroy(&mutex);
}

static void *extend(void *arg)
{
    did = pawl__held_extend(held, deadline + 10 * LIFE_NS);
    return arg;
}

/* Once a thread has seen the deadline pass, the lease is never held again. */
void floor_held_seen_to_end_beside_an_extension(void)
{
    begin(false);
    sleep_past_the_deadline();
    pthread_t thread = beside(extend);
    bool seen = pawl__held_left(held) == 0;
    pthread_join(thread, NULL);
    bool now = pawl__held_left(held) > 0;
    floor_expect(!seen || (!now && !did), "a lock is held again after somebody has seen it end");
    floor_expect(now == did, "an extension that worked holds, and no other");
    free(held);
}

static void *recall(void *arg)
{
    did = pawl__held_recall(held);
    return arg;
}

/* A retained lease goes back to the engine or to who takes it, and never to both. */
void floor_held_taken_beside_a_recall(void)
{
    begin(true);
    pthread_t thread = beside(recall);
    bool taken = pawl__held_take(held);
    pthread_join(thread, NULL);
    floor_expect(taken != did, "both have it, or nobody");
    floor_expect((pawl__held_left(held) > 0) == taken, "the word does not say who has it");
    free(held);
}

/* If it is put back while it is recalled, the engine gets it: by the recall, or by a release. */
void floor_held_put_back_beside_a_recall(void)
{
    begin(true);
    floor_expect(pawl__held_take(held), "a retained lease is not taken");
    pthread_t thread = beside(recall);
    bool put_back = pawl__held_put_back(held, &put_back_at);
    pthread_join(thread, NULL);
    floor_expect(put_back == did, "the recall and who put it back do not agree");
    floor_expect(!pawl__held_is_retained(held), "it is retained after the recall");
    floor_expect(put_back || pawl__held_left(held) > 0, "the release finds nothing to give back");
    free(held);
}

static void *take(void *arg)
{
    did = pawl__held_take(held);
    return arg;
}

/* A handle is one lock: of two threads that take it one has it. */
void floor_held_taken_by_two(void)
{
    begin(true);
    pthread_t thread = beside(take);
    bool taken = pawl__held_take(held);
    pthread_join(thread, NULL);
    floor_expect(taken != did, "two have taken it, or nobody");
    free(held);
}
