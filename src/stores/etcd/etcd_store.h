/* SPDX-License-Identifier: MIT */
/*
 * The etcd store: locks and semaphores in a queue, by the JSON gateway of etcd 3.4 and newer.
 *
 * THE KEYS. One for each token that holds the lock or waits for it, at PREFIX l/ NAME NUL MODE
 * TOKEN, attached to an etcd lease of its own. Who holds and who waits is not written anywhere: in
 * the order in which the keys of a name were created each holds as long as it fits beside those
 * before it, and from the first that does not fit on all wait. So a release, an expiry and a break
 * hand the lock on by deleting a key, and nothing else has to be done in that step: grant and
 * hand-off are one transaction. Keys only disappear from before another one, so who holds once goes
 * on holding. The mode stands before the token, so that "is there an exclusive key before mine" is
 * a range of one key, however many readers there are.
 *
 * PERMITS. Whether they fit is the sum of the units before them, which is read. Which slots they
 * are depends on who had them, so it is written into the key by the client that holds: the lowest
 * that are free, by a transaction that fails if anything was put below the name since it looked.
 * Only then is anybody told. A look at a semaphore reads all its keys that may hold: its cost grows
 * with them, as that of locks does not.
 *
 * THE FENCE is the revision at which the key was created. etcd counts revisions by one for each
 * change, in one order for the whole cluster. Keys are granted in the order of their creation, so
 * fences grow (law 3). They do not come from a clock, as those of other stores do. A cluster that
 * was made anew, or restored from an older snapshot, begins with smaller ones; a resource that
 * checks fences refuses them then, and the doctor says so.
 *
 * etcd's own lock service is not used: that of 3.4 gives a lock to waiters whose lease is over.
 *
 * REQUESTS. What a verb does, each line one request to the server:
 *
 *     acquire a free name   grant a lease;  txn: if no key of the name exists (shared: none but
 *                           shared ones), put ours
 *     that was taken lately the same, but: else, if a lease of a place is at hand, put ours with
 *                           that, and read;  if it is always taken: wait, at once
 *     permits beside others grant a lease;  txn: read;  txn: if there is no news, put ours
 *     wait                  grant a lease of the place;  txn: if ours does not exist, put it, and
 *                           read the first key and those before ours
 *     acquire again, renew  txn: read the first key and ours;  keep the lease alive, or grant
 *                           another one if the ttl has changed;  txn: if our key is still as it
 *                           was read, put it again with the lease, and read
 *     renew what is known   keep the lease alive, unless it lasts;  txn: if our key is that one and
 *                           has that lease, put it again, and read; else as above
 *     release               txn: if our key is that one and has that lease, delete it; else
 *                           txn: read the first key and ours, and delete ours
 *     break                 txn: read the key of that revision;  txn: if it is there, delete it
 *     publish               txn: read the keys of the name;  grant a lease;  txn: if our key is
 *                           there, put the value
 *     read                  txn: read the value
 *
 * LEASES ARE USED AGAIN. Each key has a lease of its own, so each holder its own expiry. The lease
 * of a key that was released is kept by the client for its next key of the same length: it need be
 * neither granted nor revoked then, each a write. A lease is a second longer than is needed. Within
 * about that second it is used as it is, after that it is kept alive first, which is no write. Only
 * a lease in the first half of its time is used so, and only one whose key has gone for certain.
 * So who takes one lock after the other needs two requests for each, and each is one write.
 *
 * WHY A RENEWAL IS A WRITE. A keep-alive that etcd answers well does not prove that the lease
 * lives: it may be about to be revoked (etcd's issues 14758, 20590, 20813). Its revocation is an
 * entry of the log. A put behind the keep-alive is an entry behind that one, so it fails if the
 * lease was being revoked. Only the put's answer counts, and the lease is counted from the submit.
 *
 * TIME. A lease has whole seconds, at least those that the server demands (two by default), and
 * ends up to about a second later, never before. After a change of the leader all leases begin
 * anew. caps.linger_ms says how much longer than its ttl a lease may live, without such a change.
 * A place is a lease of 2/3 of the ttl (rule 8); the first renewal exchanges it for a whole one.
 *
 * VALUES lie at PREFIX v/ NAME, each with a lease as long as it is kept. The time of a value comes
 * from the header Date of the member's answers, see etcd_value.c.
 *
 * WAITING. Who waits watches the key before its own that stands in its way: for readers the latest
 * exclusive one, else just the one before. So a release wakes those who may hold now and nobody
 * else, however many wait. Of permits the next one watches all that hold, and those behind it
 * watch until the one before them holds. The news is a hint: the client reads the first key before
 * it believes (PAWL_PUSH_GRANT), and behind it stands the ordinary refresh of the place. Who holds
 * for longer than 100 ms watches the keys of the name: a new one is somebody who waits
 * (PAWL_PUSH_YIELD), and the end of its own is news, too (PAWL_PUSH_RECHECK). A watch is a
 * connection of its own; at most PAWL__ETCD_STREAMS_MAX are open, and more wait for their turn. No
 * news is lost meanwhile: the server says at which revision a watch has begun, and if there was
 * another change since the last look, the client looks again.
 *
 * WHAT IS UNKNOWN (law 4). A request that changes something and whose connection broke, whose
 * answer was late, or whose error may have come after the proposal, is unknown: timeouts, a change
 * of the leader, everything that is not in the list in etcd_json.c. The engine asks again with the
 * same token, and our key shows whether it was done. A connection whose answer was late is closed,
 * and nothing else: a server that is slow would get through with nothing if all began anew then. A
 * read of the whole cluster asks whether the server is there, and the link goes down if that is
 * late as well. A put that was given up may come to the server after whatever is asked next, as no
 * connection keeps it in order. So its lease is noted with the token: the next ACQUIRE goes on with
 * it, and RELEASE revokes it, before it answers. No other key gets it, and only RELEASE revokes it.
 *
 * SEVERAL SERVERS. One is used at a time. When it does not answer, has no leader or closes the
 * connection, the link goes down and comes up with the next one. A server proves by a read of the
 * whole cluster that it can reach a majority before it is used.
 *
 * FLOORS. A file calls only files of lower floors. A test refuses circles of calls.
 *
 *   9  etcd_store.c    the contract's operations
 *   8  etcd_link.c     greeting, loss, back-off, the next server
 *   7  etcd_steps.c    ACQUIRE, RENEW, RELEASE;  etcd_break.c  BREAK
 *      etcd_report.c   INSPECT, LIST
 *      etcd_value.c    PUBLISH, READ;  etcd_doctor.c  DOCTOR
 *   6  etcd_txn.c      parts of their transactions, and their answers
 *   5  etcd_lease.c    leases are granted, kept alive and revoked
 *      etcd_request.c  requests, one after the other for each name
 *      etcd_watch.c    who waits, who holds
 *      etcd_view.c     what a look at a name says of that
 *   4  etcd_pool.c     leases without a key;  etcd_crowd.c  names that others want
 *   3  etcd_call.c     questions to the server, their answers, the login
 *   2  etcd_http.c     libcurl in the loop
 *   1  etcd_json.c     bodies and answers;  etcd_url.c  the URL;  etcd_clock.c  ages, for people
 */
