/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "place.h"

#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

char dir[64], path[96];
host a, b;

int setup(void **state)
{
    (void)state;
    strcpy(dir, "/tmp/pawl-sqlite-XXXXXX");
    assert_non_null(mkdtemp(dir));
    snprintf(path, sizeof(path), "%s/locks.db", dir);
    return 0;
}

int teardown(void **state)
{
    char command[128];
    (void)state;
    snprintf(command, sizeof(command), "rm -rf '%s'", dir);
    return system(command);
}

/* SQL by another hand, on the file. */
void sql(const char *text)
{
    sqlite3 *db;
    char *message = NULL;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, HOST_WAIT_MS);
    if (sqlite3_exec(db, text, NULL, NULL, &message) != SQLITE_OK) fail_msg("%s", message);
    sqlite3_close(db);
}

int64_t sql_int(const char *text)
{
    sqlite3 *db;
    sqlite3_stmt *st;
    assert_int_equal(sqlite3_open(path, &db), SQLITE_OK);
    sqlite3_busy_timeout(db, HOST_WAIT_MS);
    assert_int_equal(sqlite3_prepare_v2(db, text, -1, &st, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(st), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(st, 0);
    sqlite3_finalize(st);
    sqlite3_close(db);
    return value;
}

seen_reply acquire(host *h, const char *name, int token)
{
    return host_call(h, PAWL_VERB_ACQUIRE, name, host_token(token), TTL, PAWL_ASK_QUEUE);
}

seen_reply release(host *h, const char *name, int token)
{
    return host_call(h, PAWL_VERB_RELEASE, name, host_token(token), 0, 0);
}

seen_row inspect(host *h, const char *name, const char *token)
{
    h->row_count = 0;
    assert_int_equal(host_call(h, PAWL_VERB_INSPECT, name, token, 0, 0).outcome, PAWL_REPORTED);
    assert_int_equal(h->row_count, 1);
    return h->rows[0];
}

void beside(char *ret_file, const char *suffix)
{
    snprintf(ret_file, 160, "%s%s", path, suffix);
}
