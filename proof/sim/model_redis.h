/* SPDX-License-Identifier: MIT */
/*
 * A Redis server as far as pawl needs one: the keyspace with expiry, the scripts of
 * src/stores/redis/scripts as C, the plain commands of other lock clients, the script
 * cache, PUBLISH, and the refusals of a server that is full or cannot save.
 *
 * The scripts are the specification; this is their meaning, compared with a real server
 * by tests/sim. Redis' rules that matter:
 *  - a key set at m ms for ttl lives while the clock shows at most m + ttl;
 *  - a script is one instant of the clock;
 *  - a refusal (OOM, MISCONF, READONLY) can come only before a script's first write.
 */
#ifndef PAWL_SIM_MODEL_REDIS_H
#define PAWL_SIM_MODEL_REDIS_H

#include "../../src/stores/redis/redis_proto.h"

#define MODEL_TEXT_MAX  72 /* tokens and foreign values */
#define MODEL_INBOX_MAX 72
#define MODEL_RUN_MAX   48
#define MODEL_NEVER     INT64_MAX /* a key without expiry */

/* How long a place lives, as the scripts compute it. */
static inline int64_t model_place_ms(int64_t ttl_ms)
{
    return (ttl_ms * 2 + 2) / 3;
}

/* "INBOX OWNER" */
typedef struct model_who {
    char inbox[MODEL_INBOX_MAX];
    char owner[PAWL_OWNER_MAX + 1];
} model_who;

/* An entry of the hash: of one who waits, or (its field begins with ':') of one who holds beside
 * others. */
typedef struct model_waiter {
    char token[MODEL_TEXT_MAX];
    bool holds;
    char mode; /* x, s, u or p */
    int units;
    int capacity;                      /* who waits */
    int64_t till_ms, ttl_ms, since_ms; /* who waits */
    uint64_t fence;                    /* who holds */
    int64_t change, published;         /* who holds */
    uint32_t slots;                    /* who holds: a bit for each */
    model_who who;
} model_waiter;

/* An entry of the sorted set: who waits by order of arrival, who holds by minus its expiry. */
typedef struct model_place {
    char token[MODEL_TEXT_MAX];
    int64_t score;
} model_place;

#define MODEL_CAPACITY_MAX 32

/* What the lock key says of several holders (lib_group.lua). */
typedef struct model_group {
    int64_t many;
    int capacity;
    char updater[MODEL_TEXT_MAX];
    int64_t upgrade;
    uint32_t slots; /* a bit for each that is taken */
} model_group;

#define MODEL_WATCHERS_MAX 8
#define MODEL_VALUE_MAX    40

typedef struct model_watcher {
    char inbox[MODEL_INBOX_MAX];
    int64_t till_ms;
} model_watcher;

/* What stands beside a name, in a key of its own. */
typedef struct model_value {
    int64_t until_ms; /* the key lives until then */
    bool is_set;
    char bytes[MODEL_VALUE_MAX];
    char owner[PAWL_OWNER_MAX + 1];
    uint64_t fence;
    int64_t at_us, till_ms;
    model_watcher watchers[MODEL_WATCHERS_MAX];
    int watcher_count;
} model_value;

/* The five keys of one name. */
typedef struct model_lock {
    char key[PAWL__REDIS_KEY_MAX + 1];
    bool held;
    char token[MODEL_TEXT_MAX];
    int64_t held_until; /* ms of the server's clock */
    bool several;       /* the token is no token: several hold it, and behind it stands */
    model_group group;
    bool recorded;
    uint64_t fence;
    char rec_token[MODEL_TEXT_MAX];
    model_who rec_who;
    int64_t rec_change, rec_published; /* behind the label; 0: none */
    int64_t record_until;
    model_place *places;
    size_t place_count, place_room;
    int64_t places_until;
    model_waiter *waiters;
    size_t waiter_count, waiter_room;
    int64_t waiters_until;
    model_value value;
} model_lock;

typedef enum model_refusal {
    MODEL_WELL = 0,
    MODEL_FULL,     /* OOM for what needs memory */
    MODEL_MISCONF,  /* every write is refused */
    MODEL_READONLY, /* the same, as a replica says it */
    MODEL_LOADING   /* everything is refused */
} model_refusal;

