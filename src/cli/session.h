/* SPDX-License-Identifier: MIT */
/*
 * One lock, acquired and released by a process that listens to signals: what run,
 * hold, acquire and pawl-flock have in common.
 */
#ifndef PAWL_CLI_SESSION_H
#define PAWL_CLI_SESSION_H

#include "options.h"
#include "pawl/composed.h"
#include "signals.h"
#include "store.h"

typedef struct cli_session {
    cli_store store;
    cli_signals signals;
    int ends_with; /* when it is readable, nobody waits for the lock any more; -1: none */
    int epoll_fd;  /* signals and what else is watched; -1: signals alone */
    pawl_client *client;
    pawl_lock *lock;
    pawl_once *once;         /* NULL: the lock is our own; else it is this one's */
    bool leads;              /* observers are told of the release */
    int ended_by;            /* the signal that ended the wait; 0: none */
    bool succeeded;          /* what is said of a run of `once` when it ends */
    const char *key;         /* the first one */
    const char *const *keys; /* all */
    size_t key_count;
    char *shown_key; /* escaped, for messages */
    bool decided;    /* the acquisition has ended, with `result` */
    int result;
    bool released; /* the release has ended, with `release_result` */
    int release_result;
    bool seen_holder;              /* somebody holds one of the keys; `reason` says who */
    char reason[PAWL_MESSAGE_MAX]; /* why it was not acquired, for people */
} cli_session;

/* The signals that end a wait. */
extern const int cli_ending_signals[];

/* Before all else: signals, then the store, then the handle. 0 or an exit code. */
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

/* A wait ends also when this descriptor is readable: the process for which we ask has ended. */
bool cli_session_end_with(cli_session *session, int fd);

/* Its news has been heard: it no longer ends cli_session_wait. */
void cli_session_unwatch(cli_session *session, int fd);

/*
 * Does the client's work and runs its callbacks, until there was one, a signal has come,
 * or wait_ms have passed. This loop is the only one: leases are renewed in here.
 * What pawl_client_wait returns.
 */
int cli_session_wait(const cli_session *session, int64_t wait_ms);

/*
 * Acquires. True: held. False, with an exit code and after the one line that was due:
 * busy_code (which may be 0) when the wait ran out, 128+n when signal n ended it; then
 * nothing stays behind in the queue.
 */
bool cli_session_acquire(cli_session *session, int64_t wait_ms, int busy_code, bool say_busy,
                         int *ret_code);

/*
 * Releases and waits for the store's word. PAWL_OK, PAWL_ERR_LOST: it was not ours
 * any more; PAWL_ERR_UNKNOWN: the store has not said.
 */
int cli_session_release(cli_session *session);

void cli_session_close(cli_session *session);

/* How long a release waits for the store's word. */
#define CLI_RELEASE_WAIT_MS 1000

/* Milliseconds of CLOCK_BOOTTIME, which goes on in suspend. */
int64_t cli_now_ms(void);

#endif