#ifndef PAWL_ETCD_STORE_H
#define PAWL_ETCD_STORE_H

#include "../../base/instant.h"
#include "../../base/list.h"
#include "../../base/retry.h"
#include "../../base/table.h"
#include "../common/answers.h"
#include "../common/refusals.h"
#include "etcd_json.h"
#include "etcd_url.h"

#include <curl/curl.h>
#include <event2/event.h>
#include <event2/event_struct.h>

/* ---- Bounds -------------------------------------------------------------------------------- */

#define PAWL__ETCD_CALLS_MAX   8           /* under way at once, one connection each */
#define PAWL__ETCD_STREAMS_MAX 128         /* watches that are open at once */
#define PAWL__ETCD_CALL_MAX_MS 10000       /* of a question that nobody waits for */
#define PAWL__ETCD_ANSWER_MAX  (64u << 20) /* bytes of an answer */
#define PAWL__ETCD_LINE_MAX    (4u << 20)  /* bytes of one line of a watch */
#define PAWL__ETCD_VALUES_MAX  128         /* names whose values are watched */
#define PAWL__ETCD_SOCKETS_MAX 512         /* of one client */
#define PAWL__ETCD_ROUNDS_MAX  20          /* of one request */
#define PAWL__ETCD_LEASES_KEPT 8           /* whose key has gone */
#define PAWL__ETCD_LOOSE_MAX   64          /* leases of keys that may still be put */
#define PAWL__ETCD_CROWDS      64          /* names of which is known that others want them */
#define PAWL__ETCD_LEASE_MIN_S 2           /* asked for; the server may demand more */
#define PAWL__ETCD_LATE_MS     2000        /* how much later than it should a lease may end */

