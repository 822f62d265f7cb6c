/* SPDX-License-Identifier: MIT */
/* Processes that die, stand still, or do not get what they need. */
#include "faults.h"

#include <dirent.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

/* ---- SIGKILL ------------------------------------------------------------------------ */

static bool begin_kill(torture_rig *rig, torture_active *active)
{
    (void)active;
    torture_worker *worker = torture_worker_draw(rig, true);
    if (!worker) return false;
    torture_note_begin(rig, torture_fault_kill_worker.name, worker, TORTURE_HURTS_ITS_WORKER);
    kill(worker->pid, SIGKILL);
    return true;
}

const torture_fault torture_fault_kill_worker = {
    .name = "kill-worker",
    .what = "SIGKILL; the slot gets a new process a moment later",
    .begin = begin_kill,
};

/* ---- SIGSTOP ------------------------------------------------------------------------- */

static bool begin_stop(torture_rig *rig, torture_active *active)
{
    torture_worker *worker = torture_worker_draw(rig, false);
    if (!worker) return false;
    torture_hurts(active, worker);
    torture_lasts(rig, active, 1, 3 * rig->options->ttl_ms);
    torture_note_begin(rig, torture_fault_stop_worker.name, worker, TORTURE_HURTS_ITS_WORKER);
    worker->stopped = true;
    kill(worker->pid, SIGSTOP);
    return true;
}

static void end_stop(torture_rig *rig, torture_active *active)
{
    torture_worker *worker = torture_still(active);
    if (!worker) return;
    kill(worker->pid, SIGCONT);
    worker->stopped = false;
    torture_note_end(rig, torture_fault_stop_worker.name, worker);
}

const torture_fault torture_fault_stop_worker = {
    .name = "stop-worker",
    .what = "SIGSTOP for up to three ttl",
    .more = 3, /* the fault that locks are feared for */
    .begin = begin_stop,
    .end = end_stop,
};

/* ---- Limits ----------------------------------------------------------------------------- */

/* One above the largest descriptor in use: nothing can be opened. 0: cannot tell. */
static rlim_t files_in_use(pid_t pid)
{
    char path[64];
    rlim_t top = 0;
    snprintf(path, sizeof path, "/proc/%d/fd", (int)pid);
    DIR *dir = opendir(path);
    if (!dir) return 0;
    for (struct dirent *each; (each = readdir(dir));) {
        rlim_t fd = strtoul(each->d_name, NULL, 10);
        if (each->d_name[0] != '.' && fd >= top) top = fd + 1;
    }
    closedir(dir);
    return top;
}

/* The address space in use; 0: cannot tell. */
static rlim_t memory_in_use(pid_t pid)
{
    char path[64];
    uint64_t pages = 0;
    snprintf(path, sizeof path, "/proc/%d/statm", (int)pid);
    FILE *file = fopen(path, "re");
    if (!file) return 0;
    if (fscanf(file, "%" SCNu64, &pages) != 1) pages = 0;
    fclose(file);
    return pages * 4096;
}

/* A worker that is up: without a descriptor for its history it would end. */
static torture_worker *unlimited(torture_rig *rig)
{
    torture_worker *worker = torture_worker_draw(rig, false);
    bool may = worker && !worker->limited && atomic_load(&rig->board->up[worker->slot]);
    return may ? worker : NULL;
}

static bool limit(torture_rig *rig, torture_active *active, const char *fault, int what,
                  rlim_t (*in_use)(pid_t))
{
    torture_worker *worker = unlimited(rig);
    rlim_t most = worker ? in_use(worker->pid) : 0;
    struct rlimit limit = {.rlim_cur = most, .rlim_max = RLIM_INFINITY}, before;
    if (!most || prlimit(worker->pid, what, NULL, &before) != 0) return false;
    limit.rlim_max = before.rlim_max;
    torture_hurts(active, worker);
    torture_lasts(rig, active, 50, 3 * rig->options->ttl_ms);
    torture_note_begin(rig, fault, worker, TORTURE_HURTS_ITS_WORKER);
    worker->limited = true;
    prlimit(worker->pid, what, &limit, NULL);
    return true;
}

static void unlimit(torture_rig *rig, torture_active *active, const char *fault, int what)
{
    torture_worker *worker = torture_still(active);
    struct rlimit limit;
    if (!worker || prlimit(worker->pid, what, NULL, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    prlimit(worker->pid, what, &limit, NULL);
    worker->limited = false;
    torture_note_end(rig, fault, worker);
}

static bool begin_files(torture_rig *rig, torture_active *active)
{
    return limit(rig, active, torture_fault_limit_files.name, RLIMIT_NOFILE, files_in_use);
}

static void end_files(torture_rig *rig, torture_active *active)
{
    unlimit(rig, active, torture_fault_limit_files.name, RLIMIT_NOFILE);
}

const torture_fault torture_fault_limit_files = {
    .name = "limit-files",
    .what = "RLIMIT_NOFILE: a process can open nothing, and so not connect again",
    .begin = begin_files,
    .end = end_files,
};

static bool begin_memory(torture_rig *rig, torture_active *active)
{
    return limit(rig, active, torture_fault_limit_memory.name, RLIMIT_AS, memory_in_use);
}

static void end_memory(torture_rig *rig, torture_active *active)
{
    unlimit(rig, active, torture_fault_limit_memory.name, RLIMIT_AS);
}

const torture_fault torture_fault_limit_memory = {
    .name = "limit-memory",
    .what = "RLIMIT_AS: a process gets no more memory",
    .begin = begin_memory,
    .end = end_memory,
};
