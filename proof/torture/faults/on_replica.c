/* SPDX-License-Identifier: MIT */
/* Two servers change places. */
#include "faults.h"

#include <signal.h>
#include <string.h>

#define PATIENCE_NS (30000 * TORTURE_MS) /* much longer than the TIMEOUT below */

static torture_server *replica_of(torture_rig *rig)
{
    return &rig->servers[1 - rig->primary];
}

/* Both run, answer, and the replica follows. */
static bool are_in_step(torture_rig *rig)
{
    char text[TORTURE_ANSWER_MAX];
    return torture_primary(rig)->pid && replica_of(rig)->pid && !torture_primary(rig)->waits &&
           !replica_of(rig)->waits && torture_redis(rig, replica_of(rig), text, "ROLE") &&
           strstr(text, " connected ");
}

static void change_places(torture_rig *rig)
{
    rig->primary = 1 - rig->primary;
    torture_proxy_order(rig, "backend %s", torture_primary(rig)->socket);
    torture_proxy_order(rig, "cut");
}

/* ---- FAILOVER: in good order ------------------------------------------------------------ */

static bool has_failed_over(torture_rig *rig)
{
    char text[TORTURE_ANSWER_MAX];
    return torture_redis(rig, replica_of(rig), text, "ROLE") && strncmp(text, "master", 6) == 0;
}

/* It has changed places, or has given up. */
static bool is_decided(torture_rig *rig)
{
    char text[TORTURE_ANSWER_MAX];
    return torture_redis(rig, torture_primary(rig), text, "INFO replication") &&
           strstr(text, "master_failover_state:no-failover");
}

static bool begin_failover(torture_rig *rig, torture_active *active)
{
    (void)active;
    if (!are_in_step(rig)) return false;
    /* The primary stops, the replica catches up, then they change: nothing is forgotten. */
    torture_note_begin(rig, torture_fault_failover.name, NULL, TORTURE_HURTS_ALL);
    if (torture_redis(rig, torture_primary(rig), NULL, "FAILOVER TO 127.0.0.1 %d TIMEOUT 2000",
                      replica_of(rig)->port)) {
        int64_t patience = torture_now() + PATIENCE_NS;
        while (!is_decided(rig) && torture_now() < patience) torture_sleep_ns(2 * TORTURE_MS);
        if (has_failed_over(rig)) change_places(rig);
    }
    torture_note_end(rig, torture_fault_failover.name, NULL);
    return true;
}

const torture_fault torture_fault_failover = {
    .name = "failover",
    .what = "FAILOVER: primary and replica change places in good order",
    .needs = TORTURE_REPLICA,
    .begin = begin_failover,
};

/* ---- The primary dies, a replica that lags behind takes over ------------------------------ */

static bool begin_promote(torture_rig *rig, torture_active *active)
{
    if (!are_in_step(rig)) return false;
    torture_lasts(rig, active, 10, rig->options->ttl_ms);
    torture_note_begin(rig, torture_fault_promote.name, NULL, TORTURE_HURTS_ALL);
    /* When it wakes up it would read what is in its socket: so the link is cut, too. */
    replica_of(rig)->waits = true;
    kill(replica_of(rig)->pid, SIGSTOP);
    torture_redis(rig, torture_primary(rig), NULL, "CLIENT KILL TYPE replica");
    return true;
}

static void end_promote(torture_rig *rig, torture_active *active)
{
    (void)active;
    torture_server *old = torture_primary(rig), *fresh = replica_of(rig);
    torture_server_end(old, SIGKILL);
    torture_note_forgets(rig, torture_fault_promote.name);
    kill(fresh->pid, SIGCONT);
    fresh->waits = false;
    for (int tries = 0; tries < 5; tries++) {
        if (torture_redis(rig, fresh, NULL, "REPLICAOF NO ONE")) break;
    }
    change_places(rig);
    torture_note_end(rig, torture_fault_promote.name, NULL);
    if (!torture_server_start(rig, old)) return;
    torture_redis(rig, old, NULL, "REPLICAOF 127.0.0.1 %d", fresh->port);
}

const torture_fault torture_fault_promote = {
    .name = "promote",
    .what = "the primary is killed and a replica that lags behind takes over",
    .needs = TORTURE_REPLICA,
    .begin = begin_promote,
    .end = end_promote,
};
