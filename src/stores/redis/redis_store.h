/* SPDX-License-Identifier: MIT */
/*
 * The Redis store from inside: one link (two connections that live and die
 * together), the requests under way on it, and the few operations of several
 * commands (LIST, DOCTOR).
 *
 *   redis_store.c    the contract's operations; requests under way, answers, time-outs
 *   redis_link.c     connecting, greeting, loss, back-off
 *   redis_operation.c, redis_list.c, redis_doctor.c
 *   redis_clock.c    the wall clock, for DOCTOR alone
 *
 * The host is called back from events of its loop only. What is noticed elsewhere
 * (a write that fails in flush) is noted, and done by the `turn` event.
 */
#ifndef PAWL_REDIS_STORE_H
#define PAWL_REDIS_STORE_H

#include "../../base/list.h"
#include "redis_conn.h"
#include "redis_proto.h"
#include "redis_resolve.h"
#include "redis_url.h"

/* ---- Bounds --------------------------------------------------------------------- */

#define PAWL__REDIS_UNDER_WAY_MAX   1000000  /* commands without a reply */
#define PAWL__REDIS_REST_MS         86400000 /* a timer that nobody waits for: see below */
#define PAWL__REDIS_BACKOFF_MIN_MS  50
#define PAWL__REDIS_BACKOFF_MAX_MS  2000
#define PAWL__REDIS_ADDRESS_TIME_MS 100   /* least time that one of several addresses gets */
#define PAWL__REDIS_STEP_TIMEOUT_MS 5000  /* one command of LIST or DOCTOR */
#define PAWL__REDIS_SCAN_COUNT      "500" /* keys per SCAN: well under a millisecond */

/* ---- Commands under way ------------------------------------------------------------- */

/*
 * What a reply is awaited for. One of the two functions is called, once, and
 * from then on the entry is theirs. Entries are answered in order: RESP has no
 * other correlation, which is why a connection with a late reply is closed (law 4).
 */
typedef struct pawl__redis_pending pawl__redis_pending;
struct pawl__redis_pending {
    pawl__link in_order;
    uint64_t end;      /* of the command in the stream of bytes: written if the stream got here */
    int64_t answer_by; /* instant; PAWL__NEVER: something else limits it */
    void (*answered)(pawl_store *store, pawl__redis_pending *pending,
                     const pawl__redis_value *value);
    /* The connection is gone. maybe_done: the whole command had left. */
    void (*unanswered)(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                       pawl_err err, const char *message);
    void (*drop)(pawl__redis_pending *pending); /* the store is closed: frees it */
};

/* A request that cannot be tried. */
typedef struct pawl__redis_refusal {
    uint64_t id;
    pawl_err err;
} pawl__redis_refusal;

#define PAWL__REDIS_REFUSALS_FIRST 256 /* allocated at open: room when memory is gone */

/*
 * The timers of a link stay in the loop's heap from open to close, "at rest" when there is
 * nothing to wait for: setting a timer that is in the heap needs no memory, so no
 * answer and no attempt ever depends on there being some.
 */

/* ---- The link ------------------------------------------------------------------------- */

typedef enum pawl__redis_link_state {
    PAWL__REDIS_LINK_WAITING = 0, /* for the next attempt */
    PAWL__REDIS_LINK_RESOLVING,
    PAWL__REDIS_LINK_GREETING, /* connecting, logging in, subscribing, probing */
    PAWL__REDIS_LINK_UP
} pawl__redis_link_state;

typedef struct pawl__redis_linkage {
    pawl__redis_link_state state;
    struct event timer; /* WAITING: the next attempt; else: this attempt's end */
    pawl__redis_lookup *lookup;
    pawl__redis_addresses addresses;
    size_t address_at;
    pawl__redis_conn *commands, *inbox;
    unsigned commands_due; /* greetings without a reply */
    unsigned inbox_due;    /* +OK of AUTH, the subscription */
    bool inbox_ready;
    bool permitted; /* the probe found nothing missing */
    bool heard;     /* the word that the probe sent has arrived in the inbox */
    char word[24];
    int64_t backoff_ms;
    int64_t up_since;
    uint64_t random;
    /* Why it is down, or is about to go down (broken). */
    bool broken;
    pawl_err err;
    char message[PAWL_MESSAGE_MAX];
    /* What the host was told last: the same again is no news. */
    bool told;
    pawl_err told_err;
    char told_message[PAWL_MESSAGE_MAX];
} pawl__redis_linkage;

