/* SPDX-License-Identifier: MIT */
/* Where each store's clients meet, and how each store can be hurt. */
#define _GNU_SOURCE
#include "conformance.h"

#include "../support/check.h"
#include "../support/postgres_server.h"
#include "../support/redis_server.h"
#include "../support/temp_dir.h"

#include <stdio.h>

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
