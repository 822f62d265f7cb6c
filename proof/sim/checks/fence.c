/* SPDX-License-Identifier: MIT */
/*
 * Law 3. In the order in which the store granted, fences grow, whatever happened to
 * the store's memory, unless that was lost and its clock is behind its last fence too.
 * In the order of reports: a grant to somebody who began to want after another grant had
 * been reported has the larger fence (a delayed reply may report a smaller one later).
 */
#include "check.h"

#include <inttypes.h>

void check_fence_drawn(sim *s, const model_lock *lock, int number, bool is_new)
{
    seen_name *name = &s->seen.names[number];
    bool clock_behind = (uint64_t)sim_server_now_us(s) <= name->last_fence;
    /* A store that went back to an older state has that state's holder, with its fence. */
    bool excused = name->record_lost && (clock_behind || !is_new);
    if (lock->fence <= name->last_fence && !excused)
        sim_fail(s, "fence", "\"%s\": the store granted with fence %" PRIu64 " after %" PRIu64,
                 sim_names[number], lock->fence, name->last_fence);
    name->last_fence = lock->fence;
    name->record_lost = false;
    if (!excused) return;
    name->excuses++; /* the order of reports has no meaning across this */
    name->told_fence = 0;
}

void check_fence_told(sim *s, const sim_caller *caller)
{
    seen_name *name = &s->seen.names[caller->name];
    const seen_want *want = &caller->seen;
    const seen_token *token = &s->seen.tokens[caller->token];
    bool promised = seen_is_owed(s, caller);
    if (promised && token->fence != caller->fence && token->granted != caller->fence)
        sim_fail(s, "fence", "caller %d was told fence %" PRIu64 ", the store granted %" PRIu64,
                 caller->number, caller->fence, token->fence);
    bool same = caller->token == want->floor_token;
    bool grew = same ? caller->fence >= want->floor_fence : caller->fence > want->floor_fence;
    if (promised && want->excuses == name->excuses && !grew)
        sim_fail(s, "fence",
                 "caller %d was told fence %" PRIu64 ", but %" PRIu64
                 " had been told before it asked",
                 caller->number, caller->fence, want->floor_fence);
    /* Larger than what the store drew last: from before its fences were allowed to go back. */
    bool current = token->excuses == name->excuses && caller->fence <= name->last_fence;
    if (caller->fence < name->told_fence || !current) return;
    name->told_fence = caller->fence;
    name->told_token = caller->token;
}
