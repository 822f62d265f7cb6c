/* SPDX-License-Identifier: MIT */
/*
 * Values beside names, and who watches them: rule 12 of pawl/store.h. They have a table of their
 * own, because a value outlives the record of its name.
 */
#include "memory_state.h"

#include <stdlib.h>

typedef struct watcher {
    pawl__link in_value;
    void *client;
    int64_t until;
} watcher;

struct pawl__memory_value {
    pawl__entry entry;
    pawl__link in_all;
    pawl__link watchers;
    size_t watcher_count;
    char *bytes;
    size_t len;
    uint64_t fence; /* 0: nothing was published */
    int64_t until, at_us;
    char owner[PAWL_OWNER_MAX + 1];
    size_t name_len;
    char name[];
};

static pawl__memory_value *value_of(const pawl__link *in_all)
{
    return pawl__container(in_all, pawl__memory_value, in_all);
}

/* ---- Life ------------------------------------------------------------------------------ */

static pawl__memory_value *find(const pawl__memory *m, const pawl_request *request)
{
    pawl__entry *entry = pawl__table_find(&m->values, request->name, request->name_len);
    return entry ? pawl__container(entry, pawl__memory_value, entry) : NULL;
}

static pawl__memory_value *find_or_make(pawl__memory *m, const pawl_request *request)
{
    pawl__memory_value *v = find(m, request);
    if (v || m->values.count >= PAWL__MEMORY_LOCKS_MAX) return v;
    v = calloc(1, sizeof(*v) + request->name_len + 1);
    if (!v) return NULL;
    memcpy(v->name, request->name, request->name_len);
    v->name_len = request->name_len;
    pawl__list_init(&v->watchers);
    if (!pawl__table_add(&m->values, &v->entry, v->name, v->name_len)) {
        free(v);
        return NULL;
    }
    pawl__list_append(&m->all_values, &v->in_all);
    return v;
}

static void remove_watcher(pawl__memory_value *v, watcher *w)
{
    pawl__list_remove(&w->in_value);
    v->watcher_count--;
    free(w);
}

static void forget(pawl__memory *m, pawl__memory_value *v)
{
    for (pawl__link *first; (first = pawl__list_first(&v->watchers));)
        remove_watcher(v, pawl__container(first, watcher, in_value));
    pawl__table_remove(&m->values, &v->entry);
    pawl__list_remove(&v->in_all);
    free(v->bytes);
    free(v);
}

/* Removes what has ended: the value, watchers (also those of one client), and then the entry. */
static void end_what_is_over(const pawl__call *call, pawl__memory_value *v, const void *gone)
{
    for (pawl__link *l = v->watchers.next, *next; l != &v->watchers; l = next) {
        next = l->next;
        watcher *w = pawl__container(l, watcher, in_value);
        if (w->until <= call->now || w->client == gone) remove_watcher(v, w);
    }
    if (v->until <= call->now) v->fence = 0;
    if (!v->fence && !v->watcher_count) forget(call->memory, v);
}

/* Checks the two that were checked longest ago, so that nothing dead stays for ever. */
static void collect_some(const pawl__call *call)
{
    pawl__memory *m = call->memory;
    for (int i = 0; i < 2; i++) {
        pawl__link *first = pawl__list_first(&m->all_values);
        if (!first) return;
        pawl__list_remove(first);
        pawl__list_append(&m->all_values, first);
        end_what_is_over(call, value_of(first), NULL);
    }
}

void pawl__values_leave(const pawl__call *call, const void *client)
{
    pawl__link *all = &call->memory->all_values;
    for (pawl__link *l = all->next, *next; l != all; l = next) {
        next = l->next;
        end_what_is_over(call, value_of(l), client);
    }
}

void pawl__values_free(pawl__memory *m)
{
    for (pawl__link *first; (first = pawl__list_first(&m->all_values));) forget(m, value_of(first));
    pawl__table_done(&m->values);
}

/* ---- PUBLISH --------------------------------------------------------------------------- */

static pawl__owner *holder_of(const pawl__call *call, const pawl_request *request)
{
    const pawl__record *r = pawl__record_find(call->memory, request->name, request->name_len);
    pawl__owner *holder = r ? pawl__holder_find(r, request->token) : NULL;
    return holder && holder->until > call->now ? holder : NULL;
}

