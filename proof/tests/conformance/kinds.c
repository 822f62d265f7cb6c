/* SPDX-License-Identifier: MIT */
/* Where each store's clients meet, and how each store can be hurt. */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"
#include "../support/etcd_server.h"
#include "../support/mariadb_server.h"
#include "../support/memcached_server.h"
#include "../support/postgres_server.h"
#include "../support/redis_server.h"
#include "../support/temp_dir.h"
#include "../support/zookeeper_server.h"

#include <stdio.h>
#include <stdlib.h>

#ifdef HAVE_SQLITE
#include <sqlite3.h>
#endif

/* ---- memory ------------------------------------------------------------------------ */

static void memory_start(stage *s)
{
    s->address.scheme = "memory";
    s->address.path = "conformance";
}

static void memory_stop(stage *s)
{
    (void)s;
}

const store_kind kind_memory = {.name = "memory", .start = memory_start, .stop = memory_stop};

/* ---- hostile: the memory store, and one before it that lies in one way ---------------- */

static void hostile_start(stage *s)
{
    const char *only = getenv("TEST_HOSTILE");
    s->address.scheme = "hostile+memory";
    s->address.path = "conformance";
    s->address.options[0] = (pawl_url_option){.key = "seed", .value = "1"};
    s->address.options[1] = (pawl_url_option){.key = "only", .value = only ? only : "nothing"};
    s->address.option_count = 2;
}

const store_kind kind_hostile = {
    .name = "hostile", .start = hostile_start, .stop = memory_stop, .is_slow = true};

/* ---- sqlite ------------------------------------------------------------------------- */

#ifdef HAVE_SQLITE
static void sqlite_start(stage *s)
{
    s->dir = temp_dir_new("pawl-sqlite");
    snprintf(s->path, sizeof(s->path), "%s/locks.db", s->dir);
    s->address.scheme = "sqlite";
    s->address.path = s->path;
}

static void sqlite_stop(stage *s)
{
    temp_dir_free(s->dir);
}

/* A foreign program that holds the database's write lock. */
static void sqlite_freeze(stage *s)
{
    sqlite3 *db;
    CHECK(sqlite3_open(s->path, &db) == SQLITE_OK);
    sqlite3_busy_timeout(db, PATIENCE_MS);
    CHECK(sqlite3_exec(db, "BEGIN IMMEDIATE", NULL, NULL, NULL) == SQLITE_OK);
    s->server = db;
}

static void sqlite_thaw(stage *s)
{
    CHECK(sqlite3_exec(s->server, "ROLLBACK", NULL, NULL, NULL) == SQLITE_OK);
    sqlite3_close(s->server);
    s->server = NULL;
}

const store_kind kind_sqlite = {.name = "sqlite",
                                .start = sqlite_start,
                                .stop = sqlite_stop,
                                .freeze = sqlite_freeze,
                                .thaw = sqlite_thaw};
#endif

/* ---- redis --------------------------------------------------------------------------- */

static void redis_start(stage *s)
{
    s->server = redis_server_start(NULL);
    s->address.scheme = "redis+unix";
    s->address.path = redis_server_socket(s->server);
    /* The contract is about a store that keeps what it acknowledged: nothing to guard against. */
    s->address.options[0] = (pawl_url_option){.key = "guard", .value = "off"};
    s->address.option_count = 1;
}

static void redis_stop(stage *s)
{
    redis_server_stop(s->server);
}

static void redis_kill(stage *s)
{
    redis_server_kill(s->server);
}

static void redis_restart(stage *s)
{
    redis_server_restart(s->server);
}

static void redis_freeze(stage *s)
{
    redis_server_pause(s->server);
}

static void redis_thaw(stage *s)
{
    redis_server_resume(s->server);
}

const store_kind kind_redis = {.name = "redis",
                               .start = redis_start,
                               .stop = redis_stop,
                               .kill = redis_kill,
                               .restart = redis_restart,
                               .freeze = redis_freeze,
                               .thaw = redis_thaw};

/* ---- postgres ------------------------------------------------------------------------ */

static void postgres_start(stage *s)
{
    s->server = postgres_server_start(NULL);
    s->address.scheme = "postgres";
    s->address.path = "/postgres";
    s->address.user = "pawl";
    s->address.options[0] =
        (pawl_url_option){.key = "host", .value = postgres_server_directory(s->server)};
    s->address.option_count = 1;
}

static void postgres_stop(stage *s)
{
    postgres_server_stop(s->server);
}

static void postgres_kill(stage *s)
{
    postgres_server_kill(s->server);
}

static void postgres_restart(stage *s)
{
    postgres_server_restart(s->server);
}

static void postgres_freeze(stage *s)
{
    postgres_server_pause(s->server);
}

static void postgres_thaw(stage *s)
{
    postgres_server_resume(s->server);
}

const store_kind kind_postgres = {.name = "postgres",
                                  .start = postgres_start,
                                  .stop = postgres_stop,
                                  .kill = postgres_kill,
                                  .restart = postgres_restart,
                                  .freeze = postgres_freeze,
                                  .thaw = postgres_thaw,
                                  .is_slow = true};

/* ---- mariadb ------------------------------------------------------------------------- */

static void mariadb_start(stage *s)
{
    s->server = mariadb_server_start(NULL);
    s->address.scheme = "mariadb";
    s->address.path = "/conformance";
    s->address.user = "root";
    s->address.options[0] =
        (pawl_url_option){.key = "socket", .value = mariadb_server_socket(s->server)};
    s->address.option_count = 1;
}

