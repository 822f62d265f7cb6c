/* SPDX-License-Identifier: MIT */
/*
 * Watches: each token that waits or holds here has one. A watch sleeps, looks (a transaction that
 * changes nothing), or hears (a stream). Whatever a stream says is a hint: only a look decides.
 */
#define _GNU_SOURCE
#include "etcd_store.h"

#include "../../base/random.h"

#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#define START_NS INT64_C(100000000) /* before a holder begins to hear, and after a stream broke */

typedef enum look_kind {
    LOOK_WHOLE = 0,
    LOOK_FIRST, /* the first key alone: is it ours? */
    LOOK_BEFORE /* the key before ours alone: is it still there? */
} look_kind;

typedef struct watch {
    pawl__entry entry;
    pawl__link in_all, in_starts;
    int64_t start_at;
    bool holds; /* else it waits */
    bool told;  /* of its turn */
    bool looks; /* a look is under way, and what it reads: */
    look_kind kind;
    bool stale;                        /* something has come since that look was asked */
    bool takes;                        /* that look says which slots we hold */
    bool any;                          /* of permits: the end of any other may be our turn */
    int64_t from;                      /* what was before this revision is known */
    int64_t lease, lease_s, leased_at; /* of our key: the latest that this client gave it */
    bool loose; /* another put with it may come late, so no other key may have it */
    pawl__etcd_http stream;
    pawl__etcd_text question;
    pawl__etcd_call look;
    pawl__etcd_bytes key, start, end, before; /* our key, the name's range, the key before ours */
    int64_t created, changed; /* revisions of our key; changed: by this client, the latest time */
    size_t name_len;
    char name[PAWL_NAME_MAX + 1];
    char token[PAWL_TOKEN_LEN + 1];
} watch;

static watch *watch_of(pawl__link *link)
{
    return pawl__container(link, watch, in_all);
}

static watch *find(const pawl_store *store, const char *token)
{
    pawl__entry *entry = pawl__table_find(&store->watches, token, strlen(token));
    return entry ? pawl__container(entry, watch, entry) : NULL;
}

bool pawl__etcd_is_watched(const pawl_store *store, const char *token)
{
    return find(store, token) != NULL;
}

bool pawl__etcd_is_waited_for(const pawl_store *store, const pawl__etcd_bytes *start)
{
    for (const pawl__link *l = store->watch_list.prev; l != &store->watch_list; l = l->prev) {
        const watch *w = pawl__container(l, const watch, in_all);
        if (!w->holds && pawl__etcd_same_bytes(&w->start, start)) return true;
    }
    return false;
}

/* ---- Life ---------------------------------------------------------------------------------- */

static void end_stream(pawl_store *store, watch *w)
{
    if (w->stream.easy) store->stream_count--;
    pawl__etcd_http_end(store, &w->stream);
    pawl__etcd_text_done(&w->question);
}

static void drop(pawl_store *store, watch *w)
{
    end_stream(store, w);
    pawl__etcd_call_end(store, &w->look);
    pawl__list_remove(&w->in_starts);
    pawl__list_remove(&w->in_all);
    pawl__table_remove(&store->watches, &w->entry);
    free(w);
}

void pawl__etcd_unwatch(pawl_store *store, const char *token)
{
    watch *w = find(store, token);
    if (w) drop(store, w);
}

static watch *new_watch(pawl_store *store, const pawl__etcd_op *op)
{
    watch *w = calloc(1, sizeof *w);
    if (!w) return NULL;
    w->key = op->key;
    w->start = op->start;
    w->end = op->end;
    w->name_len = op->name_len;
    memcpy(w->name, op->name, sizeof w->name);
    memcpy(w->token, op->token, sizeof w->token);
    if (!pawl__table_add(&store->watches, &w->entry, w->token, strlen(w->token))) {
        free(w);
        return NULL;
    }
    pawl__list_append(&store->watch_list, &w->in_all);
    return w;
}

static bool has_permits(const watch *w)
{
    return pawl__etcd_key_mode(&w->key) == PAWL_MODE_PERMIT;
}

static void push(pawl_store *store, const watch *w, pawl_push_kind kind,
                 const pawl__etcd_slots *slots, bool waiting)
{
    uint16_t list[PAWL_CAPACITY_MAX];
    size_t count = 0;
    for (uint16_t slot = 0; slots && slot < PAWL_CAPACITY_MAX; slot++)
        if (pawl__etcd_slot(slots, slot)) list[count++] = slot;
    pawl_push push = {.kind = kind,
                      .name = w->name,
                      .name_len = w->name_len,
                      .token = kind == PAWL_PUSH_RECHECK ? NULL : w->token,
                      .fence = (uint64_t)w->created,
                      .waiting = waiting,
                      .slots = count ? list : NULL,
                      .slot_count = count};
    store->host->push(store->host, &push);
}

