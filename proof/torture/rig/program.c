/* SPDX-License-Identifier: MIT */
/* etcd, memcached, ZooKeeper and PostgreSQL (MariaDB: mariadb.c), each on a socket or a port of its
 * own. */
#include "program.h"
#include "../../ports/free_port.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <glob.h>
#include <inttypes.h>
#include <netinet/in.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define ANSWER_MAX 1024

/* ---- Asking -------------------------------------------------------------------------------- */

/* Whether the server's answer to some bytes has that text in it. */
static bool answers(const struct sockaddr *address, socklen_t len, const char *question,
                    const char *expected, char *ret_answer, size_t room)
{
    size_t used = 0;
    ret_answer[0] = '\0';
    struct timeval patience = {.tv_sec = 1};
    int fd = socket(address->sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return false;
    setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    bool asked = connect(fd, address, len) == 0 &&
                 send(fd, question, strlen(question), MSG_NOSIGNAL) == (ssize_t)strlen(question);
    while (asked && used + 1 < room && !strstr(ret_answer, expected)) {
        ssize_t n = read(fd, ret_answer + used, room - 1 - used);
        if (n <= 0) break;
        used += (size_t)n;
        ret_answer[used] = '\0';
    }
    close(fd);
    return strstr(ret_answer, expected) != NULL;
}

bool torture_port_answers(int port, const char *question, const char *expected, char *ret_answer,
                          size_t room)
{
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons((uint16_t)port),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    return answers((struct sockaddr *)&address, sizeof address, question, expected, ret_answer,
                   room);
}

bool torture_is_in_path(const char *name)
{
    const char *path = getenv("PATH");
    char *dirs = strdup(path ? path : "/usr/bin"), *rest = dirs;
    bool found = false;
    for (const char *dir; !found && (dir = strsep(&rest, ":"));) {
        char file[TORTURE_FILE_MAX];
        found = access(torture_path(file, dir, name), X_OK) == 0;
    }
    free(dirs);
    return found;
}

/* ---- Whom root becomes ---------------------------------------------------------------------- */

const char **torture_become(const char **words, const struct passwd *who, const char *dies_with_us)
{
    static char user[40], group[40], death[40];
    if (!who || geteuid() != 0) return words;
    snprintf(user, sizeof user, "--reuid=%u", (unsigned)who->pw_uid);
    snprintf(group, sizeof group, "--regid=%u", (unsigned)who->pw_gid);
    snprintf(death, sizeof death, "--pdeathsig=%s", dies_with_us);
    *words++ = "setpriv";
    *words++ = user;
    *words++ = group;
    *words++ = "--clear-groups";
    *words++ = death; /* who becomes another user loses the one that we set */
    return words;
}

bool torture_ask_by(const char *const *words, const torture_rig *rig, const char *log_name)
{
    char log[TORTURE_FILE_MAX];
    int status = -1;
    pid_t pid = torture_child_start(words, torture_path(log, rig->history, log_name), -1);
    return pid > 0 && waitpid(pid, &status, 0) == pid && status == 0;
}

/* ---- etcd ---------------------------------------------------------------------------------- */

static bool has_etcd(void)
{
    return torture_is_in_path("etcd");
}

static bool prepare_etcd(torture_rig *rig, torture_server *server)
{
    (void)rig;
    server->port = free_port();
    server->peer_port = free_port();
    snprintf(server->socket, sizeof server->socket, "%d", server->port);
    return server->port > 0 && server->peer_port > 0;
}

static void command_etcd(torture_rig *rig, const torture_server *server,
                         const char *ret_words[TORTURE_WORDS_MAX])
{
    static char client[64], peer[64], cluster[80], data[TORTURE_FILE_MAX];
    (void)rig;
    snprintf(client, sizeof client, "http://127.0.0.1:%d", server->port);
    snprintf(peer, sizeof peer, "http://127.0.0.1:%d", server->peer_port);
    snprintf(cluster, sizeof cluster, "default=%s", peer);
    torture_path(data, server->dir, "data");
    const char *words[] = {"etcd",  "--data-dir",
                           data,    "--listen-client-urls",
                           client,  "--advertise-client-urls",
                           client,  "--listen-peer-urls",
                           peer,    "--initial-advertise-peer-urls",
                           peer,    "--initial-cluster",
                           cluster, "--log-level",
                           "error", NULL};
    memcpy(ret_words, words, sizeof words);
}

static bool etcd_serves(torture_rig *rig, const torture_server *server)
{
    char answer[ANSWER_MAX];
    (void)rig;
    return torture_port_answers(server->port, "GET /health HTTP/1.0\r\n\r\n", "\"health\":\"true\"",
                                answer, sizeof answer);
}

static void url_of_etcd(const torture_rig *rig, char *ret_url, size_t room)
{
    snprintf(ret_url, room, "etcd://127.0.0.1:%d/torture", rig->proxies[0].port);
}

const torture_program torture_etcd = {
    .what = "etcd",
    .exists = has_etcd,
    .prepare = prepare_etcd,
    .command = command_etcd,
    .serves = etcd_serves,
    .url = url_of_etcd,
    .dies_by = SIGKILL,
    .ends_by = SIGTERM,
};

/* ---- memcached ----------------------------------------------------------------------------- */

static bool has_memcached(void)
{
    return torture_is_in_path("memcached");
}

static bool prepare_socket(torture_rig *rig, torture_server *server)
{
    int len = snprintf(server->socket, sizeof server->socket, "%s/0.sock", rig->dir);
    if (len < (int)sizeof server->socket) return true;
    torture_say("%s is too long for a socket; choose a shorter $TMPDIR", rig->dir);
    return false;
}

static void command_memcached(torture_rig *rig, const torture_server *server,
                              const char *ret_words[TORTURE_WORDS_MAX])
{
    /* Root has to say as whom it runs. */
    const char *words[] = {"memcached", "-s", server->socket, "-t",   "2",
                           "-m",        "16", "-u",           "root", NULL};
    (void)rig;
    if (geteuid() != 0) words[7] = NULL;
    memcpy(ret_words, words, sizeof words);
}

static bool memcached_serves(torture_rig *rig, const torture_server *server)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    char answer[ANSWER_MAX];
    (void)rig;
    snprintf(address.sun_path, sizeof address.sun_path, "%s", server->socket);
    return answers((struct sockaddr *)&address, sizeof address, "version\r\n", "VERSION", answer,
                   sizeof answer);
}

