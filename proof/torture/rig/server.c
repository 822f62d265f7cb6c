/* SPDX-License-Identifier: MIT */
/* The servers of a setup: private, on a socket in the temporary directory, or a port. */
#include "../../ports/free_port.h"
#include "program.h"
#include "rig.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_PATIENCE_NS (60000 * TORTURE_MS) /* a JVM on a busy machine */
#define LOG_LINE_MAX      512

/* ---- Life ------------------------------------------------------------------------------- */

static bool write_config(torture_rig *rig, torture_server *server)
{
    char path[TORTURE_FILE_MAX];
    FILE *file = fopen(torture_path(path, server->dir, "redis.conf"), "we");
    if (!file) {
        torture_say("%s: %s", path, strerror(errno));
        return false;
    }
    fprintf(file,
            "bind 127.0.0.1\nport %d\nunixsocket %s\ndir %s\nrequirepass %s\nmasterauth %s\n"
            "daemonize no\nloglevel notice\n%s%s",
            server->port, server->socket, server->dir, rig->password, rig->password,
            strtol(torture_redis_version(), NULL, 10) >= 7 ? "enable-debug-command yes\n" : "",
            rig->setup->config);
    return fclose(file) == 0;
}

/* The file to which it appends what it has to say. */
static const char *log_of(const torture_rig *rig, const torture_server *server,
                          char ret_path[TORTURE_FILE_MAX])
{
    char name[32] = "server.log";
    if (!rig->setup->program || (rig->setup->has & TORTURE_CLUSTER))
        snprintf(name, sizeof name, "server-%d.log", (int)(server - rig->servers));
    return torture_path(ret_path, rig->history, name);
}

void torture_server_launch(torture_rig *rig, torture_server *server)
{
    char log[TORTURE_FILE_MAX];
    const char *clocked[TORTURE_WORDS_MAX + 3] = {"env", rig->clock_preload, rig->clock_file};
    const char **words = clocked + 3;
    rig->setup->program->command(rig, server, words);
    if (server->port == 0) unlink(server->socket);
    server->waits = false;
    server->begun_at = torture_now();
    server->pid =
        torture_child_start(rig->clock_ahead ? clocked : words, log_of(rig, server, log), -1);
}

static void launch(torture_rig *rig, torture_server *server)
{
    if (rig->setup->program) {
        torture_server_launch(rig, server);
        return;
    }
    char config[TORTURE_FILE_MAX], log[TORTURE_FILE_MAX];
    torture_path(config, server->dir, "redis.conf");
    const char *plain[] = {"redis-server", config, NULL};
    const char *clocked[] = {"env", rig->clock_preload, rig->clock_file, "redis-server", config,
                             NULL};
    unlink(server->socket); /* a killed one leaves it behind */
    server->waits = false;
    server->pid =
        torture_child_start(rig->clock_ahead ? clocked : plain, log_of(rig, server, log), -1);
}

/* Waits until it has loaded its data; false if it ended instead, or never does. */
static bool serves(torture_rig *rig, torture_server *server)
{
    const torture_program *program = rig->setup->program;
    int64_t patience = torture_now() + START_PATIENCE_NS;
    while (server->pid && torture_now() < patience && !torture_interrupted) {
        if (program ? program->serves(rig, server) : torture_redis(rig, server, NULL, "PING"))
            return true;
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) server->pid = 0;
        torture_sleep_ns(2 * TORTURE_MS);
    }
    return false;
}

/*
 * A full disk may leave a log that Redis itself cannot read. Then we do what its message says
 * and an operator would do: cut the log where it breaks. What was acknowledged after that is lost.
 */
static bool repair(torture_rig *rig, const torture_server *server)
{
    char manifest[TORTURE_FILE_MAX], log[TORTURE_FILE_MAX];
    torture_path(manifest, server->dir, "appendonlydir/appendonly.aof.manifest");
    if (access(manifest, R_OK) != 0) torture_path(manifest, server->dir, "appendonly.aof");
    if (access(manifest, R_OK) != 0) return false;
    const char *argv[] = {"sh", "-c", "yes | redis-check-aof --fix \"$1\"", "sh", manifest, NULL};
    torture_note_begin(rig, "repair", NULL, TORTURE_HURTS_ALL);
    pid_t pid = torture_child_start(argv, torture_path(log, rig->history, "repair.log"), -1);
    bool done = pid && waitpid(pid, NULL, 0) == pid;
    torture_note_forgets(rig, "repair");
    torture_note_end(rig, "repair", NULL);
    return done;
}

/* With the last line of its log, for who reads only what we print. */
static void say_it_does_not_serve(const torture_rig *rig, const torture_server *server)
{
    char path[TORTURE_FILE_MAX], line[LOG_LINE_MAX], last[LOG_LINE_MAX] = "";
    FILE *log = fopen(log_of(rig, server, path), "re");
    while (log && fgets(line, sizeof line, log)) snprintf(last, sizeof last, "%s", line);
    if (log) fclose(log);
    last[strcspn(last, "\r\n")] = '\0';
    torture_say("the server %s; see %s: %s", server->pid ? "does not serve" : "ended", path, last);
}

