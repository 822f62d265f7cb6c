/* SPDX-License-Identifier: MIT */
/*
 * The memcached store: best effort; its caps say so.
 *
 * WHAT IT IS. memcached is a cache: it forgets everything when it restarts or is flushed, and
 * single items when it needs their room. So a lock here is safe as long as the server keeps its
 * item. During that time two clients never hold it, no client ends another's lease, and fences
 * grow. There is no queue, no list, no push, no mode except exclusive, and no value; they are
 * refused (rule 14).
 *
 * THE ITEM. One for each name, at PREFIX + the name; bytes that a key cannot have are written %XX;
 * a name that is too long is written # and a hash, and the whole name is in the value, where it is
 * compared. The value is one line, then the name, then the label:
 *
 *     pawl1 h FENCE TOKEN NAME_LEN OWNER_LEN\n NAME OWNER    held
 *     pawl1 f FENCE -     NAME_LEN 0\n NAME                  free; kept for a minute, for the fence
 *
 * WHY TWO CANNOT HOLD. Every change is one `ms` of an item that was looked at before: with ME (add)
 * if there was none, else with C<cas>, which the server compares with the item's number; each
 * change of an item gives it a new one. So of two clients that saw the same item, one gets EX, NS
 * or NF, has changed nothing, and looks again. Renewing, releasing and breaking compare the token
 * or the fence in what was looked at and then that number, so nobody ends or extends another's (law
 * 5). `md`, `mg` with T, and `set` without a number are not used, because they do not compare.
 *
 *     acquire, renew:   mg KEY v c t   ->  VA, EN      ms KEY LEN T<ttl> c C<cas>|ME  ->  HD c<cas>
 *     release, break:   mg KEY v c t   ->  VA, EN      ms KEY LEN T60 c C<cas>        ->  HD
 *     wait:             mg KEY v t     again and again, 25 ms to 500 ms apart
 *
 * TIME. memcached counts in seconds, by a clock that it reads once a second. An item that is kept
 * for T seconds lives between T - 2 and T + 1 seconds. So a lease of `ttl` is asked for with T =
 * ttl rounded up + 2: it never ends before its ttl, and at most 4 s after it. The ttl that is
 * granted counts from the submit. A server that was stopped reads its clock only after it has run
 * again. So a change is always the second command, sent after an answer that came after the request
 * was made; and a change whose answer took longer than a second is made again.
 *
 * FENCES. max(the one in the item + 1, the server's clock in µs), written by the very command that
 * grants (law 3). Where there is no item, by the clock alone: the old holder's item has lived for
 * at least two seconds since its fence was drawn, and the clock, which we know to little more than
 * a second, has advanced by more than that error. The clock is `stats`' time, asked for when the
 * connection is made and each minute. Fences could go back if the server restarted with its clock
 * set back, or evicted the item of a lock within a second of its grant. So they are called best
 * effort.
 *
 * THE GUARD. PREFIX%guard is an item without an end, written by whoever finds it missing, with the
 * server's time. While it is younger than guard_ms (and 2 s) nothing new is granted: the server may
 * have been restarted or flushed, and locks that it forgot may still be held. No lease may be
 * longer than guard_ms, therefore. The client reads it before a grant, and again after the command
 * that grants, before the grant is told; if the guard has gone meanwhile, the client gives the item
 * up. guard=off switches this off. Nothing guards against the eviction of a single lock: the doctor
 * warns of that.
 *
 * WAITING. Only this client knows its place. It reads the items that it waits for; when one seems
 * to be free the host gets RECHECK and asks. The client that asks first gets the lock.
 *
 * WHAT IS UNKNOWN. If a connection breaks after an `ms` was written, it is unknown whether that was
 * done. The engine asks again with the same token, and the item shows whether it is ours. If only
 * an `mg` was under way nothing was done. SERVER_ERROR to an `ms` may have dropped the item (the
 * server does that when it has no memory): then a renewal is unknown, and a grant did not happen.
 *
 * FLOORS. A file calls only files of lower floors. A test refuses circles of calls.
 *
 *   7  memcached_store.c    the contract's operations
 *   6  memcached_link.c     greeting, loss, back-off
 *      memcached_steps.c    what each verb does with the item that it finds
 *   5  memcached_doctor.c   DOCTOR;  memcached_guard.c  the guard
 *   4  memcached_request.c  requests, one after the other for each name
 *      memcached_watch.c    who waits;  memcached_clock.c  the server's clock
 *   3  memcached_facts.c    whether the link is up, what the server says of itself
 *   2  memcached_wire.c     bytes in and out, and what an answer is awaited for
 *   1  memcached_reader.c   what the server says;  memcached_item.c  keys and values
 *      memcached_connect.c  a socket is connected, on a thread;  memcached_url.c  the URL
 *
 * What a lower floor has to tell a higher one goes through a function that the higher one gave it:
 * `answered` of what awaits an answer (the wire calls it), `begin` of a request (it is the first
 * step, called when the requests before it are answered), and the event `turn`, which the wire
 * sets off and the link handles: there all that was under way is answered, with the loss.
 */