static void url_of_memcached(const torture_rig *rig, char *ret_url, size_t room)
{
    snprintf(ret_url, room, "memcached://127.0.0.1:%d?guard=%s&guard_ms=%" PRId64,
             rig->proxies[0].port, rig->setup->guard, 2 * rig->options->ttl_ms);
}

const torture_program torture_memcached = {
    .what = "memcached",
    .exists = has_memcached,
    .prepare = prepare_socket,
    .command = command_memcached,
    .serves = memcached_serves,
    .url = url_of_memcached,
    .dies_by = SIGKILL,
    .ends_by = SIGTERM,
};

/* ---- ZooKeeper ----------------------------------------------------------------------------- */

bool torture_has_zookeeper(void)
{
    return torture_is_in_path("java") && access(TORTURE_ZOOKEEPER_JAR, R_OK) == 0;
}

/* Its word for who asks how it is must be allowed; sessions live longer than what is tortured. */
static bool prepare_zookeeper(torture_rig *rig, torture_server *server)
{
    char config[TORTURE_FILE_MAX];
    (void)rig;
    server->port = free_port();
    snprintf(server->socket, sizeof server->socket, "%d", server->port);
    FILE *file = fopen(torture_path(config, server->dir, "zoo.cfg"), "we");
    if (!file || server->port <= 0) {
        torture_say("%s: %s", config, strerror(errno));
        if (file) fclose(file);
        return false;
    }
    fprintf(file,
            "tickTime=200\nmaxSessionTimeout=600000\nmaxClientCnxns=0\nadmin.enableServer=false\n"
            "4lw.commands.whitelist=srvr\nclientPortAddress=127.0.0.1\nclientPort=%d\n"
            "dataDir=%s\n",
            server->port, server->dir);
    return fclose(file) == 0;
}

static void command_zookeeper(torture_rig *rig, const torture_server *server,
                              const char *ret_words[TORTURE_WORDS_MAX])
{
    static char config[TORTURE_FILE_MAX];
    (void)rig;
    torture_path(config, server->dir, "zoo.cfg");
    /* No write waits for a disk: what the kernel has outlives a process that is killed. */
    const char *words[] = {"java",
                           "-Xmx128m",
                           "-XX:+UseSerialGC",
                           "-XX:TieredStopAtLevel=1",
                           "-Dzookeeper.forceSync=no",
                           "-cp",
                           TORTURE_ZOOKEEPER_JAR,
                           "org.apache.zookeeper.server.ZooKeeperServerMain",
                           config,
                           NULL};
    memcpy(ret_words, words, sizeof words);
}

static bool zookeeper_serves(torture_rig *rig, const torture_server *server)
{
    char answer[ANSWER_MAX];
    (void)rig;
    return torture_port_answers(server->port, "srvr", "Mode: ", answer, sizeof answer);
}

static void url_of_zookeeper(const torture_rig *rig, char *ret_url, size_t room)
{
    snprintf(ret_url, room, "zookeeper://127.0.0.1:%d/torture", rig->proxies[0].port);
}

const torture_program torture_zookeeper = {
    .what = "ZooKeeper",
    .exists = torture_has_zookeeper,
    .prepare = prepare_zookeeper,
    .command = command_zookeeper,
    .serves = zookeeper_serves,
    .url = url_of_zookeeper,
    .dies_by = SIGKILL,
    .ends_by = SIGTERM,
};

/* ---- PostgreSQL ---------------------------------------------------------------------------- */

#define PORT "5432" /* it names the socket; there is no other listener */

