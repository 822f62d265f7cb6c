/* SPDX-License-Identifier: MIT */
/*
 * LIST: SCAN for the lock keys (plain strings under our prefix), an inspect script
 * for each. Then SCAN for the queues: a lock that has run out has no key, but may be
 * waited for. A table of the names that were seen keeps out those that come twice.
 */
#include "redis_scripts.h"
#include "redis_store.h"

#include "../../base/instant.h"
#include "../../base/table.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define ROWS_MAX          1000000 /* locks in one listing */
/* Answers of 270 KB each at most: together less than the 8 MB that a server by default lets a
 * subscriber leave unread; beyond its limit it closes the connection, with all that is on it. */
#define INSPECTED_AT_ONCE 16

typedef struct seen {
    pawl__entry entry;
    struct seen *older;
    struct seen *later; /* to be inspected after this one */
    char name[];
} seen;

typedef struct listing {
    pawl__redis_operation operation;
    pawl__table table;
    seen *names;
    seen *next, *last; /* that are to be inspected */
    char prefix[PAWL_NAME_MAX];
    size_t prefix_len;
    char glob[PAWL__REDIS_GLOB_MAX + 1];
    char cursor[24];
    bool queues; /* the second SCAN */
} listing;

/* A SCAN or the inspection of one name. */
typedef struct step {
    pawl__redis_pending pending;
    listing *list;
    seen *row; /* NULL: SCAN */
} step;

static pawl__redis_bytes text(const char *string)
{
    return (pawl__redis_bytes){.data = string, .len = strlen(string)};
}

static void release(pawl__redis_operation *operation)
{
    listing *list = pawl__container(operation, listing, operation);
    pawl__table_done(&list->table);
    while (list->names) {
        seen *older = list->names->older;
        free(list->names);
        list->names = older;
    }
    free(list);
}

static void end(listing *list, pawl_outcome outcome, pawl_err err, const char *message)
{
    pawl__redis_operation_end(&list->operation, outcome, err, message);
}

static void no_memory(listing *list)
{
    end(list, PAWL_FAILED, PAWL_ERR_NO_MEMORY, NULL);
}

static void answered(pawl_store *store, pawl__redis_pending *pending,
                     const pawl__redis_value *value);

static void drop(pawl__redis_pending *pending)
{
    free(pawl__container(pending, step, pending));
}

static void unanswered(pawl_store *store, pawl__redis_pending *pending, bool maybe_done,
                       pawl_err err, const char *message)
{
    listing *list = pawl__container(pending, step, pending)->list;
    (void)store, (void)maybe_done; /* it changes nothing, so an unanswered request did no harm */
    drop(pending);
    list->operation.due--;
    end(list, PAWL_FAILED, err, message);
    pawl__redis_operation_free_if_over(&list->operation);
}

static bool send_step(listing *list, seen *row, const pawl__redis_bytes *argv, size_t argc)
{
    pawl_store *store = list->operation.store;
    step *s = malloc(sizeof *s);
    if (!s) return false;
    int64_t timeout = pawl__ms_to_ns(PAWL__REDIS_STEP_TIMEOUT_MS);
    *s = (step){.pending = {.answer_by = pawl__instant_add(store->host->now(), timeout),
                            .answered = answered,
                            .unanswered = unanswered,
                            .drop = drop},
                .list = list,
                .row = row};
    if (!pawl__redis_send(store, argv, argc, &s->pending)) {
        free(s);
        return false;
    }
    list->operation.due++;
    return true;
}

static bool scan(listing *list)
{
    pawl__redis_bytes argv[] = {text("SCAN"),  text(list->cursor),
                                text("MATCH"), text(list->glob),
                                text("COUNT"), text(PAWL__REDIS_SCAN_COUNT),
                                text("TYPE"),  text(list->queues ? "zset" : "string")};
    return send_step(list, NULL, argv, sizeof argv / sizeof argv[0]);
}

static pawl_request question(const listing *list, const seen *row)
{
    return (pawl_request){.id = list->operation.id,
                          .verb = PAWL_VERB_INSPECT,
                          .name = row->name,
                          .name_len = row->entry.key_len};
}

static bool inspect(listing *list, seen *row, bool by_hash)
{
    const pawl__redis_script_text *script = &pawl__redis_scripts[PAWL__REDIS_INSPECT];
    pawl_request request = question(list, row);
    pawl__redis_call call;
    pawl__redis_bytes argv[PAWL__REDIS_ARGV_MAX];
    (void)pawl__redis_encode(&list->operation.store->space, &request, &call);
    if (pawl__redis_is_record_key(call.keys[PAWL__REDIS_KEY_LOCK]))
        call.args[call.arg_count++] = text("1");
    size_t argc =
        pawl__redis_call_argv(&call, text(by_hash ? script->sha1 : script->body), by_hash, argv);
    return send_step(list, row, argv, argc);
}

/* False: one could not be sent. */
static bool inspect_some(listing *list)
{
    while (list->next && list->operation.due < INSPECTED_AT_ONCE) {
        seen *row = list->next;
        list->next = row->later;
        if (!inspect(list, row, true)) return false;
    }
    return true;
}

static void inspect_later(listing *list, seen *row)
{
    row->later = NULL;
    if (list->next)
        list->last->later = row;
    else
        list->next = row;
    list->last = row;
}

