/* SPDX-License-Identifier: MIT */
/*
 * A host is asked in this order: may we come in, is it a primary, is the schema there (else it is
 * made), can we be woken. Everything has to be done in the time of an attempt, but for the making
 * of the schema.
 */
#define _GNU_SOURCE
#include "mariadb_greet.h"

#include "../../base/instant.h"
#include "../../base/line.h"
#include "../common/secret.h"

#include <errno.h>
#include <fcntl.h>
#include <mysqld_error.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#define PLACE_TIME_MS     100   /* least time that one of several hosts gets */
#define SCHEMA_TIME_MS    30000 /* to make it, or to wait for somebody who does */
#define CUT_STEPS         1000
#define NO_RIGHT          1370
#define FORMAT            "pawl format 2"
#define OLDER             "pawl format 1" /* schema.sql adds what it lacks */
#define FORMAT_PREFIX     "pawl format "
#define FORMAT_PREFIX_LEN (sizeof FORMAT_PREFIX - 1)

typedef pawl__mariadb_greeting greeting;

/* ---- Waiting ------------------------------------------------------------------------------- */

/* What happened of what is waited for; 0: the time is over, or nobody waits any more. */
static int await(greeting *g, MYSQL *mysql, int waits, int64_t until)
{
    for (;;) {
        struct pollfd fds[] = {
            {.fd = mysql_get_socket(mysql), .events = pawl__mariadb_to_poll(waits)},
            {.fd = g->stop_fd, .events = POLLIN}};
        int64_t left = pawl__ms_until(g->now(), until);
        if (left <= 0 || atomic_load(&g->ignored)) return 0;
        int n = poll(fds, 2, (int)left);
        if (n < 0 && errno != EINTR) return 0;
        if (n > 0 && fds[0].revents) return pawl__mariadb_of_poll(fds[0].revents) & waits;
        if (n > 0 && fds[1].revents) return 0;
    }
}

static void fail(greeting *g, pawl_err err, const char *what)
{
    /* A refusal of one host says more than another host at which nobody listens. */
    pawl_err_class cls = pawl_err_class_of(g->err);
    if (g->err && (cls != PAWL_CLASS_RETRY || g->err == PAWL_ERR_READONLY)) return;
    g->err = err;
    snprintf(g->message, sizeof g->message, "%s", what);
    pawl__line_mend(g->message);
}

static void fail_with(greeting *g, const pawl__mariadb_error *error)
{
    char message[PAWL_MESSAGE_MAX];
    pawl_err err = pawl__mariadb_explain(g->config->where, error, message).err;
    fail(g, err == PAWL_ERR_STORE_BUSY ? PAWL_ERR_UNAVAILABLE : err, message);
}

static void fail_saying(greeting *g, pawl_err err, const char *what)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s: %s", g->config->where, what);
    fail(g, err, message);
}

/* Carries out a statement. False: it failed, and the call says why; or the time is over, and then
 * it has no connection any more. */
static bool run(greeting *g, pawl__mariadb_call *call, const char *sql, int64_t until)
{
    int waits = pawl__mariadb_call_begin(call, sql, strlen(sql));
    while (waits) {
        int happened = await(g, call->mysql, waits, until);
        if (!happened) {
            pawl__mariadb_call_close(call);
            fail_saying(g, PAWL_ERR_UNAVAILABLE, "the server did not answer the greeting in time");
            return false;
        }
        waits = pawl__mariadb_call_go_on(call, happened);
    }
    return call->error.number == 0;
}

/* The same, and a failure is that of the greeting. */
static bool must_run(greeting *g, pawl__mariadb_call *call, const char *sql, int64_t until)
{
    if (run(g, call, sql, until)) return true;
    if (call->mysql) fail_with(g, &call->error);
    return false;
}

/* ---- A connection -------------------------------------------------------------------------- */

