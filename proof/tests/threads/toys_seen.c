/* SPDX-License-Identifier: MIT */
/* Small programs, good ones and bad ones: the harness must tell them apart. */
#define _GNU_SOURCE
#include "toys.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <unistd.h>

#include <sys/eventfd.h>

static pthread_mutex_t one = PTHREAD_MUTEX_INITIALIZER, two = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
static int number, flag;
static _Atomic int atomic_number, ready_flag, other_flag;
static int *block;
static sem_t *posts;

static void both(void *(*first)(void *), void *(*second)(void *))
{
    pthread_t a, b;
    if (pthread_create(&a, NULL, first, NULL) || pthread_create(&b, NULL, second, NULL)) abort();
    pthread_join(a, NULL);
    pthread_join(b, NULL);
}

/* ---- A counter
 * ---------------------------------------------------------------------------------------- */

static void *count_locked(void *arg)
{
    for (int i = 0; i < 2; i++) {
        pthread_mutex_lock(&one);
        number++;
        pthread_mutex_unlock(&one);
    }
    return arg;
}

static void *count_bare(void *arg)
{
    number++;
    return arg;
}

static void *count_in_two_steps(void *arg)
{
    int seen = atomic_load(&atomic_number);
    atomic_store(&atomic_number, seen + 1);
    return arg;
}

void toy_counter(void)
{
    both(count_locked, count_locked);
    toy_expect(number == 4, "an increment is lost");
}

void toy_race(void)
{
    both(count_locked, count_bare);
}

void toy_lost_update(void)
{
    both(count_in_two_steps, count_in_two_steps);
    toy_expect(atomic_load(&atomic_number) == 2, "an increment is lost");
}

/* ---- Two locks
 * ------------------------------------------------------------------------------------------- */

static void *one_then_two(void *arg)
{
    pthread_mutex_lock(&one);
    pthread_mutex_lock(&two);
    pthread_mutex_unlock(&two);
    pthread_mutex_unlock(&one);
    return arg;
}

static void *two_then_one(void *arg)
{
    pthread_mutex_lock(&two);
    pthread_mutex_lock(&one);
    pthread_mutex_unlock(&one);
    pthread_mutex_unlock(&two);
    return arg;
}

void toy_order(void)
{
    both(one_then_two, one_then_two);
}

void toy_deadlock(void)
{
    both(one_then_two, two_then_one);
}

/* ---- Waking
 * ------------------------------------------------------------------------------------------------
 */

static void *wait_for_flag(void *arg)
{
    pthread_mutex_lock(&one);
    while (!flag) pthread_cond_wait(&cond, &one);
    pthread_mutex_unlock(&one);
    return arg;
}

static void *wait_blindly(void *arg)
{
    pthread_mutex_lock(&one);
    pthread_cond_wait(&cond, &one);
    pthread_mutex_unlock(&one);
    return arg;
}

static void *raise_flag(void *arg)
{
    pthread_mutex_lock(&one);
    flag = 1;
    pthread_cond_signal(&cond);
    pthread_mutex_unlock(&one);
    return arg;
}

void toy_wake(void)
{
    both(wait_for_flag, raise_flag);
}

void toy_lost_wake_up(void)
{
    both(wait_blindly, raise_flag);
}

/* ---- Memory
 * ---------------------------------------------------------------------------------------------------
 */

static void *use_block(void *arg)
{
    pthread_mutex_lock(&one);
    if (block) *block = 1;
    pthread_mutex_unlock(&one);
    return arg;
}

static void *free_block(void *arg)
{
    pthread_mutex_lock(&one);
    free(block);
    block = NULL;
    pthread_mutex_unlock(&one);
    return arg;
}

static void *free_block_only(void *arg)
{
    pthread_mutex_lock(&one);
    free(block);
    pthread_mutex_unlock(&one);
    return arg;
}

void toy_freed(void)
{
    block = malloc(sizeof *block);
    both(use_block, free_block);
}

void toy_use_after_free(void)
{
    block = malloc(sizeof *block);
    both(use_block, free_block_only);
}

void toy_leak(void)
{
    block = malloc(sizeof *block);
    toy_expect(block != NULL, "no memory");
}

/* A post to a semaphore on a stack that may be gone. */
static void *sleep_on_stack(void *arg)
{
    sem_t mine;
    sem_init(&mine, 0, 0);
    pthread_mutex_lock(&one);
    posts = &mine;
    pthread_mutex_unlock(&one);
    sem_wait(&mine);
    /* The mistake that the scheduler is to find. */
    return arg; /* NOLINT(clang-analyzer-core.StackAddressEscape) */
}

static void *post_once(void *arg)
{
    for (sem_t *to = NULL; !to;) {
        pthread_mutex_lock(&one);
        to = posts;
        pthread_mutex_unlock(&one);
        if (to) sem_post(to);
        if (!to) sched_yield();
    }
    return arg;
}

