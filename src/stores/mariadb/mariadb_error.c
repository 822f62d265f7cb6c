/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mariadb_error.h"

#include "../../base/line.h"

#include <errmsg.h>
#include <mysql.h>
#include <mysqld_error.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Those that libmariadb's headers have not got, or under other names. */
#define STATEMENT_TIMEOUT_MARIADB 1969
#define STATEMENT_TIMEOUT_MYSQL   3024
#define CONNECTION_KILLED         1927
#define IDLE_MYSQL                4031
#define READ_ONLY_TRANSACTION     1792
#define READ_ONLY_MODE            1836
#define IN_STATEMENT_FORMAT       1665
#define NO_DEFINER                1449
#define CHECK_READ                1020
#define NO_PROCEDURE_RIGHT        1370

/*
 * A request commits before it answers. So an error that may come after the commit (somebody kills
 * the statement, the server goes down, an internal error) does not mean that nothing was done.
 * Until the commit an error undoes everything: the procedure rolls back. Galera tells a lost
 * certification as a deadlock at COMMIT, which undoes it as well, and "not yet prepared" before it
 * does anything. What it says when a node loses the others in the middle of a commit (1180) is in
 * doubt.
 */
static const struct {
    unsigned number;
    pawl_err err;
    bool maybe_done, reconnect, was_stopped;
} meanings[] = {
    {ER_LOCK_DEADLOCK, PAWL_ERR_STORE_BUSY, false, false, false},
    {ER_LOCK_WAIT_TIMEOUT, PAWL_ERR_STORE_BUSY, false, false, false},
    {CHECK_READ, PAWL_ERR_STORE_BUSY, false, false, false},
    {ER_DUP_ENTRY, PAWL_ERR_STORE_BUSY, false, false, false},
    {ER_TABLE_DEF_CHANGED, PAWL_ERR_STORE_BUSY, false, false, false},
    {ER_UNKNOWN_COM_ERROR, PAWL_ERR_UNAVAILABLE, false, true, false}, /* WSREP: not prepared */
    {ER_QUERY_INTERRUPTED, PAWL_ERR_STORE_BUSY, true, false, true},
    {STATEMENT_TIMEOUT_MARIADB, PAWL_ERR_STORE_BUSY, true, false, true},
    {STATEMENT_TIMEOUT_MYSQL, PAWL_ERR_STORE_BUSY, true, false, true},
    {ER_ERROR_DURING_COMMIT, PAWL_ERR_UNAVAILABLE, true, true, false},
    {ER_OPTION_PREVENTS_STATEMENT, PAWL_ERR_READONLY, false, true, false},
    {READ_ONLY_TRANSACTION, PAWL_ERR_READONLY, false, true, false},
    {READ_ONLY_MODE, PAWL_ERR_READONLY, false, true, false},
    {IN_STATEMENT_FORMAT, PAWL_ERR_UNSUPPORTED, false, true, false},
    {ER_ACCESS_DENIED_ERROR, PAWL_ERR_AUTH, false, false, false},
    {ER_ACCESS_DENIED_NO_PASSWORD_ERROR, PAWL_ERR_AUTH, false, false, false},
    {ER_HOST_NOT_PRIVILEGED, PAWL_ERR_AUTH, false, false, false},
    {ER_HOST_IS_BLOCKED, PAWL_ERR_AUTH, false, false, false},
    {CR_AUTH_PLUGIN_CANNOT_LOAD, PAWL_ERR_AUTH, false, false, false},
    {ER_DBACCESS_DENIED_ERROR, PAWL_ERR_PERMISSION, false, false, false},
    {ER_TABLEACCESS_DENIED_ERROR, PAWL_ERR_PERMISSION, false, false, false},
    {ER_COLUMNACCESS_DENIED_ERROR, PAWL_ERR_PERMISSION, false, false, false},
    {ER_SPECIFIC_ACCESS_DENIED_ERROR, PAWL_ERR_PERMISSION, false, false, false},
    {NO_PROCEDURE_RIGHT, PAWL_ERR_PERMISSION, false, false, false},
    {NO_DEFINER, PAWL_ERR_PERMISSION, false, false, false},
    {ER_BAD_DB_ERROR, PAWL_ERR_UNAVAILABLE, false, true, false}, /* gone: look again */
    {ER_NO_SUCH_TABLE, PAWL_ERR_UNAVAILABLE, false, true, false},
    {ER_SP_DOES_NOT_EXIST, PAWL_ERR_UNAVAILABLE, false, true, false},
    {ER_SP_WRONG_NO_OF_ARGS, PAWL_ERR_VERSION, false, true, false},
    {ER_BAD_FIELD_ERROR, PAWL_ERR_VERSION, false, true, false},
    {ER_DISK_FULL, PAWL_ERR_STORE_FULL, false, false, false},
    {ER_RECORD_FILE_FULL, PAWL_ERR_STORE_FULL, false, false, false},
    {ER_OUTOFMEMORY, PAWL_ERR_STORE_BUSY, false, false, false},
    {ER_OUT_OF_SORTMEMORY, PAWL_ERR_STORE_BUSY, false, false, false},
    {ER_OUT_OF_RESOURCES, PAWL_ERR_STORE_BUSY, false, false, false},
    {ER_CON_COUNT_ERROR, PAWL_ERR_UNAVAILABLE, false, true, false},
    {ER_TOO_MANY_USER_CONNECTIONS, PAWL_ERR_UNAVAILABLE, false, true, false},
    {ER_USER_LIMIT_REACHED, PAWL_ERR_UNAVAILABLE, false, true, false},
    {ER_SERVER_SHUTDOWN, PAWL_ERR_UNAVAILABLE, true, true, false},
    {CONNECTION_KILLED, PAWL_ERR_UNAVAILABLE, true, true, false},
    {IDLE_MYSQL, PAWL_ERR_UNAVAILABLE, true, true, false},
    {CR_SSL_CONNECTION_ERROR, PAWL_ERR_TLS, true, true, false},
    {CR_OUT_OF_MEMORY, PAWL_ERR_UNAVAILABLE, true, true, false},
};

