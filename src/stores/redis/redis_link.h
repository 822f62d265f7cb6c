/* SPDX-License-Identifier: MIT */
/*
 * The store without I/O: one link, which is one connection with commands, answers and pushes
 * in order, and the requests under way on it. Everything goes through the table of redis_wire.h;
 * nothing here knows a socket, a loop or a clock of its own.
 *
 *   redis_link.c     connecting, greeting, loss, back-off
 *   redis_login.c    who logs in, and at what
 *   redis_guard.c    what the server may have forgotten in a restart
 *   redis_watch.c    news from the server between renewals: keys that changed, its clock
 *   redis_request.c  requests under way, answers, scripts that were forgotten, time-outs
 *   redis_together.c requests that travel together, as one call
 *
 * The host is called back only from functions that the wire calls. What is noticed elsewhere (a
 * write that fails in flush) is noted, and handled in the turn that turn_soon() asks for.
 */
#ifndef PAWL_REDIS_LINK_H
#define PAWL_REDIS_LINK_H

#include "../../base/list.h"
#include "../../base/retry.h"
#include "redis_guard.h"
#include "redis_login.h"
#include "redis_proto.h"
#include "redis_url.h"
#include "redis_watch.h"
#include "redis_wire.h"

/* ---- Bounds --------------------------------------------------------------------- */

#define PAWL__REDIS_UNDER_WAY_MAX   1000000 /* commands without a reply */
#define PAWL__REDIS_ADDRESS_TIME_MS 100     /* least time that one of several addresses gets */

/* ---- Commands under way ------------------------------------------------------------- */

/*
 * A command whose reply is awaited. One of the two functions is called, once, and owns the entry
 * from then on. Entries are answered in order: RESP has no other way to match replies to commands.
 * So a connection with a late reply is closed (law 4).
 */
typedef struct pawl__redis_pending pawl__redis_pending;
struct pawl__redis_pending {
    pawl__link in_order;
    uint64_t end; /* end of the command in the stream of bytes: it has left if so many bytes have */
    int64_t answer_by; /* instant; PAWL__NEVER: something else limits it */
    void (*answered)(pawl_store *store, pawl__redis_pending *pending,
                     const pawl__redis_value *value);
    /* The connection is gone. maybe_done: the whole command had left. */
    void (*unanswered)(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                       pawl_err err, const char *message);
    void (*drop)(pawl__redis_pending *pending); /* the store is closed: frees it */
    /* Whether it gives back the lease of this token. NULL: it gives back none. */
    bool (*releases)(const pawl__redis_pending *pending, const char *token);
};

/* A request that cannot be tried. */
typedef struct pawl__redis_refusal {
    uint64_t id;
    pawl_err err;
} pawl__redis_refusal;

#define PAWL__REDIS_REFUSALS_FIRST 64 /* allocated at open: it needs no memory later */

/* ---- The link ------------------------------------------------------------------------- */

typedef enum pawl__redis_link_state {
    PAWL__REDIS_LINK_WAITING = 0, /* for the next attempt */
    PAWL__REDIS_LINK_RESOLVING,
    PAWL__REDIS_LINK_GREETING, /* connecting, logging in, subscribing, probing */
    PAWL__REDIS_LINK_UP
} pawl__redis_link_state;

typedef struct pawl__redis_linkage {
    pawl__redis_link_state state;
    size_t address_count, address_at; /* of the server's name */
    bool permitted;                   /* the probe found nothing missing */
    bool heard;                       /* the probe's word has arrived in the inbox */
    char word[24];
    bool looks_only; /* the user may look, but not lock */
    char lacks[PAWL_MESSAGE_MAX];
    bool warned; /* we have warned that the certificate is not verified */
    pawl__redis_logging_in login;
    /* A part of the greeting that belongs to another file has been answered: the link may be up
     * now. */
    void (*greeted_more)(pawl_store *store);
    pawl__retry retry;
    int64_t up_since;
    uint64_t random;
    /* Why it is down, or is about to go down (broken). */
    bool broken;
    pawl_err err;
    char message[PAWL_MESSAGE_MAX];
    /* The answer of the first address that refused us in this attempt; PAWL_OK: none has. */
    pawl_err refused_err;
    char refused_message[PAWL_MESSAGE_MAX];
} pawl__redis_linkage;