/* false: out of memory, and nothing has changed. */
static bool keep(const pawl__call *call, pawl__memory_value *v, const pawl__owner *holder,
                 const pawl_request *request)
{
    char *bytes = malloc(request->value_len + 1);
    if (!bytes) return false;
    if (request->value_len) memcpy(bytes, request->value, request->value_len);
    free(v->bytes);
    v->bytes = bytes;
    v->len = request->value_len;
    v->fence = holder->fence;
    v->at_us = (int64_t)call->wall_us;
    v->until = pawl__instant_add(call->now, pawl__ms_to_ns(request->keep_ms));
    memcpy(v->owner, holder->label, sizeof(v->owner));
    return true;
}

static void tell_watchers(const pawl__call *call, const pawl__memory_value *v)
{
    pawl_push push = {.kind = PAWL_PUSH_NEWS, .name = v->name, .name_len = v->name_len};
    for (const pawl__link *l = v->watchers.next; l != &v->watchers; l = l->next)
        call->out->push(call->out->ctx, pawl__container(l, watcher, in_value)->client, &push);
}

void pawl__memory_publish(const pawl__call *call, const pawl_request *request,
                          pawl_reply *ret_reply)
{
    ret_reply->outcome = PAWL_NOT_OWNER;
    pawl__owner *holder = holder_of(call, request);
    if (!holder) return;
    ret_reply->outcome = PAWL_CONFIRMED;
    ret_reply->fence = holder->fence;
    if (request->publication <= holder->published) return; /* it came late, or again */
    pawl__memory_value *v = find_or_make(call->memory, request);
    if (!v || !keep(call, v, holder, request)) {
        pawl__say_failed(PAWL_ERR_NO_MEMORY, ret_reply);
        if (v) end_what_is_over(call, v, NULL);
        return;
    }
    holder->published = request->publication;
    end_what_is_over(call, v, NULL); /* watchers whose time is over */
    tell_watchers(call, v);
    collect_some(call);
}

/* ---- READ ------------------------------------------------------------------------------ */

static watcher *watcher_of(const pawl__memory_value *v, const void *client)
{
    for (pawl__link *l = v->watchers.next; l != &v->watchers; l = l->next)
        if (pawl__container(l, watcher, in_value)->client == client)
            return pawl__container(l, watcher, in_value);
    return NULL;
}

static pawl_err watch(const pawl__call *call, void *client, const pawl_request *request)
{
    pawl__memory_value *v = find_or_make(call->memory, request);
    watcher *w = v ? watcher_of(v, client) : NULL;
    if (v && !w && v->watcher_count >= PAWL_WATCHERS_MAX) return PAWL_ERR_STORE_FULL;
    if (v && !w && (w = calloc(1, sizeof(*w)))) {
        pawl__list_append(&v->watchers, &w->in_value);
        v->watcher_count++;
        w->client = client;
    }
    if (w) w->until = pawl__instant_add(call->now, pawl__ms_to_ns(request->ttl_ms));
    if (v && !w) end_what_is_over(call, v, NULL);
    return w ? PAWL_OK : PAWL_ERR_NO_MEMORY;
}

void pawl__memory_read(const pawl__call *call, void *client, const pawl_request *request,
                       pawl_value *room, pawl_reply *ret_reply)
{
    pawl__memory_value *v = find(call->memory, request);
    if (v) end_what_is_over(call, v, NULL); /* it may be gone */
    pawl_err err = request->flags & PAWL_ASK_WATCH ? watch(call, client, request) : PAWL_OK;
    if (err) {
        pawl__say_failed(err, ret_reply);
        return;
    }
    *room = (pawl_value){.bytes = "", .owner = "", .now_us = (int64_t)call->wall_us};
    v = find(call->memory, request);
    if (v && v->fence) {
        room->bytes = v->bytes;
        room->len = v->len;
        room->fence = v->fence;
        room->at_us = v->at_us;
        room->owner = v->owner;
    }
    ret_reply->outcome = PAWL_REPORTED;
    ret_reply->value = room;
}
