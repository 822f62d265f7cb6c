/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "thread.h"

#include "pawl/types.h"

#include <signal.h>

int pawl__thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *arg)
{
    sigset_t all, before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    int err = pthread_create(ret_thread, NULL, run, arg);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (err) return PAWL_ERR_SYSTEM;
    pthread_setname_np(*ret_thread, name);
    return PAWL_OK;
}

int pawl__cancel_off(void)
{
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    return state;
}

void pawl__cancel_restore(int state)
{
    pthread_setcancelstate(state, NULL);
}
