/* SPDX-License-Identifier: MIT */
/* An administrator who ends statements, or connections. */
#include "../rig/program.h"
#include "faults.h"

/* Notes first, because a worker may log the effect at once. */
static bool end_all(torture_rig *rig, const char *fault, const char *sql)
{
    torture_server *server = torture_primary(rig);
    if (!server->pid || server->waits) return false;
    torture_note_begin(rig, fault, NULL, TORTURE_HURTS_ALL);
    if (!rig->setup->program->ask(rig, server, sql)) {
        torture_say("%s: the server refused it; see %s", fault, rig->history);
        rig->broken = true;
    }
    return true;
}

static bool begin_statements(torture_rig *rig, torture_active *active)
{
    (void)active;
    return end_all(rig, torture_fault_end_statements.name, rig->setup->program->end_statements);
}

const torture_fault torture_fault_end_statements = {
    .name = "end-statements",
    .what = "an administrator ends every statement that is being carried out",
    .needs = TORTURE_SQL,
    .more = 2, /* it hits only what is under way */
    .begin = begin_statements,
};

static bool begin_sessions(torture_rig *rig, torture_active *active)
{
    (void)active;
    return end_all(rig, torture_fault_end_sessions.name, rig->setup->program->end_sessions);
}

const torture_fault torture_fault_end_sessions = {
    .name = "end-sessions",
    .what = "an administrator ends every connection",
    .needs = TORTURE_SQL,
    .begin = begin_sessions,
};
