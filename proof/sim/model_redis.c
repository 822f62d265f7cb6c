/* SPDX-License-Identifier: MIT */
/* The scripts of src/stores/redis/scripts in C, statement by statement, and plain commands. */
#define _GNU_SOURCE /* strnlen */
#include "model_redis.h"

#include "../../src/base/mutant.h"
#include "../../src/stores/redis/redis_scripts.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- Replies ---------------------------------------------------------------- */

static void reply_error(model_reply *reply, const char *text)
{
    int len = snprintf(reply->text, sizeof reply->text, "%s", text);
    reply->value =
        (pawl__redis_value){.type = PAWL__REDIS_ERROR, .text = {reply->text, (size_t)len}};
}

static void reply_plain(model_reply *reply, pawl__redis_type type, int64_t integer)
{
    reply->value = (pawl__redis_value){.type = type, .integer = integer};
    if (type == PAWL__REDIS_STATUS) reply->value.text = (pawl__redis_bytes){"OK", 2};
}

static void begin_array(model_reply *reply)
{
    reply->value = (pawl__redis_value){.type = PAWL__REDIS_ARRAY, .items = reply->items};
    reply->text_len = 0;
}

static void add_int(model_reply *reply, int64_t integer)
{
    if (reply->value.count == MODEL_ITEMS_MAX) return;
    reply->items[reply->value.count++] =
        (pawl__redis_value){.type = PAWL__REDIS_INTEGER, .integer = integer};
}

static void add_text(model_reply *reply, const char *text)
{
    size_t len = strlen(text);
    if (reply->value.count == MODEL_ITEMS_MAX || reply->text_len + len + 1 > sizeof reply->text)
        return;
    char *copy = memcpy(reply->text + reply->text_len, text, len + 1);
    reply->text_len += len + 1;
    reply->items[reply->value.count++] =
        (pawl__redis_value){.type = PAWL__REDIS_STRING, .text = {copy, len}};
}

static void says(model_reply *reply, pawl__redis_says word)
{
    begin_array(reply);
    add_int(reply, word);
}

/* All scripts but inspect.lua answer with a text of words, or a bare number. */
static void as_text(model_reply *reply)
{
    char text[sizeof reply->text] = "";
    size_t len = 0;
    if (reply->value.type != PAWL__REDIS_ARRAY) return;
    if (reply->value.count == 1) {
        reply->value = reply->items[0];
        return;
    }
    for (size_t i = 0; i < reply->value.count; i++) {
        const pawl__redis_value *item = &reply->items[i];
        const char *blank = i ? " " : "";
        int n = item->type == PAWL__REDIS_INTEGER
                    ? snprintf(text + len, sizeof text - len, "%s%" PRId64, blank, item->integer)
                    : snprintf(text + len, sizeof text - len, "%s%s", blank, item->text.data);
        len += (size_t)n;
    }
    memcpy(reply->text, text, len + 1);
    reply->value = (pawl__redis_value){.type = PAWL__REDIS_STRING, .text = {reply->text, len}};
}

int model_reply_says(const model_reply *reply)
{
    const pawl__redis_value *value = &reply->value;
    switch (value->type) {
    case PAWL__REDIS_INTEGER:
        return (int)value->integer;
    case PAWL__REDIS_STRING:
        return value->text.data[0] - '0';
    case PAWL__REDIS_ARRAY:
        return value->count ? (int)value->items[0].integer : -1;
    case PAWL__REDIS_NIL:
    case PAWL__REDIS_STATUS:
    case PAWL__REDIS_ERROR:
    case PAWL__REDIS_PUSH:
        return -1;
    }
    return -1;
}

/* ---- Refusals: only before a script's first write --------------------------- */

static bool may_write(model_redis *redis, bool needs_memory, model_reply *reply)
{
    static const char *const refusals[] = {
        [MODEL_WELL] = NULL,
        [MODEL_FULL] = "OOM command not allowed when used memory > 'maxmemory'.",
        [MODEL_MISCONF] = "MISCONF Errors writing to the AOF file: No space left on device",
        [MODEL_READONLY] = "READONLY You can't write against a read only replica.",
        [MODEL_LOADING] = "LOADING Redis is loading the dataset in memory"};
    if (redis->dirty) return true;
    bool refused = redis->refusal == MODEL_FULL ? needs_memory : redis->refusal != MODEL_WELL;
    if (refused) {
        reply_error(reply, refusals[redis->refusal]);
        return false;
    }
    redis->dirty = true;
    return true;
}

