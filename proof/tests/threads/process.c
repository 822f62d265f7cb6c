/* SPDX-License-Identifier: MIT */
/*
 * fork, exit, signals, cancellation. A child runs in the place of its parent, which goes on when
 * it has ended, with all memory as it was (snapshot.c); in the child all coroutines but one are
 * gone. What it finds its parent reports.
 */
#define _GNU_SOURCE
#include "harness.h"

#include "files.h"
#include "snapshot.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#define HANDLERS_MAX 16
#define PAGES_MAX    8

static struct process {
    int atfork_count, atexit_count, page_count;
    struct {
        void (*prepare)(void), (*parent)(void), (*child)(void);
    } atfork[HANDLERS_MAX];
    void (*atexit[HANDLERS_MAX])(void);
    struct {
        void *page;
        size_t size;
    } wiped[PAGES_MAX];
    trouble *from_child; /* not put back */
} * P;

size_t process_size(void)
{
    return sizeof *P;
}

void process_start(void *room)
{
    P = room;
    P->from_child = malloc(sizeof *P->from_child);
    if (!P->from_child) abort();
}

void process_reset(void)
{
    P->atfork_count = P->atexit_count = 0;
    for (int i = 0; i < P->page_count; i++) memset(P->wiped[i].page, 0, P->wiped[i].size);
    P->page_count = 0;
    S->in_child = false;
}

void process_keep(void)
{
    snapshot_keep(P, sizeof *P);
    for (int i = 0; i < P->page_count; i++) snapshot_keep(P->wiped[i].page, P->wiped[i].size);
}

/* ---- Memory that a child finds wiped
 * ------------------------------------------------------------------------ */

void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset);
int __wrap_munmap(void *at, size_t size);
int __wrap_madvise(void *at, size_t size, int advice);

/* A page of the harness: the same in each run. */
void *__wrap_mmap64(void *at, size_t size, int protection, int flags, int fd, off_t offset)
{
    extern void *__real_mmap64(void *, size_t, int, int, int, off_t);
    if (!S || !S->running) return __real_mmap64(at, size, protection, flags, fd, offset);
    if (P->page_count == PAGES_MAX) fail("harness", "too many pages");
    int i = P->page_count++;
    if (!P->wiped[i].page)
        P->wiped[i].page =
            __real_mmap64(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    P->wiped[i].size = size;
    return P->wiped[i].page;
}

int __wrap_munmap(void *at, size_t size)
{
    (void)at;
    (void)size;
    return 0;
}

int __wrap_madvise(void *at, size_t size, int advice)
{
    (void)at;
    (void)size;
    if (advice != MADV_WIPEONFORK) fail("harness", "madvise %d is not known here", advice);
    return 0;
}

/* ---- Fork
 * ------------------------------------------------------------------------------------------------------
 */

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void));
int __wrap_atexit(void (*handler)(void));

int __wrap_pthread_atfork(void (*prepare)(void), void (*parent)(void), void (*child)(void))
{
    if (P->atfork_count == HANDLERS_MAX) fail("harness", "too many handlers");
    int i = P->atfork_count++;
    P->atfork[i].prepare = prepare;
    P->atfork[i].parent = parent;
    P->atfork[i].child = child;
    return 0;
}

int __wrap_atexit(void (*handler)(void))
{
    if (P->atexit_count == HANDLERS_MAX) fail("harness", "too many handlers");
    P->atexit[P->atexit_count++] = handler;
    return 0;
}

static void run_prepare(void)
{
    for (int i = P->atfork_count; i-- > 0;)
        if (P->atfork[i].prepare) P->atfork[i].prepare();
}

static void run_after(bool child)
{
    for (int i = 0; i < P->atfork_count; i++) {
        void (*handler)(void) = child ? P->atfork[i].child : P->atfork[i].parent;
        if (handler) handler();
    }
}

static void become_child(void)
{
    for (int i = 0; i < S->count; i++)
        if (i != S->current) S->threads[i].state = THREAD_JOINED;
    for (int i = 0; i < P->page_count; i++) memset(P->wiped[i].page, 0, P->wiped[i].size);
    files_in_child();
    loop_in_child();
    self()->is_users = true;
}

void process_end_child(void)
{
    *P->from_child = S->finding;
}

pid_t __wrap_getpid(void);
pid_t __wrap_getpid(void)
{
    return S->in_child ? 4712 : 4711;
}

void process_fork(bool handlers, bool fails, void (*child)(void *), void *arg)
{
    sched_point("forks", P, true);
    if (handlers) run_prepare();
    if (fails && handlers) {
        sched_point("has no child", P, true);
        run_after(false);
        return;
    }
    int error = errno;
    if (sched_fork()) {
        become_child();
        if (handlers) run_after(true);
        child(arg);
        sched_end();
    }
    errno = error;
    if (P->from_child->found) fail(P->from_child->check, "in a child: %.300s", P->from_child->text);
    if (handlers) run_after(false);
}

void process_exit(void)
{
    while (P->atexit_count > 0) P->atexit[--P->atexit_count]();
}

/* ---- Signals and cancellation
 * -------------------------------------------------------------------------------------- */

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *ret_old);
int __wrap_pthread_setcancelstate(int state, int *ret_old);
int __wrap_pthread_cancel(pthread_t t);

int __wrap_pthread_sigmask(int how, const sigset_t *set, sigset_t *ret_old)
{
    thread *me = self();
    if (ret_old) *ret_old = me->mask;
    if (set && how == SIG_SETMASK) me->mask = *set;
    if (set && how == SIG_BLOCK) sigorset(&me->mask, &me->mask, set);
    if (set && how == SIG_UNBLOCK)
        for (int i = 1; i < SIGRTMAX; i++)
            if (sigismember(set, i) == 1) sigdelset(&me->mask, i);
    return 0;
}

int __wrap_pthread_setcancelstate(int state, int *ret_old)
{
    thread *me = self();
    if (ret_old) *ret_old = me->cancel_off ? PTHREAD_CANCEL_DISABLE : PTHREAD_CANCEL_ENABLE;
    me->cancel_off = state == PTHREAD_CANCEL_DISABLE;
    return 0;
}

int __wrap_pthread_cancel(pthread_t t)
{
    S->threads[(int)t - 1].cancel_waits = true;
    return 0;
}
