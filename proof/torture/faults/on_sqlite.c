/* SPDX-License-Identifier: MIT */
/* The file between two states: a writer is stopped in the middle of a transaction. */
#include "faults.h"

#include <signal.h>
#include <sqlite3.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>

/* Where SQLite's WAL locks its writer: one byte of the -shm file. */
#define WRITER_BYTE "120 120"
#define HUNT_NS     (60 * TORTURE_MS)

/* The process that has the writer's lock now; 0: none. */
static pid_t writer_now(ino_t shm)
{
    char line[160], inode[32];
    pid_t writer = 0;
    snprintf(inode, sizeof inode, ":%llu ", (unsigned long long)shm);
    FILE *locks = fopen("/proc/locks", "re");
    if (!locks) return 0;
    while (!writer && fgets(line, sizeof line, locks)) {
        const char *at = strstr(line, " WRITE ");
        if (at && strstr(at, inode) && strstr(at, WRITER_BYTE))
            writer = (pid_t)strtol(at + 7, NULL, 10);
    }
    fclose(locks);
    return writer;
}

static torture_worker *worker_of(torture_rig *rig, pid_t pid)
{
    for (int i = 0; i < rig->options->workers; i++) {
        torture_worker *worker = &rig->workers[i];
        if (worker->pid == pid && !worker->stopped) return worker;
    }
    return NULL;
}

/* Stops it; true once it stands still. */
static bool stop(torture_rig *rig, torture_worker *worker)
{
    int status = 0;
    pid_t pid = worker->pid;
    kill(pid, SIGSTOP);
    if (waitpid(pid, &status, WUNTRACED) == pid && WIFSTOPPED(status)) return true;
    torture_worker_ended(rig, pid, status);
    return false;
}

/* A worker that stands still with the writer's lock, or NULL. */
static torture_worker *catch_in_write(torture_rig *rig)
{
    char path[TORTURE_FILE_MAX];
    struct stat st;
    if (stat(torture_path(path, rig->disk, "pawl.db-shm"), &st) != 0) return NULL;
    for (int64_t until = torture_now() + HUNT_NS; torture_now() < until;) {
        pid_t writer = writer_now(st.st_ino);
        torture_worker *worker = writer ? worker_of(rig, writer) : NULL;
        if (!worker || !stop(rig, worker)) continue;
        if (writer_now(st.st_ino) == writer) return worker;
        kill(writer, SIGCONT); /* it had just finished */
    }
    return NULL;
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
