/* SPDX-License-Identifier: MIT */
/*
 * Questions that go to the store without the engine, and wait for the link if it is down. Their ids
 * never equal those of the engine.
 *
 * Locking: `asked` is [m]; all else belongs to the loop owner [loop]. A query lies on the stack of
 * the caller that waits for it; the answer belongs to the caller once its waiter is complete. An
 * asynchronous query lies in memory that its owner keeps until `done` has begun.
 */
#ifndef PAWL_RUNTIME_QUERY_H
#define PAWL_RUNTIME_QUERY_H

#include "calls.h"
#include "pump.h"

typedef struct pawl__row {
    pawl__link in_rows;
    union {
        pawl_info info;
        pawl_finding finding;
    };
} pawl__row;

/* What a READ found, and the number of the news that had come by then (see awaits_news). */
typedef struct pawl__heard {
    pawl_value value; /* its texts are the two below */
    uint32_t news;
    char bytes[PAWL_STORED_MAX + 1];
    char owner[PAWL_OWNER_MAX + 1];
} pawl__heard;

typedef struct pawl__query pawl__query;

/* What an answer means: 0, or the error with a line for people. */
typedef int pawl__judge(const pawl__query *query, const char **ret_text);

struct pawl__query {
    pawl__link in_queries; /* [m] in asked; then [loop] in waiting or asking */
    pawl_request request;  /* id and answer_by are set when it is submitted */
    int64_t until;         /* how long the caller waits */
    int64_t link_until;    /* how long it waits for the link */
    bool hasty;            /* it waits for the first attempt to connect only */
    bool wants_caps;       /* nothing is asked: it ends when the link is up */
    bool awaits_news;    /* nothing is asked: it ends with news about the name or the link that came
                            after `heard`, or at `until` */
    bool is_news;        /* nothing is asked: those who await news about the name look again */
    pawl__heard *heard;  /* [loop], then the caller's: of READ; NULL: nobody wants it */
    pawl_caps *ret_caps; /* [loop] */
    pawl__link rows;     /* [loop], then the caller's */
    bool no_memory;      /* [loop] a row could not be kept */
    pawl__judge *judge;  /* NULL: an answer is a success */
    pawl_outcome outcome;
    uint64_t fence;
    char message[PAWL_MESSAGE_MAX];
    pawl__waiter waiter;
    /* Asynchronous: called once, where callbacks run. NULL: a caller sleeps. */
    void (*done)(pawl__query *query, int err);
    void *ctx;           /* for done */
    const void *of;      /* for pawl__calls_wait_for */
    pawl__link in_calls; /* [m] */
    int err;             /* [m] */
};

typedef struct pawl__queries {
    pawl__pump *pump;      /* [once] */
    pawl__calls *calls;    /* [once] */
    pawl__link asked;      /* [m] queries that the loop owner has not seen */
    pawl__link waiting;    /* for the link */
    pawl__link asking;     /* those that the store has */
    pawl__link watching;   /* those that wait for news */
    uint32_t news;         /* counts them */
    uint32_t last_id;      /* see query.c; 0 is none */
    uint64_t publications; /* [m] of the client, so each lease's are in order (rule 12) */
} pawl__queries;

void pawl__queries_init(pawl__queries *queries, pawl__pump *pump, pawl__calls *calls);
void pawl__query_free_rows(pawl__query *query);
/* Asks; the waiter is completed when the answer is there or its time is over. Mutex held. */
void pawl__query_ask(pawl__queries *queries, pawl__query *query);

/* ---- For the loop owner, mutex held ---------------------------------------------------------- */

/* Takes what was asked; the mutex is let go meanwhile. */
void pawl__queries_take(pawl__queries *queries);
/* Runs the callback of one that is over. false: it forked, and this is the child. */
bool pawl__query_run(pawl__calls *calls, pawl__link *in_calls);
/* Whether a caller sleeps until the link comes up, or until news come. */
bool pawl__queries_are_awaited(const pawl__queries *queries);
/* Completes all with err. */
void pawl__queries_end(pawl__queries *queries, int err);

/* ---- For the loop owner, mutex not held ------------------------------------------------------ */

/* The link came up or went down. */
void pawl__queries_link(pawl__queries *queries);
/* false: the reply is not to a query. */
bool pawl__queries_reply(pawl__queries *queries, const pawl_reply *reply);
/* Something was published. */
void pawl__queries_push(pawl__queries *queries, const pawl_push *push);
void pawl__queries_row(pawl__queries *queries, uint64_t id, const pawl_info *info);
void pawl__queries_finding(pawl__queries *queries, uint64_t id, const pawl_finding *finding);
/* Ends queries that have waited too long, for the link or for an answer. */
void pawl__queries_time(pawl__queries *queries, int64_t now);
int64_t pawl__queries_deadline(const pawl__queries *queries);

#endif