/* ---- HTTP ---------------------------------------------------------------------------------- */

/* One request by libcurl. The body is borrowed until it ends. */
typedef struct pawl__etcd_http pawl__etcd_http;
struct pawl__etcd_http {
    pawl_store *store;
    CURL *easy; /* NULL: not under way */
    struct curl_slist *headers;
    char *in; /* what has come */
    size_t in_used, in_room, in_max;
    bool streams;  /* lines come one after the other, without an end */
    bool overflow; /* more came than in_max, or there was no memory for it */
    bool sent;     /* perhaps: a connection was there for it */
    long status;
    int64_t date_s; /* the server's wall clock, s since 1970; 0: unknown */
    CURLcode result;
    char why[CURL_ERROR_SIZE];
    /* It has ended; of a stream: also, that more has come. */
    void (*news)(pawl_store *store, pawl__etcd_http *http, bool ended);
    pawl__link in_news; /* of a stream that has something to read */
};

/* ---- Calls --------------------------------------------------------------------------------- */

/* A question to the server. It is asked when there is room, and again after a new login. */
typedef struct pawl__etcd_call pawl__etcd_call;
struct pawl__etcd_call {
    pawl__etcd_http http;
    pawl__link in_calls; /* of those that wait, or of those that are under way */
    const char *path;
    pawl__etcd_text body;
    bool writes;    /* it may change something */
    bool asked;     /* under way */
    bool logged_in; /* it is asked for the second time, with a new login */
    void (*answered)(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer);
};

/* ---- Requests ------------------------------------------------------------------------------ */

typedef struct pawl__etcd_kept_lease {
    int64_t id, seconds, leased_at;
} pawl__etcd_kept_lease;

typedef struct pawl__etcd_op pawl__etcd_op;
typedef void pawl__etcd_step(pawl_store *store, pawl__etcd_op *op);

/* Which keys a look at a name reads. */
typedef struct pawl__etcd_question {
    const pawl__etcd_bytes *own; /* where our key may be */
    size_t own_count;
    int64_t created; /* instead: our key is the one that was created at this revision; 0: no */
    const pawl__etcd_bytes *start, *end; /* the range of the name's keys */
    pawl_mode mode;                      /* of our key, or that is asked for */
    uint32_t units;                      /* that are asked for */
    bool asks_before; /* for the key before ours, that stands in our way; of permits always */
    int64_t before;   /* the revision at which ours was created; 0: it does not exist yet */
} pawl__etcd_question;

/* What is known of a name, as one transaction has shown it. */
typedef struct pawl__etcd_view {
    int64_t revision;
    int64_t count; /* keys of the name */
    bool has_own, has_first, has_before;
    pawl__etcd_entry own, first;
    pawl__etcd_bytes before; /* the key before our own that stands in our way */
    int64_t position;        /* of those that wait; -1: unknown */
    bool holds;              /* our key does */
    bool waiting;            /* somebody's key does not */
    bool fits;               /* we have no key, and would hold at once */
    bool is_next;            /* of permits: all before our key hold */
    uint32_t capacity;       /* of permits */
    pawl__etcd_slots slots;  /* of permits: those that we hold, or would */
} pawl__etcd_view;