static void *post_twice(void *arg)
{
    post_once(arg);
    return post_once(arg);
}

void toy_post(void)
{
    both(sleep_on_stack, post_once);
}

void toy_post_after_return(void)
{
    both(sleep_on_stack, post_twice);
}

/* ---- Weak order
 * --------------------------------------------------------------------------------------------------
 */

static void publish(memory_order order)
{
    number = 7;
    atomic_store_explicit(&ready_flag, 1, order);
}

static void *publish_released(void *arg)
{
    publish(memory_order_release);
    return arg;
}

static void *publish_relaxed(void *arg)
{
    publish(memory_order_relaxed);
    return arg;
}

static void *read_published(void *arg)
{
    if (atomic_load_explicit(&ready_flag, memory_order_acquire))
        toy_expect(number == 7, "what was published is not seen");
    return arg;
}

void toy_published(void)
{
    both(publish_released, read_published);
}

void toy_published_weakly(void)
{
    both(publish_relaxed, read_published);
}

/* Two flags: each raises its own and looks at the other's (Dekker). */
static _Atomic int saw_none;

static void *raise_and_look(_Atomic int *mine, _Atomic int *others, memory_order order)
{
    atomic_store_explicit(mine, 1, order);
    if (!atomic_load_explicit(others, order)) atomic_fetch_add(&saw_none, 1);
    return NULL;
}

static void *look_a(void *arg)
{
    (void)arg;
    return raise_and_look(&ready_flag, &other_flag, memory_order_seq_cst);
}

static void *look_b(void *arg)
{
    (void)arg;
    return raise_and_look(&other_flag, &ready_flag, memory_order_seq_cst);
}

static void *look_weakly_a(void *arg)
{
    (void)arg;
    return raise_and_look(&ready_flag, &other_flag, memory_order_relaxed);
}

static void *look_weakly_b(void *arg)
{
    (void)arg;
    return raise_and_look(&other_flag, &ready_flag, memory_order_relaxed);
}

void toy_flags(void)
{
    both(look_a, look_b);
    toy_expect(atomic_load(&saw_none) < 2, "both saw the other's flag down");
}

void toy_weak_flags(void)
{
    both(look_weakly_a, look_weakly_b);
    toy_expect(atomic_load(&saw_none) < 2, "both saw the other's flag down");
}

/* What is written after the flag is ordered by nothing, although the reader has seen the flag. */
static void *publish_early(void *arg)
{
    atomic_store_explicit(&ready_flag, 1, memory_order_release);
    number = 1;
    atomic_store_explicit(&other_flag, 1, memory_order_relaxed);
    return arg;
}

static void *read_published_early(void *arg)
{
    if (!atomic_load_explicit(&ready_flag, memory_order_acquire)) return arg;
    if (!atomic_load_explicit(&other_flag, memory_order_relaxed)) return arg;
    toy_expect(number == 1, "it was published");
    return arg;
}

void toy_published_early(void)
{
    both(publish_early, read_published_early);
}

/* ---- Descriptors
 * ----------------------------------------------------------------------------------------------------
 */

static int fd;

static void *write_fd(void *arg)
{
    uint64_t value = 1;
    if (write(fd, &value, sizeof value) < 0) abort();
    return arg;
}

static void *close_fd(void *arg)
{
    close(fd);
    return arg;
}

void toy_closed_descriptor(void)
{
    fd = eventfd(0, 0);
    both(write_fd, close_fd);
}

/* ---- A child: what it does is done to its own memory ---- */

static void change_all(void *arg)
{
    number++;
    ++*block;
    ++*(int *)arg;
    free(block);
    block = malloc(sizeof *block);
    both(count_in_two_steps, count_in_two_steps);
}

static void *fork_one(void *arg)
{
    int on_stack = 1;
    pthread_mutex_lock(&one);
    int before = number;
    block = malloc(sizeof *block);
    *block = 1;
    toy_fork(change_all, &on_stack);
    toy_expect(number == before && *block == 1 && on_stack == 1 && !atomic_load(&atomic_number),
               "the parent sees what its child has done");
    free(block);
    pthread_mutex_unlock(&one);
    return arg;
}

static void find_a_mistake(void *arg)
{
    (void)arg;
    toy_expect(false, "a child finds a mistake");
}

static void *fork_bad_one(void *arg)
{
    toy_fork(find_a_mistake, NULL);
    return arg;
}

void toy_child(void)
{
    both(count_locked, fork_one);
}

void toy_bad_child(void)
{
    both(count_locked, fork_bad_one);
}

/* ---- A crash ---- */

static int *volatile nowhere;

static void *touch_nowhere(void *arg)
{
    *nowhere = 1;
    return arg;
}

static void *touch_nothing(void *arg)
{
    return arg;
}

void toy_crash(void)
{
    both(touch_nothing, touch_nowhere);
}
