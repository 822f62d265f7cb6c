/* SPDX-License-Identifier: MIT */
/*
 * The store of MariaDB and MySQL.
 *
 * WHAT IS IN THE DATABASE. schema.sql makes tables and procedures, all called pawl_..., in the
 * database that the URL names ("pawl" if it names none): name (the latest fence of each name), hold
 * (who holds it), slot (which permits), wait (who waits, in order), broken (who broke a lease),
 * value and watch (the value beside a name), letter (what clients are told). Every request is one
 * CALL, one transaction and one round trip. All rules are in these procedures: who may hold beside
 * whom, who is next, what has run out. Procedures rather than several statements in one message:
 * the decision in the middle needs no round trip while a row is locked, and a client that stops
 * there blocks nobody.
 *
 * WHY TWO CANNOT HOLD. A request first locks the row of the name (SELECT ... FOR UPDATE), then
 * reads the server's clock, then decides. The transaction is READ COMMITTED, by the procedure
 * itself, whatever the default is; so each statement in it sees what others have committed before.
 * A row is unlocked after the commit is visible. So requests for one name run one after the other.
 * Holding a name needs no session: no transaction stays open.
 *
 * THE CLOCK is UTC_TIMESTAMP(6) of the server, read after the row is locked: only this clock
 * decides when leases end. (In a procedure each statement reads it anew; in a function or trigger
 * it would stand still.)
 *
 * FENCES. max(last + 1, clock) in microseconds, drawn in the transaction that grants. The row of a
 * name stays for 10 minutes or more after its last use.
 *
 * PUSHES. MariaDB has no NOTIFY. A client has a second connection, the listener, which holds the
 * named lock pawl.CLIENT and waits, in a CALL of pawl_listen, for pawl.wait.CLIENT, which the first
 * one holds. Who hands a lock on commits, then puts a letter for the successor into a table in
 * memory, and then ends that wait: IS_USED_LOCK tells whose connection it is, KILL QUERY wakes it,
 * and nobody else. The letter is there before the wait ends, and is looked for before each wait, so
 * none is missed: a CALL first gives what letters there are, then waits, and the next one ends it
 * wherever it stands. It is written after the commit, so none tells of a grant that was not to be.
 * If nobody has pawl.CLIENT the waiter has lost its connection: it is skipped, but keeps its place
 * until it is back. A process that is killed is gone at once: the server sees its first connection
 * end, the listener gets what it waits for, and ends.
 *     Not SLEEP: all sleeps of MariaDB share a mutex. Who kills one holds what the sleeper needs to
 * give that mutex back, tries for two seconds to get it, and meanwhile no sleep ends.
 *     Not GET_LOCK on the predecessor: it needs a connection for each name that is waited for and
 * for each that is held; this needs one for each client. Galera and group
 * replication: named locks, letters and connections are those of one node, so a client on another
 * would count as gone. There is no listener there, nor behind a proxy that shares connections; the
 * caps say so, and waiters ask again and again.
 *
 * THE CONNECTIONS are made and greeted on a thread (mariadb_connect.h): is this a primary, is the
 * schema there (else it is made), can we be woken. The protocol has one statement at a time, so
 * what is asked waits here for its turn, in order.
 *     A session compiles a procedure when it first calls it. A client with short leases does not
 * wait for so long on a busy machine, closes the connection, and its next session is new again. So
 * the session of a client that comes back does what is in warm_up.sql first. A client's first
 * connection does not: a program that takes one lock and ends would pay for what it does not use.
 *
 * WHAT IS UNKNOWN. When the connection breaks, the request that was sent is answered with UNKNOWN,
 * and so are those behind it, to keep it simple. The engine asks again with the same token. UNKNOWN
 * is also the answer if an error may have come after the commit. A deadlock, a lock that was waited
 * for too long, and what Galera says when a commit lost its certification mean that nothing was
 * done.
 *
 *   mariadb_store.c    the contract's operations
 *   mariadb_connect.c  an attempt to connect;  mariadb_greet.c  what its thread does
 *   mariadb_call.c     one statement, by libmariadb's functions that do not block
 *   mariadb_link.c     the link: attempts, loss, back-off
 *   mariadb_wire.c     statements under way, and the loop
 *   mariadb_listen.c   letters
 *   mariadb_sql.c      statements
 *   mariadb_request.c  requests about one name, and their answers
 *   mariadb_report.c   INSPECT and LIST;  mariadb_doctor.c  DOCTOR
 *   mariadb_error.c    numbers of errors
 *   ../common/sql_*.c  what the procedures say
 */