static void set_tls(const pawl__mariadb_config *config, MYSQL *mysql)
{
    static const enum mysql_option options[PAWL__MARIADB_WORD_COUNT] = {
        [PAWL__MARIADB_SSL_CA] = MYSQL_OPT_SSL_CA,
        [PAWL__MARIADB_SSL_CAPATH] = MYSQL_OPT_SSL_CAPATH,
        [PAWL__MARIADB_SSL_CERT] = MYSQL_OPT_SSL_CERT,
        [PAWL__MARIADB_SSL_KEY] = MYSQL_OPT_SSL_KEY,
        [PAWL__MARIADB_SSL_CRL] = MYSQL_OPT_SSL_CRL,
        [PAWL__MARIADB_SSL_CIPHER] = MYSQL_OPT_SSL_CIPHER,
        [PAWL__MARIADB_TLS_VERSION] = MARIADB_OPT_TLS_VERSION,
    };
    my_bool enforce = config->tls != PAWL__MARIADB_TLS_OFF;
    my_bool verify = config->tls == PAWL__MARIADB_TLS_VERIFY;
    for (size_t i = 0; i < PAWL__MARIADB_WORD_COUNT; i++)
        if (config->words[i]) (void)mysql_optionsv(mysql, options[i], config->words[i]);
    (void)mysql_optionsv(mysql, MYSQL_OPT_SSL_ENFORCE, &enforce);
    (void)mysql_optionsv(mysql, MYSQL_OPT_SSL_VERIFY_SERVER_CERT, &verify);
}

static MYSQL *make_handle(const pawl__mariadb_config *config, const pawl__mariadb_place *place)
{
    MYSQL *mysql = mysql_init(NULL);
    static const unsigned no = 0;
    if (!mysql) return NULL;
    unsigned protocol = place->host ? MYSQL_PROTOCOL_TCP : MYSQL_PROTOCOL_SOCKET;
    if (mysql_optionsv(mysql, MYSQL_OPT_NONBLOCK, NULL) != 0) {
        mysql_close(mysql);
        return NULL;
    }
    (void)mysql_optionsv(mysql, MYSQL_OPT_LOCAL_INFILE, &no); /* no server reads our files */
    (void)mysql_optionsv(mysql, MYSQL_SET_CHARSET_NAME, "utf8mb4");
    (void)mysql_optionsv(mysql, MYSQL_OPT_CONNECT_ATTR_ADD, "program_name", "pawl");
    (void)mysql_optionsv(mysql, MYSQL_OPT_PROTOCOL, &protocol);
    set_tls(config, mysql);
    return mysql;
}

/* The password in *ret_password is the caller's. False: there should be one, and there is not. */
static bool find_password(greeting *g, char **ret_password)
{
    bool exposed;
    char why[PAWL_MESSAGE_MAX - 220];
    *ret_password = NULL;
    if (!g->config->password_file) return true;
    *ret_password = pawl__secret_read(g->config->password_file, &exposed, why, sizeof why);
    if (!*ret_password) fail_saying(g, PAWL_ERR_AUTH, why);
    return *ret_password;
}

/* A connecting that waits has memory on a stack of its own. It gets it back when its socket is
 * closed. */
static void cut(MYSQL *mysql, MYSQL **ret, int waits)
{
    int fd = mysql_get_socket(mysql);
    if (fd >= 0) (void)shutdown(fd, SHUT_RDWR);
    for (int i = 0; waits && i < CUT_STEPS; i++)
        waits = mysql_real_connect_cont(ret, mysql, waits & ~MYSQL_WAIT_TIMEOUT);
    *ret = NULL;
}

static bool is_connected(MYSQL *mysql)
{
    struct sockaddr_storage peer;
    socklen_t len = sizeof peer;
    return getpeername(mysql_get_socket(mysql), (struct sockaddr *)&peer, &len) == 0;
}

/* False: the time is over. */
static bool log_in(greeting *g, MYSQL *mysql, const pawl__mariadb_place *place,
                   const char *password, int64_t until, MYSQL **ret)
{
    const pawl__mariadb_config *c = g->config;
    pawl__mariadb_clear_errors();
    int waits = mysql_real_connect_start(ret, mysql, place->host, c->user, password, NULL,
                                         place->port, c->socket, CLIENT_MULTI_RESULTS);
    while (waits) {
        int happened = await(g, mysql, waits, until);
        if (!happened) {
            g->is_silent = is_connected(mysql) && !mysql_get_server_info(mysql);
            cut(mysql, ret, waits);
            return false;
        }
        pawl__mariadb_clear_errors();
        waits = mysql_real_connect_cont(ret, mysql, happened);
    }
    return true;
}

/* libmariadb makes a socket blocking again once TLS has begun, and then reads as on any other: it
 * would keep the loop for as long as the listener waits. */
static void never_block(MYSQL *mysql)
{
    int fd = mysql_get_socket(mysql), flags = fcntl(fd, F_GETFL);
    if (flags >= 0) (void)fcntl(fd, F_SETFL, flags | O_NONBLOCK);
}

/* libmariadb goes on in the clear at a server without TLS, whatever MYSQL_OPT_SSL_ENFORCE says,
 * unless the certificate is to be verified. */