torture_server *torture_leader(torture_rig *rig)
{
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++) {
        torture_server *server = &rig->servers[i];
        if (server->pid && !server->waits && rig->setup->program->leads(server)) return server;
    }
    return NULL;
}

bool torture_cluster_await(torture_rig *rig)
{
    for (int i = 0; i < TORTURE_SERVERS_MAX && !torture_interrupted; i++) {
        torture_server *server = &rig->servers[i];
        if (!server->pid) torture_server_launch(rig, server);
    }
    for (int i = 0; i < TORTURE_SERVERS_MAX && !torture_interrupted; i++) {
        if (serves(rig, &rig->servers[i])) continue;
        if (!torture_interrupted) say_it_does_not_serve(rig, &rig->servers[i]);
        rig->broken = true;
        return false;
    }
    return !torture_interrupted;
}

bool torture_server_start(torture_rig *rig, torture_server *server)
{
    launch(rig, server);
    if (serves(rig, server)) return true;
    bool is_redis = !rig->setup->program;
    if (is_redis && !server->pid && !torture_interrupted && repair(rig, server)) {
        launch(rig, server);
        if (serves(rig, server)) return true;
    }
    if (!torture_interrupted) say_it_does_not_serve(rig, server);
    rig->broken = true;
    return false;
}

void torture_server_end(torture_server *server, int number)
{
    torture_child_end(server->pid, number);
    server->pid = 0;
    server->waits = false;
}

void torture_server_hurt(torture_rig *rig, torture_server *server, bool crashes)
{
    const torture_program *program = rig->setup->program;
    if (program)
        torture_server_end(server, crashes ? program->dies_by : program->ends_by);
    else
        torture_server_end(server, crashes ? SIGKILL : SIGTERM);
}

void torture_server_signal(torture_rig *rig, torture_server *server, int number)
{
    const torture_program *program = rig->setup->program;
    if (program && program->stop)
        program->stop(server, number);
    else
        kill(server->pid, number);
}

static bool draw_password(torture_rig *rig)
{
    uint64_t random[2];
    if (getrandom(random, sizeof random, 0) != sizeof random) return false;
    snprintf(rig->password, sizeof rig->password, "%016" PRIx64 "%016" PRIx64, random[0],
             random[1]);
    return true;
}

static bool open_one(torture_rig *rig, int index)
{
    torture_server *server = &rig->servers[index];
    char name[32];
    bool replica = rig->setup->has & TORTURE_REPLICA;
    *server = (torture_server){.port = replica ? free_port() : 0};
    snprintf(name, sizeof name, "redis-%d", index);
    torture_path(server->dir, rig->disk, name);
    snprintf(name, sizeof name, "%d.sock", index);
    int len = snprintf(server->socket, sizeof server->socket, "%s/%s", rig->dir, name);
    if (len >= (int)sizeof server->socket) {
        torture_say("%s is too long for a socket; choose a shorter $TMPDIR", rig->dir);
        return false;
    }
    return torture_dir_make(server->dir) && write_config(rig, server) &&
           torture_server_start(rig, server);
}

static bool open_program(torture_rig *rig)
{
    torture_server *server = torture_primary(rig);
    torture_path(server->dir, rig->disk, "server");
    return torture_dir_make(server->dir) && rig->setup->program->prepare(rig, server) &&
           torture_server_start(rig, server);
}

static bool open_cluster(torture_rig *rig)
{
    if (!torture_disk_widen(rig)) return false;
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++) {
        char name[32];
        torture_server *server = &rig->servers[i];
        snprintf(name, sizeof name, "server-%d", i);
        torture_path(server->dir, rig->disk, name);
        if (!torture_dir_make(server->dir) || !rig->setup->program->prepare(rig, server))
            return false;
    }
    return torture_links_open(rig) && torture_cluster_await(rig);
}

bool torture_servers_open(torture_rig *rig)
{
    rig->primary = 0;
    if ((rig->setup->has & TORTURE_CLOCK) && !torture_clock_open(rig)) return false;
    if (rig->setup->has & TORTURE_CLUSTER) return open_cluster(rig);
    if (rig->setup->program) return open_program(rig);
    if (!draw_password(rig) || !open_one(rig, 0)) return false;
    if (!(rig->setup->has & TORTURE_REPLICA)) return true;
    return open_one(rig, 1) && torture_redis(rig, &rig->servers[1], NULL, "REPLICAOF 127.0.0.1 %d",
                                             rig->servers[0].port);
}

void torture_servers_close(torture_rig *rig)
{
    const torture_program *program = rig->setup->program;
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++)
        if (program && rig->servers[i].waits) torture_server_signal(rig, &rig->servers[i], SIGCONT);
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++)
        torture_server_end(&rig->servers[i], program ? program->dies_by : SIGKILL);
    torture_clock_close(rig);
}
