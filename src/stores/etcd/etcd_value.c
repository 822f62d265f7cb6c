/* SPDX-License-Identifier: MIT */
/*
 * PUBLISH and READ: a value beside a name (rule 12 of pawl/store.h), and who watches it.
 *
 * etcd tells no time. But each answer of its gateway bears the wall clock of the member that gave
 * it, in whole seconds (the header Date). When a value was published is rounded up to the next
 * second, what is now is rounded down: so a period that counts from a value is never shorter for
 * that, as long as the members' clocks agree.
 */
#define _GNU_SOURCE
#include "etcd_store.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define US_PER_S    INT64_C(1000000)
#define RESTART_NS  INT64_C(100000000) /* before a stream that broke begins again */
#define HEAD_MAX    96
#define WRITTEN_MAX (HEAD_MAX + PAWL_OWNER_MAX + PAWL_STORED_MAX)

static pawl__etcd_op *op_of(pawl__etcd_call *call)
{
    return pawl__container(call, pawl__etcd_op, call);
}

static void key_of_value(const pawl_store *store, const pawl__etcd_op *op,
                         pawl__etcd_bytes *ret_key)
{
    pawl__etcd_key_of_value(ret_key, store->config.prefix, op->name, op->name_len);
}

/* What the answer says of the time; false: it says nothing, and the link breaks. */
static bool take_date(pawl_store *store, pawl__etcd_op *op)
{
    op->date_s = op->call.http.date_s;
    if (op->date_s > 0) return true;
    pawl__etcd_break(store, PAWL_ERR_PROTOCOL, "the server's answers bear no date");
    return false;
}

/* ---- What lies there ------------------------------------------------------------------------- */

/* "pawl1 FENCE AT OWNER_LEN\n", the owner's label, the bytes. */
static size_t write_value(const pawl__etcd_op *op, int64_t at_us, char ret_text[WRITTEN_MAX])
{
    size_t owner_len = strlen(op->owner);
    int head = snprintf(ret_text, HEAD_MAX, "pawl1 %" PRId64 " %" PRId64 " %zu\n",
                        op->view.own.created, at_us, owner_len);
    size_t len = (size_t)head;
    memcpy(ret_text + len, op->owner, owner_len);
    len += owner_len;
    if (op->value_len) memcpy(ret_text + len, op->value, op->value_len);
    return len + op->value_len;
}

/* False: it is not pawl's. The text is NUL-terminated, and holds the label and the bytes then. */
static bool read_value(char *text, size_t len, char ret_owner[PAWL_OWNER_MAX + 1],
                       pawl_value *ret_value)
{
    int64_t fence, at_us;
    size_t owner_len;
    char *head_end = memchr(text, '\n', len);
    if (!head_end) return false;
    if (sscanf(text, "pawl1 %" SCNd64 " %" SCNd64 " %zu", &fence, &at_us, &owner_len) != 3)
        return false;
    const char *owner = head_end + 1;
    size_t left = len - (size_t)(owner - text);
    if (fence <= 0 || owner_len > PAWL_OWNER_MAX || owner_len > left) return false;
    if (left - owner_len > PAWL_STORED_MAX) return false;
    memcpy(ret_owner, owner, owner_len);
    ret_owner[owner_len] = '\0';
    ret_value->fence = (uint64_t)fence;
    ret_value->at_us = at_us;
    ret_value->owner = ret_owner;
    ret_value->bytes = owner + owner_len;
    ret_value->len = left - owner_len;
    return true;
}

/* Decodes what lies there into text, which has room for WRITTEN_MAX and a NUL. False: nothing of
 * pawl's does. */
static bool decode(json_t *kv, char *text, char ret_owner[PAWL_OWNER_MAX + 1],
                   pawl_value *ret_value)
{
    size_t len = 0;
    const char *written = json_string_value(json_object_get(kv, "value"));
    if (!written || !pawl__etcd_from_base64(written, text, WRITTEN_MAX, &len)) return false;
    text[len] = '\0';
    return read_value(text, len, ret_owner, ret_value);
}

/* ---- PUBLISH --------------------------------------------------------------------------------- */