static void set_timer(pawl_store *store)
{
    pawl__link *first = pawl__list_first(&store->watch_starts);
    bool may_start =
        first && pawl__etcd_is_up(store) && store->stream_count < PAWL__ETCD_STREAMS_MAX;
    pawl__timer_set(&store->watch_timer,
                    may_start
                        ? pawl__container(first, watch, in_starts)->start_at - store->host->now()
                        : PAWL__NEVER);
}

/* Those that wait begin at once, and so ahead of all that have to. */
static void start_later(pawl_store *store, watch *w, int64_t delay_ns)
{
    if (pawl__link_linked(&w->in_starts)) return;
    w->start_at = store->host->now() + delay_ns;
    if (delay_ns)
        pawl__list_append(&store->watch_starts, &w->in_starts);
    else
        pawl__list_prepend(&store->watch_starts, &w->in_starts);
    set_timer(store);
}

/* ---- Looking ------------------------------------------------------------------------------- */

static void look(pawl_store *store, watch *w);
static void take_slots(pawl_store *store, watch *w, const pawl__etcd_view *view);

static void tell_turn(pawl_store *store, watch *w, const pawl__etcd_view *view)
{
    w->told = true;
    push(store, w, PAWL_PUSH_GRANT, has_permits(w) ? &view->own.slots : NULL, view->waiting);
}

static void decide(pawl_store *store, watch *w, const pawl__etcd_view *view)
{
    if (!view->has_own || view->own.created != w->created) {
        push(store, w, PAWL_PUSH_RECHECK, NULL, false);
        drop(store, w);
        return;
    }
    bool moves =
        w->holds != view->holds || w->any != view->is_next ||
        (!view->holds && view->has_before && !pawl__etcd_same_bytes(&w->before, &view->before));
    if (moves) end_stream(store, w); /* it is to hear of other keys */
    if (view->revision >= w->from) w->from = view->revision + 1;
    if (!view->holds && view->has_before) w->before = view->before;
    w->any = view->is_next;
    if (view->holds && has_permits(w) && !view->own.has_slots) {
        take_slots(store, w, view);
        return;
    }
    w->holds = view->holds;
    start_later(store, w, w->holds ? START_NS : 0);
    if (w->holds && !w->told)
        tell_turn(store, w, view);
    else if (w->holds && view->waiting)
        push(store, w, PAWL_PUSH_YIELD, NULL, false);
}

static pawl__etcd_question question_of(const watch *w)
{
    return (pawl__etcd_question){.own = &w->key,
                                 .own_count = 1,
                                 .start = &w->start,
                                 .end = &w->end,
                                 .mode = pawl__etcd_key_mode(&w->key),
                                 .asks_before = true,
                                 .before = w->created};
}

static pawl__etcd_question question_of_first(const watch *w)
{
    return (pawl__etcd_question){
        .start = &w->start, .end = &w->end, .mode = pawl__etcd_key_mode(&w->key)};
}

/* Whether that look has told enough: the first key is ours, and so we hold. */
static bool heed_first(pawl_store *store, watch *w, json_t *root)
{
    pawl__etcd_question question = question_of_first(w);
    pawl__etcd_view view;
    if (!pawl__etcd_view_read(store, root, &question, &view) || !view.has_first) return false;
    if (!pawl__etcd_same_bytes(&view.first.key, &w->key)) return false;
    view.own = view.first;
    view.has_own = view.holds = true;
    decide(store, w, &view);
    return true;
}

/* Whether it has: the key before ours is still there, and so nothing was missed. */
static bool heed_before(watch *w, json_t *root)
{
    int64_t count, revision = pawl__etcd_revision(root);
    if (json_array_size(pawl__etcd_kvs(root, 0, &count)) == 0) return false;
    if (revision >= w->from) w->from = revision + 1;
    return true;
}

static void on_look(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    watch *w = pawl__container(call, watch, look);
    pawl__etcd_question question = question_of(w);
    pawl__etcd_view view;
    bool took = w->takes;
    look_kind kind = w->kind;
    w->looks = w->takes = false;
    if (answer->fate != PAWL__ETCD_DONE) {
        end_stream(store, w);
        start_later(store, w, START_NS); /* when it has begun anew it looks again */
    } else if (w->stale || took) {
        look(store, w); /* also to see what has become of that */
    } else if (kind == LOOK_FIRST) {
        if (!heed_first(store, w, answer->root)) look(store, w);
    } else if (kind == LOOK_BEFORE) {
        if (!heed_before(w, answer->root)) look(store, w);
    } else if (!pawl__etcd_view_read(store, answer->root, &question, &view)) {
        pawl__etcd_break(store, PAWL_ERR_PROTOCOL, "the answer to a transaction makes no sense");
    } else {
        decide(store, w, &view);
    }
}

