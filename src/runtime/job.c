/* SPDX-License-Identifier: MIT */
#include "job.h"

enum { IDLE, BEGINS, BUSY, ABANDONED };

bool pawl__job_is_idle(const pawl__job *job)
{
    return atomic_load(&job->use) == IDLE;
}

bool pawl__job_is_left(const pawl__job *job)
{
    return atomic_load(&job->is_leaving) || atomic_load(&job->is_canceled);
}

static void each_lock(const pawl__job *job, void (*of_lock)(pawl_lock *lock))
{
    for (size_t i = 0; i < 2; i++)
        if (job->locks[i]) of_lock(job->locks[i]);
}

/* It forgets a cancel of the call before. Only then it is busy, so that none of its own is among
 * what it forgets. */
static int enter(pawl__job *job, pawl__next *next, int64_t wait_ms)
{
    if (!job || wait_ms < PAWL_WAIT_FOREVER) return PAWL_ERR_ARGUMENT;
    int idle = IDLE;
    if (!atomic_compare_exchange_strong(&job->use, &idle, BEGINS)) return PAWL_ERR_STATE;
    job->flow.next = next;
    if (atomic_exchange(&job->is_canceled, false)) each_lock(job, pawl__lock_cancel_no_more);
    atomic_store(&job->use, BUSY);
    return PAWL_OK;
}

/*
 * The call may be just about to acquire: so each lock remembers the cancel. `is_canceled` comes
 * after that, so that the next call finds it and makes them forget.
 */
int pawl__job_cancel(pawl__job *job)
{
    if (!job) return PAWL_ERR_ARGUMENT;
    if (pawl__lock_is_forked(job->locks[0])) return PAWL_ERR_FORKED;
    if (atomic_load(&job->use) != BUSY) return PAWL_ERR_STATE;
    each_lock(job, pawl__lock_cancel_soon);
    atomic_store(&job->is_canceled, true);
    pawl__flow_wake(pawl__lock_client(job->locks[0]), job->watched);
    return PAWL_OK;
}

int pawl__job_run(pawl__job *job, pawl__next *next, int64_t wait_ms)
{
    int err = enter(job, next, wait_ms);
    if (err) return err;
    err = pawl__flow_run(&job->flow, wait_ms);
    atomic_store(&job->use, IDLE);
    return err;
}

/* The callback may free the handle. */
static void over(pawl__flow *flow)
{
    pawl__job *job = (pawl__job *)flow;
    pawl_done_fn done = job->done;
    void *userdata = job->userdata;
    int result = flow->result;
    pawl_lock *shown = job->shown;
    bool abandoned = atomic_exchange(&job->use, IDLE) == ABANDONED;
    done(shown, result, userdata);
    if (abandoned) job->destroy(job);
}

int pawl__job_start(pawl__job *job, pawl__next *next, int64_t wait_ms, pawl_done_fn done,
                    void *userdata)
{
    if (!done) return PAWL_ERR_ARGUMENT;
    int err = enter(job, next, wait_ms);
    if (err) return err;
    job->done = done;
    job->userdata = userdata;
    err = pawl__flow_start(&job->flow, wait_ms, over);
    if (err) atomic_store(&job->use, IDLE);
    return err;
}

/* When the call under way is abandoned, its end destroys the handle, and with it perhaps what kept
 * the client: so all that needs the client comes before. */
void pawl__job_free(pawl__job *job)
{
    atomic_store(&job->is_leaving, true);
    each_lock(job, pawl__lock_cancel_soon);
    bool waits = atomic_load(&job->use) == BUSY && !pawl__lock_is_forked(job->locks[0]);
    if (waits && job->watched) pawl__flow_wake(pawl__lock_client(job->locks[0]), job->watched);
    int busy = BUSY;
    if (!atomic_compare_exchange_strong(&job->use, &busy, ABANDONED)) job->destroy(job);
}
