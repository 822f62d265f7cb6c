/* SPDX-License-Identifier: MIT */
/* The faults: one table, one entry each. */
#ifndef PAWL_TORTURE_FAULTS_H
#define PAWL_TORTURE_FAULTS_H

#include "../rig/rig.h"

/* The state of a fault that is under way. At most one of each kind is under way. */
typedef struct torture_active {
    bool is;
    int64_t until;
    torture_server *server;
    torture_worker *worker;
    int life; /* of that worker: a later one has not been hurt */
    char text[32];
} torture_active;

typedef struct torture_fault {
    const char *name, *what;
    unsigned needs; /* of what a setup has */
    int more;       /* how many more times it is in the deck */
    bool small_disk;
    /*
     * Notes its beginning, then does it. False, with nothing noted or done: nothing can be hurt at
     * the moment, and it is tried again later. Sets `until` if it lasts.
     */
    bool (*begin)(torture_rig *rig, torture_active *active);
    void (*end)(torture_rig *rig, torture_active *active); /* NULL: it does not last */
} torture_fault;

#define TORTURE_FAULT_LIST(X)                                                                      \
    X(kill_worker)                                                                                 \
    X(stop_worker)                                                                                 \
    X(limit_files)                                                                                 \
    X(limit_memory)                                                                                \
    X(restart_server)                                                                              \
    X(stop_server)                                                                                 \
    X(client_kill)                                                                                 \
    X(client_pause)                                                                                \
    X(debug_sleep)                                                                                 \
    X(script_flush)                                                                                \
    X(output_limit)                                                                                \
    X(net_delay)                                                                                   \
    X(net_hold)                                                                                    \
    X(net_lose)                                                                                    \
    X(net_cut)                                                                                     \
    X(net_half)                                                                                    \
    X(net_refuse)                                                                                  \
    X(end_statements)                                                                              \
    X(end_sessions)                                                                                \
    X(kill_leader)                                                                                 \
    X(stop_leader)                                                                                 \
    X(cut_off)                                                                                     \
    X(restart_all)                                                                                 \
    X(failover)                                                                                    \
    X(promote)                                                                                     \
    X(clock_step)                                                                                  \
    X(disk_full)                                                                                   \
    X(hostile_store)                                                                               \
    X(kill_in_write)                                                                               \
    X(stop_in_write)                                                                               \
    X(file_busy)

#define TORTURE_FAULT_DECLARE(name) extern const torture_fault torture_fault_##name;
TORTURE_FAULT_LIST(TORTURE_FAULT_DECLARE)
#undef TORTURE_FAULT_DECLARE

/* Index of a fault among torture_faults. */
enum {
#define TORTURE_FAULT_INDEX(name) TORTURE_FAULT_##name,
    TORTURE_FAULT_LIST(TORTURE_FAULT_INDEX)
#undef TORTURE_FAULT_INDEX
        TORTURE_FAULT_COUNT
};

extern const torture_fault *const torture_faults[TORTURE_FAULT_COUNT];

/* Draws a span of ms, and sets `until`. */
static inline int64_t torture_lasts(torture_rig *rig, torture_active *active, int64_t low_ms,
                                    int64_t high_ms)
{
    int64_t ms = torture_between(&rig->rng, low_ms, high_ms);
    active->until = torture_now() + ms * TORTURE_MS;
    return ms;
}

/* Remembers the process that it hurts. */
static inline void torture_hurts(torture_active *active, torture_worker *worker)
{
    active->worker = worker;
    active->life = worker->life;
}

/* SIGSTOP of a server, and its end; `name` of the fault. In on_server.c. */
void torture_stop_server(torture_rig *rig, torture_active *active, torture_server *server,
                         const char *name);
void torture_continue_server(torture_rig *rig, torture_active *active, const char *name);

/* The process that was hurt, if it still runs; NULL if another has its slot now. */
static inline torture_worker *torture_still(const torture_active *active)
{
    bool same = active->worker->pid && active->worker->life == active->life;
    return same ? active->worker : NULL;
}

#endif
