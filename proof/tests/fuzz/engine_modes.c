/* SPDX-License-Identifier: MIT */
/* What a fair store with modes grants to whom: rules 3, 9, 10 and 11 of pawl/store.h. */
#include "engine_run.h"

bool modes_exclude(pawl_mode a, pawl_mode b)
{
    bool reads = a == PAWL_MODE_SHARED || b == PAWL_MODE_SHARED;
    bool writes = a == PAWL_MODE_EXCLUSIVE || b == PAWL_MODE_EXCLUSIVE;
    return writes || !reads;
}

/* Its lease has not run out, as far as its client can know. */
static bool is_held(const run *r, const token *t)
{
    return t->held && r->now < t->base_at + t->ttl_ms * PAWL__NS_PER_MS;
}

static bool is_other_holder(const run *r, const token *t, const token *other)
{
    return other != t && other->asked && other->name == t->name && is_held(r, other);
}

/* The slots that others have. */
static unsigned taken_slots(const run *r, const token *t)
{
    unsigned taken = 0;
    for (unsigned i = 0; i < TOKENS_MAX; i++)
        if (is_other_holder(r, t, &r->tokens[i])) taken |= r->tokens[i].slots;
    return taken;
}

/* The lowest slots that are free; 0: there are not as many. */
static unsigned free_slots(const run *r, const token *t)
{
    unsigned taken = taken_slots(r, t), slots = 0, found = 0;
    for (unsigned slot = 0; slot < t->capacity && found < t->units; slot++) {
        if (taken >> slot & 1) continue;
        slots |= 1u << slot;
        found++;
    }
    return found == t->units ? slots : 0;
}

/* 0, or why a fair store refuses it whatever is free (rule 9). */
static pawl_err misfit(const run *r, const token *t)
{
    for (unsigned i = 0; i < TOKENS_MAX; i++) {
        const token *other = &r->tokens[i];
        if (!is_other_holder(r, t, other)) continue;
        if ((other->mode == PAWL_MODE_PERMIT) != (t->mode == PAWL_MODE_PERMIT))
            return PAWL_ERR_KIND;
        if (other->capacity != t->capacity) return PAWL_ERR_CAPACITY;
    }
    return PAWL_OK;
}

static bool fits(const run *r, const token *t, pawl_mode mode)
{
    if (mode == PAWL_MODE_PERMIT) return free_slots(r, t) != 0;
    for (unsigned i = 0; i < TOKENS_MAX; i++) {
        const token *other = &r->tokens[i];
        if (is_other_holder(r, t, other) && modes_exclude(mode, other->mode)) return false;
    }
    return true;
}

/* A fair store lets it in, with a new fence. */
static void let_in(run *r, token *t)
{
    t->held = true;
    t->waits = false;
    t->fence = ++r->fences[t->name];
    t->slots = t->mode == PAWL_MODE_PERMIT ? free_slots(r, t) : 0;
}

/* What a fair store makes of the answer that the input wants, for who wants the lock. */
static pawl_outcome fair_acquire(run *r, token *t, pawl_outcome wanted, pawl_err *ret_err)
{
    if (wanted == PAWL_FAILED || wanted == PAWL_UNKNOWN) return wanted;
    if (is_held(r, t)) return PAWL_GRANTED;
    t->held = false;
    *ret_err = misfit(r, t);
    if (*ret_err) return PAWL_FAILED;
    if (wanted == PAWL_GRANTED && fits(r, t, t->mode)) let_in(r, t);
    if (t->held) return PAWL_GRANTED;
    t->waits = wanted != PAWL_BUSY;
    return t->waits ? PAWL_QUEUED : PAWL_BUSY;
}

/* The same for a holder that wants another mode (rule 10). */
static pawl_outcome fair_change(run *r, token *t, const pawl_request *request, pawl_outcome wanted)
{
    if (wanted == PAWL_FAILED || wanted == PAWL_UNKNOWN) return wanted;
    if (!is_held(r, t) || request->change < t->change) return PAWL_NOT_OWNER;
    t->change = request->change;
    t->upgrades = false;
    bool upgrades = t->mode == PAWL_MODE_UPDATE && request->mode == PAWL_MODE_EXCLUSIVE;
    if (!upgrades) {
        if (pawl_mode_is_downgrade(t->mode, request->mode)) t->mode = request->mode;
        return PAWL_GRANTED;
    }
    if (wanted == PAWL_GRANTED && fits(r, t, PAWL_MODE_EXCLUSIVE)) {
        t->mode = PAWL_MODE_EXCLUSIVE;
        t->fence = ++r->fences[t->name];
        return PAWL_GRANTED;
    }
    t->upgrades = request->flags & PAWL_ASK_QUEUE;
    return t->upgrades ? PAWL_QUEUED : PAWL_BUSY;
}

pawl_outcome modes_answer(run *r, token *t, const pawl_request *request, pawl_outcome wanted,
                          pawl_err *ret_err)
{
    if (request->verb == PAWL_VERB_ACQUIRE) return fair_acquire(r, t, wanted, ret_err);
    if (request->verb == PAWL_VERB_CHANGE) return fair_change(r, t, request, wanted);
    bool had = is_held(r, t), waited = t->waits;
    if (request->verb == PAWL_VERB_RELEASE && wanted != PAWL_FAILED && wanted != PAWL_UNKNOWN) {
        t->held = t->waits = t->upgrades = false;
        return had ? PAWL_RELEASED : waited ? PAWL_LEFT : PAWL_NOT_OWNER;
    }
    if (request->verb == PAWL_VERB_RENEW && wanted == PAWL_CONFIRMED && !had) return PAWL_NOT_OWNER;
    if (wanted == PAWL_NOT_OWNER) t->held = t->upgrades = false; /* somebody broke it */
    return wanted;
}

size_t modes_list_slots(unsigned slots, uint16_t ret_slots[SLOTS_MAX])
{
    size_t count = 0;
    for (unsigned slot = 0; slot < SLOTS_MAX; slot++)
        if (slots >> slot & 1) ret_slots[count++] = (uint16_t)slot;
    return count;
}

bool modes_push(run *r, token *t)
{
    if (is_held(r, t) && t->upgrades && fits(r, t, PAWL_MODE_EXCLUSIVE)) {
        t->upgrades = false;
        t->mode = PAWL_MODE_EXCLUSIVE;
        t->fence = ++r->fences[t->name];
    } else if (t->waits && !misfit(r, t) && fits(r, t, t->mode)) {
        let_in(r, t);
    }
    return is_held(r, t);
}