#ifndef PAWL_MEMCACHED_STORE_H
#define PAWL_MEMCACHED_STORE_H

#include "../../base/instant.h"
#include "../../base/list.h"
#include "../../base/retry.h"
#include "../../base/table.h"
#include "../common/answers.h"
#include "../common/refusals.h"
#include "memcached_connect.h"
#include "memcached_reader.h"
#include "memcached_url.h"

#include <event2/event.h>
#include <event2/event_struct.h>

/* ---- Bounds -------------------------------------------------------------------------------- */

#define PAWL__MEMCACHED_KEY_MAX   250  /* the server's */
#define PAWL__MEMCACHED_TEXT_MAX  1024 /* bytes of a value of ours */
#define PAWL__MEMCACHED_EXTRA_S   2    /* see TIME */
#define PAWL__MEMCACHED_LINGER_MS 4000

/* ---- Items --------------------------------------------------------------------------------- */

typedef struct pawl__memcached_key {
    char text[PAWL__MEMCACHED_KEY_MAX + 1];
} pawl__memcached_key;

typedef enum pawl__memcached_state {
    PAWL__MEMCACHED_ABSENT = 0,
    PAWL__MEMCACHED_FREE,
    PAWL__MEMCACHED_HELD,
    PAWL__MEMCACHED_FOREIGN, /* the item is not pawl's; perhaps another program's lock */
    PAWL__MEMCACHED_OTHER    /* it is pawl's, but for another name */
} pawl__memcached_state;

/* What a look at an item has shown. */
typedef struct pawl__memcached_item {
    pawl__memcached_state state;
    uint64_t cas, fence;
    int64_t left_ms; /* -1: it does not end */
    char token[PAWL_TOKEN_LEN + 1];
    char owner[PAWL_OWNER_MAX + 1];
} pawl__memcached_item;

void pawl__memcached_key_make(pawl__memcached_key *ret_key, const char *prefix, const char *name,
                              size_t name_len);
/* Reads the answer to `mg`; false: it is malformed. */
PAWL_MUST_USE bool pawl__memcached_item_read(const pawl__memcached_answer *answer, const char *name,
                                             size_t name_len, pawl__memcached_item *ret_item);
/* Writes a value; token NULL: free. Returns its length; there is room for every value. */
size_t pawl__memcached_item_write(char ret_text[PAWL__MEMCACHED_TEXT_MAX], uint64_t fence,
                                  const char *token, const char *name, size_t name_len,
                                  const char *owner);
/* Reads a decimal number that ends at a blank or at the end of the text; false: malformed. */
PAWL_MUST_USE bool pawl__memcached_to_number(const char *text, uint64_t *ret_number);

/* ---- What an answer is awaited for --------------------------------------------------------- */

/* Answers come in order. `answered` is called for each line of several. */
typedef struct pawl__memcached_pending pawl__memcached_pending;
struct pawl__memcached_pending {
    pawl__link in_order;
    int64_t sent_at;
    void (*answered)(pawl_store *store, pawl__memcached_pending *pending,
                     const pawl__memcached_answer *answer);
};

/* ---- Requests ------------------------------------------------------------------------------ */

/* What became of an `ms`. */
typedef enum pawl__memcached_change {
    PAWL__MEMCACHED_DONE = 0,
    PAWL__MEMCACHED_AGAIN,  /* the item was another one by then: nothing was done */
    PAWL__MEMCACHED_REFUSED /* the server could not */
} pawl__memcached_change;

typedef struct pawl__memcached_op pawl__memcached_op;
typedef void pawl__memcached_begin(pawl_store *store, pawl__memcached_op *op);

