/* SPDX-License-Identifier: MIT */
/* The file between two states: a writer is stopped in the middle of a transaction. */
#include "faults.h"

#include <signal.h>
#include <sqlite3.h>
#include <sys/stat.h>
#include <sys/wait.h>

#define HUNT_NS    (200 * TORTURE_MS) /* somebody writes each few ms, unless the file is hurt */
#define LOOK_NS    (TORTURE_MS / 10)
#define WRITES_MAX 2 /* a page is two: what it is, and itself */

/* One of the next who write to the log is to stay there. */
static bool arm(torture_rig *rig)
{
    char path[TORTURE_FILE_MAX];
    struct stat st;
    if (stat(torture_path(path, rig->disk, "pawl.db-wal"), &st) != 0) return false;
    atomic_store(&rig->board->log_dev, st.st_dev);
    atomic_store(&rig->board->log_ino, st.st_ino);
    int writes = (int)torture_between(&rig->rng, 1, WRITES_MAX);
    atomic_store(&rig->board->writes_to_stop, writes);
    return true;
}

/* Stops it; true once it stands still. It may die first. */
static bool stop(torture_rig *rig, const torture_worker *worker)
{
    int status = 0;
    pid_t pid = worker->pid;
    kill(pid, SIGSTOP);
    if (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status)) return true;
    torture_worker_ended(rig, pid, status);
    return false;
}

/* A worker that stands still in the middle of a transaction, or NULL. */
static torture_worker *catch_in_write(torture_rig *rig)
{
    _Atomic int *writes = &rig->board->writes_to_stop;
    torture_worker *worker = NULL;
    if (!arm(rig)) return NULL;
    for (int64_t until = torture_now() + HUNT_NS; torture_now() < until;) {
        if (atomic_load(writes) < 0) break;
        torture_sleep_ns(LOOK_NS);
    }
    int left = atomic_load(writes); /* > 0: the hunt is over, but one may come at this moment */
    while (left > 0 && !atomic_compare_exchange_weak(writes, &left, 0)) continue;
    if (left < 0 && stop(rig, &rig->workers[TORTURE_STOPS(left)]))
        worker = &rig->workers[TORTURE_STOPS(left)];
    atomic_store(writes, 0);
    return worker;
}

static bool begin_kill(torture_rig *rig, torture_active *active)
{
    (void)active;
    torture_worker *worker = catch_in_write(rig);
    if (!worker) return false;
    torture_note_begin(rig, torture_fault_kill_in_write.name, worker, TORTURE_HURTS_ALL);
    kill(worker->pid, SIGKILL);
    return true;
}

const torture_fault torture_fault_kill_in_write = {
    .name = "kill-in-write",
    .what = "SIGKILL in the middle of a transaction",
    .needs = TORTURE_SQLITE,
    .begin = begin_kill,
};

static bool begin_stop(torture_rig *rig, torture_active *active)
{
    torture_worker *worker = catch_in_write(rig);
    if (!worker) return false;
    worker->stopped = true;
    torture_hurts(active, worker);
    torture_lasts(rig, active, 1, rig->options->ttl_ms * 3 / 2);
    torture_note_begin(rig, torture_fault_stop_in_write.name, worker, TORTURE_HURTS_ALL);
    return true;
}

static void end_stop(torture_rig *rig, torture_active *active)
{
    torture_worker *worker = torture_still(active);
    if (!worker) return;
    kill(worker->pid, SIGCONT);
    worker->stopped = false;
    torture_note_end(rig, torture_fault_stop_in_write.name, worker);
}

const torture_fault torture_fault_stop_in_write = {
    .name = "stop-in-write",
    .what = "SIGSTOP in the middle of a transaction: nobody else can write",
    .needs = TORTURE_SQLITE,
    .begin = begin_stop,
    .end = end_stop,
};

/* ---- A stranger in the file ------------------------------------------------------------- */

static sqlite3 *stranger; /* one fault of a kind is under way at a time */

static bool begin_busy(torture_rig *rig, torture_active *active)
{
    char path[TORTURE_FILE_MAX];
    torture_path(path, rig->disk, "pawl.db");
    if (sqlite3_open_v2(path, &stranger, SQLITE_OPEN_READWRITE, NULL) != SQLITE_OK ||
        sqlite3_exec(stranger, "BEGIN IMMEDIATE", NULL, NULL, NULL) != SQLITE_OK) {
        sqlite3_close(stranger);
        stranger = NULL;
        return false;
    }
    torture_lasts(rig, active, 10, rig->options->ttl_ms * 3 / 2);
    torture_note_begin(rig, torture_fault_file_busy.name, NULL, TORTURE_HURTS_ALL);
    return true;
}

static void end_busy(torture_rig *rig, torture_active *active)
{
    (void)active;
    sqlite3_close(stranger); /* rolls back */
    stranger = NULL;
    torture_note_end(rig, torture_fault_file_busy.name, NULL);
}

const torture_fault torture_fault_file_busy = {
    .name = "file-busy",
    .what = "a stranger has the file's write lock for up to one and a half ttl",
    .needs = TORTURE_SQLITE,
    .begin = begin_busy,
    .end = end_busy,
};