static void ask(pawl_store *store, watch *w, look_kind kind, bool writes)
{
    w->looks = true;
    w->takes = writes;
    w->kind = kind;
    w->look.answered = on_look;
    pawl__etcd_ask(store, &w->look, "/v3/kv/txn", writes);
}

static void look(pawl_store *store, watch *w)
{
    pawl__etcd_text *body = &w->look.body;
    pawl__etcd_question question = question_of(w);
    w->stale = w->looks;
    if (w->looks) return;
    pawl__etcd_add(body, "{\"success\":[");
    pawl__etcd_view_ask(body, &question);
    pawl__etcd_add(body, "]}");
    ask(store, w, LOOK_WHOLE, false);
}

/* The key before ours has gone: mostly it was the last one. A reader may hold beside others. */
static void look_whether_first(pawl_store *store, watch *w)
{
    pawl__etcd_question question = question_of_first(w);
    if (w->looks || pawl__etcd_key_mode(&w->key) != PAWL_MODE_EXCLUSIVE) {
        look(store, w);
        return;
    }
    w->stale = false;
    pawl__etcd_add(&w->look.body, "{\"success\":[");
    pawl__etcd_view_ask(&w->look.body, &question);
    pawl__etcd_add(&w->look.body, "]}");
    ask(store, w, LOOK_FIRST, false);
}

/* The stream has begun, and something has changed since the last look. What matters is whether the
 * key before ours is still there: others come and go all the time. */
static void look_what_was_missed(pawl_store *store, watch *w)
{
    pawl__etcd_range range = {.key = &w->before, .before = w->created, .keys_only = true};
    if (w->looks || w->holds || has_permits(w) || !w->before.len) {
        look(store, w);
        return;
    }
    w->stale = false;
    pawl__etcd_add(&w->look.body, "{\"success\":[");
    pawl__etcd_add_range(&w->look.body, &range, false);
    pawl__etcd_add(&w->look.body, "]}");
    ask(store, w, LOOK_BEFORE, false);
}

/* Our permits fit now. Which slots they are is written before anybody is told: if something was put
 * since we looked, it may have taken the same ones. */
static void take_slots(pawl_store *store, watch *w, const pawl__etcd_view *view)
{
    pawl__etcd_text *body = &w->look.body;
    pawl__etcd_entry own = view->own;
    char value[PAWL__ETCD_VALUE_MAX];
    own.has_slots = true;
    own.slots = view->slots;
    size_t len = pawl__etcd_value_write(value, &own);
    pawl__etcd_add(body, "{\"compare\":[");
    pawl__etcd_add_unchanged(body, &w->key, own.changed);
    pawl__etcd_add(body, ",");
    pawl__etcd_add_no_news(body, &w->start, &w->end, view->revision);
    pawl__etcd_add(body, "],\"success\":[");
    pawl__etcd_add_put(body, &w->key, value, len, own.lease, false);
    pawl__etcd_add(body, "]}");
    ask(store, w, LOOK_WHOLE, true);
}

/* ---- Hearing ------------------------------------------------------------------------------- */

/* One event; false: it is enough, or the watch is gone. */
static bool heed_event(pawl_store *store, watch *w, json_t *each)
{
    pawl__etcd_event event;
    if (!pawl__etcd_event_read(each, &event)) {
        pawl__etcd_break(store, PAWL_ERR_PROTOCOL, "the news of a watch makes no sense");
        return false;
    }
    bool own = pawl__etcd_same_bytes(&event.key, &w->key);
    bool fresh = !own && event.fresh;
    /* Whether somebody waits for permits only a look tells. */
    if (!w->holds || (own && event.gone) || (fresh && has_permits(w))) {
        end_stream(store, w);
        if (w->holds)
            look(store, w);
        else
            look_whether_first(store, w);
        return false;
    }
    if (fresh) push(store, w, PAWL_PUSH_YIELD, NULL, false);
    return true;
}

