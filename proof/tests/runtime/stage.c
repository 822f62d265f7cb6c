/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "stage.h"

#include "etcd_server.h"
#include "mariadb_server.h"
#include "postgres_server.h"
#include "redis_server.h"
#include "temp_dir.h"

#include <errno.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static char url[600];
static char kind[16];
static char *dir;
static redis_server *server;
static postgres_server *postgres;
static mariadb_server *mariadb;
static etcd_server *etcd;

void stage_begin(int argc, char **argv)
{
    snprintf(kind, sizeof kind, "%s", argc > 1 ? argv[1] : "memory");
    if (stage_is("memory")) {
        snprintf(url, sizeof url, "memory:%ld", (long)getpid());
    } else if (stage_is("sqlite")) {
        dir = temp_dir_new("pawl-runtime");
        snprintf(url, sizeof url, "sqlite:%s/locks.db", dir);
    } else if (stage_is("redis")) {
        if (!redis_server_exists()) {
            printf("SKIP: there is no redis-server\n");
            exit(77);
        }
        server = redis_server_start(NULL);
        snprintf(url, sizeof url, "redis+unix://%s", redis_server_socket(server));
    } else if (stage_is("postgres")) {
        if (!postgres_server_exists()) {
            printf("SKIP: there is no PostgreSQL on this machine\n");
            exit(77);
        }
        postgres = postgres_server_start(NULL);
        CHECK(setenv("PGUSER", "pawl", 1) == 0); /* an address that is shown hides a user's name */
        snprintf(url, sizeof url, "postgres:///postgres?host=%s",
                 postgres_server_directory(postgres));
    } else if (stage_is("mariadb")) {
        if (!mariadb_server_exists()) {
            printf("SKIP: there is no MariaDB on this machine\n");
            exit(77);
        }
        mariadb = mariadb_server_start(NULL);
        snprintf(url, sizeof url, "mysql://root@/runtime?socket=%s",
                 mariadb_server_socket(mariadb));
    } else if (stage_is("etcd")) {
        if (!etcd_server_exists()) {
            printf("SKIP: there is no etcd on this machine\n");
            exit(77);
        }
        etcd = etcd_server_start(1);
        snprintf(url, sizeof url, "etcd://127.0.0.1:%d", etcd_server_port(etcd, 0));
    } else {
        FAIL_TEST("unknown kind of store: %s", kind);
    }
}

void stage_end(void)
{
    redis_server_stop(server);
    postgres_server_stop(postgres);
    mariadb_server_stop(mariadb);
    etcd_server_stop(etcd);
    temp_dir_free(dir);
    server = NULL;
    postgres = NULL;
    mariadb = NULL;
    etcd = NULL;
    dir = NULL;
}

const char *stage_url(void)
{
    return url;
}

bool stage_is(const char *which)
{
    return strcmp(kind, which) == 0;
}

redis_server *stage_redis(void)
{
    return server;
}

pawl_client *stage_client(const pawl_open_opts *opts)
{
    char message[PAWL_MESSAGE_MAX] = "of before";
    pawl_client *client = NULL;
    int err = pawl_client_open(url, opts, &client, message);
    if (err) FAIL_TEST("cannot open %s: %s: %s", url, pawl_err_name(err), message);
    CHECK(!message[0]);
    return client;
}

const char *stage_name(void)
{
    static atomic_int count;
    static _Thread_local char name[32];
    snprintf(name, sizeof name, "name-%d", atomic_fetch_add(&count, 1));
    return name;
}

pawl_lock *lock_with_events(pawl_client *client, const char *name, int64_t ttl_ms,
                            pawl_event_fn on_event, void *userdata)
{
    pawl_lock_opts opts;
    pawl_lock_opts_init(&opts);
    opts.ttl_ms = ttl_ms;
    opts.on_event = on_event;
    opts.event_userdata = userdata;
    pawl_lock *lock = NULL;
    CHECK_ERR(pawl_lock_new(client, name, strlen(name), &opts, &lock), PAWL_OK);
    return lock;
}

pawl_lock *lock_new(pawl_client *client, const char *name, int64_t ttl_ms)
{
    return lock_with_events(client, name, ttl_ms, NULL, NULL);
}

/* ---- Records -------------------------------------------------------------------------------- */

void record_init(record *r)
{
    memset(r, 0, sizeof *r);
    pthread_mutex_init(&r->mutex, NULL);
    pthread_cond_init(&r->cond, NULL);
}

static void noted(record *r)
{
    r->thread = pthread_self();
    pthread_cond_broadcast(&r->cond);
    pthread_mutex_unlock(&r->mutex);
}

void record_done(pawl_lock *lock, int err, void *userdata)
{
    record *r = userdata;
    (void)lock; /* a latch has none to show */
    pthread_mutex_lock(&r->mutex);
    r->done_count++;
    r->done_err = err;
    noted(r);
}