/* The newest, where Debian puts it; NULL: none. */
static const char *postgres_program(const char *name)
{
    static char paths[2][TORTURE_FILE_MAX];
    static unsigned count;
    char pattern[128];
    glob_t found;
    snprintf(pattern, sizeof pattern, "/usr/lib/postgresql/*/bin/%s", name);
    if (glob(pattern, 0, NULL, &found) != 0) return torture_is_in_path(name) ? name : NULL;
    char *path = paths[count++ % 2];
    snprintf(path, TORTURE_FILE_MAX, "%s", found.gl_pathv[found.gl_pathc - 1]);
    globfree(&found);
    return path;
}

/* It refuses to run as root. */
static const struct passwd *postgres_user(void)
{
    const struct passwd *user = getpwnam("postgres");
    return user ? user : getpwnam("nobody");
}

static bool has_postgres(void)
{
    return postgres_program("initdb") && postgres_program("postgres") &&
           (geteuid() != 0 || (postgres_user() && torture_is_in_path("setpriv")));
}

static const char **become_postgres(const char **words)
{
    return torture_become(words, postgres_user(), "QUIT");
}

static bool prepare_postgres(torture_rig *rig, torture_server *server)
{
    char data[TORTURE_FILE_MAX];
    const char *words[TORTURE_WORDS_MAX], **next = become_postgres(words);
    const char *initdb[] = {postgres_program("initdb"),
                            "-D",
                            NULL,
                            "-U",
                            "pawl",
                            "-A",
                            "trust",
                            "-E",
                            "UTF8",
                            "--locale=C",
                            NULL};
    const struct passwd *who = geteuid() == 0 ? postgres_user() : NULL;
    if (who && chown(server->dir, who->pw_uid, who->pw_gid) != 0) return false;
    initdb[2] = torture_path(data, server->dir, "data");
    memcpy(next, initdb, sizeof initdb);
    bool done = torture_ask_by(words, rig, "initdb.log");
    if (!done) torture_say("initdb failed; see initdb.log in %s", rig->history);
    int len = snprintf(server->socket, sizeof server->socket, "%s/.s.PGSQL." PORT, server->dir);
    if (len < (int)sizeof server->socket) return done;
    torture_say("%s is too long for a socket; choose a shorter $TMPDIR", server->dir);
    return false;
}

static void command_postgres(torture_rig *rig, const torture_server *server,
                             const char *ret_words[TORTURE_WORDS_MAX])
{
    static char data[TORTURE_FILE_MAX];
    const char *words[] = {postgres_program("postgres"),
                           "-D",
                           NULL,
                           "-k",
                           server->dir,
                           "-p",
                           PORT,
                           "-c",
                           "listen_addresses=",
                           "-c",
                           "max_connections=80",
                           NULL};
    (void)rig;
    words[2] = torture_path(data, server->dir, "data");
    memcpy(become_postgres(ret_words), words, sizeof words);
}

static bool ask_postgres(torture_rig *rig, const torture_server *server, const char *sql)
{
    const char *program = postgres_program("psql");
    const char *words[] = {program ? program : "psql",
                           "-X",
                           "-q",
                           "-h",
                           server->dir,
                           "-p",
                           PORT,
                           "-U",
                           "pawl",
                           "-d",
                           "postgres",
                           "-c",
                           sql,
                           NULL};
    return torture_ask_by(words, rig, "psql.log");
}

static bool postgres_serves(torture_rig *rig, const torture_server *server)
{
    return ask_postgres(rig, server, "SELECT 1");
}

static void url_of_postgres(const torture_rig *rig, char *ret_url, size_t room)
{
    snprintf(ret_url, room, "postgres://pawl@127.0.0.1:%d/postgres", rig->proxies[0].port);
}

/* The postmaster first, so that it makes no new ones; then those that serve. */
static void stop_postgres(const torture_server *server, int number)
{
    char path[64];
    int child;
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)server->pid, (int)server->pid);
    if (number == SIGSTOP) kill(server->pid, number);
    FILE *children = fopen(path, "re");
    while (children && fscanf(children, "%d", &child) == 1) kill(child, number);
    if (children) fclose(children);
    if (number != SIGSTOP) kill(server->pid, number);
}

#define OTHERS "WHERE backend_type = 'client backend' AND pid <> pg_backend_pid()"

/* SIGQUIT ends all its processes at once, without a word to the disk, as a crash does. Killed
 * alone, the first one would leave the others behind, and could not be started again. */
const torture_program torture_postgres = {
    .what = "PostgreSQL",
    .exists = has_postgres,
    .prepare = prepare_postgres,
    .command = command_postgres,
    .serves = postgres_serves,
    .url = url_of_postgres,
    .dies_by = SIGQUIT,
    .ends_by = SIGINT,
    .stop = stop_postgres,
    .ask = ask_postgres,
    .end_statements = "SELECT pg_cancel_backend(pid) FROM pg_stat_activity " OTHERS,
    .end_sessions = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity " OTHERS,
};
