/* SPDX-License-Identifier: MIT */
/* What a client's trace told, kept for a test: copies of the events, in their order. */
#ifndef PAWL_TESTS_RUNTIME_TOLD_H
#define PAWL_TESTS_RUNTIME_TOLD_H

#include "pawl/pawl.h"
#include "pawl/trace.h"

#include <pthread.h>

#define TOLD_MAX 4096

typedef struct told_event {
    pawl_trace event; /* its strings point into this */
    char name[64];
    char message[PAWL_MESSAGE_MAX];
} told_event;

typedef struct told {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    size_t count;
    told_event *events;
} told;

void told_init(told *t);
void told_free(told *t);
/* For pawl_open_opts.trace; userdata: the told. */
void told_hear(pawl_client *client, const pawl_trace *event, void *userdata);

/* A client whose trace it keeps. */
pawl_client *told_client(told *t);

/* Waits for the number-th event (from 1) of the kind about the name, NULL: any; fails the test
   after its patience. What it returns stays. */
const pawl_trace *told_await(told *t, pawl_trace_kind kind, const char *name, size_t number);
size_t told_count(told *t, pawl_trace_kind kind, const char *name);
/* Fails unless holds and waits of the name have begun and ended as pawl/trace.h says; those that
   are not over yet are `held` and `waiting`. */
void told_check_balance(told *t, const char *name, size_t held, size_t waiting);

#endif
