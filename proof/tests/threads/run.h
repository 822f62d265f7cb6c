/* SPDX-License-Identifier: MIT */
/* Programs of calls, generated from a seed, and what their runs are judged by. */
#ifndef PAWL_TESTS_THREADS_RUN_H
#define PAWL_TESTS_THREADS_RUN_H

#include "harness.h"
#include "laws.h"
#include "pawl/metrics.h"
#include "pawl/pawl.h"
#include "pawl/trace.h"

#define CLIENTS_MAX      2
#define HANDLES_MAX      4
#define USERS_MAX        4
#define OPS_MAX          8
#define PERMITS          3
#define RECORDS_MAX      96
#define RETAIN_MAX_MS    200
#define STORE_TIMEOUT_MS 200

/* ---- A program ---------------------------------------------------------------------- */

/* clang-format takes the list for one expression. */
/* clang-format off */
#define OP_LIST(X)                                                                                 \
    X(NOTHING) X(ACQUIRE) X(START) X(CANCEL) X(RELEASE) X(RELEASE_WAIT) X(RELEASE_START)           \
    X(DETACH) X(FREE) X(HELD) X(TOKEN) X(HOLD) X(CAPS) X(INSPECT) X(LIST) X(DOCTOR) X(BREAK)       \
    X(TOKEN_CHECK) X(TOKEN_RENEW) X(TOKEN_RELEASE) X(MESSAGE) X(DISPATCH) X(WAIT) X(CLOSE)         \
    X(CLOSE_LAST) X(WITH_LOCK) X(SIGNAL) X(CANCEL_THREAD) X(FORK) X(BARE_FORK) X(EXIT)              \
    X(UPGRADE) X(UPGRADE_START) X(DOWNGRADE) X(ONCE) X(LEAD) X(OBSERVE) X(LATCH) X(BARRIER) X(GATHER) \
    X(LOOK) X(RELEASE_LOOK)                                                                           \
    X(ONCE_START) X(LEAD_START) X(LATCH_START) X(BARRIER_START) X(GATHER_START)
/* clang-format on */

typedef enum op_kind {
#define OP_ENUM(name) OP_##name,
    OP_LIST(OP_ENUM)
#undef OP_ENUM
        OP_COUNT
} op_kind;

typedef struct op {
    uint8_t kind, target; /* a handle, a client or a user */
    uint8_t then;         /* ..._START: what the callback does (an op_kind) */
    int16_t ms;           /* a wait; -1: for ever */
} op;

/* How the store between the library and the memory store behaves; per 1024. */
typedef struct store_habits {
    int late, lost, late_max_ms; /* answers */
    int push_lost, push_late;
    int link_down; /* at a request */
    int yield;     /* an unfounded push at a request */
    int guarded;   /* and word of a restart guard */
    /* What no store may do. */
    int never, twice, wrong_id;
} store_habits;

typedef struct program {
    int clients, handles, users;
    struct {
        pawl_callbacks callbacks;
        bool spied; /* through the store of ours; else memory: */
        bool log;
        bool traced; /* and counted */
    } client[CLIENTS_MAX];
    struct {
        uint8_t client, name, mode, units; /* of permits: of PERMITS */
        int16_t ttl_ms, retain_ms;
        bool events, reentrant;
        bool several;     /* it has both names */
        uint8_t on_event; /* what the callback does (an op_kind) */
    } handle[HANDLES_MAX];
    struct {
        int count;
        op ops[OPS_MAX];
    } user[USERS_MAX];
    store_habits habits;
    int stall_ms;         /* how long a signal's handler stands still */
    bool stalls_anywhere; /* also in the middle of a turn */
    bool watched;         /* exclusion is looked at all the time */
    bool one_cpu;
    bool probed; /* at the end all is given back, and somebody else acquires each name */
    int close_timeout_ms;
} program;

/* ---- A run: what became of it
 * ---------------------------------------------------------------------- */

typedef struct record {
    bool started;
    int times, handle;
    uint8_t then, kind; /* of the call (an op_kind) */
    int64_t since, jumps, stalled;
    int wait_ms;
} record;

typedef struct handle_state {
    pawl_lock *lock;
    int users; /* calls that are under way */
    int calls; /* that have begun */
    bool freed;
    int begun, lost;    /* acquisitions; losses that were told */
    int found_lost;     /* releases that found a loss: each acquisition has one at most */
    int changes;        /* calls that may change whether it is held */
    int sure;           /* of changes: after that one it is held for certain */
    int lost_before;    /* of lost: those of before */
    int depth;          /* acquisitions that have ended well and were not given back */
    bool miscounted;    /* one was lost before its caller heard of it, and another may release it */
    int starting;       /* those whose end is to come by a callback */
    int64_t gone_since; /* not held any more, and nobody was told; 0: no */
    uint32_t ended_at;  /* the step at which it was given back for certain; 0: acquired since */
    int callback_on;    /* the thread that runs a callback of it, + 1 */
    int callback_count; /* of those that have begun */
    enum { LIFE_UNKNOWN = 0, LIFE_HELD, LIFE_ENDED } life; /* as seen between calls */
    char retained[PAWL_TOKEN_LEN + 1]; /* released and retained, and not acquired again */
} handle_state;

typedef struct client_state {
    pawl_client *client;
    bool closing, closed;
    int callbacks;                     /* that run */
    int told;                          /* events of its trace */
    int waits, holds;                  /* that the trace has told to begin, and not to end */
    bool guarded;                      /* the trace has told of a guard, and not of its end */
    bool gone;                         /* closed without a handle left: nobody may enter */
    bool inside[THREADS_MAX];          /* the thread is in a call on it */
    uint32_t dispatching[THREADS_MAX]; /* and since which step in one that runs callbacks */
} client_state;

