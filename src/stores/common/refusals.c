/* SPDX-License-Identifier: MIT */
#include "refusals.h"

#include <stdlib.h>
#include <string.h>

#define ROOM_FIRST 256

bool pawl__refusals_init(pawl__refusals *refusals)
{
    *refusals = (pawl__refusals){.list = calloc(ROOM_FIRST, sizeof(pawl__refusal))};
    if (refusals->list) refusals->room = ROOM_FIRST;
    return refusals->list != NULL;
}

void pawl__refusals_done(pawl__refusals *refusals)
{
    free(refusals->list);
    *refusals = (pawl__refusals){0};
}

void pawl__refusals_add(pawl__refusals *refusals, uint64_t id, pawl_err err, const char *message)
{
    if (refusals->count == refusals->room) {
        size_t room = refusals->room * 2;
        pawl__refusal *more = realloc(refusals->list, room * sizeof *more);
        refusals->unanswerable = refusals->unanswerable || !more;
        if (!more) return;
        refusals->list = more;
        refusals->room = room;
    }
    refusals->list[refusals->count++] = (pawl__refusal){.id = id, .err = err, .message = message};
}

static void give(const pawl__refusal *refusal, pawl_host *host, pawl_err link_err,
                 const char *link_message)
{
    bool by_link = !refusal->message && link_err == refusal->err && link_message[0];
    pawl_reply reply = {.id = refusal->id,
                        .outcome = PAWL_FAILED,
                        .position = -1,
                        .holder_ms = -1,
                        .err = refusal->err,
                        .message = by_link ? link_message : refusal->message};
    host->reply(host, &reply);
}

void pawl__refusals_give(pawl__refusals *refusals, pawl_host *host, pawl_err link_err,
                         const char *link_message)
{
    size_t count = refusals->count; /* what is submitted meanwhile waits for the next turn */
    for (size_t i = 0; i < count; i++) {
        pawl__refusal refusal = refusals->list[i]; /* the list may move */
        give(&refusal, host, link_err, link_message);
    }
    refusals->count -= count;
    if (refusals->count)
        memmove(refusals->list, refusals->list + count, refusals->count * sizeof *refusals->list);
    if (!refusals->unanswerable) return;
    refusals->unanswerable = false;
    host->warn(host, "out of memory: a request stays without an answer");
}
