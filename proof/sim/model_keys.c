/* SPDX-License-Identifier: MIT */
/* The model's keyspace: five keys per name, each with its own expiry. */
#include "model_redis.h"

#include <stdlib.h>
#include <string.h>

void model_redis_init(model_redis *redis)
{
    memset(redis, 0, sizeof *redis);
}

void model_redis_flush(model_redis *redis)
{
    for (size_t i = 0; i < redis->count; i++) {
        free(redis->locks[i].places);
        free(redis->locks[i].waiters);
    }
    redis->count = 0;
    redis->guard = (model_guard_record){.is_there = false};
}

void model_redis_done(model_redis *redis)
{
    model_redis_flush(redis);
    free(redis->locks);
    redis->locks = NULL;
    redis->room = 0;
}

static void *copy_of(const void *from, size_t bytes)
{
    if (!bytes) return NULL;
    void *to = malloc(bytes);
    if (!to) abort();
    return memcpy(to, from, bytes);
}

static void reserve(model_redis *redis, size_t count)
{
    if (count <= redis->room) return;
    redis->room = count < 8 ? 8 : count * 2;
    redis->locks = realloc(redis->locks, redis->room * sizeof *redis->locks);
    if (!redis->locks) abort();
}

void model_redis_copy(model_redis *to, const model_redis *from)
{
    model_redis_flush(to);
    reserve(to, from->count);
    for (size_t i = 0; i < from->count; i++) {
        model_lock *lock = &to->locks[i];
        *lock = from->locks[i];
        lock->places = copy_of(lock->places, lock->place_count * sizeof *lock->places);
        lock->place_room = lock->place_count;
        lock->waiters = copy_of(lock->waiters, lock->waiter_count * sizeof *lock->waiters);
        lock->waiter_room = lock->waiter_count;
    }
    to->count = from->count;
    to->guard = from->guard;
}

/* A key whose clock shows more than its expiry is gone (Redis: now > when). */
void model_lock_expire(model_lock *lock, int64_t now_ms)
{
    if (lock->held && now_ms > lock->held_until) lock->held = false;
    if (lock->recorded && now_ms > lock->record_until) lock->recorded = false;
    if (lock->place_count && now_ms > lock->places_until) lock->place_count = 0;
    if (lock->waiter_count && now_ms > lock->waiters_until) lock->waiter_count = 0;
    if (now_ms > lock->value.until_ms) lock->value = (model_value){0};
}

static model_lock *search(model_redis *redis, const char *key, size_t len)
{
    for (size_t i = 0; i < redis->count; i++)
        if (memcmp(redis->locks[i].key, key, len) == 0 && redis->locks[i].key[len] == '\0')
            return &redis->locks[i];
    return NULL;
}

model_lock *model_redis_find(model_redis *redis, const char *key, size_t len)
{
    model_lock *lock = search(redis, key, len);
    if (lock) model_lock_expire(lock, redis->now_us / 1000);
    return lock;
}

model_lock *model_lock_get(model_redis *redis, const char *key, size_t len)
{
    model_lock *lock = model_redis_find(redis, key, len);
    if (lock) return lock;
    reserve(redis, redis->count + 1);
    lock = &redis->locks[redis->count++];
    memset(lock, 0, sizeof *lock);
    memcpy(lock->key, key, len);
    return lock;
}

/* ---- The queue -------------------------------------------------------------- */

int64_t model_place_rank(const model_lock *lock, const char *token)
{
    for (size_t i = 0; i < lock->place_count; i++)
        if (strcmp(lock->places[i].token, token) == 0) return (int64_t)i;
    return -1;
}

void model_place_add(model_lock *lock, const char *token, int64_t score)
{
    if (lock->place_count == 0) lock->places_until = MODEL_NEVER; /* a new key has no expiry */
    model_place_remove(lock, token);
    if (lock->place_count == lock->place_room) {
        lock->place_room = lock->place_room ? lock->place_room * 2 : 4;
        lock->places = realloc(lock->places, lock->place_room * sizeof *lock->places);
        if (!lock->places) abort();
    }
    size_t i = lock->place_count++;
    for (; i > 0; i--) { /* by score, then by token: as a sorted set */
        const model_place *before = &lock->places[i - 1];
        if (before->score < score) break;
        if (before->score == score && strcmp(before->token, token) < 0) break;
        lock->places[i] = *before;
    }
    lock->places[i].score = score;
    strncpy(lock->places[i].token, token, MODEL_TEXT_MAX - 1);
    lock->places[i].token[MODEL_TEXT_MAX - 1] = '\0';
}

void model_place_remove(model_lock *lock, const char *token)
{
    int64_t rank = model_place_rank(lock, token);
    if (rank < 0) return;
    memmove(&lock->places[rank], &lock->places[rank + 1],
            (--lock->place_count - (size_t)rank) * sizeof *lock->places);
}

/* ---- The hash --------------------------------------------------------------- */

static model_waiter *find(const model_lock *lock, const char *token, bool holds)
{
    for (size_t i = 0; i < lock->waiter_count; i++) {
        model_waiter *entry = &lock->waiters[i];
        if (entry->holds == holds && strcmp(entry->token, token) == 0) return entry;
    }
    return NULL;
}

model_waiter *model_waiter_find(const model_lock *lock, const char *token)
{
    return find(lock, token, false);
}

model_waiter *model_holder_find(const model_lock *lock, const char *token)
{
    return find(lock, token, true);
}

model_waiter *model_waiter_put(model_lock *lock, const char *token, bool holds)
{
    model_waiter *waiter = find(lock, token, holds);
    if (waiter) return waiter;
    if (lock->waiter_count == 0) lock->waiters_until = MODEL_NEVER;
    if (lock->waiter_count == lock->waiter_room) {
        lock->waiter_room = lock->waiter_room ? lock->waiter_room * 2 : 4;
        lock->waiters = realloc(lock->waiters, lock->waiter_room * sizeof *lock->waiters);
        if (!lock->waiters) abort();
    }
    waiter = &lock->waiters[lock->waiter_count++];
    memset(waiter, 0, sizeof *waiter);
    strncpy(waiter->token, token, MODEL_TEXT_MAX - 1);
    waiter->holds = holds;
    return waiter;
}

static bool take_away(model_lock *lock, model_waiter *entry)
{
    if (!entry) return false;
    *entry = lock->waiters[--lock->waiter_count];
    return true;
}

bool model_waiter_remove(model_lock *lock, const char *token)
{
    return take_away(lock, model_waiter_find(lock, token));
}

bool model_holder_remove(model_lock *lock, const char *token)
{
    return take_away(lock, model_holder_find(lock, token));
}

/* ---- Who holds ---------------------------------------------------------------- */

bool model_next_hold(const model_lock *lock, int64_t now_ms, size_t *at, model_hold *ret_hold)
{
    if (!lock->held) return false;
    if (!lock->several) {
        *ret_hold = (model_hold){lock->token, 'x', lock->fence, lock->held_until, 0};
        return (*at)++ == 0;
    }
    while ((int64_t)*at < lock->group.many && *at < lock->place_count) {
        const model_place *place = &lock->places[(*at)++];
        const model_waiter *entry = model_holder_find(lock, place->token);
        if (!entry || -place->score <= now_ms) continue;
        *ret_hold =
            (model_hold){entry->token, entry->mode, entry->fence, -place->score, entry->slots};
        return true;
    }
    return false;
}