struct pawl__etcd_op {
    pawl__link in_ops; /* in order of submit */
    pawl__etcd_step *begin, *then;
    uint64_t id;
    pawl_verb verb;
    unsigned flags;
    int64_t ttl_ms, asked_at, answer_by;
    uint64_t fence; /* BREAK: the fence that the caller saw */
    pawl_mode mode;
    uint32_t units, capacity;
    uint32_t hash;  /* of the name */
    bool started;   /* false: it waits for an earlier request for the same name */
    bool wrote;     /* something of it may have been done, and that is not settled */
    bool bare;      /* the server has no room for puts */
    bool has_tried; /* once */
    bool found_taken;
    bool is_brief;   /* the transaction that is asked does nothing if the name is not free */
    bool may_queue;  /* the transaction that is asked puts us into the queue if it has to */
    bool takes;      /* the put says for the first time which slots are ours */
    pawl_err misfit; /* our key is to go again: the name has become of another capacity */
    unsigned rounds;
    int64_t lease, lease_s, spare; /* of our key; a lease that was granted and is not used yet */
    int64_t leased_at;             /* not after its time began */
    int64_t kept_at;               /* the same, if the keep-alive that is asked for is done */
    pawl__etcd_kept_lease place;   /* of our key, if it has to wait; id 0: none */
    bool loose;                    /* a put with the spare lease, or with that of our key, may come
                                      late to the server */
    int64_t holder_ms;
    pawl__etcd_call call;
    pawl__etcd_view view;
    pawl__etcd_bytes keys[3];         /* that our token may have, by their modes */
    pawl__etcd_bytes key, start, end; /* our key; the range of the name's keys */
    bool has_slots;                   /* of permits that are ours */
    pawl__etcd_slots slots;
    char token[PAWL_TOKEN_LEN + 1];
    char owner[PAWL_OWNER_MAX + 1];
    char *value; /* of PUBLISH */
    size_t value_len;
    uint64_t publication;
    int64_t keep_ms, date_s, date_asked_at; /* the server's date; the question it came with */
    int64_t value_before_us;                /* the time of the value that was there */
    void *report;                           /* of INSPECT and LIST */
    void (*end_report)(pawl_store *store, pawl__etcd_op *op);
    size_t name_len;
    char name[PAWL_NAME_MAX + 1];
};

/* ---- The store ----------------------------------------------------------------------------- */

typedef struct pawl__etcd_loose_lease {
    pawl__etcd_kept_lease lease;
    char token[PAWL_TOKEN_LEN + 1];
} pawl__etcd_loose_lease;

typedef struct pawl__etcd_crowd {
    uint32_t hash; /* of a name */
    unsigned times;
} pawl__etcd_crowd;

typedef enum pawl__etcd_phase {
    PAWL__ETCD_WAITING = 0, /* for the next attempt */
    PAWL__ETCD_GREETING,
    PAWL__ETCD_UP
} pawl__etcd_phase;

typedef struct pawl__etcd_linkage {
    pawl__etcd_phase phase;
    pawl__retry retry;
    int64_t up_since;
    uint64_t random;
    size_t endpoint;       /* the one that is used, or tried next */
    size_t tried;          /* one after the other, without success */
    bool warned_of_leases; /* once for each client */
    char version[32];
    int64_t doubt_ns; /* an answer was late: so long the server has to show that it is there */
    /* Why it is down, or is about to go down (broken). */
    bool broken;
    pawl_err err;
    char message[PAWL_MESSAGE_MAX];
} pawl__etcd_linkage;

struct pawl_store {
    pawl_host *host;
    pawl_host nobody; /* used instead of the host while the store is closed */
    pawl__etcd_config config;
    pawl_caps caps;
    pawl__etcd_linkage link;
    /* libcurl's sockets lie in an epoll set of ours, so that the loop has one event for them. */
    CURLM *multi;
    int epoll_fd; /* -1: none */
    int sockets[PAWL__ETCD_SOCKETS_MAX];
    size_t socket_count;
    /* The timers stay in the loop's heap from open to close, so setting one needs no memory. */
    struct event turn, ready, curl_timer, link_timer, watch_timer;
    pawl__link news;               /* streams that have something to read */
    pawl__link waiting, under_way; /* calls */
    size_t under_way_count;
    char login[PAWL__ETCD_TOKEN_MAX + 1]; /* sent with each call; "": none */
    pawl__etcd_call login_call, greeting;
    pawl__etcd_http sentinel; /* a watch that shows that the server is there */
    pawl__etcd_text sentinel_body;
    pawl__link ops;
    pawl__answers answers;
    pawl__etcd_kept_lease kept_leases[PAWL__ETCD_LEASES_KEPT];
    size_t kept_lease_count;
    pawl__etcd_crowd crowds[PAWL__ETCD_CROWDS];
    pawl__etcd_loose_lease loose_leases[PAWL__ETCD_LOOSE_MAX]; /* the oldest first */
    size_t loose_lease_count;
    pawl__refusals refusals;
    pawl__link errands; /* revocations that nobody waits for */
    pawl__table watches;
    pawl__link watch_list, watch_starts; /* all; those whose stream is to begin, by time */
    size_t stream_count;
    pawl__link value_watches;
    size_t value_watch_count;
    struct event value_timer;
    void *visit; /* of the doctor, one at a time */
    int64_t visit_by;
    pawl_store *kept; /* in a forked child: the next of those that are kept */
};