/* A line of the stream; false: the stream is over. */
static bool heed_line(pawl_store *store, watch *w, const char *line, size_t len)
{
    pawl__etcd_answer answer;
    pawl__etcd_answer_read(200, line, len, &answer);
    json_t *result = json_object_get(answer.root, "result"), *each;
    bool goes_on = answer.fate == PAWL__ETCD_DONE && json_is_object(result) &&
                   !json_is_true(json_object_get(result, "canceled"));
    int64_t revision = pawl__etcd_revision(result);
    size_t i;
    bool begins = goes_on && json_is_true(json_object_get(result, "created"));
    if (begins && revision >= w->from) look_what_was_missed(store, w);
    json_t *events = json_object_get(result, "events");
    bool over = !goes_on;
    if (over) {
        end_stream(store, w);
        look(store, w); /* compacted, or refused: what was missed is looked at */
    }
    json_array_foreach(events, i, each)
    {
        if (over) break;
        over = !heed_event(store, w, each);
    }
    json_decref(answer.root);
    return !over;
}

static void on_stream(pawl_store *store, pawl__etcd_http *http, bool ended)
{
    watch *w = pawl__container(http, watch, stream);
    char *end;
    size_t used = 0;
    if (ended) store->stream_count--;
    while (used < http->in_used && (end = memchr(http->in + used, '\n', http->in_used - used))) {
        const char *line = http->in + used;
        used = (size_t)(end + 1 - http->in);
        if (!heed_line(store, w, line, (size_t)(end - line))) return;
    }
    if (used) memmove(http->in, http->in + used, http->in_used - used);
    http->in_used -= used;
    if (!ended) return;
    end_stream(store, w);
    start_later(store, w, START_NS);
}

/*
 * end NULL: one key. It names no revision to begin at: a watch that begins in the past is served
 * each 100 ms only (syncWatchersLoop of etcd's mvcc/watchable_store.go). The server says at which
 * revision it has begun, and if that is later than what we know, we look.
 */
static void add_request(pawl__etcd_text *body, const pawl__etcd_bytes *key,
                        const pawl__etcd_bytes *end, bool ends_alone)
{
    pawl__etcd_add(body, "{\"create_request\":{\"key\":\"");
    pawl__etcd_add_base64(body, key->at, key->len);
    if (end) {
        pawl__etcd_add(body, "\",\"range_end\":\"");
        pawl__etcd_add_base64(body, end->at, end->len);
    }
    pawl__etcd_add(body, "\"%s}}\n", ends_alone ? ",\"filters\":[\"NOPUT\"]" : "");
}

/*
 * A holder hears of the whole name; a reader of those alone whom it keeps waiting, and of the end
 * of its own key: a thousand readers would hear of each other's renewals all the time. Who waits
 * hears of the end of the key before its own; of permits also that the one before it holds now, and
 * who is next of the end of any.
 */
static void add_requests(pawl__etcd_text *body, const watch *w)
{
    pawl__etcd_bytes exclusive;
    if (w->holds && pawl__etcd_key_mode(&w->key) == PAWL_MODE_SHARED) {
        pawl__etcd_key_make(&exclusive, &w->start, PAWL_MODE_EXCLUSIVE, "");
        add_request(body, &exclusive, &w->end, false);
        add_request(body, &w->key, NULL, true);
    } else if (w->holds || (has_permits(w) && w->any)) {
        add_request(body, &w->start, &w->end, !w->holds);
    } else {
        add_request(body, &w->before, NULL, !has_permits(w));
    }
}

static void begin_stream(pawl_store *store, watch *w)
{
    pawl__etcd_text *body = &w->question;
    pawl__etcd_text_done(body);
    add_requests(body, w);
    w->stream.news = on_stream;
    w->stream.streams = true;
    if (!body->failed && pawl__etcd_http_begin(store, &w->stream, "/v3/watch", body))
        store->stream_count++;
    else
        start_later(store, w, START_NS);
}

static void on_watch_timer(evutil_socket_t fd, short what, void *arg)
{
    pawl_store *store = arg;
    pawl__link *first;
    (void)fd, (void)what;
    while ((first = pawl__list_first(&store->watch_starts)) && pawl__etcd_is_up(store)) {
        watch *w = pawl__container(first, watch, in_starts);
        if (w->start_at > store->host->now()) break;
        if (store->stream_count >= PAWL__ETCD_STREAMS_MAX) break;
        pawl__list_remove(first);
        if (!w->stream.easy && !w->looks) begin_stream(store, w);
    }
    set_timer(store);
}

/* ---- What the requests tell ---------------------------------------------------------------- */