struct pawl_store {
    const pawl__redis_wire *wire;
    void *io; /* the wire's own */
    pawl_host *host;
    pawl__redis_config config;
    pawl__redis_space space;
    pawl_caps caps;
    pawl__redis_linkage link;
    pawl__redis_guarding guard;
    pawl__redis_watching watch;
    pawl__link under_way; /* pawl__redis_pending, in order of sending */
    size_t under_way_count;
    unsigned bodies_under_way[PAWL__REDIS_SCRIPTS]; /* requests that were sent with EVAL */
    uint64_t last_release_end;                      /* of the latest RELEASE under way */
    pawl__link gathered; /* pawl__redis_asked: they will travel together, in order */
    size_t gathered_count;
    unsigned together_known; /* a bit for each script of redis_together.c that was answered well
                                on this connection */
    bool apart;              /* this server does not take several names in one call */
    int64_t answer_at;       /* the answers' timer goes off by then */
    pawl__redis_refusal *refusals;
    size_t refusal_count, refusal_room;
    bool unanswerable;      /* a refusal found no room */
    pawl__redis_rows *rows; /* to decode reports into; NULL: none was asked for */
    pawl__link operations;  /* LIST and DOCTOR that are not over: redis_store.h */
    bool forgotten;         /* in a forked child: the events belong to the parent */
    pawl_store *kept;       /* the next of those */
};

/* ---- Told by the wire ------------------------------------------------------------- */

/* The number of the server's addresses; or `trouble` says why there is none. */
void pawl__redis_found(pawl_store *store, size_t count, const char *trouble);
/* A reply or a push came. False: read no further. */
PAWL_MUST_USE bool pawl__redis_heard(pawl_store *store, const pawl__redis_value *value);
/* The end of a batch of replies: what they caused is sent now. */
void pawl__redis_batch_ended(pawl_store *store);
/*
 * The connection is dead. Only notes that the link is broken, so it may be called from anywhere;
 * the next turn closes it. The first cause is kept.
 */
void pawl__redis_link_break(pawl_store *store, pawl_err err, const char *message);
void pawl__redis_timer_due(pawl_store *store, pawl__redis_timer timer);
/* Handles what could only be noted where it was noticed. */
void pawl__redis_turn(pawl_store *store);

/* ---- redis_request.c -------------------------------------------------------------- */

/* Room for refusals. False when out of memory. */
PAWL_MUST_USE bool pawl__redis_requests_init(pawl_store *store);
/* Room to decode reports into: 70 KB, which most clients never need. False when out of memory. */
PAWL_MUST_USE bool pawl__redis_room_for_reports(pawl_store *store);
/* Frees them; nobody is told. */
void pawl__redis_requests_done(pawl_store *store);

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

/* A reply to a command; false when the link is broken. */
bool pawl__redis_answer(pawl_store *store, const pawl__redis_value *value);

/* The command whose reply comes next; NULL if none is under way. */
const pawl__redis_pending *pawl__redis_next_due(const pawl_store *store);
/* Removes that command: it gets no reply. */
void pawl__redis_strike_next(pawl_store *store);

/* The link is gone: ends everything that is under way. */
void pawl__redis_abandon(pawl_store *store, uint64_t written);

/*
 * Asks guard.lua: once for each greeting, when the guard's time is over, and before a lease of
 * longer_ms that is longer than the guard's span (0: there is none). If it fails, the link breaks.
 */
void pawl__redis_ask_guard(pawl_store *store, bool is_greeting, int64_t longer_ms);

/* A message of the inbox. */
void pawl__redis_hear(pawl_store *store, pawl__redis_bytes payload);

/* The answers' timer went off. */
void pawl__redis_answers_due(pawl_store *store);
void pawl__redis_give_refusals(pawl_store *store);

/* ---- redis_together.c ------------------------------------------------------------- */

/* A request about one lock: sends it, or refuses it at the next turn. With PAWL_ASK_TOGETHER it may
 * be sent with the next pawl__redis_flush only. */
void pawl__redis_ask(pawl_store *store, const pawl_request *request);

/* Sends what still waits for others to travel with (redis_together.c); and writes all. */
void pawl__redis_send_gathered(pawl_store *store);
void pawl__redis_flush(pawl_store *store);

/* ---- redis_link.c ----------------------------------------------------------------- */

/*
 * Refuses a request that changes something, because this user may only look. Then connects again,
 * at most each PAWL__RETRY_MAX_MS, because the user may have got the permission meanwhile.
 */
void pawl__redis_refuse_locking(pawl_store *store, uint64_t id);

/* The first attempt begins when the loop runs. The seed is for the pauses between attempts. */
void pawl__redis_link_init(pawl_store *store, uint64_t seed);

#endif
