/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "etcd_server.h"

#include "../../ports/free_port.h"
#include "server.h"
#include "temp_dir.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

#define START_MS      60000
#define ATTEMPTS      10 /* somebody else may take a port before we do */
#define ANSWER_S      30
#define TEXT_MAX      256
#define ARGUMENTS_MAX 16

typedef struct member {
    pid_t pid; /* 0: not running */
    int port, peer_port, tls_port;
} member;

struct etcd_server {
    char *dir;
    int count;
    const char *const *arguments; /* more of them; NULL: none */
    bool tls;
    member members[ETCD_MEMBERS_MAX];
    char hosts[ETCD_MEMBERS_MAX * 32];
};

static void die(const char *what)
{
    fprintf(stderr, "etcd_server: %s: %s\n", what, strerror(errno));
    exit(1);
}

bool etcd_server_exists(void)
{
    const char *path = getenv("PATH");
    char *dirs = strdup(path ? path : "/usr/bin");
    bool found = false;
    for (char *rest = dirs, *dir; !found && (dir = strsep(&rest, ":"));) {
        char file[4096];
        snprintf(file, sizeof(file), "%s/etcd", dir);
        found = access(file, X_OK) == 0;
    }
    free(dirs);
    return found;
}

/* ---- Asking it ------------------------------------------------------------------------ */

static int connect_to(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    struct timeval limit = {.tv_sec = ANSWER_S};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) die("socket");
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit));
    if (connect(fd, (const struct sockaddr *)&address, sizeof(address)) == 0) return fd;
    close(fd);
    return -1;
}

bool etcd_server_ask(const etcd_server *server, int at, const char *path, const char *json,
                     const char *auth, char *ret_answer, size_t room)
{
    int fd = connect_to(server->members[at].port);
    size_t used = 0;
    ret_answer[0] = '\0';
    if (fd < 0) return false;
    int sent = dprintf(fd,
                       "POST %s HTTP/1.0\r\nContent-Type: application/json\r\n%s%s%s"
                       "Content-Length: %zu\r\n\r\n%s",
                       path, auth ? "Authorization: " : "", auth ? auth : "", auth ? "\r\n" : "",
                       strlen(json), json);
    while (sent > 0 && used + 1 < room) {
        ssize_t n = read(fd, ret_answer + used, room - 1 - used);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) break;
        used += (size_t)n;
    }
    ret_answer[used] = '\0';
    close(fd);
    return used > 0;
}

/* It answers a read that needs a majority. */
static bool is_ready(const etcd_server *server, int at)
{
    char answer[4096];
    return etcd_server_ask(server, at, "/v3/kv/range", "{\"key\":\"cGF3bA==\"}", NULL, answer,
                           sizeof(answer)) &&
           strstr(answer, "\"revision\"") != NULL;
}

/* ---- Starting it ---------------------------------------------------------------------- */

static void launch(etcd_server *server, int at)
{
    member *m = &server->members[at];
    char name[16], data[4200], client[TEXT_MAX], listen[TEXT_MAX], peer[TEXT_MAX],
        cluster[4 * TEXT_MAX] = "";
    snprintf(name, sizeof(name), "m%d", at);
    snprintf(data, sizeof(data), "%s/%s", server->dir, name);
    snprintf(client, sizeof(client), "http://127.0.0.1:%d", m->port);
    snprintf(peer, sizeof(peer), "http://127.0.0.1:%d", m->peer_port);
    snprintf(listen, sizeof(listen), server->tls ? "%s,https://127.0.0.1:%d" : "%s", client,
             m->tls_port);
    for (int i = 0; i < server->count; i++) {
        size_t used = strlen(cluster);
        snprintf(cluster + used, sizeof(cluster) - used, "%sm%d=http://127.0.0.1:%d", i ? "," : "",
                 i, server->members[i].peer_port);
    }
    m->pid = fork();
    if (m->pid < 0) die("fork");
    if (m->pid > 0) return;
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() == 1) _exit(127);
    char log[4300];
    snprintf(log, sizeof(log), "%s.log", data);
    int fd = open(log, O_WRONLY | O_CREAT | O_APPEND, 0600);
    if (fd >= 0) (void)dup2(fd, 1), (void)dup2(fd, 2);
    const char *all[ARGUMENTS_MAX + 24] = {"etcd",  "--name",
                                           name,    "--data-dir",
                                           data,    "--listen-client-urls",
                                           listen,  "--advertise-client-urls",
                                           client,  "--listen-peer-urls",
                                           peer,    "--initial-advertise-peer-urls",
                                           peer,    "--initial-cluster",
                                           cluster, "--initial-cluster-state",
                                           "new",   "--heartbeat-interval",
                                           "100",   "--election-timeout",
                                           "1000",  "--log-level",
                                           "error"};
    size_t count = 0, more = 0;
    while (all[count]) count++;
    while (server->arguments && server->arguments[more] && more < ARGUMENTS_MAX)
        all[count++] = server->arguments[more++];
    execvp("etcd", (char *const *)(uintptr_t)all);
    _exit(127);
}

/* False: it has ended, perhaps because somebody has its port. */
static bool await_it(etcd_server *server, int at)
{
    for (int waited = 0; waited < START_MS; waited += 5) {
        if (is_ready(server, at)) return true;
        if (waitpid(server->members[at].pid, NULL, WNOHANG) != 0) {
            server->members[at].pid = 0;
            return false;
        }
        poll(NULL, 0, 5);
    }
    errno = ETIMEDOUT;
    die("it did not start");
    return false;
}

