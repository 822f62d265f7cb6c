/* SPDX-License-Identifier: MIT */
/*
 * What is different from seed to seed, and how it is written down in a scenario file.
 * A seed alone decides everything; a scenario overrides parts of it.
 */
#ifndef PAWL_SIM_CONFIG_H
#define PAWL_SIM_CONFIG_H

#include "rng.h"

#include <stdio.h>

#define SIM_CLIENTS_MAX 1024 /* a seed draws at most five; a crowd is written down */
#define SIM_CALLERS_MAX 4    /* of one client */
#define SIM_NAMES_MAX   3
#define SIM_FAULTS_MAX  24

typedef enum sim_algorithm {
    SIM_PAWL = 0,
    SIM_TUTORIAL, /* SET key token EX ttl NX, sleep 0..99 ms, DEL */
    SIM_SETNX     /* the textbook's: a token of its own, compare-and-delete, a deadline */
} sim_algorithm;

/* name, what happens, whether it breaks exclusion for what was granted before. */
#define SIM_FAULT_LIST(X)                                                                          \
    X(SLOW, "slow", "the client's messages take longer")                                           \
    X(CUT, "cut", "the connection is reset")                                                       \
    X(DEAD, "dead", "the connection goes silent, nobody is told")                                  \
    X(HOLD_REPLIES, "hold-replies", "what the server says is held back")                           \
    X(HOLD_REQUESTS, "hold-requests", "what the client says is held back")                         \
    X(PARTITION, "partition", "nothing passes in either direction")                                \
    X(PUSHES_LOST, "pushes-lost", "pushes are lost")                                               \
    X(STUFFED, "stuffed", "the client's socket takes no more, in the middle of a command")         \
    X(CRASH, "crash", "the client dies and is born again")                                         \
    X(PAUSE, "pause", "the client stands still")                                                   \
    X(CLOSE, "close", "the client closes and opens again")                                         \
    X(CLIENT_RATE, "client-rate", "the client's clock changes its rate within the drift")          \
    X(SERVER_RATE, "server-rate", "the server's clock changes its rate within the drift")          \
    X(SERVER_PAUSE, "server-pause", "the server stands still")                                     \
    X(SERVER_SLOW, "server-slow", "each command takes long")                                       \
    X(RESTART, "restart", "the server restarts and remembers everything")                          \
    X(SCRIPT_FLUSH, "script-flush", "the server forgets the scripts, twice")                       \
    X(FULL, "full", "the server's memory is full")                                                 \
    X(SWITCHOVER, "switchover", "a replica takes over at the same address, nobody is cut")         \
    X(MISCONF, "misconf", "the server cannot save and refuses writes")                             \
    X(LOADING, "loading", "the server is loading its data")                                        \
    X(CLOCK_BACK, "clock-back", "the server's clock steps back")                                   \
    X(FOREIGN, "foreign", "another program takes the key with SET NX PX")                          \
    /* From here on: beyond what exclusion is promised for. */                                     \
    X(BREAK, "break", "somebody runs pawl break")                                                  \
    X(CLOCK_FORWARD, "clock-forward", "the server's clock steps forward")                          \
    X(DRIFT, "drift", "a client's clock is slower than promised")                                  \
    X(LOSE_TAIL, "lose-tail", "the server restarts without its last writes")                       \
    X(LOSE_ALL, "lose-all", "the server restarts empty")                                           \
    X(FAILOVER, "failover", "a stale replica takes over")                                          \
    X(EVICT, "evict", "the server evicts keys")

typedef enum sim_fault_kind {
#define SIM_FAULT_ENUM(name, word, text) SIM_FAULT_##name,
    SIM_FAULT_LIST(SIM_FAULT_ENUM)
#undef SIM_FAULT_ENUM
        SIM_FAULT_KINDS
} sim_fault_kind;

typedef struct sim_fault {
    sim_fault_kind kind;
    int64_t at_us;
    int target; /* client */
    int64_t for_us;
    int64_t value; /* by kind: ppm, ms */
    bool skipped;
} sim_fault;

typedef struct sim_config {
    uint64_t seed;
    sim_algorithm algorithm;
    int clients, callers, names;
    int64_t ttl_ms;
    bool mixed_ttl;
    bool retain;    /* callers keep leases */
    bool impatient; /* some callers do not wait, or not long, or cancel */
    bool detach;
    bool modes;   /* locks are held in all modes, and change them */
    bool crowd;   /* the first client writes, all others read, and nobody changes its mode */
    int capacity; /* of the semaphore that the last name is; 0: all names are locks */
    bool values;  /* who holds leaves values, others read and watch them */
    int mistaken; /* per thousand: callers who take a lock for a semaphore, or another capacity */
    int64_t hold_max_us, think_max_us;
    int64_t delay_min_us, delay_max_us;
    int tail_per_thousand; /* messages that take up to a ttl while faults are on */
    bool together;         /* what a client asks within a short time travels together */
    bool chorus;           /* what callers of one client do, they do at the same instants */
    int halves;            /* per thousand: calls for several names that end half done */
    bool apart;            /* the server takes one name in a call, as a cluster does */
    bool lockstep;         /* constant delays: everybody moves at once */
    bool monitor;          /* somebody listens to every inbox: PSUBSCRIBE */
    int guard;             /* pawl__redis_guard_mode of every client */
    int watch;             /* pawl__redis_watch_mode of every client */
    int64_t age_ms;        /* of the server at the beginning */
    int64_t heal_ms, calm_ms;
    unsigned fault_mask;
    int fault_count;
    sim_fault faults[SIM_FAULTS_MAX];
} sim_config;

/* The span of the restart guard. */
static inline int64_t sim_guard_ms(const sim_config *c)
{
    return c->guard == 2 && c->mixed_ttl ? c->ttl_ms * 4 : c->ttl_ms;
}

extern const char *const sim_fault_words[SIM_FAULT_KINDS];
extern const char *const sim_algorithm_words[];

/* Draws everything from the seed. */
void sim_config_draw(sim_config *ret_config, uint64_t seed, sim_algorithm algorithm);

/*
 * Lines "key = value"; "fault = KIND AT_US TARGET FOR_US VALUE" replaces the drawn list.
 * The seed, if given, comes first. False: reterr says which line is wrong.
 */
bool sim_config_read(sim_config *config, FILE *file, char reterr[200]);
void sim_config_write(const sim_config *config, FILE *file);

#endif