/* ---- lib_fence.lua ---------------------------------------------------------- */

typedef struct call {
    model_redis *redis;
    model_lock *lock;
    model_reply *reply;
    int64_t now_ms;
    uint64_t last; /* the fence as the script found it */
    char arg[PAWL__REDIS_ARGS_MAX][PAWL__REDIS_WHO_MAX + 1];
} call;

static uint64_t last_fence(const model_lock *lock)
{
    return lock->recorded ? lock->fence : 0;
}

static uint64_t draw(const call *c)
{
    uint64_t clock = (uint64_t)c->redis->now_us, next = c->last + 1;
    if (PAWL_MUTANT(fence_expires)) return next;
    if (PAWL_MUTANT(fence_without_clock)) return next;
    return next > clock ? next : clock;
}

static int64_t record_until(const call *c, int64_t ttl_ms, uint64_t fence)
{
    if (PAWL_MUTANT(fence_expires)) return c->now_ms + ttl_ms;
    int64_t behind = (int64_t)fence - c->redis->now_us;
    int64_t wait_ms = behind > 0 ? (behind + 999) / 1000 : 0;
    return c->now_ms + ttl_ms + PAWL__REDIS_FENCE_KEEP_MS + wait_ms;
}

static void copy_text(char *to, size_t room, const char *from)
{
    size_t len = strnlen(from, room - 1);
    memmove(to, from, len);
    to[len] = '\0';
}

/* "INBOX OWNER" */
static void take_who(const char *who, char inbox[MODEL_INBOX_MAX], char owner[PAWL_OWNER_MAX + 1])
{
    size_t len = strcspn(who, " ");
    copy_text(inbox, len < MODEL_INBOX_MAX ? len + 1 : MODEL_INBOX_MAX, who);
    copy_text(owner, PAWL_OWNER_MAX + 1, who[len] ? who + len + 1 : "");
}

static void write_record(const call *c, const char *token, int64_t ttl_ms, uint64_t fence,
                         const char *inbox, const char *owner)
{
    model_lock *lock = c->lock;
    lock->recorded = true;
    lock->fence = fence;
    copy_text(lock->rec_token, sizeof lock->rec_token, token);
    copy_text(lock->rec_inbox, sizeof lock->rec_inbox, inbox);
    copy_text(lock->rec_owner, sizeof lock->rec_owner, owner);
    lock->record_until = record_until(c, ttl_ms, fence);
}

static void tell_held(const call *c, bool is_new)
{
    if (c->redis->held) c->redis->held(c->redis->ctx, c->lock, is_new);
}

static void write_grant(const call *c, const char *token, int64_t ttl_ms, uint64_t fence,
                        const char *inbox, const char *owner)
{
    c->lock->held = true;
    copy_text(c->lock->token, sizeof c->lock->token, token);
    c->lock->held_until = PAWL_MUTANT(grant_without_expiry) ? MODEL_NEVER : c->now_ms + ttl_ms;
    write_record(c, token, ttl_ms, fence, inbox, owner);
}

static bool record_is_of(const model_lock *lock, const char *token)
{
    return lock->recorded && strcmp(lock->rec_token, token) == 0;
}

/* ---- lib_handoff.lua -------------------------------------------------------- */

typedef enum promotion {
    PROMOTED_NOBODY = 0, /* the queue is empty now, or all who wait are away */
    PROMOTED_SOMEBODY,
    PROMOTED_ASKER,
    PROMOTED_UNSEEN, /* too many that cannot take it: the rest is left to the next script */
    PROMOTION_REFUSED
} promotion;

/* Whether its connection is gone. */
static bool is_away(const call *c, const model_waiter *waiter)
{
    if (PAWL_MUTANT(handoff_to_nobody)) return false;
    return c->redis->subscribed(c->redis->ctx, waiter->inbox) == 0;
}

