/* SPDX-License-Identifier: MIT */
#include "oracle_modes.h"

#include <string.h>

#define MS INT64_C(1000000)

static bool compatible(pawl_mode one, pawl_mode other)
{
    if (one == PAWL_MODE_SHARED) return other == PAWL_MODE_SHARED || other == PAWL_MODE_UPDATE;
    return one == PAWL_MODE_UPDATE && other == PAWL_MODE_SHARED;
}

static int holders(const modes_oracle *o)
{
    int n = 0;
    for (int i = 0; i < o->count; i++) n += o->owners[i].holds;
    return n;
}

static bool fits(const modes_oracle *o, pawl_mode mode, uint32_t units)
{
    uint32_t used = 0;
    for (int i = 0; i < o->count; i++) {
        if (!o->owners[i].holds) continue;
        if (mode != PAWL_MODE_PERMIT && !compatible(mode, o->owners[i].mode)) return false;
        used += o->owners[i].units;
    }
    return mode != PAWL_MODE_PERMIT || used + units <= o->capacity;
}

static void draw_fence(modes_oracle *o, uint64_t wall_us, modes_owner *owner)
{
    o->fence = o->fence + 1 > wall_us ? o->fence + 1 : wall_us;
    owner->fence = o->fence;
}

static void make_holder(modes_oracle *o, uint64_t wall_us, modes_owner *owner)
{
    uint32_t used = 0;
    for (int i = 0; i < o->count; i++)
        if (o->owners[i].holds) used |= o->owners[i].slots;
    for (uint32_t n = 0, bit = 1; n < owner->units; bit <<= 1) {
        if (used & bit) continue;
        owner->slots |= bit;
        n++;
    }
    owner->holds = true;
    draw_fence(o, wall_us, owner);
}

static void hand_out(modes_oracle *o, uint64_t wall_us, modes_answer *answer)
{
    for (int i = 0; i < o->count; i++) {
        modes_owner *owner = &o->owners[i];
        if (!owner->upgrades) continue;
        if (holders(o) > 1) return;
        owner->upgrades = false;
        owner->mode = PAWL_MODE_EXCLUSIVE;
        draw_fence(o, wall_us, owner);
        answer->handed[answer->handed_count++] = owner->token;
        return;
    }
    for (int i = 0; i < o->count; i++) {
        modes_owner *owner = &o->owners[i];
        if (owner->holds) continue;
        if (!fits(o, owner->mode, owner->units)) return;
        make_holder(o, wall_us, owner);
        answer->handed[answer->handed_count++] = owner->token;
    }
}

static void cut(modes_oracle *o, int at)
{
    memmove(&o->owners[at], &o->owners[at + 1], (size_t)(o->count - at - 1) * sizeof(o->owners[0]));
    o->count--;
}

static int find(const modes_oracle *o, int token)
{
    for (int i = 0; i < o->count; i++)
        if (o->owners[i].token == token) return i;
    return -1;
}

/* Whether anybody waits but the one at `but`. */
static bool awaited(const modes_oracle *o, int but)
{
    for (int i = 0; i < o->count; i++)
        if (i != but && (!o->owners[i].holds || o->owners[i].upgrades)) return true;
    return false;
}

static void holds(const modes_oracle *o, int at, pawl_outcome outcome, modes_answer *answer)
{
    answer->outcome = outcome;
    answer->fence = o->owners[at].fence;
    answer->slots = o->owners[at].slots;
    answer->waiting = awaited(o, at);
}

static pawl_err misfit(const modes_oracle *o, const pawl_request *r)
{
    bool permit = r->mode == PAWL_MODE_PERMIT;
    if (permit && (r->units == 0 || r->units > r->capacity)) return PAWL_ERR_UNITS;
    if (o->count == 0) return PAWL_OK;
    if (permit != (o->owners[0].mode == PAWL_MODE_PERMIT)) return PAWL_ERR_KIND;
    return permit && r->capacity != o->capacity ? PAWL_ERR_CAPACITY : PAWL_OK;
}

