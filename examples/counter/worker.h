/* SPDX-License-Identifier: MIT */
/* A thread for what blocks, so that the event loop never does. */
#ifndef COUNTER_WORKER_H
#define COUNTER_WORKER_H

#include <event2/event.h>

typedef struct worker worker;

/* run is called on the worker's thread, then done on the loop's. */
typedef struct job {
    void (*run)(struct job *job);
    void (*done)(struct job *job);
    struct job *next; /* the worker's */
} job;

/* Jobs run one at a time, in their order. NULL: out of memory or threads. */
worker *worker_start(struct event_base *base);
void worker_submit(worker *w, job *j);
/* Finishes the job that runs; the others are done without having run. NULL is allowed. */
void worker_stop(worker *w);

#endif
