/* SPDX-License-Identifier: MIT */
/*
 * The PostgreSQL store.
 *
 * WHAT IS IN THE DATABASE. schema.sql makes one schema, `pawl` unless the URL names another, with
 * these tables: name (the latest fence of each name), hold (who holds it), wait (who waits, in
 * order), broken (who broke a lease), value (the value beside a name), watch (who watches that
 * value). Every request is one CALL of a procedure beside them, one transaction and one round trip.
 * All rules are in these procedures, in PL/pgSQL: who may hold beside whom, who is next, what has
 * run out. So programs in other languages, and psql, can call them, too.
 *
 * WHY TWO CANNOT HOLD. A request first takes the advisory lock of the name for its transaction
 * (pg_advisory_xact_lock), then reads the server's clock, then decides. The transaction is READ
 * COMMITTED, whatever the default of the user or the database: the procedure checks that, and
 * begins another transaction if need be. In it each statement sees what others have committed
 * before, and the advisory lock is given back after the commit is visible. So requests for one name
 * run one after the other. Holding a name needs no session: no database lock and no transaction
 * stays open.
 *
 * WHY A PROCEDURE COMMITS BY ITSELF. In the extended protocol a transaction ends at the Sync
 * message behind the statement. A client that stops between the two would block the name for
 * everybody, for hours if its machine died. The procedure's own COMMIT leaves nothing for Sync to
 * end.
 *
 * THE CLOCK is clock_timestamp() of the server, in microseconds: only this clock decides when
 * leases end.
 *
 * FENCES. max(last + 1, clock), drawn by one INSERT ... ON CONFLICT DO UPDATE in the transaction
 * that grants. The row of a name stays for 10 minutes or more after its last use.
 *
 * WHO IS THERE. A client that listens holds an advisory lock of its session. If the lock of a
 * waiter is free, the waiter has lost its connection: it is skipped, but keeps its place until it
 * is back.
 *
 * PUSHES. A client LISTENs to one channel, pawl_ID, on the connection on which it asks; a
 * notification is delivered when the transaction that sends it has committed. Payloads, for the
 * name in hex:
 *
 *     g FENCE WAITING SLOTS TOKEN NAME   handed to you: the lock, its upgrade, or those slots
 *     y FENCE - - TOKEN NAME             somebody waits for what you hold
 *     r - - - - NAME                     ask again
 *     n - - - - NAME                     a value was published that you watch
 *
 * Behind a pooler that gives each transaction another session, LISTEN has no effect. A pooler is
 * recognised because pg_backend_pid() differs from what the connection was told. Then the client
 * does not listen, the caps say so, and waiters ask again and again.
 *
 * THE CONNECTION. One, in libpq's pipeline mode, each request with a Sync of its own: they are sent
 * without waiting for each other, take effect in order, and a failure does not affect the next one.
 * It is made on a thread (postgres_connect.h), then greeted:
 *     LOOK    what is this server, is the schema there, which format has it
 *     PATH    the session's search_path is the server's own schema, unless there is a pooler
 *     CREATE  if it is not there: schema.sql, one transaction, safe beside another one that does
 * the same LISTEN  and a message to ourselves, unless there is a pooler
 *
 * A SESSION THAT IS NEW IS SLOW, until it has planned what it carries out; a client with short
 * leases does not wait for so long, closes the connection, and is new again. So between LISTEN and
 * the message, for which there is more time, it does what is in warm_up.sql. The first connection
 * of a client does not: a program that takes one lock and ends would pay for what it does not use.
 *
 * WHAT IS UNKNOWN. When the connection breaks all requests on it are answered with UNKNOWN: libpq
 * does not tell how many of them were sent. The engine asks again with the same token. UNKNOWN is
 * also the answer if an error may have come after the commit, and if the server warned about the
 * commit: "committed locally, but might not have been replicated" means that a failover may lose
 * the grant.
 *
 *   postgres_store.c    the contract's operations
 *   postgres_connect.c  a connection is made
 *   postgres_link.c     greeting, loss, back-off
 *   postgres_wire.c     libpq and the loop: what is written and read
 *   postgres_request.c  requests about one name, and their answers
 *   postgres_value.c    the value beside a name: what is asked
 *   postgres_report.c   INSPECT and LIST;  postgres_doctor.c  DOCTOR
 *   postgres_error.c    codes and words of errors
 *   ../common/sql_*.c   what the procedures say
 */
#ifndef PAWL_POSTGRES_STORE_H
#define PAWL_POSTGRES_STORE_H

