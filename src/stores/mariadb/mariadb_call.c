/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "mariadb_call.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CUT_STEPS 1000

/* ---- TLS ----------------------------------------------------------------------------------- */

/* OpenSSL's, if libmariadb has that one. */
extern void ERR_clear_error(void) __attribute__((weak));

void pawl__mariadb_clear_errors(void)
{
    if (ERR_clear_error) ERR_clear_error();
}

/* OpenSSL writes without MSG_NOSIGNAL, and the program's own handling of the signal is its
 * business. */
typedef struct guard {
    bool on, was_pending;
    sigset_t before;
} guard;

static guard guard_pipe(MYSQL *mysql)
{
    guard g = {.on = mysql_get_ssl_cipher(mysql) != NULL};
    sigset_t pipe, pending;
    if (!g.on) return g;
    pawl__mariadb_clear_errors();
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    sigpending(&pending);
    g.was_pending = sigismember(&pending, SIGPIPE) == 1;
    pthread_sigmask(SIG_BLOCK, &pipe, &g.before);
    return g;
}

static void end_guard(const guard *g)
{
    static const struct timespec at_once = {0};
    sigset_t pipe;
    if (!g->on) return;
    sigemptyset(&pipe);
    sigaddset(&pipe, SIGPIPE);
    if (!g->was_pending) (void)sigtimedwait(&pipe, NULL, &at_once);
    pthread_sigmask(SIG_SETMASK, &g->before, NULL);
}

/* ---- Steps --------------------------------------------------------------------------------- */

void pawl__mariadb_note_error(MYSQL *mysql, pawl__mariadb_error *ret_error)
{
    ret_error->number = mysql_errno(mysql);
    if (!ret_error->number) ret_error->number = 2000; /* CR_UNKNOWN_ERROR */
    snprintf(ret_error->state, sizeof ret_error->state, "%s", mysql_sqlstate(mysql));
    snprintf(ret_error->text, sizeof ret_error->text, "%s", mysql_error(mysql));
}

static void end(pawl__mariadb_call *call, bool failed)
{
    call->step = PAWL__MARIADB_IDLE;
    if (failed) pawl__mariadb_note_error(call->mysql, &call->error);
}

static int begin_store(pawl__mariadb_call *call)
{
    call->step = PAWL__MARIADB_STORE;
    call->latest = NULL;
    return mysql_store_result_start(&call->latest, call->mysql);
}

/* Rows were read, or there were none. */
static int stored(pawl__mariadb_call *call)
{
    if (!call->latest && mysql_errno(call->mysql)) {
        end(call, true);
        return 0;
    }
    if (call->latest && !call->rows)
        call->rows = call->latest;
    else
        mysql_free_result(call->latest);
    call->latest = NULL;
    if (!mysql_more_results(call->mysql)) {
        end(call, false);
        return 0;
    }
    call->step = PAWL__MARIADB_NEXT;
    return mysql_next_result_start(&call->code, call->mysql);
}

static int advance(pawl__mariadb_call *call)
{
    if (call->step == PAWL__MARIADB_STORE) return stored(call);
    if (call->code == 0) return begin_store(call);
    /* -1 of a query is a failure, and of the next result that there is none. */
    end(call, call->step == PAWL__MARIADB_QUERY || call->code > 0);
    return 0;
}

static int go_on(pawl__mariadb_call *call, int waits)
{
    while (!waits && call->step != PAWL__MARIADB_IDLE) waits = advance(call);
    call->waits = waits;
    return waits;
}

int pawl__mariadb_call_begin(pawl__mariadb_call *call, const char *sql, size_t len)
{
    guard g = guard_pipe(call->mysql);
    pawl__mariadb_call_clear(call);
    call->step = PAWL__MARIADB_QUERY;
    int waits = mysql_real_query_start(&call->code, call->mysql, sql, (unsigned long)len);
    waits = go_on(call, waits);
    end_guard(&g);
    return waits;
}

int pawl__mariadb_call_go_on(pawl__mariadb_call *call, int happened)
{
    guard g = guard_pipe(call->mysql);
    int waits = 0;
    if (call->step == PAWL__MARIADB_QUERY)
        waits = mysql_real_query_cont(&call->code, call->mysql, happened);
    else if (call->step == PAWL__MARIADB_STORE)
        waits = mysql_store_result_cont(&call->latest, call->mysql, happened);
    else if (call->step == PAWL__MARIADB_NEXT)
        waits = mysql_next_result_cont(&call->code, call->mysql, happened);
    waits = go_on(call, waits);
    end_guard(&g);
    return waits;
}

void pawl__mariadb_call_clear(pawl__mariadb_call *call)
{
    mysql_free_result(call->rows);
    call->rows = NULL;
    call->error = (pawl__mariadb_error){0};
}

/* ---- The end ------------------------------------------------------------------------------- */

/* A call that waits has memory on a stack of its own. It gets it back when its socket is closed. */
static void cut(pawl__mariadb_call *call)
{
    if (call->step == PAWL__MARIADB_IDLE) return;
    int fd = mysql_get_socket(call->mysql);
    if (fd >= 0) (void)shutdown(fd, SHUT_RDWR);
    for (int i = 0; call->step != PAWL__MARIADB_IDLE && i < CUT_STEPS; i++)
        (void)pawl__mariadb_call_go_on(call, call->waits & ~MYSQL_WAIT_TIMEOUT);
}

void pawl__mariadb_call_close(pawl__mariadb_call *call)
{
    if (!call->mysql) return;
    cut(call);
    pawl__mariadb_call_clear(call);
    guard g = guard_pipe(call->mysql);
    mysql_close(call->mysql);
    end_guard(&g);
    call->mysql = NULL;
}

/* mysql_close sends a farewell on its socket, which is the parent's. So /dev/null takes its place,
 * on which nothing can be sent. */
void pawl__mariadb_call_forget(pawl__mariadb_call *call)
{
    if (!call->mysql) return;
    int fd = mysql_get_socket(call->mysql), nobody = open("/dev/null", O_RDWR | O_CLOEXEC);
    if (nobody >= 0 && fd >= 0) (void)dup3(nobody, fd, O_CLOEXEC);
    if (nobody >= 0) close(nobody);
    if (nobody < 0 && fd >= 0) close(fd);
    pawl__mariadb_call_close(call);
}

/* ---- Small help ---------------------------------------------------------------------------- */

short pawl__mariadb_to_poll(int waits)
{
    return (short)((waits & MYSQL_WAIT_READ ? POLLIN : 0) |
                   (waits & MYSQL_WAIT_WRITE ? POLLOUT : 0) |
                   (waits & MYSQL_WAIT_EXCEPT ? POLLPRI : 0));
}

int pawl__mariadb_of_poll(short events)
{
    return (events & (POLLIN | POLLHUP | POLLERR) ? MYSQL_WAIT_READ : 0) |
           (events & (POLLOUT | POLLHUP | POLLERR) ? MYSQL_WAIT_WRITE : 0) |
           (events & POLLPRI ? MYSQL_WAIT_EXCEPT : 0);
}

const char *pawl__mariadb_only(const MYSQL_RES *rows)
{
    MYSQL_RES *result = (MYSQL_RES *)(uintptr_t)rows;
    if (!result || mysql_num_rows(result) != 1 || mysql_num_fields(result) < 1) return "";
    mysql_data_seek(result, 0);
    MYSQL_ROW row = mysql_fetch_row(result);
    return row && row[0] ? row[0] : "";
}
