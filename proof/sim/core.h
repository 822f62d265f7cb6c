/* SPDX-License-Identifier: MIT */
/*
 * What every part of the simulator knows: the state of a run, its clocks and tokens, and how to
 * schedule, to fail and to note. It calls no other part. The parts above it are in sim.h; the
 * checks know nothing else of the simulator.
 *
 * Everything that happens, happens in one thread, in the order of queue.h; every draw
 * comes from a stream of rng.h. So the configuration decides the run.
 */
#ifndef PAWL_SIM_CORE_H
#define PAWL_SIM_CORE_H

#include "../../src/engine/engine.h"
#include "../../src/stores/redis/redis_link.h"
#include "checks/seen.h"
#include "clock.h"
#include "config.h"
#include "model_redis.h"
#include "queue.h"

#define SIM_US PAWL__NS_PER_US
#define SIM_MS PAWL__NS_PER_MS

#define SIM_SESSIONS_MAX   4096
#define SIM_ASKED_MAX      1024
#define SIM_CALLERS_ALL    (SIM_CLIENTS_MAX * SIM_CALLERS_MAX)
#define SIM_UNREACHABLE_MS 5000 /* a store that has not answered by then is out of reach */

typedef struct sim sim;
typedef struct sim_client sim_client;

/* ---- Network ---------------------------------------------------------------- */

typedef enum sim_word {
    SIM_WORD_COMMAND = 0, /* client -> server: argv */
    SIM_WORD_REPLY,       /* server -> client */
    SIM_WORD_HEARD,       /* the probe's word, as a push */
    SIM_WORD_PUSH         /* the same, of a hand-off; some faults lose it */
} sim_word;

typedef struct sim_message sim_message;
struct sim_message {
    sim_message *next; /* free, or waiting for the server */
    sim_word word;
    int conn; /* the client's number: each has one */
    uint32_t epoch;
    uint32_t session;
    int run;       /* of the server that it was said to */
    uint32_t rank; /* among those towards the client on this connection */
    int token;     /* number, or -1: for checkers and the timeline */
    pawl_verb verb;
    bool guarded;  /* the script's variant that grants nothing new */
    bool is_guard; /* guard.lua */
    bool together; /* a call for several names */
    size_t argc;
    pawl__redis_bytes argv[PAWL__REDIS_TOGETHER_ARGV_MAX];
    char room[1024]; /* what argv points to, but for scripts; a push's payload */
    size_t room_len;
    model_reply reply;
};

typedef enum sim_conn_state { SIM_CLOSED = 0, SIM_CONNECTING, SIM_OPEN } sim_conn_state;

typedef struct sim_conn {
    sim_conn_state state;
    uint32_t epoch;
    uint32_t session;
    int run;                    /* of the server at its other end */
    bool dead;                  /* silent for ever: only a new connection works */
    int64_t last_up, last_down; /* arrival of the latest message: order is kept */
    int64_t hold_up, hold_down; /* nothing arrives before that */
    int64_t slow_until, slow_by;
    int64_t stuffed_until; /* the client's end takes no bytes, */
    int stuffed_room;      /* but for those of so many commands */
    bool stuffed_half;     /* and half of one more */
    bool lossy;            /* pushes are lost while the fault lasts */
    int64_t resume_skew;
    uint32_t said_down, taken_down; /* messages of this epoch: order outlives a pause */
    sim_rng up, down;
} sim_conn;

typedef struct sim_session { /* the server's end of a connection */
    bool alive;
    bool subscribed;
    bool replica; /* since a planned failover it leads to what is a replica now */
    int conn;
    uint32_t epoch;
    uint32_t serial;
    char channel[MODEL_INBOX_MAX];
    int run; /* of the server that it leads to */
    /* CLIENT TRACKING, for the checkers of told.c as well: */
    bool tracks, no_loop, next_read_counts;
    unsigned tracked;     /* a bit for each name whose lock key it is told of */
    int64_t time_read_at; /* TIME's latest answer; 0: none */
    int64_t stepped_by;   /* ns by which the server's clock was set forward since then */
    int64_t stepped_at;
} sim_session;

/* ---- Clients ---------------------------------------------------------------- */

/* What the client's end of a connection has to send. Each command has two "bytes". */
#define SIM_COMMAND_BYTES 2

typedef struct sim_side {
    bool open, connected;
    sim_message *first, *last; /* appended, not flushed */
    uint64_t appended, written;
} sim_side;

typedef struct sim_asked {
    pawl_verb verb;
    int token;
} sim_asked;

/* Hands an event of the link to the engine above it. */
typedef void sim_link_told(sim *s, sim_client *client, const pawl__event *event);

typedef struct sim_link {
    pawl_store store; /* the real one's logic */
    pawl_host host;
    sim_link_told *told;
    uint32_t generation;
    bool up;
    bool turn_due, resolving;
    sim_side side;
    int64_t timer_at[PAWL__REDIS_TIMERS]; /* the client's clock */
    int64_t flush_at;                     /* what was asked together leaves */
    int64_t armed_at;                     /* true time of the scheduled timer event */
    sim_asked asked[SIM_ASKED_MAX];       /* by the request's id */
    pawl_verb plain_verb;                 /* of the command that a plain client is saying */
    int plain_token;
} sim_link;

