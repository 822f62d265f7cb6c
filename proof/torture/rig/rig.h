/* SPDX-License-Identifier: MIT */
/* Everything that one setup has running, and what the faults may do with it. */
#ifndef PAWL_TORTURE_RIG_H
#define PAWL_TORTURE_RIG_H

#include "../board.h"
#include "../history.h"
#include "../options.h"
#include "setup.h"

#include <sys/types.h>

#define TORTURE_SERVERS_MAX 3

typedef struct torture_server {
    pid_t pid; /* 0: not running */
    int port;  /* 0: none */
    int peer_port;
    char dir[TORTURE_FILE_MAX];
    char socket[108]; /* sun_path's size; or a port, in digits */
    bool waits;       /* stopped, paused or asleep: it answers nobody now */
    bool stays_down;  /* a fault that is under way wants it so */
    int64_t begun_at;
    int vote_port;
    char routes[64]; /* where it finds the others: see routes/shim.c */
} torture_server;

/* A proxy: a process that stands before a server, or between two. */
typedef struct torture_proxy {
    pid_t pid;
    int fd, port;
} torture_proxy;

typedef struct torture_worker {
    pid_t pid; /* 0: not running */
    int slot, life;
    int64_t start_at; /* of the next life, when not running */
    bool stopped;
    bool limited;
} torture_worker;

typedef struct torture_rig {
    const torture_options *options;
    const torture_setup *setup;
    torture_rng rng;
    bool broken; /* the rig itself failed: this run ends */

    char dir[TORTURE_FILE_MAX];  /* temporary: sockets, the store's files */
    char disk[TORTURE_FILE_MAX]; /* below it: the store's files, on a small disk if we may */
    bool small_disk;
    char history[TORTURE_FILE_MAX]; /* where the histories of this setup go */
    char board_path[TORTURE_FILE_MAX];
    torture_board *board;
    int faults_fd; /* the history's file of that name */

    char hostile_file[TORTURE_FILE_MAX]; /* while it is there, the hostile store is hostile */
    char url[TORTURE_FILE_MAX];
    char password[40];
    torture_server servers[TORTURE_SERVERS_MAX];
    int primary;                  /* which of the two */
    _Atomic int64_t *clock_ahead; /* ns that the servers' wall clock is ahead; or NULL */
    char clock_preload[TORTURE_FILE_MAX + 32], clock_file[TORTURE_FILE_MAX + 32];
    torture_proxy proxies[TORTURE_SERVERS_MAX]; /* before each server to which workers speak */
    torture_proxy links[TORTURE_SERVERS_MAX];   /* of a cluster: between the two others */
    torture_worker workers[TORTURE_WORKERS_MAX];
} torture_rig;

/* ---- children.c: processes that end with us ------------------------------------------ */

/*
 * Starts argv[0] (a path, or a name for PATH) in a process group of its own, with stdout and
 * stderr at the end of `log`, and `pass_fd` (unless -1) as descriptor 3. SIGKILL follows it when
 * we die. 0 after one line if it could not be started.
 */
pid_t torture_child_start(const char *const *argv, const char *log, int pass_fd);

/* The same in a pid and a mount namespace of its own, as a container has them. */
pid_t torture_child_start_apart(const char *const *argv, const char *log);
/* Whether that can be done here. */
bool torture_can_start_apart(void);

/* Sends the signal and waits for the end, SIGKILL after half a minute. */
void torture_child_end(pid_t pid, int number);

/* A signal asked us to end; its number, or 0. */
extern volatile int torture_interrupted;

/* The path of this program. */
const char *torture_self(void);

/* ---- redis.c: commands to a server of ours ------------------------------------------------ */

/* "" if there is none, or else the version, "7.0.15". */
const char *torture_redis_version(void);

#define TORTURE_ANSWER_MAX 4096 /* bytes: a section of INFO */

/*
 * Sends a command (blanks separate words; %s, %d and %lld are hiredis's) and waits for the answer.
 * True: it was no error. ret_text, if not NULL, receives an array's or a string's text, of
 * TORTURE_ANSWER_MAX bytes; what is longer is cut, after one line.
 */
bool torture_redis(torture_rig *rig, torture_server *server, char *ret_text, const char *format,
                   ...);
/* Sends it and does not wait. */
bool torture_redis_send(torture_rig *rig, torture_server *server, const char *command);

/* ---- server.c ---------------------------------------------------------------------------- */

bool torture_servers_open(torture_rig *rig);
void torture_servers_close(torture_rig *rig);