static bool is_of_the_library(unsigned number)
{
    return (number >= CR_MIN_ERROR && number <= CR_MAX_ERROR) || number / 1000 == 5;
}

static pawl__mariadb_trouble meaning_of(const pawl__mariadb_error *error)
{
    if (strncmp(error->state, "PW", 2) == 0) { /* raised by the schema: an error of pawl's */
        pawl_err err = (pawl_err)-strtol(error->state + 2, NULL, 10);
        return (pawl__mariadb_trouble){err < 0 ? err : PAWL_ERR_PROTOCOL, false, false, false};
    }
    for (size_t i = 0; i < sizeof meanings / sizeof meanings[0]; i++)
        if (error->number == meanings[i].number)
            return (pawl__mariadb_trouble){meanings[i].err, meanings[i].maybe_done,
                                           meanings[i].reconnect, meanings[i].was_stopped};
    if (is_of_the_library(error->number))
        return (pawl__mariadb_trouble){PAWL_ERR_UNAVAILABLE, true, true, false};
    return (pawl__mariadb_trouble){PAWL_ERR_PROTOCOL, true, false, false};
}

static const char *advice(pawl_err err)
{
    switch (err) {
    case PAWL_ERR_PERMISSION:
        return "; pawl schema mariadb prints the rights that a user needs";
    case PAWL_ERR_READONLY:
        return "; connect to the primary";
    case PAWL_ERR_VERSION:
        return "; is the schema that of another pawl?";
    case PAWL_ERR_UNSUPPORTED:
        return "; let binlog_format be MIXED or ROW";
    default:
        return "";
    }
}

pawl__mariadb_trouble pawl__mariadb_explain(const char *where, const pawl__mariadb_error *error,
                                            char *ret_message)
{
    pawl__mariadb_trouble trouble = meaning_of(error);
    bool own = is_of_the_library(error->number);
    snprintf(ret_message, PAWL_MESSAGE_MAX, "%.200s: %s%.150s (%u)%s", where,
             own ? "" : "the server says: ", error->text, error->number, advice(trouble.err));
    pawl__line_mend(ret_message);
    return trouble;
}

bool pawl__mariadb_was_stopped(const pawl__mariadb_error *error)
{
    return error->number && meaning_of(error).was_stopped;
}