struct pawl__memcached_op {
    pawl__link in_ops; /* in order of submit */
    pawl__memcached_begin *begin;
    uint64_t id;
    pawl_verb verb;
    unsigned flags;
    int64_t ttl_ms, answer_by;
    uint64_t fence;  /* BREAK: the fence that the caller saw; else: the one that is being written */
    uint32_t hash;   /* of the name */
    bool started;    /* false: it waits for an earlier request for the same name */
    bool wrote;      /* an `ms` was sent, and may have been done */
    bool done;       /* an `ms` was done */
    bool ours;       /* the item had our token before that */
    bool slow;       /* the answer took too long, so it is done again */
    bool undoing;    /* the guard had gone: the grant is given up */
    unsigned rounds; /* number of looks so far */
    int64_t guard_left_ms;
    pawl__memcached_change change;
    char said[2 * PAWL__MEMCACHED_HOST_MAX]; /* the server's words, when it refused */
    pawl__memcached_item item;
    pawl__memcached_pending look, write, guard;
    pawl__memcached_key key;
    char token[PAWL_TOKEN_LEN + 1];
    char owner[PAWL_OWNER_MAX + 1];
    size_t name_len;
    char name[]; /* NUL-terminated */
};

/* ---- The store ----------------------------------------------------------------------------- */

typedef enum pawl__memcached_phase {
    PAWL__MEMCACHED_WAITING = 0, /* for the next attempt */
    PAWL__MEMCACHED_CONNECTING,
    PAWL__MEMCACHED_GREETING,
    PAWL__MEMCACHED_UP
} pawl__memcached_phase;

typedef struct pawl__memcached_linkage {
    pawl__memcached_phase phase;
    pawl__retry retry;
    int64_t up_since;
    uint64_t random;
    bool warned_of_eviction, warned_of_no_login; /* once for each client */
    bool wants_no_login;                         /* although the URL has one */
    /* Why it is down, or is about to go down (broken). */
    bool broken;
    pawl_err err;
    char message[PAWL_MESSAGE_MAX];
} pawl__memcached_linkage;

/* What `stats` and `stats settings` say. */
typedef struct pawl__memcached_facts {
    char version[32];
    int64_t time_s, uptime_s;
    uint64_t evictions, flushes, bytes, limit_bytes;
    bool evicts; /* the server may evict items when it is full */
    bool is_memcached;
} pawl__memcached_facts;

struct pawl_store {
    pawl_host *host;
    pawl_host nobody; /* used instead of the host while the store is closed */
    pawl__memcached_config config;
    pawl_caps caps;
    pawl__memcached_linkage link;
    /* The timers stay in the loop's heap from open to close, so setting one needs no memory. */
    struct event turn, connected, readable, writable, link_timer, watch_timer;
    pawl__memcached_attempt *attempt;
    int fd; /* -1: none */
    pawl__memcached_reader reader;
    char *out; /* bytes to be written */
    size_t out_used, out_room, out_sent;
    pawl__link under_way; /* pawl__memcached_pending, in order of sending */
    pawl__link ops;
    pawl__answers answers;
    pawl__refusals refusals;
    pawl__memcached_facts facts;
    pawl__memcached_pending knock, login, stats, settings, clock, plant;
    bool guarded;               /* as the host was told */
    int64_t clock_us, clock_at; /* the server's clock, and an instant not after that reading */
    pawl__table watches;
    pawl__link watch_list;
    void *visit;      /* of the doctor, one at a time */
    int64_t visit_by; /* when it must be answered; PAWL__NEVER: there is none */
    pawl_store *kept; /* in a forked child: the next of those that are kept */
};

/* ---- memcached_wire.c ---------------------------------------------------------------------- */

/* Takes over a socket. False: the loop has no memory for it. */
PAWL_MUST_USE bool pawl__memcached_wire_begin(pawl_store *store, int fd);
void pawl__memcached_wire_end(pawl_store *store);
/* In a forked child: sends nothing on the socket, which belongs to the parent. */
void pawl__memcached_wire_forget(pawl_store *store);
/* Writes and reads for a moment, until every release is answered; called last before close. */
void pawl__memcached_wire_drain(pawl_store *store);
/*
 * Appends a command whose answer `pending` awaits; value may be NULL. False: no memory, and
 * nothing was appended.
 */
PAWL_MUST_USE bool pawl__memcached_send(pawl_store *store, pawl__memcached_pending *pending,
                                        const char *command, const char *value, size_t len);
/* The same; without memory the link breaks, and so all that is under way is answered. */
void pawl__memcached_send_or_break(pawl_store *store, pawl__memcached_pending *pending,
                                   const char *command, const char *value, size_t len);
