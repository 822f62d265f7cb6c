/* SPDX-License-Identifier: MIT */
#include "setup.h"

#include "../torture.h"
#include "program.h"

/* The log is rewritten often, so that a small disk is enough for hours. */
#define REWRITE "auto-aof-rewrite-min-size 2mb\n"

const torture_setup torture_setups[] = {
    {
        .name = "redis-none",
        .store = "redis",
        .what = "a Redis that forgets everything when it is restarted",
        .has = TORTURE_REDIS | TORTURE_SERVER,
        .config = "save \"\"\nappendonly no\n",
    },
    {
        .name = "redis-none-guard",
        .store = "redis",
        .what = "the same with guard=on: whom it forgot, nobody replaces before the time",
        .has = TORTURE_REDIS | TORTURE_SERVER,
        .config = "save \"\"\nappendonly no\n",
        .guard = "on",
    },
    {
        .name = "redis-rdb",
        .store = "redis",
        .what = "a Redis that writes a snapshot each second",
        .has = TORTURE_REDIS | TORTURE_SERVER | TORTURE_FILES,
        .config = "save 1 1\nappendonly no\n",
    },
    {
        .name = "redis-everysec",
        .store = "redis",
        .what = "a Redis with appendfsync everysec",
        .has = TORTURE_REDIS | TORTURE_SERVER | TORTURE_FILES,
        .config = "save \"\"\nappendonly yes\nappendfsync everysec\n" REWRITE,
    },
    {
        .name = "redis-everysec-guard",
        .store = "redis",
        .what = "the same with guard=auto: the server keeps the record of its run",
        .has = TORTURE_REDIS | TORTURE_SERVER | TORTURE_FILES,
        .config = "save \"\"\nappendonly yes\nappendfsync everysec\n" REWRITE,
        .guard = "auto",
    },
    {
        .name = "redis-always",
        .store = "redis",
        .what = "a Redis with appendfsync always: it keeps what it acknowledged",
        .has = TORTURE_REDIS | TORTURE_SERVER | TORTURE_FILES,
        .remembers = true,
        .config = "save \"\"\nappendonly yes\nappendfsync always\n" REWRITE,
    },
    {
        .name = "redis-replica",
        .store = "redis",
        .what = "two Redis servers, one follows the other, and they change places",
        .has = TORTURE_REDIS | TORTURE_SERVER | TORTURE_REPLICA,
        .config = "save \"\"\nappendonly no\nrepl-diskless-sync-delay 0\nshutdown-timeout 0\n",
    },
    {
        .name = "redis-clock",
        .store = "redis",
        .what = "a Redis with appendfsync always, whose clock is set forward now and then",
        .has = TORTURE_REDIS | TORTURE_SERVER | TORTURE_CLOCK,
        .remembers = true,
        .config = "save \"\"\nappendonly yes\nappendfsync always\n" REWRITE,
    },
    {
        .name = "sqlite",
        .store = "sqlite",
        .what = "a file, no server",
        .has = TORTURE_SQLITE | TORTURE_FILES,
        .remembers = true,
    },
    {
        .name = "sqlite-users",
        .store = "sqlite",
        .what = "a file that root and another user share",
        .has = TORTURE_SQLITE | TORTURE_FILES | TORTURE_USERS,
        .remembers = true,
    },
    {
        .name = "sqlite-spaces",
        .store = "sqlite",
        .what = "a file that processes in several pid and mount namespaces share",
        .has = TORTURE_SQLITE | TORTURE_FILES | TORTURE_SPACES,
        .remembers = true,
    },
    {
        .name = "sqlite-hostile",
        .store = "sqlite",
        .what = "a file, and a store in front of it that answers late, twice, never, to nobody",
        .has = TORTURE_SQLITE | TORTURE_FILES | TORTURE_HOSTILE,
        .remembers = true,
    },
    {
        .name = "etcd",
        .store = "etcd",
        .what = "an etcd of one member",
        .has = TORTURE_SERVER,
        .remembers = true,
        .program = &torture_etcd,
        .kinds = 1u << TORTURE_EXCLUSIVE | 1u << TORTURE_PERMITS,
        .linger_ms = 4000,
    },
    {
        .name = "etcd-cluster",
        .store = "cluster",
        .what = "three etcd: leaders die, and a minority is cut off",
        .has = TORTURE_SERVER | TORTURE_CLUSTER,
        .remembers = true,
        .program = &torture_etcd_cluster,
        .kinds = 1u << TORTURE_EXCLUSIVE | 1u << TORTURE_PERMITS,
        .linger_ms = 10000, /* under another leader a lease begins anew */
        .elects_ms = 6000,
    },
    {
        .name = "memcached",
        .store = "memcached",
        .what = "a memcached, with its guard against restarts",
        .has = TORTURE_SERVER,
        .guard = "on",
        .program = &torture_memcached,
        .kinds = 1u << TORTURE_EXCLUSIVE,
        .linger_ms = 4000,
        .has_no_queue = true,
    },
    {
        .name = "zookeeper",
        .store = "zookeeper",
        .what = "a ZooKeeper of one member",
        .has = TORTURE_SERVER,
        .remembers = true,
        .program = &torture_zookeeper,
        .modes_stay = true,
        .linger_ms = 500,
    },
    {
        .name = "zookeeper-cluster",
        .store = "cluster",
        .what = "three ZooKeepers: leaders die, and a minority is cut off",
        .has = TORTURE_SERVER | TORTURE_CLUSTER,
        .remembers = true,
        .program = &torture_zookeeper_cluster,
        .modes_stay = true,
        .linger_ms = 8000, /* a dead client's session begins anew, too */
        .elects_ms = 6000,
    },
    {
        .name = "postgres",
        .store = "postgres",
        .what = "a PostgreSQL with its own settings: it keeps what it acknowledged",
        .has = TORTURE_SERVER | TORTURE_SQL,
        .remembers = true,
        .program = &torture_postgres,
    },
    {
        .name = "mariadb",
        .store = "mariadb",
        .what = "a MariaDB with its own settings: it keeps what it acknowledged",
        .has = TORTURE_SERVER | TORTURE_SQL,
        .remembers = true,
        .program = &torture_mariadb,
    },
};
const size_t torture_setup_count = sizeof torture_setups / sizeof torture_setups[0];
