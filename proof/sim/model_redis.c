/* SPDX-License-Identifier: MIT */
/* The scripts of src/stores/redis/scripts in C, statement by statement, and plain commands. */
#define _GNU_SOURCE /* strnlen */
#include "model_call.h"

#include "../../src/base/mutant.h"
#include "../../src/stores/redis/redis_scripts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t last_fence(const model_lock *lock)
{
    return lock->recorded ? lock->fence : 0;
}

/* ---- lib_handoff.lua -------------------------------------------------------- */

typedef enum promotion {
    PROMOTED_NOBODY = 0, /* the queue is empty now, or all who wait are away */
    PROMOTED_SOMEBODY,
    PROMOTED_ASKER,
    PROMOTED_UNSEEN,  /* too many cannot take it: the next script goes on */
    PROMOTED_SEVERAL, /* lib_many has to go on: not all wait for the exclusive lock */
    PROMOTION_REFUSED
} promotion;

static void hand_to(model_call *c, const model_waiter *waiter, uint64_t fence, bool more)
{
    if (PAWL_MUTANT(fence_drawn_early)) fence = (uint64_t)waiter->since_ms * 1000;
    char payload[MODEL_TEXT_MAX + PAWL__REDIS_KEY_MAX + 64];
    model_write_grant(c, waiter->token, waiter->ttl_ms, fence, &waiter->who);
    if (!PAWL_MUTANT(handoff_extends)) c->lock->held_until = waiter->till_ms;
    snprintf(payload, sizeof payload, "g %" PRIu64 " %d %s %s", fence, more, waiter->token,
             c->lock->key);
    c->redis->publish(c->redis->ctx, waiter->who.inbox, payload);
    model_tell_held(c, MODEL_TAKEN);
}

static promotion promote(model_call *c, const char *asker)
{
    model_lock *lock = c->lock;
    if (c->guarded) return PROMOTED_SEVERAL;
    uint64_t fence = model_draw(c);
    size_t away = 0;
    for (int i = 0; i < PAWL__REDIS_SKIP_MAX; i++) {
        char token[MODEL_TEXT_MAX];
        size_t at = PAWL_MUTANT(handoff_to_newest) ? lock->place_count - 1 - away : away;
        model_copy_text(token, sizeof token, lock->places[at].token);
        bool is_asker = asker && strcmp(token, asker) == 0;
        const model_waiter *found = model_waiter_find(lock, token);
        if (!found || found->mode != 'x') return PROMOTED_SEVERAL;
        model_waiter waiter = *found;
        bool stands = waiter.till_ms * 1000 > c->redis->now_us || PAWL_MUTANT(handoff_to_expired);
        bool passed_over = stands && !is_asker && model_is_away(c, waiter.who.inbox);
        if (passed_over && !PAWL_MUTANT(cut_waiter_dropped)) {
            away++;
        } else {
            if (!model_may_write(c->redis, false, c->reply)) return PROMOTION_REFUSED;
            model_take_out(lock, token);
            if (is_asker) return PROMOTED_ASKER;
            if (stands && !passed_over) {
                hand_to(c, &waiter, fence, lock->place_count > 0);
                return PROMOTED_SOMEBODY;
            }
        }
        if (lock->place_count == away) return PROMOTED_NOBODY;
    }
    if (away && !model_may_write(c->redis, false, c->reply)) return PROMOTION_REFUSED;
    while (away--) model_take_out(lock, lock->places[0].token);
    return PROMOTED_UNSEEN;
}

/* lib_free.lua: a request that finds the lock free hands it on. */
static promotion promote_if_free(model_call *c)
{
    if (c->lock->held) return c->lock->several ? PROMOTED_SEVERAL : PROMOTED_NOBODY;
    return c->lock->place_count ? promote(c, NULL) : PROMOTED_NOBODY;
}

/* ---- acquire.lua ------------------------------------------------------------ */

static void say_grant(model_call *c, pawl__redis_says word, uint64_t fence)
{
    model_says(c->reply, word);
    model_add_int(c->reply, (int64_t)fence);
    model_add_int(c->reply, c->lock->place_count > 0);
}

