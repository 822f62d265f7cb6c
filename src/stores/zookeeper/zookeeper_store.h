/* SPDX-License-Identifier: MIT */
/*
 * The ZooKeeper store: exclusive and shared locks and permits in a queue, and values, by
 * libzookeeper's single-threaded client.
 *
 * THE NODES are those of Curator's InterProcessMutex, or of its InterProcessReadWriteLock
 * (zookeeper_name.h), so that its clients and pawl's exclude each other on one path. Each token
 * that holds a lock or waits for it has one sequential node. In the order of their numbers each
 * holds, as long as it fits beside those before it: the first one, and if it is shared all up to
 * the first that is exclusive. So a release, an expiry and a break hand the lock on by deleting a
 * node, and nothing else has to be done in that step.
 *
 * THE FENCE is the zxid by which the node was created. ZooKeeper gives each change a larger one, in
 * one order for all its servers, and nodes are granted in the order of their creation. The number
 * in a node's name would not do: it begins anew when the parent does.
 *
 * TIME. Two things end a node:
 *
 *   - The session of the client that made it, when the servers have not heard of it for the
 *     session's time-out S: nodes are ephemeral. S cannot be changed while the session lives.
 *   - Its lease, by the ttl of its latest write (rule 5). Whoever asks about the name deletes a
 *     first node, or the one that it waits for, whose time is over, if it still has the version
 * that was seen: so it cannot delete what was renewed meanwhile. "Over" is decided by the clock of
 *     the leader: it writes the mtime of each change. What it shows now is known from the answer to
 *     a write of our own, at most CLOCK_MS ago, plus the time that has passed here since that
 *     answer came: that is never ahead of it. If another leader rules since the node was written,
 *     two wall clocks are compared. Then it is over if the ttl has passed since we know that
 * leader, or if the clocks would have to be more than SKEW_MS apart. What was written under a
 * leader whom we do not know yet is not over. A client deletes its own nodes
 * by its own clock when their time is over.
 *
 * An ephemeral node ends S after its session was heard last, even if its lease is longer. The
 * leader may have heard of a session half a tick before we wrote, and S is at least two ticks by
 * default. So a lease of more than 3/4 S gets a node that belongs to no session, as a detached one
 * does. It ends by its ttl alone. Curator's clients do not know of that: after the death of its
 * holder they wait until a client of pawl asks.
 *
 * RENEWAL is a write of the own node, whose path has the whole token in it: it fails if the node is
 * gone. A ping proves less, as it may be answered by a follower that has lost its leader. A client
 * that is not of the session of an ephemeral node can release it, not renew it: it cannot keep it
 * alive, and says so (rule 3).
 *
 * WHAT A VERB DOES, each line one round trip:
 *
 *     acquire, would wait   create our node, list the children;  ours fits: granted
 *                           else write ours as a place, read the first, watch what we wait for:
 *                           if that is gone already the watch says so, and a list grants
 *     acquire at once       list;  if it fits beside all: create, list
 *     renew                 write our node, list
 *     release               delete our node, and what is asked next with another token
 *     break                 list;  read those that hold;  delete the one of that fence
 *     publish               read the value, list;  write it if it is as read and our node is there
 *     read                  sync, read the value
 *     inspect, list         sync, list;  read the nodes
 *
 * A list that was asked behind a write of ours shows at least what was true then, whichever server
 * answers: what is not before our node in it is gone for good. Hence no other read is needed for a
 * grant.
 *
 * PERMITS. A node's name says how many it wants of how many. In the order of their numbers all have
 * them that fit, and the first that does not fit stops all others. Which ones it has (its slots) a
 * node cannot see from names, because those before it may have gone meanwhile, with slots that
 * others remember to be taken. So each writes its slots into its node, the lowest that nobody
 * before it has, and has them then; nobody does so before all those before it have. What is written
 * stays. So a grant of permits takes two more round trips than one of a lock, if somebody is before
 * it: read those before, write ours. InterProcessSemaphoreV2 has no queue and no slots, and counts
 * all nodes of one folder: it and pawl cannot share a semaphore.
 *
 * WHEN AN ANSWER WAS LOST the token in the name finds the node again: the same token creates
 * another one, and its list shows both; the older is kept. A release without a known node asks for
 * a sync first, so that its list shows what the lost request did.
 *
 * WAITING. Who waits watches what must go away first, and nothing else: for a shared lock the
 * nearest exclusive node before ours, else the one before ours. So a release wakes who comes next,
 * however many wait. Of permits any holder may make room: who waits first watches all nodes of the
 * name, the others watch what is in the node before theirs, because it may begin to hold as well as
 * end. Else the watch is that of the children of that node, which has none: it is told of
 * the end of the node and not of its renewals. A holder looks at the names of the nodes after 100
 * ms, and at each change from then on, at most once a second if somebody waits or it is shared: for
 * PAWL_PUSH_YIELD, and for its own end, PAWL_PUSH_RECHECK.
 *
 * THE SESSION. libzookeeper reconnects by itself, to the next server. Meanwhile the link is down,
 * nodes and watches stay. When the servers have ended the session, its nodes are gone: a new one is
 * made, and each name is said to be asked about again. The local deadline is always earlier.
 *
 * LIBZOOKEEPER, as it must be handled (3.8): it resolves names while it connects, so it is given
 * addresses in digits, found on a thread. It seeds the program's random() unless told not to mix
 * the servers; they are mixed here. It writes to stderr unless it gets a function for its lines. It
 * keeps counters in statics without locks: an identifier of a request and the buffer of a line for
 * the log, which are of no consequence if two threads write them at once. It asserts that memory is
 * there. It cannot give up a connection: the socket is shut down, and it finds out. Callbacks
 * cannot be taken back: a call outlives who asked (zookeeper_call.c), and watches have the handle
 * as their context.
 *
 * FLOORS. A file calls only files of lower floors. A test refuses circles of calls.
 *
 *   7  zookeeper_store.c   the contract's operations
 *   6  zookeeper_link.c    the session, its loss and its successor
 *      zookeeper_steps.c   ACQUIRE, RENEW, RELEASE;  zookeeper_break.c  BREAK
 *      zookeeper_permit.c  which permits a node has
 *      zookeeper_report.c  INSPECT, LIST;  zookeeper_doctor.c  DOCTOR
 *      zookeeper_value.c   PUBLISH, READ
 *   5  zookeeper_ask.c     what steps share: their questions, the answers, what the host is told
 *      zookeeper_sweep.c   values that are over
 *   4  zookeeper_place.c   the nodes that are ours: their ends, whom they wait for
 *      zookeeper_request.c requests, one after the other for each name
 *      zookeeper_news.c    who hears of values;  zookeeper_written.c  what lies in their nodes
 *   3  zookeeper_call.c    questions to the server, the leader's clock
 *      zookeeper_view.c    what a list of nodes says: who holds, who waits for whom
 *   2  zookeeper_handle.c  libzookeeper in the loop
 *   1  zookeeper_name.c    names and contents of nodes;  zookeeper_url.c  the URL
 *      zookeeper_clock.c   ages, for people;  zookeeper_resolve.c  addresses
 */