/* Starts a server that is down, and waits until it serves; false and rig->broken if it does not. */
bool torture_server_start(torture_rig *rig, torture_server *server);
/* With TORTURE_CLUSTER, where none serves without the others: starts it; waits for all. */
void torture_server_launch(torture_rig *rig, torture_server *server);
bool torture_cluster_await(torture_rig *rig);
/* The server of a cluster that says that it leads; NULL: nobody does at the moment. */
torture_server *torture_leader(torture_rig *rig);
/* Ends it by a signal; or as a crash does, or in peace. */
void torture_server_end(torture_server *server, int number);
void torture_server_hurt(torture_rig *rig, torture_server *server, bool crashes);
/* SIGSTOP or SIGCONT to all of it. */
void torture_server_signal(torture_rig *rig, torture_server *server, int number);

/* How many are started at once and equal. */
static inline int torture_members(const torture_rig *rig)
{
    return rig->setup->has & TORTURE_CLUSTER ? TORTURE_SERVERS_MAX : 1;
}

static inline torture_server *torture_primary(torture_rig *rig)
{
    return &rig->servers[rig->primary];
}

/* ---- clock.c: with TORTURE_CLOCK, before the servers ---------------------------------- */

bool torture_clock_open(torture_rig *rig);
/* A library to be preloaded: beside this program, as built; or where modules are installed. */
bool torture_find_shim(const char *name, char ret_path[TORTURE_FILE_MAX]);
void torture_clock_close(torture_rig *rig);

/* ---- network.c: the proxies between workers and servers, and between those of a cluster --- */

bool torture_proxy_open(torture_rig *rig);
/* The proxies between the members, before these are started. */
bool torture_links_open(torture_rig *rig);
void torture_proxy_close(torture_rig *rig);
/* wait(2) said that a process ended: true if it was a proxy. */
bool torture_proxy_ended(torture_rig *rig, pid_t pid);
/* An order of proxy/proxy.h to what stands between a member and the others. */
void torture_links_order(torture_rig *rig, const torture_server *server, const char *order);
/* An order of proxy/proxy.h; how many connections it concerned, -1 if the proxy is gone. */
int torture_proxy_order(torture_rig *rig, const char *format, ...)
    __attribute__((format(printf, 2, 3)));

/* ---- workers.c --------------------------------------------------------------------------- */

void torture_workers_open(torture_rig *rig);
/* Starts the workers whose time has come. */
void torture_workers_start_due(torture_rig *rig);
/* A random worker that runs, and is not stopped unless `also_stopped`; or NULL. */
torture_worker *torture_worker_draw(torture_rig *rig, bool also_stopped);
/* wait(2) said that a process ended: true if it was a worker. */
bool torture_worker_ended(torture_rig *rig, pid_t pid, int status);
int torture_workers_running(const torture_rig *rig);
/* At the very end: SIGKILL, which the history does not tell: the judge finds who did not leave. */
void torture_workers_close(torture_rig *rig);

/* ---- notes.c: what the rig writes into the history --------------------------------------- */

/* From then on it is noted, too, when the machine stood still. */
bool torture_notes_open(torture_rig *rig);
/* One line of the file "run". */
void torture_note_fact(torture_rig *rig, const char *name, const char *format, ...)
    __attribute__((format(printf, 3, 4)));
/* One line of the file "after". */
void torture_note_left(torture_rig *rig, const char *format, ...)
    __attribute__((format(printf, 2, 3)));
/* Just before a fault begins. worker may be NULL. */
void torture_note_begin(torture_rig *rig, const char *fault, const torture_worker *worker,
                        torture_hurt hurts);
/* The store has lost what it had acknowledged, or does so next to this: see history.h. */
void torture_note_forgets(torture_rig *rig, const char *fault);
/* The same with a guard: only what stood beside the names is lost. */
void torture_note_loses(torture_rig *rig, const char *fault);
void torture_note_end(torture_rig *rig, const char *fault, const torture_worker *worker);
void torture_note_died(torture_rig *rig, const torture_worker *worker, int status);
/* phase: "hurt", "calm" or "over". */
void torture_note_phase(torture_rig *rig, const char *phase);

/* ---- disk.c ------------------------------------------------------------------------------- */

/* Once, before any thread: a place where mounts are our own and end with us. Says why not. */
bool torture_disk_prepare(const char *dir, char *reterr_why, size_t size);
void torture_disk_end(const char *dir);
/* Room for three servers, from then on. */
bool torture_disk_widen(torture_rig *rig);
/* Fills the disk to the last byte; and makes room again. */
bool torture_disk_fill(torture_rig *rig);
void torture_disk_clear(torture_rig *rig);
bool torture_dir_make(const char *dir);
/* Removes a directory and all in it. */
void torture_dir_remove(const char *dir);

/* ---- leftovers.c --------------------------------------------------------------------------- */

void torture_look_for_leftovers(torture_rig *rig);

/* ---- campaign.c ----------------------------------------------------------------------------- */

/* Tortures one setup and writes its history; an exit code (0 also if it will be found guilty). */
int torture_campaign(torture_rig *rig);

#endif
