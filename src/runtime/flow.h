/* SPDX-License-Identifier: MIT */
/*
 * A flow: a job of several steps at the store, as once and election are. What comes next is
 * decided by a function that does no I/O: it is given how the step before ended, and says the
 * next one. Two drivers carry the steps out, one that sleeps and one that is called back; so
 * a job is written once for its call and for the asynchronous twin of that.
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
    void (*see)(pawl__flow *flow, const pawl_info *info); /* all of INSPECT's answer; or NULL */
    /* The drivers'. */
    bool hasty; /* the job does not wait: for the store one try to connect */
    pawl__step asked;
    pawl__query query;
    pawl_token token;
    int tries;                      /* of the present PUBLISH that had no answer */
    bool in_doubt;                  /* one of them may have been carried out */
    void (*over)(pawl__flow *flow); /* asynchronous: the end; it may free the flow */
};

/* wait_ms: of the whole job. Returns the result. */
int pawl__flow_run(pawl__flow *flow, int64_t wait_ms);

/* The same without waiting: over is called once, unless an error is returned: then it has ended. */
int pawl__flow_start(pawl__flow *flow, int64_t wait_ms, void (*over)(pawl__flow *flow));

/* What `next` returns at the end. */
pawl__step pawl__flow_end(pawl__flow *flow, int result);

/*
 * After a PUBLISH. Law 4: the same value is said again until the store has answered, or the lease
 * or the time is over; then pawl__flow_said tells what became of it.
 */
bool pawl__flow_says_again(pawl__flow *flow, int err);
int pawl__flow_said(pawl__flow *flow, int err);

/* All who await news of the name look again. */
void pawl__flow_wake(pawl_client *client, const char *name);

/* An answer by which the store was not reached or did not say: the same may be asked again. */
bool pawl__flow_may_ask_again(int err);

#endif
