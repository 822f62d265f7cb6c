/* SPDX-License-Identifier: MIT */
#define _GNU_SOURCE
#include "session.h"

#include <errno.h>
#include <inttypes.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "duration.h"
#include "exit_codes.h"
#include "message.h"
#include "notify.h"

/* If the wait is over, it must not last longer because the store does not tell the holder. */
#define CLI_HOLDER_WAIT_MS 300

typedef enum cli_busy_line { CLI_BUSY_UNSAID, CLI_BUSY_EXPECTED, CLI_BUSY_SAID } cli_busy_line;

const int cli_ending_signals[] = {SIGHUP, SIGINT, SIGQUIT, SIGTERM, 0};

int64_t cli_now_ms(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void note_guard(pawl_client *client, const pawl_trace *event, void *userdata)
{
    (void)client;
    cli_session *session = userdata;
    session->guard_until_ms = cli_now_ms() + event->span_ns / 1000000;
}

static int open_client(cli_session *session, const cli_common *common, const int *watched_signals,
                       const char *key)
{
    *session = (cli_session){.key = key, .signals.fd = -1, .ends_with = -1, .epoll_fd = -1};
    session->keys = &session->key;
    session->key_count = 1;
    session->shown_key = cli_escape(key, strlen(key));
    int code = cli_store_choose(common, &session->store);
    if (!code) code = cli_store_refuse_memory(&session->store);
    if (!code) code = cli_signals_open(&session->signals, watched_signals);
    if (code) return code;
    session->store.on_guard = note_guard;
    session->store.guard_userdata = session;
    return cli_client_open(common, &session->store, PAWL_CALLBACKS_WAIT, &session->client);
}

int cli_session_open(cli_session *session, const cli_common *common, const int *watched_signals,
                     const char *key, const pawl_lock_opts *opts)
{
    int code = open_client(session, common, watched_signals, key);
    if (code) return code;
    int err = pawl_lock_new(session->client, key, strlen(key), opts, &session->lock);
    return err ? cli_fail(session->client, "lock", key, err) : 0;
}

/* "a, b, c", escaped; NULL: out of memory. */
static char *shown_keys(const char *const *keys, size_t count)
{
    char *shown = NULL;
    for (size_t i = 0; i < count; i++) {
        char *next = NULL, *safe = cli_escape(keys[i], strlen(keys[i]));
        if (asprintf(&next, "%s%s%s", shown ? shown : "", shown ? ", " : "", safe) < 0) next = NULL;
        free(safe);
        free(shown);
        shown = next;
        if (!shown) return NULL;
    }
    return shown;
}

int cli_session_open_all(cli_session *session, const cli_common *common, const int *watched_signals,
                         const char *const *keys, size_t count, const pawl_lock_opts *opts)
{
    int code = open_client(session, common, watched_signals, keys[0]);
    if (code) return code;
    char *shown = shown_keys(keys, count);
    if (!shown) return cli_fail(session->client, "lock", keys[0], PAWL_ERR_NO_MEMORY);
    free(session->shown_key);
    session->shown_key = shown;
    session->keys = keys;
    session->key_count = count;
    int err = pawl_lock_new_all(session->client, keys, count, opts, &session->lock);
    return err ? cli_fail(session->client, "lock", keys[0], err) : 0;
}

int cli_session_open_once(cli_session *session, const cli_common *common,
                          const int *watched_signals, const char *key, const pawl_once_opts *opts)
{
    int code = open_client(session, common, watched_signals, key);
    if (code) return code;
    int err = pawl_once_new(session->client, key, strlen(key), opts, &session->once);
    session->lock = pawl_once_lock(session->once);
    return err ? cli_fail(session->client, "once", key, err) : 0;
}

static bool open_epoll(cli_session *session)
{
    struct epoll_event signals = {.events = EPOLLIN};
    if (session->epoll_fd >= 0) return true;
    session->epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    return session->epoll_fd >= 0 &&
           epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, session->signals.fd, &signals) == 0;
}

