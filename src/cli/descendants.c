/* SPDX-License-Identifier: MIT */
/*
 * Who descends from us: /proc/PID/stat names each process's parent. Read in one
 * pass and then followed upwards; a process that ended in between is no loss, and
 * one that was born in between is found by the caller's next round.
 */
#define _GNU_SOURCE /* pidfd_open */
#include "descendants.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct process {
    pid_t pid, parent, group, session;
    bool dead;
} process;

/* More than that nobody leaves behind an exec. */
#define STRANGERS_MAX 64
static pid_t strangers[STRANGERS_MAX];
static size_t stranger_count;

typedef struct process_list {
    process *items;
    size_t count, room;
} process_list;

/* "pid (name, which may hold anything) state ppid pgrp session ..." */
static bool read_process(pid_t pid, process *ret_process)
{
    char path[64], text[512];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t len = read(fd, text, sizeof text - 1);
    close(fd);
    if (len <= 0) return false;
    text[len] = '\0';

    char state = 0;
    int parent = 0, group = 0, session = 0;
    const char *name_end = strrchr(text, ')');
    if (!name_end) return false;
    if (sscanf(name_end + 1, " %c %d %d %d", &state, &parent, &group, &session) != 4) return false;
    *ret_process = (process){pid, parent, group, session, state == 'Z' || state == 'X'};
    return true;
}

static bool append(process_list *list, process item)
{
    if (list->count == list->room) {
        size_t room = list->room ? list->room * 2 : 256;
        process *items = realloc(list->items, room * sizeof *items);
        if (!items) return false;
        list->items = items;
        list->room = room;
    }
    list->items[list->count++] = item;
    return true;
}

static bool read_processes(process_list *ret_list)
{
    DIR *proc = opendir("/proc");
    if (!proc) return false;
    bool complete = true;
    for (struct dirent *entry; complete && (entry = readdir(proc));) {
        char *end;
        long pid = strtol(entry->d_name, &end, 10);
        process found;
        if (*end != '\0' || pid <= 0) continue;
        if (read_process((pid_t)pid, &found)) complete = append(ret_list, found);
    }
    closedir(proc);
    return complete && ret_list->count > 0;
}

static const process *find(const process_list *list, pid_t pid)
{
    for (size_t i = 0; i < list->count; i++) {
        if (list->items[i].pid == pid) return &list->items[i];
    }
    return NULL;
}

static bool is_stranger(pid_t pid)
{
    for (size_t i = 0; i < stranger_count; i++) {
        if (strangers[i] == pid) return true;
    }
    return false;
}

static bool descends_from(const process_list *list, const process *child, pid_t ancestor)
{
    /* A pass over changing data could show a circle: no chain is longer than the list. */
    for (size_t steps = 0; child && steps <= list->count; steps++) {
        if (is_stranger(child->pid)) return false;
        if (child->parent == ancestor) return true;
        child = find(list, child->parent);
    }
    return false;
}

/* By pidfd: if the number was given to a new process, its parent is another one. */
static bool signal_process(const process *target, int number)
{
    int fd = pidfd_open(target->pid, 0);
    if (fd < 0) return false;
    process now;
    bool same =
        read_process(target->pid, &now) && (now.parent == target->parent || now.parent == getpid());
    bool sent = same && pidfd_send_signal(fd, number, NULL, 0) == 0;
    close(fd);
    return sent;
}

/* Of any kind and in any state: one system call, where /proc costs three per process. */
static bool have_children(void)
{
    siginfo_t info;
    return waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0 || errno != ECHILD;
}

void descendants_begin(void)
{
    process_list list = {0};
    stranger_count = 0;
    if (have_children() && read_processes(&list)) {
        pid_t self = getpid();
        for (size_t i = 0; i < list.count && stranger_count < STRANGERS_MAX; i++) {
            if (list.items[i].parent == self) strangers[stranger_count++] = list.items[i].pid;
        }
    }
    free(list.items);
}

static bool is_spared(const process *p, descendants_scope scope)
{
    if (p->dead) return true; /* a zombie takes no signal */
    if (p->pid == scope.spared_pid) return true;
    if (scope.spared_group && p->group == scope.spared_group) return true;
    return scope.session && p->session != scope.session;
}

int descendants_signal(int number, descendants_scope scope)
{
    process_list list = {0};
    if (!read_processes(&list)) {
        free(list.items);
        return -1;
    }
    int reached = 0;
    pid_t self = getpid();
    for (size_t i = 0; i < list.count; i++) {
        const process *p = &list.items[i];
        if (is_spared(p, scope) || !descends_from(&list, p, self)) continue;
        if (signal_process(p, number)) reached++;
    }
    free(list.items);
    return reached;
}
