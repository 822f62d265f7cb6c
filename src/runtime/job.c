/* SPDX-License-Identifier: MIT */
#include "job.h"

#include <stdio.h>

enum { IDLE, BUSY, ABANDONED };

bool pawl__job_is_idle(const pawl__job *job)
{
    return atomic_load(&job->use) == IDLE;
}

bool pawl__job_is_left(const pawl__job *job)
{
    return atomic_load(&job->is_leaving);
}

static int enter(pawl__job *job, pawl__next *next, int64_t wait_ms)
{
    if (!job || wait_ms < PAWL_WAIT_FOREVER) return PAWL_ERR_ARGUMENT;
    int idle = IDLE;
    if (!atomic_compare_exchange_strong(&job->use, &idle, BUSY)) return PAWL_ERR_STATE;
    job->flow.next = next;
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

void pawl__job_free(pawl__job *job)
{
    char name[PAWL_NAME_MAX + 1] = "";
    pawl_client *client = pawl__lock_client(job->locks[0]);
    bool forked = pawl__lock_is_forked(job->locks[0]);
    if (job->watched) snprintf(name, sizeof name, "%s", job->watched);
    atomic_store(&job->is_leaving, true);
    for (size_t i = 0; i < 2; i++)
        if (job->locks[i]) (void)pawl_lock_cancel(job->locks[i]);
    int busy = BUSY;
    bool waits = atomic_compare_exchange_strong(&job->use, &busy, ABANDONED);
    if (!waits) job->destroy(job);
    if (waits && *name && !forked) pawl__flow_wake(client, name);
}