/* ---- etcd_clock.c -------------------------------------------------------------------------- */

/* This machine's wall clock, µs since 1970. No decision hangs on it. */
int64_t pawl__etcd_wall_us(void);

/* ---- etcd_http.c --------------------------------------------------------------------------- */

PAWL_MUST_USE bool pawl__etcd_http_init(pawl_store *store);
void pawl__etcd_http_done(pawl_store *store);
/* In a forked child: closes what is this process's, and says nothing on it. */
void pawl__etcd_http_forget(pawl_store *store);
/* POST of a body, or GET without one. False: no memory, and nothing was begun. */
PAWL_MUST_USE bool pawl__etcd_http_begin(pawl_store *store, pawl__etcd_http *http, const char *path,
                                         const pawl__etcd_text *body);
/* Ends it, whatever came; its connection is closed if an answer is still awaited. */
void pawl__etcd_http_end(pawl_store *store, pawl__etcd_http *http);
/* Sends what was begun. */
void pawl__etcd_http_flush(pawl_store *store);
/* Tells what has come; from the loop alone. */
void pawl__etcd_http_heed(pawl_store *store);
/* Waits for a moment until something has come, for close. */
void pawl__etcd_http_wait(pawl_store *store, int timeout_ms);
const char *pawl__etcd_endpoint(const pawl_store *store);
void pawl__etcd_turn_soon(pawl_store *store);
/* Only notes that the link is broken; the next turn closes it. The first cause is kept. */
void pawl__etcd_break(pawl_store *store, pawl_err err, const char *what);
/* Notes that an answer which had so much time was late; the next turn asks whether the server is
 * there. */
void pawl__etcd_doubt(pawl_store *store, int64_t patience_ns);

/* ---- etcd_call.c --------------------------------------------------------------------------- */

/* The body is made before. Asks, or waits for room; without memory the link breaks. */
void pawl__etcd_ask(pawl_store *store, pawl__etcd_call *call, const char *path, bool writes);
/* The call is not answered any more. */
void pawl__etcd_call_end(pawl_store *store, pawl__etcd_call *call);
/* Asks those that wait, as far as there is room. */
void pawl__etcd_calls_go_on(pawl_store *store);
bool pawl__etcd_is_up(const pawl_store *store);
/* Breaks the link if the answer says that this server is of no use now, or is not etcd. */
void pawl__etcd_heed_trouble(pawl_store *store, const pawl__etcd_answer *answer);
/* Asks for a new login; calls wait for it. The other two are of the greeting as well. */
void pawl__etcd_login(pawl_store *store);
void pawl__etcd_login_body(pawl_store *store, pawl__etcd_text *body);
bool pawl__etcd_login_take(pawl_store *store, const pawl__etcd_answer *answer);

/* A question whose answer nobody waits for. The body is taken over; without memory it is not asked.
 */
void pawl__etcd_errand(pawl_store *store, const char *path, pawl__etcd_text *body);
/* Revokes a lease; nobody waits for that, and without memory it just runs out. */
void pawl__etcd_revoke(pawl_store *store, int64_t lease);
void pawl__etcd_lease_question(pawl__etcd_text *body, int64_t lease);
void pawl__etcd_errands_done(pawl_store *store);

/* ---- etcd_request.c ------------------------------------------------------------------------ */

PAWL_MUST_USE bool pawl__etcd_requests_init(pawl_store *store);
void pawl__etcd_requests_done(pawl_store *store);
/* A request of one name; `begin` is called when the earlier ones are answered. False: no memory. */
PAWL_MUST_USE bool pawl__etcd_take_request(pawl_store *store, const pawl_request *request,
                                           pawl__etcd_step *begin);
void pawl__etcd_answer_op(pawl_store *store, pawl__etcd_op *op, const pawl_reply *reply);
void pawl__etcd_fail_op(pawl_store *store, pawl__etcd_op *op, pawl_outcome outcome, pawl_err err,
                        const char *message);
