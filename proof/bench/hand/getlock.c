/* SPDX-License-Identifier: MIT */
/*
 * MariaDB's own named locks: GET_LOCK and RELEASE_LOCK, one statement each over a connection that
 * lives as long as the lock.
 *
 *     getlock:SOCKET        nothing is written: no owner, no expiry, no fence
 *     getlock-fence:SOCKET  who has the lock counts a fence in a row, as hand-written locks on
 *                           Redis do with INCR
 */
#include <mysql.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../driver/driver.h"

#define STATEMENT_MAX 200

typedef struct getlock_connection {
    MYSQL *mysql;
    bool fenced;
} getlock_connection;

typedef struct getlock_lock {
    getlock_connection *connection;
    char take[STATEMENT_MAX], count[STATEMENT_MAX], give[STATEMENT_MAX];
} getlock_lock;

/* The first value of its first row, or "". */
static void query(MYSQL *mysql, const char *sql, char ret_value[32])
{
    ret_value[0] = '\0';
    if (mysql_real_query(mysql, sql, strlen(sql))) bench_die("%s: %s", sql, mysql_error(mysql));
    MYSQL_RES *rows = mysql_store_result(mysql);
    MYSQL_ROW row = rows ? mysql_fetch_row(rows) : NULL;
    if (row && row[0]) snprintf(ret_value, 32, "%s", row[0]);
    mysql_free_result(rows);
}

static const char *socket_of(const char *url, bool *ret_fenced)
{
    *ret_fenced = strncmp(url, "getlock-fence:", 14) == 0;
    if (*ret_fenced) return url + 14;
    if (strncmp(url, "getlock:", 8) != 0)
        bench_die("the URL is getlock:SOCKET or getlock-fence:SOCKET");
    return url + 8;
}

static void *getlock_connect(const bench_args *args)
{
    char none[32];
    getlock_connection *c = calloc(1, sizeof *c);
    if (!c) bench_die("out of memory");
    const char *socket = socket_of(args->url, &c->fenced);
    c->mysql = mysql_init(NULL);
    if (!c->mysql) bench_die("out of memory");
    if (!mysql_real_connect(c->mysql, NULL, "root", NULL, NULL, 0, socket, 0))
        bench_die("%s: %s", socket, mysql_error(c->mysql));
    if (c->fenced) {
        query(c->mysql, "CREATE DATABASE IF NOT EXISTS bench", none);
        query(c->mysql,
              "CREATE TABLE IF NOT EXISTS bench.fence(name VARCHAR(64) PRIMARY KEY, last BIGINT) "
              "ENGINE = InnoDB",
              none);
    }
    return c;
}

static void *getlock_lock_new(void *connection, const char *name)
{
    char none[32];
    getlock_lock *l = calloc(1, sizeof *l);
    if (!l) bench_die("out of memory");
    l->connection = connection;
    snprintf(l->take, sizeof l->take, "SELECT GET_LOCK('%s', 600)", name);
    snprintf(l->give, sizeof l->give, "DO RELEASE_LOCK('%s')", name);
    snprintf(l->count, sizeof l->count, "UPDATE bench.fence SET last = last + 1 WHERE name = '%s'",
             name);
    if (l->connection->fenced) {
        char insert[STATEMENT_MAX];
        snprintf(insert, sizeof insert, "INSERT IGNORE INTO bench.fence VALUES('%s', 0)", name);
        query(l->connection->mysql, insert, none);
    }
    return l;
}

static void getlock_acquire(void *lock)
{
    const getlock_lock *l = lock;
    char value[32];
    query(l->connection->mysql, l->take, value);
    if (strcmp(value, "1") != 0) bench_die("GET_LOCK said %s", value);
    if (l->connection->fenced) query(l->connection->mysql, l->count, value);
}

static void getlock_release(void *lock)
{
    const getlock_lock *l = lock;
    char none[32];
    query(l->connection->mysql, l->give, none);
}

static const bench_driver driver = {
    .name = "getlock",
    .connect = getlock_connect,
    .lock = getlock_lock_new,
    .acquire = getlock_acquire,
    .release = getlock_release,
};

int main(int argc, char **argv)
{
    if (mysql_library_init(0, NULL, NULL)) bench_die("out of memory");
    return bench_main(&driver, argc, argv);
}