#ifndef PAWL_ZOOKEEPER_STORE_H
#define PAWL_ZOOKEEPER_STORE_H

#include "../../base/heap.h"
#include "../../base/instant.h"
#include "../../base/list.h"
#include "../../base/retry.h"
#include "../../base/table.h"
#include "../common/answers.h"
#include "../common/refusals.h"
#include "../common/timer.h"
#include "zookeeper_resolve.h"
#include "zookeeper_url.h"

#include <event2/event.h>
#include <event2/event_struct.h>
#include <zookeeper/zookeeper.h>

/* ---- Bounds -------------------------------------------------------------------------------- */

#define PAWL__ZK_ROUNDS_MAX 40   /* of one request */
#define PAWL__ZK_LINGER_MS  500  /* how much later than it should a lease may end */
#define PAWL__ZK_CLOCK_MS   5000 /* for so long the leader's clock is known without a look */
#define PAWL__ZK_SKEW_MS    60000
#define PAWL__ZK_GUESSES    64   /* of who will have to wait */
#define PAWL__ZK_NEWS_MAX   1000 /* names of whose values one client hears */

/* ---- libzookeeper in the loop --------------------------------------------------------------- */

typedef struct pawl__zk_handle pawl__zk_handle;
struct pawl__zk_handle {
    zhandle_t *zh; /* NULL: none */
    struct event_base *base;
    int fd;
    int64_t pause_ns; /* before all servers are tried again */
    struct event socket, timer;
    /* The state may have changed; `rc` is what the library has said. From the loop alone. */
    void (*changed)(pawl__zk_handle *handle, int rc);
    /* That node or its children have changed, or it is gone. NULL: nobody watches. */
    void (*heard)(pawl__zk_handle *handle, const char *path);
};