/* A lock client without an engine. */
typedef struct sim_plain {
    int asking; /* caller whose reply is awaited, or -1 */
    bool releasing;
} sim_plain;

struct sim_client {
    sim *sim;
    int number;
    bool alive;
    bool closing;
    uint32_t incarnation;
    pawl__engine *engine;
    sim_clock clock;
    int64_t seen_now; /* the latest reading that the program took */
    int64_t paused_until;
    int64_t touched_at; /* the latest true time at which a fault was on it */
    int64_t touched_before;
    int64_t up_at;    /* true time at which its link came up */
    int64_t step_due; /* since then it must be about to hear of a step of the clock; 0: none */
    uint32_t timer_generation;
    int64_t timer_at; /* true time of the scheduled engine timer */
    int64_t close_by;
    pawl__redis_space space;
    char id[40];
    char owner[24];
    sim_link link;
};

typedef enum sim_caller_state {
    SIM_CALLER_IDLE = 0,
    SIM_CALLER_WAITING,
    SIM_CALLER_HOLDING,
    SIM_CALLER_LOST,
    SIM_CALLER_RELEASING
} sim_caller_state;

/* A value that a caller publishes, or its reading of one. */
#define SIM_VALUE_ID (UINT64_C(1) << 63) /* and the caller's number: the id of its request */
typedef struct sim_speech {
    bool asks; /* a request is under way */
    bool reads, doubt;
    int tries;
    int64_t number; /* of the publication */
    uint32_t incarnation;
    char token[PAWL_TOKEN_LEN + 1], text[SEEN_VALUE_MAX];
} sim_speech;

typedef struct sim_caller {
    int number; /* among all */
    int client;
    sim_caller_state state;
    uint32_t generation; /* of its scheduled event */
    pawl__want want;
    pawl__waiting waiting;
    int name;
    int64_t began;      /* true time of the want */
    int64_t granted_at; /* true time */
    int64_t deadline;   /* the client's clock */
    uint64_t fence;
    int token;
    bool await_store;
    bool was_leaving; /* the release went to the store */
    bool will_detach;
    /* In modes: */
    pawl_mode believed; /* what it was told that it has */
    uint32_t slots;     /* of permits: a bit for each */
    int changes_left;   /* so many times it will want another mode */
    bool upgrading;     /* it waits for one */
    pawl_mode changes_to;
    pawl__waiting upgrade;
    bool spoke; /* it has published by its lease, which ends with the release */
    sim_speech speech;
    char plain_token[PAWL_TOKEN_LEN + 1];
    int64_t plain_sent_at; /* the client's clock */
    seen_want seen;
    sim_rng random;
} sim_caller;

typedef struct sim_grant {
    uint64_t fence;
    const char *text; /* of the token */
    int token;
    int64_t deadline;
    uint32_t slots; /* of permits: a bit for each */
} sim_grant;

/* What clients tell the callers above them; the functions are in callers.c. */
typedef struct sim_told {
    void (*granted)(sim *s, sim_caller *caller, const sim_grant *grant);
    void (*refused)(sim *s, sim_caller *caller, pawl_err err);
    void (*changed)(sim *s, sim_caller *caller, pawl_err err, uint64_t fence);
    void (*extended)(sim *s, sim_caller *caller, int64_t deadline);
    void (*lost)(sim *s, sim_caller *caller, pawl_err err);
    void (*released)(sim *s, sim_caller *caller, pawl_err err);
    void (*answered)(sim *s, sim_client *client, const pawl_reply *reply); /* SIM_VALUE_ID.. */
    void (*ended)(sim *s, sim_client *client); /* their program is gone */
} sim_told;

/* ---- The server ------------------------------------------------------------- */

typedef struct sim_server {
    model_redis model;
    model_redis stale; /* what a restart or a failover may come back with */
    sim_clock wall;    /* reads ns since 1970 */
    int run;           /* how often it was another process or another server */
    bool was_replica;
    int64_t started_us; /* by the wall clock of then */
    int64_t began_at;   /* true time at which this run began to answer */
    bool up;
    uint32_t incarnation;
    int64_t paused_until;
    int64_t slow_by;
    int64_t free_at;                  /* it does one thing after another */
    sim_message *first, *last;        /* what waits for it */
    uint64_t key_sums[SIM_NAMES_MAX]; /* of the lock keys, before a command */
    bool delete_behind_renewal;       /* the lock key of the next one that is confirmed */
    int refused_token;                /* its next request is refused; SEEN_NOBODY: none */
    sim_rng random, halves;
} sim_server;

/* ---- A run ------------------------------------------------------------------ */

typedef enum sim_phase { SIM_FAULTS = 0, SIM_CALM, SIM_DRAINING, SIM_OVER } sim_phase;

typedef struct sim_failure {
    char check[32];
    char text[400];
    int64_t at;
} sim_failure;

