/* SPDX-License-Identifier: MIT */
/* Questions to the server: room for them, their answers, and the login that they need. */
#define _GNU_SOURCE
#include "etcd_store.h"

#include "../../base/line.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static pawl__etcd_call *call_of(pawl__link *link)
{
    return pawl__container(link, pawl__etcd_call, in_calls);
}

bool pawl__etcd_is_up(const pawl_store *store)
{
    return store->link.phase == PAWL__ETCD_UP && !store->link.broken;
}

void pawl__etcd_heed_trouble(pawl_store *store, const pawl__etcd_answer *answer)
{
    if (answer->leaderless || answer->is_odd)
        pawl__etcd_break(store, answer->err, answer->message);
    else if (answer->err == PAWL_ERR_TLS || answer->login_is_over)
        pawl__etcd_break(store, answer->err, answer->message);
}

/* ---- Answers ------------------------------------------------------------------------------- */

static bool is_of_tls(CURLcode code)
{
    switch (code) {
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_SSL_CERTPROBLEM:
    case CURLE_SSL_CIPHER:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_ISSUER_ERROR:
        return true;
    default:
        return false;
    }
}

/* With TLS 1.3 the server refuses our certificate after its own greeting has ended, so libcurl says
 * that reading failed, with the words of its TLS library. */
static bool is_alert(CURLcode code, const char *why)
{
    bool reads = code == CURLE_RECV_ERROR || code == CURLE_SEND_ERROR;
    return reads && strstr(why, " alert ") != NULL;
}

/* The connection failed: what was perhaps sent is perhaps done (law 4). */
static void read_failure(const pawl__etcd_call *call, pawl__etcd_answer *answer)
{
    const pawl__etcd_http *http = &call->http;
    const char *why = http->why[0] ? http->why : curl_easy_strerror(http->result);
    bool tls = (!http->sent && is_of_tls(http->result)) || is_alert(http->result, why);
    *answer = (pawl__etcd_answer){.fate = http->sent && call->writes ? PAWL__ETCD_UNKNOWN
                                                                     : PAWL__ETCD_REFUSED,
                                  .err = tls ? PAWL_ERR_TLS : PAWL_ERR_UNAVAILABLE,
                                  .leaderless = true};
    snprintf(answer->message, sizeof answer->message, "%.200s", why);
}

static void take_off(pawl_store *store, pawl__etcd_call *call)
{
    pawl__list_remove(&call->in_calls);
    if (call->asked) store->under_way_count--;
    call->asked = false;
}

/* It was not done, and a new login may help: it waits for that. */
static bool is_to_ask_again(pawl_store *store, pawl__etcd_call *call,
                            const pawl__etcd_answer *answer)
{
    if (!answer->login_is_over || !store->config.user[0] || call->logged_in) return false;
    if (call == &store->login_call || call == &store->greeting) return false;
    call->logged_in = true;
    pawl__list_prepend(&store->waiting, &call->in_calls);
    pawl__etcd_login(store);
    return true;
}

static void on_news(pawl_store *store, pawl__etcd_http *http, bool ended)
{
    pawl__etcd_call *call = pawl__container(http, pawl__etcd_call, http);
    pawl__etcd_answer answer;
    (void)ended;
    take_off(store, call);
    if (http->result == CURLE_OK && !http->overflow)
        pawl__etcd_answer_read(http->status, http->in, http->in_used, &answer);
    else
        read_failure(call, &answer);
    if (answer.fate == PAWL__ETCD_UNKNOWN && !call->writes) answer.fate = PAWL__ETCD_REFUSED;
    pawl__line_mend(answer.message);
    if (!is_to_ask_again(store, call, &answer)) {
        pawl__etcd_text_done(&call->body);
        free(http->in);
        http->in = NULL;
        http->in_used = http->in_room = 0;
        pawl__etcd_heed_trouble(store, &answer);
        json_t *root = answer.root;
        call->answered(store, call, &answer); /* which may free it */
        json_decref(root);
    }
    pawl__etcd_calls_go_on(store);
}

/* ---- Asking -------------------------------------------------------------------------------- */

static bool is_held_up(const pawl_store *store, const pawl__etcd_call *call)
{
    if (call == &store->login_call || call == &store->greeting) return false;
    return store->under_way_count >= PAWL__ETCD_CALLS_MAX || store->login_call.asked;
}

static void begin(pawl_store *store, pawl__etcd_call *call)
{
    call->http.news = on_news;
    call->http.streams = false;
    if (!pawl__etcd_http_begin(store, &call->http, call->path,
                               call->body.used ? &call->body : NULL)) {
        pawl__list_prepend(&store->waiting, &call->in_calls); /* the turn answers it */
        pawl__etcd_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
        return;
    }
    call->asked = true;
    store->under_way_count++;
    pawl__list_append(&store->under_way, &call->in_calls);
}

