/* SPDX-License-Identifier: MIT */
/* Reports: what has expired is left out of them, but not touched. */
#include "memory_state.h"

#include <stdlib.h>
#include <string.h>

static bool is_live(const pawl__call *call, const pawl__owner *owner)
{
    return owner && owner->until > call->now;
}

static size_t live_waiters(const pawl__call *call, const pawl__record *r)
{
    size_t count = 0;
    for (pawl__link *l = r->waiters.next; l != &r->waiters; l = l->next)
        if (is_live(call, pawl__owner_of(l))) count++;
    return count;
}

static void show_waiters(const pawl__call *call, const pawl__record *r, pawl_waiter_info *shown,
                         size_t room)
{
    size_t n = 0;
    for (pawl__link *l = r->waiters.next; l != &r->waiters && n < room; l = l->next) {
        const pawl__owner *waiter = pawl__owner_of(l);
        if (!is_live(call, waiter)) continue;
        shown[n++] = (pawl_waiter_info){.owner = waiter->label,
                                        .age_ms = pawl__ms_until(waiter->since, call->now),
                                        .place_ms = pawl__ms_until(call->now, waiter->until)};
    }
}

static bool is_mine(const pawl__owner *holder, const char *token)
{
    return token && strcmp(holder->token, token) == 0;
}

/* False when out of memory. */
static bool report(const pawl__call *call, const pawl__record *r, const char *token)
{
    pawl_info info = {.size = sizeof(info),
                      .name = r->name,
                      .name_len = r->name_len,
                      .owner = "",
                      .fence = r->fence,
                      .waiter_count = live_waiters(call, r)};
    info.waiters_shown =
        info.waiter_count < PAWL_WAITERS_SHOWN_MAX ? info.waiter_count : PAWL_WAITERS_SHOWN_MAX;
    if (is_live(call, r->holder)) {
        info.held = true;
        info.mine = is_mine(r->holder, token);
        info.owner = r->holder->label;
        info.remaining_ms = pawl__ms_until(call->now, r->holder->until);
    }
    pawl_waiter_info *shown = NULL;
    if (info.waiters_shown) {
        shown = calloc(info.waiters_shown, sizeof(*shown));
        if (!shown) return false;
        show_waiters(call, r, shown, info.waiters_shown);
    }
    info.waiters = shown;
    call->out->row(call->out->ctx, &info);
    free(shown);
    return true;
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
        if (!is_live(call, r->holder) && !live_waiters(call, r)) continue;
        all = report(call, r, NULL);
    }
    done(all, ret_reply);
}