void etcd_server_kill(etcd_server *server, int at)
{
    member *m = &server->members[at];
    if (!m->pid) return;
    kill(m->pid, SIGKILL);
    while (waitpid(m->pid, NULL, 0) < 0 && errno == EINTR) continue;
    m->pid = 0;
}

/* In memory where that is possible: a disk that others use as well would only make it slow. */
static char *new_dir(void)
{
    char *dir = NULL;
    if (asprintf(&dir, "/dev/shm/pawl-etcd-XXXXXX") < 0) die("asprintf");
    if (mkdtemp(dir)) return dir;
    free(dir);
    return temp_dir_new("pawl-etcd");
}

static bool start_all(etcd_server *server)
{
    size_t used = 0;
    bool good = true;
    for (int i = 0; i < server->count; i++) {
        server->members[i] =
            (member){.port = free_port(), .peer_port = free_port(), .tls_port = free_port()};
        used += (size_t)snprintf(server->hosts + used, sizeof(server->hosts) - used,
                                 "%s127.0.0.1:%d", i ? "," : "", server->members[i].port);
    }
    server->dir = new_dir();
    for (int i = 0; i < server->count; i++) launch(server, i);
    for (int i = 0; i < server->count; i++) good = await_it(server, i) && good;
    if (good) return true;
    for (int i = 0; i < server->count; i++) etcd_server_kill(server, i);
    temp_dir_free(server->dir);
    return false;
}

etcd_server *etcd_server_start(int members)
{
    return etcd_server_start_with(members, NULL, false);
}

etcd_server *etcd_server_start_with(int members, const char *const *arguments, bool tls)
{
    etcd_server *server = calloc(1, sizeof(*server));
    if (!server) die("calloc");
    server->count = members;
    server->arguments = arguments;
    server->tls = tls;
    for (int i = 0; i < ATTEMPTS; i++)
        if (start_all(server)) return server;
    die("it did not start");
    return NULL;
}

const char *etcd_server_hosts(const etcd_server *server)
{
    return server->hosts;
}

int etcd_server_port(const etcd_server *server, int at)
{
    return server->members[at].port;
}

int etcd_server_tls_port(const etcd_server *server, int at)
{
    return server->members[at].tls_port;
}

void etcd_server_restart(etcd_server *server, int at)
{
    etcd_server_kill(server, at);
    launch(server, at);
    if (!await_it(server, at)) die("it did not start again");
}

/* The directory `to` becomes a copy of `from`, both of that member. */
static void copy_data(const etcd_server *server, int at, const char *from, const char *to)
{
    char source[4200], target[4200];
    snprintf(source, sizeof(source), "%s/m%d%s", server->dir, at, from);
    snprintf(target, sizeof(target), "%s/m%d%s", server->dir, at, to);
    const char *const remove[] = {"rm", "-rf", target, NULL};
    const char *const copy[] = {"cp", "-a", source, target, NULL};
    server_run(&(server_start){.argv = remove});
    server_run(&(server_start){.argv = copy});
}

void etcd_server_keep(etcd_server *server, int at)
{
    etcd_server_kill(server, at);
    copy_data(server, at, "", ".kept");
    etcd_server_restart(server, at);
}

void etcd_server_go_back(etcd_server *server, int at)
{
    etcd_server_kill(server, at);
    copy_data(server, at, ".kept", "");
    etcd_server_restart(server, at);
}

void etcd_server_pause(etcd_server *server, int at)
{
    int status;
    kill(server->members[at].pid, SIGSTOP);
    while (waitpid(server->members[at].pid, &status, WUNTRACED) < 0 && errno == EINTR) continue;
}

void etcd_server_resume(etcd_server *server, int at)
{
    kill(server->members[at].pid, SIGCONT);
}

/* The text of a member of the answer, up to its closing quote. */
static bool find_text(const char *answer, const char *name, char *ret_text, size_t room)
{
    char key[TEXT_MAX];
    snprintf(key, sizeof(key), "\"%s\":\"", name);
    const char *at = strstr(answer, key);
    if (!at) return false;
    at += strlen(key);
    snprintf(ret_text, room, "%.*s", (int)strcspn(at, "\""), at);
    return true;
}

int etcd_server_leader(const etcd_server *server)
{
    char answer[8192], leader[64], self[64];
    for (int waited = 0; waited < START_MS; waited += 10) {
        for (int i = 0; i < server->count; i++) {
            if (!server->members[i].pid) continue;
            if (!etcd_server_ask(server, i, "/v3/maintenance/status", "{}", NULL, answer,
                                 sizeof(answer)))
                continue;
            if (find_text(answer, "leader", leader, sizeof(leader)) &&
                find_text(answer, "member_id", self, sizeof(self)) && strcmp(leader, self) == 0)
                return i;
        }
        poll(NULL, 0, 10);
    }
    errno = ETIMEDOUT;
    die("no member leads");
    return -1;
}

void etcd_server_stop(etcd_server *server)
{
    if (!server) return;
    for (int i = 0; i < server->count; i++) etcd_server_kill(server, i);
    temp_dir_free(server->dir);
    free(server);
}
