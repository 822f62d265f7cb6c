/* SPDX-License-Identifier: MIT */
/*
 * A host for stores under test: real loop, real clock, everything that a store
 * says is written down. Several clients may share one loop, or have loops
 * of their own on threads of their own.
 *
 * The host itself watches over what must hold always, and fails the test:
 *   - no callback from inside open, submit, flush or close (rule 1), nor on another thread
 *   - each request is answered at most once and in time, and no other id (rule 2)
 *   - replies and pushes are well formed
 *   - after close nothing is said any more
 */
#ifndef PAWL_TESTS_TEST_HOST_H
#define PAWL_TESTS_TEST_HOST_H

#include "pawl/store.h"

#include <event2/event.h>

#define PATIENCE_MS 20000 /* how long a test waits for what must come at once */

/* ---- A loop --------------------------------------------------------------------- */

typedef struct test_loop test_loop;

test_loop *test_loop_new(void);
/* A loop that still has clients, because a check failed, is left alone. */
void test_loop_free(test_loop *loop);
struct event_base *test_loop_base(test_loop *loop);

typedef bool (*condition_fn)(void *arg);
/* Runs the loop until the condition holds; fails the test, naming `what`, after PATIENCE_MS. */
void test_loop_until(test_loop *loop, condition_fn holds, void *arg, const char *what);
/* Runs the loop for so long: for what must NOT happen, and for ttls to pass. */
void test_loop_for(test_loop *loop, int64_t span_ms);
/* The clock of the hosts, ns. */
int64_t host_now(void);

/* ---- What a store said --------------------------------------------------------------- */

#define SEEN_SLOTS_MAX 64 /* that a test asks for in one request */

typedef struct seen_reply {
    pawl_reply reply; /* its message points into text, its slots into slots, or they are NULL */
    char text[PAWL_MESSAGE_MAX];
    uint16_t slots[SEEN_SLOTS_MAX];
    pawl_value value; /* of a READ: its texts are the two below */
    char value_bytes[PAWL_STORED_MAX + 1], value_owner[PAWL_OWNER_MAX + 1];
    int64_t sent_at, answered_at; /* answered_at 0: not yet */
    int64_t answer_by;
    size_t rows_before; /* rows and findings that came for it before the answer */
} seen_reply;

typedef struct seen_push {
    pawl_push push; /* pointers into what is below */
    uint16_t slots[SEEN_SLOTS_MAX];
    char name[PAWL_NAME_MAX + 1];
    char token[PAWL_TOKEN_LEN + 1];
    int64_t at;
} seen_push;

typedef struct seen_row {
    uint64_t id;
    pawl_info info; /* a copy with everything that it points to */
} seen_row;

typedef struct seen_link {
    bool up;
    pawl_err err;
    char text[PAWL_MESSAGE_MAX];
} seen_link;

/* ---- A client ----------------------------------------------------------------------------- */

/* How to reach a store. Strings are borrowed. */
typedef struct store_address {
    const pawl_store_ops *ops;
    const char *scheme;
    const char *path; /* of the URL */
    const char *user, *password;
    const char *host;
    int port; /* 0: absent */
    pawl_url_option options[4];
    size_t option_count;
} store_address;

typedef struct client client;

/* Opens; fails the test if that fails. Does not wait for the link. */
client *client_open(test_loop *loop, const store_address *address, const char *owner);
/* Opens and waits until the link is up. */
client *client_up(test_loop *loop, const store_address *address, const char *owner);
/* NULL, with the error and its line, if open() fails. */
client *client_try(test_loop *loop, const store_address *address, const char *owner, int *ret_err,
                   char *ret_message);
/* What open() returns, without a client. */
int client_open_error(test_loop *loop, const store_address *address, char *ret_message);
/* Every request must have been answered. NULL is allowed. */
void client_close(client *c);
/* The same with requests outstanding: they must never be answered. */
void client_abandon(client *c);

pawl_store *client_store(client *c);
test_loop *client_loop(const client *c);
const pawl_caps *client_caps(client *c);

/* Submits without a flush; the id and, unless set, answer_by and owner are filled in. */
uint64_t client_submit(client *c, const pawl_request *request);
void client_flush(client *c);
/* Submits, flushes, waits for the answer. The answer lives as long as the client. */
const seen_reply *client_ask(client *c, const pawl_request *request);
const seen_reply *client_await(client *c, uint64_t id);
/* NULL: not answered yet. */
const seen_reply *client_answer(client *c, uint64_t id);
bool client_all_answered(client *c);
void client_await_all(client *c);

/* The newest push of that kind about the token (RECHECK, NEWS: NULL); NULL if there is none. */
const seen_push *client_pushed(client *c, pawl_push_kind kind, const char *token);
const seen_push *client_await_push(client *c, pawl_push_kind kind, const char *token);
size_t client_push_count(const client *c, pawl_push_kind kind);
/* In the order in which they came; NULL: there are not so many. */
const seen_push *client_push(const client *c, size_t index);

/* The rows of a request. */
size_t client_row_count(const client *c, uint64_t id);
const pawl_info *client_row(const client *c, uint64_t id, size_t index);
const pawl_info *client_row_named(const client *c, uint64_t id, const char *name);
size_t client_finding_count(const client *c);
/* All findings so far, "topic: text" on a line each. */
const char *client_found(const client *c);
/* How bad the latest finding of this topic is; fails the test if there is none. */
pawl_severity client_severity(const client *c, const char *topic);
/* The latest warning, "" if there was none, and how many there were. */
const char *client_warning(const client *c, size_t *ret_count);
/* The text of the latest finding that is an error; "" if there was none. */
const char *client_error_found(const client *c);

size_t client_link_count(const client *c);
const seen_link *client_link(const client *c, size_t index);
/* Waits until the link is up or down. */
void client_await_link(client *c, bool up);

/* ---- Requests -------------------------------------------------------------------------------- */

/* A token that nobody else has; static storage for the program's life. */
const char *fresh_token(void);

pawl_request ask_acquire(const char *name, const char *token, int64_t ttl_ms);
pawl_request ask_queue(const char *name, const char *token, int64_t ttl_ms);
pawl_request ask_renew(const char *name, const char *token, int64_t ttl_ms);
/* In another mode than exclusive; the flags are 0 or PAWL_ASK_QUEUE. */
pawl_request ask_mode(const char *name, const char *token, pawl_mode mode, int64_t ttl_ms,
                      unsigned flags);
pawl_request ask_permits(const char *name, const char *token, uint32_t units, uint32_t capacity,
                         int64_t ttl_ms, unsigned flags);
pawl_request ask_change(const char *name, const char *token, pawl_mode mode, uint32_t change,
                        int64_t ttl_ms, unsigned flags);
pawl_request ask_release(const char *name, const char *token);
pawl_request ask_inspect(const char *name, const char *token);
pawl_request ask_list(const char *prefix);
pawl_request ask_break(const char *name, uint64_t fence);
pawl_request ask_doctor(void);
/* A value that is a text; kept for a minute. And: what is it? watch_ms 0: once. */
pawl_request ask_publish(const char *name, const char *token, const char *value);
pawl_request ask_read(const char *name, int64_t watch_ms);

#endif
