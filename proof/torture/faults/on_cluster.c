/* SPDX-License-Identifier: MIT */
/* Three servers that elect a leader: it dies, it stands still, one of them is alone, all go. A
 * fault waits until somebody leads: else one of them would follow the other, and nobody ever would.
 */
#include "../rig/program.h"
#include "faults.h"

#define ELECTION_MS 2000 /* time enough for the others to elect another one, now and then */

static int64_t longest_ms(const torture_rig *rig)
{
    return 2 * rig->options->ttl_ms + ELECTION_MS;
}

/* ---- The leader dies ------------------------------------------------------------------------- */

static bool begin_kill(torture_rig *rig, torture_active *active)
{
    torture_server *server = torture_leader(rig);
    if (!server) return false;
    torture_lasts(rig, active, 0, longest_ms(rig));
    torture_note_begin(rig, torture_fault_kill_leader.name, NULL, TORTURE_HURTS_ALL);
    active->server = server;
    server->stays_down = true;
    torture_server_hurt(rig, server, true);
    return true;
}

static void end_kill(torture_rig *rig, torture_active *active)
{
    active->server->stays_down = false;
    torture_note_end(rig, torture_fault_kill_leader.name, NULL);
}

const torture_fault torture_fault_kill_leader = {
    .name = "kill-leader",
    .what = "the server that leads the others is killed, and started again later",
    .needs = TORTURE_CLUSTER,
    .more = 1,
    .begin = begin_kill,
    .end = end_kill,
};

/* ---- The leader stands still ----------------------------------------------------------------- */

static bool begin_stop(torture_rig *rig, torture_active *active)
{
    torture_server *server = torture_leader(rig);
    if (!server) return false;
    torture_lasts(rig, active, 1, longest_ms(rig));
    torture_stop_server(rig, active, server, torture_fault_stop_leader.name);
    return true;
}

static void end_stop(torture_rig *rig, torture_active *active)
{
    torture_continue_server(rig, active, torture_fault_stop_leader.name);
}

const torture_fault torture_fault_stop_leader = {
    .name = "stop-leader",
    .what = "SIGSTOP of the server that leads, while another one may be elected",
    .needs = TORTURE_CLUSTER,
    .begin = begin_stop,
    .end = end_stop,
};

/* ---- A minority ------------------------------------------------------------------------------ */

/* Workers reach it as before. It hears nothing for a while, and then all at once; or its
 * connections are reset, and it gets no new ones. */
static bool begin_cut_off(torture_rig *rig, torture_active *active)
{
    torture_server *server = torture_leader(rig);
    if (server && torture_chance(&rig->rng, 30))
        server = &rig->servers[torture_between(&rig->rng, 0, TORTURE_SERVERS_MAX - 1)];
    if (!server) return false;
    torture_lasts(rig, active, 10, longest_ms(rig));
    torture_note_begin(rig, torture_fault_cut_off.name, NULL, TORTURE_HURTS_ALL);
    active->server = server;
    if (torture_chance(&rig->rng, 50)) {
        torture_links_order(rig, server, "hold up");
        torture_links_order(rig, server, "hold down");
    } else {
        torture_links_order(rig, server, "refuse");
        torture_links_order(rig, server, "cut");
    }
    return true;
}

static void end_cut_off(torture_rig *rig, torture_active *active)
{
    torture_links_order(rig, active->server, "accept");
    torture_links_order(rig, active->server, "flow");
    torture_note_end(rig, torture_fault_cut_off.name, NULL);
}

const torture_fault torture_fault_cut_off = {
    .name = "cut-off",
    .what = "one server, the leader if possible, is cut off from the others, not from clients",
    .needs = TORTURE_CLUSTER,
    .more = 1,
    .begin = begin_cut_off,
    .end = end_cut_off,
};

/* ---- All of them ----------------------------------------------------------------------------- */

static bool begin_all(torture_rig *rig, torture_active *active)
{
    if (!torture_leader(rig)) return false;
    torture_lasts(rig, active, 0, rig->options->ttl_ms);
    torture_note_begin(rig, torture_fault_restart_all.name, NULL, TORTURE_HURTS_ALL);
    bool crashes = torture_chance(&rig->rng, 75);
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++) {
        torture_server *server = &rig->servers[i];
        server->stays_down = true;
        torture_server_hurt(rig, server, crashes || server->waits);
    }
    return true;
}

static void end_all(torture_rig *rig, torture_active *active)
{
    (void)active;
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++) rig->servers[i].stays_down = false;
    torture_note_end(rig, torture_fault_restart_all.name, NULL);
}

const torture_fault torture_fault_restart_all = {
    .name = "restart-all",
    .what = "all servers of a cluster are killed (or asked to end) and started again",
    .needs = TORTURE_CLUSTER,
    .begin = begin_all,
    .end = end_all,
};
