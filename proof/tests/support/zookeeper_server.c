/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "zookeeper_server.h"

#include "../../ports/free_port.h"
#include "server.h"
#include "temp_dir.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define JAR       "/usr/share/java/zookeeper.jar"
#define START_MS  120000 /* a JVM on a busy machine */
#define ATTEMPTS  10     /* somebody else may take a port before we do */
#define ANSWER_MS 500    /* who asks while it starts may be forgotten: then again */
#define FILE_MAX  4300

typedef struct member {
    pid_t pid; /* 0: not running */
    int port, peer_port, vote_port;
    char config[FILE_MAX];
} member;

struct zookeeper_server {
    char *dir;
    int count;
    member members[ZOOKEEPER_MEMBERS_MAX];
    const char *lines; /* more of its configuration */
    char hosts[ZOOKEEPER_MEMBERS_MAX * 32];
};

bool zookeeper_server_exists(void)
{
    char path[SERVER_PATH_MAX];
    return access(JAR, R_OK) == 0 && server_find_program("java", path);
}

/* ---- Asking it ------------------------------------------------------------------------ */

/* The four letter word that a server answers unless it is forbidden by name. */
static bool asks_itself(const zookeeper_server *server, int at, char *ret_answer, size_t room)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)server->members[at].port)};
    struct timeval limit = {.tv_usec = ANSWER_MS * 1000};
    size_t used = 0;
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) server_die("socket");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    bool asked = connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0 &&
                 send(fd, "srvr", 4, MSG_NOSIGNAL) == 4;
    while (asked && used + 1 < room) {
        ssize_t n = read(fd, ret_answer + used, room - 1 - used);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        used += (size_t)n;
    }
    ret_answer[used] = '\0';
    close(fd);
    return strstr(ret_answer, "Mode: ") != NULL;
}

/* ---- Starting it ---------------------------------------------------------------------- */

static void write_config(zookeeper_server *server, int at)
{
    char path[FILE_MAX];
    member *m = &server->members[at];
    snprintf(m->config, sizeof(m->config), "%s/%d.cfg", server->dir, at);
    snprintf(path, sizeof(path), "%s/%d", server->dir, at);
    if (mkdir(path, 0700) < 0) server_die("mkdir");
    FILE *file = fopen(m->config, "we");
    if (!file) server_die("its configuration");
    fprintf(file,
            "tickTime=%d\ninitLimit=100\nsyncLimit=20\nmaxSessionTimeout=600000\n"
            "maxClientCnxns=0\nadmin.enableServer=false\nclientPortAddress=127.0.0.1\n"
            "dataDir=%s\nclientPort=%d\n%s",
            ZOOKEEPER_TICK_MS, path, m->port, server->lines);
    for (int i = 0; server->count > 1 && i < server->count; i++)
        fprintf(file, "server.%d=127.0.0.1:%d:%d\n", i + 1, server->members[i].peer_port,
                server->members[i].vote_port);
    if (fclose(file) != 0) server_die("its configuration");
    strcat(path, "/myid");
    file = fopen(path, "we");
    if (!file || fprintf(file, "%d\n", at + 1) < 0 || fclose(file) != 0) server_die("its number");
}

static void launch(zookeeper_server *server, int at)
{
    member *m = &server->members[at];
    const char *const argv[] = {"java",
                                "-Xmx128m",
                                "-Xss512k",
                                "-XX:+UseSerialGC",
                                "-XX:TieredStopAtLevel=1",
                                "-Dzookeeper.forceSync=no",
                                "-cp",
                                JAR,
                                "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                                m->config,
                                NULL};
    int log;
    const server_start start = {.argv = argv};
    m->pid = server_spawn(&start, &log);
    close(log);
}

