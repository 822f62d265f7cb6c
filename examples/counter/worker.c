/* SPDX-License-Identifier: MIT */
#include "worker.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdlib.h>

typedef struct queue {
    job *first, **end;
} queue;

struct worker {
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    queue waiting, finished; /* by the mutex */
    bool stop;               /* by the mutex */
    struct event *finished_event;
};

static void append(queue *q, job *j)
{
    j->next = NULL;
    *q->end = j;
    q->end = &j->next;
}

static job *take(queue *q)
{
    job *j = q->first;
    if (!j) return NULL;
    q->first = j->next;
    if (!q->first) q->end = &q->first;
    return j;
}

static void *run(void *arg)
{
    worker *w = arg;
    pthread_mutex_lock(&w->mutex);
    while (!w->stop) {
        job *j = take(&w->waiting);
        if (!j) {
            pthread_cond_wait(&w->cond, &w->mutex);
            continue;
        }
        pthread_mutex_unlock(&w->mutex);
        j->run(j);
        pthread_mutex_lock(&w->mutex);
        append(&w->finished, j);
        event_active(w->finished_event, 0, 0); /* libevent's own lock makes this legal here */
    }
    pthread_mutex_unlock(&w->mutex);
    return NULL;
}

static void on_finished(evutil_socket_t fd, short what, void *arg)
{
    (void)fd;
    (void)what;
    worker *w = arg;
    pthread_mutex_lock(&w->mutex);
    for (job *j = take(&w->finished); j; j = take(&w->finished)) {
        pthread_mutex_unlock(&w->mutex);
        j->done(j);
        pthread_mutex_lock(&w->mutex);
    }
    pthread_mutex_unlock(&w->mutex);
}

worker *worker_start(struct event_base *base)
{
    worker *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    pthread_mutex_init(&w->mutex, NULL);
    pthread_cond_init(&w->cond, NULL);
    w->waiting.end = &w->waiting.first;
    w->finished.end = &w->finished.first;
    w->finished_event = event_new(base, -1, EV_PERSIST, on_finished, w);
    if (w->finished_event && pthread_create(&w->thread, NULL, run, w) == 0) return w;
    if (w->finished_event) event_free(w->finished_event);
    free(w);
    return NULL;
}

void worker_submit(worker *w, job *j)
{
    pthread_mutex_lock(&w->mutex);
    append(&w->waiting, j);
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
}

void worker_stop(worker *w)
{
    if (!w) return;
    pthread_mutex_lock(&w->mutex);
    w->stop = true;
    pthread_cond_signal(&w->cond);
    pthread_mutex_unlock(&w->mutex);
    pthread_join(w->thread, NULL);
    for (job *j = take(&w->finished); j; j = take(&w->finished)) j->done(j);
    for (job *j = take(&w->waiting); j; j = take(&w->waiting)) j->done(j);
    event_free(w->finished_event);
    pthread_cond_destroy(&w->cond);
    pthread_mutex_destroy(&w->mutex);
    free(w);
}