static void mariadb_stop(stage *s)
{
    mariadb_server_stop(s->server);
}

static void mariadb_kill(stage *s)
{
    mariadb_server_kill(s->server);
}

static void mariadb_restart(stage *s)
{
    mariadb_server_restart(s->server);
}

static void mariadb_freeze(stage *s)
{
    mariadb_server_pause(s->server);
}

static void mariadb_thaw(stage *s)
{
    mariadb_server_resume(s->server);
}

const store_kind kind_mariadb = {.name = "mariadb",
                                 .start = mariadb_start,
                                 .stop = mariadb_stop,
                                 .kill = mariadb_kill,
                                 .restart = mariadb_restart,
                                 .freeze = mariadb_freeze,
                                 .thaw = mariadb_thaw,
                                 .is_slow = true,
                                 .stride = 101};

/* ---- memcached ----------------------------------------------------------------------- */

static void memcached_start(stage *s)
{
    s->server = memcached_server_start(NULL);
    s->address.scheme = "memcached+unix";
    s->address.path = memcached_server_socket(s->server);
    /* The contract is about a store that keeps what it acknowledged: nothing to guard against. */
    s->address.options[0] = (pawl_url_option){.key = "guard", .value = "off"};
    s->address.option_count = 1;
}

static void memcached_stop(stage *s)
{
    memcached_server_stop(s->server);
}

static void memcached_kill(stage *s)
{
    memcached_server_kill(s->server);
}

static void memcached_restart(stage *s)
{
    memcached_server_restart(s->server);
}

static void memcached_freeze(stage *s)
{
    memcached_server_pause(s->server);
}

static void memcached_thaw(stage *s)
{
    memcached_server_resume(s->server);
}

const store_kind kind_memcached = {.name = "memcached",
                                   .start = memcached_start,
                                   .stop = memcached_stop,
                                   .kill = memcached_kill,
                                   .restart = memcached_restart,
                                   .freeze = memcached_freeze,
                                   .thaw = memcached_thaw,
                                   .lacks = 1u << TRAIT_FAIR | 1u << TRAIT_PUSH | 1u << TRAIT_LIST |
                                            1u << TRAIT_MODES | 1u << TRAIT_VALUES |
                                            1u << TRAIT_NOTES};

/* ---- etcd ----------------------------------------------------------------------------- */

static void etcd_start(stage *s)
{
    s->server = etcd_server_start(1);
    s->address.scheme = "etcd";
    s->address.host = "127.0.0.1";
    s->address.port = etcd_server_port(s->server, 0);
    s->address.path = "/conformance";
}

static void etcd_stop(stage *s)
{
    etcd_server_stop(s->server);
}

static void etcd_kill(stage *s)
{
    etcd_server_kill(s->server, 0);
}

static void etcd_restart(stage *s)
{
    etcd_server_restart(s->server, 0);
}

static void etcd_freeze(stage *s)
{
    etcd_server_pause(s->server, 0);
}

static void etcd_thaw(stage *s)
{
    etcd_server_resume(s->server, 0);
}

const store_kind kind_etcd = {.name = "etcd",
                              .start = etcd_start,
                              .stop = etcd_stop,
                              .kill = etcd_kill,
                              .restart = etcd_restart,
                              .freeze = etcd_freeze,
                              .thaw = etcd_thaw,
                              .is_slow = true,
                              .stride = 101,
                              .lacks = 1u << TRAIT_MODES | 1u << TRAIT_NOTES,
                              .modes = 1u << PAWL_MODE_SHARED | 1u << PAWL_MODE_PERMIT,
                              .in_steps = true,
                              .all_hear = true,
                              .leaves_on_close = true,
                              .counts_fences = true};

/* ---- ZooKeeper ------------------------------------------------------------------------ */

static void zookeeper_start(stage *s)
{
    s->server = zookeeper_server_start(1);
    s->address.scheme = "zookeeper";
    s->address.host = "127.0.0.1";
    s->address.port = zookeeper_server_port(s->server, 0);
    s->address.path = "/conformance";
    /* So long that leases of LONG_MS live in it, also when their ttl is doubled. */
    s->address.options[0] = (pawl_url_option){.key = "session_timeout_ms", .value = "300000"};
    s->address.option_count = 1;
}

static void zookeeper_stop(stage *s)
{
    zookeeper_server_stop(s->server);
}

static void zookeeper_kill(stage *s)
{
    zookeeper_server_kill(s->server, 0);
}

static void zookeeper_restart(stage *s)
{
    zookeeper_server_restart(s->server, 0);
}

static void zookeeper_freeze(stage *s)
{
    zookeeper_server_pause(s->server, 0);
}

static void zookeeper_thaw(stage *s)
{
    zookeeper_server_resume(s->server, 0);
}

const store_kind kind_zookeeper = {.name = "zookeeper",
                                   .start = zookeeper_start,
                                   .stop = zookeeper_stop,
                                   .kill = zookeeper_kill,
                                   .restart = zookeeper_restart,
                                   .freeze = zookeeper_freeze,
                                   .thaw = zookeeper_thaw,
                                   .is_slow = true,
                                   .stride = 101,
                                   .lacks = 1u << TRAIT_MODES | 1u << TRAIT_NOTES,
                                   .modes = 1u << PAWL_MODE_SHARED | 1u << PAWL_MODE_PERMIT,
                                   .in_steps = true,
                                   .leaves_on_close = true,
                                   .counts_fences = true,
                                   .looks_for_waiters = true,
                                   .in_session = true};
