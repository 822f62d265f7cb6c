/* SPDX-License-Identifier: MIT */
/*
 * A client of libpawl in Node's loop: the loop looks at its descriptor, runs the callbacks that
 * wait there, and then tells JavaScript what they have left. Whoever has news is queued once,
 * whatever it has to say; so to queue it needs no memory and cannot fail.
 */
#include "addon.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define LINES_MAX 256 /* more than a reader of logs will miss */

typedef struct line {
    struct line *next;
    int severity;
    char text[];
} line;

/* ---- News -------------------------------------------------------------------------------------
 */

void client_tell(client *c, handle *h, int kind)
{
    h->kinds |= 1u << kind;
    if (h->queued) return;
    h->queued = true;
    h->next = NULL;
    *c->last = h;
    c->last = &h->next;
}

static void on_log(pawl_client *pawl, pawl_severity severity, const char *text, void *userdata)
{
    (void)pawl;
    client *c = userdata;
    size_t size = strlen(text) + 1;
    pthread_mutex_lock(&c->mutex);
    line *l = c->lines < LINES_MAX ? malloc(sizeof *l + size) : NULL;
    if (l) {
        *l = (line){.severity = (int)severity};
        memcpy(l->text, text, size);
        *c->last_line = l;
        c->last_line = &l->next;
        c->lines++;
    }
    pthread_mutex_unlock(&c->mutex);
}

/* One piece of news; mutex held, as for the next two. */
typedef struct news {
    uint32_t id;
    int kind, err;
    int64_t remaining_ms;
    char message[PAWL_MESSAGE_MAX];
} news;

static bool take_line(client *c, news *ret_news)
{
    line *l = c->first_line;
    if (!l) return false;
    c->first_line = l->next;
    if (!l->next) c->last_line = &c->first_line;
    c->lines--;
    *ret_news = (news){.kind = NEWS_LOG, .err = l->severity};
    snprintf(ret_news->message, sizeof ret_news->message, "%s", l->text);
    free(l);
    return true;
}

/* In the order in which they make sense together. */
static const int order[] = {NEWS_UPGRADED,    NEWS_SAID,       NEWS_LEADER,      NEWS_DONE,
                            PAWL_EVENT_DOUBT, PAWL_EVENT_HELD, PAWL_EVENT_YIELD, PAWL_EVENT_LOST};

static void take_kind(handle *h, int kind, news *ret_news)
{
    h->kinds &= ~(1u << kind);
    *ret_news = (news){.id = h->id, .kind = kind, .remaining_ms = h->remaining_ms};
    if (kind == PAWL_EVENT_LOST || kind == PAWL_EVENT_DOUBT)
        memcpy(ret_news->message, h->message, sizeof h->message);
    ret_news->err = kind == NEWS_DONE          ? h->done
                    : kind == NEWS_UPGRADED    ? h->upgraded
                    : kind == NEWS_SAID        ? h->said
                    : kind == PAWL_EVENT_LOST  ? h->lost
                    : kind == PAWL_EVENT_DOUBT ? h->doubt
                                               : 0;
}

static bool take_of_handle(client *c, news *ret_news, handle **ret_ended)
{
    handle *h = c->first;
    if (!h) return false;
    for (size_t i = 0; i < sizeof order / sizeof order[0]; i++) {
        if (!(h->kinds & 1u << order[i])) continue;
        take_kind(h, order[i], ret_news);
        if (order[i] == NEWS_DONE || order[i] == NEWS_UPGRADED || order[i] == NEWS_SAID)
            *ret_ended = h;
        break;
    }
    if (h->kinds) return true;
    c->first = h->next;
    if (!h->next) c->last = &c->first;
    h->queued = false;
    return true;
}

/* False: there is none. *ret_ended: a call of that one has ended. */
static bool take(client *c, news *ret_news, handle **ret_ended)
{
    *ret_ended = NULL;
    pthread_mutex_lock(&c->mutex);
    bool found = take_line(c, ret_news) || take_of_handle(c, ret_news, ret_ended);
    pthread_mutex_unlock(&c->mutex);
    return found;
}

