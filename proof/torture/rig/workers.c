/* SPDX-License-Identifier: MIT */
#include "rig.h"

#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#define REST_MAX_MS 300 /* between two lives of a slot */

static void start(torture_rig *rig, torture_worker *worker)
{
    char slot[16], life[16], log[TORTURE_FILE_MAX];
    worker->life++;
    worker->stopped = worker->limited = false;
    atomic_store(&rig->board->up[worker->slot], false);
    snprintf(slot, sizeof slot, "%d", worker->slot);
    snprintf(life, sizeof life, "%d", worker->life);
    const char *argv[] = {torture_self(), "worker", rig->board_path, slot, life, NULL};
    torture_path(log, rig->history, "workers.log");
    bool apart = (rig->setup->has & TORTURE_SPACES) && worker->slot % 2;
    worker->pid = apart ? torture_child_start_apart(argv, log) : torture_child_start(argv, log, -1);
    if (!worker->pid) rig->broken = true;
}

void torture_workers_open(torture_rig *rig)
{
    for (int i = 0; i < rig->options->workers; i++) {
        rig->workers[i] = (torture_worker){.slot = i};
        start(rig, &rig->workers[i]);
    }
}

void torture_workers_start_due(torture_rig *rig)
{
    int64_t now = torture_now();
    for (int i = 0; i < rig->options->workers; i++) {
        torture_worker *worker = &rig->workers[i];
        if (!worker->pid && now >= worker->start_at) start(rig, worker);
    }
}

torture_worker *torture_worker_draw(torture_rig *rig, bool also_stopped)
{
    int64_t first = torture_between(&rig->rng, 0, rig->options->workers - 1);
    for (int i = 0; i < rig->options->workers; i++) {
        torture_worker *worker = &rig->workers[(first + i) % rig->options->workers];
        if (worker->pid && (also_stopped || !worker->stopped)) return worker;
    }
    return NULL;
}

bool torture_worker_ended(torture_rig *rig, pid_t pid, int status)
{
    for (int i = 0; i < rig->options->workers; i++) {
        torture_worker *worker = &rig->workers[i];
        if (worker->pid != pid) continue;
        torture_note_died(rig, worker, status);
        worker->pid = 0;
        worker->stopped = false;
        worker->start_at = torture_now() + torture_between(&rig->rng, 0, REST_MAX_MS) * TORTURE_MS;
        return true;
    }
    return false;
}

int torture_workers_running(const torture_rig *rig)
{
    int running = 0;
    for (int i = 0; i < rig->options->workers; i++) running += rig->workers[i].pid != 0;
    return running;
}

void torture_workers_close(torture_rig *rig)
{
    for (int i = 0; i < rig->options->workers; i++) {
        torture_child_end(rig->workers[i].pid, SIGKILL);
        rig->workers[i].pid = 0;
    }
}
