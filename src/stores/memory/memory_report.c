/* SPDX-License-Identifier: MIT */
/* Reports: what has expired is left out of them, but not touched. */
#include "memory_state.h"

#include <stdlib.h>
#include <string.h>

static bool is_live(const pawl__call *call, const pawl__owner *owner)
{
    return owner->until > call->now;
}

static size_t live_count(const pawl__call *call, const pawl__link *list)
{
    size_t count = 0;
    for (const pawl__link *l = list->next; l != list; l = l->next)
        if (is_live(call, pawl__owner_of(l))) count++;
    return count;
}

static size_t at_most(size_t count, size_t most)
{
    return count < most ? count : most;
}

static void show_waiters(const pawl__call *call, const pawl__record *r, pawl_waiter_info *shown,
                         size_t room)
{
    size_t n = 0;
    for (const pawl__link *l = r->waiters.next; l != &r->waiters && n < room; l = l->next) {
        const pawl__owner *waiter = pawl__owner_of(l);
        if (!is_live(call, waiter)) continue;
        shown[n++] = (pawl_waiter_info){.owner = waiter->label,
                                        .age_ms = pawl__ms_until(waiter->since, call->now),
                                        .place_ms = pawl__ms_until(call->now, waiter->until),
                                        .mode = (pawl_mode)waiter->mode,
                                        .units = waiter->units};
    }
}

static pawl_holder_info holder_info(const pawl__call *call, const pawl__owner *holder,
                                    const char *token)
{
    return (pawl_holder_info){.owner = holder->label,
                              .remaining_ms = pawl__ms_until(call->now, holder->until),
                              .fence = holder->fence,
                              .mode = (pawl_mode)holder->mode,
                              .units = holder->units,
                              .mine = pawl__owner_has(holder, token)};
}

/* Fills in as many holders as there is room for, and in `info` what is true of all together. */
static void show_holders(const pawl__call *call, const pawl__record *r, const char *token,
                         pawl_holder_info *shown, pawl_info *info)
{
    size_t n = 0;
    for (const pawl__link *l = r->holders.next; l != &r->holders; l = l->next) {
        const pawl__owner *holder = pawl__owner_of(l);
        if (!is_live(call, holder)) continue;
        pawl_holder_info one = holder_info(call, holder, token);
        if (n < info->holders_shown) shown[n++] = one;
        if (one.remaining_ms > info->remaining_ms) info->remaining_ms = one.remaining_ms;
        info->held = true;
        info->mine |= one.mine;
        info->owner = holder->label; /* the last one's fence is the largest */
        info->fence = one.fence;
        info->mode = one.mode;
    }
}

static void show_break(const pawl__call *call, const pawl__record *r, pawl_info *info)
{
    const pawl__broken *note = pawl__broken_latest(call->memory, r);
    if (!note) return;
    info->broken_by = note->by;
    info->broken_ms = pawl__ms_until(note->at, call->now);
    info->broken_fence = note->fence;
}

/* False when out of memory. */
static bool report(const pawl__call *call, const pawl__record *r, const char *token)
{
    pawl_info info = {.size = sizeof(info),
                      .name = r->name,
                      .name_len = r->name_len,
                      .owner = "",
                      .fence = r->fence,
                      .capacity = r->capacity,
                      .holder_count = live_count(call, &r->holders),
                      .waiter_count = live_count(call, &r->waiters)};
    show_break(call, r, &info);
    info.waiters_shown = at_most(info.waiter_count, PAWL_WAITERS_SHOWN_MAX);
    info.holders_shown = at_most(info.holder_count, PAWL_HOLDERS_SHOWN_MAX);
    pawl_waiter_info *waiters = calloc(info.waiters_shown + 1, sizeof(*waiters));
    pawl_holder_info *holders = calloc(info.holders_shown + 1, sizeof(*holders));
    if (waiters && holders) {
        show_waiters(call, r, waiters, info.waiters_shown);
        show_holders(call, r, token, holders, &info);
        info.waiters = waiters;
        info.holders = holders;
        call->out->row(call->out->ctx, &info);
    }
    bool told = waiters && holders;
    free(waiters);
    free(holders);
    return told;
}

static void done(bool all, pawl_reply *reply)
{
    reply->outcome = all ? PAWL_REPORTED : PAWL_FAILED;
    if (!all) reply->err = PAWL_ERR_NO_MEMORY;
}

void pawl__memory_inspect(const pawl__call *call, const pawl_request *request,
                          pawl_reply *ret_reply)
{
    pawl__entry *entry = pawl__table_find(&call->memory->table, request->name, request->name_len);
    if (entry) {
        done(report(call, pawl__container(entry, pawl__record, entry), request->token), ret_reply);
        return;
    }
    pawl_info free_lock = {.size = sizeof(free_lock),
                           .name = request->name,
                           .name_len = request->name_len,
                           .owner = ""};
    call->out->row(call->out->ctx, &free_lock);
    done(true, ret_reply);
}

void pawl__memory_list(const pawl__call *call, const pawl_request *request, pawl_reply *ret_reply)
{
    pawl__memory *m = call->memory;
    bool all = true;
    for (pawl__link *l = m->all.next; l != &m->all && all; l = l->next) {
        const pawl__record *r = pawl__container(l, pawl__record, in_all);
        if (r->name_len < request->name_len) continue;
        if (memcmp(r->name, request->name, request->name_len) != 0) continue;
        if (!live_count(call, &r->holders) && !live_count(call, &r->waiters)) continue;
        all = report(call, r, NULL);
    }
    done(all, ret_reply);
}
