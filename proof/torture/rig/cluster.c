/* SPDX-License-Identifier: MIT */
/* Three etcd and three ZooKeepers, with a proxy before each and one between any two. */
#include "../../ports/free_port.h"
#include "program.h"

#include <errno.h>
#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define ANSWER_MAX 1024
#define SOCKET_MAX 108 /* of sun_path */

static int number_of(const torture_rig *rig, const torture_server *server)
{
    return (int)(server - rig->servers);
}

static bool draw_ports(torture_server *server)
{
    server->port = free_port();
    server->peer_port = free_port();
    server->vote_port = free_port();
    snprintf(server->socket, sizeof server->socket, "%d", server->port);
    return server->port > 0 && server->peer_port > 0 && server->vote_port > 0;
}

/* "SCHEME://127.0.0.1:PORT,127.0.0.1:PORT,127.0.0.1:PORT/torture" */
static void write_url(const torture_rig *rig, const char *scheme, char *ret_url, size_t room)
{
    size_t used = (size_t)snprintf(ret_url, room, "%s://", scheme);
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++)
        used += (size_t)snprintf(ret_url + used, room - used, "%s127.0.0.1:%d", i ? "," : "",
                                 rig->proxies[i].port);
    snprintf(ret_url + used, room - used, "/torture");
}

/* ---- etcd ---------------------------------------------------------------------------------- */

static bool prepare_etcd(torture_rig *rig, torture_server *server)
{
    (void)rig;
    return draw_ports(server);
}

/* Members speak on unix sockets whose names are relative to where each one stands: so one and the
 * same name leads each of them to another proxy. */
static bool doors_of_etcd(torture_rig *rig, torture_server *from, const torture_server *to,
                          torture_doors *ret_doors)
{
    char *text = ret_doors->text[ret_doors->count++];
    int number = number_of(rig, to);
    int len = snprintf(text, sizeof ret_doors->text[0], "%.*s/m%d:1", TORTURE_PATH_MAX, from->dir,
                       number);
    if (len >= SOCKET_MAX) {
        torture_say("%s is too long for a socket; choose a shorter $TMPDIR", text);
        return false;
    }
    snprintf(text + len, sizeof ret_doors->text[0] - (size_t)len, "=%.*s/m%d:1", TORTURE_PATH_MAX,
             to->dir, number);
    return true;
}

static void command_etcd(torture_rig *rig, const torture_server *server,
                         const char *ret_words[TORTURE_WORDS_MAX])
{
    static char name[8], client[64], peer[16];
    int number = number_of(rig, server);
    snprintf(name, sizeof name, "m%d", number);
    snprintf(client, sizeof client, "http://127.0.0.1:%d", server->port);
    snprintf(peer, sizeof peer, "unix://m%d:1", number);
    const char *words[] = {"env",
                           "-C",
                           server->dir,
                           "etcd",
                           "--name",
                           name,
                           "--data-dir",
                           "data",
                           "--listen-client-urls",
                           client,
                           "--advertise-client-urls",
                           client,
                           "--listen-peer-urls",
                           peer,
                           "--initial-advertise-peer-urls",
                           peer,
                           "--initial-cluster",
                           "m0=unix://m0:1,m1=unix://m1:1,m2=unix://m2:1",
                           "--log-level",
                           "error",
                           "--heartbeat-interval",
                           "250", /* on a busy machine nobody is thought to be dead at once */
                           "--election-timeout",
                           "2500",
                           NULL};
    memcpy(ret_words, words, sizeof words);
}

static void url_of_etcd(const torture_rig *rig, char *ret_url, size_t room)
{
    write_url(rig, "etcd", ret_url, room);
}

static bool etcd_leads(const torture_server *server)
{
    static const char question[] = "POST /v3/maintenance/status HTTP/1.0\r\nContent-Length: 2\r\n"
                                   "Content-Type: application/json\r\n\r\n{}";
    static const char self_word[] = "\"member_id\":\"", leader_word[] = "\"leader\":\"";
    char answer[ANSWER_MAX];
    if (!torture_port_answers(server->port, question, "\"raftIndex\"", answer, sizeof answer))
        return false;
    const char *self = strstr(answer, self_word), *leader = strstr(answer, leader_word);
    return self && leader &&
           strtoull(self + strlen(self_word), NULL, 10) ==
               strtoull(leader + strlen(leader_word), NULL, 10);
}

static bool has_etcd(void)
{
    return torture_etcd.exists();
}

static bool etcd_serves(torture_rig *rig, const torture_server *server)
{
    return torture_etcd.serves(rig, server);
}

const torture_program torture_etcd_cluster = {
    .what = "etcd",
    .exists = has_etcd,
    .prepare = prepare_etcd,
    .command = command_etcd,
    .serves = etcd_serves,
    .url = url_of_etcd,
    .leads = etcd_leads,
    .doors = doors_of_etcd,
    .dies_by = SIGKILL,
    .ends_by = SIGTERM,
};

/* ---- ZooKeeper ----------------------------------------------------------------------------- */

