/* SPDX-License-Identifier: MIT */
/* lib_fence.lua and lib_queue.lua in C: fences, their record, grants, and who waits. */
#define _GNU_SOURCE /* strnlen */
#include "model_call.h"

#include "../../src/base/mutant.h"

#include <string.h>

uint64_t model_draw(const model_call *c)
{
    uint64_t clock = (uint64_t)c->redis->now_us, next = c->last + 1;
    if (PAWL_MUTANT(fence_expires)) return next;
    if (PAWL_MUTANT(fence_without_clock)) return next;
    return next > clock ? next : clock;
}

int64_t model_record_until(const model_call *c, int64_t ttl_ms, uint64_t fence)
{
    if (PAWL_MUTANT(fence_expires)) return c->now_ms + ttl_ms;
    int64_t behind = (int64_t)fence - c->redis->now_us;
    int64_t wait_ms = behind > 0 ? (behind + 999) / 1000 : 0;
    return c->now_ms + ttl_ms + PAWL__REDIS_FENCE_KEEP_MS + wait_ms;
}

void model_copy_text(char *to, size_t room, const char *from)
{
    size_t len = strnlen(from, room - 1);
    memmove(to, from, len);
    to[len] = '\0';
}

model_who model_who_of(const char *text)
{
    model_who who;
    size_t len = strcspn(text, " ");
    model_copy_text(who.inbox, len < MODEL_INBOX_MAX ? len + 1 : MODEL_INBOX_MAX, text);
    model_copy_text(who.owner, sizeof who.owner, text[len] ? text + len + 1 : "");
    return who;
}

void model_write_record(const model_call *c, const char *token, int64_t ttl_ms, uint64_t fence,
                        const model_who *who)
{
    model_lock *lock = c->lock;
    model_who copy = *who;
    lock->recorded = true;
    lock->fence = fence;
    model_copy_text(lock->rec_token, sizeof lock->rec_token, token);
    lock->rec_who = copy;
    lock->rec_change = lock->rec_published = 0;
    lock->record_until = model_record_until(c, ttl_ms, fence);
}

void model_tell_held(const model_call *c, model_news news)
{
    const model_lock *lock = c->lock;
    model_hold hold = {lock->token, 'x', lock->fence, lock->held_until, 0};
    if (c->redis->held) c->redis->held(c->redis->ctx, lock, &hold, news);
}

void model_write_grant(const model_call *c, const char *token, int64_t ttl_ms, uint64_t fence,
                       const model_who *who)
{
    c->lock->held = true;
    c->lock->several = false;
    model_copy_text(c->lock->token, sizeof c->lock->token, token);
    c->lock->held_until = PAWL_MUTANT(grant_without_expiry) ? MODEL_NEVER : c->now_ms + ttl_ms;
    model_write_record(c, token, ttl_ms, fence, who);
}

bool model_record_is_of(const model_lock *lock, const char *token)
{
    return lock->recorded && strcmp(lock->rec_token, token) == 0;
}

/* Whether its connection is gone. */
bool model_is_away(const model_call *c, const char *inbox)
{
    if (PAWL_MUTANT(handoff_to_nobody)) return false;
    return c->redis->subscribed(c->redis->ctx, inbox) == 0;
}

void model_take_out(model_lock *lock, const char *token)
{
    char copy[MODEL_TEXT_MAX]; /* it may be part of what is removed */
    model_copy_text(copy, sizeof copy, token);
    model_place_remove(lock, copy);
    model_waiter_remove(lock, copy);
}

int64_t model_remaining(const model_call *c, int64_t until)
{
    return until == MODEL_NEVER ? -1 : until - c->now_ms;
}
