/* SPDX-License-Identifier: MIT */
/*
 * The lock that everybody writes by hand, done properly: a script that does
 * SET NX PX and draws a fence with INCR, and one that compares and deletes; a
 * blocking socket. A client that finds it taken asks again every millisecond.
 *
 * Workloads of its own: ping (one PING at a time).
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "redis.h"

#define STRING(x)  STRING_(x)
#define STRING_(x) #x

typedef struct hand_connection {
    redisContext *redis;
    char acquire_sha[41], release_sha[41];
} hand_connection;

typedef struct hand_lock {
    hand_connection *connection;
    char key[64], fence[72], token[41];
} hand_lock;

static const char acquire_script[] =
    "if redis.call('SET', KEYS[1], ARGV[1], 'NX', 'PX', ARGV[2]) then "
    "return redis.call('INCR', KEYS[2]) end return 0";

static void *hand_connect(const bench_args *args)
{
    hand_connection *c = calloc(1, sizeof *c);
    if (!c) bench_die("out of memory");
    c->redis = bench_redis_connect(args->url);
    bench_redis_script(c->redis, acquire_script, c->acquire_sha);
    bench_redis_script(c->redis, bench_redis_release_script, c->release_sha);
    return c;
}

static void *hand_lock_new(void *connection, const char *name)
{
    hand_lock *l = calloc(1, sizeof *l);
    if (!l) bench_die("out of memory");
    l->connection = connection;
    snprintf(l->key, sizeof l->key, "%s", name);
    snprintf(l->fence, sizeof l->fence, "%s:fence", name);
    bench_token(l->token);
    return l;
}

static bool try_once(hand_lock *l)
{
    hand_connection *c = l->connection;
    redisReply *reply =
        bench_redis_command(c->redis, 7,
                            (const char *[]){"EVALSHA", c->acquire_sha, "2", l->key, l->fence,
                                             l->token, STRING(BENCH_TTL_MS)});
    bool granted = reply->integer > 0;
    freeReplyObject(reply);
    return granted;
}

static void hand_acquire(void *lock)
{
    static const struct timespec pause = {.tv_nsec = 1000000};
    while (!try_once(lock)) nanosleep(&pause, NULL);
}

static void hand_release(void *lock)
{
    hand_lock *l = lock;
    hand_connection *c = l->connection;
    redisReply *reply = bench_redis_command(
        c->redis, 5, (const char *[]){"EVALSHA", c->release_sha, "1", l->key, l->token});
    if (reply->integer != 1) bench_die("the lock was not ours");
    freeReplyObject(reply);
}

static bool ping(const bench_args *args)
{
    if (strcmp(args->workload, "ping") != 0) return false;
    redisContext *redis = bench_redis_connect(args->url);
    static bench_histogram times;
    bench_wait_for_go();
    int64_t now = bench_now_ns(), until = now + (int64_t)(args->seconds * 1e9);
    while (now < until) {
        freeReplyObject(bench_redis_command(redis, 1, (const char *[]){"PING"}));
        int64_t after = bench_now_ns();
        bench_histogram_add(&times, after - now);
        now = after;
    }
    printf("{\"driver\": \"hiredis\", \"workload\": \"ping\", \"ping_p50_ns\": %lld, "
           "\"ping_p99_ns\": %lld}\n",
           (long long)bench_histogram_quantile(&times, 0.5),
           (long long)bench_histogram_quantile(&times, 0.99));
    bench_wait_for_end();
    return true;
}

static const bench_driver driver = {
    .name = "hiredis",
    .connect = hand_connect,
    .lock = hand_lock_new,
    .acquire = hand_acquire,
    .release = hand_release,
    .other = ping,
};

int main(int argc, char **argv)
{
    return bench_main(&driver, argc, argv);
}
