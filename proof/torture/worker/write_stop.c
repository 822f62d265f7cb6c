/* SPDX-License-Identifier: MIT */
#include "write_stop.h"

#include <sqlite3.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOOK_NS (TORTURE_MS / 10)

typedef ssize_t write_at(int fd, const void *data, size_t len, off_t offset);

static struct {
    torture_board *board;
    int slot;
    pid_t self; /* a child of fork is none of the rig's processes */
    write_at *pwrite;
} here;

static bool is_the_log(int fd)
{
    struct stat st;
    return fstat(fd, &st) == 0 && st.st_dev == atomic_load(&here.board->log_dev) &&
           st.st_ino == atomic_load(&here.board->log_ino);
}

/* Until the rig has stopped this process, and so beyond. */
static void stay(int stop)
{
    while (atomic_load(&here.board->writes_to_stop) == stop) torture_sleep_ns(LOOK_NS);
}

static void stay_if_wanted(int fd)
{
    _Atomic int *writes = &here.board->writes_to_stop;
    int left = atomic_load(writes), stop = TORTURE_STOPS(here.slot);
    if (left <= 0 || getpid() != here.self || !is_the_log(fd)) return;
    while (left > 0) {
        int next = left > 1 ? left - 1 : stop;
        if (!atomic_compare_exchange_weak(writes, &left, next)) continue;
        if (next == stop) stay(stop);
        return;
    }
}

static ssize_t write_or_stay(int fd, const void *data, size_t len, off_t offset)
{
    stay_if_wanted(fd);
    return here.pwrite(fd, data, len, offset);
}

/* SQLite was built with one of the two; the other one has no function. */
static const char *name_of_write(sqlite3_vfs *vfs)
{
    return vfs->xGetSystemCall(vfs, "pwrite64") ? "pwrite64" : "pwrite";
}

void torture_write_stop_install(torture_board *board, int slot)
{
    sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
    if (!vfs || vfs->iVersion < 3) return;
    const char *name = name_of_write(vfs);
    here.pwrite = (write_at *)vfs->xGetSystemCall(vfs, name);
    if (!here.pwrite) return;
    here.board = board;
    here.slot = slot;
    here.self = getpid();
    vfs->xSetSystemCall(vfs, name, (sqlite3_syscall_ptr)write_or_stay);
}