/* False: it has ended, perhaps because somebody has its port. */
static bool await_it(zookeeper_server *server, int at)
{
    char answer[4096];
    for (int waited = 0; waited < START_MS; waited += 10) {
        if (asks_itself(server, at, answer, sizeof(answer))) return true;
        if (waitpid(server->members[at].pid, NULL, WNOHANG) != 0) {
            server->members[at].pid = 0;
            return false;
        }
        poll(NULL, 0, 10);
    }
    errno = ETIMEDOUT;
    server_die("ZooKeeper did not start");
}

void zookeeper_server_kill(zookeeper_server *server, int at)
{
    server_end(&server->members[at].pid, SIGKILL);
}

/* In memory where that is possible: a disk that others use as well would only make it slow. */
static char *new_dir(void)
{
    char *dir = NULL;
    if (asprintf(&dir, "/dev/shm/pawl-zookeeper-XXXXXX") < 0) server_die("asprintf");
    if (mkdtemp(dir)) return dir;
    free(dir);
    return temp_dir_new("pawl-zookeeper");
}

static bool start_all(zookeeper_server *server)
{
    size_t used = 0;
    bool good = true;
    for (int i = 0; i < server->count; i++) {
        server->members[i] =
            (member){.port = free_port(), .peer_port = free_port(), .vote_port = free_port()};
        used += (size_t)snprintf(server->hosts + used, sizeof(server->hosts) - used,
                                 "%s127.0.0.1:%d", i ? "," : "", server->members[i].port);
    }
    server->dir = new_dir();
    for (int i = 0; i < server->count; i++) write_config(server, i);
    for (int i = 0; i < server->count; i++) launch(server, i);
    for (int i = 0; i < server->count; i++) good = await_it(server, i) && good;
    if (good) return true;
    for (int i = 0; i < server->count; i++) zookeeper_server_kill(server, i);
    temp_dir_free(server->dir);
    return false;
}

zookeeper_server *zookeeper_server_start(int members)
{
    return zookeeper_server_start_with(members, "");
}

zookeeper_server *zookeeper_server_start_with(int members, const char *lines)
{
    zookeeper_server *server = calloc(1, sizeof(*server));
    if (!server) server_die("calloc");
    server->count = members;
    server->lines = lines;
    for (int i = 0; i < ATTEMPTS; i++)
        if (start_all(server)) return server;
    server_die("ZooKeeper did not start");
}

const char *zookeeper_server_hosts(const zookeeper_server *server)
{
    return server->hosts;
}

int zookeeper_server_port(const zookeeper_server *server, int at)
{
    return server->members[at].port;
}

void zookeeper_server_restart(zookeeper_server *server, int at)
{
    zookeeper_server_kill(server, at);
    launch(server, at);
    if (!await_it(server, at)) server_die("ZooKeeper did not start again");
}

void zookeeper_server_pause(zookeeper_server *server, int at)
{
    server_pause(server->members[at].pid);
}

void zookeeper_server_resume(zookeeper_server *server, int at)
{
    server_resume(server->members[at].pid);
}

int zookeeper_server_leader(const zookeeper_server *server)
{
    char answer[4096];
    for (int waited = 0; waited < START_MS; waited += 10) {
        for (int i = 0; i < server->count; i++)
            if (server->members[i].pid && asks_itself(server, i, answer, sizeof(answer)) &&
                strstr(answer, "Mode: leader"))
                return i;
        poll(NULL, 0, 10);
    }
    errno = ETIMEDOUT;
    server_die("no server leads");
}

long zookeeper_server_received(const zookeeper_server *server, int at)
{
    static const char word[] = "Received: ";
    char answer[4096];
    for (int waited = 0; waited < START_MS; waited += 10) {
        const char *found =
            asks_itself(server, at, answer, sizeof(answer)) ? strstr(answer, word) : NULL;
        if (found) return strtol(found + strlen(word), NULL, 10);
        poll(NULL, 0, 10);
    }
    errno = ETIMEDOUT;
    server_die("it does not count");
}

void zookeeper_server_stop(zookeeper_server *server)
{
    if (!server) return;
    for (int i = 0; i < server->count; i++) zookeeper_server_kill(server, i);
    temp_dir_free(server->dir);
    free(server);
}
