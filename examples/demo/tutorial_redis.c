/* SPDX-License-Identifier: MIT */
/* The tutorial's lock on Redis itself: SET key token PX ttl NX, and DEL. */
#define _GNU_SOURCE
#include "demo.h"

#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/time.h>

struct demo_lock {
    redisContext *redis;
    char key[DEMO_NAME_MAX + 192];
};

static const struct timeval patience = {.tv_sec = 5};

/* The reply, or NULL after one line if there is none or it is an error. */
static redisReply *checked(demo_lock *lock, const char *what, redisReply *reply)
{
    if (reply && reply->type != REDIS_REPLY_ERROR) return reply;
    demo_say("the tutorial's %s: %s", what, reply ? reply->str : lock->redis->errstr);
    freeReplyObject(reply);
    return NULL;
}

static bool done(redisReply *reply)
{
    if (!reply) return false;
    freeReplyObject(reply);
    return true;
}

static bool connect_to(demo_lock *lock, const demo_redis_address *to)
{
    lock->redis = to->is_socket ? redisConnectUnixWithTimeout(to->host, patience)
                                : redisConnectWithTimeout(to->host, to->port, patience);
    if (!lock->redis || lock->redis->err) {
        demo_say("%s: %s", to->host, lock->redis ? lock->redis->errstr : "out of memory");
        return false;
    }
    redisSetTimeout(lock->redis, patience);
    redisContext *r = lock->redis;
    if (to->user[0] &&
        !done(checked(lock, "AUTH", redisCommand(r, "AUTH %s %s", to->user, to->password)))) {
        return false;
    }
    if (!to->user[0] && to->password[0] &&
        !done(checked(lock, "AUTH", redisCommand(r, "AUTH %s", to->password)))) {
        return false;
    }
    return to->db == 0 || done(checked(lock, "SELECT", redisCommand(r, "SELECT %d", to->db)));
}

static void close_lock(demo_lock *lock)
{
    if (!lock) return;
    if (lock->redis) redisFree(lock->redis);
    free(lock);
}

static demo_lock *open_lock(const demo_config *config, int *ret_code)
{
    demo_redis_address address;
    demo_redis_address_of(config->url, &address);
    demo_lock *lock = calloc(1, sizeof *lock);
    if (lock) snprintf(lock->key, sizeof lock->key, "%s%s-tutorial", address.prefix, config->name);
    if (lock && connect_to(lock, &address)) return lock;
    close_lock(lock);
    *ret_code = DEMO_UNAVAILABLE;
    return NULL;
}

static bool acquire(demo_lock *lock)
{
    for (;;) {
        redisReply *reply =
            checked(lock, "SET",
                    redisCommand(lock->redis, "SET %s token PX %d NX", lock->key, DEMO_TTL_MS));
        if (!reply) return false;
        bool ours = reply->type == REDIS_REPLY_STATUS;
        freeReplyObject(reply);
        if (ours) return true;
        demo_tutorial_pause();
    }
}

static bool work(demo_lock *lock, int64_t span_ms)
{
    (void)lock;
    demo_sleep_ms(span_ms);
    return true; /* it never learns of a loss */
}

static bool release(demo_lock *lock)
{
    return done(checked(lock, "DEL", redisCommand(lock->redis, "DEL %s", lock->key)));
}

const demo_algorithm demo_tutorial_redis = {
    .title = "tutorial",
    .open = open_lock,
    .acquire = acquire,
    .work = work,
    .release = release,
    .close = close_lock,
};