/* ---- Calls --------------------------------------------------------------------------------- */

typedef enum pawl__zk_kind {
    PAWL__ZK_CREATE = 0,
    PAWL__ZK_SET,
    PAWL__ZK_DELETE,
    PAWL__ZK_GET,
    PAWL__ZK_CHILDREN,
    PAWL__ZK_WATCH,      /* of the children; they are told as well */
    PAWL__ZK_WATCH_DATA, /* of what is in the node; it is told as well */
    PAWL__ZK_WATCH_NODE, /* of its creation, its change and its end; its stat is told */
    PAWL__ZK_SYNC,
    PAWL__ZK_SET_IF /* SET, if another node is there */
} pawl__zk_kind;

typedef struct pawl__zk_call pawl__zk_call;
typedef struct pawl__zk_answer {
    int rc; /* never that the connection or the session is lost: then nothing is answered */
    const char *path;        /* CREATE */
    const struct Stat *stat; /* CREATE, SET, GET, WATCH_NODE; of ZOK alone */
    const char *data;        /* GET */
    size_t data_len;
    const struct String_vector *names; /* CHILDREN, WATCH */
} pawl__zk_answer;

/* Who asks: the calls of one owner end together, and nobody hears of their answers then. */
typedef struct pawl__zk_asker {
    pawl__link calls;
    size_t count;
} pawl__zk_asker;

struct pawl__zk_call {
    pawl__link in_asker;
    pawl_store *store;
    pawl__zk_asker *asker; /* NULL: nobody waits for it any more */
    pawl__zk_kind kind;
    int what; /* the asker's */
    void (*answered)(pawl__zk_call *call, const pawl__zk_answer *answer);
    zoo_op_result_t results[2]; /* SET_IF: the library's */
};

typedef struct pawl__zk_question {
    pawl__zk_kind kind;
    const char *path;
    const char *data; /* CREATE, SET, SET_IF */
    size_t data_len;
    int mode;             /* CREATE: the node's */
    int version;          /* SET, SET_IF, DELETE; -1: any */
    const char *provided; /* SET_IF: the other node */
} pawl__zk_question;

/* ---- Requests ------------------------------------------------------------------------------ */

typedef struct pawl__zk_op pawl__zk_op;
typedef void pawl__zk_step(pawl_store *store, pawl__zk_op *op);

typedef struct pawl__zk_view {
    size_t count;     /* nodes of the name */
    size_t holders;   /* of these */
    int64_t position; /* of ours among those that wait */
    bool has_writer;
    int32_t writer; /* the number of the first that is exclusive */
    bool has_own, has_first, has_before;
    pawl__zk_node own, first;
    bool has_cut;
    int32_t cut;          /* of permits: the number of the first that do not fit */
    uint32_t units;       /* of those that fit */
    bool is_next;         /* ours are permits, and only who holds is before it */
    pawl__zk_node before; /* the nearest one before ours (behind all, if we have none) beside which
                             it does not fit */
    char twin[PAWL__ZK_CHILD_MAX + 1]; /* a younger node of our token; "": none */
} pawl__zk_view;

