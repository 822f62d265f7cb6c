/* SPDX-License-Identifier: MIT */
/*
 * The time by which requests are answered (rule 2). One timer for all of a store's requests: it is
 * set to the earliest, and when it goes off the store says which one is the earliest now. If that
 * time has come the store closes its connection, so that a late reply is never read as another's
 * (law 4).
 */
#ifndef PAWL_STORES_ANSWERS_H
#define PAWL_STORES_ANSWERS_H

#include "timer.h"

typedef struct pawl__answers {
    struct event timer;
    int64_t at; /* it goes off by then */
    pawl_store *store;
    int64_t (*now)(void);
    int64_t (*next)(pawl_store *store); /* the earliest answer_by of all requests; PAWL__NEVER */
    void (*late)(pawl_store *store);    /* that instant has come */
} pawl__answers;

/* False: no memory. */
PAWL_MUST_USE bool pawl__answers_init(pawl__answers *answers, pawl_store *store,
                                      const pawl_host *host, int64_t (*next)(pawl_store *),
                                      void (*late)(pawl_store *));
/* There is a request that must be answered by then. */
void pawl__answers_arm(pawl__answers *answers, int64_t answer_by);
/* There is no request any more. */
void pawl__answers_rest(pawl__answers *answers);
/* At close; also if init failed. In a forked child it is not called: the loop is the parent's. */
void pawl__answers_done(pawl__answers *answers);

#endif
