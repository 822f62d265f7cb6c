/* SPDX-License-Identifier: MIT */
#include "beside_model.h"

#include "base/random.h"
#include "check.h"

uint64_t draw_below(uint64_t *random, uint64_t below)
{
    return pawl__random_next(random) % below;
}

pawl_mode draw_mode(uint64_t *random, bool permits)
{
    static const pawl_mode often[] = {PAWL_MODE_SHARED, PAWL_MODE_SHARED, PAWL_MODE_SHARED,
                                      PAWL_MODE_UPDATE, PAWL_MODE_UPDATE, PAWL_MODE_EXCLUSIVE};
    if (draw_below(random, 20) == 0) return permits ? PAWL_MODE_SHARED : PAWL_MODE_PERMIT;
    return permits ? PAWL_MODE_PERMIT : often[draw_below(random, 6)];
}

pawl_request draw_wish(uint64_t *random, bool permits)
{
    pawl_request wish = {.mode = draw_mode(random, permits)};
    if (wish.mode != PAWL_MODE_PERMIT) return wish;
    wish.capacity = draw_below(random, 12) ? 5 : 4;
    wish.units = 1 + (uint32_t)draw_below(random, 3);
    return wish;
}

pawl_request draw_request(uint64_t *random, bool permits, const pawl_request *wish)
{
    static const pawl_verb verbs[] = {PAWL_VERB_ACQUIRE, PAWL_VERB_ACQUIRE, PAWL_VERB_ACQUIRE,
                                      PAWL_VERB_ACQUIRE, PAWL_VERB_RENEW,   PAWL_VERB_RELEASE,
                                      PAWL_VERB_RELEASE, PAWL_VERB_CHANGE,  PAWL_VERB_CHANGE,
                                      PAWL_VERB_BREAK};
    pawl_request request = {.verb = verbs[draw_below(random, 10)]};
    request.mode = draw_mode(random, permits);
    if (draw_below(random, 4)) request.flags = PAWL_ASK_QUEUE;
    if (request.verb != PAWL_VERB_ACQUIRE) return request;
    request.flags |= wish->flags;
    request.mode = wish->mode;
    request.capacity = wish->capacity;
    request.units = wish->units;
    return request;
}

bool fences_agree(fence_pairs *fences, uint64_t real, uint64_t modelled)
{
    for (int i = 0; i < fences->count; i++) {
        const fence_pair *pair = &fences->pairs[i];
        if ((pair->real < real) != (pair->modelled < modelled)) return false;
        if ((pair->real == real) != (pair->modelled == modelled)) return false;
        if (pair->real == real) return true;
    }
    CHECK(fences->count < FENCE_PAIRS_MAX);
    fences->pairs[fences->count++] = (fence_pair){real, modelled};
    return true;
}

const fence_pair *draw_fence(const fence_pairs *fences, uint64_t *random)
{
    if (!fences->count) return NULL;
    int latest = fences->count < 6 ? fences->count : 6;
    return &fences->pairs[fences->count - 1 - (int)draw_below(random, (uint64_t)latest)];
}