void pawl__memcached_flush(pawl_store *store);
/* Only notes that the link is broken; the next turn closes it. The first cause is kept. */
void pawl__memcached_break(pawl_store *store, pawl_err err, const char *what);
void pawl__memcached_turn_soon(pawl_store *store);

/* ---- memcached_facts.c --------------------------------------------------------------------- */

/* One line of `stats` or `stats settings`. */
void pawl__memcached_note_fact(pawl__memcached_facts *facts, const char *text);
bool pawl__memcached_is_up(const pawl_store *store);
bool pawl__memcached_wants_login(const pawl__memcached_answer *answer);
/* The server did not accept a command: breaks the link, with the server's words. */
void pawl__memcached_not_understood(pawl_store *store, const pawl__memcached_answer *answer);

/* ---- memcached_link.c ---------------------------------------------------------------------- */

/* The first attempt begins when the loop runs. False when out of memory. */
PAWL_MUST_USE bool pawl__memcached_link_init(pawl_store *store, uint64_t seed);
void pawl__memcached_link_done(pawl_store *store);

/* ---- memcached_request.c ------------------------------------------------------------------- */

PAWL_MUST_USE bool pawl__memcached_requests_init(pawl_store *store);
void pawl__memcached_requests_done(pawl_store *store);
/* begin does the first step when no earlier request for the name is under way. False when out of
 * memory. */
PAWL_MUST_USE bool pawl__memcached_ask(pawl_store *store, const pawl_request *request,
                                       pawl__memcached_begin *begin);
/* Answers a request, with an error, at the next turn. message: static, or NULL. */
void pawl__memcached_refuse(pawl_store *store, uint64_t id, pawl_err err, const char *message);
void pawl__memcached_give_refusals(pawl_store *store);
/* The link is gone: answers all that is under way. */
void pawl__memcached_abandon(pawl_store *store);
/* Answers; frees the op, and begins the next one for its name. */
void pawl__memcached_answer_op(pawl_store *store, pawl__memcached_op *op, const pawl_reply *reply);
void pawl__memcached_fail_op(pawl_store *store, pawl__memcached_op *op, pawl_outcome outcome,
                             pawl_err err, const char *message);

/* ---- memcached_steps.c --------------------------------------------------------------------- */

/* The first look, or another one. */
void pawl__memcached_look(pawl_store *store, pawl__memcached_op *op);

/* ---- memcached_guard.c, memcached_clock.c -------------------------------------------------- */

/* The key of the guard. */
void pawl__memcached_guard_key(const pawl_store *store, pawl__memcached_key *ret_key);
/* Takes what the look at the guard has shown. Returns for how many ms nothing new is granted; 0:
 * grant. */
int64_t pawl__memcached_guard_left_ms(pawl_store *store, const pawl__memcached_answer *answer);

/* The server's clock now, in µs: never ahead of it, and little more than 1 s behind it. */
int64_t pawl__memcached_server_us(const pawl_store *store);
void pawl__memcached_clock_set(pawl_store *store, int64_t time_s);
/* Asks for the clock again if the last reading is old. */
void pawl__memcached_clock_refresh(pawl_store *store);
/* This machine's wall clock in µs since 1970, to show how far the server's differs. */
int64_t pawl__memcached_wall_us(void);

/* ---- memcached_watch.c --------------------------------------------------------------------- */

PAWL_MUST_USE bool pawl__memcached_watches_init(pawl_store *store);
void pawl__memcached_watches_done(pawl_store *store);
/* The token of the request waits for the name, from now until its place ends. False when out of
 * memory. */
PAWL_MUST_USE bool pawl__memcached_watch(pawl_store *store, const pawl__memcached_op *op,
                                         bool guarded);
/* The token no longer waits; returns whether it did. */
bool pawl__memcached_unwatch(pawl_store *store, const char *name, size_t name_len,
                             const char *token);
/* The link is gone: questions under way get no answer. */
void pawl__memcached_watches_lost(pawl_store *store);
/* The link is up again. */
void pawl__memcached_watches_up(pawl_store *store);

/* ---- memcached_doctor.c -------------------------------------------------------------------- */

/* False when out of memory, or another doctor is at work. */
PAWL_MUST_USE bool pawl__memcached_doctor(pawl_store *store, const pawl_request *request);
/* The link is gone: answers the doctor's request. */
void pawl__memcached_doctor_lost(pawl_store *store);
void pawl__memcached_doctor_done(pawl_store *store);

#endif
