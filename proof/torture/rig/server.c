/* SPDX-License-Identifier: MIT */
/* The redis-servers of a setup: private, on a socket in the temporary directory. */
#include "rig.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/random.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_PATIENCE_NS (20000 * TORTURE_MS)

/* ---- Life ------------------------------------------------------------------------------- */

/* A port that is free now. Replication needs one; everything else goes over the socket. */
static int free_port(void)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof address;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    int port = 0;
    if (fd >= 0 && bind(fd, (struct sockaddr *)&address, size) == 0 &&
        getsockname(fd, (struct sockaddr *)&address, &size) == 0) {
        port = ntohs(address.sin_port);
    }
    if (fd >= 0) close(fd);
    return port;
}

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

static void launch(torture_rig *rig, torture_server *server)
{
    char config[TORTURE_FILE_MAX], log[TORTURE_FILE_MAX], name[32];
    snprintf(name, sizeof name, "server-%d.log", (int)(server - rig->servers));
    torture_path(config, server->dir, "redis.conf");
    const char *plain[] = {"redis-server", config, NULL};
    const char *clocked[] = {"env", rig->clock_preload, rig->clock_file, "redis-server", config,
                             NULL};
    unlink(server->socket); /* a killed one leaves it behind */
    server->waits = false;
    server->pid = torture_child_start(rig->clock_ahead ? clocked : plain,
                                      torture_path(log, rig->history, name), -1);
}

/* Waits until it has loaded its data; false if it ended instead, or never does. */
static bool serves(torture_rig *rig, torture_server *server)
{
    int64_t patience = torture_now() + START_PATIENCE_NS;
    while (server->pid && torture_now() < patience && !torture_interrupted) {
        if (torture_redis(rig, server, NULL, "PING")) return true;
        if (waitpid(server->pid, NULL, WNOHANG) == server->pid) server->pid = 0;
        torture_sleep_ns(2 * TORTURE_MS);
    }
    return false;
}

/*
 * A full disk may leave a log that Redis itself cannot read. Then we do what its message says
 * and an operator would do: cut the log where it breaks. What was acknowledged behind is lost.
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

bool torture_server_start(torture_rig *rig, torture_server *server)
{
    launch(rig, server);
    if (serves(rig, server)) return true;
    if (!server->pid && !torture_interrupted && repair(rig, server)) {
        launch(rig, server);
        if (serves(rig, server)) return true;
    }
    if (!torture_interrupted) torture_say("redis-server does not serve; see %s", rig->history);
    rig->broken = true;
    return false;
}

void torture_server_end(torture_server *server, int number)
{
    torture_child_end(server->pid, number);
    server->pid = 0;
    server->waits = false;
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

bool torture_servers_open(torture_rig *rig)
{
    rig->primary = 0;
    if ((rig->setup->has & TORTURE_CLOCK) && !torture_clock_open(rig)) return false;
    if (!draw_password(rig) || !open_one(rig, 0)) return false;
    if (!(rig->setup->has & TORTURE_REPLICA)) return true;
    return open_one(rig, 1) && torture_redis(rig, &rig->servers[1], NULL, "REPLICAOF 127.0.0.1 %d",
                                             rig->servers[0].port);
}

void torture_servers_close(torture_rig *rig)
{
    for (int i = 0; i < 2; i++) torture_server_end(&rig->servers[i], SIGKILL);
    torture_clock_close(rig);
}