#ifndef PAWL_MARIADB_STORE_H
#define PAWL_MARIADB_STORE_H

#include "../../base/list.h"
#include "../../base/retry.h"
#include "../common/answers.h"
#include "../common/refusals.h"
#include "mariadb_call.h"
#include "mariadb_connect.h"
#include "mariadb_error.h"
#include "mariadb_url.h"

#include <event2/event.h>
#include <event2/event_struct.h>

/* ---- Bounds -------------------------------------------------------------------------------- */

#define PAWL__MARIADB_UNDER_WAY_MAX 1000000
#define PAWL__MARIADB_LISTEN_S      10 /* how long one sleep of the listener takes */

/* ---- Statements under way ------------------------------------------------------------------ */

/*
 * A statement whose answer is awaited. One of the two functions is called, once, and owns the entry
 * from then on. Answers come in order.
 */
typedef struct pawl__mariadb_pending pawl__mariadb_pending;
struct pawl__mariadb_pending {
    pawl__link in_order;
    char *sql; /* owned by the wire, once it is sent */
    size_t sql_len;
    int64_t answer_by; /* instant; PAWL__NEVER: something else limits it */
    /* `call` is over; its rows and error are borrowed. */
    void (*answered)(pawl_store *store, pawl__mariadb_pending *pending,
                     const pawl__mariadb_call *call);
    /* The connection is gone. */
    void (*unanswered)(pawl_store *store, pawl__mariadb_pending *pending, pawl_err err,
                       const char *message);
    void (*drop)(pawl__mariadb_pending *pending); /* the store is closed: frees it */
};

/* ---- The store ----------------------------------------------------------------------------- */

typedef enum pawl__mariadb_state {
    PAWL__MARIADB_WAITING = 0, /* for the next attempt */
    PAWL__MARIADB_CONNECTING,
    PAWL__MARIADB_UP
} pawl__mariadb_state;

typedef struct pawl__mariadb_linkage {
    pawl__mariadb_state state;
    bool warned_of_no_push; /* once for each client */
    bool comes_back;        /* the client has been connected before */
    bool was_mute;          /* the latest session had no answer while it was warmed up */
    pawl__retry retry;
    int64_t up_since;
    uint64_t random;
    /* Why it is down, or is about to go down (broken). */
    bool broken;
    pawl_err err;
    char message[PAWL_MESSAGE_MAX];
    char no_push[200]; /* why there is no listener */
} pawl__mariadb_linkage;

/* A connection and its place in the loop. */
typedef struct pawl__mariadb_line {
    pawl__mariadb_call call;
    int fd; /* a duplicate: libmariadb closes its own by itself, and the number could be another's
             */
    struct event ready;
    bool is_ready; /* the call was over at once; the loop comes back to it */
} pawl__mariadb_line;

struct pawl_store {
    pawl_host *host;
    pawl__mariadb_config *config;
    pawl_caps caps;
    pawl__mariadb_linkage link;
    /* The loop. The timers stay in its heap from open to close, so setting one needs no memory. */
    struct event turn, connected, link_timer;
    pawl__mariadb_attempt *attempt;
    pawl__mariadb_line asker, listener;
    unsigned listener_id;
    int64_t has_read; /* the letter that was read last */
    char listen_sql[200];
    pawl__link under_way; /* pawl__mariadb_pending; the first is being carried out */
    size_t under_way_count;
    pawl__answers answers;
    pawl__refusals refusals;
    pawl_store *kept; /* in a forked child: the next of those that are kept */
};

/* ---- mariadb_wire.c ------------------------------------------------------------------------ */

/* Takes over the connections. False: the loop has no memory for it. */
PAWL_MUST_USE bool pawl__mariadb_wire_begin(pawl_store *store, const pawl__mariadb_link *link,
                                            event_callback_fn on_listener);
void pawl__mariadb_wire_end(pawl_store *store);
/* In a forked child: sends nothing on the sockets, which belong to the parent. */
void pawl__mariadb_wire_forget(pawl_store *store);
/* Carries out what is under way, for a while; called last before close. */
void pawl__mariadb_wire_drain(pawl_store *store);
/*
 * Sends the statement of `pending`, whose text it owns from now on. False: it cannot be tried, the
 * entry and its text are the caller's again, and nothing has left.
 */