/* The server refused, or it is unknown what it did: answers accordingly. */
void pawl__etcd_op_trouble(pawl_store *store, pawl__etcd_op *op, const pawl__etcd_answer *answer);
void pawl__etcd_refuse(pawl_store *store, uint64_t id, pawl_err err, const char *message);
void pawl__etcd_give_refusals(pawl_store *store);
/* The link is gone: answers everything. */
void pawl__etcd_abandon(pawl_store *store);

/* ---- etcd_pool.c --------------------------------------------------------------------------- */

/* In the first half of its time. */
bool pawl__etcd_is_young(const pawl_store *store, int64_t seconds, int64_t leased_at);
/* Takes a kept lease of that length out of the pool; none: 0. Those that are too old are revoked.
 */
pawl__etcd_kept_lease pawl__etcd_take_kept(pawl_store *store, int64_t seconds);
/* Seconds of a lease that does not end before ttl_ms. */
int64_t pawl__etcd_lease_s(int64_t ttl_ms);
/* The key of that lease has gone, for certain: it is kept for another key, or revoked. leased_at:
 * an instant not after its time began, 0: unknown. */
void pawl__etcd_part(pawl_store *store, int64_t lease, int64_t seconds, int64_t leased_at);
/*
 * The request is over; what becomes of its spare lease. If a put with it may come late, it is noted
 * with the token: the token's next ACQUIRE uses it, and its RELEASE revokes it, so that such a put
 * finds no lease.
 */
void pawl__etcd_give_spare_back(pawl_store *store, pawl__etcd_op *op);
/* The lease that was noted with the request's token becomes its spare one. False: none was. */
bool pawl__etcd_take_loose(pawl_store *store, pawl__etcd_op *op);
/* Before close: revokes those that are kept. */
void pawl__etcd_leases_leave(pawl_store *store);
/* Whether a lease that has not been kept alive since then lasts for so long from now. */
bool pawl__etcd_lasts(const pawl_store *store, int64_t seconds, int64_t leased_at,
                      int64_t needed_ms);
/* Puts a lease for a place into op->place. False: none is kept that need not be kept alive. */
bool pawl__etcd_take_place_lease(pawl_store *store, pawl__etcd_op *op);

/* ---- etcd_crowd.c -------------------------------------------------------------------------- */

/* The request has found its name taken, which counts once for each, or free. */
void pawl__etcd_found(pawl_store *store, pawl__etcd_op *op, bool taken);
/* The last time, it was free; or nothing is known. */
bool pawl__etcd_is_quiet(pawl_store *store, const pawl__etcd_op *op);
/* It was taken several times, one after the other. */
bool pawl__etcd_is_crowded(pawl_store *store, const pawl__etcd_op *op);

/* ---- etcd_lease.c -------------------------------------------------------------------------- */

/* Puts a lease that lasts for so long from the submit on into op->spare, then goes on. If there is
 * a spare lease of that length it is used. */
void pawl__etcd_grant(pawl_store *store, pawl__etcd_op *op, int64_t needed_ms,
                      pawl__etcd_step *then);
/* Keeps op->lease alive, then goes on; if it does not exist any more op->lease becomes 0. */
void pawl__etcd_keep_alive(pawl_store *store, pawl__etcd_op *op, pawl__etcd_step *then);
/* What is left of a lease, of an answer of timetolive, at most; 0: it is over. */
int64_t pawl__etcd_left_ms(json_t *answer);

/* ---- etcd_watch.c -------------------------------------------------------------------------- */

PAWL_MUST_USE bool pawl__etcd_watches_init(pawl_store *store);
void pawl__etcd_watches_done(pawl_store *store);
/* The token waits: it is told when the key before its own is gone. False: no memory. */
PAWL_MUST_USE bool pawl__etcd_watch_turn(pawl_store *store, const pawl__etcd_op *op);
/* The token holds. If it waited and was not told of its turn, it is told now. */
void pawl__etcd_watch_hold(pawl_store *store, const pawl__etcd_op *op);
void pawl__etcd_unwatch(pawl_store *store, const char *token);
/* The token's key has the lease of the request now. And: since when has it this lease, as far as
 * this client knows; 0: it does not know. */
void pawl__etcd_watch_lease(pawl_store *store, const pawl__etcd_op *op);
/* The key and the lease with which the token holds, as far as this client knows; leased_at 0: a
 * put with that lease may come late. False: it does not know. */
