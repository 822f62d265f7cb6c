/* SPDX-License-Identifier: MIT */
/*
 * INSPECT and LIST: one SELECT, so one moment of the tables; schema.sql says what its rows mean. A
 * list is asked for in pages, so that it does not keep the connection busy for long.
 */
#define _GNU_SOURCE
#include "mariadb_store.h"

#include "../../base/instant.h"
#include "../common/sql_report.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE 200 /* names */

typedef struct report {
    pawl__mariadb_pending pending;
    uint64_t id;
    bool is_list, is_first;
    pawl__sql_range range;
    char token[PAWL_TOKEN_LEN + 1];
} report;

/* ---- The question -------------------------------------------------------------------------- */

static bool ask(pawl_store *store, report *r)
{
    pawl__mariadb_text t;
    pawl__mariadb_begin_call(&t, store, "report");
    pawl__mariadb_add_bytes(&t, r->range.from, r->range.from_len);
    pawl__mariadb_add_number(&t, r->is_first);
    pawl__mariadb_add_bytes(&t, r->range.end, r->range.end_len);
    pawl__mariadb_add_number(&t, PAGE);
    pawl__mariadb_add_number(&t, r->is_list);
    pawl__mariadb_add_word(&t, r->token);
    r->is_first = false;
    if (!pawl__mariadb_end_call(&t, &r->pending)) return false;
    if (!pawl__mariadb_send(store, &r->pending)) {
        free(r->pending.sql);
        return false;
    }
    pawl__answers_arm(&store->answers, r->pending.answer_by);
    return true;
}

static void finish(pawl_store *store, report *r, pawl_outcome outcome, pawl_err err,
                   const char *message)
{
    uint64_t id = r->id;
    free(r);
    pawl__mariadb_say(store, id, outcome, err, message);
}

static const char *text(const void *result, int row, int column)
{
    return ((MYSQL_ROW const *)result)[row][column];
}

/* How many names, or PAWL__SQL_NO_... */
static int give_rows(pawl_store *store, report *r, const pawl__mariadb_call *call)
{
    if (call->error.number || !call->rows ||
        mysql_num_fields(call->rows) < PAWL__SQL_REPORT_COLUMNS)
        return PAWL__SQL_NO_REPORT;
    size_t count = (size_t)mysql_num_rows(call->rows);
    MYSQL_ROW *rows = calloc(count + 1, sizeof(*rows));
    if (!rows) return PAWL__SQL_NO_MEMORY;
    for (size_t i = 0; i < count; i++) rows[i] = mysql_fetch_row(call->rows);
    const pawl__sql_table table = {rows, (int)count, text};
    int names = pawl__sql_report(store->host, r->id, &table, &r->range);
    free(rows);
    return names;
}

static void answered(pawl_store *store, pawl__mariadb_pending *pending,
                     const pawl__mariadb_call *call)
{
    report *r = pawl__container(pending, report, pending);
    char message[PAWL_MESSAGE_MAX];
    pawl_err err = PAWL_ERR_NO_MEMORY;
    int names = give_rows(store, r, call);
    if (names == PAWL__SQL_NO_REPORT) {
        pawl_outcome outcome = pawl__mariadb_judge(store, call, false, &err, message);
        finish(store, r, outcome, err, message);
    } else if (names == PAWL__SQL_NO_MEMORY) {
        finish(store, r, PAWL_FAILED, err, NULL);
    } else if (!r->is_list || names < PAGE) {
        finish(store, r, PAWL_REPORTED, PAWL_OK, NULL);
    } else if (!ask(store, r)) {
        finish(store, r, PAWL_FAILED, pawl__mariadb_send_trouble(store), NULL);
    }
}

static void unanswered(pawl_store *store, pawl__mariadb_pending *pending, pawl_err err,
                       const char *message)
{
    finish(store, pawl__container(pending, report, pending), PAWL_FAILED, err, message);
}

static void drop(pawl__mariadb_pending *pending)
{
    free(pawl__container(pending, report, pending));
}

bool pawl__mariadb_report(pawl_store *store, const pawl_request *request)
{
    report *r = calloc(1, sizeof *r);
    if (!r) return false;
    r->pending = (pawl__mariadb_pending){.answer_by = request->answer_by,
                                         .answered = answered,
                                         .unanswered = unanswered,
                                         .drop = drop};
    r->id = request->id;
    r->is_list = request->verb == PAWL_VERB_LIST;
    r->is_first = true;
    if (request->token) snprintf(r->token, sizeof r->token, "%s", request->token);
    pawl__sql_range_of_prefix(&r->range, request->name, request->name_len);
    if (ask(store, r)) return true;
    free(r);
    return false;
}