static void hand_to(call *c, const model_waiter *waiter, uint64_t fence, bool more)
{
    if (PAWL_MUTANT(fence_drawn_early)) fence = (uint64_t)waiter->since_ms * 1000;
    char payload[MODEL_TEXT_MAX + PAWL__REDIS_KEY_MAX + 64];
    write_grant(c, waiter->token, waiter->ttl_ms, fence, waiter->inbox, waiter->owner);
    if (!PAWL_MUTANT(handoff_extends)) c->lock->held_until = waiter->till_ms;
    snprintf(payload, sizeof payload, "g %" PRIu64 " %d %s %s", fence, more, waiter->token,
             c->lock->key);
    c->redis->publish(c->redis->ctx, waiter->inbox, payload);
    tell_held(c, true);
}

static void take_out(model_lock *lock, const char *token)
{
    char copy[MODEL_TEXT_MAX]; /* it may lie in what is removed */
    copy_text(copy, sizeof copy, token);
    model_place_remove(lock, copy);
    model_waiter_remove(lock, copy);
}

static promotion promote(call *c, const char *asker)
{
    model_lock *lock = c->lock;
    uint64_t fence = draw(c);
    size_t away = 0;
    for (int i = 0; i < PAWL__REDIS_SKIP_MAX; i++) {
        char token[MODEL_TEXT_MAX];
        size_t at = PAWL_MUTANT(handoff_to_newest) ? lock->place_count - 1 - away : away;
        copy_text(token, sizeof token, lock->places[at].token);
        bool is_asker = asker && strcmp(token, asker) == 0;
        const model_waiter *found = model_waiter_find(lock, token);
        model_waiter waiter = {0};
        if (found) waiter = *found;
        bool stands =
            found && (waiter.till_ms * 1000 > c->redis->now_us || PAWL_MUTANT(handoff_to_expired));
        bool passed_over = stands && !is_asker && is_away(c, &waiter);
        if (passed_over && !PAWL_MUTANT(cut_waiter_dropped)) {
            away++;
        } else {
            if (!may_write(c->redis, false, c->reply)) return PROMOTION_REFUSED;
            take_out(lock, token);
            if (is_asker) return PROMOTED_ASKER;
            if (stands && !passed_over) {
                hand_to(c, &waiter, fence, lock->place_count > 0);
                return PROMOTED_SOMEBODY;
            }
        }
        if (lock->place_count == away) return PROMOTED_NOBODY;
    }
    if (away && !may_write(c->redis, false, c->reply)) return PROMOTION_REFUSED;
    while (away--) take_out(lock, lock->places[0].token);
    return PROMOTED_UNSEEN;
}

/* False if the script was refused. */
static bool promote_if_free(call *c)
{
    if (c->lock->held || !c->lock->place_count) return true;
    return promote(c, NULL) != PROMOTION_REFUSED;
}

/* ---- acquire.lua ------------------------------------------------------------ */

static void say_grant(call *c, pawl__redis_says word, uint64_t fence)
{
    says(c->reply, word);
    add_int(c->reply, (int64_t)fence);
    add_int(c->reply, c->lock->place_count > 0);
}

/* The tail that acquire (asked again) and renew share. */
static void extend(call *c, pawl__redis_says word)
{
    char inbox[MODEL_INBOX_MAX], owner[PAWL_OWNER_MAX + 1];
    int64_t ttl_ms = strtoll(c->arg[1], NULL, 10);
    if (!may_write(c->redis, false, c->reply)) return;
    c->lock->held_until = c->now_ms + ttl_ms;
    uint64_t fence = c->lock->fence;
    if (record_is_of(c->lock, c->arg[0])) {
        c->lock->record_until = record_until(c, ttl_ms, fence);
    } else {
        fence = draw(c);
        take_who(c->arg[2], inbox, owner);
        write_record(c, c->arg[0], ttl_ms, fence, inbox, owner);
    }
    tell_held(c, false);
    say_grant(c, word, fence);
}

static void take(call *c)
{
    int64_t ttl_ms = strtoll(c->arg[1], NULL, 10);
    if (!may_write(c->redis, true, c->reply)) return;
    uint64_t fence = draw(c);
    char inbox[MODEL_INBOX_MAX], owner[PAWL_OWNER_MAX + 1];
    take_who(c->arg[2], inbox, owner);
    write_grant(c, c->arg[0], ttl_ms, fence, inbox, owner);
    tell_held(c, true);
    say_grant(c, PAWL__REDIS_SAYS_GRANTED, fence);
}