struct pawl__zk_op {
    pawl__link in_ops; /* in order of submit */
    pawl__zk_asker asker;
    pawl__zk_step *begin, *then; /* then: when all that was asked is answered */
    uint64_t id;
    pawl_verb verb;
    unsigned flags;
    int64_t ttl_ms, answer_by;
    uint64_t fence;            /* BREAK: the fence that the caller saw */
    uint32_t hash;             /* of the name */
    bool started;              /* false: it waits for an earlier request for the same name */
    bool is_leaving;           /* only the deletion of our node is under way: see let_next */
    bool wrote;                /* something of it may have been done */
    bool was_lease, was_place; /* as what our node was written latest by this request */
    bool parentless;           /* the node of the name does not exist */
    bool own_gone, gone;       /* our node; another one that was to be read or deleted */
    int rc;                    /* the first trouble in what was answered */
    bool is_news;              /* it was written or created, and that is not noted yet */
    pawl__zk_node written;     /* how our node is since it was written */
    pawl__zk_node created;     /* the node that this request has created; no child: none */
    unsigned rounds;
    int64_t since_us;
    pawl__zk_want want;
    pawl__zk_view view;
    pawl__zk_node *held; /* BREAK, and of permits: who holds, before ours */
    size_t held_count;
    pawl__zk_step *written_them, *again, *waits; /* see pawl__zk_seek_permits */
    pawl_err trouble;
    bool is_turn; /* the store's own: our place may hold now */
    char token[PAWL_TOKEN_LEN + 1];
    char owner[PAWL_OWNER_MAX + 1];
    void *report; /* of INSPECT and LIST; of PUBLISH and READ what lies there */
    void (*end_report)(pawl_store *store, pawl__zk_op *op);
    char *value; /* PUBLISH, see pawl_request */
    size_t value_len;
    int64_t keep_ms;
    uint64_t publication;
    size_t name_len;
    char name[PAWL_NAME_MAX + 1];
    char parent[PAWL__ZK_PATH_MAX + 1];
};

/* ---- The nodes that are ours ---------------------------------------------------------------- */

typedef struct pawl__zk_place {
    pawl__entry entry; /* by token */
    pawl__link in_places;
    pawl__timer end, look_again;
    pawl__zk_asker asker;
    pawl__zk_want want;
    bool has_slots; /* they are written, or may be: so they stay */
    pawl__zk_slots slots;
    bool awaits_any;   /* WAITS: it watches all nodes */
    bool takes_turn;   /* a request of the store's own is under way */
    bool holds;        /* else it waits */
    bool in_session;   /* it is ephemeral */
    bool told;         /* HOLDS: that somebody waits */
    bool is_written;   /* a write of it is under way */
    bool looks, stale; /* a look is under way; something has come since it was asked */
    bool is_asked;     /* WAITS: a request for it is under way, which decides; */
    bool missed;       /* and a look would have been due meanwhile */
    uint64_t fence;
    int32_t version;
    int64_t since_us, life_ns;
    int64_t changed, changed_ms; /* by its latest write: zxid, and the leader's clock */
    char child[PAWL__ZK_CHILD_MAX + 1], before[PAWL__ZK_CHILD_MAX + 1];
    char owner[PAWL_OWNER_MAX + 1];
    char token[PAWL_TOKEN_LEN + 1];
    size_t name_len;
    char name[PAWL_NAME_MAX + 1];
    char parent[PAWL__ZK_PATH_MAX + 1];
} pawl__zk_place;

/* ---- The store ----------------------------------------------------------------------------- */

typedef enum pawl__zk_phase {
    PAWL__ZK_WAITING = 0, /* there is no handle */
    PAWL__ZK_RESOLVING,
    PAWL__ZK_CONNECTING,
    PAWL__ZK_GREETING,
    PAWL__ZK_UP
} pawl__zk_phase;