/* Interesting states that a campaign must have reached. */
/* clang-format takes the list for one expression. */
/* clang-format off */
#define SIM_SOMETIMES_LIST(X)                                                                      \
    X(granted) X(handed_off) X(promoted_by_refresh) X(passed_over) X(passed_locally)             \
    X(from_cache) X(yielded) X(renewed) X(doubted) X(recovered) X(lost_at_deadline)                \
    X(lost_by_store) X(dead_grant) X(unknown_ask) X(unknown_release) X(late_request_executed)             \
    X(late_grant_after_cancel) X(cancelled_in_queue) X(timed_out) X(busy) X(together) X(no_script) X(refused)  \
    X(crashed_holding) X(closed_holding) X(detached) X(server_restarted) X(state_lost)             \
    X(foreign_holder) X(broken_by_hand) X(place_regained) X(unreachable) X(switched_over)          \
    X(stuffed) X(read_together) X(joined) X(upgraded) X(upgrade_waited) X(upgrade_given_up)        \
    X(downgraded) X(change_refused) X(late_change) X(permits) X(several_permits) X(kind_refused)    \
    X(capacity_refused) X(let_in_together) X(reader_broken) X(guarded) X(guard_over)               \
    X(longer_announced) X(step_told) X(key_invalidated) X(key_changed_before) X(published)     \
    X(published_again) X(published_late) X(half_done) X(broken_off) X(refused_half_done) X(apart)
/* clang-format on */

typedef enum sim_sometimes {
#define SIM_SOMETIMES_ENUM(name) SIM_SOMETIMES_##name,
    SIM_SOMETIMES_LIST(SIM_SOMETIMES_ENUM)
#undef SIM_SOMETIMES_ENUM
        SIM_SOMETIMES_COUNT
} sim_sometimes;

typedef struct sim_totals {
    uint64_t operations; /* acquisitions and releases that were completed */
    uint64_t grants;
    uint64_t commands;
    uint64_t events;
    uint64_t sometimes[SIM_SOMETIMES_COUNT];
} sim_totals;

struct sim {
    sim_config config;
    int64_t t; /* true time, ns */
    sim_phase phase;
    sim_queue queue;
    sim_message *free_messages;
    sim_client clients[SIM_CLIENTS_MAX];
    sim_conn conns[SIM_CLIENTS_MAX];
    sim_caller callers[SIM_CALLERS_ALL];
    int caller_count;
    const sim_told *told;
    sim_session sessions[SIM_SESSIONS_MAX];
    uint32_t session_serial;
    sim_server server;
    sim_rng fault_rng[SIM_FAULTS_MAX];
    seen seen; /* what the checkers remember */
    sim_failure failure;
    bool failed;
    uint64_t hash; /* of everything that happened */
    sim_totals totals;
    FILE *trace; /* the timeline goes there; NULL: nowhere */
};

/* ---- What all may call (core.c) ----------------------------------------------- */

void sim_at(sim *s, int64_t t, sim_event_kind kind, int a, uint32_t generation);
/* The first failure of a run ends it. */
__attribute__((format(printf, 3, 4))) void sim_fail(sim *s, const char *check, const char *format,
                                                    ...);
void sim_mix(sim *s, uint64_t value);

static inline void sim_reached(sim *s, sim_sometimes what)
{
    s->totals.sometimes[what]++;
}
#define SIM_REACHED(s, name) sim_reached(s, SIM_SOMETIMES_##name)

/* Those that were ever used stand at the beginning. */
static inline int sim_session_count(const sim *s)
{
    return s->session_serial < SIM_SESSIONS_MAX ? (int)s->session_serial + 1 : SIM_SESSIONS_MAX;
}

extern const char *const sim_names[SIM_NAMES_MAX];
/* Of the semaphore that a name is; 0: it is a lock. */
static inline int sim_capacity_of(const sim *s, int name)
{
    return name == s->config.names - 1 ? s->config.capacity : 0;
}
/* The longest time that anybody may have to wait once all is well. */
int64_t sim_patience(const sim *s);

/* From now until then the client is excused from what is promised to live ones. */
void sim_touch(sim *s, int client, int64_t until);
int64_t sim_client_now(sim *s, sim_client *client);
int64_t sim_server_now_us(const sim *s);

/* Fills `ret_text` with a token that was never used; returns its number. */
int sim_token_draw(sim *s, int client, char *ret_text);
/* -1 if it is not one of ours. */
int sim_token_number(const sim *s, const char *text);
int sim_token_of_lease(const sim *s, const pawl__lease *lease);

/* ---- history.c -------------------------------------------------------------- */

/* A line of the timeline; who: client number, -1: the server, -2: the nemesis. */
__attribute__((format(printf, 3, 4))) void sim_note(sim *s, int who, const char *format, ...);
#define SIM_NOTE(s, who, ...)                                                                      \
    do {                                                                                           \
        if ((s)->trace) sim_note(s, who, __VA_ARGS__);                                             \
    } while (0)

#endif
