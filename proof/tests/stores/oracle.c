/* SPDX-License-Identifier: MIT */
#include "oracle.h"

#include <string.h>

#define MS INT64_C(1000000)

static void cut(oracle *o, int index)
{
    memmove(&o->owners[index], &o->owners[index + 1],
            (size_t)(o->count - index - 1) * sizeof(o->owners[0]));
    o->count--;
    if (index == 0) o->held = false;
}

static void draw_fence(oracle *o, uint64_t wall_us)
{
    uint64_t next = o->fence + 1;
    o->fence = next > wall_us ? next : wall_us;
}

/* The first in the array becomes the holder, if there is none, for as long as its place stands. */
static void promote(oracle *o, uint64_t wall_us, oracle_answer *answer)
{
    if (o->held || o->count == 0) return;
    o->held = true;
    draw_fence(o, wall_us);
    answer->granted_token = o->owners[0].token;
}

static oracle_answer begin(oracle *o, int64_t now, uint64_t wall_us)
{
    oracle_answer answer = {.outcome = PAWL_NOT_OWNER, .granted_token = -1};
    for (int i = o->count - 1; i >= 0; i--) {
        bool was_held = o->held;
        if (o->owners[i].until > now) continue;
        cut(o, i);
        if (i > 0) o->held = was_held;
    }
    promote(o, wall_us, &answer);
    return answer;
}

static int find(const oracle *o, int token)
{
    for (int i = 0; i < o->count; i++)
        if (o->owners[i].token == token) return i;
    return -1;
}

static void held(const oracle *o, pawl_outcome outcome, oracle_answer *answer)
{
    answer->outcome = outcome;
    answer->fence = o->fence;
    answer->waiting = o->count > 1;
}

static void queued(oracle *o, int64_t now, int index, int64_t ttl_ms, oracle_answer *answer)
{
    o->owners[index].ttl_ms = ttl_ms;
    o->owners[index].until = now + pawl_place_span(ttl_ms * MS);
    answer->outcome = PAWL_QUEUED;
    answer->position = index - 1;
}

oracle_answer oracle_acquire(oracle *o, int64_t now, uint64_t wall_us, int token, int64_t ttl_ms,
                             bool queue)
{
    oracle_answer answer = begin(o, now, wall_us);
    int at = find(o, token);
    if (at == 0 || o->count == 0) {
        if (o->count == 0) draw_fence(o, wall_us);
        o->count = o->count ? o->count : 1;
        o->held = true;
        o->owners[0] = (oracle_owner){.token = token, .ttl_ms = ttl_ms, .until = now + ttl_ms * MS};
        held(o, PAWL_GRANTED, &answer);
    } else if (!queue) {
        if (at > 0) cut(o, at);
        answer.outcome = PAWL_BUSY;
    } else {
        if (at < 0) o->owners[at = o->count++] = (oracle_owner){.token = token};
        queued(o, now, at, ttl_ms, &answer);
    }
    return answer;
}

oracle_answer oracle_renew(oracle *o, int64_t now, uint64_t wall_us, int token, int64_t ttl_ms)
{
    oracle_answer answer = begin(o, now, wall_us);
    if (find(o, token) != 0) return answer;
    o->owners[0].ttl_ms = ttl_ms;
    o->owners[0].until = now + ttl_ms * MS;
    held(o, PAWL_CONFIRMED, &answer);
    return answer;
}

oracle_answer oracle_release(oracle *o, int64_t now, uint64_t wall_us, int token)
{
    oracle_answer answer = begin(o, now, wall_us);
    int at = find(o, token);
    if (at < 0) return answer;
    cut(o, at);
    answer.outcome = at == 0 ? PAWL_RELEASED : PAWL_LEFT;
    promote(o, wall_us, &answer);
    return answer;
}

oracle_answer oracle_break(oracle *o, int64_t now, uint64_t wall_us, uint64_t fence)
{
    oracle_answer answer = begin(o, now, wall_us);
    if (!o->held || o->fence != fence) return answer;
    cut(o, 0);
    answer.outcome = PAWL_RELEASED;
    promote(o, wall_us, &answer);
    return answer;
}
