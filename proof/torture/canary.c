/* SPDX-License-Identifier: MIT */
#include "canary.h"

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>

#define LOOK_NS  (10 * TORTURE_MS)
#define STOOD_NS (50 * TORTURE_MS) /* less is what any busy machine does, and the limits allow */

static torture_stood on_stood;
static _Atomic int64_t sum_ns;

static void *look(void *unused)
{
    int64_t before = torture_now();
    (void)unused;
    for (;;) {
        torture_sleep_ns(LOOK_NS);
        int64_t now = torture_now(), late_ns = now - before - LOOK_NS;
        before = now;
        if (late_ns < STOOD_NS) continue;
        atomic_fetch_add(&sum_ns, late_ns);
        on_stood(now, late_ns);
    }
    return NULL;
}

bool torture_canary_start(torture_stood stood)
{
    pthread_t thread;
    sigset_t all, before;
    on_stood = stood;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool fine = pthread_create(&thread, NULL, look, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (fine) pthread_detach(thread);
    return fine;
}

int64_t torture_stood_ns(void)
{
    return atomic_load(&sum_ns);
}