/* Calls a function of JavaScript's from the loop; what it throws is an uncaught exception. */
static void call_from_loop(napi_env env, napi_ref function, size_t argc, napi_value *argv)
{
    napi_value call, receiver, thrown;
    napi_get_reference_value(env, function, &call);
    napi_get_global(env, &receiver);
    napi_status status = napi_make_callback(env, NULL, receiver, call, argc, argv, NULL);
    if (status != napi_pending_exception) return;
    napi_get_and_clear_last_exception(env, &thrown);
    napi_fatal_exception(env, thrown);
}

static void tell_javascript(client *c, const news *n)
{
    napi_handle_scope scope;
    if (napi_open_handle_scope(c->env, &scope) != napi_ok) return;
    napi_value argv[] = {make_int(c->env, n->id), make_int(c->env, n->kind),
                         make_int(c->env, n->err), make_int(c->env, n->remaining_ms),
                         make_text(c->env, n->message, NAPI_AUTO_LENGTH)};
    call_from_loop(c->env, c->tell, sizeof argv / sizeof argv[0], argv);
    napi_close_handle_scope(c->env, scope);
}

static void hand_out(client *c)
{
    news n;
    handle *ended;
    while (take(c, &n, &ended)) {
        tell_javascript(c, &n);
        if (ended) handle_unref(ended);
    }
}

static void on_readable(uv_poll_t *poll, int status, int events)
{
    (void)status;
    (void)events;
    client *c = poll->data;
    c->refs++; /* whoever is told may drop the client */
    while (pawl_client_dispatch(c->pawl) == PAWL_DISPATCH_MAX)
        ;
    hand_out(c);
    client_unref(c);
}

/* ---- Opened -------------------------------------------------------------------------------------
 */

static void free_poll(uv_handle_t *poll)
{
    free(poll);
}

static void stop_poll(client *c)
{
    if (!c->poll) return;
    uv_poll_stop(c->poll);
    uv_close((uv_handle_t *)c->poll, free_poll);
    c->poll = NULL;
}

void client_unref(client *c)
{
    if (--c->refs > 0) return;
    if (!c->is_closed) {
        stop_poll(c);
        pawl_client_close(c->pawl);
    }
    pawl_lock_free(c->keeper);
    napi_delete_reference(c->env, c->tell);
    news n;
    while (take_line(c, &n))
        ;
    pthread_mutex_destroy(&c->mutex);
    free(c);
}

/* The end of this environment of Node's: what is held is given back. */
static void on_environment_end(void *data)
{
    client *c = data;
    if (c->is_closed || c->closing) return;
    stop_poll(c);
    c->is_closed = true;
    pawl_client_close(c->pawl);
}

static void on_dropped(napi_env env, void *data, void *hint)
{
    (void)hint;
    napi_remove_env_cleanup_hook(env, on_environment_end, data);
    client_unref(data);
}

static int start_poll(client *c)
{
    uv_loop_t *loop;
    c->poll = calloc(1, sizeof *c->poll);
    if (!c->poll) return PAWL_ERR_NO_MEMORY;
    c->poll->data = c;
    if (napi_get_uv_event_loop(c->env, &loop) != napi_ok ||
        uv_poll_init(loop, c->poll, pawl_client_fd(c->pawl))) {
        free(c->poll);
        c->poll = NULL;
        return PAWL_ERR_SYSTEM;
    }
    uv_poll_start(c->poll, UV_READABLE, on_readable);
    uv_unref(
        (uv_handle_t *)c->poll); /* who waits keeps Node alive, who only has a client does not */
    return 0;
}

static client *make_client(napi_env env, napi_value tell)
{
    client *c = calloc(1, sizeof *c);
    if (!c) return NULL;
    c->env = env;
    c->refs = 1;
    c->last = &c->first;
    c->last_line = &c->first_line;
    c->is_closed = true; /* until it is open */
    pthread_mutex_init(&c->mutex, NULL);
    napi_create_reference(env, tell, 1, &c->tell);
    return c;
}

