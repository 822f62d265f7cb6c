/* SPDX-License-Identifier: MIT */
/* Who broke which lease, for those who ask afterwards (rule 13 of pawl/store.h). */
#include "memory_state.h"

#include <stdlib.h>

static pawl__broken *broken_of_link(const pawl__link *link)
{
    return pawl__container(link, pawl__broken, in_list);
}

static void drop_last(pawl__record *r)
{
    pawl__broken *last = broken_of_link(r->broken.prev);
    pawl__list_remove(&last->in_list);
    r->broken_count--;
    free(last);
}

void pawl__broken_add(const pawl__call *call, pawl__record *r, const pawl__owner *holder,
                      const char *by)
{
    pawl__broken *note = calloc(1, sizeof(*note));
    if (!note) return;
    memcpy(note->token, holder->token, PAWL_TOKEN_LEN);
    size_t len = by ? strlen(by) : 0;
    if (len > PAWL_OWNER_MAX) len = PAWL_OWNER_MAX;
    if (len) memcpy(note->by, by, len);
    note->fence = holder->fence;
    note->at = call->now;
    int64_t least = pawl__instant_add(call->now, pawl__ms_to_ns(PAWL_BROKEN_KEEP_MS));
    note->until = holder->until > least ? holder->until : least;
    pawl__list_prepend(&r->broken, &note->in_list);
    r->broken_count++;
    if (r->broken_count > PAWL_BROKEN_MAX) drop_last(r);
}

const pawl__broken *pawl__broken_latest(const pawl__memory *m, const pawl__record *r)
{
    const pawl__link *first = r->broken.next;
    if (first == &r->broken || broken_of_link(first)->until <= m->now) return NULL;
    return broken_of_link(first);
}

const pawl__broken *pawl__broken_of(const pawl__memory *m, const pawl__record *r, const char *token)
{
    for (const pawl__link *l = r->broken.next; l != &r->broken; l = l->next) {
        const pawl__broken *note = broken_of_link(l);
        if (note->until > m->now && strcmp(note->token, token) == 0) return note;
    }
    return NULL;
}

void pawl__broken_expire(pawl__record *r, int64_t now)
{
    for (pawl__link *l = r->broken.next, *next; l != &r->broken; l = next) {
        next = l->next;
        if (broken_of_link(l)->until > now) continue;
        pawl__list_remove(l);
        r->broken_count--;
        free(broken_of_link(l));
    }
}
