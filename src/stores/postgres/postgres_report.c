/* SPDX-License-Identifier: MIT */
/*
 * INSPECT and LIST: one SELECT, so one moment of the tables; what its rows mean stands in
 * schema.sql. A list is asked for in pages, which no connection is kept busy by for long.
 */
#define _GNU_SOURCE
#include "postgres_store.h"

#include "../../base/instant.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PAGE      200 /* names */
#define PAGE_TEXT "200"

enum {
    KIND,
    NAME,
    OWNER,
    LEFT_MS,
    AGE_MS,
    FENCE,
    MODE,
    UNITS,
    MINE,
    TOTAL,
    BROKEN_BY,
    BROKEN_MS,
    BROKEN_FENCE,
    COLUMNS
};
enum { OF_NAME, OF_HOLDER, OF_WAITER };

typedef struct report {
    pawl__postgres_pending pending;
    uint64_t id;
    bool is_list, is_first;
    size_t from_len, end_len; /* end_len 0: the range has no end */
    char from[PAWL_NAME_MAX + 1], end[PAWL_NAME_MAX + 1];
    char token[PAWL_TOKEN_LEN + 1];
} report;

/* ---- Rows ---------------------------------------------------------------------------------- */

typedef struct shown {
    pawl_holder_info *holders;
    pawl_waiter_info *waiters;
    char (*owners)[PAWL_OWNER_MAX + 1];
    size_t room; /* of each */
} shown;

static int64_t number(const PGresult *result, int row, int column)
{
    return strtoll(PQgetvalue(result, row, column), NULL, 10);
}

/* Bytes and a NUL; none if they are too many, or no hex. */
static size_t unhex(const char *hex, char *ret_text, size_t bytes_max)
{
    size_t len;
    (void)!pawl__postgres_parse_hex(hex, ret_text, bytes_max + 1, &len);
    return len;
}

static void show_holder(const PGresult *result, int row, shown *s, pawl_info *info)
{
    size_t n = info->holders_shown++;
    char *owner = s->owners[n];
    (void)unhex(PQgetvalue(result, row, OWNER), owner, PAWL_OWNER_MAX);
    pawl_holder_info one = {.owner = owner,
                            .remaining_ms = number(result, row, LEFT_MS),
                            .fence = (uint64_t)number(result, row, FENCE),
                            .mode = (pawl_mode)number(result, row, MODE),
                            .units = (uint32_t)number(result, row, UNITS),
                            .mine = strcmp(PQgetvalue(result, row, MINE), "t") == 0};
    s->holders[n] = one;
    if (!info->held || one.remaining_ms > info->remaining_ms) info->remaining_ms = one.remaining_ms;
    info->held = true;
    info->mine |= one.mine;
    info->owner = owner; /* the last one's fence is the largest */
    info->fence = one.fence;
    info->mode = one.mode;
    info->holder_count = (size_t)number(result, row, TOTAL);
}

static void show_waiter(const PGresult *result, int row, shown *s, pawl_info *info)
{
    size_t n = info->waiters_shown++;
    char *owner = s->owners[info->holders_shown + n];
    (void)unhex(PQgetvalue(result, row, OWNER), owner, PAWL_OWNER_MAX);
    s->waiters[n] = (pawl_waiter_info){.owner = owner,
                                       .age_ms = number(result, row, AGE_MS),
                                       .place_ms = number(result, row, LEFT_MS),
                                       .mode = (pawl_mode)number(result, row, MODE),
                                       .units = (uint32_t)number(result, row, UNITS)};
    info->waiter_count = (size_t)number(result, row, TOTAL);
}