static int open_client(client *c, const args *a, char *reterr_message)
{
    size_t len;
    char *url = text_at(a, 0, &len), *owner = text_at(a, 1, &len);
    pawl_open_opts opts;
    pawl_open_opts_init(&opts);
    opts.callbacks = PAWL_CALLBACKS_DISPATCH;
    if (owner) opts.owner = owner;
    opts.store_timeout_ms = int_at(a, 2);
    opts.close_timeout_ms = int_at(a, 3);
    if (bool_at(a, 4)) {
        opts.log = on_log;
        opts.log_userdata = c;
    }
    int err = pawl_client_open(url, &opts, &c->pawl, reterr_message);
    free(url);
    free(owner);
    if (err) return err;
    err = pawl_lock_new(c->pawl, "-", 1, NULL, &c->keeper);
    if (!err) err = start_poll(c);
    c->is_closed = err != 0;
    if (err) pawl_client_close(c->pawl);
    return err;
}

/* (url, owner, store timeout, close timeout, logs, tell): [code, message], or the client. */
static napi_value js_open(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    char why[PAWL_MESSAGE_MAX] = "";
    client *c = make_client(env, a.at[5]);
    int err = c ? open_client(c, &a, why) : PAWL_ERR_NO_MEMORY;
    napi_value result = NULL;
    if (!err && napi_create_external(env, c, on_dropped, NULL, &result) == napi_ok) {
        napi_add_env_cleanup_hook(env, on_environment_end, c);
        return result;
    }
    if (c) client_unref(c);
    napi_create_array_with_length(env, 2, &result);
    napi_set_element(env, result, 0, make_int(env, err));
    napi_set_element(env, result, 1, make_text(env, why, NAPI_AUTO_LENGTH));
    return result;
}

/* ---- Closed, on a thread of Node's pool: it waits for the store
 * ----------------------------------- */

static void close_it(napi_env env, void *data)
{
    (void)env;
    client *c = data;
    pawl_client_close(c->pawl);
}

static void on_closed(napi_env env, napi_status status, void *data)
{
    (void)status;
    client *c = data;
    napi_delete_async_work(env, c->closing);
    c->closing = NULL;
    hand_out(c);
    napi_ref closed = c->closed;
    call_from_loop(env, closed, 0, NULL);
    napi_delete_reference(env, closed);
    client_unref(c);
}

/* (client, called at the end) */
static napi_value js_close(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    client *c = pointer_at(&a, 0);
    if (!c || c->is_closed) return make_bool(env, false);
    c->is_closed = true;
    c->refs++;
    stop_poll(c);
    napi_create_reference(env, a.at[1], 1, &c->closed);
    napi_value name = make_text(env, "pawl close", NAPI_AUTO_LENGTH);
    napi_create_async_work(env, NULL, name, close_it, on_closed, c, &c->closing);
    napi_queue_async_work(env, c->closing);
    return make_bool(env, true);
}

/* (client): at once, for the end of the process. It waits for the store, and tells nobody. */
static napi_value js_close_now(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    client *c = pointer_at(&a, 0);
    if (c) on_environment_end(c);
    return NULL;
}

/* ---- What it says
 * --------------------------------------------------------------------------------- */

/* (client, whether somebody waits): Node stays alive for those. */
static napi_value js_waits(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    client *c = pointer_at(&a, 0);
    if (!c || !c->poll) return NULL;
    if (bool_at(&a, 1))
        uv_ref((uv_handle_t *)c->poll);
    else
        uv_unref((uv_handle_t *)c->poll);
    return NULL;
}

/* (client, code): why a call on it ended so. */
static napi_value js_reason(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    client *c = pointer_at(&a, 0);
    char why[PAWL_MESSAGE_MAX];
    if (!c) return NULL;
    pawl_client_reason(c->pawl, (int)int_at(&a, 1), why);
    return make_text(env, why, NAPI_AUTO_LENGTH);
}