void record_event(pawl_lock *lock, const pawl_event *event, void *userdata)
{
    record *r = userdata;
    CHECK(lock && event->size == sizeof *event && event->message);
    CHECK(event->kind >= PAWL_EVENT_DOUBT && event->kind <= PAWL_EVENT_YIELD);
    CHECK(event->kind != PAWL_EVENT_LOST || event->remaining_ms == 0);
    pthread_mutex_lock(&r->mutex);
    r->events[event->kind]++;
    if (event->err) r->event_err = event->err;
    if (*event->message) snprintf(r->message, sizeof r->message, "%s", event->message);
    noted(r);
}

void record_log(pawl_client *client, pawl_severity severity, const char *line, void *userdata)
{
    record *r = userdata;
    CHECK(client && severity <= PAWL_SEVERITY_ERROR && !strchr(line, '\n'));
    pthread_mutex_lock(&r->mutex);
    size_t room = sizeof r->lines / sizeof r->lines[0];
    snprintf(r->lines[(size_t)r->line_count % room], PAWL_MESSAGE_MAX, "%s", line);
    r->line_count++;
    noted(r);
}

typedef bool (*seen_fn)(const record *r, int what, int count, const char *part);

static bool seen_done(const record *r, int what, int count, const char *part)
{
    (void)what;
    (void)part;
    return r->done_count >= count;
}

static bool seen_event(const record *r, int what, int count, const char *part)
{
    (void)part;
    return r->events[what] >= count;
}

static bool seen_line(const record *r, int what, int count, const char *part)
{
    (void)what;
    (void)count;
    size_t room = sizeof r->lines / sizeof r->lines[0];
    for (size_t i = 0; i < room && i < (size_t)r->line_count; i++)
        if (strstr(r->lines[i], part)) return true;
    return false;
}

static void await(record *r, seen_fn seen, int what, int count, const char *part)
{
    struct timespec end;
    clock_gettime(CLOCK_REALTIME, &end);
    end.tv_sec += PATIENCE_MS / 1000;
    pthread_mutex_lock(&r->mutex);
    while (!seen(r, what, count, part))
        if (pthread_cond_timedwait(&r->cond, &r->mutex, &end) == ETIMEDOUT)
            FAIL_TEST("waited in vain for callback %d, number %d, %s", what, count, part);
    pthread_mutex_unlock(&r->mutex);
}

void record_await_done(record *r, int count)
{
    await(r, seen_done, 0, count, "done");
}

void record_await_event(record *r, pawl_event_kind kind_of_event, int count)
{
    await(r, seen_event, (int)kind_of_event, count, "event");
}

void record_await_line(record *r, const char *part)
{
    await(r, seen_line, 0, 0, part);
}

int record_dones(record *r)
{
    pthread_mutex_lock(&r->mutex);
    int count = r->done_count;
    pthread_mutex_unlock(&r->mutex);
    return count;
}

int record_events(record *r, pawl_event_kind kind_of_event)
{
    pthread_mutex_lock(&r->mutex);
    int count = r->events[kind_of_event];
    pthread_mutex_unlock(&r->mutex);
    return count;
}

/* ---- Views ---------------------------------------------------------------------------------- */

static bool look(const pawl_info *info, void *userdata)
{
    view *v = userdata;
    *v = (view){.held = info->held,
                .mine = info->mine,
                .fence = info->fence,
                .remaining_ms = info->remaining_ms,
                .waiters = info->waiter_count};
    snprintf(v->owner, sizeof v->owner, "%s", info->owner);
    return true;
}

view stage_view(pawl_client *client, const char *name)
{
    view v = {0};
    CHECK_ERR(pawl_inspect(client, name, strlen(name), PATIENCE_MS, look, &v), PAWL_OK);
    return v;
}

/* Each look is a round trip to the store: that is the pause between two. */
void stage_await_waiters(pawl_client *client, const char *name, size_t count)
{
    for (int64_t end = stage_now_ms() + PATIENCE_MS; stage_now_ms() < end;)
        if (stage_view(client, name).waiters == count) return;
    FAIL_TEST("%s: not %zu waiters", name, count);
}

void stage_await_free(pawl_client *client, const char *name)
{
    view v = {0};
    for (int64_t end = stage_now_ms() + PATIENCE_MS; stage_now_ms() < end;) {
        v = stage_view(client, name);
        if (!v.held && v.waiters == 0) return;
    }
    FAIL_TEST("%s: held %d by \"%s\", %zu waiters: something stayed behind", name, v.held, v.owner,
              v.waiters);
}

/* ---- Time ----------------------------------------------------------------------------------- */

void stage_pass(int64_t ms)
{
    CHECK(poll(NULL, 0, (int)ms) == 0 || errno == EINTR);
}

int64_t stage_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}