static bool is_plain_against_our_will(const pawl__mariadb_config *config, MYSQL *mysql)
{
    return config->tls != PAWL__MARIADB_TLS_OFF && !mysql_get_ssl_cipher(mysql);
}

static void fail_late(greeting *g, const pawl__mariadb_place *place)
{
    char message[PAWL_MESSAGE_MAX];
    snprintf(message, sizeof message, "%s: no connection within %lld ms%s%.100s%s",
             g->config->where, (long long)g->config->connect_timeout_ms,
             g->config->place_count > 1 ? " at " : "",
             g->config->place_count > 1 && place->host ? place->host : "",
             g->is_silent ? ": what listens there says nothing, and MariaDB speaks first; is it "
                            "another server?"
                          : "");
    fail(g, PAWL_ERR_UNAVAILABLE, message);
}

static bool connect_to(greeting *g, const pawl__mariadb_place *place, int64_t until,
                       pawl__mariadb_call *ret_call)
{
    char *from_file;
    MYSQL *mysql, *done = NULL;
    *ret_call = (pawl__mariadb_call){0};
    if (!find_password(g, &from_file)) return false;
    mysql = make_handle(g->config, place);
    if (!mysql) {
        pawl__secret_free(from_file);
        fail_saying(g, PAWL_ERR_UNAVAILABLE, pawl_err_text(PAWL_ERR_NO_MEMORY));
        return false;
    }
    const char *password = from_file ? from_file : g->config->password;
    bool in_time = log_in(g, mysql, place, password, until, &done);
    pawl__secret_free(from_file);
    if (in_time && done && is_plain_against_our_will(g->config, mysql)) {
        fail_saying(g, PAWL_ERR_TLS, "the server offers no TLS, which ssl=on asks for");
        mysql_close(mysql);
        return false;
    }
    if (in_time && done) {
        never_block(mysql);
        ret_call->mysql = mysql;
        return true;
    }
    pawl__mariadb_error error = {0};
    pawl__mariadb_note_error(mysql, &error);
    if (in_time)
        fail_with(g, &error);
    else
        fail_late(g, place);
    mysql_close(mysql);
    return false;
}

/* ---- What the session must be -------------------------------------------------------------- */

/* What a user, an administrator or init_connect may have made the default. */
#define SESSION                                                                                    \
    "SET SESSION autocommit=1, completion_type=0, sql_safe_updates=0, "                            \
    "group_concat_max_len=65536, "                                                                 \
    "sql_select_limit=18446744073709551615, innodb_lock_wait_timeout=3"

static bool set_session(greeting *g, pawl__mariadb_call *call, const char *wait_s, int64_t until)
{
    char sql[400];
    snprintf(sql, sizeof sql, SESSION ", wait_timeout=%s", wait_s);
    if (!must_run(g, call, sql, until)) return false;
    (void)run(g, call, "SET SESSION max_statement_time=0", until); /* MySQL does not know it */
    return call->mysql;
}

static bool is_on(const char *value)
{
    return strcmp(value, "OFF") != 0 && strcmp(value, "0") != 0 && *value != '\0';
}

/* False, with the reason: this server is none for locks. */
static bool judge_variable(greeting *g, const char *name, const char *value)
{
    if ((strcmp(name, "read_only") == 0 || strcmp(name, "innodb_read_only") == 0) && is_on(value)) {
        fail_saying(g, PAWL_ERR_READONLY, "the server is read-only; connect to the primary");
        return false;
    }
    if (strcmp(name, "binlog_format") == 0 && strcmp(value, "STATEMENT") == 0) {
        fail_saying(
            g, PAWL_ERR_UNSUPPORTED,
            "binlog_format is STATEMENT, with which no request can be READ COMMITTED; let it "
            "be MIXED or ROW");
        return false;
    }
    if ((strcmp(name, "wsrep_on") == 0 && is_on(value)) ||
        (strcmp(name, "group_replication_group_name") == 0 && *value))
        snprintf(g->no_push, sizeof g->no_push,
                 "this is a cluster of servers, of which each knows its own connections alone");
    return true;
}

