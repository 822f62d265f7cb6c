/* SPDX-License-Identifier: MIT */
/*
 * The thread that does what visitors ask for. It has a client of its own, so it does not wait for
 * a look at ten thousand locks.
 */
#include "serve.h"

#include <poll.h>
#include <stdlib.h>
#include <unistd.h>

#include "../store.h"

/* ---- The two queues ----------------------------------------------------------------------- */

static void put(serve_jobs *jobs, serve_job *job)
{
    job->next = NULL;
    if (jobs->last)
        jobs->last->next = job;
    else
        jobs->first = job;
    jobs->last = job;
    jobs->count++;
}

static serve_job *take(serve_jobs *jobs)
{
    serve_job *job = jobs->first;
    if (!job) return NULL;
    jobs->first = job->next;
    if (!jobs->first) jobs->last = NULL;
    jobs->count--;
    return job;
}

void serve_ring(int fd)
{
    uint64_t one = 1;
    ssize_t written = write(fd, &one, sizeof one);
    (void)written; /* it is full of rings, then */
}

bool serve_ask(serve *s, serve_job *job)
{
    pthread_mutex_lock(&s->mutex);
    bool has_room = s->asked.count + s->done.count < SERVE_JOBS_MAX;
    if (has_room) put(&s->asked, job);
    pthread_mutex_unlock(&s->mutex);
    if (has_room) serve_ring(s->wake_fd);
    return has_room;
}

serve_job *serve_next_done(serve *s)
{
    pthread_mutex_lock(&s->mutex);
    serve_job *job = take(&s->done);
    pthread_mutex_unlock(&s->mutex);
    return job;
}

void serve_job_free(serve_job *job)
{
    json_decref(job->answer);
    free(job->wish);
    free(job);
}

/* ---- Doing them ---------------------------------------------------------------------------- */

static bool tell(const pawl_info *info, void *userdata)
{
    serve_job *job = userdata;
    job->answer = serve_detail_json(info);
    return false;
}

json_t *serve_trouble_json(serve *s, int err)
{
    char reason[PAWL_MESSAGE_MAX];
    pawl_client_reason(s->asker, err, reason);
    return json_pack("{s:s, s:s}", "error", pawl_err_name(err), "reason", reason);
}

void serve_inspect(serve *s, serve_job *job)
{
    int err = pawl_inspect(s->asker, job->name, job->name_len, CLI_NOT_WAITING, tell, job);
    job->status = err ? 503 : 200;
    if (err) job->answer = serve_trouble_json(s, err);
}

static void do_job(serve *s, serve_job *job)
{
    job->run(s, job);
    pthread_mutex_lock(&s->mutex);
    put(&s->done, job);
    pthread_mutex_unlock(&s->mutex);
    serve_ring(s->news_fd);
}

static void do_jobs(serve *s)
{
    uint64_t rings;
    ssize_t got = read(s->wake_fd, &rings, sizeof rings);
    (void)got;
    for (;;) {
        pthread_mutex_lock(&s->mutex);
        serve_job *job = take(&s->asked);
        pthread_mutex_unlock(&s->mutex);
        if (!job) return;
        do_job(s, job);
    }
}

bool serve_is_ending(serve *s)
{
    pthread_mutex_lock(&s->mutex);
    bool ending = s->ending;
    pthread_mutex_unlock(&s->mutex);
    return ending;
}

/* A client that cannot wait any more must not make a loop without a rest. */
static void wait_for_jobs(serve *s)
{
    struct pollfd wake = {.fd = s->wake_fd, .events = POLLIN};
    if (pawl_client_wait(s->asker, s->wake_fd, PAWL_WAIT_FOREVER) < 0) (void)poll(&wake, 1, -1);
}

void *serve_work(void *arg)
{
    serve *s = arg;
    while (!serve_is_ending(s)) {
        wait_for_jobs(s);
        do_jobs(s);
    }
    return NULL;
}
