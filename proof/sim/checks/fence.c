/* SPDX-License-Identifier: MIT */
/*
 * Law 3. In the order in which the store granted, fences grow, whatever happened to
 * the store's memory, unless that was lost and its clock is behind its last fence too.
 * In the order of reports: a grant to somebody who began to want after another grant had
 * been reported has the larger fence (a delayed reply may report a smaller one later).
 */
#include "check.h"

#include <inttypes.h>

void check_fences_excused(sim *s, int number)
{
    seen_name *name = &s->seen.names[number];
    name->excuses++;
    for (int i = 0; i < 4; i++) name->told[i].fence = 0;
    for (int i = 0; i < SEEN_SLOTS_MAX; i++) name->told_slots[i] = 0;
}

void check_fence_drawn(sim *s, uint64_t fence, int number, bool is_new)
{
    seen_name *name = &s->seen.names[number];
    bool clock_behind = (uint64_t)sim_server_now_us(s) <= name->last_fence;
    /* A store that went back to an older state has that state's holder, with its fence. */
    bool excused = name->record_lost && (clock_behind || !is_new);
    if (fence <= name->last_fence && !excused)
        sim_fail(s, "fence", "\"%s\": the store granted with fence %" PRIu64 " after %" PRIu64,
                 sim_names[number], fence, name->last_fence);
    name->last_fence = fence;
    name->record_lost = false;
    if (excused) check_fences_excused(s, number);
}

/* The fences that it has, and the largest that were told before it was asked for. */
static uint64_t slots_floor(const sim_caller *caller)
{
    uint64_t floor = 0;
    for (int i = 0; i < SEEN_SLOTS_MAX; i++)
        if (caller->slots >> i & 1 && caller->seen.floor_slots[i] > floor)
            floor = caller->seen.floor_slots[i];
    return floor;
}

static void remember_told(sim *s, const sim_caller *caller)
{
    seen_name *name = &s->seen.names[caller->name];
    const seen_token *token = &s->seen.tokens[caller->token];
    /* Larger than the last one that the store drew: from before fences were allowed to go back. */
    if (token->excuses != name->excuses || caller->fence > name->last_fence) return;
    for (int i = 0; i < SEEN_SLOTS_MAX; i++)
        if (caller->slots >> i & 1 && caller->fence > name->told_slots[i])
            name->told_slots[i] = caller->fence;
    seen_told *told = &name->told[caller->believed];
    if (caller->fence >= told->fence) *told = (seen_told){caller->fence, caller->token};
}

void check_fence_told(sim *s, const sim_caller *caller)
{
    const seen_name *name = &s->seen.names[caller->name];
    const seen_want *want = &caller->seen;
    const seen_token *token = &s->seen.tokens[caller->token];
    bool promised = seen_is_owed(s, caller);
    if (promised && token->fence != caller->fence && token->granted != caller->fence)
        sim_fail(s, "fence", "caller %d was told fence %" PRIu64 ", the store granted %" PRIu64,
                 caller->number, caller->fence, token->fence);
    bool permits = caller->believed == PAWL_MODE_PERMIT;
    uint64_t floor = permits ? slots_floor(caller) : want->floor.fence;
    bool same = caller->token == want->floor.token && !permits;
    bool grew = same ? caller->fence >= floor : caller->fence > floor;
    if (promised && want->excuses == name->excuses && !grew)
        sim_fail(s, "fence",
                 "caller %d was told fence %" PRIu64 ", but %" PRIu64
                 " had been told before it asked",
                 caller->number, caller->fence, floor);
    remember_told(s, caller);
}

/* An upgrade is a grant, unless the store has not heard of the downgrade before it. */
void check_upgrade_fence(sim *s, const sim_caller *caller, uint64_t before)
{
    bool alone_all_the_time = caller->fence == s->seen.names[caller->name].last_fence;
    if (caller->fence < before || (caller->fence == before && !alone_all_the_time))
        sim_fail(s, "fence", "caller %d was upgraded, and its fence did not grow from %" PRIu64,
                 caller->number, before);
    remember_told(s, caller);
}
