/* SPDX-License-Identifier: MIT */
/*
 * A handle whose calls are flows: one call at a time, which waits or is asynchronous. The handle
 * may be freed while an asynchronous call is under way; then the memory is freed when that call
 * ends.
 */
#ifndef PAWL_RUNTIME_JOB_H
#define PAWL_RUNTIME_JOB_H

#include "flow.h"

#include <stdatomic.h>

typedef struct pawl__job pawl__job;
struct pawl__job {
    pawl__flow flow; /* first */
    /* The maker's, before the first call. */
    void (*destroy)(pawl__job *job); /* frees the locks, and the handle */
    pawl_lock *locks[2];             /* calls that wait for them end when the handle is freed */
    const char *watched;             /* the name whose news a call may await; NULL: none does */
    pawl_lock *shown;                /* passed to `done`; may be NULL */
    /* The job's. */
    _Atomic int use;
    atomic_bool is_leaving, is_canceled;
    pawl_done_fn done;
    void *userdata;
};

typedef pawl__step pawl__next(pawl__flow *flow, int err);

/* The result; PAWL_ERR_STATE: a call is under way. job may be NULL: PAWL_ERR_ARGUMENT. */
int pawl__job_run(pawl__job *job, pawl__next *next, int64_t wait_ms);
/* done is called once, unless an error is returned. */
int pawl__job_start(pawl__job *job, pawl__next *next, int64_t wait_ms, pawl_done_fn done,
                    void *userdata);
bool pawl__job_is_idle(const pawl__job *job);
/* The handle is being freed, or the call was canceled: `next` ends what it does with
 * PAWL_ERR_CANCELED. */
bool pawl__job_is_left(const pawl__job *job);
/* Cancels the call that is under way. PAWL_ERR_STATE: none is. job may be NULL. */
int pawl__job_cancel(pawl__job *job);
/* Ends what waits; destroys now, or with the end of the call that is under way. */
void pawl__job_free(pawl__job *job);

#endif