PAWL_MUST_USE bool pawl__mariadb_send(pawl_store *store, pawl__mariadb_pending *pending);
void pawl__mariadb_flush(pawl_store *store);
/* Takes out the first one that is under way; NULL if there is none. */
pawl__mariadb_pending *pawl__mariadb_next(pawl_store *store);
/* Only notes that the link is broken; the next turn closes it. The first cause is kept. */
void pawl__mariadb_link_break(pawl_store *store, pawl_err err, const char *message);
void pawl__mariadb_link_lost(pawl_store *store, const pawl__mariadb_error *error);
void pawl__mariadb_turn_soon(pawl_store *store);
/* The loop comes back when what this line waits for happens. */
void pawl__mariadb_watch(pawl_store *store, pawl__mariadb_line *line);

/* ---- mariadb_listen.c ---------------------------------------------------------------------- */

/* Begins to listen, if there is a listener. */
void pawl__mariadb_listen(pawl_store *store);
void pawl__mariadb_on_listener(evutil_socket_t fd, short what, void *arg);

/* ---- mariadb_request.c --------------------------------------------------------------------- */

/* Room for refusals. False when out of memory. */
PAWL_MUST_USE bool pawl__mariadb_requests_init(pawl_store *store);
/* Frees them; nobody is told. */
void pawl__mariadb_requests_done(pawl_store *store);
/* A request about one lock: sends it, or refuses it at the next turn. */
void pawl__mariadb_ask(pawl_store *store, const pawl_request *request);
/* Answers a request, with an error, at the next turn of the loop. */
void pawl__mariadb_refuse(pawl_store *store, uint64_t id, pawl_err err);
/* What a failed pawl__mariadb_send means for the request. */
pawl_err pawl__mariadb_send_trouble(const pawl_store *store);
void pawl__mariadb_give_refusals(pawl_store *store);
/* The link is gone: ends everything that is under way. */
void pawl__mariadb_abandon(pawl_store *store);
/* Answers with nothing but this. */
void pawl__mariadb_say(pawl_store *store, uint64_t id, pawl_outcome outcome, pawl_err err,
                       const char *message);
/*
 * The outcome of a statement that failed or has no result; changes: the request changes something.
 * Breaks the link if need be.
 */
pawl_outcome pawl__mariadb_judge(pawl_store *store, const pawl__mariadb_call *call, bool changes,
                                 pawl_err *ret_err, char *reterr_message);

/* ---- mariadb_link.c ------------------------------------------------------------------------ */

/* The first attempt begins when the loop runs. False when out of memory. */
PAWL_MUST_USE bool pawl__mariadb_link_init(pawl_store *store, uint64_t seed);
/* Before close, while the link is up: nothing is handed to us any more. */
void pawl__mariadb_say_farewell(pawl_store *store);
void pawl__mariadb_link_done(pawl_store *store);

/* ---- mariadb_report.c, mariadb_doctor.c ---------------------------------------------------- */

/* False when out of memory or the link is down. */
PAWL_MUST_USE bool pawl__mariadb_report(pawl_store *store, const pawl_request *request);
PAWL_MUST_USE bool pawl__mariadb_doctor(pawl_store *store, const pawl_request *request);

/* ---- mariadb_clock.c ----------------------------------------------------------------------- */

/* This machine's wall clock in us since 1970, to show how far the server's differs. */
int64_t pawl__mariadb_wall_us(void);

/* ---- mariadb_sql.c: statements ------------------------------------------------------------- */

/* A statement that grows. Failing is remembered until the end. */
typedef struct pawl__mariadb_text {
    char *text;
    size_t len, room;
    bool failed;
} pawl__mariadb_text;

/* "CALL `database`.pawl_WORD(" */
void pawl__mariadb_begin_call(pawl__mariadb_text *text, const pawl_store *store, const char *word);
void pawl__mariadb_add_bytes(pawl__mariadb_text *text, const char *data, size_t len);
void pawl__mariadb_add_word(pawl__mariadb_text *text, const char *word);
void pawl__mariadb_add_number(pawl__mariadb_text *text, int64_t number);
/* ")", and the text becomes that of a statement. False when out of memory. */
PAWL_MUST_USE bool pawl__mariadb_end_call(pawl__mariadb_text *text, pawl__mariadb_pending *pending);

#endif
