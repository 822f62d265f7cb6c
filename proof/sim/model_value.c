/* SPDX-License-Identifier: MIT */
/* publish.lua and read.lua in C: the value beside a name, and who watches it. */
#include "model_call.h"

#include "../../src/base/mutant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool holds_alone(const model_lock *lock, const char *token)
{
    return lock->held && !lock->several && strcmp(lock->token, token) == 0;
}

typedef struct writer {
    bool holds;
    uint64_t fence;
    const char *owner;
    int64_t *published; /* where the number of its latest publication stands */
} writer;

static writer find_writer(const model_call *c, const char *token)
{
    model_lock *lock = c->lock;
    if (holds_alone(lock, token))
        return (writer){true, lock->fence, lock->rec_who.owner, &lock->rec_published};
    if (!lock->held || !lock->several) return (writer){.holds = false};
    model_waiter *entry = model_holder_find(lock, token);
    int64_t rank = model_place_rank(lock, token);
    if (!entry || rank < 0) return (writer){.holds = false};
    bool ended = -lock->places[rank].score <= c->now_ms;
    if (ended && !PAWL_MUTANT(value_of_the_dead)) return (writer){.holds = false};
    return (writer){true, entry->fence, entry->who.owner, &entry->published};
}

/* Tells those who watch; returns for how long the latest of them does. */
static int64_t tell_watchers(const model_call *c, int64_t life)
{
    const model_value *value = &c->lock->value;
    char payload[PAWL__REDIS_KEY_MAX + 3];
    snprintf(payload, sizeof payload, "n %s", c->lock->key);
    for (int i = 0; i < value->watcher_count; i++) {
        int64_t left = value->watchers[i].till_ms - c->now_ms;
        if (left <= 0) continue;
        if (left > life) life = left;
        if (!PAWL_MUTANT(value_tells_nobody))
            c->redis->publish(c->redis->ctx, value->watchers[i].inbox, payload);
    }
    return life;
}

static void set_value(const model_call *c, const writer *w, int64_t life)
{
    model_value *value = &c->lock->value;
    bool keeps_first = PAWL_MUTANT(value_stays) && value->is_set && value->till_ms > c->now_ms;
    if (!keeps_first) {
        value->is_set = true;
        value->fence = PAWL_MUTANT(value_with_last_fence) ? c->last : w->fence;
        value->at_us = c->redis->now_us;
        value->till_ms = c->now_ms + life;
        model_copy_text(value->bytes, sizeof value->bytes, c->arg[2]);
        model_copy_text(value->owner, sizeof value->owner, w->owner);
    }
    value->until_ms = c->now_ms + tell_watchers(c, life);
}

void model_publish(model_call *c)
{
    int64_t number = strtoll(c->arg[3], NULL, 10);
    if (holds_alone(c->lock, c->arg[0]) && !model_record_is_of(c->lock, c->arg[0])) {
        model_say_error(c->reply, "PAWLRECORD this is not a fence record");
        return;
    }
    writer w = find_writer(c, c->arg[0]);
    if (!w.holds && PAWL_MUTANT(value_without_compare)) w = (writer){true, c->last, "", NULL};
    if (!w.holds) {
        model_says(c->reply, PAWL__REDIS_SAYS_NOT_OWNER);
        return;
    }
    bool is_late = w.published && number <= *w.published;
    if (!is_late || PAWL_MUTANT(late_publication_counts)) {
        if (!model_may_write(c->redis, true, c->reply)) return;
        if (w.published) *w.published = number;
        set_value(c, &w, strtoll(c->arg[1], NULL, 10));
    }
    model_says(c->reply, PAWL__REDIS_SAYS_CONFIRMED);
    model_add_int(c->reply, (int64_t)(PAWL_MUTANT(value_with_last_fence) ? c->last : w.fence));
    model_add_int(c->reply, 0);
}

static bool watch(model_call *c, const char *inbox, int64_t span_ms)
{
    model_value *value = &c->lock->value;
    int kept = 0;
    if (!model_may_write(c->redis, true, c->reply)) return false;
    for (int i = 0; i < value->watcher_count; i++) {
        const model_watcher *w = &value->watchers[i];
        if (w->till_ms > c->now_ms && strcmp(w->inbox, inbox) != 0) value->watchers[kept++] = *w;
    }
    value->watcher_count = kept;
    if (kept == MODEL_WATCHERS_MAX) {
        model_say_error(c->reply, "PAWLFULL");
        return false;
    }
    model_watcher *mine = &value->watchers[value->watcher_count++];
    mine->till_ms = c->now_ms + span_ms;
    model_copy_text(mine->inbox, sizeof mine->inbox, inbox);
    if (value->until_ms < c->now_ms + span_ms) value->until_ms = c->now_ms + span_ms;
    return true;
}

void model_read(model_call *c)
{
    const model_value *value = &c->lock->value;
    if (c->arg[0][0] && !watch(c, c->arg[0], strtoll(c->arg[1], NULL, 10))) return;
    bool there = value->is_set && value->till_ms > c->now_ms;
    model_says(c->reply, PAWL__REDIS_SAYS_VALUE);
    model_add_int(c->reply, c->redis->now_us);
    model_add_int(c->reply, there ? (int64_t)value->fence : 0);
    model_add_int(c->reply, there ? value->at_us : 0);
    model_add_text(c->reply, there ? value->owner : "");
    model_add_text(c->reply, there ? value->bytes : "");
}