/* The tail that acquire (asked again) and renew share. */
static void extend(model_call *c, pawl__redis_says word)
{
    int64_t ttl_ms = strtoll(c->arg[1], NULL, 10);
    if (!model_may_write(c->redis, false, c->reply)) return;
    c->lock->held_until = c->now_ms + ttl_ms;
    uint64_t fence = c->lock->fence;
    if (model_record_is_of(c->lock, c->arg[0])) {
        c->lock->record_until = model_record_until(c, ttl_ms, fence);
    } else {
        fence = model_draw(c);
        model_who who = model_who_of(c->arg[2]);
        model_write_record(c, c->arg[0], ttl_ms, fence, &who);
    }
    model_tell_held(c, MODEL_EXTENDED);
    say_grant(c, word, fence);
}

static void take(model_call *c)
{
    int64_t ttl_ms = strtoll(c->arg[1], NULL, 10);
    if (!model_may_write(c->redis, true, c->reply)) return;
    uint64_t fence = model_draw(c);
    model_who who = model_who_of(c->arg[2]);
    model_write_grant(c, c->arg[0], ttl_ms, fence, &who);
    model_tell_held(c, MODEL_TAKEN);
    say_grant(c, PAWL__REDIS_SAYS_GRANTED, fence);
}

static void say_busy(model_call *c, int64_t holder_ms, bool foreign)
{
    if (!model_may_write(c->redis, false, c->reply)) return;
    if (model_waiter_remove(c->lock, c->arg[0])) model_place_remove(c->lock, c->arg[0]);
    model_says(c->reply, PAWL__REDIS_SAYS_BUSY);
    model_add_int(c->reply, holder_ms);
    model_add_text(c->reply, foreign ? "" : c->lock->rec_who.owner);
}

static void say_queued(model_call *c, int64_t position, int64_t holder_ms)
{
    model_says(c->reply, PAWL__REDIS_SAYS_QUEUED);
    model_add_int(c->reply, position);
    model_add_int(c->reply, holder_ms);
    model_add_int(c->reply, (int64_t)last_fence(c->lock));
}

static void fill_waiter(model_call *c, model_waiter *waiter, int64_t place_ms, int64_t since_ms)
{
    waiter->till_ms = c->now_ms + place_ms;
    waiter->ttl_ms = strtoll(c->arg[1], NULL, 10);
    waiter->since_ms = since_ms;
    waiter->mode = 'x';
    waiter->units = waiter->capacity = 0;
    waiter->who = model_who_of(c->arg[2]);
}

static void queue_up(model_call *c, int64_t holder_ms, bool foreign)
{
    model_lock *lock = c->lock;
    const char *token = c->arg[0];
    int64_t ttl_ms = strtoll(c->arg[1], NULL, 10), place_ms = model_place_ms(ttl_ms);
    int64_t life = lock->waiter_count ? model_remaining(c, lock->waiters_until) : -2;
    model_waiter *waiter = model_waiter_find(lock, token);
    int64_t position = waiter ? model_place_rank(lock, token) : -1;
    if (PAWL_MUTANT(refresh_loses_place)) position = -1;
    if (position >= 0) {
        if (!model_may_write(c->redis, false, c->reply)) return;
        lock->places_until = lock->waiters_until = c->now_ms + (life > ttl_ms ? life : ttl_ms);
        fill_waiter(c, waiter, place_ms, waiter->since_ms);
        say_queued(c, position, holder_ms);
        return;
    }
    size_t length = lock->place_count;
    if (length >= PAWL__REDIS_QUEUE_MAX) {
        model_say_error(c->reply, "PAWLFULL");
        return;
    }
    if (!model_may_write(c->redis, true, c->reply)) return;
    model_place_add(lock, token, length ? lock->places[length - 1].score + 1 : 1);
    fill_waiter(c, model_waiter_put(lock, token, false), place_ms, c->now_ms);
    if (length == 0 || life < place_ms)
        lock->places_until = lock->waiters_until = c->now_ms + ttl_ms;
    if (length == 0 && !foreign) {
        char payload[MODEL_TEXT_MAX + PAWL__REDIS_KEY_MAX + 8];
        snprintf(payload, sizeof payload, "y %s %s", lock->token, lock->key);
        c->redis->publish(c->redis->ctx, lock->rec_who.inbox, payload);
    }
    say_queued(c, (int64_t)length, holder_ms);
}

