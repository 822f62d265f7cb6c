/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "thread.h"

#include "pawl/types.h"

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

void pawl__signals_off(sigset_t *ret_before)
{
    static const int faults[] = {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGSYS, SIGABRT};
    sigset_t held_back;
    sigfillset(&held_back);
    for (size_t i = 0; i < sizeof faults / sizeof faults[0]; i++) sigdelset(&held_back, faults[i]);
    pthread_sigmask(SIG_SETMASK, &held_back, ret_before);
}

void pawl__signals_restore(const sigset_t *before)
{
    pthread_sigmask(SIG_SETMASK, before, NULL);
}