/* Asks about a key, unless it has been asked about. */
static bool meet(listing *list, pawl__redis_bytes key)
{
    const pawl__redis_space *space = &list->operation.store->space;
    size_t prefix_len = space->prefix_len;
    if (list->queues) key = pawl__redis_lock_of_queue(key);
    if (key.len <= prefix_len || key.len > prefix_len + PAWL_NAME_MAX) return true; /* not ours */
    if (memcmp(key.data, space->prefix, prefix_len) != 0) return true;
    const char *name = key.data + prefix_len;
    size_t len = key.len - prefix_len;
    if (memchr(name, '\0', len)) return true;
    if (len < list->prefix_len || memcmp(name, list->prefix, list->prefix_len) != 0) return true;
    if (pawl__table_find(&list->table, name, len)) return true;
    seen *row = malloc(sizeof *row + len + 1);
    if (!row) return false;
    memcpy(row->name, name, len);
    row->name[len] = '\0';
    if (!pawl__table_add(&list->table, &row->entry, row->name, len)) {
        free(row);
        return false;
    }
    row->older = list->names;
    list->names = row;
    inspect_later(list, row);
    return true;
}

static void take_error(listing *list, const seen *row, pawl__redis_bytes error)
{
    pawl_store *store = list->operation.store;
    char message[PAWL_MESSAGE_MAX];
    const char *script = row ? pawl__redis_scripts[PAWL__REDIS_INSPECT].body : NULL;
    pawl__redis_trouble trouble =
        pawl__redis_explain(&store->space, row ? "EVALSHA" : "SCAN", NULL, script, error, message);
    if (row && trouble.err == PAWL_ERR_WRONG_TYPE) return; /* it has become something else */
    if (row && trouble.no_script) {
        if (!inspect(list, (seen *)row, false)) no_memory(list);
        return;
    }
    if (trouble.reconnect) pawl__redis_link_break(store, trouble.err, message);
    end(list, PAWL_FAILED, trouble.err, message);
}

static void take_row(listing *list, const seen *row, const pawl__redis_value *value)
{
    pawl_store *store = list->operation.store;
    pawl_request request = question(list, row);
    pawl_info info;
    if (!pawl__redis_decode_info(&request, value, store->rows, &info)) return;
    if (!info.held && info.waiter_count == 0) return; /* freed since SCAN saw it */
    store->host->row(store->host, list->operation.id, &info);
}

/* {cursor, {key, ...}} */
static void take_keys(listing *list, const pawl__redis_value *value)
{
    if (value->type != PAWL__REDIS_ARRAY || value->count != 2 ||
        value->items[0].type != PAWL__REDIS_STRING || value->items[1].type != PAWL__REDIS_ARRAY ||
        value->items[0].text.len >= sizeof list->cursor) {
        end(list, PAWL_FAILED, PAWL_ERR_PROTOCOL, NULL);
        return;
    }
    memcpy(list->cursor, value->items[0].text.data, value->items[0].text.len + 1);
    const pawl__redis_value *keys = &value->items[1];
    for (size_t i = 0; i < keys->count; i++) {
        if (list->table.count >= ROWS_MAX) {
            end(list, PAWL_FAILED, PAWL_ERR_UNSUPPORTED, "more locks than can be listed at once");
            return;
        }
        if (keys->items[i].type != PAWL__REDIS_STRING) continue;
        if (!meet(list, keys->items[i].text)) {
            no_memory(list);
            return;
        }
    }
}

static void seek_queues(listing *list)
{
    list->queues = true;
    pawl__redis_queue_glob(&list->operation.store->space, list->prefix, list->prefix_len,
                           list->glob);
}

static void go_on(listing *list)
{
    if (list->operation.over) return;
    if (!inspect_some(list)) {
        no_memory(list);
        return;
    }
    if (list->operation.due > 0) return;
    bool through = strcmp(list->cursor, "0") == 0;
    if (through && list->queues) {
        end(list, PAWL_REPORTED, PAWL_OK, NULL);
        return;
    }
    if (through) seek_queues(list);
    if (!scan(list)) no_memory(list);
}

static void answered(pawl_store *store, pawl__redis_pending *pending,
                     const pawl__redis_value *value)
{
    step *s = pawl__container(pending, step, pending);
    listing *list = s->list;
    seen *row = s->row;
    (void)store;
    free(s);
    if (!list->operation.over) {
        if (value->type == PAWL__REDIS_ERROR)
            take_error(list, row, value->text);
        else if (row)
            take_row(list, row, value);
        else
            take_keys(list, value);
    }
    list->operation.due--;
    go_on(list);
    pawl__redis_operation_free_if_over(&list->operation);
}

bool pawl__redis_list(pawl_store *store, const pawl_request *request)
{
    listing *list = pawl__redis_room_for_reports(store) ? calloc(1, sizeof *list) : NULL;
    if (!list) return false;
    memcpy(list->cursor, "0", 2);
    list->table.seed = store->link.random; /* names come from outside */
    list->prefix_len = request->name_len < PAWL_NAME_MAX ? request->name_len : PAWL_NAME_MAX;
    memcpy(list->prefix, request->name, list->prefix_len);
    pawl__redis_glob(&store->space, list->prefix, list->prefix_len, list->glob);
    list->operation.store = store;
    if (!scan(list)) {
        free(list);
        return false;
    }
    pawl__redis_operation_begin(&list->operation, store, request, release);
    return true;
}
