/* SPDX-License-Identifier: MIT */
/* A host for one store object: it runs the loop and writes down what the store says. */
#ifndef PAWL_TESTS_SQLITE_HOST_H
#define PAWL_TESTS_SQLITE_HOST_H

#include "pawl/store.h"

#define HOST_WAIT_MS 20000 /* generous: reached only when something is wrong */
#define HOST_LOG_MAX 256

typedef struct seen_reply {
    uint64_t id;
    pawl_outcome outcome;
    uint64_t fence;
    int64_t position, holder_ms;
    bool waiting;
    pawl_err err;
    char message[PAWL_MESSAGE_MAX];
} seen_reply;

typedef struct seen_push {
    pawl_push_kind kind;
    char name[PAWL_NAME_MAX + 1];
    char token[PAWL_TOKEN_LEN + 1];
    uint64_t fence;
    bool waiting;
} seen_push;

typedef struct seen_row {
    char name[PAWL_NAME_MAX + 1];
    char owner[PAWL_OWNER_MAX + 1];
    bool held, mine;
    int64_t remaining_ms;
    uint64_t fence;
    size_t waiter_count, waiters_shown;
    char first_waiter[PAWL_OWNER_MAX + 1];
    int64_t first_age_ms, first_place_ms;
} seen_row;

typedef struct host {
    pawl_host host; /* first: the store knows only this */
    char client_id[33];
    pawl_store *store;
    struct event_base *base;
    uint64_t next_id;
    seen_reply replies[HOST_LOG_MAX];
    size_t reply_count;
    seen_push pushes[HOST_LOG_MAX];
    size_t push_count, push_read;
    seen_row rows[HOST_LOG_MAX];
    size_t row_count;
    pawl_severity worst_finding;
    size_t finding_count;
    char topics[512]; /* of the findings that are no OK */
    bool up;
    int ups, downs;
    pawl_err down_err;
    bool down_final; /* the last down was one that waiting does not heal */
    char down_message[PAWL_MESSAGE_MAX];
    int warnings;
    void (*on_event)(struct host *host); /* after each reply or push; may be NULL */
    void *ctx;
    int64_t answer_ms; /* how long a request may take */
    pawl_mode mode;    /* of what is asked from now on, and what belongs to it */
    uint32_t units, capacity, change;
} host;

extern const pawl_store_ops pawl_store_entry;

/* A parsed sqlite URL for the path. */
pawl_url host_url(const char *path);

/* Whether the hosts that are started from now on ask for work_inline. */
extern bool host_works_inline;

/* Starts a store; does not wait for the link. */
void host_start(host *h, const char *path);
/* Starts a store and waits until it is up. */
void host_open(host *h, const char *path);
void host_close(host *h);
/* Waits until others can write to it; the path is the database's. */
void host_await_inbox(host *h, const char *path);

/* Runs the loop until *flag is true; fails the test after HOST_WAIT_MS. */
void host_run_until(host *h, const bool *flag);
void host_run_ms(host *h, int64_t ms);

/* A token that differs for each n and each process. */
const char *host_token(int n);

uint64_t host_send(host *h, pawl_verb verb, const char *name, const char *token, int64_t ttl_ms,
                   unsigned flags, uint64_t fence);
seen_reply host_wait(host *h, uint64_t id);
seen_reply host_call(host *h, pawl_verb verb, const char *name, const char *token, int64_t ttl_ms,
                     unsigned flags);
/* The next push that was not read yet; waits for it. */
seen_push host_push(host *h);
/* The next push of the kind; others are skipped. */
seen_push host_push_of(host *h, pawl_push_kind kind);

int64_t host_now(void);

#endif