static void acquire(modes_oracle *o, int64_t now, uint64_t wall_us, int token,
                    const pawl_request *r, modes_answer *answer)
{
    int at = find(o, token);
    answer->err = misfit(o, r);
    if (answer->err) {
        answer->outcome = PAWL_FAILED;
        return;
    }
    if (r->mode == PAWL_MODE_PERMIT) o->capacity = r->capacity;
    bool free_for_us = !awaited(o, -1) && fits(o, r->mode, r->units);
    bool queue = r->flags & PAWL_ASK_QUEUE;
    if (at >= 0 && !o->owners[at].holds && !queue) {
        cut(o, at);
        hand_out(o, wall_us, answer);
        answer->outcome = PAWL_BUSY;
        return;
    }
    if (at < 0 && !free_for_us && !queue) {
        answer->outcome = PAWL_BUSY;
        return;
    }
    if (at < 0) {
        at = o->count++;
        o->owners[at] = (modes_owner){.token = token, .mode = r->mode, .units = r->units};
        if (free_for_us) make_holder(o, wall_us, &o->owners[at]);
    }
    modes_owner *owner = &o->owners[at];
    bool same = r->mode == owner->mode ||
                (owner->mode == PAWL_MODE_EXCLUSIVE && r->mode != PAWL_MODE_PERMIT) ||
                (owner->mode == PAWL_MODE_UPDATE && r->mode == PAWL_MODE_SHARED);
    if (owner->holds && (!same || (r->mode == PAWL_MODE_PERMIT && owner->units < r->units))) {
        answer->outcome = PAWL_FAILED; /* rule 3 */
        answer->err = PAWL_ERR_MODE;
        return;
    }
    owner->ttl_ms = r->ttl_ms;
    if (owner->holds) {
        owner->until = now + r->ttl_ms * MS;
        holds(o, at, PAWL_GRANTED, answer);
        return;
    }
    owner->until = now + pawl_place_span(r->ttl_ms * MS);
    answer->outcome = PAWL_QUEUED;
    for (int i = 0; i < at; i++) answer->position += !o->owners[i].holds;
}

static void change(modes_oracle *o, int64_t now, uint64_t wall_us, int at, const pawl_request *r,
                   modes_answer *answer)
{
    modes_owner *owner = &o->owners[at];
    pawl_mode from = owner->mode, to = r->mode;
    if (r->change < owner->change) return;
    owner->ttl_ms = r->ttl_ms;
    owner->until = now + r->ttl_ms * MS;
    bool up = from == PAWL_MODE_UPDATE && to == PAWL_MODE_EXCLUSIVE;
    bool down =
        (from == PAWL_MODE_EXCLUSIVE && (to == PAWL_MODE_UPDATE || to == PAWL_MODE_SHARED)) ||
        (from == PAWL_MODE_UPDATE && to == PAWL_MODE_SHARED);
    if (!up && !down && to != from) {
        answer->outcome = PAWL_FAILED;
        answer->err = PAWL_ERR_MODE;
        return;
    }
    owner->change = r->change;
    owner->upgrades = false;
    if (up && holders(o) > 1) {
        owner->upgrades = r->flags & PAWL_ASK_QUEUE;
        owner->upgrade_until = now + pawl_place_span(r->ttl_ms * MS);
        answer->outcome = owner->upgrades ? PAWL_QUEUED : PAWL_BUSY;
        if (!owner->upgrades) hand_out(o, wall_us, answer);
        return;
    }
    owner->mode = to;
    if (up) draw_fence(o, wall_us, owner);
    hand_out(o, wall_us, answer);
    holds(o, at, PAWL_GRANTED, answer);
}

static void leave(modes_oracle *o, uint64_t wall_us, int at, modes_answer *answer)
{
    answer->outcome = o->owners[at].holds ? PAWL_RELEASED : PAWL_LEFT;
    cut(o, at);
    hand_out(o, wall_us, answer);
}

static void pass_time(modes_oracle *o, int64_t now, uint64_t wall_us, modes_answer *answer)
{
    for (int i = o->count - 1; i >= 0; i--)
        if (o->owners[i].until <= now) cut(o, i);
    for (int i = 0; i < o->count; i++)
        if (o->owners[i].upgrade_until <= now) o->owners[i].upgrades = false;
    hand_out(o, wall_us, answer);
}

modes_answer modes_apply(modes_oracle *o, int64_t now, uint64_t wall_us, int token,
                         const pawl_request *r)
{
    modes_answer answer = {.outcome = PAWL_NOT_OWNER};
    pass_time(o, now, wall_us, &answer);
    int at = find(o, token);
    if (r->verb == PAWL_VERB_ACQUIRE) {
        acquire(o, now, wall_us, token, r, &answer);
    } else if (r->verb == PAWL_VERB_BREAK) {
        for (int i = 0; i < o->count; i++)
            if (o->owners[i].holds && o->owners[i].fence == r->fence) {
                leave(o, wall_us, i, &answer);
                break;
            }
    } else if (r->verb == PAWL_VERB_RELEASE) {
        if (at >= 0) leave(o, wall_us, at, &answer);
    } else if (at >= 0 && o->owners[at].holds) {
        if (r->verb == PAWL_VERB_CHANGE) {
            change(o, now, wall_us, at, r, &answer);
        } else {
            o->owners[at].ttl_ms = r->ttl_ms;
            o->owners[at].until = now + r->ttl_ms * MS;
            holds(o, at, PAWL_CONFIRMED, &answer);
        }
    }
    return answer;
}