static void acquire(model_call *c)
{
    model_lock *lock = c->lock;
    if (lock->held && lock->several) {
        model_enter(c, 'x', 0, 0, c->arg[3][0]);
        return;
    }
    if (lock->held && strcmp(lock->token, c->arg[0]) == 0) {
        extend(c, PAWL__REDIS_SAYS_GRANTED);
        return;
    }
    bool kept_back = c->guarded && !lock->held && !lock->place_count;
    if (!lock->held && !kept_back) {
        bool queue = lock->place_count && !PAWL_MUTANT(asker_barges_in);
        promotion chosen = queue ? promote(c, c->arg[0]) : PROMOTED_NOBODY;
        if (chosen == PROMOTION_REFUSED) return;
        if (chosen == PROMOTED_SEVERAL) {
            model_enter(c, 'x', 0, 0, c->arg[3][0]);
            return;
        }
        if (chosen == PROMOTED_ASKER || chosen == PROMOTED_NOBODY) {
            take(c);
            return;
        }
    }
    int64_t holder_ms = lock->held ? model_remaining(c, lock->held_until) : 0;
    if (kept_back) holder_ms = -2; /* PTTL of a key that is not there */
    bool foreign = !lock->held || !model_record_is_of(lock, lock->token);
    if (c->arg[3][0]) {
        say_busy(c, holder_ms, foreign);
        return;
    }
    queue_up(c, holder_ms, foreign);
}

/* ---- renew.lua, release.lua, break.lua -------------------------------------- */

static void renew(model_call *c)
{
    model_lock *lock = c->lock;
    bool mine = lock->held && strcmp(lock->token, c->arg[0]) == 0;
    if (PAWL_MUTANT(renew_without_compare)) mine = lock->held && !lock->several;
    if (PAWL_MUTANT(renew_overwrites) || (PAWL_MUTANT(renew_recreates) && !lock->held)) {
        model_copy_text(lock->token, sizeof lock->token, c->arg[0]);
        lock->held = mine = true;
        lock->several = false;
    }
    if (mine) {
        extend(c, PAWL__REDIS_SAYS_CONFIRMED);
        return;
    }
    promotion chosen = promote_if_free(c);
    if (chosen == PROMOTION_REFUSED) return;
    if (chosen == PROMOTED_SEVERAL)
        model_renew_among(c);
    else
        model_says(c->reply, PAWL__REDIS_SAYS_NOT_OWNER);
}

/* It held the lock alone. */
static void release_mine(model_call *c)
{
    model_lock *lock = c->lock;
    promotion chosen = lock->place_count ? promote(c, c->arg[0]) : PROMOTED_NOBODY;
    if (chosen == PROMOTION_REFUSED) return;
    if (chosen != PROMOTED_SOMEBODY) {
        if (!model_may_write(c->redis, false, c->reply)) return;
        lock->held = false;
    }
    if (chosen == PROMOTED_SEVERAL && !model_serve_queue(c)) return;
    model_says(c->reply, PAWL__REDIS_SAYS_RELEASED);
}

static void release(model_call *c)
{
    model_lock *lock = c->lock;
    bool mine = lock->held && strcmp(lock->token, c->arg[0]) == 0;
    if (PAWL_MUTANT(release_without_compare)) mine = lock->held;
    if (mine) {
        release_mine(c);
        return;
    }
    if (!model_may_write(c->redis, false, c->reply)) return;
    bool left = model_waiter_remove(lock, c->arg[0]), refused = false;
    bool holds = lock->held && lock->several && model_holder_find(lock, c->arg[0]);
    if (left && !holds) model_place_remove(lock, c->arg[0]);
    promotion chosen = promote_if_free(c);
    if (chosen == PROMOTION_REFUSED) return;
    if (chosen == PROMOTED_SEVERAL && model_part_and_serve(c, &refused)) {
        model_says(c->reply, PAWL__REDIS_SAYS_RELEASED);
        return;
    }
    if (!refused) model_says(c->reply, left ? PAWL__REDIS_SAYS_LEFT : PAWL__REDIS_SAYS_NOT_OWNER);
}

static void publish_broken(const model_call *c, const char *inbox)
{
    char payload[PAWL__REDIS_KEY_MAX + 8];
    snprintf(payload, sizeof payload, "r %s", c->lock->key);
    c->redis->publish(c->redis->ctx, inbox, payload);
}

