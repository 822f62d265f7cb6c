/* SPDX-License-Identifier: MIT */
/* A server that dies, stands still, or throws its clients out. */
#include "faults.h"

#include <signal.h>
#include <stdio.h>

/* The server, any one of a cluster, if it can be hurt now: it runs and nothing else keeps it from
 * answering. */
static torture_server *awake(torture_rig *rig)
{
    torture_server *server = torture_primary(rig);
    if ((rig->setup->has & TORTURE_CLUSTER) && !torture_leader(rig)) return NULL;
    if (rig->setup->has & TORTURE_CLUSTER)
        server = &rig->servers[torture_between(&rig->rng, 0, TORTURE_SERVERS_MAX - 1)];
    return server->pid && !server->waits ? server : NULL;
}

/* ---- Restart ------------------------------------------------------------------------- */

static bool begin_restart(torture_rig *rig, torture_active *active)
{
    torture_server *server = awake(rig);
    if (!server) return false;
    torture_lasts(rig, active, 0, rig->options->ttl_ms);
    torture_note_begin(rig, torture_fault_restart_server.name, NULL, TORTURE_HURTS_ALL);
    active->server = server;
    server->stays_down = true;
    torture_server_hurt(rig, server, torture_chance(&rig->rng, 75));
    if (!rig->setup->remembers && !rig->setup->guard)
        torture_note_forgets(rig, torture_fault_restart_server.name);
    if (!rig->setup->remembers && rig->setup->guard)
        torture_note_loses(rig, torture_fault_restart_server.name);
    return true;
}

/* The campaign starts servers that are down, as soon as it may. */
static void end_restart(torture_rig *rig, torture_active *active)
{
    active->server->stays_down = false;
    torture_note_end(rig, torture_fault_restart_server.name, NULL);
}

const torture_fault torture_fault_restart_server = {
    .name = "restart-server",
    .what = "the server is killed (or asked to end) and started again",
    .needs = TORTURE_SERVER,
    .begin = begin_restart,
    .end = end_restart,
};

/* ---- SIGSTOP --------------------------------------------------------------------------- */

void torture_stop_server(torture_rig *rig, torture_active *active, torture_server *server,
                         const char *name)
{
    torture_note_begin(rig, name, NULL, TORTURE_HURTS_ALL);
    active->server = server;
    server->waits = true;
    torture_server_signal(rig, server, SIGSTOP);
}

void torture_continue_server(torture_rig *rig, torture_active *active, const char *name)
{
    torture_server *server = active->server;
    if (server->pid) torture_server_signal(rig, server, SIGCONT);
    server->waits = false;
    torture_note_end(rig, name, NULL);
}

static bool begin_stop(torture_rig *rig, torture_active *active)
{
    torture_server *server = awake(rig);
    if (!server) return false;
    torture_lasts(rig, active, 1, rig->options->ttl_ms * 3 / 2);
    torture_stop_server(rig, active, server, torture_fault_stop_server.name);
    return true;
}

static void end_stop(torture_rig *rig, torture_active *active)
{
    torture_continue_server(rig, active, torture_fault_stop_server.name);
}

const torture_fault torture_fault_stop_server = {
    .name = "stop-server",
    .what = "SIGSTOP of the server for up to one and a half ttl",
    .needs = TORTURE_SERVER,
    .begin = begin_stop,
    .end = end_stop,
};

/* ---- Commands that make it unkind ------------------------------------------------------ */

/* Notes first, because a worker may log the effect at once. */
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
    torture_primary(rig)->waits = true; /* PAUSE ALL stops our own commands, too */
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

/*
 * Each client's one connection falls under the limit for subscribers. What is pushed to it here is
 * longer, so the server closes it in the middle of a message.
 */
static bool begin_output(torture_rig *rig, torture_active *active)
{
    static const char long_messages[] =
        "for _, inbox in ipairs(redis.call('PUBSUB', 'CHANNELS', '*inbox:*')) do "
        "redis.call('PUBLISH', inbox, string.rep('x', 200000)) end return 1";
    torture_server *server = awake(rig);
    (void)active;
    if (!server) return false;
    torture_note_begin(rig, torture_fault_output_limit.name, NULL, TORTURE_HURTS_ALL);
    torture_redis(rig, server, NULL, "CONFIG SET client-output-buffer-limit %s",
                  "pubsub 32768 0 0");
    torture_redis(rig, server, NULL, "EVAL %s 0", long_messages);
    torture_redis(rig, server, NULL, "CONFIG SET client-output-buffer-limit %s",
                  "pubsub 33554432 8388608 60");
    return true;
}

const torture_fault torture_fault_output_limit = {
    .name = "output-limit",
    .what = "a push beyond the output limit of subscribers: the server closes every connection",
    .needs = TORTURE_REDIS,
    .begin = begin_output,
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