void pawl__etcd_ask(pawl_store *store, pawl__etcd_call *call, const char *path, bool writes)
{
    call->path = path;
    call->writes = writes;
    call->logged_in = false;
    if (call->body.failed)
        pawl__etcd_break(store, PAWL_ERR_NO_MEMORY, pawl_err_text(PAWL_ERR_NO_MEMORY));
    if (store->link.broken || is_held_up(store, call))
        pawl__list_append(&store->waiting, &call->in_calls);
    else
        begin(store, call);
}

void pawl__etcd_calls_go_on(pawl_store *store)
{
    while (!store->link.broken && !pawl__list_empty(&store->waiting)) {
        pawl__etcd_call *call = call_of(store->waiting.next);
        if (is_held_up(store, call)) return;
        pawl__list_remove(&call->in_calls);
        begin(store, call);
    }
}

void pawl__etcd_call_end(pawl_store *store, pawl__etcd_call *call)
{
    take_off(store, call);
    pawl__etcd_http_end(store, &call->http);
    pawl__etcd_text_done(&call->body);
}

/* ---- The login ----------------------------------------------------------------------------- */

void pawl__etcd_login_body(pawl_store *store, pawl__etcd_text *body)
{
    json_t *object =
        json_pack("{s:s, s:s}", "name", store->config.user, "password", store->config.password);
    char *text = object ? json_dumps(object, JSON_COMPACT) : NULL;
    json_decref(object);
    pawl__etcd_text_done(body);
    if (text)
        pawl__etcd_add(body, "%s", text);
    else
        body->failed = true;
    if (text) explicit_bzero(text, strlen(text));
    free(text);
}

bool pawl__etcd_login_take(pawl_store *store, const pawl__etcd_answer *answer)
{
    const char *token = json_string_value(json_object_get(answer->root, "token"));
    size_t len = token ? strlen(token) : 0;
    bool good = len > 0 && len <= PAWL__ETCD_TOKEN_MAX;
    for (size_t i = 0; good && i < len; i++) good = token[i] > ' ' && token[i] < 0x7f;
    if (good) memcpy(store->login, token, len + 1);
    return good;
}

static void on_login(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    (void)call;
    if (answer->fate != PAWL__ETCD_DONE)
        pawl__etcd_break(store, answer->err, answer->message);
    else if (!pawl__etcd_login_take(store, answer))
        pawl__etcd_break(store, PAWL_ERR_PROTOCOL, "the server gave no token for the login");
}

void pawl__etcd_login(pawl_store *store)
{
    if (store->login_call.asked) return;
    explicit_bzero(store->login, sizeof store->login); /* it refuses who brings an old one */
    store->login_call.answered = on_login;
    pawl__etcd_login_body(store, &store->login_call.body);
    pawl__etcd_ask(store, &store->login_call, "/v3/auth/authenticate", false);
}

/* ---- Errands ------------------------------------------------------------------------------- */

typedef struct errand {
    pawl__link in_errands;
    pawl__etcd_call call;
} errand;

static void end_errand(errand *e)
{
    pawl__list_remove(&e->in_errands);
    free(e);
}

static void on_errand(pawl_store *store, pawl__etcd_call *call, const pawl__etcd_answer *answer)
{
    (void)store, (void)answer;
    end_errand(pawl__container(call, errand, call));
}

void pawl__etcd_errand(pawl_store *store, const char *path, pawl__etcd_text *body)
{
    errand *e = body->failed || store->link.broken ? NULL : calloc(1, sizeof *e);
    if (!e) {
        pawl__etcd_text_done(body);
        return;
    }
    pawl__list_append(&store->errands, &e->in_errands);
    e->call.answered = on_errand;
    e->call.body = *body;
    pawl__etcd_ask(store, &e->call, path, true);
}

void pawl__etcd_lease_question(pawl__etcd_text *body, int64_t lease)
{
    pawl__etcd_add(body, "{\"ID\":\"%" PRId64 "\"}", lease);
}

void pawl__etcd_revoke(pawl_store *store, int64_t lease)
{
    pawl__etcd_text body = {0};
    if (!lease) return;
    pawl__etcd_lease_question(&body, lease);
    pawl__etcd_errand(store, "/v3/lease/revoke", &body);
}

void pawl__etcd_errands_done(pawl_store *store)
{
    while (!pawl__list_empty(&store->errands)) {
        errand *e = pawl__container(store->errands.next, errand, in_errands);
        pawl__etcd_call_end(store, &e->call);
        end_errand(e);
    }
}
