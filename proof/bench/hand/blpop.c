/* SPDX-License-Identifier: MIT */
/*
 * SET NX PX; a client that finds the lock taken sleeps in BLPOP on a list into which the release
 * pushes one element: the usual way to wake a waiter without polling.
 * The list holds one element at most, so a release that nobody waited
 * for leaves one spurious wake-up behind and no more.
 */
#define _GNU_SOURCE
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis.h"

#define STRING(x)  STRING_(x)
#define STRING_(x) #x

typedef struct blpop_connection {
    redisContext *redis;
    char release_sha[41];
} blpop_connection;

typedef struct blpop_lock {
    blpop_connection *connection;
    char key[64], list[72], token[41];
} blpop_lock;

static const char release_script[] = "if redis.call('GET', KEYS[1]) ~= ARGV[1] then return 0 end "
                                     "redis.call('DEL', KEYS[1], KEYS[2]) "
                                     "redis.call('LPUSH', KEYS[2], 1) "
                                     "redis.call('PEXPIRE', KEYS[2], ARGV[2]) return 1";

static void *blpop_connect(const bench_args *args)
{
    blpop_connection *c = calloc(1, sizeof *c);
    if (!c) bench_die("out of memory");
    c->redis = bench_redis_connect(args->url);
    bench_redis_script(c->redis, release_script, c->release_sha);
    return c;
}

static void *blpop_lock_new(void *connection, const char *name)
{
    blpop_lock *l = calloc(1, sizeof *l);
    if (!l) bench_die("out of memory");
    l->connection = connection;
    snprintf(l->key, sizeof l->key, "%s", name);
    snprintf(l->list, sizeof l->list, "%s:free", name);
    bench_token(l->token);
    return l;
}

static bool try_once(blpop_lock *l)
{
    redisReply *reply = bench_redis_command(
        l->connection->redis, 6,
        (const char *[]){"SET", l->key, l->token, "NX", "PX", STRING(BENCH_TTL_MS)});
    bool granted = reply->type == REDIS_REPLY_STATUS;
    freeReplyObject(reply);
    return granted;
}

static void blpop_acquire(void *lock)
{
    blpop_lock *l = lock;
    while (!try_once(l)) {
        /* The time-out stands in for the expiry of a holder that died. */
        freeReplyObject(
            bench_redis_command(l->connection->redis, 3, (const char *[]){"BLPOP", l->list, "5"}));
    }
}

static void blpop_release(void *lock)
{
    blpop_lock *l = lock;
    blpop_connection *c = l->connection;
    redisReply *reply =
        bench_redis_command(c->redis, 7,
                            (const char *[]){"EVALSHA", c->release_sha, "2", l->key, l->list,
                                             l->token, STRING(BENCH_TTL_MS)});
    if (reply->integer != 1) bench_die("the lock was not ours");
    freeReplyObject(reply);
}

static const bench_driver driver = {
    .name = "blpop",
    .connect = blpop_connect,
    .lock = blpop_lock_new,
    .acquire = blpop_acquire,
    .release = blpop_release,
};

int main(int argc, char **argv)
{
    return bench_main(&driver, argc, argv);
}
