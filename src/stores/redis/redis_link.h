/* SPDX-License-Identifier: MIT */
/*
 * The store without I/O: one link, which is one connection with commands, answers and pushes
 * in order, and the requests under way on it. Everything goes through the table of redis_wire.h;
 * nothing here knows a socket, a loop or a clock of its own.
 *
 *   redis_link.c     connecting, greeting, loss, back-off
 *   redis_login.c    who logs in, and at what
 *   redis_guard.c    what a restart of the server may have made it forget
 *   redis_request.c  requests under way, answers, scripts that were forgotten, time-outs
 *
 * The host is called back from what the wire tells only. What is noticed elsewhere (a write
 * that fails in flush) is noted, and done by the turn that turn_soon() asks for.
 */
#ifndef PAWL_REDIS_LINK_H
#define PAWL_REDIS_LINK_H

#include "../../base/list.h"
#include "../../base/retry.h"
#include "redis_guard.h"
#include "redis_login.h"
#include "redis_proto.h"
#include "redis_url.h"
#include "redis_wire.h"

/* ---- Bounds --------------------------------------------------------------------- */

#define PAWL__REDIS_UNDER_WAY_MAX   1000000 /* commands without a reply */
#define PAWL__REDIS_ADDRESS_TIME_MS 100     /* least time that one of several addresses gets */

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
    bool heard;                       /* the word that the probe sent has arrived in the inbox */
    char word[24];
    bool looks_only; /* the user may not lock, but look */
    char lacks[PAWL_MESSAGE_MAX];
    bool warned; /* that the server's certificate is not verified */
    pawl__redis_logging_in login;
    /* A part of the greeting has been answered that is not redis_link.c's: it may be up now. */
    void (*greeted_more)(pawl_store *store);
    pawl__retry retry;
    int64_t up_since;
    uint64_t random;
    /* Why it is down, or is about to go down (broken). */
    bool broken;
    pawl_err err;
    char message[PAWL_MESSAGE_MAX];
    /* What the first address that refused us said in this attempt; PAWL_OK: none did. */
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
    pawl__link under_way; /* pawl__redis_pending, in order of sending */
    size_t under_way_count;
    unsigned bodies_under_way[PAWL__REDIS_SCRIPTS]; /* requests that were sent by EVAL */
    uint64_t last_release_end;                      /* of the latest RELEASE under way */
    int64_t answer_at;                              /* the answers' timer goes off by then */
    pawl__redis_refusal *refusals;
    size_t refusal_count, refusal_room;
    bool unanswerable;      /* a refusal found no room */
    pawl__redis_rows *rows; /* to decode reports into */
    pawl__link operations;  /* LIST and DOCTOR that are not over: redis_store.h */
    bool forgotten;         /* in a forked child: the events are the parent's */
    pawl_store *kept;       /* the next of those */
};

/* ---- Told by the wire ------------------------------------------------------------- */

/* The server has so many addresses; or trouble says why it has none. */
void pawl__redis_found(pawl_store *store, size_t count, const char *trouble);
/* A reply or a push came. False: read no further. */
PAWL_MUST_USE bool pawl__redis_heard(pawl_store *store, const pawl__redis_value *value);
/* The end of a batch of them: what they caused leaves now. */
void pawl__redis_batch_ended(pawl_store *store);
/*
 * The connection is dead. Only notes that the link is broken, and may be called from anywhere;
 * the turn tears it down. First cause wins.
 */
void pawl__redis_link_break(pawl_store *store, pawl_err err, const char *message);
void pawl__redis_timer_due(pawl_store *store, pawl__redis_timer timer);
/* Does what could not be done where it was noticed. */
void pawl__redis_turn(pawl_store *store);

/* ---- redis_request.c -------------------------------------------------------------- */

/* Room for refusals and reports. False when out of memory. */
PAWL_MUST_USE bool pawl__redis_requests_init(pawl_store *store);
/* Without a word to anybody. */
void pawl__redis_requests_done(pawl_store *store);

/* A request about one lock: sends it, or refuses it at the next turn. */
void pawl__redis_ask(pawl_store *store, const pawl_request *request);

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
/* It has no reply and is over. */
void pawl__redis_strike_next(pawl_store *store);

/* The link is gone: tells everything that is under way. */
void pawl__redis_abandon(pawl_store *store, uint64_t written);

/*
 * Asks guard.lua: once for each greeting, when the guard's time is over, and before a lease of
 * longer_ms that is longer than the span (0: none). A link on which that fails breaks.
 */
void pawl__redis_ask_guard(pawl_store *store, bool is_greeting, int64_t longer_ms);

/* A message of the inbox. */
void pawl__redis_hear(pawl_store *store, pawl__redis_bytes payload);

/* The answers' timer went off. */
void pawl__redis_answers_due(pawl_store *store);
void pawl__redis_give_refusals(pawl_store *store);

/* ---- redis_link.c ----------------------------------------------------------------- */

/*
 * Refuses what a user who may only look may not do. The link is then made anew, at most each
 * PAWL__RETRY_MAX_MS: he may have got the rules meanwhile.
 */
void pawl__redis_refuse_locking(pawl_store *store, uint64_t id);

/* The first attempt begins with the loop. The seed is for the pauses between attempts. */
void pawl__redis_link_init(pawl_store *store, uint64_t seed);

#endif
