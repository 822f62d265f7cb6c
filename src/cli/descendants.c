/* SPDX-License-Identifier: MIT */
/*
 * /proc/PID/stat names each process's parent. Read in one pass and then followed
 * upwards. It does not matter if a process ends meanwhile; a process that is born meanwhile is
 * found by the caller's next round.
 */
#define _GNU_SOURCE /* pidfd_open, getdents64, mremap */
#include "descendants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

typedef descendants_process process;
typedef descendants_list list;

/* Nobody leaves more children behind an exec. */
#define STRANGERS_MAX 64
static pid_t strangers[STRANGERS_MAX];
static size_t stranger_count;

/* ---- Lists ---------------------------------------------------------------------- */

/* From the kernel, not from malloc: its mutex may belong to a thread that we do not have. */
static bool grow(list *l)
{
    size_t room = l->room ? l->room * 2 : 256, size = room * sizeof *l->items;
    void *items =
        l->items ? mremap(l->items, l->room * sizeof *l->items, size, MREMAP_MAYMOVE)
                 : mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (items == MAP_FAILED) return false;
    l->items = items;
    l->room = room;
    return true;
}

static void done(list *l)
{
    if (l->items) munmap(l->items, l->room * sizeof *l->items);
    *l = (list){0};
}

/* Keeps the list in the order of pids, which is the kernel's own. */
static bool append(list *l, const process *item)
{
    if (l->count == l->room && !grow(l)) return false;
    size_t at = l->count++;
    for (; at > 0 && l->items[at - 1].pid > item->pid; at--) l->items[at] = l->items[at - 1];
    l->items[at] = *item;
    return true;
}

static const process *find(const list *l, pid_t pid)
{
    size_t low = 0, high = l->count;
    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (l->items[middle].pid < pid) {
            low = middle + 1;
        } else {
            high = middle;
        }
    }
    return low < l->count && l->items[low].pid == pid ? &l->items[low] : NULL;
}

/* ---- Reading /proc --------------------------------------------------------------- */

/* The next number of a line of /proc/PID/stat. */
static uint64_t next_number(const char **at)
{
    char *end;
    uint64_t number = strtoull(*at, &end, 10);
    *at = end;
    return number;
}

#define FIELD_SESSION 6
#define FIELD_BORN    22

/* "pid (name, which may hold anything) state ppid pgrp session ... starttime ..." */
static bool parse(const char *text, pid_t pid, process *ret_process)
{
    const char *at = strrchr(text, ')');
    if (!at || at[1] != ' ' || !at[2]) return false;
    char state = at[2];
    at += 3;
    *ret_process = (process){.pid = pid, .dead = state == 'Z' || state == 'X'};
    ret_process->parent = (pid_t)next_number(&at);
    ret_process->group = (pid_t)next_number(&at);
    ret_process->session = (pid_t)next_number(&at);
    for (int field = FIELD_SESSION + 1; field < FIELD_BORN; field++) (void)next_number(&at);
    ret_process->born = next_number(&at);
    return ret_process->born != 0 || *at != '\0';
}

static bool read_process(int proc, pid_t pid, process *ret_process)
{
    char path[32], text[1024];
    char *start = path + sizeof path - sizeof "/stat";
    memcpy(start, "/stat", sizeof "/stat");
    for (unsigned rest = (unsigned)pid; rest; rest /= 10) *--start = (char)('0' + rest % 10);
    int fd = openat(proc, start, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0) return false;
    text[len] = '\0';
    return parse(text, pid, ret_process);
}

static bool take_entries(int proc, const char *entries, size_t len, list *ret_list)
{
    for (size_t at = 0; at < len;) {
        const struct dirent64 *entry = (const void *)(entries + at);
        at += entry->d_reclen;
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        process found;
        if (*end != '\0' || pid <= 0) continue;
        if (read_process(proc, (pid_t)pid, &found) && !append(ret_list, &found)) return false;
    }
    return true;
}

static bool read_processes(int proc, list *ret_list)
{
    _Alignas(struct dirent64) char entries[8192];
    for (;;) {
        ssize_t len = getdents64(proc, entries, sizeof entries);
        if (len < 0 || !take_entries(proc, entries, (size_t)len, ret_list)) return false;
        if (len == 0) return ret_list->count > 0;
    }
}

/* ---- Who is whose ------------------------------------------------------------------ */

static bool is_stranger(pid_t pid)
{
    for (size_t i = 0; i < stranger_count; i++) {
        if (strangers[i] == pid) return true;
    }
    return false;
}

static bool is_keeper(const descendants *family, pid_t pid)
{
    return pid != 0 && (pid == family->keepers[0] || pid == family->keepers[1]);
}

static bool stands_in(const list *l, const process *p)
{
    const process *noted = find(l, p->pid);
    return noted && noted->born == p->born;
}

/* The nearest of its ancestors that was seen below the command before, maybe p itself. */
static const process *member_above(const descendants *family, const list *all, const process *p)
{
    for (size_t steps = 0; p && steps <= all->count; steps++) {
        if (is_keeper(family, p->pid)) return NULL; /* the command may be their parent: process 1 */
        if (stands_in(&family->members, p)) return p;
        p = find(all, p->parent);
    }
    return NULL;
}