typedef struct pawl__zk_linkage {
    pawl__zk_phase phase;
    pawl__retry retry;
    int64_t up_since;
    uint64_t random;
    pawl__zk_asker asker;
    pawl__zk_lookup *lookup;
    char addresses[PAWL__ZK_ADDRESSES_MAX]; /* of the handle's servers */
    size_t unreached;                       /* of them, one after the other */
    int64_t down_since;
    bool broken;
    pawl_err err;
    char message[PAWL_MESSAGE_MAX];
} pawl__zk_linkage;

/* What the leader's clock has shown. */
typedef struct pawl__zk_leader {
    bool is_known;
    int64_t ms, at;       /* at that instant of ours it was at least ms */
    int64_t epoch, since; /* who it is, and since when we know */
    bool is_past;         /* a node shows that another one came after it */
} pawl__zk_leader;

struct pawl_store {
    pawl_host *host;
    pawl_host nobody; /* used instead of the host while the store is closed */
    pawl__zk_config config;
    pawl_caps caps;
    pawl__zk_handle handle;
    pawl__zk_linkage link;
    pawl__zk_leader leader;
    int session_ms;      /* what the server granted */
    bool has_clock_node; /* of this session */
    bool is_closed;
    bool is_taking; /* a request, from the host */
    struct event turn, link_timer, place_timer;
    pawl__link ops;
    pawl__answers answers;
    pawl__refusals refusals;
    pawl__table places;
    pawl__link place_list;
    pawl__heap place_times;
    /* A place of permits may hold now: a request of the store's own takes them. */
    void (*take_turn)(pawl_store *store, pawl__zk_place *place);
    bool expects_wait[PAWL__ZK_GUESSES]; /* by the hash of the name */
    pawl__link lost; /* places that ended with their session: told when the link is up */
    pawl__zk_asker errands;
    pawl__link news;
    size_t news_count;
    void *sweep; /* of values that are over, one at a time */
    int64_t sweep_at;
    void *visit; /* of the doctor, one at a time */
    int64_t visit_by;
    pawl_store *kept; /* in a forked child: the next of those that are kept */
};

/* ---- zookeeper_clock.c ---------------------------------------------------------------------- */

/* This machine's wall clock, µs since 1970. No decision hangs on it. */
int64_t pawl__zk_wall_us(void);

/* ---- zookeeper_handle.c --------------------------------------------------------------------- */

PAWL_MUST_USE bool pawl__zk_handle_init(pawl__zk_handle *handle, struct event_base *base);
/* A new session, at `servers` ("1.2.3.4:2181,..."). False: no memory. */
PAWL_MUST_USE bool pawl__zk_handle_open(pawl__zk_handle *handle, const char *servers,
                                        int session_ms, const char *login);
/* Looks what the library wants; from the loop alone. */
void pawl__zk_handle_go_on(pawl__zk_handle *handle);
bool pawl__zk_is_connected(const pawl__zk_handle *handle);
/* The servers have ended the session, or refused the login: another one is needed. */
bool pawl__zk_is_over(const pawl__zk_handle *handle);
bool pawl__zk_login_refused(const pawl__zk_handle *handle);
/* The connection is given up. What was under way is not answered; the session stays. */
void pawl__zk_handle_cut(pawl__zk_handle *handle);
/* Ends the session if the connection stands, and waits for it for a moment. */
void pawl__zk_handle_close(pawl__zk_handle *handle);
void pawl__zk_handle_done(pawl__zk_handle *handle);
/* Waits for a moment until something has come, for close. */
void pawl__zk_handle_wait(pawl__zk_handle *handle, int timeout_ms);
/* In a forked child: closes what is this process's, and says nothing on it. */
void pawl__zk_handle_forget(pawl__zk_handle *handle);
void pawl__zk_watched(zhandle_t *zh, int type, int state, const char *path, void *ctx);

