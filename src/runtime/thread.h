/* SPDX-License-Identifier: MIT */
/* Threads of pawl, and protection of a user's thread from cancellation while it is in here. */
#ifndef PAWL_RUNTIME_THREAD_H
#define PAWL_RUNTIME_THREAD_H

#include <pthread.h>
#include <signal.h>

/* Starts a thread with all signals blocked, because signals belong to the user. 0 or
 * PAWL_ERR_SYSTEM. */
int pawl__thread_start(pthread_t *ret_thread, const char *name, void *(*run)(void *), void *arg);

/* A caller must not be canceled while it has a mutex or owns the loop. */
int pawl__cancel_off(void);
void pawl__cancel_restore(int state);

/* Holds back this thread's signals, but those of its own faults: their handlers would run here. */
void pawl__signals_off(sigset_t *ret_before);
void pawl__signals_restore(const sigset_t *before);

#endif
