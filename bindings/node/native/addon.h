/* SPDX-License-Identifier: MIT */
/*
 * What JavaScript cannot do by itself: libpawl, and the descriptor of a client in Node's own loop.
 * No thread but Node's touches a value of JavaScript's. A callback of libpawl leaves its news in C;
 * the loop fetches them when nothing of libpawl's is on the stack any more.
 */
#ifndef PAWL_NODE_ADDON_H
#define PAWL_NODE_ADDON_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <pawl/pawl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#if PAWL_VERSION_MAJOR == 0 && PAWL_VERSION_MINOR < 1
#error                                                                                             \
    "this binding needs libpawl 0.1 or newer: install it, or take an older version of the package"
#endif

/* ---- Values (values.c) -------------------------------------------------------------------------
 */

#define ARGS_MAX 12

/* The arguments of a call: fewer are undefined. */
typedef struct args {
    napi_env env;
    napi_value at[ARGS_MAX];
} args;

args take_args(napi_env env, napi_callback_info info);
int64_t int_at(const args *a, int i);
uint64_t bigint_at(const args *a, int i);
bool bool_at(const args *a, int i);
/* What napi_create_external made of a pointer; NULL for anything else. */
void *pointer_at(const args *a, int i);
/* A string in UTF-8, NUL-terminated, from malloc; NULL for null and undefined, and without memory.
 */
char *text_at(const args *a, int i, size_t *ret_len);
char *text_of(napi_env env, napi_value value, size_t *ret_len);

napi_value make_int(napi_env env, int64_t value);
napi_value make_bigint(napi_env env, uint64_t value);
napi_value make_bool(napi_env env, bool value);
napi_value make_text(napi_env env, const char *text, size_t len); /* len NAPI_AUTO_LENGTH */
napi_value make_null(napi_env env);
void set(napi_env env, napi_value object, const char *name, napi_value value);
void export_function(napi_env env, napi_value exports, const char *name, napi_callback call);

/* ---- Clients (client.c) ------------------------------------------------------------------------
 */

typedef struct client client;
typedef struct handle handle;

struct client {
    napi_env env;
    pawl_client *pawl;
    pawl_lock *keeper; /* never acquired: with it the client stays valid when closed */
    uv_poll_t *poll;   /* NULL: closed */
    napi_ref tell;     /* the function that gets news */
    napi_async_work closing;
    napi_ref closed; /* called at the end of it */
    int refs;        /* Node's object, handles, questions, the close; Node's thread only */
    bool is_closed;

    pthread_mutex_t mutex; /* what follows; the close runs callbacks on a thread of Node's pool */
    handle *first, **last; /* those that have news */
    struct line *first_line, **last_line;
    int lines;
};

void client_unref(client *c);
/* Something has news of that kind; the mutex is held. */
void client_tell(client *c, handle *h, int kind);

/* ---- Locks (handle.c)
 * ----------------------------------------------------------------------------
 */

enum { NEWS_DONE = 8, NEWS_UPGRADED = 9, NEWS_LOG = 10 }; /* beyond pawl_event_kind */

/* One acquisition, from the wish to its end. */
struct handle {
    client *client;
    pawl_lock *lock; /* NULL: freed */
    uint32_t id;
    int refs; /* Node's object, and each call that has yet to end */
    /* By the client's mutex: */
    handle *next;
    bool queued;
    unsigned kinds; /* bit (1 << kind): to be told */
    int done, upgraded, doubt, lost;
    int64_t remaining_ms;
    char message[PAWL_MESSAGE_MAX]; /* of the loss, else of the doubt */
};

void export_clients(napi_env env, napi_value exports);
void export_handles(napi_env env, napi_value exports);
void export_questions(napi_env env, napi_value exports); /* questions.c */
/* Its calls have ended, or its object has gone. */
void handle_unref(handle *h);

#endif