/* ---- zookeeper_call.c ----------------------------------------------------------------------- */

void pawl__zk_turn_soon(pawl_store *store);
/* Only notes that the link is broken; the next turn closes it. The first cause is kept. */
void pawl__zk_break(pawl_store *store, pawl_err err, const char *what);
bool pawl__zk_is_up(const pawl_store *store);
void pawl__zk_asker_init(pawl__zk_asker *asker);
/* Asks; if that cannot be, the link breaks. */
void pawl__zk_ask(pawl_store *store, pawl__zk_asker *asker, const pawl__zk_question *question,
                  int what, void (*answered)(pawl__zk_call *call, const pawl__zk_answer *answer));
/* Nothing that it has asked is answered any more. */
void pawl__zk_asker_end(pawl__zk_asker *asker);
/* A deletion whose answer nobody waits for. */
void pawl__zk_delete(pawl_store *store, const char *parent, const char *child, int32_t version);
/* Looks at the leader's clock, unless it is known well enough. */
void pawl__zk_look_at_clock(pawl_store *store, pawl__zk_asker *asker, int what,
                            void (*answered)(pawl__zk_call *call, const pawl__zk_answer *answer));
/* What it shows now, at least; before the first look, what ours shows. */
int64_t pawl__zk_time_ms(const pawl_store *store);
/* What is left of a node's lease or place; 0: it is over. -1: it is not pawl's. */
int64_t pawl__zk_left_ms(const pawl_store *store, const pawl__zk_node *node);
/* It has been over for so long that reports do not show it, whether it is still there or not. */
bool pawl__zk_is_gone(const pawl_store *store, const pawl__zk_node *node);
void pawl__zk_read_stat(pawl__zk_node *node, const struct Stat *stat);
/* What an error of the server means. */
pawl_err pawl__zk_err_of(int rc);

/* ---- zookeeper_request.c -------------------------------------------------------------------- */

PAWL_MUST_USE bool pawl__zk_requests_init(pawl_store *store);
void pawl__zk_requests_done(pawl_store *store);
/* A request of one name; `begin` is called when the earlier ones are answered. False: no memory. */
PAWL_MUST_USE bool pawl__zk_take_request(pawl_store *store, const pawl_request *request,
                                         pawl__zk_step *begin);
/* One of the store's own, for a place that may hold now; its owner and life are the place's. */
PAWL_MUST_USE bool pawl__zk_take_turn(pawl_store *store, const pawl_request *request,
                                      pawl__zk_step *begin);
/* All that the request has still to do is under way and concerns its own token alone: the next one
 * for the name, of another token, need not wait for the answer. */
void pawl__zk_let_next(pawl_store *store, pawl__zk_op *op);
void pawl__zk_answer_op(pawl_store *store, pawl__zk_op *op, const pawl_reply *reply);
/* A step that `begin` is gives a message that stays. */
void pawl__zk_fail_op(pawl_store *store, pawl__zk_op *op, pawl_outcome outcome, pawl_err err,
                      const char *message);
void pawl__zk_refuse(pawl_store *store, uint64_t id, pawl_err err, const char *message);
void pawl__zk_give_refusals(pawl_store *store);
/* The link is gone: answers everything. */
void pawl__zk_abandon(pawl_store *store);

/* ---- zookeeper_view.c ----------------------------------------------------------------------- */

/* In ascending order; how many. */
size_t pawl__zk_slots_list(const pawl__zk_slots *slots, uint16_t ret_list[PAWL_CAPACITY_MAX]);
/* Reads the names of nodes; `token`: ours, or "", and what it wants if it has no node yet. */
PAWL_MUST_USE pawl_err pawl__zk_view_read(const struct String_vector *names, const char *token,
                                          const pawl__zk_want *want, pawl__zk_view *ret_view);
/* Whether a node of the name holds. In the order of their numbers each does, as long as it fits
 * beside those before it. */
