/* SPDX-License-Identifier: MIT */
/*
 * A flow: a job of several steps at the store, such as once and election. A function without I/O
 * decides what comes next: it gets the result of the last step and returns the next step. Two
 * drivers carry out the steps: one sleeps, the other is called back. So a job is written once for
 * the call that waits and for the asynchronous one.
 *
 * A flow belongs to one caller at a time: to the thread in pawl__flow_run, or, from
 * pawl__flow_start until `over` is called, to the callbacks of its client.
 */
#ifndef PAWL_RUNTIME_FLOW_H
#define PAWL_RUNTIME_FLOW_H

#include "query_api.h"

typedef enum pawl__step {
    PAWL__STEP_END = 0, /* with `result` */
    PAWL__STEP_ACQUIRE, /* the lock */
    PAWL__STEP_READ,    /* the value, into `heard`; with watch_ms: and watch it */
    PAWL__STEP_PUBLISH, /* `value`, to be kept for keep_ms, by the lock's token */
    PAWL__STEP_INSPECT, /* who holds the name, into `holder`, and to `see` */
    PAWL__STEP_RELEASE, /* the lock: the request is on its way */
    PAWL__STEP_AWAIT    /* news that came after `heard`, at the latest await_until */
} pawl__step;

/* Of INSPECT. */
typedef struct pawl__holder_seen {
    bool held;
    uint64_t fence;
    int64_t remaining_ms; /* -1: never */
    char owner[PAWL_OWNER_MAX + 1];
} pawl__holder_seen;

typedef struct pawl__flow pawl__flow;
struct pawl__flow {
    pawl_lock *lock;
    pawl__step (*next)(pawl__flow *flow, int err); /* err: of the step before; first 0 */
    int state;                                     /* next's own */
    int64_t until;                                 /* of the whole job, an instant */
    int result;
    int64_t watch_ms, keep_ms, await_until;
    pawl__heard heard;
    pawl__holder_seen holder;
    size_t value_len;
    char value[PAWL_STORED_MAX];
    void (*see)(pawl__flow *flow, const pawl_info *info); /* gets INSPECT's answer; or NULL */
    /* The drivers'. */
    bool hasty; /* the job does not wait: one attempt to connect is enough */
    pawl__step asked;
    pawl__query query;
    pawl_token token;
    int tries;                      /* of the present PUBLISH that had no answer */
    uint64_t publication;           /* its number: the same for each try */
    bool in_doubt;                  /* one of them may have been carried out */
    int not_begun;                  /* why the latest step that was not could not be begun */
    void (*over)(pawl__flow *flow); /* asynchronous: the end; it may free the flow */
};

/* wait_ms: of the whole job. Returns the result. */
int pawl__flow_run(pawl__flow *flow, int64_t wait_ms);

/* The same without waiting: over is called once, unless an error is returned: then it has ended. */
int pawl__flow_start(pawl__flow *flow, int64_t wait_ms, void (*over)(pawl__flow *flow));

/* What `next` returns at the end. */
pawl__step pawl__flow_end(pawl__flow *flow, int result);

/*
 * After a PUBLISH. Law 4: the same value is published again until the store has answered, or the
 * lease or the time is over; then pawl__flow_said returns the result.
 */
bool pawl__flow_says_again(pawl__flow *flow, int err);
int pawl__flow_said(pawl__flow *flow, int err);

/* Why the lock is not held any more: PAWL_ERR_CLOSED if its client closes, else PAWL_ERR_LOST. */
int pawl__flow_why_lost(const pawl_lock *lock);

/* All who await news of the name look again. */
void pawl__flow_wake(pawl_client *client, const char *name);

/* Whether the error means that the store was not reached or gave no answer: then the same may be
 * asked again. */
bool pawl__flow_may_ask_again(int err);

#endif
