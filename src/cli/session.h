/* SPDX-License-Identifier: MIT */
/*
 * One lock, acquired and released by a process that listens to signals: what run,
 * hold, acquire and pawl-flock have in common.
 */
#ifndef PAWL_CLI_SESSION_H
#define PAWL_CLI_SESSION_H

#include "metrics_endpoint.h"
#include "options.h"
#include "pawl/composed.h"
#include "signals.h"
#include "store.h"

typedef struct cli_session {
    cli_store store;
    cli_signals signals;
    int ends_with;          /* when it is readable, the wait for the lock ends; -1: none */
    int epoll_fd;           /* signals and what else is watched; -1: signals alone */
    cli_endpoint *endpoint; /* where metrics are asked for; NULL: nowhere */
    pawl_client *client;
    pawl_lock *lock;
    pawl_once *once;         /* NULL: the lock is our own; else it belongs to this */
    bool leads;              /* observers are told of the release */
    int ended_by;            /* the signal that ended the wait; 0: none */
    bool succeeded;          /* how the run of `once` ends */
    const char *key;         /* the first one */
    const char *const *keys; /* all */
    size_t key_count;
    char *shown_key; /* escaped, for messages */
    bool decided;    /* the acquisition has ended, with `result` */
    int result;
    bool released; /* the release has ended, with `release_result` */
    int release_result;
    int64_t guard_until_ms;        /* until then the store grants nothing; 0: it does */
    bool seen_holder;              /* somebody holds one of the keys; `reason` says who */
    char reason[PAWL_MESSAGE_MAX]; /* why it was not acquired, for people */
} cli_session;

/* The signals that end a wait. */
extern const int cli_ending_signals[];

/* Call it first. Opens signals, then the store, then the handle. 0 or an exit code. */
int cli_session_open(cli_session *session, const cli_common *common, const int *watched_signals,
                     const char *key, const pawl_lock_opts *opts);

/* The same for a job that runs once in a period. */
int cli_session_open_once(cli_session *session, const cli_common *common,
                          const int *watched_signals, const char *key, const pawl_once_opts *opts);

/* The same for several keys, all of them or none. The array stays as long as the session. */
int cli_session_open_all(cli_session *session, const cli_common *common, const int *watched_signals,
                         const char *const *keys, size_t count, const pawl_lock_opts *opts);

/*
 * Lets a descriptor end cli_session_wait, too: when it is readable, or only when the
 * other end hangs up. false: it cannot be watched (a plain file).
 */
bool cli_session_watch(cli_session *session, int fd, bool hangup_only);

/* A wait also ends when this descriptor is readable: then the process for which we acquire has
 * ended. */
bool cli_session_end_with(cli_session *session, int fd);

/* Serves metrics there for as long as the session is open. A failure only prints one line. */
void cli_session_serve_metrics(cli_session *session, const char *address,
                               const pawl_metrics *metrics);

/* The event of the descriptor was handled: it no longer ends cli_session_wait. */
void cli_session_unwatch(cli_session *session, int fd);

/*
 * Does the client's work and runs its callbacks, until a callback has run, a signal has come, or
 * wait_ms have passed. This is the only loop, so leases are renewed only in here. Returns what
 * pawl_client_wait returns.
 */
int cli_session_wait(const cli_session *session, int64_t wait_ms);

/*
 * Acquires. True: held. False, with an exit code and after one line if one was due: busy_code
 * (which may be 0) when the wait ran out, 128+n when signal n ended it; then nothing stays in the
 * queue.
 */
bool cli_session_acquire(cli_session *session, int64_t wait_ms, int busy_code, bool say_busy,
                         int *ret_code);

/*
 * Releases and waits for the store's answer. PAWL_OK; PAWL_ERR_LOST: it was no longer ours;
 * PAWL_ERR_UNKNOWN: the store has not answered.
 */
int cli_session_release(cli_session *session);

void cli_session_close(cli_session *session);

/* How long a release waits for the store's answer. */
#define CLI_RELEASE_WAIT_MS 1000

/* Milliseconds of CLOCK_BOOTTIME, which goes on in suspend. */
int64_t cli_now_ms(void);

#endif