static napi_value js_owner(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    client *c = pointer_at(&a, 0);
    return c ? make_text(env, pawl_client_owner(c->pawl), NAPI_AUTO_LENGTH) : NULL;
}

static napi_value js_url(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    client *c = pointer_at(&a, 0);
    return c ? make_text(env, pawl_client_url(c->pawl), NAPI_AUTO_LENGTH) : NULL;
}

/* (code): [its name, its text, its class] */
static napi_value js_error(napi_env env, napi_callback_info info)
{
    args a = take_args(env, info);
    int code = (int)int_at(&a, 0);
    napi_value result;
    napi_create_array_with_length(env, 3, &result);
    napi_set_element(env, result, 0, make_text(env, pawl_err_name(code), NAPI_AUTO_LENGTH));
    napi_set_element(env, result, 1, make_text(env, pawl_err_text(code), NAPI_AUTO_LENGTH));
    napi_set_element(env, result, 2, make_int(env, pawl_err_class_of(code)));
    return result;
}

/* The numbers that JavaScript needs. */
static void export_numbers(napi_env env, napi_value exports)
{
    static const struct {
        const char *name;
        int value;
    } numbers[] = {
#define NUMBER(name) {#name, PAWL_##name},
        NUMBER(WAIT_FOREVER) NUMBER(ERR_BUSY) NUMBER(ERR_TIMEOUT) NUMBER(ERR_LOST)
            NUMBER(ERR_NOT_HELD) NUMBER(ERR_UNKNOWN) NUMBER(ERR_ARGUMENT) NUMBER(ERR_CLOSED)
                NUMBER(ERR_PARTIES) NUMBER(ERR_CANCELED) NUMBER(ERR_NAME) NUMBER(ERR_NAMES)
                    NUMBER(ERR_REENTRY) NUMBER(ERR_STATE) NUMBER(ERR_UNITS) NUMBER(ERR_NO_MEMORY)
                        NUMBER(ERR_OWNER) NUMBER(ERR_URL) NUMBER(CLASS_BUSY) NUMBER(CLASS_RETRY)
                            NUMBER(CLASS_LOST) NUMBER(CLASS_UNKNOWN) NUMBER(CLASS_USAGE)
                                NUMBER(CLASS_DENIED) NUMBER(CLASS_CANCELED) NUMBER(MODE_EXCLUSIVE)
                                    NUMBER(MODE_SHARED) NUMBER(MODE_UPDATE) NUMBER(MODE_PERMIT)
                                        NUMBER(EVENT_DOUBT) NUMBER(EVENT_HELD) NUMBER(EVENT_LOST)
                                            NUMBER(EVENT_YIELD) NUMBER(LOCK_DETACHED)
                                                NUMBER(NAMES_MAX) NUMBER(CAPACITY_MAX)
                                                    NUMBER(REENTRY_MAX) NUMBER(ERR_DONE)
                                                        NUMBER(ERR_BROKEN) NUMBER(LATCH_COUNT_MAX)
                                                            NUMBER(BARRIER_PARTIES_MAX)
#undef NUMBER
                                                                {"NEWS_DONE", NEWS_DONE},
        {"ACQUIRED_AT_ONCE", ACQUIRED_AT_ONCE},
        {"NEWS_UPGRADED", NEWS_UPGRADED},
        {"NEWS_LOG", NEWS_LOG},
        {"NEWS_SAID", NEWS_SAID},
        {"NEWS_LEADER", NEWS_LEADER},
    };
    for (size_t i = 0; i < sizeof numbers / sizeof numbers[0]; i++)
        set(env, exports, numbers[i].name, make_int(env, numbers[i].value));
}

void export_clients(napi_env env, napi_value exports)
{
    export_numbers(env, exports);
    export_function(env, exports, "open", js_open);
    export_function(env, exports, "close", js_close);
    export_function(env, exports, "closeNow", js_close_now);
    export_function(env, exports, "waits", js_waits);
    export_function(env, exports, "reason", js_reason);
    export_function(env, exports, "owner", js_owner);
    export_function(env, exports, "url", js_url);
    export_function(env, exports, "error", js_error);
}