#define SHIM "pawl-torture-routes.so"

static bool has_zookeeper(void)
{
    char shim[TORTURE_FILE_MAX];
    return torture_has_zookeeper() && torture_find_shim(SHIM, shim);
}

static bool prepare_zookeeper(torture_rig *rig, torture_server *server)
{
    char path[TORTURE_FILE_MAX];
    if (!draw_ports(server)) return false;
    FILE *file = fopen(torture_path(path, server->dir, "myid"), "we");
    if (!file) {
        torture_say("%s: %s", path, strerror(errno));
        return false;
    }
    fprintf(file, "%d\n", number_of(rig, server) + 1);
    return fclose(file) == 0;
}

/* One door for what a leader tells its followers, and one for elections. Members tell each other
 * where they listen, so they are led by a library and not by what they are told. */
static bool doors_of_zookeeper(torture_rig *rig, torture_server *from, const torture_server *to,
                               torture_doors *ret_doors)
{
    const int ports[] = {to->peer_port, to->vote_port};
    (void)rig;
    for (int i = 0; i < 2; i++) {
        int door = free_port();
        size_t used = strlen(from->routes);
        if (door <= 0) return false;
        snprintf(ret_doors->text[ret_doors->count++], sizeof ret_doors->text[0], "%d=%d", door,
                 ports[i]);
        snprintf(from->routes + used, sizeof from->routes - used, "%s%d=%d", used ? "," : "",
                 ports[i], door);
    }
    return true;
}

static bool write_config(const torture_rig *rig, const torture_server *server, const char *path)
{
    FILE *file = fopen(path, "we");
    if (!file) return false;
    fprintf(file,
            "tickTime=200\ninitLimit=50\nsyncLimit=10\nmaxSessionTimeout=600000\nmaxClientCnxns=0\n"
            "admin.enableServer=false\n4lw.commands.whitelist=srvr\nclientPortAddress=127.0.0.1\n"
            "clientPort=%d\ndataDir=%s\n",
            server->port, server->dir);
    for (int i = 0; i < TORTURE_SERVERS_MAX; i++)
        fprintf(file, "server.%d=127.0.0.1:%d:%d\n", i + 1, rig->servers[i].peer_port,
                rig->servers[i].vote_port);
    return fclose(file) == 0;
}

static void command_zookeeper(torture_rig *rig, const torture_server *server,
                              const char *ret_words[TORTURE_WORDS_MAX])
{
    static char config[TORTURE_FILE_MAX], shim[TORTURE_FILE_MAX], preload[TORTURE_FILE_MAX + 16],
        routes[sizeof server->routes + 32];
    torture_path(config, server->dir, "zoo.cfg");
    if (!write_config(rig, server, config) || !torture_find_shim(SHIM, shim)) rig->broken = true;
    snprintf(preload, sizeof preload, "LD_PRELOAD=%s", shim);
    snprintf(routes, sizeof routes, "PAWL_TORTURE_ROUTES=%s", server->routes);
    /* No write waits for a disk: what the kernel has outlives a process that is killed. One that
     * found nobody asks the others again soon: it would wait for up to a minute. */
    const char *words[] = {"env",
                           preload,
                           routes,
                           "java",
                           "-Xmx96m",
                           "-XX:+UseSerialGC",
                           "-XX:TieredStopAtLevel=1",
                           "-Djava.net.preferIPv4Stack=true",
                           "-Dzookeeper.forceSync=no",
                           "-Dzookeeper.fastleader.maxNotificationInterval=1000",
                           "-cp",
                           TORTURE_ZOOKEEPER_JAR ":/usr/share/java/slf4j-simple.jar",
                           "org.apache.zookeeper.server.quorum.QuorumPeerMain",
                           config,
                           NULL};
    memcpy(ret_words, words, sizeof words);
}

static bool zookeeper_serves(torture_rig *rig, const torture_server *server)
{
    return torture_zookeeper.serves(rig, server);
}

static bool zookeeper_leads(const torture_server *server)
{
    char answer[ANSWER_MAX];
    return torture_port_answers(server->port, "srvr", "Mode: leader", answer, sizeof answer);
}

/* All leases fit into a session, and what a dead client had is gone soon although nobody asks: a
 * lease that was written under another leader is shown as long as its session lives. */
static void url_of_zookeeper(const torture_rig *rig, char *ret_url, size_t room)
{
    write_url(rig, "zookeeper", ret_url, room);
    size_t used = strlen(ret_url);
    snprintf(ret_url + used, room - used, "?session_timeout_ms=%" PRId64, 3 * rig->options->ttl_ms);
}

const torture_program torture_zookeeper_cluster = {
    .what = "ZooKeeper",
    .exists = has_zookeeper,
    .prepare = prepare_zookeeper,
    .command = command_zookeeper,
    .serves = zookeeper_serves,
    .url = url_of_zookeeper,
    .leads = zookeeper_leads,
    .doors = doors_of_zookeeper,
    .dies_by = SIGKILL,
    .ends_by = SIGTERM,
};
