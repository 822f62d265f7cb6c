/* SPDX-License-Identifier: MIT */
/* INSPECT and LIST: the keys, and what is left of their leases. */
#define _GNU_SOURCE
#include "etcd_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define KEYS_MAX   INT64_C(20000) /* of one report */
/* Whose rest is asked for: of a name the holder and the first that wait. Of others it is told how
 * long their lease is, which is at least what is left. */
#define LEASES_MAX 4000
#define OF_NAME    16

typedef struct shown {
    pawl__etcd_entry entry;
    int64_t left_ms; /* 0: it is over */
    pawl__etcd_call call;
    pawl__etcd_op *op;
} shown;

typedef struct report {
    size_t count, awaited;
    shown *keys; /* by name, and of one name in the order of their creation */
    pawl_waiter_info *waiters;
    pawl_holder_info *holders;
} report;

static void end_report(pawl_store *store, pawl__etcd_op *op)
{
    report *r = op->report;
    for (size_t i = 0; i < r->count; i++) pawl__etcd_call_end(store, &r->keys[i].call);
    free(r->keys);
    free(r->waiters);
    free(r->holders);
    free(r);
    op->report = NULL;
}

/* ---- Rows ---------------------------------------------------------------------------------- */

static int64_t age_ms(const shown *key)
{
    int64_t us = pawl__etcd_wall_us() - key->entry.since_us;
    return us < 0 || key->entry.since_us <= 0 ? 0 : us / 1000;
}

/* As in etcd_view.c: in the order of their creation each holds as long as it fits. */
static size_t count_holders(shown *const *keys, size_t count)
{
    uint64_t units = 0;
    size_t holders = 0;
    for (; holders < count; holders++) {
        const pawl__etcd_entry *entry = &keys[holders]->entry;
        units += entry->units;
        if (entry->mode == PAWL_MODE_PERMIT ? units > keys[0]->entry.capacity : holders > 0) {
            bool all_share =
                entry->mode == PAWL_MODE_SHARED && keys[0]->entry.mode == PAWL_MODE_SHARED;
            if (!all_share) break;
        }
    }
    return holders;
}

static int64_t left_of(const shown *key)
{
    return key->entry.lease ? key->left_ms : -1;
}

/* The name is held until the last of them has gone; the other members are those of the latest. */
static void show_holders(report *r, const pawl__etcd_op *op, shown *const *keys, size_t count,
                         pawl_info *info)
{
    for (size_t i = 0; i < count; i++) {
        const pawl__etcd_entry *entry = &keys[i]->entry;
        bool mine = op->token[0] && strcmp(entry->token, op->token) == 0;
        int64_t left_ms = left_of(keys[i]);
        if (info->remaining_ms >= 0 && (left_ms < 0 || left_ms > info->remaining_ms))
            info->remaining_ms = left_ms;
        info->foreign = !entry->token[0];
        info->mine = info->mine || mine;
        info->owner = entry->owner;
        info->fence = (uint64_t)entry->created;
        info->mode = entry->mode;
        info->capacity = entry->capacity;
        if (i >= PAWL_HOLDERS_SHOWN_MAX) continue;
        r->holders[info->holders_shown++] = (pawl_holder_info){.owner = entry->owner,
                                                               .remaining_ms = left_ms,
                                                               .fence = info->fence,
                                                               .mode = entry->mode,
                                                               .units = entry->units,
                                                               .mine = mine};
    }
    info->held = count > 0;
    info->holder_count = count;
}

/* The keys of one name, without those that are over. */
static void show(pawl_store *store, pawl__etcd_op *op, const char *name, size_t name_len,
                 shown *const *keys, size_t count)
{
    report *r = op->report;
    pawl_info info = {.size = sizeof info,
                      .name = name,
                      .name_len = name_len,
                      .owner = "",
                      .holders = r->holders,
                      .waiters = r->waiters};
    size_t holders = count_holders(keys, count);
    show_holders(r, op, keys, holders, &info);
    info.waiter_count = count - holders;
    for (size_t i = holders; i < count && info.waiters_shown < PAWL_WAITERS_SHOWN_MAX; i++)
        r->waiters[info.waiters_shown++] = (pawl_waiter_info){.owner = keys[i]->entry.owner,
                                                              .age_ms = age_ms(keys[i]),
                                                              .place_ms = keys[i]->left_ms,
                                                              .mode = keys[i]->entry.mode,
                                                              .units = keys[i]->entry.units};
    store->host->row(store->host, op->id, &info);
}

static bool same_name(const shown *a, const shown *b)
{
    return a->entry.name_len == b->entry.name_len &&
           memcmp(a->entry.name, b->entry.name, a->entry.name_len) == 0;
}

/* Row by row; false: no memory. */
static bool show_all(pawl_store *store, pawl__etcd_op *op)
{
    report *r = op->report;
    /* NOLINTNEXTLINE(bugprone-sizeof-expression): the list is one of pointers */
    shown **of_name = calloc(r->count + 1, sizeof *of_name);
    if (!of_name) return false;
    size_t rows = 0;
    for (size_t i = 0, next; i < r->count; i = next) {
        size_t count = 0;
        for (next = i; next < r->count && same_name(&r->keys[i], &r->keys[next]); next++)
            if (r->keys[next].left_ms > 0) of_name[count++] = &r->keys[next];
        if (count == 0) continue;
        const pawl__etcd_entry *entry = &r->keys[i].entry;
        bool inspect = op->verb == PAWL_VERB_INSPECT;
        show(store, op, inspect ? op->name : entry->name, inspect ? op->name_len : entry->name_len,
             of_name, count);
        rows++;
    }
    if (rows == 0 && op->verb == PAWL_VERB_INSPECT)
        show(store, op, op->name, op->name_len, of_name, 0);
    free(of_name);
    return true;
}

