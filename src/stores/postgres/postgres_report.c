/* SPDX-License-Identifier: MIT */
/*
 * INSPECT and LIST: one SELECT, so one moment of the tables; schema.sql says what its rows mean. A
 * list is asked for in pages, so that it does not keep the connection busy for long.
 */
#define _GNU_SOURCE
#include "postgres_store.h"

#include "../../base/instant.h"
#include "../common/sql_report.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE      200 /* names */
#define PAGE_TEXT "200"

typedef struct report {
    pawl__postgres_pending pending;
    uint64_t id;
    bool is_list, is_first;
    pawl__sql_range range;
    char token[PAWL_TOKEN_LEN + 1];
} report;

/* ---- The question -------------------------------------------------------------------------- */

static bool ask(pawl_store *store, report *r)
{
    char sql[200];
    pawl__postgres_statement s = {.sql = sql};
    const char *schema = store->config.schema;
    if (r->is_list)
        snprintf(sql, sizeof sql, "SELECT * FROM %s.report(%s.names($1,$2,$3," PAGE_TEXT "),'')",
                 schema, schema);
    else
        snprintf(sql, sizeof sql, "SELECT * FROM %s.report(ARRAY[$1],$2)", schema);
    pawl__postgres_add_bytes(&s, r->range.from, r->range.from_len);
    if (r->is_list) {
        pawl__postgres_add_flag(&s, r->is_first);
        pawl__postgres_add_bytes(&s, r->range.end_len ? r->range.end : NULL, r->range.end_len);
    } else {
        pawl__postgres_add_text(&s, r->token);
    }
    r->is_first = false;
    if (!pawl__postgres_send(store, &s, &r->pending)) return false;
    pawl__answers_arm(&store->answers, r->pending.answer_by);
    return true;
}

static void finish(pawl_store *store, report *r, pawl_outcome outcome, pawl_err err,
                   const char *message)
{
    uint64_t id = r->id;
    free(r);
    pawl__postgres_say(store, id, outcome, err, message);
}

static const char *text(const void *result, int row, int column)
{
    return PQgetisnull(result, row, column) ? NULL : PQgetvalue(result, row, column);
}

/* How many names, or PAWL__SQL_NO_... */
static int give_rows(pawl_store *store, report *r, const PGresult *result)
{
    const pawl__sql_table table = {result, PQntuples(result), text};
    if (PQresultStatus(result) != PGRES_TUPLES_OK || PQnfields(result) < PAWL__SQL_REPORT_COLUMNS)
        return PAWL__SQL_NO_REPORT;
    return pawl__sql_report(store->host, r->id, &table, &r->range);
}

static void answered(pawl_store *store, pawl__postgres_pending *pending, const PGresult *result,
                     bool doubt)
{
    report *r = pawl__container(pending, report, pending);
    char message[PAWL_MESSAGE_MAX];
    pawl_err err = PAWL_ERR_NO_MEMORY;
    int names = give_rows(store, r, result);
    (void)doubt;
    if (names == PAWL__SQL_NO_REPORT) {
        pawl_outcome outcome = pawl__postgres_judge(store, result, false, &err, message);
        finish(store, r, outcome, err, message);
    } else if (names == PAWL__SQL_NO_MEMORY) {
        finish(store, r, PAWL_FAILED, err, NULL);
    } else if (!r->is_list || names < PAGE) {
        finish(store, r, PAWL_REPORTED, PAWL_OK, NULL);
    } else if (!ask(store, r)) {
        finish(store, r, PAWL_FAILED, pawl__postgres_send_trouble(store), NULL);
    }
}

static void unanswered(pawl_store *store, pawl__postgres_pending *pending, pawl_err err,
                       const char *message)
{
    finish(store, pawl__container(pending, report, pending), PAWL_FAILED, err, message);
}

static void drop(pawl__postgres_pending *pending)
{
    free(pawl__container(pending, report, pending));
}

bool pawl__postgres_report(pawl_store *store, const pawl_request *request)
{
    report *r = calloc(1, sizeof *r);
    if (!r) return false;
    r->pending = (pawl__postgres_pending){.answer_by = request->answer_by,
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
