/* SPDX-License-Identifier: MIT */
/*
 * What the tests of the public functions share: a real store of the kind that the
 * program's first argument names, fresh names, and records of what callbacks said.
 */
#ifndef PAWL_TESTS_RUNTIME_STAGE_H
#define PAWL_TESTS_RUNTIME_STAGE_H

#include "check.h"
#include "pawl/pawl.h"

#include <pthread.h>

#define PATIENCE_MS 20000 /* how long a test waits for what must come at once */

/* ---- The store ------------------------------------------------------------------------------ */

/* argv[1]: memory, sqlite or redis; exits with 77 and the reason if there is none here. */
void stage_begin(int argc, char **argv);
void stage_end(void);
const char *stage_url(void);
bool stage_is(const char *kind);
/* redis only */
struct redis_server *stage_redis(void);

/* Clients of that store; fail the test if they cannot be had. opts NULL: defaults. */
pawl_client *stage_client(const pawl_open_opts *opts);
/* A name that no other test uses; static storage, overwritten by the next call on this thread. */
const char *stage_name(void);

/* A limit that runs out. A store that a busy machine delays has answered before; else it counts as
 * one that cannot be reached. */
#define ANSWERED_MS     1000
/* A lease that is renewed soon, and is not lost when a busy machine stands still for a moment. */
#define RENEWED_SOON_MS 1500
pawl_lock *lock_new(pawl_client *client, const char *name, int64_t ttl_ms);
pawl_lock *lock_with_events(pawl_client *client, const char *name, int64_t ttl_ms,
                            pawl_event_fn on_event, void *userdata);

/* Fails, naming both errors, unless got is wanted. */
#define CHECK_ERR(got, wanted)                                                                     \
    do {                                                                                           \
        int got_ = (got), wanted_ = (wanted);                                                      \
        if (got_ != wanted_)                                                                       \
            FAIL_TEST("%s: %s is %s, not %s", __func__, #got, pawl_err_name(got_),                 \
                      pawl_err_name(wanted_));                                                     \
    } while (0)

/* ---- What callbacks said -------------------------------------------------------------------- */

typedef struct record {
    pthread_mutex_t mutex;
    pthread_cond_t cond;
    int done_count;
    int done_err; /* of the latest */
    int events[8];
    pawl_err event_err; /* of the latest DOUBT or LOST */
    char message[PAWL_MESSAGE_MAX];
    pthread_t thread; /* of the latest */
    int line_count;
    char lines[64][PAWL_MESSAGE_MAX];
} record;

void record_init(record *r);
void record_done(pawl_lock *lock, int err, void *userdata);
void record_event(pawl_lock *lock, const pawl_event *event, void *userdata);
void record_log(pawl_client *client, pawl_severity severity, const char *line, void *userdata);
/* Waits for the count-th; fails the test after PATIENCE_MS. */
void record_await_done(record *r, int count);
void record_await_event(record *r, pawl_event_kind kind, int count);
void record_await_line(record *r, const char *part);
int record_dones(record *r);
int record_events(record *r, pawl_event_kind kind);

/* ---- What a lock looks like from outside ---------------------------------------------------- */

typedef struct view {
    bool held, mine;
    uint64_t fence;
    int64_t remaining_ms;
    size_t waiters;
    char owner[PAWL_OWNER_MAX + 1];
} view;

view stage_view(pawl_client *client, const char *name);
/* Waits until so many wait for the name at the store. */
void stage_await_waiters(pawl_client *client, const char *name, size_t count);
/* Waits until nobody holds it and nobody waits. */
void stage_await_free(pawl_client *client, const char *name);

/* Real time for what must not happen meanwhile, or for a ttl to pass. */
void stage_pass(int64_t ms);
int64_t stage_now_ms(void);

#endif
