/* SPDX-License-Identifier: MIT */
#include "redis.h"

#include <stdio.h>
#include <string.h>

const char bench_redis_release_script[] =
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end "
    "return 0";

redisContext *bench_redis_connect(const char *url)
{
    char host[256];
    int port;
    bench_host_port(url, host, &port);
    redisContext *redis = redisConnect(host, port);
    if (!redis || redis->err) bench_die("%s: %s", url, redis ? redis->errstr : "out of memory");
    return redis;
}

redisReply *bench_redis_command(redisContext *redis, int count, const char **words)
{
    redisReply *reply = redisCommandArgv(redis, count, words, NULL);
    if (!reply) bench_die("redis: %s", redis->errstr);
    if (reply->type == REDIS_REPLY_ERROR) bench_die("redis: %s", reply->str);
    return reply;
}

void bench_redis_script(redisContext *redis, const char *text, char ret_sha[41])
{
    redisReply *reply = bench_redis_command(redis, 3, (const char *[]){"SCRIPT", "LOAD", text});
    snprintf(ret_sha, 41, "%s", reply->str);
    freeReplyObject(reply);
}