static void say_busy(call *c, int64_t holder_ms, bool foreign)
{
    if (!may_write(c->redis, false, c->reply)) return;
    if (model_waiter_remove(c->lock, c->arg[0])) model_place_remove(c->lock, c->arg[0]);
    says(c->reply, PAWL__REDIS_SAYS_BUSY);
    add_int(c->reply, holder_ms);
    add_text(c->reply, foreign ? "" : c->lock->rec_owner);
}

static int64_t remaining(const call *c, int64_t until)
{
    return until == MODEL_NEVER ? -1 : until - c->now_ms;
}

static void say_queued(call *c, int64_t position, int64_t holder_ms)
{
    says(c->reply, PAWL__REDIS_SAYS_QUEUED);
    add_int(c->reply, position);
    add_int(c->reply, holder_ms);
    add_int(c->reply, (int64_t)last_fence(c->lock));
}

static void fill_waiter(call *c, model_waiter *waiter, int64_t place_ms, int64_t since_ms)
{
    waiter->till_ms = c->now_ms + place_ms;
    waiter->ttl_ms = strtoll(c->arg[1], NULL, 10);
    waiter->since_ms = since_ms;
    take_who(c->arg[2], waiter->inbox, waiter->owner);
}

static void queue_up(call *c, int64_t holder_ms, bool foreign)
{
    model_lock *lock = c->lock;
    const char *token = c->arg[0];
    int64_t ttl_ms = strtoll(c->arg[1], NULL, 10), place_ms = (ttl_ms * 2 + 2) / 3;
    int64_t life = lock->waiter_count ? remaining(c, lock->waiters_until) : -2;
    model_waiter *waiter = model_waiter_find(lock, token);
    int64_t position = waiter ? model_place_rank(lock, token) : -1;
    if (PAWL_MUTANT(refresh_loses_place)) position = -1;
    if (position >= 0) {
        if (!may_write(c->redis, false, c->reply)) return;
        lock->places_until = lock->waiters_until = c->now_ms + (life > ttl_ms ? life : ttl_ms);
        fill_waiter(c, waiter, place_ms, waiter->since_ms);
        say_queued(c, position, holder_ms);
        return;
    }
    size_t length = lock->place_count;
    if (length >= PAWL__REDIS_QUEUE_MAX) {
        reply_error(c->reply, "PAWLFULL");
        return;
    }
    if (!may_write(c->redis, true, c->reply)) return;
    model_place_add(lock, token, length ? lock->places[length - 1].score + 1 : 1);
    fill_waiter(c, model_waiter_put(lock, token), place_ms, c->now_ms);
    if (length == 0 || life < place_ms)
        lock->places_until = lock->waiters_until = c->now_ms + ttl_ms;
    if (length == 0 && !foreign) {
        char payload[MODEL_TEXT_MAX + PAWL__REDIS_KEY_MAX + 8];
        snprintf(payload, sizeof payload, "y %s %s", lock->token, lock->key);
        c->redis->publish(c->redis->ctx, lock->rec_inbox, payload);
    }
    say_queued(c, (int64_t)length, holder_ms);
}

static void acquire(call *c)
{
    model_lock *lock = c->lock;
    if (lock->held && strcmp(lock->token, c->arg[0]) == 0) {
        extend(c, PAWL__REDIS_SAYS_GRANTED);
        return;
    }
    if (!lock->held) {
        bool queue = lock->place_count && !PAWL_MUTANT(asker_barges_in);
        promotion chosen = queue ? promote(c, c->arg[0]) : PROMOTED_NOBODY;
        if (chosen == PROMOTION_REFUSED) return;
        if (chosen == PROMOTED_ASKER || chosen == PROMOTED_NOBODY) {
            take(c);
            return;
        }
    }
    int64_t holder_ms = lock->held ? remaining(c, lock->held_until) : 0;
    bool foreign = !lock->held || !record_is_of(lock, lock->token);
    if (c->arg[3][0]) {
        say_busy(c, holder_ms, foreign);
        return;
    }
    queue_up(c, holder_ms, foreign);
}

/* ---- renew.lua, release.lua, break.lua -------------------------------------- */

