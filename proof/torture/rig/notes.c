/* SPDX-License-Identifier: MIT */
#include "../canary.h"
#include "hunger.h"
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int open_file(torture_rig *rig, const char *name)
{
    char path[TORTURE_FILE_MAX];
    int fd = open(torture_path(path, rig->history, name), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC,
                  0600);
    if (fd >= 0) return fd;
    torture_say("%s: %s", path, strerror(errno));
    rig->broken = true;
    return -1;
}

static void write_line(torture_rig *rig, int fd, const char *line, int len)
{
    if (fd >= 0 && write(fd, line, (size_t)len) == len) return;
    if (!rig->broken) torture_say("a history cannot be written: %s", strerror(errno));
    rig->broken = true;
}

/* ---- The machine ---------------------------------------------------------------------- */

static _Atomic int stood_fd = -1; /* the rigs come one after the other, and the canary lives on */

/* On the watching thread: one write. Whatever is wrong with the file others notice, too. */
static void note_machine(int64_t at, const char *what, int64_t span_ns)
{
    char line[64];
    int len = snprintf(line, sizeof line, "%" PRId64 " %s - - %" PRId64 "\n", at, what, span_ns);
    while (write(stood_fd, line, (size_t)len) < 0 && errno == EINTR) continue;
}

static void note_stood(int64_t at, int64_t span_ns)
{
    note_machine(at, "stood", span_ns);
}

static void note_starved(int64_t at, int64_t waited_ns)
{
    note_machine(at, "starved", waited_ns);
}

static bool watch_machine(int fd)
{
    static bool watches;
    atomic_store(&stood_fd, fd);
    if (!watches) watches = torture_canary_start(note_stood) && torture_hunger_start(note_starved);
    return watches;
}

/* ---- Facts ------------------------------------------------------------------------------ */

bool torture_notes_open(torture_rig *rig)
{
    const char *names[] = {"run", "after", "resource"};
    for (int i = 0; i < 3; i++) {
        int fd = open_file(rig, names[i]);
        if (fd >= 0) close(fd);
    }
    rig->faults_fd = open_file(rig, "faults");
    return !rig->broken && watch_machine(rig->faults_fd);
}

static void add_line(torture_rig *rig, const char *name, const char *before, const char *format,
                     va_list args)
{
    char text[400], line[512];
    vsnprintf(text, sizeof text, format, args);
    int len = snprintf(line, sizeof line, "%s%s\n", before, text);
    int fd = open_file(rig, name);
    write_line(rig, fd, line, len);
    if (fd >= 0) close(fd);
}

void torture_note_fact(torture_rig *rig, const char *name, const char *format, ...)
{
    char before[40];
    va_list args;
    va_start(args, format);
    snprintf(before, sizeof before, "%s ", name);
    add_line(rig, "run", before, format, args);
    va_end(args);
}

void torture_note_left(torture_rig *rig, const char *format, ...)
{
    va_list args;
    va_start(args, format);
    add_line(rig, "after", "", format, args);
    va_end(args);
}

static void note(torture_rig *rig, const char *what, const char *fault,
                 const torture_worker *worker, int64_t number)
{
    char who[32] = "-", line[160];
    if (worker) snprintf(who, sizeof who, "%d.%d", worker->slot, worker->life);
    int len = snprintf(line, sizeof line, "%" PRId64 " %s %s %s %" PRId64 "\n", torture_now(), what,
                       fault, who, number);
    write_line(rig, rig->faults_fd, line, len);
}

void torture_note_begin(torture_rig *rig, const char *fault, const torture_worker *worker,
                        torture_hurt hurts)
{
    note(rig, "begin", fault, worker, (int64_t)hurts);
}

void torture_note_forgets(torture_rig *rig, const char *fault)
{
    note(rig, "forgets", fault, NULL, 0);
}

void torture_note_loses(torture_rig *rig, const char *fault)
{
    note(rig, "loses", fault, NULL, 0);
}

void torture_note_end(torture_rig *rig, const char *fault, const torture_worker *worker)
{
    note(rig, "end", fault, worker, 0);
}

void torture_note_died(torture_rig *rig, const torture_worker *worker, int status)
{
    note(rig, "died", "-", worker, status);
}

static int64_t commands_executed(torture_rig *rig)
{
    char text[TORTURE_ANSWER_MAX], *found;
    int64_t count;
    if (!(rig->setup->has & TORTURE_REDIS) || !torture_primary(rig)->pid) return -1;
    if (!torture_redis(rig, torture_primary(rig), text, "INFO stats")) return -1;
    found = strstr(text, "total_commands_processed:");
    return found && sscanf(found, "%*[^:]:%" SCNd64, &count) == 1 ? count : -1;
}

void torture_note_phase(torture_rig *rig, const char *phase)
{
    note(rig, phase, "-", NULL, commands_executed(rig));
}
