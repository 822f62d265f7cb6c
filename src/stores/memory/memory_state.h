/* SPDX-License-Identifier: MIT */
/* What the model consists of: for the files
 * memory_{records,grant,change,notes,model,report,value}.c only.
 */
#ifndef PAWL_STORES_MEMORY_STATE_H
#define PAWL_STORES_MEMORY_STATE_H

#include "../../base/capacity.h"
#include "../../base/instant.h"
#include "../../base/list.h"
#include "../../base/table.h"
#include "memory_model.h"

#include <string.h>

/* A holder or a waiter: one token. */
typedef struct pawl__owner {
    pawl__link in_list; /* holders, in order of their fences; or waiters, in order of arrival */
    char token[PAWL_TOKEN_LEN + 1];
    char label[PAWL_OWNER_MAX + 1];
    void *client; /* where pushes go; NULL: nobody is there */
    int64_t ttl_ms;
    int64_t since;         /* instant of arrival */
    int64_t until;         /* the lease's, or the place's, end */
    int64_t upgrade_until; /* the same for the place in which it waits for its upgrade */
    uint64_t fence;        /* of a holder */
    uint64_t published;    /* the largest number of its publications (rule 12) */
    uint32_t units;        /* PERMIT; else 0 */
    uint32_t change;       /* the latest that was carried out (rule 10) */
    uint8_t mode;          /* pawl_mode */
    bool detached;
    uint16_t slots[]; /* of a holder: `units` of them */
} pawl__owner;

/* Who broke a lease, and whose (rule 13). */
typedef struct pawl__broken {
    pawl__link in_list;
    char token[PAWL_TOKEN_LEN + 1];
    char by[PAWL_OWNER_MAX + 1];
    uint64_t fence;
    int64_t at, until; /* instants: of the break, and of the note's end */
} pawl__broken;

/*
 * One name. Between operations:
 *  - the record exists only if holders, waiters or notes do;
 *  - fence is the latest that was drawn since the record exists, or its first value.
 */
typedef struct pawl__record {
    pawl__entry entry;
    pawl__link in_all;
    pawl__link holders;
    pawl__link waiters;
    size_t holder_count;
    size_t waiter_count;
    pawl__link broken; /* notes, the newest first */
    size_t broken_count;
    pawl__owner *upgrader; /* the holder that waits, ahead of the waiters, to be upgraded */
    uint64_t fence;
    uint32_t capacity; /* of a semaphore; 0: the name is a lock */
    uint32_t units;    /* of all holders together */
    size_t name_len;
    char name[];
} pawl__record;

struct pawl__memory {
    pawl__table table;
    pawl__link all;       /* every record; the next to be checked for garbage comes first */
    uint64_t fence_floor; /* of every record that is gone */
    int64_t now;          /* never goes back */
    pawl__table values;   /* see memory_value.c */
    pawl__link all_values;
    pawl_value told;                       /* what the latest READ found */
    char said[PAWL__CAPACITY_MESSAGE_MAX]; /* with the latest refusal */
};

typedef struct pawl__memory_value pawl__memory_value;

/* One operation in progress. */
typedef struct pawl__call {
    pawl__memory *memory;
    int64_t now;
    uint64_t wall_us;
    const pawl__memory_out *out;
} pawl__call;

static inline pawl__owner *pawl__owner_of(const pawl__link *link)
{
    return pawl__container(link, pawl__owner, in_list);
}

/* Law 5: the whole token. */
static inline bool pawl__owner_has(const pawl__owner *owner, const char *token)
{
    return token && strcmp(owner->token, token) == 0;
}

/* ---- memory_records.c: records and those in them ------------------------------- */

/* NULL if there is none. */
pawl__record *pawl__record_find(const pawl__memory *m, const char *name, size_t name_len);
/* NULL when out of memory. */
pawl__record *pawl__record_new(pawl__memory *m, const char *name, size_t name_len);
void pawl__record_free(pawl__memory *m, pawl__record *record);
/* Frees a record that nobody holds, nobody waits for and that has no notes. */
void pawl__record_put(pawl__memory *m, pawl__record *record);

/* In no list yet; NULL when out of memory. */
pawl__owner *pawl__owner_new(const pawl__call *call, void *client, const pawl_request *request);
/* Fills in what a repeated request may change: the client, the label, the ttl. */
void pawl__owner_fill(pawl__owner *owner, void *client, const pawl_request *request);
pawl__owner *pawl__holder_find(const pawl__record *record, const char *token);
pawl__owner *pawl__waiter_find(const pawl__record *record, const char *token,
                               int64_t *ret_position);
