/* SPDX-License-Identifier: MIT */
/* A server that dies, stands still, or throws its clients out. */
#include "faults.h"

#include <signal.h>
#include <stdio.h>

/* The server if it can be hurt now: it runs and nothing else keeps it from answering. */
static torture_server *awake(torture_rig *rig)
{
    torture_server *server = torture_primary(rig);
    return server->pid && !server->waits ? server : NULL;
}

/* ---- Restart ------------------------------------------------------------------------- */

static bool begin_restart(torture_rig *rig, torture_active *active)
{
    torture_server *server = awake(rig);
    if (!server) return false;
    torture_lasts(rig, active, 0, rig->options->ttl_ms);
    torture_note_begin(rig, torture_fault_restart_server.name, NULL, TORTURE_HURTS_ALL);
    torture_server_end(server, torture_chance(&rig->rng, 75) ? SIGKILL : SIGTERM);
    if (!rig->setup->remembers && !rig->setup->guard)
        torture_note_forgets(rig, torture_fault_restart_server.name);
    return true;
}

/* The campaign starts what is down, as soon as nothing speaks against it. */
static void end_restart(torture_rig *rig, torture_active *active)
{
    (void)active;
    torture_note_end(rig, torture_fault_restart_server.name, NULL);
}

const torture_fault torture_fault_restart_server = {
    .name = "restart-server",
    .what = "the server is killed (or asked to end) and started again",
    .needs = TORTURE_REDIS,
    .begin = begin_restart,
    .end = end_restart,
};

/* ---- SIGSTOP --------------------------------------------------------------------------- */

static bool begin_stop(torture_rig *rig, torture_active *active)
{
    torture_server *server = awake(rig);
    if (!server) return false;
    torture_lasts(rig, active, 1, rig->options->ttl_ms * 3 / 2);
    torture_note_begin(rig, torture_fault_stop_server.name, NULL, TORTURE_HURTS_ALL);
    server->waits = true;
    kill(server->pid, SIGSTOP);
    return true;
}

static void end_stop(torture_rig *rig, torture_active *active)
{
    (void)active;
    torture_server *server = torture_primary(rig);
    if (server->pid) kill(server->pid, SIGCONT);
    server->waits = false;
    torture_note_end(rig, torture_fault_stop_server.name, NULL);
}

const torture_fault torture_fault_stop_server = {
    .name = "stop-server",
    .what = "SIGSTOP of the server for up to one and a half ttl",
    .needs = TORTURE_REDIS,
    .begin = begin_stop,
    .end = end_stop,
};

/* ---- Commands that make it unkind ------------------------------------------------------ */

/* Notes, then does: what comes of it may be in a worker's log at once. */
static bool command(torture_rig *rig, const char *fault, const char *text, torture_hurt hurts)
{
    torture_server *server = awake(rig);
    if (!server) return false;
    torture_note_begin(rig, fault, NULL, hurts);
    torture_redis(rig, server, NULL, text);
    return true;
}

static bool begin_kill(torture_rig *rig, torture_active *active)
{
    (void)active;
    static const char *const which[] = {"CLIENT KILL TYPE normal SKIPME yes",
                                        "CLIENT KILL TYPE pubsub"};
    return command(rig, torture_fault_client_kill.name, which[torture_between(&rig->rng, 0, 1)],
                   TORTURE_HURTS_ALL);
}

const torture_fault torture_fault_client_kill = {
    .name = "client-kill",
    .what = "CLIENT KILL of all command connections, or of all inboxes",
    .needs = TORTURE_REDIS,
    .begin = begin_kill,
};

static bool begin_pause(torture_rig *rig, torture_active *active)
{
    char text[64];
    int64_t ms = torture_lasts(rig, active, 1, rig->options->ttl_ms);
    snprintf(text, sizeof text, "CLIENT PAUSE %d %s", (int)ms,
             torture_chance(&rig->rng, 50) ? "WRITE" : "ALL");
    if (!command(rig, torture_fault_client_pause.name, text, TORTURE_HURTS_ALL)) return false;
    torture_primary(rig)->waits = true; /* PAUSE ALL concerns us, too */
    return true;
}

static void end_pause(torture_rig *rig, torture_active *active)
{
    (void)active;
    torture_primary(rig)->waits = false;
    torture_note_end(rig, torture_fault_client_pause.name, NULL);
}

const torture_fault torture_fault_client_pause = {
    .name = "client-pause",
    .what = "CLIENT PAUSE, of writes or of everything",
    .needs = TORTURE_REDIS,
    .begin = begin_pause,
    .end = end_pause,
};

static bool begin_sleep(torture_rig *rig, torture_active *active)
{
    char text[64];
    torture_server *server = awake(rig);
    if (!server) return false;
    int64_t ms = torture_lasts(rig, active, 1, rig->options->ttl_ms * 3 / 2);
    snprintf(text, sizeof text, "DEBUG SLEEP %d.%03d", (int)(ms / 1000), (int)(ms % 1000));
    torture_note_begin(rig, torture_fault_debug_sleep.name, NULL, TORTURE_HURTS_ALL);
    server->waits = torture_redis_send(rig, server, text);
    return true;
}

static void end_sleep(torture_rig *rig, torture_active *active)
{
    (void)active;
    torture_primary(rig)->waits = false;
    torture_note_end(rig, torture_fault_debug_sleep.name, NULL);
}

const torture_fault torture_fault_debug_sleep = {
    .name = "debug-sleep",
    .what = "DEBUG SLEEP for up to one and a half ttl",
    .needs = TORTURE_REDIS,
    .begin = begin_sleep,
    .end = end_sleep,
};

static bool begin_flush(torture_rig *rig, torture_active *active)
{
    (void)active;
    return command(rig, torture_fault_script_flush.name, "SCRIPT FLUSH", TORTURE_HURTS_NOBODY);
}

const torture_fault torture_fault_script_flush = {
    .name = "script-flush",
    .what = "SCRIPT FLUSH: every script has to be sent again",
    .needs = TORTURE_REDIS,
    .begin = begin_flush,
};
