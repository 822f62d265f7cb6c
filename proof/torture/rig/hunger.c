/* SPDX-License-Identifier: MIT */
#include "hunger.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LOOK_NS    (100 * TORTURE_MS)
#define STARVED_NS (50 * TORTURE_MS) /* of a look: half of the time */
#define DEPTH_MAX  8                 /* of children's children */
#define ROOM       8192              /* threads that are known at once */

/* What the kernel had counted for a thread at the latest look. */
typedef struct known {
    long tid;
    unsigned look; /* 0: nobody */
    int64_t waited_ns;
} known;

static known table[ROOM];
static unsigned looks;
static int64_t most_ns; /* in the present look */
static torture_starved on_starved;

/* ---- What is known ----------------------------------------------------------------------- */

/* Whom the latest look did not find is gone, and its place is free. NULL: there is no room. */
static known *find(long tid)
{
    known *place = NULL;
    for (unsigned i = 0; i < ROOM; i++) {
        known *k = &table[((unsigned)tid * 2654435761u + i) % ROOM];
        if (k->tid == tid && k->look && k->look + 1 >= looks) return k;
        bool is_free = k->look + 1 < looks || !k->look;
        if (is_free && !place) place = k;
        if (!k->look) break;
    }
    if (place) *place = (known){.tid = tid};
    return place;
}

/* Who came since the latest look has waited within it; at the first look nobody is judged. */
static void note(long tid, int64_t waited_ns)
{
    known *k = find(tid);
    if (!k) return;
    int64_t now_ns = waited_ns - k->waited_ns;
    if (looks > 1 && now_ns > most_ns) most_ns = now_ns;
    k->waited_ns = waited_ns;
    k->look = looks;
}

/* ---- The kernel's words ------------------------------------------------------------------ */

/* The file's beginning, NUL-terminated; false: it is not there. */
static bool read_file(const char *path, char *ret_text, size_t room)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    ssize_t n = read(fd, ret_text, room - 1);
    close(fd);
    ret_text[n > 0 ? n : 0] = '\0';
    return n > 0;
}

static void look_at_process(long pid, int depth);

/* Its waiting, and the processes that this thread has started. */
static void look_at_thread(long pid, long tid, int depth)
{
    char path[64], text[2048];
    int64_t ran_ns, waited_ns;
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/schedstat", pid, tid);
    if (read_file(path, text, sizeof text) &&
        sscanf(text, "%" SCNd64 " %" SCNd64, &ran_ns, &waited_ns) == 2)
        note(tid, waited_ns);
    snprintf(path, sizeof path, "/proc/%ld/task/%ld/children", pid, tid);
    if (depth == DEPTH_MAX || !read_file(path, text, sizeof text)) return;
    char *rest = text;
    for (char *word; (word = strsep(&rest, " ")) != NULL;)
        if (*word) look_at_process(strtol(word, NULL, 10), depth + 1);
}

static void look_at_process(long pid, int depth)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%ld/task", pid);
    DIR *threads = opendir(path);
    if (!threads) return; /* it has gone */
    for (const struct dirent *entry; (entry = readdir(threads)) != NULL;)
        if (isdigit((unsigned char)entry->d_name[0]))
            look_at_thread(pid, strtol(entry->d_name, NULL, 10), depth);
    closedir(threads);
}

static void *watch(void *unused)
{
    (void)unused;
    for (;;) {
        torture_sleep_ns(LOOK_NS);
        looks++;
        most_ns = 0;
        look_at_process(getpid(), 0);
        if (most_ns >= STARVED_NS) on_starved(torture_now(), most_ns);
    }
    return NULL;
}

bool torture_hunger_start(torture_starved starved)
{
    pthread_t thread;
    sigset_t all, before;
    on_starved = starved;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    bool fine = pthread_create(&thread, NULL, watch, NULL) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (fine) pthread_detach(thread);
    return fine;
}