void pawl__holder_add(pawl__record *record, pawl__owner *owner);
void pawl__holder_remove(pawl__record *record, pawl__owner *holder);
void pawl__waiter_add(pawl__record *record, pawl__owner *owner);
void pawl__waiter_remove(pawl__record *record, pawl__owner *waiter);
/* A lease, or a place in the queue, counts from now. */
void pawl__lease_extend(const pawl__call *call, pawl__owner *holder);
void pawl__place_extend(const pawl__call *call, pawl__owner *waiter);

/* ---- memory_grant.c: who may hold beside whom ------------------------------------ */

/* Whether a request fits beside the holders: the table of pawl_mode. */
bool pawl__record_fits(const pawl__record *record, pawl_mode mode, uint32_t units);
/* Whether anybody except `but` (may be NULL) waits, for the lock or for an upgrade. */
bool pawl__record_is_awaited(const pawl__record *record, const pawl__owner *but);
/* Whether there is still a larger fence than the latest: without one nothing is granted. */
bool pawl__record_has_fence(const pawl__call *call, const pawl__record *record);
/* The owner, which is in no list, becomes a holder with a new fence and a lease from now. */
void pawl__record_grant(const pawl__call *call, pawl__record *record, pawl__owner *owner);
/* Strict order of arrival: grants from the head of the queue as long as it fits (rule 9). */
void pawl__record_grant_leading(const pawl__call *call, pawl__record *record);
/* Ends what has expired; then grants to those who fit. */
void pawl__record_advance(const pawl__call *call, pawl__record *record);
/* The queue was empty until now: tells the holders beside whom `waiting` does not fit. */
void pawl__record_ask_to_yield(const pawl__call *call, pawl__record *record,
                               const pawl__owner *waiting);
/* The mode of the only holder becomes EXCLUSIVE. */
void pawl__record_upgrade(const pawl__call *call, pawl__record *record, pawl__owner *holder);
/* Pushes something to a client; the name is filled in. */
void pawl__record_tell(const pawl__call *call, const pawl__record *record, void *client,
                       const pawl_push *push);

/* ---- memory_change.c ---------------------------------------------------------------- */

/* CHANGE (rule 10). */
void pawl__memory_change(const pawl__call *call, pawl__record *record, const pawl_request *request,
                         pawl_reply *reply);
/* The replies to a request. */
void pawl__say_held(const pawl__record *record, const pawl__owner *holder, pawl_outcome outcome,
                    pawl_reply *reply);
void pawl__say_queued(const pawl__call *call, const pawl__record *record, int64_t position,
                      pawl_reply *reply);
void pawl__say_busy(const pawl__call *call, const pawl__record *record, pawl_reply *reply);
void pawl__say_failed(pawl_err err, pawl_reply *reply);
void pawl__say_not_owner(const pawl__call *call, const pawl__record *record,
                         const pawl_request *request, pawl_reply *reply);

/* ---- memory_notes.c: who broke what (rule 13) ---------------------------------------- */

/* Notes that the owner of this label breaks the holder's lease. Without memory there is no note. */
void pawl__broken_add(const pawl__call *call, pawl__record *record, const pawl__owner *holder,
                      const char *by);
/* The latest, or the one of this token; NULL if there is none. */
const pawl__broken *pawl__broken_latest(const pawl__memory *m, const pawl__record *record);
const pawl__broken *pawl__broken_of(const pawl__memory *m, const pawl__record *record,
                                    const char *token);
/* Drops notes whose time is over at `now`. */
void pawl__broken_expire(pawl__record *record, int64_t now);

/* ---- memory_report.c ------------------------------------------------------------------ */

/* Every live lock and queue as rows, for INSPECT (one name) and LIST (a prefix). Changes nothing.
 */
void pawl__memory_inspect(const pawl__call *call, const pawl_request *request,
                          pawl_reply *ret_reply);
void pawl__memory_list(const pawl__call *call, const pawl_request *request, pawl_reply *ret_reply);

/* ---- memory_value.c ------------------------------------------------------------------- */

/* PUBLISH and READ (rule 12). What READ tells points into room and into the memory. */
void pawl__memory_publish(const pawl__call *call, const pawl_request *request,
                          pawl_reply *ret_reply);
void pawl__memory_read(const pawl__call *call, void *client, const pawl_request *request,
                       pawl_value *room, pawl_reply *ret_reply);
/* The client watches nothing any more. */
void pawl__values_leave(const pawl__call *call, const void *client);
void pawl__values_free(pawl__memory *m);

#endif
