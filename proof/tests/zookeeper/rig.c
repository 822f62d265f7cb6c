/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "rig.h"

#include "../../../src/stores/zookeeper/zookeeper_store.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define PREFIX    "/pawl"
#define SOON_NS   INT64_C(60000000000)
#define STRANGERS 30000 /* ms of a stranger's session */

static zookeeper_server *server;
static test_loop *the_loop;

void rig_need_server(void)
{
    rig_need(zookeeper_server_exists(), "there is no ZooKeeper on this machine, or no java");
}

int rig_begin_with(int members)
{
    server = zookeeper_server_start(members);
    the_loop = test_loop_new();
    return 0;
}

int rig_begin_set(const char *lines)
{
    server = zookeeper_server_start_with(1, lines);
    the_loop = test_loop_new();
    return 0;
}

int rig_begin(void **state)
{
    (void)state;
    return rig_begin_with(1);
}

int rig_end(void **state)
{
    (void)state;
    test_loop_free(the_loop);
    zookeeper_server_stop(server);
    return 0;
}

zookeeper_server *rig_server(void)
{
    return server;
}

test_loop *rig_loop(void)
{
    return the_loop;
}

store_address rig_address(void)
{
    const char *hosts = zookeeper_server_hosts(server);
    bool several = strchr(hosts, ',') != NULL;
    return (store_address){.ops = &pawl_store_entry,
                           .scheme = "zookeeper",
                           .host = several ? hosts : "127.0.0.1",
                           .port = several ? 0 : zookeeper_server_port(server, 0),
                           .path = ""};
}

client *rig_up(const char *owner)
{
    store_address address = rig_address();
    return client_up(the_loop, &address, owner);
}

/* ---- A stranger ---------------------------------------------------------------------------- */

typedef struct stranger {
    zhandle_t *zh;
    bool answered;
    int rc;
    char names[8192];
} stranger;

static void hear_nothing(zhandle_t *zh, int type, int state, const char *path, void *ctx)
{
    (void)zh, (void)type, (void)state, (void)path, (void)ctx;
}

static void log_nothing(const char *line)
{
    (void)line;
}

static void turn(stranger *s)
{
    struct timeval wait;
    int fd, interest;
    if (zookeeper_interest(s->zh, &fd, &interest, &wait) != ZOK || fd < 0) {
        poll(NULL, 0, 10);
        return;
    }
    struct pollfd it = {.fd = fd};
    if (interest & ZOOKEEPER_READ) it.events |= POLLIN;
    if (interest & ZOOKEEPER_WRITE) it.events |= POLLOUT;
    if (poll(&it, 1, 20) <= 0) return;
    int events =
        (it.revents & ~POLLOUT ? ZOOKEEPER_READ : 0) | (it.revents & POLLOUT ? ZOOKEEPER_WRITE : 0);
    (void)zookeeper_process(s->zh, events);
}

static stranger come(const clientid_t *session)
{
    stranger s = {0};
    s.zh = zookeeper_init2(zookeeper_server_hosts(server), hear_nothing, STRANGERS, session, NULL,
                           ZOO_NO_LOG_CLIENTENV, log_nothing);
    CHECK(s.zh != NULL);
    for (int64_t start = host_now(); zoo_state(s.zh) != ZOO_CONNECTED_STATE; turn(&s))
        CHECK(host_now() - start < SOON_NS);
    return s;
}

static int await(stranger *s)
{
    for (int64_t start = host_now(); !s->answered; turn(s)) CHECK(host_now() - start < SOON_NS);
    s->answered = false;
    return s->rc;
}

static void on_done(int rc, const void *data)
{
    stranger *s = (void *)(uintptr_t)data;
    s->rc = rc;
    s->answered = true;
}

static void on_created(int rc, const char *path, const void *data)
{
    (void)path;
    on_done(rc, data);
}

static void on_names(int rc, const struct String_vector *names, const void *data)
{
    stranger *s = (void *)(uintptr_t)data;
    s->names[0] = '\0';
    for (int i = 0; rc == ZOK && i < names->count; i++) {
        size_t used = strlen(s->names);
        snprintf(s->names + used, sizeof s->names - used, "%s%s", i ? " " : "", names->data[i]);
    }
    on_done(rc, data);
}

