/* SPDX-License-Identifier: MIT */
/* inspect.lua: what the model reports of a name. */
#include "model_call.h"

#include <stdlib.h>
#include <string.h>

static int by_fence(const void *a, const void *b)
{
    const model_hold *one = a, *other = b;
    return one->fence < other->fence ? -1 : one->fence > other->fence;
}

static int units_of(uint32_t slots)
{
    int units = 0;
    for (; slots; slots &= slots - 1) units++;
    return units;
}

/* The living holders, by their fences; as many as the script shows. */
static size_t list_holders(const model_call *c, model_hold *holders, size_t most)
{
    size_t count = 0, at = 0;
    while (count < most && model_next_hold(c->lock, c->now_ms, &at, &holders[count])) count++;
    qsort(holders, count, sizeof *holders, by_fence);
    return count;
}

static const char *label_of(const model_call *c, const model_hold *hold)
{
    const model_lock *lock = c->lock;
    if (lock->several) return model_holder_find(lock, hold->token)->who.owner;
    return model_record_is_of(lock, lock->token) ? lock->rec_who.owner : "";
}

static void add_holder(model_call *c, const model_hold *hold)
{
    const char mode[] = {hold->mode, '\0'};
    model_add_text(c->reply, label_of(c, hold));
    model_add_int(c->reply, model_remaining(c, hold->until_ms));
    model_add_int(c->reply, (int64_t)(c->lock->recorded || c->lock->several ? hold->fence : 0));
    model_add_text(c->reply, mode);
    model_add_int(c->reply, units_of(hold->slots));
    model_add_int(c->reply, strcmp(hold->token, c->arg[0]) == 0);
}

/* All holders are counted, also those that only the lock key knows. */
static int64_t count_holders(const model_call *c)
{
    const model_lock *lock = c->lock;
    if (!lock->held || !lock->several) return lock->held;
    int64_t count = lock->group.many;
    for (size_t i = 0; i < lock->place_count && (int64_t)i < lock->group.many; i++)
        count -=
            !model_holder_find(lock, lock->places[i].token) || -lock->places[i].score <= c->now_ms;
    return count;
}

static int64_t add_waiters(model_call *c, size_t skip, size_t most)
{
    const model_lock *lock = c->lock;
    int64_t waiting = lock->place_count > skip ? (int64_t)(lock->place_count - skip) : 0;
    for (size_t i = skip; i < lock->place_count && i < skip + most; i++) {
        const model_waiter *waiter = model_waiter_find(lock, lock->places[i].token);
        if (!waiter || waiter->till_ms <= c->now_ms) {
            waiting--;
            continue;
        }
        const char mode[] = {waiter->mode, '\0'};
        model_add_text(c->reply, waiter->who.owner);
        model_add_int(c->reply, c->now_ms > waiter->since_ms ? c->now_ms - waiter->since_ms : 0);
        model_add_int(c->reply, waiter->till_ms - c->now_ms);
        model_add_text(c->reply, mode);
        model_add_int(c->reply, waiter->units);
    }
    return waiting;
}

void model_inspect(model_call *c)
{
    const model_lock *lock = c->lock;
    model_hold holders[16];
    size_t most = (size_t)strtol(c->arg[1], NULL, 10);
    size_t count = list_holders(c, holders, most < 16 ? most : 16);
    bool foreign = lock->held && !lock->several && !model_record_is_of(lock, lock->token);
    const model_hold *last = count ? &holders[count - 1] : NULL;
    uint64_t fence = lock->recorded ? lock->fence : 0;
    size_t skip = lock->held && lock->several ? (size_t)lock->group.many : 0;

    model_says(c->reply, PAWL__REDIS_SAYS_REPORT);
    model_add_int(c->reply, lock->held);
    model_add_int(c->reply, foreign);
    model_add_int(c->reply, lock->held ? model_remaining(c, lock->held_until) : 0);
    model_add_int(c->reply, (int64_t)(last && lock->several ? last->fence : fence));
    model_add_text(c->reply, last ? label_of(c, last) : "");
    model_add_int(c->reply, lock->held && lock->several ? lock->group.capacity : 0);
    model_add_int(c->reply, count_holders(c));
    model_add_int(c->reply, 0);
    model_add_int(c->reply, (int64_t)count);
    model_add_text(c->reply, ""); /* the model keeps no notes of breaks */
    model_add_int(c->reply, -1);
    model_add_int(c->reply, 0);
    for (size_t i = 0; i < count; i++) add_holder(c, &holders[i]);
    int64_t waiting = add_waiters(c, skip, most);
    c->reply->items[8].integer = waiting;
}