bool pawl__etcd_recall(const pawl_store *store, pawl__etcd_op *op);
int64_t pawl__etcd_leased_at(const pawl_store *store, const char *token, int64_t lease);
/* Whether another token of this client waits for the name, as far as it knows. */
bool pawl__etcd_is_waited_for(const pawl_store *store, const pawl__etcd_bytes *start);
/* Whether the token holds or waits, as far as this client knows. */
bool pawl__etcd_is_watched(const pawl_store *store, const char *token);
void pawl__etcd_watches_lost(pawl_store *store);
void pawl__etcd_watches_up(pawl_store *store);
/* Before close: those who wait give up their places. */
void pawl__etcd_watches_leave(pawl_store *store);
/* ---- etcd_view.c --------------------------------------------------------------------------- */

/* Adds what is to be read to the list of a transaction, as its first entries. */
void pawl__etcd_view_ask(pawl__etcd_text *body, const pawl__etcd_question *question);
/* How many entries those are. */
size_t pawl__etcd_view_size(const pawl__etcd_question *question);
/* Reads what came of that. False: malformed. */
PAWL_MUST_USE bool pawl__etcd_view_read(const pawl_store *store, json_t *answer,
                                        const pawl__etcd_question *question,
                                        pawl__etcd_view *ret_view);

/* ---- etcd_txn.c ---------------------------------------------------------------------------- */

/* Answers with what is in the view. */
void pawl__etcd_say(pawl_store *store, pawl__etcd_op *op, pawl_outcome outcome);
void pawl__etcd_not_understood(pawl_store *store);
/* False: it went round too often, others change the name all the time; it is answered. */
PAWL_MUST_USE bool pawl__etcd_may_go_on(pawl_store *store, pawl__etcd_op *op);
/* Ends the body, which holds all but that, and asks. */
void pawl__etcd_ask_txn(pawl_store *store, pawl__etcd_op *op, bool writes,
                        void (*answered)(pawl_store *, pawl__etcd_call *,
                                         const pawl__etcd_answer *));
/* For a token that may have a key in each mode, or none yet. */
pawl__etcd_question pawl__etcd_ask_whole(const pawl__etcd_op *op);
/* Reads it; false: the answer makes no sense, and the link breaks. */
PAWL_MUST_USE bool pawl__etcd_take_view(pawl_store *store, pawl__etcd_op *op, json_t *root,
                                        pawl__etcd_question question);
void pawl__etcd_add_view(pawl__etcd_op *op, pawl__etcd_question question);
/* Our key, with that lease. */
void pawl__etcd_put_own(pawl__etcd_op *op, int64_t since_us, int64_t lease, bool comma);
/* Compares: no key of the range exists; nothing of the name is of the other family (rule 9); our
 * token has no key in any mode. */
void pawl__etcd_add_none(pawl__etcd_op *op, const pawl__etcd_bytes *from,
                         const pawl__etcd_bytes *to, bool comma);
void pawl__etcd_add_one_family(pawl__etcd_op *op, bool comma);
void pawl__etcd_add_no_own(pawl__etcd_op *op, bool comma);

/* ---- etcd_value.c ------------------------------------------------------------------------- */

pawl__etcd_step pawl__etcd_begin_publish, pawl__etcd_begin_read;
PAWL_MUST_USE bool pawl__etcd_values_init(pawl_store *store);
void pawl__etcd_values_done(pawl_store *store);
void pawl__etcd_values_lost(pawl_store *store);
/* The watches of values that do not hear begin, if the link is up. */
void pawl__etcd_values_up(pawl_store *store);

/* ---- etcd_steps.c, etcd_break.c, etcd_report.c, etcd_doctor.c, etcd_link.c ------------------ */

pawl__etcd_step pawl__etcd_begin_acquire, pawl__etcd_begin_renew, pawl__etcd_begin_release,
    pawl__etcd_begin_break, pawl__etcd_begin_report;
PAWL_MUST_USE bool pawl__etcd_doctor(pawl_store *store, const pawl_request *request);
void pawl__etcd_doctor_lost(pawl_store *store);
void pawl__etcd_doctor_done(pawl_store *store);
PAWL_MUST_USE bool pawl__etcd_link_init(pawl_store *store, uint64_t seed);
void pawl__etcd_link_done(pawl_store *store);

#endif