/* A release that has returned: the store must hear of it soon. */
typedef struct owed {
    bool used;
    char token[PAWL_TOKEN_LEN + 1];
    int64_t since;
} owed;

/* A wait at a barrier, from its beginning to its end. */
typedef struct gathering {
    const char *name;
    int64_t since, end;
    int wait_ms, result;
} gathering;

/* In the order of their op_kinds. */
typedef enum started_kind {
    STARTED_ONCE = 0,
    STARTED_LEADER,
    STARTED_LATCH,
    STARTED_BARRIER,
    STARTED_GATHERING
} started_kind;

/* An asynchronous call of what is made of locks. */
typedef struct started_call {
    started_kind kind;
    uint8_t client;
    void *handle;
    bool frees_itself; /* its callback does */
    bool only_waits;   /* at a latch that it does not count down */
    bool is_started, is_over, is_freed;
    int times, err;
    int wait_ms;
    int64_t since, jumps, stalled, freed_at;
} started_call;

#define OWED_MAX   64
#define TOKENS_MAX 256

typedef struct run_state {
    const program *program;
    client_state clients[CLIENTS_MAX];
    handle_state handles[HANDLES_MAX];
    record records[RECORDS_MAX];
    int record_count;
    owed owed[OWED_MAX];
    const pawl_lock *once[USERS_MAX], *leaders[USERS_MAX]; /* that users hold now */
    struct {
        bool stopped;
        int callbacks;         /* that run */
        uint64_t over, latest; /* fences of leaders: that had resigned before; of the latest */
    } observer[THREADS_MAX];   /* that the thread has made */
    laws laws;
    started_call started[RECORDS_MAX];
    int started_count;
    gathering gatherings[RECORDS_MAX]; /* that are over */
    int gathering_count;
    uint64_t tokens[TOKENS_MAX]; /* the beginnings and ends of those that were drawn */
    int token_count;
    int user_ids[USERS_MAX];
    bool steady;     /* nothing happens by which a lock could be lost */
    bool timely;     /* nothing happens by which a call could be late */
    bool prompt;     /* the same of news from the store, but its answers may be late */
    bool gates_move; /* the same of who is in the gate of a barrier */
    bool has_client_without_thread;
    bool exclusive;
    bool exiting;
    int64_t stalled;
    int descriptor;        /* what the program waits for beside a client without a thread; -1 */
    pawl_metrics *metrics; /* of the clients that are traced */
    uint64_t calls, grants;
    uint64_t fences[2]; /* by name: the latest that was seen at a grant */
} run_state;

extern run_state *R;

static inline bool handle_has_name(const program *p, int handle, int name)
{
    return p->handle[handle].several || p->handle[handle].name == name;
}

/* generate.c */
void program_generate(uint64_t seed, program *ret);
/* What kind of program it will be. */
const char *program_flavour(uint64_t seed);
void program_print(const program *p);
const char *op_name(unsigned kind);

/* run.c: the body of a run; arg: the program. */
void run_start(void *room);
void run_watch(void);
void run_body(void *arg);

/* calls.c */
void run_op(const op *o);
void run_then(unsigned kind, int handle);
/* A condition for sched_wait that only the time ends. */
bool run_never(const void *arg);

/* calls_told.c */
void run_on_done(pawl_lock *lock, int err, void *userdata);
void run_on_event(pawl_lock *lock, const pawl_event *event, void *userdata);
void run_on_log(pawl_client *client, pawl_severity severity, const char *text, void *userdata);
void run_on_trace(pawl_client *client, const pawl_trace *event, void *userdata);
void run_on_signal(void);
/* Around each callback. */
void run_callback_begins(int client);
void run_callback_ends(int client);

/* calls_process.c */
int run_op_process(const op *o);

/* checks.c */
void check_exclusion(void);
/* A lock that is no handle of the program. */
void check_exclusion_beside(const pawl_lock *lock, int name);
void check_step(void);
/* A call was told that it is canceled: somebody has called something since it began. */
void check_meant(int handle, const handle_state *before);
/* A re-entrant handle that nobody is in: it is held if it was acquired more often than released. */
void check_depth(int handle);
/* What the trace of a client tells begins before it ends. */
void check_account(int client, const pawl_trace *event);
/* A callback of the handle runs on this thread. */
void handle_callback_begins(handle_state *h);
void handle_callback_ends(handle_state *h);
void check_idle(int64_t until);
/* An event of the handle is told on this thread. */
void check_event(int handle, pawl_event_kind kind);
/* Each loss that a release found is told as an event as well, soon. */
void check_losses_told(void);
/* Whether a thread stands still in a signal's handler. */
bool run_stands_still(void);
void check_nothing_left(void);
/* The client was closed: what its trace told to begin was told to end. */
void check_traced(int client);
void check_owed_none(const char *when);
void owe_release(int handle, const pawl_token *token);
void run_saw_release(const char *token);
/* The store was asked with it; and whether it was, for one that a handle shows. */
void run_saw_token(const char *token);
bool run_knows_token(const char *token);
/* The process ends, or all retentions have: what was in a cache was given back. */
void check_caches(const char *when);

/* calls_started.c: what was started has ended once. */
void check_started(void);

/* hostile.c */
extern const struct pawl_store_ops hostile_ops;

/* small.c, floors.c, toys.c */
/* only: the number of one program; 0: all of them. */
int explore_programs(int preemptions, int only);
int floors_run(int preemptions, int only);
int toys_run(bool verbose);

/* shrink.c, timeline.c */
int shrink(program *p, schedule *plan, const char *check);
void timeline_print(void);

#endif
