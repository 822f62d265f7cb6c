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
#include <pawl/composed.h>
#include <pawl/pawl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <uv.h>

#if PAWL_VERSION_MAJOR == 0 && PAWL_VERSION_MINOR < 2
#error                                                                                             \
    "this binding needs libpawl 0.2 or newer: install it, or take an older version of the package"
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
/* The bytes of a Uint8Array, which live as long as it does; NULL for anything else. */
const void *bytes_at(const args *a, int i, size_t *ret_len);

napi_value make_int(napi_env env, int64_t value);
napi_value make_bigint(napi_env env, uint64_t value);
napi_value make_bool(napi_env env, bool value);
napi_value make_text(napi_env env, const char *text, size_t len); /* len NAPI_AUTO_LENGTH */
napi_value make_bytes(napi_env env, const void *bytes, size_t len);
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

/* Beyond pawl_event_kind. */
enum { NEWS_DONE = 8, NEWS_UPGRADED, NEWS_LOG, NEWS_SAID, NEWS_LEADER };

#define ACQUIRED_AT_ONCE 1 /* no code is positive */

/* One acquisition, from the wish to its end; or what else of libpawl's has news. */
struct handle {
    client *client;
    pawl_lock *lock; /* NULL: freed, or it has none */
    pawl_once *once; /* its lock is `lock` */
    pawl_latch *latch;
    pawl_barrier *barrier;
    pawl_observer *observer;
    uint32_t id;
    int refs; /* Node's object, and each call that has yet to end */
    /* By the client's mutex: */
    handle *next;
    bool queued;
    unsigned kinds; /* bit (1 << kind): to be told */
    int done, upgraded, said, doubt, lost;
    int64_t remaining_ms;
    char message[PAWL_MESSAGE_MAX]; /* of the loss, else of the doubt */
    struct leader_copy *leader;     /* an observer's */
};

void export_clients(napi_env env, napi_value exports);
void export_handles(napi_env env, napi_value exports);
void export_questions(napi_env env, napi_value exports); /* questions.c */
/* What others make of handles (composed.c). A new one, or NULL without memory. */
handle *handle_new(client *c, int64_t id);
/* What JavaScript gets: the handle, or a code. */
napi_value handle_made(napi_env env, handle *h, int err);
/* The code of a call that ends with news. */
napi_value handle_begun(napi_env env, handle *h, int err);
/* A pawl_done_fn. */
void handle_on_done(pawl_lock *lock, int err, void *userdata);
/* A pawl_event_fn. */
void handle_on_event(pawl_lock *lock, const pawl_event *event, void *userdata);
/* Its calls have ended, or its object has gone. */
void handle_unref(handle *h);

/* ---- What is built on locks (composed.c, leader.c) ---------------------------------------------
 */

void export_composed(napi_env env, napi_value exports);
void export_leaders(napi_env env, napi_value exports);

/* A pawl_leader that owns its bytes. */
typedef struct leader_copy {
    pawl_leader leader;
    char owner[PAWL_OWNER_MAX + 1];
    char value[PAWL_LEADER_VALUE_MAX + 1];
} leader_copy;

/* A pawl_leader_fn; userdata is a leader_copy. */
void copy_leader(const pawl_leader *from, void *userdata);
napi_value make_leader(napi_env env, const leader_copy *from);
napi_value make_once_info(napi_env env, const pawl_once_info *info);

#endif