#include "../../base/list.h"
#include "../../base/retry.h"
#include "../common/answers.h"
#include "../common/refusals.h"
#include "postgres_connect.h"
#include "postgres_error.h"
#include "postgres_url.h"

#include <event2/event.h>
#include <event2/event_struct.h>

/* ---- Bounds -------------------------------------------------------------------------------- */

#define PAWL__POSTGRES_UNDER_WAY_MAX 1000000
#define PAWL__POSTGRES_HEAR_MS       1000   /* how long our own message may take */
#define PAWL__POSTGRES_SERVER_MIN    120000 /* server_version_num of the oldest that will do */
#define PAWL__POSTGRES_PARAMS_MAX    10
#define PAWL__POSTGRES_SQL_MAX       4096

/* schema.sql and warm_up.sql; each @ is the schema's name */
extern const char pawl__postgres_schema[];
extern const char pawl__postgres_warm_up[];

/* ---- Statements under way ------------------------------------------------------------------ */

/*
 * A statement whose answer is awaited. One of the two functions is called, once, and owns the entry
 * from then on. Answers come in order.
 */
typedef struct pawl__postgres_pending pawl__postgres_pending;
struct pawl__postgres_pending {
    pawl__link in_order;
    int64_t answer_by; /* instant; PAWL__NEVER: something else limits it */
    /* `result` is borrowed; NULL: there was none. doubt: the server warned about the commit. */
    void (*answered)(pawl_store *store, pawl__postgres_pending *pending, const PGresult *result,
                     bool doubt);
    /* The connection is gone. */
    void (*unanswered)(pawl_store *store, pawl__postgres_pending *pending, pawl_err err,
                       const char *message);
    void (*drop)(pawl__postgres_pending *pending); /* the store is closed: frees it */
};

typedef struct pawl__postgres_statement {
    const char *sql;
    unsigned number; /* 1 .. 31: the text never changes, so it is kept prepared; 0: it is not */
    int count;
    Oid types[PAWL__POSTGRES_PARAMS_MAX];
    const char *values[PAWL__POSTGRES_PARAMS_MAX];
    int lengths[PAWL__POSTGRES_PARAMS_MAX];
    int formats[PAWL__POSTGRES_PARAMS_MAX];
} pawl__postgres_statement;

/* ---- The store ----------------------------------------------------------------------------- */

typedef enum pawl__postgres_state {
    PAWL__POSTGRES_WAITING = 0, /* for the next attempt */
    PAWL__POSTGRES_CONNECTING,
    PAWL__POSTGRES_LOOKING,
    PAWL__POSTGRES_CREATING,
    PAWL__POSTGRES_LISTENING,
    PAWL__POSTGRES_UP
} pawl__postgres_state;

typedef struct pawl__postgres_linkage {
    pawl__postgres_state state;
    bool listens;          /* the server listens to our inbox for us */
    bool pooled;           /* a pooler between us and the server shares sessions */
    bool warned_of_pooler; /* once for each client */
    bool spoke;            /* our own message has come back */
    bool forgets;          /* prepared statements are lost between transactions */
    bool comes_back;       /* the client has been connected before */
    bool warms_up;         /* asked to, and the server has not answered */
    char word[24];
    pawl__retry retry;
    int64_t up_since;
    uint64_t random;
    /* Why it is down, or is about to go down (broken). */
    bool broken;
    pawl_err err;
    char message[PAWL_MESSAGE_MAX];
    char last_words[PAWL_MESSAGE_MAX]; /* the server's message before it closed the connection */
} pawl__postgres_linkage;

struct pawl_store {
    pawl_host *host;
    pawl__postgres_config config;
    pawl_caps caps;
    pawl__postgres_linkage link;
    /* The loop. The timers stay in its heap from open to close, so setting one needs no memory. */
    struct event turn, connected, readable, writable, link_timer;
    pawl__postgres_attempt *attempt;
    PGconn *conn;
    PGresult *result; /* of the first statement that is under way */
    unsigned ends;    /* ends of results in a row: more than one is an error */
    bool in_script;
    uint32_t prepared;    /* a bit for each number of a statement that this session keeps */
    bool doubt;           /* a warning came with the result */
    pawl__link under_way; /* pawl__postgres_pending, in order of sending */
    size_t under_way_count;
    pawl__answers answers;
    pawl__refusals refusals;
    void (*hear)(pawl_store *store, const char *payload);
    pawl_store *kept; /* in a forked child: the next of those that are kept */
};

/* ---- postgres_wire.c: libpq and the loop --------------------------------------------------- */

