/* SPDX-License-Identifier: MIT */
/*
 * The tutorial's lock: SET name "token" PX ttl NX, again after a random sleep, DEL. It never
 * renews, asks or is told: a worker believes that it holds until it releases. (Its EX
 * counts whole seconds; milliseconds make this short.)
 */
#include "algorithm.h"

#include <hiredis/hiredis.h>
#include <pawl/types.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static redisContext *server;
static const torture_board *page;
static torture_rng *random_of;

/* redis://:PASSWORD@127.0.0.1:PORT as the rig makes it. */
static bool connect_again(void)
{
    char password[64];
    int port = 0;
    const char *url = getenv("PAWL_STORE");
    struct timeval patience = {.tv_sec = 1};
    if (server) redisFree(server);
    server = NULL;
    if (!url || sscanf(url, "redis://:%63[^@]@127.0.0.1:%d", password, &port) != 2) {
        torture_say("the tutorial's lock needs redis");
        _exit(TORTURE_SYSTEM);
    }
    server = redisConnectWithTimeout("127.0.0.1", port, patience);
    if (!server || server->err || redisSetTimeout(server, patience) != REDIS_OK) return false;
    redisReply *reply = redisCommand(server, "AUTH %s", password);
    bool fine = reply && reply->type == REDIS_REPLY_STATUS;
    if (reply) freeReplyObject(reply);
    return fine;
}

static void open_all(const torture_board *board, torture_rng *rng, torture_told told)
{
    (void)told;
    page = board;
    random_of = rng;
    connect_again();
}

/* One command; whether it was done is all that the tutorial asks. */
static bool command(const char *format, int lock)
{
    if (!server || server->err) {
        if (!connect_again()) return false;
    }
    redisReply *reply = redisCommand(server, format, lock, (int)page->ttl_ms);
    bool done = reply && (reply->type == REDIS_REPLY_STATUS || reply->type == REDIS_REPLY_INTEGER);
    if (reply) freeReplyObject(reply);
    return done;
}

static int acquire(int lock, int64_t wait_ms, int64_t give_up_ms)
{
    if (give_up_ms >= 0 && give_up_ms < wait_ms) wait_ms = give_up_ms;
    int64_t until = torture_now() + wait_ms * TORTURE_MS;
    while (!command("SET torture-%d token NX PX %d", lock)) {
        if (torture_now() >= until) return PAWL_ERR_TIMEOUT;
        torture_sleep_ns(torture_between(random_of, 0, 99) * TORTURE_MS);
    }
    return PAWL_OK;
}

static bool is_held(int lock)
{
    (void)lock;
    return true;
}

static int64_t remaining_ms(int lock)
{
    (void)lock;
    return 0;
}

static uint64_t fence(int lock)
{
    (void)lock;
    return 0;
}

static int release(int lock, int64_t word_ms)
{
    (void)word_ms;
    return command("DEL torture-%d", lock) ? PAWL_OK : PAWL_ERR_UNKNOWN;
}

static void close_all(void)
{
    if (server) redisFree(server);
    server = NULL;
}

const torture_algorithm torture_tutorial = {
    .open = open_all,
    .acquire = acquire,
    .is_held = is_held,
    .remaining_ms = remaining_ms,
    .fence = fence,
    .release = release,
    .close = close_all,
};