/* The ancestor that is a keeper's child, maybe p itself; NULL if p descends from no keeper. */
static const process *top_of(const descendants *family, const list *all, const process *p)
{
    if (family->adopted) return member_above(family, all, p);
    /* A pass over changing data could show a circle: no chain is longer than the list. */
    for (size_t steps = 0; p && steps <= all->count; steps++) {
        if (is_stranger(p->pid) || is_keeper(family, p->pid)) return NULL;
        if (is_keeper(family, p->parent)) return p;
        p = find(all, p->parent);
    }
    return NULL;
}

/* Replaces an older process of that number. false: no memory. */
static bool note(list *l, const process *p)
{
    const process *noted = find(l, p->pid);
    if (!noted) return append(l, p);
    l->items[noted - l->items] = *p;
    return true;
}

/* The children of a daemon belong to it, also when it has died: so they are noted, too. */
static bool is_daemon(descendants *family, const list *all, const process *p)
{
    if (family->daemons_too || family->adopted) return false;
    const process *ancestor = p;
    for (size_t steps = 0; ancestor && steps <= all->count; steps++) {
        if (stands_in(&family->daemons, ancestor)) break;
        if (is_keeper(family, ancestor->parent)) return false;
        ancestor = find(all, ancestor->parent);
    }
    /* Without memory it stays unnoted, and is killed like the others. */
    if (ancestor && ancestor != p) (void)note(&family->daemons, p);
    return ancestor != NULL;
}

static bool is_session_of_command(const descendants *family, const list *all, pid_t session)
{
    if (session == getsid(0) || session == family->command) return true;
    for (size_t i = 0; i < all->count; i++) {
        const process *p = &all->items[i];
        if (p->session != session || p->dead) continue;
        const process *top = top_of(family, all, p);
        if (top && top->pid == family->command) return true;
    }
    return false;
}

static void note_daemons(descendants *family, const list *all)
{
    family->noted = true;
    for (size_t i = 0; !family->adopted && i < all->count; i++) {
        const process *p = &all->items[i];
        if (p->dead || p->pid == family->command || top_of(family, all, p) != p) continue;
        if (!is_session_of_command(family, all, p->session)) (void)note(&family->daemons, p);
    }
}

/* Each pass over the processes notes them: a child stays known when its parent dies. */
static void note_members(descendants *family, const list *all)
{
    for (size_t i = 0; family->adopted && i < all->count; i++) {
        const process *p = &all->items[i];
        if (!p->dead && member_above(family, all, p)) (void)note(&family->members, p);
    }
}

/* ---- Signals ------------------------------------------------------------------------- */

/* By pidfd: if the number was given to a new process meanwhile, that one was born later. */
static void signal_process(int proc, const process *target, int number, descendants_count *count)
{
    int fd = pidfd_open(target->pid, 0);
    process now;
    bool same = fd >= 0 && read_process(proc, target->pid, &now) && now.born == target->born;
    if (same && pidfd_send_signal(fd, number, NULL, 0) == 0) {
        count->reached++;
    } else if (same && errno == EPERM) {
        count->denied++;
        count->denied_pid = target->pid;
    }
    if (fd >= 0) close(fd);
}

static bool is_spared(const process *p, descendants_spared spared)
{
    if (p->dead) return true; /* a zombie takes no signal */
    if (p->pid == spared.pid) return true;
    return spared.group && p->group == spared.group;
}

static int open_proc(void)
{
    return open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

bool descendants_adopt(descendants *family, pid_t command)
{
    process found = {0};
    int proc = open_proc();
    bool lives = proc >= 0 && read_process(proc, command, &found) && !found.dead;
    if (proc >= 0) close(proc);
    family->command = command;
    family->adopted = true;
    return lives && note(&family->members, &found);
}

bool descendants_signal(descendants *family, int number, descendants_spared spared,
                        descendants_count *ret_count)
{
    list all = {0};
    *ret_count = (descendants_count){0};
    int proc = open_proc();
    bool complete = proc >= 0 && read_processes(proc, &all);
    if (complete && !family->noted) note_daemons(family, &all);
    if (complete) note_members(family, &all);
    for (size_t i = 0; complete && i < all.count; i++) {
        const process *p = &all.items[i];
        if (is_spared(p, spared) || !top_of(family, &all, p)) continue;
        if (!is_daemon(family, &all, p)) signal_process(proc, p, number, ret_count);
    }
    done(&all);
    if (proc >= 0) close(proc);
    return complete;
}

void descendants_note_daemons(descendants *family)
{
    list all = {0};
    if (family->noted) return;
    int proc = open_proc();
    if (proc >= 0 && read_processes(proc, &all)) note_daemons(family, &all);
    done(&all);
    if (proc >= 0) close(proc);
}

/* ---- Strangers ------------------------------------------------------------------------ */

/* Children of any kind and in any state: one system call, where /proc takes three for each. */
static bool have_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 || errno != ECHILD;
}

void descendants_begin(void)
{
    list all = {0};
    stranger_count = 0;
    if (!have_children()) return;
    int proc = open_proc();
    if (proc >= 0 && read_processes(proc, &all)) {
        pid_t self = getpid();
        for (size_t i = 0; i < all.count && stranger_count < STRANGERS_MAX; i++) {
            if (all.items[i].parent == self) strangers[stranger_count++] = all.items[i].pid;
        }
    }
    done(&all);
    if (proc >= 0) close(proc);
}