/* The lease that the value had before; 0: there was none. */
static int64_t lease_before(json_t *answer)
{
    int64_t lease;
    json_t *first = json_array_get(json_object_get(answer, "responses"), 0);
    json_t *before = json_object_get(json_object_get(first, "response_put"), "prev_kv");
    return pawl__etcd_number(before, "lease", &lease) ? lease : 0;
}

static void tell_published(pawl_store *store, pawl__etcd_op *op)
{
    pawl_reply reply = {.id = op->id,
                        .outcome = PAWL_CONFIRMED,
                        .fence = (uint64_t)op->view.own.created,
                        .position = -1,
                        .holder_ms = -1};
    pawl__etcd_answer_op(store, op, &reply);
}

static void on_published(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    if (answer->fate != PAWL__ETCD_DONE && !answer->no_lease) {
        pawl__etcd_op_trouble(store, op, answer);
        return;
    }
    if (answer->no_lease) op->spare = 0;                           /* somebody has revoked it */
    if (answer->no_lease || !pawl__etcd_succeeded(answer->root)) { /* it was changed */
        if (pawl__etcd_may_go_on(store, op)) pawl__etcd_begin_publish(store, op);
        return;
    }
    int64_t before = lease_before(answer->root);
    if (before != op->spare) pawl__etcd_revoke(store, before);
    op->spare = 0;
    tell_published(store, op);
}

/* With the value our key is put again as it is, but for the number of what was published last. */
static void note_number(pawl__etcd_op *op)
{
    char value[PAWL__ETCD_VALUE_MAX];
    pawl__etcd_entry own = op->view.own;
    own.published = op->publication;
    size_t len = pawl__etcd_value_write(value, &own);
    pawl__etcd_add_put(&op->call.body, &op->key, value, len, own.lease, true);
}

/* Of two values of a name the later one has the later time, whatever the members' clocks say. */
static int64_t time_of_value(pawl_store *store, const pawl__etcd_op *op)
{
    int64_t since_us = (store->host->now() - op->date_asked_at) / 1000;
    int64_t at_us = (op->date_s + 1) * US_PER_S + since_us;
    return at_us > op->value_before_us ? at_us : op->value_before_us + 1;
}

static void put_value(pawl_store *store, pawl__etcd_op *op)
{
    char text[WRITTEN_MAX];
    pawl__etcd_bytes key;
    size_t len = write_value(op, time_of_value(store, op), text);
    key_of_value(store, op, &key);
    pawl__etcd_add(&op->call.body, "{\"compare\":[");
    pawl__etcd_add_unchanged(&op->call.body, &op->key, op->view.own.changed);
    pawl__etcd_add(&op->call.body, "],\"success\":[{\"request_put\":{\"key\":\"");
    pawl__etcd_add_base64(&op->call.body, key.at, key.len);
    pawl__etcd_add(&op->call.body, "\",\"value\":\"");
    pawl__etcd_add_base64(&op->call.body, text, len);
    pawl__etcd_add(&op->call.body, "\",\"prev_kv\":true,\"lease\":\"%" PRId64 "\"}}", op->spare);
    note_number(op);
    pawl__etcd_ask_txn(store, op, true, on_published);
}

static void note_time_before(pawl__etcd_op *op, json_t *root)
{
    char text[WRITTEN_MAX + 1], owner[PAWL_OWNER_MAX + 1];
    int64_t count;
    pawl_value value = {0};
    pawl__etcd_question question = pawl__etcd_ask_whole(op);
    json_t *kvs = pawl__etcd_kvs(root, pawl__etcd_view_size(&question), &count);
    op->value_before_us = decode(json_array_get(kvs, 0), text, owner, &value) ? value.at_us : 0;
}

static void on_holder(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    if (answer->fate != PAWL__ETCD_DONE) {
        pawl__etcd_op_trouble(store, op, answer);
        return;
    }
    if (!take_date(store, op)) return;
    if (!pawl__etcd_take_view(store, op, answer->root, pawl__etcd_ask_whole(op))) return;
    if (!op->view.has_own || !op->view.holds) {
        pawl__etcd_say(store, op, PAWL_NOT_OWNER);
        return;
    }
    if (op->publication && op->publication <= op->view.own.published) {
        tell_published(store, op); /* it came late, or again */
        return;
    }
    op->key = op->view.own.key;
    note_time_before(op, answer->root);
    pawl__etcd_grant(store, op, op->keep_ms, put_value);
}