/* What became of a token at the store. */
typedef enum model_news {
    MODEL_TAKEN = 0, /* it holds now */
    MODEL_UPGRADED,  /* it held in mode update, and holds alone now */
    MODEL_EXTENDED   /* its lease was confirmed, in whatever mode */
} model_news;

/* One who holds, as the checkers are told. */
typedef struct model_hold {
    const char *token;
    char mode;
    uint64_t fence;
    int64_t until_ms;
    uint32_t slots;
} model_hold;

/* The record of guard.lua. */
typedef struct model_guard_record {
    bool is_there;
    char run[MODEL_RUN_MAX];
    int64_t since_ms, span_ms, till_ms, far_ms;
    bool guarded;
    bool was_refused; /* the server could not write it once */
} model_guard_record;

/* What INFO tells of the process. */
typedef struct model_process {
    char run[MODEL_RUN_MAX];
    int64_t uptime_s; /* below 0 when the clock was set back behind its start */
    bool was_replica; /* it has a second replication id */
} model_process;

typedef struct model_redis model_redis;
struct model_redis {
    model_lock *locks;
    size_t count, room;
    model_guard_record guard;
    model_process process;
    unsigned scripts_known; /* bit per pawl__redis_script */
    model_refusal refusal;
    bool dirty; /* the running script has written */
    int64_t now_us;
    void *ctx;
    void (*publish)(void *ctx, const char *channel, const char *payload);
    /* How many are subscribed to the channel by its name. */
    int (*subscribed)(void *ctx, const char *channel);
    /* NULL: nobody listens. */
    void (*held)(void *ctx, const model_lock *lock, const model_hold *hold, model_news news);
};

/* A reply with room for itself. */
#define MODEL_ITEMS_MAX (10 + 6 + 5 * 16)
typedef struct model_reply {
    pawl__redis_value value;
    pawl__redis_value items[MODEL_ITEMS_MAX];
    char text[2048];
    size_t text_len;
} model_reply;

void model_redis_init(model_redis *redis);
void model_redis_done(model_redis *redis);
/* Makes `to` remember what `from` remembers (keys only, the guard's record among them). */
void model_redis_copy(model_redis *to, const model_redis *from);
void model_redis_flush(model_redis *redis);

/* NULL if there is nothing under the name. What has expired is removed first. */
model_lock *model_redis_find(model_redis *redis, const char *key, size_t len);

/*
 * One command at now_us: EVALSHA, EVAL, SET, GET, DEL, and (for clients that compare
 * in a script of their own) CAD key value: compare and delete.
 */
void model_redis_command(model_redis *redis, int64_t now_us, const pawl__redis_bytes *argv,
                         size_t argc, model_reply *ret_reply);

/* A pawl__redis_says; -1 if no script said it. */
int model_reply_says(const model_reply *reply);

/* Whether whoever comes to this run of the server now finds the restart guard active. */
bool model_guard_is_active(const model_redis *redis, const char *run, bool strict);

/* Whether it is a variant that grants nothing new; *ret_base is the script without the guard. */
bool model_is_guarded(pawl__redis_script script, pawl__redis_script *ret_base);

/* ---- model_keys.c: the keyspace, for the scripts and the nemesis ---------- */

model_lock *model_lock_get(model_redis *redis, const char *key, size_t len);
void model_lock_expire(model_lock *lock, int64_t now_ms);
model_waiter *model_waiter_find(const model_lock *lock, const char *token);
model_waiter *model_holder_find(const model_lock *lock, const char *token);
int64_t model_place_rank(const model_lock *lock, const char *token);
void model_place_add(model_lock *lock, const char *token, int64_t score);
void model_place_remove(model_lock *lock, const char *token);
model_waiter *model_waiter_put(model_lock *lock, const char *token, bool holds);
bool model_waiter_remove(model_lock *lock, const char *token);
bool model_holder_remove(model_lock *lock, const char *token);
/*
 * Who holds, one after the other: *at from 0 while it is true. Of several only those whose leases
 * have not run out, and of whom the keys beside the lock key know.
 */
bool model_next_hold(const model_lock *lock, int64_t now_ms, size_t *at, model_hold *ret_hold);

#endif