static bool look_at_server(greeting *g, pawl__mariadb_call *call, int64_t until)
{
    static const char sql[] =
        "SHOW VARIABLES WHERE Variable_name IN ('read_only','innodb_read_only','binlog_format',"
        "'wsrep_on','group_replication_group_name')";
    MYSQL_ROW row;
    g->no_push[0] = '\0';
    if (!must_run(g, call, sql, until)) return false;
    if (!call->rows || mysql_num_fields(call->rows) != 2) {
        fail_saying(g, PAWL_ERR_PROTOCOL, pawl_err_text(PAWL_ERR_PROTOCOL));
        return false;
    }
    while ((row = mysql_fetch_row(call->rows)) != NULL)
        if (row[0] && row[1] && !judge_variable(g, row[0], row[1])) return false;
    return true;
}

/* ---- The schema ---------------------------------------------------------------------------- */

/* The next statement of schema.sql: what stands between two lines "//". NULL: that was the last. */
static const char *next_statement(const char *at, size_t *ret_len)
{
    const char *end = strstr(at, "\n//\n");
    if (!end) return NULL;
    *ret_len = (size_t)(end - at);
    return at;
}

static bool may_not_create(const pawl__mariadb_call *call)
{
    unsigned n = call->error.number;
    return n == ER_DBACCESS_DENIED_ERROR || n == ER_TABLEACCESS_DENIED_ERROR ||
           n == ER_SPECIFIC_ACCESS_DENIED_ERROR || n == NO_RIGHT || n == ER_BAD_DB_ERROR;
}

static bool run_for_schema(greeting *g, pawl__mariadb_call *call, const char *sql, int64_t until)
{
    char what[300];
    if (run(g, call, sql, until)) return true;
    if (!call->mysql) return false;
    if (!may_not_create(call)) {
        fail_with(g, &call->error);
        return false;
    }
    snprintf(what, sizeof what,
             "pawl's tables are not there, or older, and this user may not make them: let somebody "
             "who may run what `pawl schema mariadb` prints, in the database %.64s",
             g->config->database);
    fail_saying(g, PAWL_ERR_PERMISSION, what);
    return false;
}

/* The format's name, NULL if there is none or no answer. */
static const char *find_format(greeting *g, pawl__mariadb_call *call, int64_t until)
{
    char sql[200];
    snprintf(sql, sizeof sql, "CALL `%s`.pawl_format()", g->config->database);
    return run(g, call, sql, until) ? pawl__mariadb_only(call->rows) : NULL;
}

static bool run_script(greeting *g, pawl__mariadb_call *call, int64_t until)
{
    size_t len;
    const char *at = strstr(pawl__mariadb_schema, "DELIMITER //\n");
    if (at) at += strlen("DELIMITER //\n");
    while (at && (at = next_statement(at, &len)) != NULL) {
        char *statement = strndup(at, len);
        bool good = statement && run_for_schema(g, call, statement, until);
        free(statement);
        if (!good) return false;
        at += len + strlen("\n//\n");
    }
    return true;
}

static bool create(greeting *g, pawl__mariadb_call *call)
{
    int64_t until = pawl__instant_add(g->now(), pawl__ms_to_ns(SCHEMA_TIME_MS));
    char sql[200];
    snprintf(sql, sizeof sql, "CREATE DATABASE IF NOT EXISTS `%s`", g->config->database);
    if (!run(g, call, sql, until) && !call->mysql) return false; /* it may be there already */
    snprintf(sql, sizeof sql, "USE `%s`", g->config->database);
    if (!run_for_schema(g, call, sql, until)) return false;
    /* Somebody else may be making it just now: then it is there when we have the lock. */
    if (!run_for_schema(g, call, "DO GET_LOCK('pawl schema', 30)", until)) return false;
    const char *format = find_format(g, call, until);
    bool made = format && strcmp(format, OLDER) != 0;
    if (!call->mysql || (!made && !run_script(g, call, until))) return false;
    return must_run(g, call, "DO RELEASE_ALL_LOCKS()", until);
}

/* Who may use nothing in a database is told the same whether it is there or not. */
static void say_no_right(greeting *g)
{
    char what[300];
    snprintf(
        what, sizeof what,
        "there is no database %.64s, or this user may call nothing in it: let somebody who may "
        "run there what `pawl schema mariadb` prints, and what its head says",
        g->config->database);
    fail_saying(g, PAWL_ERR_PERMISSION, what);
}

static bool find_schema(greeting *g, pawl__mariadb_call *call, int64_t until)
{
    const char *format = find_format(g, call, until);
    if (format && strcmp(format, FORMAT) == 0) return true;
    if (format && strcmp(format, OLDER) == 0) return create(g, call);
    if (format) {
        fail_saying(g, PAWL_ERR_VERSION,
                    "the schema was made by another version of pawl, whose format does not fit");
        return false;
    }
    if (!call->mysql) return false;
    unsigned n = call->error.number;
    if (n == NO_RIGHT) {
        say_no_right(g);
        return false;
    }
    if (n == ER_SP_DOES_NOT_EXIST || n == ER_BAD_DB_ERROR || n == ER_DBACCESS_DENIED_ERROR)
        return create(g, call);
    fail_with(g, &call->error);
    return false;
}

