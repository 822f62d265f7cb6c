/* SPDX-License-Identifier: MIT */
/*
 * Not a lock, but the fastest hand-over that is possible through a server: a
 * baton goes round. Each client waits for it in BLPOP on a list of its own, and
 * pushes it into the list of the next; the push and the next wait leave in one
 * write. No owner, no expiry, no queue, no script. Like pawl, it looks for the
 * baton for a while before it sleeps.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "redis.h"

#define LOOK_NS 200000 /* before it sleeps */

typedef struct baton {
    redisContext *redis;
    char mine[64], next[64];
    bool alone;   /* it passes the baton to itself: to warm up */
    bool waiting; /* a BLPOP is under way */
} baton;

static int runners;

static void *baton_connect(const bench_args *args)
{
    if (args->processes > 1) bench_die("a baton goes round in one process");
    runners = args->threads;
    return bench_redis_connect(args->url);
}

static void append(redisContext *redis, int count, const char **words)
{
    if (redisAppendCommandArgv(redis, count, words, NULL) != REDIS_OK) bench_die("out of memory");
}

static void *baton_lock_new(void *connection, const char *name)
{
    static atomic_int started;
    baton *b = calloc(1, sizeof *b);
    if (!b) bench_die("out of memory");
    b->redis = connection;
    b->alone = strncmp(name, "warm", 4) == 0;
    int me = b->alone ? 0 : atomic_fetch_add(&started, 1);
    snprintf(b->mine, sizeof b->mine, "%s:%d", name, me);
    snprintf(b->next, sizeof b->next, "%s:%d", name, b->alone ? 0 : (me + 1) % runners);
    if (me == 0)
        freeReplyObject(
            bench_redis_command(b->redis, 3, (const char *[]){"LPUSH", b->mine, "baton"}));
    return b;
}

static void send_all(redisContext *redis)
{
    int done = 0;
    while (!done)
        if (redisBufferWrite(redis, &done) != REDIS_OK) bench_die("%s", redis->errstr);
}

static void look(redisContext *redis)
{
    char byte;
    for (int64_t until = bench_now_ns() + LOOK_NS; bench_now_ns() < until; sched_yield())
        if (recv(redis->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT) >= 0) return;
}

static redisReply *take_reply(redisContext *redis)
{
    redisReply *reply;
    if (redisGetReply(redis, (void **)&reply) != REDIS_OK) bench_die("%s", redis->errstr);
    if (reply->type == REDIS_REPLY_ERROR) bench_die("%s", reply->str);
    return reply;
}

static void want(baton *b)
{
    append(b->redis, 3, (const char *[]){"BLPOP", b->mine, "1"});
    b->waiting = true;
}

static void baton_acquire(void *lock)
{
    baton *b = lock;
    if (!b->waiting) {
        want(b);
        send_all(b->redis);
    }
    look(b->redis);
    redisReply *reply = take_reply(b->redis);
    if (reply->type == REDIS_REPLY_NIL) pthread_exit(NULL); /* the run is over */
    freeReplyObject(reply);
    b->waiting = false;
}

static void baton_release(void *lock)
{
    baton *b = lock;
    append(b->redis, 3, (const char *[]){"LPUSH", b->next, "baton"});
    if (!b->alone) want(b);
    send_all(b->redis);
    look(b->redis);
    freeReplyObject(take_reply(b->redis));
}

static const bench_driver driver = {
    .name = "baton",
    .connect = baton_connect,
    .lock = baton_lock_new,
    .acquire = baton_acquire,
    .release = baton_release,
};

int main(int argc, char **argv)
{
    return bench_main(&driver, argc, argv);
}
