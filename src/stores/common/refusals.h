/* SPDX-License-Identifier: MIT */
/*
 * Requests that a store refuses as soon as they are submitted. submit() never calls the host (rule
 * 1), so they are noted here and answered in the next turn of the loop.
 */
#ifndef PAWL_STORES_REFUSALS_H
#define PAWL_STORES_REFUSALS_H

#include "pawl/store.h"

typedef struct pawl__refusal {
    uint64_t id;
    pawl_err err;
    const char *message; /* static; NULL: the link's, or the error's text */
} pawl__refusal;

typedef struct pawl__refusals {
    pawl__refusal *list;
    size_t count, room;
    bool unanswerable; /* one found no room, not even for its number */
} pawl__refusals;

/* Has room for some hundreds, so that a lack of memory can be told later. False: no memory. */
PAWL_MUST_USE bool pawl__refusals_init(pawl__refusals *refusals);
/* Frees them; nobody is told. */
void pawl__refusals_done(pawl__refusals *refusals);
/* Notes one. The store sees to it that a turn follows. */
void pawl__refusals_add(pawl__refusals *refusals, uint64_t id, pawl_err err, const char *message);
/* Answers them. If the link is down: why; else PAWL_OK. Those of that error get its message. */
void pawl__refusals_give(pawl__refusals *refusals, pawl_host *host, pawl_err link_err,
                         const char *link_message);

#endif