/* The rows of one name, from `first` on; the row behind them. */
static int give_name(pawl_store *store, const report *r, const PGresult *result, int first,
                     shown *s)
{
    char name[PAWL_NAME_MAX + 1], broken_by[PAWL_OWNER_MAX + 1];
    pawl_info info = {.size = sizeof info,
                      .name = name,
                      .name_len = unhex(PQgetvalue(result, first, NAME), name, PAWL_NAME_MAX),
                      .owner = "",
                      .fence = (uint64_t)number(result, first, FENCE),
                      .holders = s->holders,
                      .waiters = s->waiters};
    int row = first + 1, rows = PQntuples(result);
    if (!PQgetisnull(result, first, BROKEN_FENCE)) {
        (void)unhex(PQgetvalue(result, first, BROKEN_BY), broken_by, PAWL_OWNER_MAX);
        info.broken_by = broken_by;
        info.broken_ms = number(result, first, BROKEN_MS);
        info.broken_fence = (uint64_t)number(result, first, BROKEN_FENCE);
    }
    for (; row < rows && number(result, row, KIND) == OF_HOLDER; row++)
        show_holder(result, row, s, &info);
    for (; row < rows && number(result, row, KIND) == OF_WAITER; row++)
        show_waiter(result, row, s, &info);
    if (info.held || info.waiter_count) info.capacity = (uint32_t)number(result, first, UNITS);
    store->host->row(store->host, r->id, &info);
    return row;
}

/* False when out of memory. */
static bool make_room(shown *s, size_t rows)
{
    s->holders = calloc(rows, sizeof *s->holders);
    s->waiters = calloc(rows, sizeof *s->waiters);
    s->owners = calloc(rows, sizeof *s->owners);
    return s->holders && s->waiters && s->owners;
}

/* How many names; -1 when out of memory, -2 if these are not the rows that were asked for. */
static int give_rows(pawl_store *store, report *r, const PGresult *result)
{
    shown s = {0};
    int names = 0, rows = PQntuples(result);
    if (PQnfields(result) < COLUMNS) return -2;
    if (!make_room(&s, (size_t)rows + 1)) names = -1;
    for (int row = 0; row < rows && names >= 0; names++) {
        if (number(result, row, KIND) != OF_NAME) {
            names = -2;
            break;
        }
        r->from_len = unhex(PQgetvalue(result, row, NAME), r->from, PAWL_NAME_MAX);
        row = give_name(store, r, result, row, &s);
    }
    free(s.holders);
    free(s.waiters);
    free(s.owners);
    return names;
}

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
    pawl__postgres_add_bytes(&s, r->from, r->from_len);
    if (r->is_list) {
        pawl__postgres_add_flag(&s, r->is_first);
        pawl__postgres_add_bytes(&s, r->end_len ? r->end : NULL, r->end_len);
    } else {
        pawl__postgres_add_text(&s, r->token);
    }
    r->is_first = false;
    if (!pawl__postgres_send(store, &s, &r->pending)) return false;
    pawl__postgres_arm_answers(store, r->pending.answer_by);
    return true;
}

static void finish(pawl_store *store, report *r, pawl_outcome outcome, pawl_err err,
                   const char *message)
{
    uint64_t id = r->id;
    free(r);
    pawl__postgres_say(store, id, outcome, err, message);
}

static void answered(pawl_store *store, pawl__postgres_pending *pending, const PGresult *result,
                     bool doubt)
{
    report *r = pawl__container(pending, report, pending);
    char message[PAWL_MESSAGE_MAX];
    pawl_err err = PAWL_ERR_NO_MEMORY;
    int names = -2;
    (void)doubt;
    if (PQresultStatus(result) == PGRES_TUPLES_OK) names = give_rows(store, r, result);
    if (names == -2) {
        pawl_outcome outcome = pawl__postgres_judge(store, result, false, &err, message);
        finish(store, r, outcome, err, message);
    } else if (names == -1) {
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

/* The first string that is behind all those that begin so; none behind \xff\xff... */
static void end_of_prefix(report *r)
{
    memcpy(r->end, r->from, r->from_len);
    r->end_len = r->from_len;
    while (r->end_len > 0 && (unsigned char)r->end[r->end_len - 1] == 0xff) r->end_len--;
    if (r->end_len > 0) r->end[r->end_len - 1] = (char)(r->end[r->end_len - 1] + 1);
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
    r->from_len = request->name_len < PAWL_NAME_MAX ? request->name_len : PAWL_NAME_MAX;
    memcpy(r->from, request->name, r->from_len);
    if (request->token) snprintf(r->token, sizeof r->token, "%s", request->token);
    end_of_prefix(r);
    if (ask(store, r)) return true;
    free(r);
    return false;
}