static void break_it(model_call *c)
{
    model_lock *lock = c->lock;
    bool was_held = lock->held;
    promotion chosen = promote_if_free(c);
    if (chosen == PROMOTION_REFUSED) return;
    if (chosen == PROMOTED_SEVERAL) {
        model_break_among(c);
        return;
    }
    if (!was_held || c->last != strtoull(c->arg[0], NULL, 10)) {
        model_says(c->reply, PAWL__REDIS_SAYS_NOT_OWNER);
        return;
    }
    bool is_told = model_record_is_of(lock, lock->token);
    model_who none = {"-", ""}, holder = lock->rec_who;
    if (!model_may_write(c->redis, false, c->reply)) return;
    lock->held = false;
    chosen = lock->place_count ? promote(c, NULL) : PROMOTED_NOBODY;
    if (chosen == PROMOTED_SEVERAL && !model_serve_queue(c)) return;
    if (!lock->held) model_write_record(c, "-", 0, model_draw(c), &none);
    if (is_told) publish_broken(c, holder.inbox);
    model_says(c->reply, PAWL__REDIS_SAYS_RELEASED);
}

/* ---- Commands --------------------------------------------------------------- */

static bool is_word(pawl__redis_bytes arg, const char *word)
{
    return arg.len == strlen(word) && memcmp(arg.data, word, arg.len) == 0;
}

static void take_arg(model_call *c, size_t i, pawl__redis_bytes arg)
{
    size_t len = arg.len < sizeof c->arg[i] - 1 ? arg.len : sizeof c->arg[i] - 1;
    memcpy(c->arg[i], arg.data, len);
    c->arg[i][len] = '\0';
}

static void run(model_call *c, pawl__redis_script script)
{
    switch (script) {
    case PAWL__REDIS_ACQUIRE:
        acquire(c);
        return;
    case PAWL__REDIS_RENEW:
        renew(c);
        return;
    case PAWL__REDIS_RELEASE:
        release(c);
        return;
    case PAWL__REDIS_INSPECT:
        model_inspect(c);
        return;
    case PAWL__REDIS_BREAK:
        break_it(c);
        return;
    case PAWL__REDIS_ACQUIRE_MANY:
        model_enter(c, c->arg[3][0], (int)strtol(c->arg[4], NULL, 10),
                    (int)strtol(c->arg[5], NULL, 10), c->arg[6][0]);
        return;
    case PAWL__REDIS_CHANGE:
        model_change(c);
        return;
    case PAWL__REDIS_PUBLISH:
        model_publish(c);
        return;
    case PAWL__REDIS_READ:
        model_read(c);
        return;
    case PAWL__REDIS_PROBE:            /* server.c */
    case PAWL__REDIS_ACQUIRE_TOGETHER: /* the same, as so many calls of the ordinary ones */
    case PAWL__REDIS_RELEASE_TOGETHER:
    case PAWL__REDIS_ACQUIRE_TOGETHER_GUARDED:
    case PAWL__REDIS_RELEASE_TOGETHER_GUARDED:
    case PAWL__REDIS_GUARD:           /* model_guard.c */
    case PAWL__REDIS_ACQUIRE_GUARDED: /* without the guard, and c->guarded */
    case PAWL__REDIS_RENEW_GUARDED:
    case PAWL__REDIS_RELEASE_GUARDED:
    case PAWL__REDIS_BREAK_GUARDED:
    case PAWL__REDIS_ACQUIRE_MANY_GUARDED:
    case PAWL__REDIS_CHANGE_GUARDED:
    case PAWL__REDIS_SCRIPTS:
        model_say_error(c->reply, "ERR no such script in the model");
        return;
    }
}