bool cli_session_watch(cli_session *session, int fd, bool hangup_only)
{
    struct epoll_event event = {.events = hangup_only ? 0 : EPOLLIN};
    return open_epoll(session) && epoll_ctl(session->epoll_fd, EPOLL_CTL_ADD, fd, &event) == 0;
}

bool cli_session_end_with(cli_session *session, int fd)
{
    session->ends_with = fd;
    return cli_session_watch(session, fd, false);
}

void cli_session_serve_metrics(cli_session *session, const char *address,
                               const pawl_metrics *metrics)
{
    session->endpoint = cli_endpoint_open(address, metrics);
    if (!session->endpoint) return;
    if (cli_session_watch(session, cli_endpoint_fd(session->endpoint), false)) return;
    cli_warn("cannot serve metrics at %s: epoll: %s; the command runs without", address,
             strerror(errno));
    session->endpoint = cli_endpoint_close(session->endpoint);
}

void cli_session_unwatch(cli_session *session, int fd)
{
    (void)epoll_ctl(session->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

int cli_session_wait(const cli_session *session, int64_t wait_ms)
{
    int fd = session->epoll_fd >= 0 ? session->epoll_fd : session->signals.fd;
    return pawl_client_wait(session->client, fd, wait_ms);
}

static void on_acquired(pawl_lock *lock, int err, void *userdata)
{
    cli_session *session = userdata;
    (void)lock;
    session->decided = true;
    session->result = err;
}

static void on_released(pawl_lock *lock, int err, void *userdata)
{
    cli_session *session = userdata;
    (void)lock;
    session->released = true;
    session->release_result = err;
}

/* Signals that are only watched for the command's sake do not end a wait. */
static bool ends_wait(int number)
{
    for (const int *ending = cli_ending_signals; *ending; ending++) {
        if (*ending == number) return true;
    }
    return false;
}

static bool asker_is_gone(const cli_session *session)
{
    struct pollfd end = {.fd = session->ends_with, .events = POLLIN};
    return session->ends_with >= 0 && poll(&end, 1, 0) == 1;
}

static void end_wait(cli_session *session, int number, int *ended_by)
{
    if (*ended_by) return;
    *ended_by = number;
    /* If it answers PAWL_ERR_STATE, it was decided just now: the callback tells how. */
    (void)pawl_lock_cancel(session->lock);
}

/* How soon the service manager hears for whom we wait, and how often that is looked at again. */
#define TELL_FIRST_MS 200
#define TELL_AGAIN_MS 10000

static bool tell_holder(const pawl_info *info, void *userdata)
{
    const cli_session *session = userdata;
    if (!info->held) return false;
    cli_notify(CLI_NOTIFY_STATUS, "waits for %s, held by %s, fence %" PRIu64, session->shown_key,
               *info->owner ? info->owner : "somebody unknown", info->fence);
    return false;
}

/* Returns how long a wait may last until this is called again. */
static int64_t tell_wait(cli_session *session, int64_t *at_ms)
{
    int64_t now = cli_now_ms();
    if (!cli_notify_is_on()) return PAWL_WAIT_FOREVER;
    if (*at_ms == 0) {
        cli_notify(CLI_NOTIFY_STATUS, "waits for %s", session->shown_key);
        *at_ms = now + TELL_FIRST_MS;
    } else if (now >= *at_ms) {
        int unseen = PAWL_OK; /* who does not answer is not asked for the next key */
        for (size_t i = 0; !unseen && i < session->key_count; i++)
            unseen = pawl_inspect(session->client, session->keys[i], strlen(session->keys[i]),
                                  CLI_HOLDER_WAIT_MS, tell_holder, session);
        *at_ms = cli_now_ms() + TELL_AGAIN_MS;
    }
    (void)cli_notify_again();
    return *at_ms > now ? *at_ms - now : 0;
}

/* Turns the loop until the acquisition has ended. Returns the signal that came, or 0. */
static int wait_decision(cli_session *session)
{
    int ended_by = 0;
    int64_t tell_at_ms = 0;
    while (!session->decided) {
        int64_t span_ms = tell_wait(session, &tell_at_ms);
        if (cli_session_wait(session, span_ms) < 0) return SIGABRT;

        struct signalfd_siginfo info;
        while (cli_signals_next(&session->signals, &info)) {
            int number = (int)info.ssi_signo;
            if (number == SIGTSTP) cli_signals_stop_self();
            if (ends_wait(number)) end_wait(session, number, &ended_by);
        }
        if (asker_is_gone(session)) end_wait(session, SIGHUP, &ended_by);
        cli_endpoint_turn(session->endpoint);
    }
    return ended_by;
}

/* For how long the store grants nothing, whoever asks; 0: it does grant. */
static int64_t guard_left_ms(const cli_session *session)
{
    int64_t left_ms = session->guard_until_ms - cli_now_ms();
    return left_ms > 0 ? left_ms : 0;
}

/* Nobody holds it, and yet it was not granted. */
static void note_free(cli_session *session)
{
    char left[CLI_DURATION_TEXT];
    int64_t left_ms = guard_left_ms(session);
    if (left_ms > 0)
        snprintf(session->reason, sizeof session->reason,
                 "the store may have forgotten who held it, and grants nothing for %s "
                 "(restart guard)",
                 cli_duration_text(left_ms, left));
    else
        snprintf(session->reason, sizeof session->reason, "it was held until a moment ago");
}

/* Finds the holder, for the line that says that the lock was busy. */
static bool note_holder(const pawl_info *info, void *userdata)
{
    cli_session *session = userdata;
    char left[CLI_DURATION_TEXT];
    const char *label = *info->owner    ? info->owner
                        : info->foreign ? "a client that is not pawl"
                                        : "somebody unknown";
    char *owner = cli_escape(label, strlen(label));
    session->seen_holder = info->held;
    if (info->held) {
        bool ends = info->remaining_ms >= 0;
        snprintf(session->reason, sizeof session->reason, "held by %.400s, %s%s, %zu waiting",
                 owner, ends ? "lease for " : "without an end",
                 ends ? cli_duration_text(info->remaining_ms, left) : "", info->waiter_count);
    } else {
        note_free(session);
    }
    free(owner);
    return false;
}

static void note_busy(cli_session *session)
{
    int unseen = PAWL_OK;
    session->seen_holder = false;
    for (size_t i = 0; !unseen && !session->seen_holder && i < session->key_count; i++)
        unseen = pawl_inspect(session->client, session->keys[i], strlen(session->keys[i]),
                              CLI_HOLDER_WAIT_MS, note_holder, session);
    if (unseen) {
        snprintf(session->reason, sizeof session->reason, "%s", pawl_err_text(session->result));
    }
}

/* The period has had its run: tells whose it was. */
static void note_done(cli_session *session)
{
    pawl_once_info info;
    char ago[CLI_DURATION_TEXT], next[CLI_DURATION_TEXT];
    pawl_once_last(session->once, &info);
    char *owner = cli_escape(info.owner, strlen(info.owner));
    snprintf(session->reason, sizeof session->reason,
             "done in this period already, %s ago by %.300s; the next one begins in %s",
             cli_duration_text((info.now_us - info.began_us) / 1000, ago), owner,
             cli_duration_text((info.next_us - info.now_us) / 1000, next));
    free(owner);
}

static int not_acquired(cli_session *session, int ended_by, int busy_code, cli_busy_line line)
{
    session->ended_by = ended_by;
    if (ended_by) {
        if (session->result == 0 && !session->once) (void)cli_session_release(session);
        snprintf(session->reason, sizeof session->reason, "SIG%s ended the wait",
                 cli_signal_name(ended_by));
        cli_info("%s: %s", session->shown_key, session->reason);
        return CLI_EXIT_SIGNAL_BASE + ended_by;
    }
    if (pawl_err_class_of(session->result) != PAWL_CLASS_BUSY) {
        pawl_client_reason(session->client, session->result, session->reason);
        return cli_fail(session->client, "lock", session->key, session->result);
    }
    if (session->result == PAWL_ERR_DONE) {
        note_done(session);
        cli_info("%s: %s", session->shown_key, session->reason);
        return busy_code;
    }
    note_busy(session);
    /* Who expects that another one is at work must hear that perhaps nobody is. */
    bool guarded = !session->seen_holder && guard_left_ms(session) > 0;
    if (guarded && line == CLI_BUSY_EXPECTED) line = CLI_BUSY_SAID;
    if (line == CLI_BUSY_SAID) cli_warn("%s: busy: %s", session->shown_key, session->reason);
    if (line == CLI_BUSY_EXPECTED) cli_info("%s: busy: %s", session->shown_key, session->reason);
    return guarded && session->once ? CLI_EXIT_BUSY : busy_code;
}

/* With -n -E 0 busy is no error for the user: no message, as with flock(1). */
static cli_busy_line busy_line(int64_t wait_ms, int busy_code, bool say_busy)
{
    if (!say_busy) return CLI_BUSY_UNSAID;
    return wait_ms == 0 && busy_code == 0 ? CLI_BUSY_EXPECTED : CLI_BUSY_SAID;
}

static int begin(cli_session *session, int64_t wait_ms)
{
    if (session->once) return pawl_once_begin_start(session->once, wait_ms, on_acquired, session);
    return pawl_lock_acquire_start(session->lock, wait_ms, on_acquired, session);
}

bool cli_session_acquire(cli_session *session, int64_t wait_ms, int busy_code, bool say_busy,
                         int *ret_code)
{
    int64_t began = cli_now_ms();
    cli_info("%s: asking %s", session->shown_key, pawl_client_url(session->client));
    int err = begin(session, wait_ms);
    if (err) {
        *ret_code = cli_fail(session->client, "lock", session->key, err);
        return false;
    }
    int ended_by = wait_decision(session);
    if (ended_by || session->result != 0) {
        *ret_code =
            not_acquired(session, ended_by, busy_code, busy_line(wait_ms, busy_code, say_busy));
        return false;
    }
    char took[CLI_DURATION_TEXT];
    cli_info("%s: held after %s, fence %" PRIu64, session->shown_key,
             cli_duration_text(cli_now_ms() - began, took), pawl_lock_fence(session->lock));
    return true;
}

/* The result of a run is published as long as its lease lasts. */
static int begin_release(cli_session *session, int64_t wait_ms)
{
    if (session->once)
        return pawl_once_end_start(session->once, session->succeeded, wait_ms, on_released,
                                   session);
    if (session->leads && pawl_lock_is_held(session->lock))
        return pawl_election_resign_start(session->lock, wait_ms, on_released, session);
    return pawl_lock_release_start(session->lock, on_released, session);
}

int cli_session_release(cli_session *session)
{
    int64_t wait_ms = session->once ? pawl_lock_remaining_ms(session->lock) : CLI_RELEASE_WAIT_MS;
    session->released = false;
    int err = begin_release(session, wait_ms);
    if (err) return err;

    int64_t until = cli_now_ms() + wait_ms + (session->once ? CLI_RELEASE_WAIT_MS : 0);
    while (!session->released) {
        int64_t left = until - cli_now_ms();
        if (left <= 0) return PAWL_ERR_UNKNOWN;
        err = pawl_client_wait(session->client, -1, left);
        if (err < 0) return err;
    }
    return session->release_result;
}

void cli_session_close(cli_session *session)
{
    if (session->once) session->lock = NULL; /* it is freed with its once */
    session->once = pawl_once_free(session->once);
    /* A resignation that the store did not answer uses its lock until the close ends it. */
    if (session->leads) session->client = pawl_client_close(session->client);
    session->lock = pawl_lock_free(session->lock);
    session->client = pawl_client_close(session->client);
    session->endpoint = cli_endpoint_close(session->endpoint);
    if (session->epoll_fd >= 0) close(session->epoll_fd);
    /* What comes from now on stays pending for the next session. */
    if (session->signals.fd >= 0) close(session->signals.fd);
    session->epoll_fd = session->signals.fd = -1;
    free(session->shown_key);
    session->shown_key = NULL;
}