bool pawl__etcd_watch_turn(pawl_store *store, const pawl__etcd_op *op)
{
    watch *w = find(store, op->token);
    bool known = w != NULL;
    if (!w) w = new_watch(store, op);
    if (!w) return false;
    w->changed = op->bare ? op->view.own.changed : op->view.revision; /* it was put just now */
    bool same = known && !w->holds && w->created == op->view.own.created &&
                w->any == op->view.is_next && pawl__etcd_same_bytes(&w->before, &op->view.before);
    if (same && (w->stream.easy || w->looks)) return true;
    end_stream(store, w);
    w->holds = w->told = false;
    w->created = op->view.own.created;
    w->key = op->key; /* the token may have another mode than before */
    w->before = op->view.before;
    w->any = op->view.is_next;
    w->from = op->view.revision + 1;
    w->stale = w->looks;
    start_later(store, w, 0);
    return true;
}

/* Without memory nobody is told that somebody waits: the next renewal says so. */
void pawl__etcd_watch_hold(pawl_store *store, const pawl__etcd_op *op)
{
    watch *w = find(store, op->token);
    bool same = w && w->created == op->view.own.created;
    bool waited = same && !w->holds && !w->told;
    if (same && w->holds) return;
    if (!w) w = new_watch(store, op);
    if (!w) return;
    end_stream(store, w);
    pawl__list_remove(&w->in_starts);
    w->holds = w->told = true;
    w->created = op->view.own.created;
    w->key = op->key; /* the token may have another mode than before */
    w->from = op->view.revision + 1;
    w->stale = w->looks;
    start_later(store, w, START_NS);
    if (waited)
        push(store, w, PAWL_PUSH_GRANT, op->has_slots ? &op->slots : NULL, op->view.waiting);
}

void pawl__etcd_watch_lease(pawl_store *store, const pawl__etcd_op *op)
{
    watch *w = find(store, op->token);
    if (!w) return;
    w->loose = op->loose || (w->loose && w->lease == op->lease);
    w->lease = op->lease;
    w->lease_s = op->lease_s;
    w->leased_at = op->leased_at;
}

bool pawl__etcd_recall(const pawl_store *store, pawl__etcd_op *op)
{
    const watch *w = find(store, op->token);
    if (!w || !w->holds || !w->lease) return false;
    if (!pawl__etcd_same_bytes(&w->start, &op->start)) return false;
    op->key = w->key;
    op->mode = pawl__etcd_key_mode(&w->key);
    op->lease = w->lease;
    op->lease_s = w->lease_s;
    op->leased_at = w->loose ? 0 : w->leased_at;
    op->view.own.created = w->created;
    return true;
}

int64_t pawl__etcd_leased_at(const pawl_store *store, const char *token, int64_t lease)
{
    const watch *w = find(store, token);
    return w && w->lease == lease && !w->loose ? w->leased_at : 0;
}

/* ---- The link ------------------------------------------------------------------------------ */

void pawl__etcd_watches_lost(pawl_store *store)
{
    for (pawl__link *l = store->watch_list.next; l != &store->watch_list; l = l->next) {
        watch *w = watch_of(l);
        end_stream(store, w);
        pawl__etcd_call_end(store, &w->look);
        w->looks = w->stale = w->takes = false;
        pawl__list_remove(&w->in_starts);
    }
    pawl__timer_set(&store->watch_timer, PAWL__NEVER);
}

void pawl__etcd_watches_up(pawl_store *store)
{
    for (pawl__link *l = store->watch_list.next; l != &store->watch_list; l = l->next)
        look(store, watch_of(l));
}

/* If another client has our token, and has asked since, the place is that one's. */
void pawl__etcd_watches_leave(pawl_store *store)
{
    for (pawl__link *l = store->watch_list.next; l != &store->watch_list; l = l->next) {
        watch *w = watch_of(l);
        pawl__etcd_text body = {0};
        if (w->holds) continue;
        pawl__etcd_add(&body, "{\"compare\":[");
        pawl__etcd_add_unchanged(&body, &w->key, w->changed);
        pawl__etcd_add(&body, "],\"success\":[");
        pawl__etcd_add_delete(&body, &w->key, false);
        pawl__etcd_add(&body, "]}");
        pawl__etcd_errand(store, "/v3/kv/txn", &body);
    }
}

bool pawl__etcd_watches_init(pawl_store *store)
{
    pawl__list_init(&store->watch_list);
    pawl__list_init(&store->watch_starts);
    store->watches.seed = pawl__random_next(&store->link.random);
    return pawl__timer_add(&store->watch_timer, store->host->base, on_watch_timer, store);
}

void pawl__etcd_watches_done(pawl_store *store)
{
    while (!pawl__list_empty(&store->watch_list)) drop(store, watch_of(store->watch_list.next));
    pawl__table_done(&store->watches);
}
