/* SPDX-License-Identifier: MIT */
/*
 * Not a lock, but the least that it takes to tell many: one script publishes a word to the channel
 * of each of CLIENTS connections, and a thread sleeps on each. Beside the same script for one of
 * them it says how many times longer the last of them has to wait whatever else a release does.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "redis.h"

#define TURNS_MAX 1000

static const char tell_script[] =
    "for i = 1, ARGV[1] do redis.call('PUBLISH', 'wake:' .. i, ARGV[2]) end return 4";

/* As long as what pawl tells: fence, token and key. */
static const char word[] =
    "g 1790000000000000 0 0123456789abcdef0123456789abcdef01234567 pawl:wake";

static atomic_int told;

static void *hear(void *connection)
{
    redisContext *redis = connection;
    for (;;) {
        redisReply *reply;
        if (redisGetReply(redis, (void **)&reply) != REDIS_OK) return NULL; /* the end */
        atomic_fetch_add(&told, 1);
        freeReplyObject(reply);
    }
}

static void open_crowd(const bench_args *args)
{
    for (int i = 1; i <= args->threads; i++) {
        char channel[32];
        snprintf(channel, sizeof channel, "wake:%d", i);
        redisContext *redis = bench_redis_connect(args->url);
        freeReplyObject(bench_redis_command(redis, 2, (const char *[]){"SUBSCRIBE", channel}));
        pthread_t thread;
        if (pthread_create(&thread, NULL, hear, redis)) bench_die("no thread");
        pthread_detach(thread);
    }
}

static int64_t wake(redisContext *redis, const char *sha, int count)
{
    char number[16];
    snprintf(number, sizeof number, "%d", count);
    bench_sleep_until(bench_now_ns() + 2000000); /* all sleep again */
    atomic_store(&told, 0);
    int64_t began = bench_now_ns();
    if (redisAppendCommandArgv(redis, 5, (const char *[]){"EVALSHA", sha, "0", number, word}, NULL))
        bench_die("out of memory");
    int sent = 0;
    while (!sent)
        if (redisBufferWrite(redis, &sent)) bench_die("redis: %s", redis->errstr);
    while (atomic_load(&told) < count) sched_yield();
    int64_t took = bench_now_ns() - began;
    redisReply *reply;
    if (redisGetReply(redis, (void **)&reply) != REDIS_OK) bench_die("redis: %s", redis->errstr);
    if (reply->type == REDIS_REPLY_ERROR) bench_die("redis: %s", reply->str);
    freeReplyObject(reply);
    return took;
}

static int compare_ns(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

static bool publish_other(const bench_args *args)
{
    static int64_t one[TURNS_MAX], all[TURNS_MAX];
    char sha[41];
    int turns = 0;
    if (strcmp(args->workload, "wake") != 0) return false;
    redisContext *redis = bench_redis_connect(args->url);
    bench_redis_script(redis, tell_script, sha);
    open_crowd(args);
    (void)wake(redis, sha, args->threads);
    bench_wait_for_go();
    int64_t until = bench_now_ns() + (int64_t)(args->seconds * 1e9);
    for (; turns < TURNS_MAX && (turns == 0 || bench_now_ns() < until); turns++) {
        one[turns] = wake(redis, sha, 1);
        all[turns] = wake(redis, sha, args->threads);
    }
    qsort(one, (size_t)turns, sizeof *one, compare_ns);
    qsort(all, (size_t)turns, sizeof *all, compare_ns);
    printf(
        "{\"driver\": \"publish\", \"workload\": \"wake\", \"turns\": %d, \"wake_one_ns\": %lld, "
        "\"wake_all_ns\": %lld}\n",
        turns, (long long)one[turns / 2], (long long)all[turns / 2]);
    bench_wait_for_end();
    return true;
}

static const bench_driver driver = {.name = "publish", .other = publish_other};

int main(int argc, char **argv)
{
    return bench_main(&driver, argc, argv);
}