static void see(stranger *s, const char *name)
{
    char path[256];
    snprintf(path, sizeof path, PREFIX "/%s", name);
    CHECK(zoo_aget_children(s->zh, path, 0, on_names, s) == ZOK);
    int rc = await(s);
    CHECK(rc == ZOK || rc == ZNONODE);
}

const char *rig_children(const char *name)
{
    static char names[8192];
    stranger s = come(NULL);
    see(&s, name);
    memcpy(names, s.names, sizeof names);
    zookeeper_close(s.zh);
    return names;
}

void rig_delete_all(const char *name)
{
    stranger s = come(NULL);
    see(&s, name);
    for (char *rest = s.names, *child; (child = strsep(&rest, " ")) && *child;) {
        char path[512];
        snprintf(path, sizeof path, PREFIX "/%s/%s", name, child);
        CHECK(zoo_adelete(s.zh, path, -1, on_done, &s) == ZOK);
        CHECK(await(&s) == ZOK);
    }
    zookeeper_close(s.zh);
}

void rig_create(const char *name, const char *prefix, const char *text)
{
    char path[256];
    stranger s = come(NULL);
    snprintf(path, sizeof path, PREFIX "/%s", name);
    CHECK(zoo_acreate(s.zh, path, "", 0, &ZOO_OPEN_ACL_UNSAFE, ZOO_PERSISTENT, on_created, &s) ==
          ZOK);
    (void)await(&s); /* it may be there */
    snprintf(path, sizeof path, PREFIX "/%s/%s", name, prefix);
    CHECK(zoo_acreate(s.zh, path, text, (int)strlen(text), &ZOO_OPEN_ACL_UNSAFE,
                      ZOO_PERSISTENT_SEQUENTIAL, on_created, &s) == ZOK);
    CHECK(await(&s) == ZOK);
    zookeeper_close(s.zh);
}

static void on_written(int rc, const struct Stat *stat, const void *data)
{
    (void)stat;
    on_done(rc, data);
}

void rig_write(const char *name, const char *prefix, const char *text)
{
    char path[512];
    stranger s = come(NULL);
    see(&s, name);
    const char *child = strstr(s.names, prefix);
    CHECK(child != NULL);
    snprintf(path, sizeof path, PREFIX "/%s/%.*s", name, (int)strcspn(child, " "), child);
    CHECK(zoo_aset(s.zh, path, text, (int)strlen(text), -1, on_written, &s) == ZOK);
    CHECK(await(&s) == ZOK);
    zookeeper_close(s.zh);
}

void rig_hide(const char *path, bool hide)
{
    struct ACL_vector all = ZOO_OPEN_ACL_UNSAFE;
    struct ACL one = all.data[0];
    stranger s = come(NULL);
    if (hide) one.perms &= ~ZOO_PERM_READ;
    CHECK(zoo_aset_acl(s.zh, path, -1, &(struct ACL_vector){.count = 1, .data = &one}, on_done,
                       &s) == ZOK);
    CHECK(await(&s) == ZOK);
    zookeeper_close(s.zh);
}

void rig_end_session(client *c)
{
    clientid_t session = *zoo_client_id(client_store(c)->handle.zh);
    stranger s = come(&session);
    zookeeper_close(s.zh);
}

/* ---- Who dies ------------------------------------------------------------------------------ */

static void hold(const char *session_ms, const pawl_request *request, int ready)
{
    store_address address = rig_address();
    address.options[0] = (pawl_url_option){.key = "session_timeout_ms", .value = session_ms};
    address.option_count = 1;
    client *c = client_up(test_loop_new(), &address, "who dies");
    int64_t asked_at = host_now();
    rig_expect(c, *request, PAWL_GRANTED);
    CHECK(write(ready, &asked_at, sizeof asked_at) == sizeof asked_at);
    pause();
    _exit(1);
}

int64_t rig_hold_and_die(client *other, const char *session_ms, pawl_request request)
{
    int ready[2];
    int64_t asked_at;
    CHECK(pipe(ready) == 0);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        pawl_store_entry.forget(client_store(other));
        hold(session_ms, &request, ready[1]);
    }
    close(ready[1]); /* so that the end of a child that failed is seen */
    CHECK(read(ready[0], &asked_at, sizeof asked_at) == sizeof asked_at);
    close(ready[0]);
    kill(child, SIGKILL);
    while (waitpid(child, NULL, 0) < 0 && errno == EINTR) continue;
    return asked_at;
}