/* Who holds goes on holding as long as its key exists: so the put compares that key alone. */
void pawl__etcd_begin_publish(pawl_store *store, pawl__etcd_op *op)
{
    pawl__etcd_bytes key;
    key_of_value(store, op, &key);
    op->date_asked_at = store->host->now();
    pawl__etcd_add(&op->call.body, "{\"success\":[");
    pawl__etcd_add_view(op, pawl__etcd_ask_whole(op));
    pawl__etcd_add_range(&op->call.body, &(pawl__etcd_range){.key = &key}, true);
    pawl__etcd_ask_txn(store, op, false, on_holder);
}

/* ---- Watches --------------------------------------------------------------------------------- */

typedef struct value_watch {
    pawl__link in_all;
    int64_t until; /* READ asked for news until then */
    int64_t from;  /* the stream begins at this revision; 0: now */
    pawl__etcd_http stream;
    pawl__etcd_text question;
    pawl__etcd_bytes key;
    size_t name_len;
    char name[PAWL_NAME_MAX + 1];
} value_watch;

static value_watch *watch_of(pawl__link *link)
{
    return pawl__container(link, value_watch, in_all);
}

static void end_stream(pawl_store *store, value_watch *w)
{
    pawl__etcd_http_end(store, &w->stream);
    pawl__etcd_text_done(&w->question);
}

static void drop(pawl_store *store, value_watch *w)
{
    end_stream(store, w);
    pawl__list_remove(&w->in_all);
    store->value_watch_count--;
    free(w);
}

static void tell_news(pawl_store *store, const value_watch *w)
{
    pawl_push push = {.kind = PAWL_PUSH_NEWS, .name = w->name, .name_len = w->name_len};
    store->host->push(store->host, &push);
}

/* A line of the stream; false: the stream is over. */
static bool heed_line(pawl_store *store, value_watch *w, const char *line, size_t len)
{
    pawl__etcd_answer answer;
    pawl__etcd_answer_read(200, line, len, &answer);
    json_t *result = json_object_get(answer.root, "result");
    bool goes_on = answer.fate == PAWL__ETCD_DONE && json_is_object(result) &&
                   !json_is_true(json_object_get(result, "canceled"));
    int64_t revision = pawl__etcd_revision(result);
    size_t count = json_array_size(json_object_get(result, "events"));
    json_decref(answer.root);
    if (goes_on && revision >= w->from) w->from = revision + 1;
    if (!goes_on) {
        w->from = 0; /* compacted: something may have been missed */
        count = 1;
    }
    for (size_t i = 0; i < count; i++) tell_news(store, w);
    return goes_on;
}

static void on_stream(pawl_store *store, pawl__etcd_http *http, bool ended)
{
    value_watch *w = pawl__container(http, value_watch, stream);
    bool over = ended;
    char *end;
    size_t used = 0;
    if (w->until <= store->host->now()) {
        drop(store, w);
        return;
    }
    while (used < http->in_used && (end = memchr(http->in + used, '\n', http->in_used - used))) {
        const char *line = http->in + used;
        used = (size_t)(end + 1 - http->in);
        over = !heed_line(store, w, line, (size_t)(end - line)) || over;
    }
    if (used) memmove(http->in, http->in + used, http->in_used - used);
    http->in_used -= used;
    if (!over) return;
    end_stream(store, w);
    pawl__timer_set(&store->value_timer, RESTART_NS);
}

/* Here a revision is named: each value is told once, and that it may take 100 ms does no harm. */
static bool begin_stream(pawl_store *store, value_watch *w)
{
    pawl__etcd_text *body = &w->question;
    pawl__etcd_text_done(body);
    pawl__etcd_add(body, "{\"create_request\":{\"key\":\"");
    pawl__etcd_add_base64(body, w->key.at, w->key.len);
    pawl__etcd_add(body, "\",\"filters\":[\"NODELETE\"],\"start_revision\":\"%" PRId64 "\"}}\n",
                   w->from);
    w->stream.news = on_stream;
    w->stream.streams = true;
    return !body->failed && pawl__etcd_http_begin(store, &w->stream, "/v3/watch", body);
}

static void on_value_timer(evutil_socket_t fd, short what, void *arg)
{
    (void)fd, (void)what;
    pawl__etcd_values_up(arg);
}