/* Whatever comes of it: it is a help, and what is wrong is said to requests. False: the connection
 * is gone. */
static bool warm_up(greeting *g, pawl__mariadb_call *call, int64_t until)
{
    char use[100];
    if (!g->warms_up) return true;
    snprintf(use, sizeof use, "USE `%s`", g->config->database);
    (void)(run(g, call, use, until) && run(g, call, pawl__mariadb_warm_up, until));
    g->is_mute = !call->mysql;
    return call->mysql;
}

/* ---- Being woken --------------------------------------------------------------------------- */

static bool give_up_push(greeting *g, const char *why)
{
    snprintf(g->no_push, sizeof g->no_push, "%.190s", why);
    pawl__mariadb_call_close(&g->listener);
    return g->asker.mysql;
}

/* False: the asker's connection is gone. Without a listener the link is a link still. */
static bool try_to_wake(greeting *g, const pawl__mariadb_place *place, int64_t until)
{
    char sql[300];
    if (g->no_push[0]) return true;
    snprintf(sql, sizeof sql, "CALL `%s`.pawl_leave('%s')", g->config->database, g->client_id);
    (void)run(g, &g->asker, sql, until); /* connections of ours whose end nobody has seen */
    if (!g->asker.mysql) return false;
    snprintf(sql, sizeof sql, "SELECT GET_LOCK('pawl.wait.%s', 5)", g->client_id);
    if (!run(g, &g->asker, sql, until) || strcmp(pawl__mariadb_only(g->asker.rows), "1") != 0)
        return give_up_push(g, "the server gives no named lock (GET_LOCK)");
    if (!connect_to(g, place, until, &g->listener))
        return give_up_push(g, "the server gives a client no second connection");
    snprintf(sql, sizeof sql, "SELECT GET_LOCK('pawl.%s', 5)", g->client_id);
    if (!set_session(g, &g->listener, "30", until) || !run(g, &g->listener, sql, until) ||
        strcmp(pawl__mariadb_only(g->listener.rows), "1") != 0)
        return give_up_push(g, "the server gives no named lock (GET_LOCK)");
    snprintf(sql, sizeof sql, "CALL `%s`.pawl_try('%s')", g->config->database, g->client_id);
    if (!run(g, &g->asker, sql, until))
        return give_up_push(g, "this user may not wake its own connections (KILL QUERY), because "
                               "the procedures are another user's, who may not either");
    if (strcmp(pawl__mariadb_only(g->asker.rows), "rung") != 0)
        return give_up_push(g, "a proxy is in between, which shares connections");
    return true;
}

/* ---- Hosts --------------------------------------------------------------------------------- */

static bool try_place(greeting *g, const pawl__mariadb_place *place, int64_t until)
{
    if (connect_to(g, place, until, &g->asker) && set_session(g, &g->asker, "31536000", until) &&
        look_at_server(g, &g->asker, until) && find_schema(g, &g->asker, until) &&
        warm_up(g, &g->asker, until) &&
        try_to_wake(g, place, pawl__instant_max(until, g->now() + pawl__ms_to_ns(1000))))
        return true;
    pawl__mariadb_greeting_done(g);
    return false;
}

void pawl__mariadb_greet(greeting *g)
{
    const pawl__mariadb_config *c = g->config;
    int64_t end = pawl__instant_add(g->now(), pawl__ms_to_ns(c->connect_timeout_ms));
    for (size_t i = 0; i < c->place_count && !atomic_load(&g->ignored); i++) {
        int64_t now = g->now(), left = end > now ? end - now : 0;
        int64_t share = left / (int64_t)(c->place_count - i);
        int64_t least = pawl__ms_to_ns(PLACE_TIME_MS);
        if (!try_place(g, &c->places[i], pawl__instant_add(now, pawl__instant_max(share, least))))
            continue;
        pawl__mariadb_call_clear(&g->asker);
        pawl__mariadb_call_clear(&g->listener);
        return;
    }
}

void pawl__mariadb_greeting_done(greeting *g)
{
    pawl__mariadb_call_close(&g->asker);
    pawl__mariadb_call_close(&g->listener);
}