bool pawl__zk_is_holder(const pawl__zk_view *view, const pawl__zk_node *node);
/* The nodes that hold, before ours if we have one, into op->held. False: no memory. */
PAWL_MUST_USE bool pawl__zk_holders_read(const struct String_vector *names, pawl__zk_op *op);

/* ---- zookeeper_place.c ---------------------------------------------------------------------- */

PAWL_MUST_USE bool pawl__zk_places_init(pawl_store *store);
void pawl__zk_places_done(pawl_store *store);
pawl__zk_place *pawl__zk_place_find(const pawl_store *store, const char *token);
/* The same, unless its time is over by our clock: then it is ended. */
pawl__zk_place *pawl__zk_place_find_live(pawl_store *store, const char *token);
/* Our node, as it was created or found; NULL: no memory. */
pawl__zk_place *pawl__zk_place_note(pawl_store *store, const pawl__zk_op *op,
                                    const pawl__zk_node *node);
/* It was written, for so long. */
void pawl__zk_place_written(pawl_store *store, pawl__zk_place *place, const pawl__zk_node *node,
                            int64_t life_ms);
/* Its time was over when it was written like that: others may have been told so. */
bool pawl__zk_place_was_over(const pawl__zk_place *place, const pawl__zk_node *node);
void pawl__zk_place_drop(pawl_store *store, pawl__zk_place *place);
/* It waits for view->before; it holds. */
void pawl__zk_place_waits(pawl_store *store, pawl__zk_place *place, const pawl__zk_view *view);
void pawl__zk_place_holds(pawl_store *store, pawl__zk_place *place, bool waiting);
/* The request for it is answered: what came meanwhile is looked at. */
void pawl__zk_place_answered(pawl_store *store, pawl__zk_place *place);
/* The same as pawl__zk_place_holds, and the host is told. */
void pawl__zk_place_granted(pawl_store *store, pawl__zk_place *place, bool waiting);
bool pawl__zk_waits_for(const pawl_store *store, const char *parent);
/* A watch says that something has become of that node. */
void pawl__zk_places_heard(pawl_store *store, const char *path);
void pawl__zk_places_down(pawl_store *store);
void pawl__zk_places_up(pawl_store *store);
/* The session is over, and all nodes that belonged to it. */
void pawl__zk_places_lost(pawl_store *store);
/* Before close: all that would end with the session ends, and those who wait give up their places.
 * The session's own end may be lost on its way. */
void pawl__zk_places_leave(pawl_store *store);

/* ---- zookeeper_news.c ----------------------------------------------------------------------- */

void pawl__zk_news_init(pawl_store *store);
void pawl__zk_news_done(pawl_store *store);
/* The client hears of each value that is published beside the name for so long. */
PAWL_MUST_USE pawl_err pawl__zk_news_watch(pawl_store *store, const pawl__zk_op *op);
void pawl__zk_news_heard(pawl_store *store, const char *path);
void pawl__zk_news_down(pawl_store *store);
void pawl__zk_news_up(pawl_store *store);

/* ---- zookeeper_steps.c, zookeeper_report.c, zookeeper_doctor.c, zookeeper_link.c ------------- */

/* Looks at some values, unless it did so lately. */
void pawl__zk_sweep(pawl_store *store);
void pawl__zk_sweep_end(pawl_store *store);
void pawl__zk_begin_turn(pawl_store *store, pawl__zk_place *place);
pawl__zk_step pawl__zk_begin_acquire, pawl__zk_begin_renew, pawl__zk_begin_release,
    pawl__zk_begin_break, pawl__zk_begin_report, pawl__zk_begin_publish, pawl__zk_begin_read;
PAWL_MUST_USE bool pawl__zk_doctor(pawl_store *store, const pawl_request *request);
void pawl__zk_doctor_lost(pawl_store *store);
void pawl__zk_doctor_done(pawl_store *store);
PAWL_MUST_USE bool pawl__zk_link_init(pawl_store *store, uint64_t seed);
void pawl__zk_link_done(pawl_store *store);

#endif