static void run_script(model_redis *redis, const pawl__redis_bytes *argv, size_t argc,
                       model_reply *reply)
{
    bool by_hash = is_word(argv[0], "EVALSHA");
    int script = 0;
    while (script < PAWL__REDIS_SCRIPTS &&
           !is_word(argv[1],
                    by_hash ? pawl__redis_scripts[script].sha1 : pawl__redis_scripts[script].body))
        script++;
    if (script == PAWL__REDIS_SCRIPTS || (by_hash && !(redis->scripts_known & 1u << script))) {
        model_say_error(reply, "NOSCRIPT No matching script. Please use EVAL.");
        return;
    }
    redis->scripts_known |= 1u << script;
    model_call c = {.redis = redis, .reply = reply, .now_ms = redis->now_us / 1000};
    size_t key_count = (size_t)(argv[2].data[0] - '0');
    if (script == PAWL__REDIS_GUARD) {
        model_guard(redis, &argv[3 + key_count], reply);
        return;
    }
    pawl__redis_script base;
    c.guarded = model_is_guarded((pawl__redis_script)script, &base);
    for (size_t i = 3 + key_count; i < argc; i++) take_arg(&c, i - 3 - key_count, argv[i]);
    c.lock = model_lock_get(redis, argv[3].data, argv[3].len);
    c.last = last_fence(c.lock);
    run(&c, base);
    if (script != PAWL__REDIS_INSPECT && script != PAWL__REDIS_READ) model_as_text(reply);
}

static int64_t to_number(pawl__redis_bytes arg)
{
    char text[24] = "";
    memcpy(text, arg.data, arg.len < sizeof text - 1 ? arg.len : sizeof text - 1);
    return strtoll(text, NULL, 10);
}

/* SET key value [NX] [EX s | PX ms] */
static void set(model_redis *redis, const pawl__redis_bytes *argv, size_t argc, model_reply *reply)
{
    model_lock *lock = model_lock_get(redis, argv[1].data, argv[1].len);
    int64_t until = MODEL_NEVER;
    bool only_new = false;
    for (size_t i = 3; i < argc; i++) {
        if (is_word(argv[i], "NX")) only_new = true;
        if (is_word(argv[i], "EX") && i + 1 < argc)
            until = redis->now_us / 1000 + to_number(argv[i + 1]) * 1000;
        if (is_word(argv[i], "PX") && i + 1 < argc)
            until = redis->now_us / 1000 + to_number(argv[i + 1]);
    }
    if (!model_may_write(redis, true, reply)) return;
    if (only_new && lock->held) {
        model_say_plain(reply, PAWL__REDIS_NIL, 0);
        return;
    }
    lock->held = true;
    lock->several = false;
    size_t len = argv[2].len < MODEL_TEXT_MAX - 1 ? argv[2].len : MODEL_TEXT_MAX - 1;
    memcpy(lock->token, argv[2].data, len);
    lock->token[len] = '\0';
    lock->held_until = until;
    model_say_plain(reply, PAWL__REDIS_STATUS, 0);
}

/* DEL key; CAD key value: only if it holds the value. */
static void delete (model_redis *redis, const pawl__redis_bytes *argv, bool compare,
                    model_reply *reply)
{
    model_lock *lock = model_lock_get(redis, argv[1].data, argv[1].len);
    if (!model_may_write(redis, false, reply)) return;
    bool gone = lock->held && (!compare || is_word(argv[2], lock->token));
    if (gone) lock->held = false;
    model_say_plain(reply, PAWL__REDIS_INTEGER, gone);
}

static void get(model_redis *redis, const pawl__redis_bytes *argv, model_reply *reply)
{
    model_lock *lock = model_lock_get(redis, argv[1].data, argv[1].len);
    if (!lock->held) {
        model_say_plain(reply, PAWL__REDIS_NIL, 0);
        return;
    }
    model_begin_array(reply);
    model_add_text(reply, lock->token);
    reply->value = reply->items[0];
}

void model_redis_command(model_redis *redis, int64_t now_us, const pawl__redis_bytes *argv,
                         size_t argc, model_reply *reply)
{
    redis->now_us = now_us;
    redis->dirty = false;
    if (redis->refusal == MODEL_LOADING) {
        (void)model_may_write(redis, true, reply);
        return;
    }
    if (is_word(argv[0], "EVALSHA") || is_word(argv[0], "EVAL"))
        run_script(redis, argv, argc, reply);
    else if (is_word(argv[0], "SET"))
        set(redis, argv, argc, reply);
    else if (is_word(argv[0], "GET"))
        get(redis, argv, reply);
    else if (is_word(argv[0], "DEL"))
        delete (redis, argv, false, reply);
    else if (is_word(argv[0], "CAD"))
        delete (redis, argv, true, reply);
    else
        model_say_error(reply, "ERR unknown command");
}
