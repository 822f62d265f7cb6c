/* SPDX-License-Identifier: MIT */
/*
 * A request under way: redis_request.c sends it as a call of its own, redis_together.c several as
 * one call.
 */
#ifndef PAWL_REDIS_ASKED_H
#define PAWL_REDIS_ASKED_H

#include "redis_link.h"

/* A request under way, with its own copy of what it points to. */
typedef struct pawl__redis_asked {
    pawl__redis_pending pending;
    pawl_request request;
    pawl__redis_script script;
    bool with_body; /* sent by EVAL: NOSCRIPT is no answer to that */
    bool again;     /* NOSCRIPT was the answer before */
    bool
        in_doubt; /* a call that it was part of may have done it: it cannot fail any more (law 4) */
    char room[];
} pawl__redis_asked;

/* As a call of its own, or refuses it. Owns it from then on. */
void pawl__redis_send_asked(pawl_store *store, pawl__redis_asked *a, bool with_body);
/* The same once more: unless a release by its token is under way behind it. */
void pawl__redis_send_again(pawl_store *store, pawl__redis_asked *a, bool with_body);
/* Whether a release by the same token is under way behind this acquisition. */
bool pawl__redis_is_overtaken(const pawl_store *store, const pawl__redis_asked *a);
/* Two ends of an entry, see pawl__redis_pending. */
void pawl__redis_asked_answered(pawl_store *store, pawl__redis_pending *pending,
                                const pawl__redis_value *value);
void pawl__redis_asked_unanswered(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                                  pawl_err err, const char *message);
/* NULL when out of memory. */
pawl__redis_asked *pawl__redis_new_asked(const pawl_request *request);
/* The first of those that wait to travel together; NULL: nobody does. */
pawl__redis_asked *pawl__redis_take_gathered(pawl_store *store);

#endif