static void renew(call *c)
{
    bool mine = c->lock->held && strcmp(c->lock->token, c->arg[0]) == 0;
    if (PAWL_MUTANT(renew_without_compare)) mine = c->lock->held;
    if (PAWL_MUTANT(renew_overwrites) || (PAWL_MUTANT(renew_recreates) && !c->lock->held)) {
        copy_text(c->lock->token, sizeof c->lock->token, c->arg[0]);
        c->lock->held = mine = true;
    }
    if (!mine) {
        if (promote_if_free(c)) says(c->reply, PAWL__REDIS_SAYS_NOT_OWNER);
        return;
    }
    extend(c, PAWL__REDIS_SAYS_CONFIRMED);
}

static void release(call *c)
{
    model_lock *lock = c->lock;
    bool mine = lock->held && strcmp(lock->token, c->arg[0]) == 0;
    if (PAWL_MUTANT(release_without_compare)) mine = lock->held;
    if (mine) {
        promotion chosen = lock->place_count ? promote(c, c->arg[0]) : PROMOTED_NOBODY;
        if (chosen == PROMOTION_REFUSED) return;
        if (chosen != PROMOTED_SOMEBODY) {
            if (!may_write(c->redis, false, c->reply)) return;
            lock->held = false;
        }
        says(c->reply, PAWL__REDIS_SAYS_RELEASED);
        return;
    }
    if (!may_write(c->redis, false, c->reply)) return;
    bool left = model_waiter_remove(lock, c->arg[0]);
    if (left) model_place_remove(lock, c->arg[0]);
    if (promote_if_free(c))
        says(c->reply, left ? PAWL__REDIS_SAYS_LEFT : PAWL__REDIS_SAYS_NOT_OWNER);
}

static void break_it(call *c)
{
    model_lock *lock = c->lock;
    if (!lock->held || last_fence(lock) != strtoull(c->arg[0], NULL, 10)) {
        if (promote_if_free(c)) says(c->reply, PAWL__REDIS_SAYS_NOT_OWNER);
        return;
    }
    char token[MODEL_TEXT_MAX], holder[MODEL_TEXT_MAX], inbox[MODEL_INBOX_MAX];
    copy_text(token, sizeof token, lock->token);
    copy_text(holder, sizeof holder, lock->recorded ? lock->rec_token : "");
    copy_text(inbox, sizeof inbox, lock->rec_inbox);
    if (!may_write(c->redis, false, c->reply)) return;
    lock->held = false;
    promotion chosen = lock->place_count ? promote(c, NULL) : PROMOTED_NOBODY;
    if (chosen != PROMOTED_SOMEBODY) {
        write_record(c, "-", 0, draw(c), "-", "");
    }
    if (strcmp(holder, token) == 0) {
        char payload[PAWL__REDIS_KEY_MAX + 8];
        snprintf(payload, sizeof payload, "r %s", lock->key);
        c->redis->publish(c->redis->ctx, inbox, payload);
    }
    says(c->reply, PAWL__REDIS_SAYS_RELEASED);
}

/* ---- inspect.lua ------------------------------------------------------------ */

static void inspect(call *c)
{
    model_lock *lock = c->lock;
    bool foreign = lock->held && !record_is_of(lock, lock->token);
    says(c->reply, PAWL__REDIS_SAYS_REPORT);
    add_int(c->reply, lock->held);
    add_int(c->reply, foreign);
    int64_t remaining_ms = lock->held ? remaining(c, lock->held_until) : 0;
    const char *owner = lock->held && !foreign ? lock->rec_owner : "";
    int64_t fence = (int64_t)last_fence(lock);
    add_int(c->reply, remaining_ms);
    add_int(c->reply, fence);
    add_text(c->reply, owner);
    add_int(c->reply, 0);
    add_int(c->reply, lock->held);
    add_int(c->reply, 0);
    add_int(c->reply, lock->held);
    add_text(c->reply, ""); /* the model keeps no notes of breaks */
    add_int(c->reply, -1);
    add_int(c->reply, 0);
    if (lock->held) {
        add_text(c->reply, owner);
        add_int(c->reply, remaining_ms);
        add_int(c->reply, fence);
        add_text(c->reply, "x");
        add_int(c->reply, 0);
        add_int(c->reply, strcmp(lock->token, c->arg[0]) == 0);
    }
    int64_t waiting = (int64_t)lock->place_count;
    for (size_t i = 0; i < lock->place_count; i++) {
        const model_waiter *waiter = model_waiter_find(lock, lock->places[i].token);
        if (!waiter || waiter->till_ms <= c->now_ms) {
            waiting--;
            continue;
        }
        add_text(c->reply, waiter->owner);
        add_int(c->reply, c->now_ms > waiter->since_ms ? c->now_ms - waiter->since_ms : 0);
        add_int(c->reply, waiter->till_ms - c->now_ms);
        add_text(c->reply, "x");
        add_int(c->reply, 0);
    }
    c->reply->items[8].integer = waiting;
}