static void finish(pawl_store *store, pawl__etcd_op *op)
{
    pawl_reply reply = {.id = op->id, .outcome = PAWL_REPORTED, .position = -1, .holder_ms = -1};
    if (show_all(store, op))
        pawl__etcd_answer_op(store, op, &reply);
    else
        pawl__etcd_fail_op(store, op, PAWL_FAILED, PAWL_ERR_NO_MEMORY, NULL);
}

/* ---- Leases -------------------------------------------------------------------------------- */

static void on_left(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    shown *key = pawl__container(call, shown, call);
    report *r = key->op->report;
    if (answer->fate == PAWL__ETCD_DONE) key->left_ms = pawl__etcd_left_ms(answer->root);
    if (answer->no_lease) key->left_ms = 0;
    if (--r->awaited == 0) finish(store, key->op);
}

static void ask_leases(pawl_store *store, pawl__etcd_op *op)
{
    report *r = op->report;
    size_t in_name = 0;
    r->awaited = 1; /* ours, until all are asked */
    for (size_t i = 0; i < r->count; i++) {
        shown *key = &r->keys[i];
        in_name = i > 0 && same_name(key, key - 1) ? in_name + 1 : 0;
        key->op = op;
        key->left_ms = key->entry.lease_s > 0 ? key->entry.lease_s * 1000 : 1;
        if (!key->entry.lease || in_name >= OF_NAME || r->awaited > LEASES_MAX) continue;
        r->awaited++;
        key->call.answered = on_left;
        pawl__etcd_lease_question(&key->call.body, key->entry.lease);
        pawl__etcd_ask(store, &key->call, "/v3/lease/timetolive", false);
    }
    if (--r->awaited == 0) finish(store, op);
}

/* ---- Keys ---------------------------------------------------------------------------------- */

static int by_name_and_age(const void *left, const void *right)
{
    const pawl__etcd_entry *a = &((const shown *)left)->entry;
    const pawl__etcd_entry *b = &((const shown *)right)->entry;
    size_t len = a->name_len < b->name_len ? a->name_len : b->name_len;
    int order = memcmp(a->name, b->name, len);
    if (order != 0) return order;
    if (a->name_len != b->name_len) return a->name_len < b->name_len ? -1 : 1;
    return a->created < b->created ? -1 : a->created > b->created;
}

/* False: no memory. Keys below our prefix that are not pawl's have no name: a LIST leaves them out,
 * and an INSPECT shows them as somebody else's. */
static bool take_keys(pawl_store *store, pawl__etcd_op *op, json_t *kvs, bool *ret_odd)
{
    size_t all = json_array_size(kvs), i;
    json_t *kv;
    report *r = op->report = calloc(1, sizeof *r);
    op->end_report = end_report;
    if (!r) return false;
    r->keys = calloc(all + 1, sizeof *r->keys);
    r->waiters = calloc(PAWL_WAITERS_SHOWN_MAX, sizeof *r->waiters);
    r->holders = calloc(PAWL_HOLDERS_SHOWN_MAX, sizeof *r->holders);
    if (!r->keys || !r->waiters || !r->holders) return false;
    json_array_foreach(kvs, i, kv)
    {
        pawl__etcd_entry *entry = &r->keys[r->count].entry;
        if (!pawl__etcd_entry_read(kv, store->config.prefix, entry)) *ret_odd = true;
        if (op->verb == PAWL_VERB_INSPECT || entry->token[0]) r->count++;
    }
    if (op->verb == PAWL_VERB_LIST) qsort(r->keys, r->count, sizeof *r->keys, by_name_and_age);
    for (i = 0; op->verb == PAWL_VERB_INSPECT && i < r->count; i++) r->keys[i].entry.name_len = 0;
    return true;
}

static void on_keys(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = pawl__container(call, pawl__etcd_op, call);
    int64_t count;
    bool odd = false;
    if (answer->fate != PAWL__ETCD_DONE) {
        pawl__etcd_op_trouble(store, op, answer);
        return;
    }
    json_t *kvs = pawl__etcd_kvs(answer->root, 0, &count);
    if (count > KEYS_MAX)
        pawl__etcd_fail_op(store, op, PAWL_FAILED, PAWL_ERR_STORE_BUSY,
                           "more than 20000 keys would be shown: ask for a longer prefix");
    else if (!take_keys(store, op, kvs, &odd))
        pawl__etcd_fail_op(store, op, PAWL_FAILED, PAWL_ERR_NO_MEMORY, NULL);
    else if (odd)
        pawl__etcd_break(store, PAWL_ERR_PROTOCOL, "the answer to a transaction makes no sense");
    else
        ask_leases(store, op);
}

void pawl__etcd_begin_report(pawl_store *store, pawl__etcd_op *op)
{
    pawl__etcd_add(&op->call.body, "{\"success\":[");
    pawl__etcd_add_range(&op->call.body,
                         &(pawl__etcd_range){.key = &op->start, .end = &op->end, .limit = KEYS_MAX},
                         false);
    pawl__etcd_add(&op->call.body, "]}");
    op->call.answered = on_keys;
    pawl__etcd_ask(store, &op->call, "/v3/kv/txn", false);
}