/* Takes over a connection. False: libpq or the loop has no memory for it. */
PAWL_MUST_USE bool pawl__postgres_wire_begin(pawl_store *store, PGconn *conn);
void pawl__postgres_wire_end(pawl_store *store);
/* In a forked child: sends nothing on the socket, which belongs to the parent. */
void pawl__postgres_wire_forget(pawl_store *store);
/* Sends the rest and reads the answers, for a while; called last before close. */
void pawl__postgres_wire_drain(pawl_store *store);
/*
 * Sends a statement whose answer `pending` awaits. False: it cannot be tried, the entry is
 * the caller's again, and nothing has left.
 */
PAWL_MUST_USE bool pawl__postgres_send(pawl_store *store, const pawl__postgres_statement *statement,
                                       pawl__postgres_pending *pending);
/* Several statements, without parameters, while nothing else is under way. */
PAWL_MUST_USE bool pawl__postgres_send_script(pawl_store *store, const char *sql,
                                              pawl__postgres_pending *pending);
void pawl__postgres_flush(pawl_store *store);
/* Takes out the first one that is under way; NULL if there is none. */
pawl__postgres_pending *pawl__postgres_next(pawl_store *store);
/* Only notes that the link is broken; the next turn closes it. The first cause is kept. */
void pawl__postgres_link_break(pawl_store *store, pawl_err err, const char *message);
void pawl__postgres_turn_soon(pawl_store *store);

/* The text with the schema's name for each @; malloc'ed, NULL when out of memory. */
char *pawl__postgres_with_schema(const pawl_store *store, const char *text);
/* A parameter of a statement; what it points to is borrowed until the statement is sent. */
void pawl__postgres_add_bytes(pawl__postgres_statement *statement, const char *data, size_t len);
void pawl__postgres_add_text(pawl__postgres_statement *statement, const char *text);
void pawl__postgres_add_number(pawl__postgres_statement *statement, char room[24], int64_t number);
void pawl__postgres_add_flag(pawl__postgres_statement *statement, bool flag);

/* ---- postgres_request.c -------------------------------------------------------------------- */

/* Room for refusals. False when out of memory. */
PAWL_MUST_USE bool pawl__postgres_requests_init(pawl_store *store);
/* Frees them; nobody is told. */
void pawl__postgres_requests_done(pawl_store *store);
/* A request about one lock: sends it, or refuses it at the next turn. */
void pawl__postgres_ask(pawl_store *store, const pawl_request *request);
/* Answers a request, with an error, at the next turn of the loop. */
void pawl__postgres_refuse(pawl_store *store, uint64_t id, pawl_err err);
/* What a failed pawl__postgres_send means for the request. */
pawl_err pawl__postgres_send_trouble(const pawl_store *store);
void pawl__postgres_give_refusals(pawl_store *store);
/* The link is gone: ends everything that is under way. */
void pawl__postgres_abandon(pawl_store *store);
/* Answers with nothing but this. */
void pawl__postgres_say(pawl_store *store, uint64_t id, pawl_outcome outcome, pawl_err err,
                        const char *message);
/*
 * The outcome of a statement that failed or has no result; changes: the request changes something.
 * Breaks the link if need be. `result` may be NULL.
 */
pawl_outcome pawl__postgres_judge(pawl_store *store, const PGresult *result, bool changes,
                                  pawl_err *ret_err, char *reterr_message);

/* ---- postgres_value.c ---------------------------------------------------------------------- */

/* The parameters behind the name, and for PUBLISH behind the token. */
void pawl__postgres_add_publish(const pawl_request *request, pawl__postgres_statement *statement,
                                char rooms[2][24]);
void pawl__postgres_add_read(const pawl_store *store, const pawl_request *request,
                             pawl__postgres_statement *statement, char room[24]);

/* ---- postgres_link.c ----------------------------------------------------------------------- */

/* The first attempt begins when the loop runs. False when out of memory. */
PAWL_MUST_USE bool pawl__postgres_link_init(pawl_store *store, uint64_t seed);
/* Before close, while the link is up. */
void pawl__postgres_say_farewell(pawl_store *store);
void pawl__postgres_link_done(pawl_store *store);

/* ---- postgres_report.c, postgres_doctor.c -------------------------------------------------- */

/* False when out of memory or the link is down. */
PAWL_MUST_USE bool pawl__postgres_report(pawl_store *store, const pawl_request *request);
PAWL_MUST_USE bool pawl__postgres_doctor(pawl_store *store, const pawl_request *request);

/* ---- postgres_clock.c ---------------------------------------------------------------------- */

/* This machine's wall clock in us since 1970, to show how far the server's differs. */
int64_t pawl__postgres_wall_us(void);

#endif