/* ---- Commands --------------------------------------------------------------- */

static bool is_word(pawl__redis_bytes arg, const char *word)
{
    return arg.len == strlen(word) && memcmp(arg.data, word, arg.len) == 0;
}

static void take_arg(call *c, size_t i, pawl__redis_bytes arg)
{
    size_t len = arg.len < sizeof c->arg[i] - 1 ? arg.len : sizeof c->arg[i] - 1;
    memcpy(c->arg[i], arg.data, len);
    c->arg[i][len] = '\0';
}

static void run(call *c, pawl__redis_script script)
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
        inspect(c);
        return;
    case PAWL__REDIS_BREAK:
        break_it(c);
        return;
    case PAWL__REDIS_ACQUIRE_MANY: /* of one holder at a time only */
    case PAWL__REDIS_CHANGE:
    case PAWL__REDIS_PROBE:
    case PAWL__REDIS_GUARD:
    case PAWL__REDIS_PUBLISH: /* the engine says nothing of values */
    case PAWL__REDIS_READ:
    case PAWL__REDIS_ACQUIRE_GUARDED:
    case PAWL__REDIS_RENEW_GUARDED:
    case PAWL__REDIS_RELEASE_GUARDED:
    case PAWL__REDIS_BREAK_GUARDED:
    case PAWL__REDIS_ACQUIRE_MANY_GUARDED:
    case PAWL__REDIS_CHANGE_GUARDED:
    case PAWL__REDIS_SCRIPTS:
        reply_error(c->reply, "ERR no such script in the model");
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
        reply_error(reply, "NOSCRIPT No matching script. Please use EVAL.");
        return;
    }
    redis->scripts_known |= 1u << script;
    call c = {.redis = redis, .reply = reply, .now_ms = redis->now_us / 1000};
    size_t key_count = (size_t)(argv[2].data[0] - '0');
    for (size_t i = 3 + key_count; i < argc; i++) take_arg(&c, i - 3 - key_count, argv[i]);
    c.lock = model_lock_get(redis, argv[3].data, argv[3].len);
    c.last = last_fence(c.lock);
    run(&c, (pawl__redis_script)script);
    if (script != PAWL__REDIS_INSPECT) as_text(reply);
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
    if (!may_write(redis, true, reply)) return;
    if (only_new && lock->held) {
        reply_plain(reply, PAWL__REDIS_NIL, 0);
        return;
    }
    lock->held = true;
    size_t len = argv[2].len < MODEL_TEXT_MAX - 1 ? argv[2].len : MODEL_TEXT_MAX - 1;
    memcpy(lock->token, argv[2].data, len);
    lock->token[len] = '\0';
    lock->held_until = until;
    reply_plain(reply, PAWL__REDIS_STATUS, 0);
}

/* DEL key; CAD key value: only if it holds the value. */
static void delete (model_redis *redis, const pawl__redis_bytes *argv, bool compare,
                    model_reply *reply)
{
    model_lock *lock = model_lock_get(redis, argv[1].data, argv[1].len);
    if (!may_write(redis, false, reply)) return;
    bool gone = lock->held && (!compare || is_word(argv[2], lock->token));
    if (gone) lock->held = false;
    reply_plain(reply, PAWL__REDIS_INTEGER, gone);
}

static void get(model_redis *redis, const pawl__redis_bytes *argv, model_reply *reply)
{
    model_lock *lock = model_lock_get(redis, argv[1].data, argv[1].len);
    if (!lock->held) {
        reply_plain(reply, PAWL__REDIS_NIL, 0);
        return;
    }
    begin_array(reply);
    add_text(reply, lock->token);
    reply->value = reply->items[0];
}

void model_redis_command(model_redis *redis, int64_t now_us, const pawl__redis_bytes *argv,
                         size_t argc, model_reply *reply)
{
    redis->now_us = now_us;
    redis->dirty = false;
    if (redis->refusal == MODEL_LOADING) {
        (void)may_write(redis, true, reply);
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
        reply_error(reply, "ERR unknown command");
}