struct pawl_store {
    pawl_host *host;
    pawl__redis_config config;
    pawl__redis_space space;
    pawl_caps caps;
    pawl__redis_linkage link;
    pawl__link under_way; /* pawl__redis_pending, in order of sending on link.commands */
    size_t under_way_count;
    unsigned bodies_under_way[PAWL__REDIS_SCRIPTS]; /* requests that were sent by EVAL */
    uint64_t last_release_end; /* of the latest RELEASE sent on link.commands */
    pawl__link operations;     /* LIST and DOCTOR that are not over */
    pawl__redis_refusal *refusals;
    size_t refusal_count, refusal_room;
    bool unanswerable;         /* a refusal found no room */
    struct event turn;         /* does what could not be done where it was noticed */
    struct event answer_timer; /* at answer_at at the latest */
    int64_t answer_at;
    pawl_waiter_info *waiters; /* PAWL_WAITERS_SHOWN_MAX, to decode reports into */
    bool forgotten;            /* in a forked child: the events are the parent's */
    pawl_store *kept;          /* the next of those */
};

/* ---- redis_store.c ------------------------------------------------------------------------ */

/*
 * Buffers a command whose reply `pending` awaits. False when it cannot be
 * tried: the link is down, or no room; the entry is the caller's again.
 */
PAWL_MUST_USE bool pawl__redis_send(pawl_store *store, const pawl__redis_bytes *argv, size_t argc,
                                    pawl__redis_pending *pending);

/* Answers a request, with an error, at the next turn of the loop. */
void pawl__redis_refuse(pawl_store *store, uint64_t id, pawl_err err);

/* What a failed pawl__redis_send means for the request. */
pawl_err pawl__redis_send_trouble(const pawl_store *store);

/* A reply of link.commands; false when the link is broken. */
bool pawl__redis_answer(pawl_store *store, const pawl__redis_value *value);

/* The link is gone: tells everything that is under way. */
void pawl__redis_abandon(pawl_store *store, uint64_t written);

/* A message of the inbox. */
void pawl__redis_hear(pawl_store *store, pawl__redis_bytes payload);

/* ---- redis_link.c -------------------------------------------------------------------------- */

/* Makes its events; the first attempt begins with the loop. False when out of memory. */
PAWL_MUST_USE bool pawl__redis_link_init(pawl_store *store);
void pawl__redis_link_done(pawl_store *store);
void pawl__redis_link_forget(pawl_store *store);

/* Notes that the link is broken; the turn event tears it down. First cause wins. */
void pawl__redis_link_break(pawl_store *store, pawl_err err, const char *message);

/* The turn: tears a broken link down. */
void pawl__redis_link_turn(pawl_store *store);

/* ---- redis_operation.c, redis_list.c, redis_doctor.c ------------------------------ */

/* False when out of memory or the link is down. */
PAWL_MUST_USE bool pawl__redis_list(pawl_store *store, const pawl_request *request);
PAWL_MUST_USE bool pawl__redis_doctor(pawl_store *store, const pawl_request *request);

/* An operation of several commands: it ends at its answer_by, its commands live on. */
typedef struct pawl__redis_operation pawl__redis_operation;
struct pawl__redis_operation {
    pawl__link in_list;
    pawl_store *store;
    struct event timer;
    uint64_t id;
    unsigned due;  /* commands without a reply */
    bool over;     /* answered; freed when nothing is due */
    bool no_timer; /* no memory to watch its time: it ends at the next turn of the loop */
    void (*release)(pawl__redis_operation *operation);
};

void pawl__redis_operation_begin(pawl__redis_operation *operation, pawl_store *store,
                                 const pawl_request *request,
                                 void (*release)(pawl__redis_operation *operation));
/* Answers, unless it is over. */
void pawl__redis_operation_end(pawl__redis_operation *operation, pawl_outcome outcome, pawl_err err,
                               const char *message);
/* One of its commands has its reply, or never will: frees it if it was the last of one over. */
void pawl__redis_operation_settle(pawl__redis_operation *operation);
/* At close: without a word. */
void pawl__redis_operations_drop(pawl_store *store);

/* ---- redis_clock.c ---------------------------------------------------------------- */

/* This machine's wall clock in us since 1970, to show how far the server's differs. */
int64_t pawl__redis_wall_us(void);

#endif