/* Ends those whose time is over, and begins those that do not hear. */
void pawl__etcd_values_up(pawl_store *store)
{
    pawl__timer_set(&store->value_timer, PAWL__NEVER);
    for (pawl__link *l = store->value_watches.next, *next; l != &store->value_watches; l = next) {
        value_watch *w = watch_of(l);
        next = l->next;
        if (w->until <= store->host->now())
            drop(store, w);
        else if (pawl__etcd_is_up(store) && !w->stream.easy && !begin_stream(store, w))
            pawl__timer_set(&store->value_timer, RESTART_NS);
    }
}

void pawl__etcd_values_lost(pawl_store *store)
{
    for (pawl__link *l = store->value_watches.next; l != &store->value_watches; l = l->next)
        end_stream(store, watch_of(l));
    pawl__timer_set(&store->value_timer, PAWL__NEVER);
}

bool pawl__etcd_values_init(pawl_store *store)
{
    pawl__list_init(&store->value_watches);
    return pawl__timer_add(&store->value_timer, store->host->base, on_value_timer, store);
}

void pawl__etcd_values_done(pawl_store *store)
{
    while (!pawl__list_empty(&store->value_watches))
        drop(store, watch_of(store->value_watches.next));
    event_del(&store->value_timer);
}

static value_watch *find(pawl_store *store, const pawl__etcd_op *op)
{
    for (pawl__link *l = store->value_watches.next; l != &store->value_watches; l = l->next) {
        value_watch *w = watch_of(l);
        if (w->name_len == op->name_len && memcmp(w->name, op->name, op->name_len) == 0) return w;
    }
    return NULL;
}

static pawl_err watch(pawl_store *store, const pawl__etcd_op *op, int64_t revision)
{
    value_watch *w = find(store, op);
    if (!w && store->value_watch_count >= PAWL__ETCD_VALUES_MAX) return PAWL_ERR_STORE_FULL;
    if (!w) {
        w = calloc(1, sizeof *w);
        if (!w) return PAWL_ERR_NO_MEMORY;
        memcpy(w->name, op->name, sizeof w->name);
        w->name_len = op->name_len;
        key_of_value(store, op, &w->key);
        w->from = revision + 1;
        pawl__list_append(&store->value_watches, &w->in_all);
        store->value_watch_count++;
    }
    w->until = pawl__instant_add(store->host->now(), pawl__ms_to_ns(op->ttl_ms));
    pawl__etcd_values_up(store);
    return PAWL_OK;
}

/* ---- READ ------------------------------------------------------------------------------------ */

static void tell_value(pawl_store *store, pawl__etcd_op *op, json_t *kv)
{
    char text[WRITTEN_MAX + 1], owner[PAWL_OWNER_MAX + 1];
    pawl_value value = {0};
    if (!decode(kv, text, owner, &value)) value = (pawl_value){.bytes = "", .owner = ""};
    value.now_us = op->date_s * US_PER_S;
    if (value.now_us < value.at_us) value.now_us = value.at_us;
    pawl_reply reply = {
        .id = op->id, .outcome = PAWL_REPORTED, .position = -1, .holder_ms = -1, .value = &value};
    pawl__etcd_answer_op(store, op, &reply);
}

static void on_read(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    pawl__etcd_op *op = op_of(call);
    int64_t count;
    if (answer->fate != PAWL__ETCD_DONE) {
        pawl__etcd_op_trouble(store, op, answer);
        return;
    }
    if (!take_date(store, op)) return;
    pawl_err err = PAWL_OK;
    if (op->flags & PAWL_ASK_WATCH) err = watch(store, op, pawl__etcd_revision(answer->root));
    if (err)
        pawl__etcd_fail_op(store, op, PAWL_FAILED, err, NULL);
    else
        tell_value(store, op, json_array_get(pawl__etcd_kvs(answer->root, 0, &count), 0));
}

void pawl__etcd_begin_read(pawl_store *store, pawl__etcd_op *op)
{
    pawl__etcd_bytes key;
    key_of_value(store, op, &key);
    pawl__etcd_add(&op->call.body, "{\"success\":[");
    pawl__etcd_add_range(&op->call.body, &(pawl__etcd_range){.key = &key}, false);
    pawl__etcd_ask_txn(store, op, false, on_read);
}
